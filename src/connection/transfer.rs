//! Reads and writes of a connection: their time limits, and how they fail.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use super::{Connection, Mode};
use crate::canceller;
use crate::deadline::Deadline;
use crate::limits::MAX_READS_BEYOND_LIMIT;
use crate::socket::{self, NoSignal};
use crate::tls::Explained;
use crate::wait::{self, Interest, Token, Wait};

/// Some servers, such as ejabberd, close without close_notify. The message of rustls links to its own documentation.
const CUT: &str =
    "the server closed the connection without ending TLS (close_notify); the end of its data may be missing";

/// Why nothing more can be read from a connection. Every read returns it.
#[derive(Debug)]
pub(super) enum Failure {
    /// A fatal TLS error: nothing can be written either (RFC 8446 section 6.2).
    Tls(rustls::Error),
    /// The operating system's error.
    Socket(io::Error),
}

impl Failure {
    fn error(&self) -> io::Error {
        match self {
            Self::Tls(error) => io::Error::new(ErrorKind::InvalidData, Explained::new(error.clone())),
            Self::Socket(error) => {
                error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
            }
        }
    }
}

/// Returns `Ok(0)` after the server's close_notify. Without it, the end of the connection is
/// [`ErrorKind::UnexpectedEof`], which is harmless only after the end of the XMPP stream (`</stream:stream>`).
///
/// A fatal TLS error, which includes an alert of the server, is [`ErrorKind::InvalidData`]. Fatal errors, resets and
/// `UnexpectedEof` are final: every later read returns the same error.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check_cancelled()?;
        if !self.read_ahead.is_empty() {
            let read = self.read_ahead.as_slice().read(buffer)?;
            self.read_ahead.drain(..read);
            return Ok(read);
        }
        let deadline = self.deadline(self.read_timeout);
        let mut beyond_limit = 0;
        loop {
            if let Some(result) = self.take(buffer) {
                return result;
            }
            // Responses of TLS itself, such as key updates, and what a write has left unsent. A read does not wait for
            // them alone, and errors of sending are left to the next write.
            let interest = match self.send_some() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Interest::Both,
                Ok(()) | Err(_) => Interest::Read,
            };
            match self.receive_some() {
                Ok(()) if deadline.is_over(wait::now()) => {
                    beyond_limit += 1;
                    if beyond_limit > MAX_READS_BEYOND_LIMIT {
                        return Err(timed_out());
                    }
                }
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(interest, deadline)?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// After a fatal TLS error, every write returns that error.
impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_cancelled()?;
        self.check_writable()?;
        if self.is_shut_down {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the connection was shut down for writing"));
        }
        let deadline = self.deadline(self.write_timeout);
        // Unsent data of an earlier write goes first. New data is taken only then, so an error means that none was
        // taken.
        self.send(deadline)?;
        let taken = self.stream.conn.writer().write(bytes)?;
        match self.send(deadline) {
            // The data is encrypted and cannot be taken back, so it counts as written; the next call returns the error.
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check_cancelled()?;
        self.check_writable()?;
        self.stream.conn.writer().flush()?;
        self.send(self.deadline(self.write_timeout))
    }
}

impl Connection {
    /// Waits for the socket to become ready.
    pub(super) fn wait(&self, interest: Interest, deadline: Deadline) -> io::Result<()> {
        if self.mode == Mode::Nonblocking {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            self.check_cancelled()?;
            in_time(deadline)?;
            let mut wait = Wait::until(deadline);
            wait.add(Token::Attempt(0), &self.stream.sock, interest);
            self.cancelled.iter().flatten().for_each(|flag| flag.register(&mut wait));
            if wait.wait()?.contains(Token::Attempt(0)) {
                return Ok(());
            }
        }
    }

    fn check_cancelled(&self) -> io::Result<()> {
        let is_cancelled = self.cancelled.iter().flatten().any(|flag| flag.is_raised());
        if is_cancelled { Err(canceller::cancelled()) } else { Ok(()) }
    }

    /// Sends as much encrypted data as the socket takes without waiting.
    fn send_some(&mut self) -> io::Result<()> {
        while self.stream.conn.wants_write() {
            match self.stream.conn.write_tls(&mut NoSignal(&self.stream.sock)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    self.forget_unproved();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Forgets a resumed session if the connection failed before the server has sent anything, so that it is not
    /// offered again.
    fn forget_unproved(&mut self) {
        if let Some(session) = self.unproved.take() {
            session.forget_offered();
        }
    }

    /// Sends all encrypted data.
    pub(super) fn send(&mut self, deadline: Deadline) -> io::Result<()> {
        loop {
            match self.send_some() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(Interest::Write, deadline)?;
                }
                result => return result,
            }
        }
    }

    /// Reads from the socket once, and decrypts. A failure is kept until the plaintext that precedes it has been read.
    fn receive_some(&mut self) -> io::Result<()> {
        match self.stream.conn.read_tls(&mut self.stream.sock) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Err(error);
            }
            Err(error) if socket::is_exhaustion(&error) => return Err(error),
            Err(error) => self.failure = Some(Failure::Socket(error)),
        }
        if let Err(error) = self.stream.conn.process_new_packets() {
            // The alert that says why; it is not essential.
            let _ = self.send_some();
            self.failure = Some(Failure::Tls(error));
        }
        Ok(())
    }

    /// Reads decrypted data; `None` when more has to be read from the socket first.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let error = match (self.stream.conn.reader().read(buffer), &self.failure) {
            (Ok(read), _) => {
                if read > 0 {
                    self.unproved.take().inspect(|session| session.prove());
                } else if !buffer.is_empty() && !self.is_shut_down {
                    // The server has ended the connection without sending anything, as a server that has lost the
                    // session may.
                    self.forget_unproved();
                }
                return Some(Ok(read));
            }
            (Err(error), None) if error.kind() == ErrorKind::WouldBlock => return None,
            (Err(_), Some(failure)) => failure.error(),
            (Err(error), None) if error.kind() == ErrorKind::UnexpectedEof => {
                io::Error::new(ErrorKind::UnexpectedEof, CUT)
            }
            (Err(error), None) => error,
        };
        self.forget_unproved();
        Some(Err(error))
    }

    /// Returns the error after a fatal TLS error: nothing may be sent then.
    fn check_writable(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure @ Failure::Tls(_)) => Err(failure.error()),
            Some(Failure::Socket(_)) | None => Ok(()),
        }
    }

    /// The deadline of a call with this time limit; none in non-blocking mode.
    pub(super) fn deadline(&self, timeout: Option<Duration>) -> Deadline {
        match (self.mode, timeout) {
            (Mode::Blocking, Some(timeout)) => Deadline::after(wait::now(), timeout),
            (Mode::Blocking, None) | (Mode::Nonblocking, _) => Deadline::NEVER,
        }
    }
}

fn in_time(deadline: Deadline) -> io::Result<()> {
    if deadline.is_over(wait::now()) { Err(timed_out()) } else { Ok(()) }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the time limit has expired")
}
