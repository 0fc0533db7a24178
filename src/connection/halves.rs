//! The two halves of a connection: one reads, one writes, each in a thread of its own.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::Connection;
use super::line::Line;
use super::liveness::Liveness;
use crate::canceller::Canceller;
use crate::tls::{ChannelBinding, ServerCertificate};

/// The reading half of a [`Connection`], from [`Connection::split`].
///
/// Reads are those of a `Connection`, with the same errors. Dropping this half does not stop the writing half, but
/// nothing is read any more, so drop it only at the end.
pub struct ReadHalf {
    pub(super) line: Arc<Line>,
    pub(super) read_ahead: Vec<u8>,
    timeout: Option<Duration>,
}

/// The writing half of a [`Connection`], from [`Connection::split`].
///
/// Writes are those of a `Connection`, with the same errors. Dropping this half ends the sending direction: it sends
/// close_notify if there is room for it, without waiting. Use [`shutdown`](Self::shutdown) to wait. The reading half
/// can then still read what the server sends.
pub struct WriteHalf {
    line: Arc<Line>,
    timeout: Option<Duration>,
    /// Whether it is a half of its own, and not a part of a `Connection`.
    is_alone: bool,
}

impl ReadHalf {
    pub(super) fn new(line: Arc<Line>, read_ahead: Vec<u8>) -> Self {
        Self { line, read_ahead, timeout: None }
    }

    /// Sets the time limit of each read, as [`Connection::set_read_timeout`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the time limit of each read.
    #[must_use]
    pub fn read_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns a canceller for both halves, as [`Connection::canceller`].
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        canceller(&self.line)
    }

    /// Returns what this machine knows about whether the connection is still alive, as [`Connection::liveness`].
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.line.tcp.liveness()
    }

    /// Returns the channel bindings for SASL, as [`Connection::channel_bindings`].
    #[must_use]
    pub fn channel_bindings(&self) -> Vec<ChannelBinding> {
        self.line.channel_bindings()
    }

    /// Returns the server's certificate, as [`Connection::certificate`].
    #[must_use]
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        self.line.facts.certificate.as_ref()
    }

    /// Joins the halves of one connection.
    ///
    /// # Errors
    /// Returns the halves if they are of different connections.
    pub fn reunite(self, write: WriteHalf) -> Result<Connection, ReuniteError> {
        if Arc::ptr_eq(&self.line, &write.line) {
            Ok(Connection { read: self, write: write.alone(false) })
        } else {
            Err(ReuniteError { read: self, write })
        }
    }
}

impl WriteHalf {
    pub(super) fn new(line: Arc<Line>) -> Self {
        Self { line, timeout: None, is_alone: false }
    }

    /// The same half, on its own or as a part of a `Connection`.
    pub(super) fn alone(mut self, is_alone: bool) -> Self {
        self.is_alone = is_alone;
        self
    }

    /// Sets the time limit of each write and flush, as [`Connection::set_write_timeout`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a limit of zero.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout = checked(timeout)?;
        Ok(())
    }

    /// Returns the time limit of each write and flush.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Ends the sending direction, as [`Connection::shutdown`].
    ///
    /// # Errors
    /// The errors of a write.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.line.shut_down(self.line.deadline(self.timeout))
    }

    /// Returns what this machine knows about whether the connection is still alive, as [`Connection::liveness`].
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.line.tcp.liveness()
    }

    /// Returns a canceller for both halves, as [`Connection::canceller`].
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        canceller(&self.line)
    }
}

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer, &mut self.read_ahead, self.timeout)
    }
}

impl Write for WriteHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes, self.timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush(self.timeout)
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if self.is_alone {
            self.line.say_farewell();
        }
    }
}

fn canceller(line: &Arc<Line>) -> Canceller {
    Canceller::of_one(&(Arc::<Line>::clone(line) as Arc<_>))
}

fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the timeout is zero; use None for no limit"));
    }
    Ok(timeout)
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadHalf").field("peer", &self.line.facts.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WriteHalf").field("peer", &self.line.facts.peer).finish_non_exhaustive()
    }
}

/// The two halves are of different connections. From [`ReadHalf::reunite`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError {
    /// The reading half.
    pub read: ReadHalf,
    /// The writing half.
    pub write: WriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the two halves are of different connections")
    }
}

impl Error for ReuniteError {}
