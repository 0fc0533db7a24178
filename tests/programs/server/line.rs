//! The TLS connection of one session, to which other sessions can write too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::{ServerConfig, ServerConnection};

use crate::support::{Latch, Wire};

pub(crate) struct Line {
    tls: Mutex<(Wire, ServerConnection)>,
    /// The same socket, to wait for without the lock.
    socket: TcpStream,
    stop: Latch,
}

impl Line {
    /// Takes the handshake.
    pub(super) fn accept(socket: TcpStream, config: Arc<ServerConfig>, stop: &Latch) -> io::Result<Self> {
        let mut wire = Wire::new(socket.try_clone()?, stop)?;
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut wire)?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut wire)?;
        }
        Ok(Self { tls: Mutex::new((wire, tls)), socket, stop: stop.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, (Wire, ServerConnection)> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// RFC 9266.
    pub(super) fn exporter(&self) -> [u8; 32] {
        self.lock().1.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap()
    }

    /// Reads what has arrived; an error at the end.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut data = vec![0; 16_384];
        loop {
            {
                let (wire, tls) = &mut *self.lock();
                match tls.reader().read(&mut data) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(length) => {
                        data.truncate(length);
                        return Ok(data);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                if is_readable(&self.socket) {
                    if tls.read_tls(wire)? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    tls.process_new_packets().map_err(io::Error::other)?;
                    continue;
                }
            }
            self.stop.until_readable(&self.socket)?;
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let (wire, tls) = &mut *self.lock();
        rustls::Stream::new(tls, wire).write_all(bytes)
    }

    /// Sends close_notify.
    pub(crate) fn close(&self) {
        let (wire, tls) = &mut *self.lock();
        tls.send_close_notify();
        while tls.wants_write() && tls.write_tls(wire).is_ok() {}
        // The peer may be gone.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }
}

/// Whether a read would not wait.
fn is_readable(socket: &TcpStream) -> bool {
    socket.peek(&mut [0]).map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |_| true)
}
