//! Line: the socket and the TLS state of a connection; its reads and writes, their time limits, and how they fail.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::wire::Wire;
use crate::canceller::{self, Cancel};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::limits::{CLOSE_LIMIT, MAX_READS_BEYOND_LIMIT};
use crate::report::Report;
use crate::socket;
use crate::tls::{Agreed, Binder, ChannelBinding, Explained, ServerCertificate, Session};
use crate::wait::{self, Interest, Token, Wait};

/// Some servers, such as ejabberd, close without close_notify. The message of rustls links to its own documentation.
const CUT: &str =
    "the server closed the connection without ending TLS (close_notify); the end of its data may be missing";

/// Why nothing more can be read from a connection. Every read returns it.
#[derive(Debug)]
enum Failure {
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
                // Without a number, it is an error of rustls about its buffers.
                let own = || io::Error::new(error.kind(), error.to_string());
                error.raw_os_error().map_or_else(own, io::Error::from_raw_os_error)
            }
        }
    }
}

/// A connected socket with TLS. The lock is never held while waiting, so that a thread that waits for data does not block
/// one that writes.
pub(super) struct Line {
    /// The socket itself is always non-blocking, and `Self::wait` blocks. A blocking write could exceed its limit,
    /// since a socket that is ready for some bytes may not take all of them.
    pub(super) tcp: Wire,
    tls: Mutex<TlsState>,
    pub(super) facts: Facts,
    /// Whether the caller's event loop waits for the socket, and not reads and writes.
    is_nonblocking: AtomicBool,
    is_cancelled: AtomicBool,
}

/// What is known of a connection from its beginning.
pub(super) struct Facts {
    pub(super) agreed: Agreed,
    pub(super) binder: Binder,
    pub(super) alpn: Option<String>,
    pub(super) certificate: Option<ServerCertificate>,
    pub(super) is_resumed: bool,
    pub(super) is_stream_open: bool,
    pub(super) candidate: Candidate,
    pub(super) peer: SocketAddr,
    pub(super) report: Report,
}

/// What is changed by reads and writes.
struct TlsState {
    client: ClientConnection,
    /// Why nothing more can be read.
    failure: Option<Failure>,
    /// The session that was resumed, until the server's first bytes show that it has accepted it: under TLS 1.3 it may
    /// refuse after our handshake is complete.
    unproved: Option<Arc<Session>>,
    /// Whether close_notify has been sent or is about to be.
    is_shut_down: bool,
}

impl Line {
    pub(super) fn new(
        tcp: Wire,
        client: ClientConnection,
        unproved: Option<Arc<Session>>,
        facts: Facts,
    ) -> Self {
        Self {
            tcp,
            facts,
            tls: Mutex::new(TlsState { client, failure: None, unproved, is_shut_down: false }),
            is_nonblocking: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        }
    }

