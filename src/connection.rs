//! Connection: the TLS stream that a connect returns, with its properties and its report.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, HandshakeKind, StreamOwned};

use crate::canceller::Canceller;
use crate::deadline::Deadline;
use crate::dial::attempt::Verified;
use crate::discovery::Candidate;
use crate::limits::CLOSE_LIMIT;
use crate::report::Report;
use crate::service::TlsMode;
use crate::tls::{Agreed, CipherSuite, ProtocolVersion, Session};
use crate::wait::{self, Flag, Interest};

use transfer::Failure;

mod transfer;

/// A TLS connection to an XMPP server whose certificate is valid for the domain. Nothing has been sent over TLS yet:
/// the first thing to write is your stream header (RFC 6120 section 4.2).
///
/// Reads and writes block, by default without a limit; see [`set_read_timeout`](Self::set_read_timeout) and
/// [`set_write_timeout`](Self::set_write_timeout). Event loops can use [`set_nonblocking`](Self::set_nonblocking).
///
/// A read returns `Ok(0)` once the server has ended TLS with close_notify. If the connection closes without it, a read
/// fails with [`ErrorKind::UnexpectedEof`], since an attacker may have cut off data. After the end of the XMPP stream
/// (`</stream:stream>`) that is harmless, and some servers, such as ejabberd, always do it; before, treat the
/// connection as lost.
///
/// Under TLS 1.3, the server may refuse a client certificate after the connection is established. The first read then
/// fails with [`ErrorKind::InvalidData`] and the server's alert.
///
/// Dropping a connection closes the TCP connection without sending close_notify; use [`close`](Self::close) for an
/// orderly shutdown. No write raises SIGPIPE, whatever the process does with that signal.
pub struct Connection {
    /// The socket itself is always non-blocking, and `Self::wait` blocks. A blocking write could exceed its limit,
    /// since a socket that is ready for some bytes may not take all of them.
    stream: StreamOwned<ClientConnection, TcpStream>,
    read_ahead: Vec<u8>,
    mode: Mode,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// Why nothing more can be read.
    failure: Option<Failure>,
    /// The session that was resumed, until the server's first bytes show that it has accepted it: under TLS 1.3 it may
    /// refuse after our handshake is complete.
    unproved: Option<Arc<Session>>,
    /// Whether close_notify has been sent or is about to be.
    is_shut_down: bool,
    /// Raised when the caller cancels: the attempts that returned it, and the connection itself.
    cancelled: [Option<Arc<Flag>>; 2],
    agreed: Agreed,
    candidate: Candidate,
    peer: SocketAddr,
    report: Report,
}

/// Who waits for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Reads and writes.
    Blocking,
    /// The caller's event loop.
    Nonblocking,
}

/// The parts of a [`Connection`], from [`Connection::into_parts`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The TLS stream. Its socket is blocking, unless [`Connection::set_nonblocking`] was called.
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    /// Data that has already been read over TLS. It precedes everything that is read from `stream`.
    pub read_ahead: Vec<u8>,
    /// The report of the connect.
    pub report: Report,
}

