//! Connection: the TLS stream that a connect returns, with its properties and its report.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, HandshakeKind, StreamOwned};

use crate::canceller::{Cancel, Canceller};
use crate::deadline::Deadline;
use crate::dial::attempt::Verified;
use crate::discovery::Candidate;
use crate::limits::CLOSE_LIMIT;
use crate::report::Report;
use crate::service::TlsMode;
use crate::tls::{ChannelBinding, CipherSuite, ProtocolVersion, ServerCertificate};
use crate::wait;

pub use halves::{ReadHalf, ReuniteError, WriteHalf};
pub use liveness::{Doubt, Liveness};

use line::{Facts, Line};
use wire::Wire;

mod halves;
mod line;
mod liveness;
mod wire;

/// A TLS connection to an XMPP server whose certificate is valid for the domain. Nothing has been sent over TLS yet:
/// the first thing to write is your stream header (RFC 6120 section 4.2), unless the connect has opened the stream
/// ([`OpenStream`](crate::OpenStream)).
///
/// Reads and writes block, by default without a limit; see [`set_read_timeout`](Self::set_read_timeout) and
/// [`set_write_timeout`](Self::set_write_timeout). Event loops can use [`set_nonblocking`](Self::set_nonblocking).
///
/// A read returns `Ok(0)` once the server has ended TLS with close_notify. If the connection closes without it, a read
/// fails with [`ErrorKind::UnexpectedEof`](io::ErrorKind::UnexpectedEof), since an attacker may have cut off data.
/// After the end of the XMPP stream (`</stream:stream>`) that is harmless, and some servers, such as ejabberd, always
/// do it, or reset the connection ([`ConnectionReset`](io::ErrorKind::ConnectionReset)); before, treat the connection as
/// lost.
///
/// Under TLS 1.3, the server may refuse a client certificate after the connection is established. The first read then
/// fails with [`ErrorKind::InvalidData`](io::ErrorKind::InvalidData) and the server's alert.
///
/// Dropping a connection closes the TCP connection without sending close_notify; use [`close`](Self::close) for an
/// orderly shutdown. No write raises SIGPIPE, whatever the process does with that signal.
pub struct Connection {
    read: ReadHalf,
    write: WriteHalf,
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
    pub(crate) fn new(verified: Verified, report: Report) -> Self {
        let Verified { tcp, tls, agreed, certificate, binder, session, candidate, peer, opened, quick_ack } =
            verified;
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        // rustls makes sure that we have offered it, and we offer only ASCII.
        let alpn = tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let is_stream_open = opened.is_some();
        let facts =
            Facts { agreed, binder, alpn, certificate, is_resumed, is_stream_open, candidate, peer, report };
        // What the server sent while the stream was opened shows that it has accepted the session.
        let unproved = session.filter(|_| is_resumed && !is_stream_open);
        let line = Arc::new(Line::new(Wire::new(tcp, quick_ack), tls, unproved, facts));
        let read = ReadHalf::new(Arc::clone(&line), opened.unwrap_or_default());
        Self { read, write: WriteHalf::new(line) }
    }

