//! Connection: the secured stream that is handed over, with its facts and its report.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, HandshakeKind, StreamOwned};

use crate::deadline::Deadline;
use crate::dial::attempt::Verified;
use crate::discovery::Candidate;
use crate::limits::CLOSE_LIMIT;
use crate::report::Report;
use crate::service::TlsMode;
use crate::tls::{Agreed, CipherSuite, ProtocolVersion, Session};
use crate::wait::{self, Interest};

use transfer::Failure;

mod transfer;

/// A secured connection to an XMPP server of the domain that was asked for. Nothing has been sent over TLS yet: the
/// caller's stream header comes first (RFC 6120 section 4.2).
///
/// Reads and writes block, up to [`set_read_timeout`](Self::set_read_timeout) and
/// [`set_write_timeout`](Self::set_write_timeout).
///
/// Dropping it closes the TCP connection without a word; [`close`](Self::close) says goodbye in TLS first. No write raises
/// SIGPIPE, whatever the process does with that signal.
pub struct Connection {
    /// The socket never blocks by itself: a blocking write would go on beyond its limit, since a socket that is ready for
    /// some bytes is not ready for all. Who blocks is `Self::wait`.
    stream: StreamOwned<ClientConnection, TcpStream>,
    read_ahead: Vec<u8>,
    mode: Mode,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// Why nothing more can be read.
    failure: Option<Failure>,
    /// The session that was resumed, until the server has shown by its first bytes that it has taken it: under TLS 1.3 it
    /// says no after our handshake is complete.
    unproved: Option<Arc<Session>>,
    /// Whether close_notify was sent, or is about to be.
    is_shut_down: bool,
    agreed: Agreed,
    candidate: Candidate,
    peer: SocketAddr,
    report: Report,
}

/// Who waits for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Reads and writes do.
    Blocking,
    /// The caller's own loop does.
    Nonblocking,
}

/// What a [`Connection`] is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The TLS stream, over a socket that blocks (unless it was set not to).
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    /// What was read over TLS already and comes before anything that is read from `stream`.
    pub read_ahead: Vec<u8>,
    /// The report.
    pub report: Report,
}

impl Connection {
    pub(crate) fn new(verified: Verified, report: Report) -> Self {
        let Verified { tcp, tls, agreed, session, candidate, peer } = verified;
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        Self {
            stream: StreamOwned::new(tls, tcp),
            read_ahead: Vec::new(),
            mode: Mode::Blocking,
            read_timeout: None,
            write_timeout: None,
            failure: None,
            unproved: session.filter(|_| is_resumed),
            is_shut_down: false,
            agreed,
            candidate,
            peer,
            report,
        }
    }

