//! Reads and writes of a connection: their limits, and what ends them.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use super::{Connection, Mode};
use crate::deadline::Deadline;
use crate::limits::MAX_READS_BEYOND_LIMIT;
use crate::socket::{self, NoSignal};
use crate::tls::Explained;
use crate::wait::{self, Interest, Token, Wait};

/// Some servers end without close_notify, ejabberd for one; what a library of TLS says of it helps nobody.
const CUT: &str =
    "the server closed the connection without ending TLS (close_notify); what it sent last may be missing";

/// Why nothing more can be read from a connection; every read gives it again.
#[derive(Debug)]
pub(super) enum Failure {
    /// TLS is broken: nothing can be written either (RFC 8446 section 6.2).
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

/// The end of the stream is `Ok(0)` only after the server's close_notify; a connection that is cut off is
/// [`ErrorKind::UnexpectedEof`], since anybody on the way can do that. Some servers, ejabberd for one, always end so: behind
/// the end of the XMPP stream (`</stream:stream>`) it means no harm.
///
/// A fatal error of TLS is [`ErrorKind::InvalidData`]. It, a reset and a cut are final: each read gives the same error again.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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
            // Answers of TLS itself, key updates for example, and what a write has left. A read never waits for them alone, and
            // what is wrong with sending the next write says.
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

/// After a fatal error of TLS each write gives that error.
impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_writable()?;
        if self.is_shut_down {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the connection was shut down for writing"));
        }
        let deadline = self.deadline(self.write_timeout);
        // What an earlier write has left goes first; only then is anything new taken, so an error means "not taken".
        self.send(deadline)?;
        let taken = self.stream.conn.writer().write(bytes)?;
        match self.send(deadline) {
            // It has been encrypted and cannot be taken back: it counts as written, and the next call says what is wrong.
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check_writable()?;
        self.stream.conn.writer().flush()?;
        self.send(self.deadline(self.write_timeout))
    }
}

impl Connection {
    /// Waits until the socket is ready, which it has just said it is not.
    pub(super) fn wait(&self, interest: Interest, deadline: Deadline) -> io::Result<()> {
        if self.mode == Mode::Nonblocking {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            in_time(deadline)?;
            let mut wait = Wait::until(deadline);
            wait.add(Token::Attempt(0), &self.stream.sock, interest);
            if wait.wait()?.contains(Token::Attempt(0)) {
                return Ok(());
            }
        }
    }

    /// Sends what is encrypted, as far as the socket takes it at once.
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

    /// The session was resumed and the server has failed before it said anything: it is not offered again.
    fn forget_unproved(&mut self) {
        if let Some(session) = self.unproved.take() {
            session.forget_offered();
        }
    }

    /// Sends all that is encrypted.
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

    /// Reads from the socket once, and decrypts. What ends the connection is kept for after the plaintext before it.
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
            // The alert that tells the server why is a courtesy.
            let _ = self.send_some();
            self.failure = Some(Failure::Tls(error));
        }
        Ok(())
    }

    /// What is decrypted; `None` when more has to be read from the socket first.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let error = match (self.stream.conn.reader().read(buffer), &self.failure) {
            (Ok(read), _) => {
                if read > 0 {
                    self.unproved = None;
                } else if !buffer.is_empty() && !self.is_shut_down {
                    // The server has ended the connection without a word, as one does that has lost the session.
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

    /// An error after a fatal error of TLS, behind which nothing may be sent.
    fn check_writable(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure @ Failure::Tls(_)) => Err(failure.error()),
            Some(Failure::Socket(_)) | None => Ok(()),
        }
    }

    /// When a call with this limit is to be back; never for callers that wait themselves.
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
    io::Error::new(ErrorKind::TimedOut, "the time limit is over")
}
