//! A tunnel that is being opened, on its socket; and where the proxy is. Decides nothing.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ProxyError;
use super::negotiation::Negotiation;
use super::{Code, Progress, Proxy};
use crate::domain::Host;

/// How many bytes of a proxy's answer are looked at in one go. Most answers are shorter.
const PIECE: usize = 1024;

/// A proxy whose addresses are known. There is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    proxy: Proxy,
    first: SocketAddr,
    others: Arc<[SocketAddr]>,
    /// Which address is in use. Shared, so that one failure is enough for all connections.
    in_use: Arc<AtomicUsize>,
    /// A connection to the first address that nobody uses yet.
    unused: Arc<Mutex<Option<TcpStream>>>,
}

impl Gateway {
    /// With a connection to the first address, if there is one already. `None` without addresses.
    pub(crate) fn new(proxy: Proxy, addresses: &[SocketAddr], unused: Option<TcpStream>) -> Option<Self> {
        let (first, others) = addresses.split_first()?;
        let unused = Arc::new(Mutex::new(unused));
        Some(Self { proxy, first: *first, others: others.into(), in_use: Arc::default(), unused })
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Connects to the address in use: with the connection that there is already, or `connect`.
    pub(crate) fn connect(
        &self,
        connect: impl FnOnce(SocketAddr) -> io::Result<TcpStream>,
    ) -> (SocketAddr, io::Result<TcpStream>) {
        let address = self.address();
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = if address == self.first { unused.take() } else { None };
        // A proxy that was asked for nothing may have closed it. None speaks first.
        let is_open =
            |tcp: &TcpStream| tcp.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        (address, unused.filter(is_open).map_or_else(|| connect(address), Ok))
    }

    /// The address in use.
    pub(crate) fn address(&self) -> SocketAddr {
        let at = self.in_use.load(Ordering::Relaxed) % self.count();
        at.checked_sub(1).and_then(|at| self.others.get(at)).copied().unwrap_or(self.first)
    }

    /// Notes that the connection to that address has failed: the next one is used from now on, unless that is so already.
    pub(crate) fn give_up(&self, address: SocketAddr) {
        if self.address() == address {
            self.in_use.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many addresses there are.
    pub(crate) fn count(&self) -> usize {
        self.others.len() + 1
    }
}

/// A tunnel that is being opened.
pub(crate) struct Tunnel {
    code: Code,
    negotiation: Negotiation,
    unsent: Vec<u8>,
}

/// Why a tunnel could not be opened.
#[derive(Debug)]
pub(crate) enum TunnelError {
    Io(io::Error),
    Proxy(ProxyError),
}

/// Without what is to be sent, which may have the password.
impl fmt::Debug for Tunnel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tunnel").field("negotiation", &self.negotiation).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// A tunnel through `proxy` to `port` of `host`.
    pub(crate) fn new(proxy: &Proxy, host: &Host, port: u16) -> Self {
        (proxy.code.begin)(proxy, host, port)
    }

    /// Whether something waits to be sent.
    pub(crate) fn wants_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Goes on as far as possible without waiting.
    ///
    /// The answers are looked at before they are taken from the socket, so that nothing of what follows them, which
    /// belongs to the tunnel, is ever taken.
    pub(crate) fn turn(&mut self, tcp: &TcpStream) -> Result<Progress, TunnelError> {
        (self.code.turn)(self, tcp)
    }

    fn advance(&mut self, mut tcp: &TcpStream) -> Result<Progress, TunnelError> {
        loop {
            // An error of sending counts only if the proxy has not sent the reason before it closed.
            let not_sent = self.send(tcp).err();
            let mut buffer = [0; PIECE];
            let seen = match tcp.peek(&mut buffer) {
                Ok(0) => return Err(TunnelError::Proxy(self.negotiation.handle_end())),
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return not_sent.map_or(Ok(Progress::More), |error| Err(TunnelError::Io(error)));
                }
                Err(error) => return Err(TunnelError::Io(not_sent.unwrap_or(error))),
            };
            let mut rest = seen;
            let progress = self.negotiation.handle_bytes(&mut rest).map_err(TunnelError::Proxy)?;
            let taken = seen.len() - rest.len();
            tcp.read_exact(buffer.get_mut(..taken).unwrap_or_default()).map_err(TunnelError::Io)?;
            self.unsent.extend(self.negotiation.output());
            match progress {
                Progress::More => {}
                Progress::Complete if self.unsent.is_empty() => return Ok(progress),
                Progress::Complete => return Err(TunnelError::Proxy(ProxyError::Early)),
            }
        }
    }

    /// Sends as much as the socket takes.
    fn send(&mut self, mut tcp: &TcpStream) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match tcp.write(&self.unsent) {
                Ok(0) => break,
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(super) fn begin(proxy: &Proxy, host: &Host, port: u16) -> Tunnel {
    let mut negotiation = Negotiation::new(proxy, host, port);
    let unsent = negotiation.output();
    Tunnel { code: proxy.code, negotiation, unsent }
}

pub(super) fn turn(tunnel: &mut Tunnel, tcp: &TcpStream) -> Result<Progress, TunnelError> {
    tunnel.advance(tcp)
}