    /// Reads plaintext, first what was `read_ahead`.
    pub(super) fn read(
        &self,
        buffer: &mut [u8],
        read_ahead: &mut Vec<u8>,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        self.check_cancelled()?;
        if !read_ahead.is_empty() {
            let read = read_ahead.as_slice().read(buffer)?;
            read_ahead.drain(..read);
            return Ok(read);
        }
        let deadline = self.deadline(timeout);
        let mut beyond_limit = 0;
        loop {
            let mut tls = self.lock();
            if let Some(result) = tls.take(buffer) {
                return self.unless_cancelled(result);
            }
            // Responses of TLS itself, such as key updates, and what a write has left unsent. A read does not wait for
            // them alone, and errors of sending are left to the next write.
            let interest = match tls.send_some(&self.tcp) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Interest::Both,
                Ok(()) | Err(_) => Interest::Read,
            };
            let received = tls.receive_some(&self.tcp);
            drop(tls);
            match received {
                Ok(()) if deadline.is_over(wait::now()) => {
                    beyond_limit += 1;
                    if beyond_limit > MAX_READS_BEYOND_LIMIT {
                        return Err(timed_out());
                    }
                }
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.tcp.expect_data();
                    self.wait(interest, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn write(&self, bytes: &[u8], timeout: Option<Duration>) -> io::Result<usize> {
        self.check_writable()?;
        if self.lock().is_shut_down {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the connection was shut down for writing"));
        }
        let deadline = self.deadline(timeout);
        // Unsent data of an earlier write goes first. New data is taken only then, so an error means that none was
        // taken.
        self.send(deadline)?;
        let taken = self.lock().client.writer().write(bytes)?;
        match self.send(deadline) {
            // The data is encrypted and cannot be taken back, so it counts as written; the next call returns the error.
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    pub(super) fn flush(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.check_writable()?;
        self.send(self.deadline(timeout))
    }

    /// Sends close_notify, and shuts the socket down for writing.
    pub(super) fn shut_down(&self, deadline: Deadline) -> io::Result<()> {
        {
            let mut tls = self.lock();
            tls.is_shut_down = true;
            tls.client.send_close_notify();
        }
        self.send(deadline)?;
        match self.tcp.shutdown(Shutdown::Write) {
            // The server has closed it already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Shuts down for writing without waiting: close_notify is sent if there is room for it.
    pub(super) fn say_farewell(&self) {
        let mut tls = self.lock();
        if !tls.is_shut_down && !self.is_cancelled.load(Ordering::Acquire) {
            tls.is_shut_down = true;
            tls.client.send_close_notify();
            // The socket may be closed already, or have no room; nobody is there to learn of it.
            let _ = tls.send_some(&self.tcp);
            let _ = self.tcp.shutdown(Shutdown::Write);
        }
    }

    /// Reads and discards what still arrives, up to the peer's close_notify or the end. Closing a socket with unread data,
    /// even a session ticket, resets the connection (RFC 2525 section 2.17), and the reset discards data that has not
    /// reached the peer yet.
    pub(super) fn drop_what_comes(&self) {
        let deadline = Deadline::after(wait::now(), CLOSE_LIMIT);
        let mut buffer = [0; 4096];
        while !deadline.is_over(wait::now()) {
            let mut tls = self.lock();
            let received = match tls.take(&mut buffer) {
                Some(Ok(1..)) => continue,
                Some(Ok(0) | Err(_)) => return,
                None => tls.receive_some(&self.tcp),
            };
            drop(tls);
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.wait(Interest::Read, deadline).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    pub(super) fn channel_bindings(&self) -> Vec<ChannelBinding> {
        self.facts.binder.bindings(&self.lock().client)
    }

    pub(super) fn wants_write(&self) -> bool {
        self.lock().client.wants_write()
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        self.is_nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    fn is_nonblocking(&self) -> bool {
        self.is_nonblocking.load(Ordering::Relaxed)
    }

    /// The deadline of a call with this time limit; none in non-blocking mode.
    pub(super) fn deadline(&self, timeout: Option<Duration>) -> Deadline {
        match timeout {
            Some(timeout) if !self.is_nonblocking() => Deadline::after(wait::now(), timeout),
            Some(_) | None => Deadline::NEVER,
        }
    }

    /// The stream of rustls. Its socket is blocking, unless the caller waits for it.
    pub(super) fn into_stream(self) -> io::Result<(StreamOwned<ClientConnection, TcpStream>, Report)> {
        self.tcp.set_nonblocking(self.is_nonblocking())?;
        let tls = self.tls.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((StreamOwned::new(tls.client, self.tcp.into_inner()), self.facts.report))
    }

    /// Waits for the socket to become ready.
    fn wait(&self, interest: Interest, deadline: Deadline) -> io::Result<()> {
        if self.is_nonblocking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            self.check_cancelled()?;
            in_time(deadline)?;
            let mut wait = Wait::until(deadline);
            wait.add(Token::Attempt(0), &*self.tcp, interest);
            if wait.wait()?.contains(Token::Attempt(0)) {
                return self.check_cancelled();
            }
        }
    }

    /// Sends all encrypted data.
    fn send(&self, deadline: Deadline) -> io::Result<()> {
        loop {
            let sent = self.lock().send_some(&self.tcp);
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(Interest::Write, deadline)?;
                }
                result => return self.unless_cancelled(result),
            }
        }
    }

    /// The result of a call, or the error after a cancel if that may have made it fail: it can come at any moment of the call.
    fn unless_cancelled<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.check_cancelled()?;
        }
        result
    }

    /// Returns the error after a cancel, or after a fatal TLS error: nothing may be sent then.
    fn check_writable(&self) -> io::Result<()> {
        self.check_cancelled()?;
        match &self.lock().failure {
            Some(failure @ Failure::Tls(_)) => Err(failure.error()),
            Some(Failure::Socket(_)) | None => Ok(()),
        }
    }

    fn check_cancelled(&self) -> io::Result<()> {
        if self.is_cancelled.load(Ordering::Acquire) { Err(canceller::cancelled()) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, TlsState> {
        // Only rustls and system calls run under the lock. If they panic, TLS fails or goes on.
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shuts the socket down, which wakes all that wait for it.
impl Cancel for Line {
    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
        // It fails only if the connection has ended already.
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

impl TlsState {
    /// Sends as much encrypted data as the socket takes without waiting.
    fn send_some(&mut self, mut tcp: &Wire) -> io::Result<()> {
        while self.client.wants_write() {
            match self.client.write_tls(&mut tcp) {
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

    /// Reads from the socket once, and decrypts. A failure is kept until the plaintext that precedes it has been read.
    fn receive_some(&mut self, mut tcp: &Wire) -> io::Result<()> {
        match self.client.read_tls(&mut tcp) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Err(error);
            }
            Err(error) if socket::is_exhaustion(&error) => return Err(error),
            Err(error) => self.failure = Some(Failure::Socket(error)),
        }
        if let Err(error) = self.client.process_new_packets() {
            // The alert that says why; it is not essential.
            let _ = self.send_some(tcp);
            self.failure = Some(Failure::Tls(error));
        }
        Ok(())
    }

    /// Reads decrypted data; `None` when more has to be read from the socket first.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let error = match (self.client.reader().read(buffer), &self.failure) {
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
}

fn in_time(deadline: Deadline) -> io::Result<()> {
    if deadline.is_over(wait::now()) { Err(timed_out()) } else { Ok(()) }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the time limit has expired")
}