    /// Splits the connection into a half that reads and a half that writes, for two threads. Neither blocks the other.
    /// Timeouts and non-blocking mode stay as they are.
    ///
    /// The halves have neither the report nor the addresses of the connection, and no method for non-blocking mode: read and
    /// set these before.
    ///
    /// To end: close the XMPP stream, call [`WriteHalf::shutdown`], and read until the end. A
    /// [`canceller`](Self::canceller) wakes both threads at once.
    ///
    /// ```no_run
    /// use std::io::{Read, Write};
    ///
    /// # let connection = xmpp_connect::connect("example.org")?;
    /// let (mut read, mut write) = connection.split();
    /// let reader = std::thread::spawn(move || -> std::io::Result<()> {
    ///     let mut buffer = [0; 4096];
    ///     loop {
    ///         match read.read(&mut buffer)? {
    ///             0 => break Ok(()),
    ///             length => println!("{}", String::from_utf8_lossy(&buffer[..length])),
    ///         }
    ///     }
    /// });
    /// write.write_all(b"<presence/>")?;
    /// write.write_all(b"</stream:stream>")?;
    /// write.shutdown()?;
    /// // After `</stream:stream>`, an error of a read is harmless.
    /// let _ = reader.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let Self { read, write } = self;
        (read, write.alone(true))
    }

    fn line(&self) -> &Arc<Line> {
        &self.read.line
    }

    fn facts(&self) -> &Facts {
        &self.line().facts
    }

    /// Returns the candidate that this connection was made to.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.facts().candidate
    }

    /// Returns the server's address, or that of the proxy if the connection goes through one.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.facts().peer
    }

    /// Returns the local address of the socket.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.line().tcp.local_addr()
    }

    /// Returns whether this connection uses direct TLS or STARTTLS.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        self.facts().candidate.tls()
    }

    /// Returns the negotiated TLS version.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.facts().agreed.version
    }

    /// Returns the negotiated cipher suite.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.facts().agreed.suite
    }

    /// Returns the ALPN protocol that the server has selected, if any (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&str> {
        self.facts().alpn.as_deref()
    }

    /// Returns the server's certificate; that of the original handshake if a session is resumed. It is `None` if the
    /// server has shown none, which only a verifier of a given [`ClientConfig`](rustls::ClientConfig) accepts.
    #[must_use]
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        self.read.certificate()
    }

    /// Returns the channel bindings for SASL, the strongest first. Use the first one that the server supports
    /// (XEP-0440); if there is none, use a mechanism without `-PLUS`.
    ///
    /// - `tls-exporter` (RFC 9266): with TLS 1.3, and with TLS 1.2 if a [`ClientConfig`](rustls::ClientConfig) with
    ///   `require_ems` is set.
    /// - `tls-server-end-point` (RFC 5929 section 4): if the server's certificate is signed with a single hash function
    ///   that is SHA-256, SHA-384 or SHA-512, or MD5 or SHA-1, which count as SHA-256. There is none for Ed25519.
    ///   SHA-512 needs feature `ring` or `aws-lc-rs`.
    ///
    /// `tls-unique` is never among them: TLS 1.3 does not define it. Resumed sessions have channel bindings too. After
    /// a fatal TLS error there is no `tls-exporter` any more. Call this before [`into_parts`](Self::into_parts).
    ///
    /// ```no_run
    /// # let (connection, offered) = (xmpp_connect::connect("example.org")?, vec!["tls-exporter".to_owned()]);
    /// // The types in the server's <sasl-channel-binding/>.
    /// let mut bindings = connection.channel_bindings().into_iter();
    /// if let Some(binding) = bindings.find(|binding| offered.iter().any(|name| name == binding.name())) {
    ///     let gs2_header = format!("p={},,", binding.name());
    ///     let channel_binding_input = [gs2_header.as_bytes(), binding.data()].concat();
    /// }
    /// # Ok::<(), xmpp_connect::Error>(())
    /// ```
    #[must_use]
    pub fn channel_bindings(&self) -> Vec<ChannelBinding> {
        self.read.channel_bindings()
    }

    /// Returns whether this connection resumes the TLS session of an earlier one of the same connector.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.facts().is_resumed
    }

    /// Returns whether the connect has opened the XMPP stream ([`OpenStream`](crate::OpenStream)). If so, the first
    /// read returns the server's stream header. If not, your stream header is the first thing to write.
    #[must_use]
    pub fn is_stream_open(&self) -> bool {
        self.facts().is_stream_open
    }

    /// Returns the report of the connect: its lookups, candidates and attempts.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.facts().report
    }

    /// Sets the time limit of each read. The default is `None`, no limit.
    ///
    /// A read that has produced no data within the limit fails with [`ErrorKind::TimedOut`](io::ErrorKind::TimedOut),
    /// even if part of a TLS record has arrived; the connection can still be used. Data that has already arrived is
    /// returned, however short the limit.
    ///
    /// To limit several reads together, such as those of the stream features, set what is left before each of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for a limit of zero.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read.set_read_timeout(timeout)
    }

    /// Returns the time limit of each read.
    #[must_use]
    pub fn read_timeout(&self) -> Option<Duration> {
        self.read.read_timeout()
    }

    /// Sets the time limit of each write and flush. The default is `None`, no limit.
    ///
    /// Data that has been encrypted when the limit expires counts as written; the next write or flush sends it first.
    /// If that does not succeed within its limit, it fails with [`ErrorKind::TimedOut`](io::ErrorKind::TimedOut) and
    /// takes no data.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for a limit of zero.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write.set_write_timeout(timeout)
    }

    /// Returns the time limit of each write and flush.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Duration> {
        self.write.write_timeout()
    }

    /// Makes reads and writes return [`ErrorKind::WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting, for use
    /// in an event loop. The timeouts then have no effect. The default is false.
    ///
    /// Read until [`ErrorKind::WouldBlock`](io::ErrorKind::WouldBlock) before waiting for the socket: data that is
    /// already decrypted does not make it readable. While [`wants_write`](Self::wants_write) returns true, also wait
    /// for the socket to become writable, and then call `flush`: a write may have taken data that is not sent yet, and
    /// a read may cause TLS to send.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.line().set_nonblocking(nonblocking);
    }

    /// Returns a canceller for the reads and writes of this connection. After a cancel, each of them fails with an
    /// [`io::Error`] of kind [`Other`](io::ErrorKind::Other) that wraps an [`Error`](crate::Error) of kind
    /// [`Cancelled`](crate::ErrorKind::Cancelled), and the socket is shut down, which wakes event loops. It has no
    /// effect on the stream of [`into_parts`](Self::into_parts).
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::of_one(&self.cancel())
    }

    /// What a canceller of this connection cancels.
    pub(crate) fn cancel(&self) -> Arc<dyn Cancel> {
        Arc::<Line>::clone(self.line())
    }

    /// Returns what this machine knows about whether the connection is still alive; [`Liveness::doubt`] is the
    /// conclusion. It sends nothing and does not wait: it takes a few system calls.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.line().tcp.liveness()
    }

    /// Returns whether encrypted data is waiting to be sent; for use in an event loop.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.line().wants_write()
    }

    /// Ends the sending direction: sends close_notify (RFC 8446 section 6.1), so that the server knows that nothing was
    /// cut off, and shuts down the TCP connection for writing. Data that the server still sends can be read. Close the
    /// XMPP stream first (RFC 6120 section 4.4).
    ///
    /// In non-blocking mode it may fail with [`ErrorKind::WouldBlock`](io::ErrorKind::WouldBlock): call it again when
    /// the socket is writable. Later writes fail with [`ErrorKind::BrokenPipe`](io::ErrorKind::BrokenPipe).
    ///
    /// # Errors
    /// The errors of a write.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.write.shutdown()
    }

    /// Closes the connection in an orderly way: as [`shutdown`](Self::shutdown), for at most one second, and then waits
    /// at most one second for the server's close_notify or the end. In non-blocking mode it does not wait.
    ///
    /// # Errors
    /// The errors of a write. The connection is closed anyway.
    pub fn close(self) -> io::Result<()> {
        let farewell = Deadline::after(wait::now(), CLOSE_LIMIT);
        let line = self.line();
        line.shut_down(line.deadline(self.write_timeout()).min(farewell))?;
        line.drop_what_comes();
        Ok(())
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
        let Self { read: ReadHalf { mut line, read_ahead, .. }, write } = self;
        drop(write);
        // A canceller holds the line for the moment of its call.
        let line = loop {
            match Arc::try_unwrap(line) {
                Ok(line) => break line,
                Err(shared) => line = shared,
            }
            std::thread::yield_now();
        };
        let (stream, report) = line.into_stream()?;
        Ok(Parts { stream, read_ahead, report })
    }
}

/// Returns `Ok(0)` after the server's close_notify. Without it, the end of the connection is
/// [`ErrorKind::UnexpectedEof`](io::ErrorKind::UnexpectedEof), which is harmless only after the end of the XMPP stream
/// (`</stream:stream>`).
///
/// A fatal TLS error, which includes an alert of the server, is [`ErrorKind::InvalidData`](io::ErrorKind::InvalidData).
/// Fatal errors, resets and `UnexpectedEof` are final: every later read returns the same error.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read.read(buffer)
    }
}

/// After a fatal TLS error, every write returns that error.
impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write.flush()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Connection {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.line().tcp.as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Connection {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.line().tcp.as_raw_fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsRawSocket for Connection {
    fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
        self.line().tcp.as_raw_socket()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Connection {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.line().tcp.as_socket()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("candidate", self.candidate())
            .field("peer", &self.peer_addr())
            .field("protocol_version", &self.protocol_version())
            .finish_non_exhaustive()
    }
}