impl Connection {
    pub(crate) fn new(verified: Verified, report: Report, cancelled: Option<Arc<Flag>>) -> Self {
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
            cancelled: [cancelled, None],
            agreed,
            candidate,
            peer,
            report,
        }
    }

    /// Returns the candidate that this connection was made to.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Returns the server's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the local address of the socket.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.sock.local_addr()
    }

    /// Returns whether this connection uses direct TLS or STARTTLS.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        self.candidate.tls()
    }

    /// Returns the negotiated TLS version.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.agreed.version
    }

    /// Returns the negotiated cipher suite.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.agreed.suite
    }

    /// Returns the ALPN protocol that the server has selected, if any (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&str> {
        // rustls makes sure that we have offered it, and we offer only ASCII.
        self.stream.conn.alpn_protocol().and_then(|name| std::str::from_utf8(name).ok())
    }

    /// Returns the certificates that the server has sent, its own first. A resumed session has those of the original
    /// handshake.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.stream.conn.peer_certificates().unwrap_or_default()
    }

    /// Returns whether this connection resumes the TLS session of an earlier one of the same connector.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Returns the report of the connect: its lookups, candidates and attempts.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Sets the time limit of each read. The default is `None`, no limit.
    ///
    /// A read that has produced no data within the limit fails with [`ErrorKind::TimedOut`], even if part of a TLS
    /// record has arrived; the connection can still be used. Data that has already arrived is returned, however short
    /// the limit.
    ///
    /// To limit several reads together, such as those of the stream features, set what is left before each of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the time limit of each read.
    #[must_use]
    pub fn read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    /// Sets the time limit of each write and flush. The default is `None`, no limit.
    ///
    /// Data that has been encrypted when the limit expires counts as written; the next write or flush sends it first.
    /// If that does not succeed within its limit, it fails with [`ErrorKind::TimedOut`] and takes no data.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the time limit of each write and flush.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    /// Makes reads and writes return [`ErrorKind::WouldBlock`] instead of waiting, for use in an event loop. The
    /// timeouts then have no effect. The default is false.
    ///
    /// Read until [`ErrorKind::WouldBlock`] before waiting for the socket: data that is already decrypted does not make
    /// it readable. While [`wants_write`](Self::wants_write) returns true, also wait for the socket to become writable,
    /// and then call `flush`: a write may have taken data that is not sent yet, and a read may cause TLS to send.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.mode = if nonblocking { Mode::Nonblocking } else { Mode::Blocking };
    }

    /// Returns a canceller for the reads and writes of this connection. After it was used, each of them fails with an error
    /// that holds an [`Error`](crate::Error) of kind [`Cancelled`](crate::ErrorKind::Cancelled), also in non-blocking mode,
    /// where it wakes no event loop. It does not apply to the stream of [`into_parts`](Self::into_parts).
    ///
    /// # Errors
    /// Errors of the operating system when it opens the two sockets that a canceller needs.
    pub fn canceller(&mut self) -> io::Result<Canceller> {
        let [_, own] = &mut self.cancelled;
        let flag = match own.take() {
            Some(flag) => flag,
            None => Arc::new(Flag::new()?),
        };
        Ok(Canceller::of(own.insert(flag)))
    }

    /// Returns whether encrypted data is waiting to be sent; for use in an event loop.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.stream.conn.wants_write()
    }

    /// Ends the sending direction: sends close_notify (RFC 8446 section 6.1), so that the server knows that nothing was
    /// cut off, and shuts down the TCP connection for writing. Data that the server still sends can be read. Close the
    /// XMPP stream first (RFC 6120 section 4.4).
    ///
    /// In non-blocking mode it may fail with [`ErrorKind::WouldBlock`]: call it again when the socket is writable.
    /// Later writes fail with [`ErrorKind::BrokenPipe`].
    ///
    /// # Errors
    /// The errors of a write.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.shut_down(self.deadline(self.write_timeout))
    }

    /// Closes the connection in an orderly way: as [`shutdown`](Self::shutdown), for at most one second, and then waits
    /// at most one second for the server to close it too. In non-blocking mode it does not wait.
    ///
    /// # Errors
    /// The errors of a write. The connection is closed anyway.
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
            // The server has closed it already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Returns the TLS stream, the data that has been read ahead, and the report. The socket is blocking, unless
    /// [`set_nonblocking`](Self::set_nonblocking) was called. The timeouts do not apply to the stream.
    ///
    /// On Linux and other systems without `SO_NOSIGPIPE`, writing to the stream raises SIGPIPE if the server has closed
    /// the connection, since rustls uses vectored writes and std implements those with `writev`. Rust programs ignore
    /// this signal by default; a library in a program of another language cannot rely on that.
    ///
    /// # Errors
    /// Errors of the operating system when the socket is made blocking.
    pub fn into_parts(self) -> io::Result<Parts> {
        self.stream.sock.set_nonblocking(self.mode == Mode::Nonblocking)?;
        Ok(Parts { stream: self.stream, read_ahead: self.read_ahead, report: self.report })
    }

    /// Reads and discards what still arrives. Closing a socket with unread data, even a session ticket, resets the
    /// connection (RFC 2525 section 2.17), and the reset discards data that has not reached the peer yet.
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
        return Err(io::Error::new(ErrorKind::InvalidInput, "the timeout is zero; use None for no limit"));
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