    /// Returns the candidate whose server this is.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the local address of the socket.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.sock.local_addr()
    }

    /// Returns how TLS began: direct TLS or STARTTLS.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        self.candidate.tls()
    }

    /// Returns the negotiated version of TLS.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.agreed.version
    }

    /// Returns the negotiated cipher suite.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.agreed.suite
    }

    /// Returns the ALPN protocol that the server selected, if it selected one (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&str> {
        // It is one that we have offered, and those are ASCII.
        self.stream.conn.alpn_protocol().and_then(|name| std::str::from_utf8(name).ok())
    }

    /// Returns the certificates that the server sent, its own first. A resumed session has those of the first handshake.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.stream.conn.peer_certificates().unwrap_or_default()
    }

    /// Returns whether the TLS session was resumed from an earlier one of the same connector.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Returns what happened until the connection was established.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Sets the limit of each read. A read that has produced no data within it fails with [`ErrorKind::TimedOut`], even if
    /// part of a TLS record has arrived. Data that has arrived is returned, however short the limit is. `None`, the default,
    /// is no limit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the limit of each read.
    #[must_use]
    pub fn read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    /// Sets the limit of each write and flush. Data that is encrypted when the limit is over counts as written; the next
    /// write or flush sends it. `None`, the default, is no limit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the limit of each write.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    /// Makes reads and writes give [`ErrorKind::WouldBlock`] instead of waiting, for callers with a loop of their own; the
    /// timeouts have no effect then.
    ///
    /// Read until [`ErrorKind::WouldBlock`] before waiting for the socket: bytes that are decrypted already do not make it
    /// readable. TLS may have to send when the caller reads, and what a write has taken may not have left: while
    /// [`wants_write`](Self::wants_write), wait for the socket to be writable too and call `flush`.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.mode = if nonblocking { Mode::Nonblocking } else { Mode::Blocking };
    }

    /// Whether encrypted bytes wait to be sent; for callers with a loop of their own.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.stream.conn.wants_write()
    }

    /// Ends the sending direction: sends close_notify (RFC 8446 section 6.1), so that the server knows that nothing was cut
    /// off, and shuts down the TCP connection for writing. What the server still sends can be read. End the XMPP stream first
    /// (RFC 6120 section 4.4).
    ///
    /// After [`set_nonblocking`](Self::set_nonblocking) it can fail with [`ErrorKind::WouldBlock`]: call it again when the
    /// socket is writable. A write after it fails with [`ErrorKind::BrokenPipe`].
    ///
    /// # Errors
    /// What a write gives.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.shut_down(self.deadline(self.write_timeout))
    }

    /// Closes the connection in order: as [`shutdown`](Self::shutdown), and waits for the server to close it too, for one
    /// second each at most; not at all after [`set_nonblocking`](Self::set_nonblocking).
    ///
    /// # Errors
    /// What a write gives. The connection is closed all the same.
    pub fn close(mut self) -> io::Result<()> {
        let farewell = Deadline::after(wait::now(), CLOSE_LIMIT);
        self.shut_down(self.deadline(self.write_timeout).min(farewell))?;
        self.drop_what_comes();
        Ok(())
    }

    fn shut_down(&mut self, deadline: Deadline) -> io::Result<()> {
        self.is_shut_down = true;
        self.stream.conn.send_close_notify();
        self.send(deadline)?;
        match self.stream.sock.shutdown(std::net::Shutdown::Write) {
            // The server was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Gives the stream, what had been read ahead, and the report. The socket blocks, unless
    /// [`set_nonblocking`](Self::set_nonblocking) was called; the timeouts do not go with it.
    ///
    /// From here on the caller writes: on Linux and other systems without `SO_NOSIGPIPE` a write of the stream to a connection
    /// that the server has closed raises SIGPIPE, since rustls writes vectored and std makes `writev` of that. Rust programs
    /// ignore this signal, unless they have changed that or are libraries in a program of another language.
    ///
    /// # Errors
    /// What the operating system says when the socket is made to block.
    pub fn into_parts(self) -> io::Result<Parts> {
        self.stream.sock.set_nonblocking(self.mode == Mode::Nonblocking)?;
        Ok(Parts { stream: self.stream, read_ahead: self.read_ahead, report: self.report })
    }

    /// Reads what still comes, for nobody. A socket that is closed with something unread, be it a session ticket, is reset
    /// (RFC 2525 section 2.17), and with the reset is lost what has not reached the far end yet.
    fn drop_what_comes(&mut self) {
        let deadline = Deadline::after(wait::now(), CLOSE_LIMIT);
        let mut buffer = [0; 4096];
        while !deadline.is_over(wait::now()) {
            match self.stream.sock.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
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
}

fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of zero"));
    }
    Ok(timeout)
}

#[cfg(unix)]
impl std::os::fd::AsFd for Connection {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.sock.as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Connection {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.stream.sock.as_raw_fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsRawSocket for Connection {
    fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
        self.stream.sock.as_raw_socket()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Connection {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.stream.sock.as_socket()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("candidate", &self.candidate)
            .field("peer", &self.peer)
            .field("protocol_version", &self.protocol_version())
            .finish_non_exhaustive()
    }
}
