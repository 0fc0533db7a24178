//! A TCP stream that blocks until it is stopped, and that can drip or drop what is written to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::threads::Latch;

/// The server's end of a connection. Reads and writes block, and end with an error when the bench stops.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    stop: Latch,
    pace: Option<Duration>,
    allowance: Option<usize>,
}

impl Wire {
    /// Takes `stream`, which becomes non-blocking inside.
    pub(crate) fn new(stream: TcpStream, stop: &Latch) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, stop: stop.clone(), pace: None, allowance: None })
    }

    /// From here on every byte leaves alone, `pace` after the one before.
    pub(crate) fn drip(&mut self, pace: Duration) {
        self.pace = Some(pace);
    }

    /// From here on only `bytes` more leave. What is written after them is swallowed, as if the path had died.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.allowance = Some(bytes);
    }

    /// Sends FIN. Reading goes on.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends RST instead of FIN when dropped.
    pub(crate) fn reset(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stop.until_readable(&self.stream)?;
                }
                result => return result,
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match (self.allowance, self.pace) {
            (Some(0), _) => return Ok(bytes.len()),
            (_, Some(pace)) => {
                self.stop.pause(pace)?;
                1
            }
            (Some(allowance), None) => allowance,
            (None, None) => bytes.len(),
        };
        let now = bytes.get(..most).unwrap_or(bytes);
        loop {
            match self.stream.write(now) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stop.until_writable(&self.stream)?;
                }
                result => {
                    let written = result?;
                    self.allowance = self.allowance.map(|allowance| allowance.saturating_sub(written));
                    return Ok(written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
