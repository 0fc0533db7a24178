//! How an attempt gets its socket: directly, from a proxy, or from the caller.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::hook::DialHook;
use super::{AttemptError, Destination};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::proxy::Gateway;
use crate::settings::{Settings, SocketOptions};
use crate::socket;

/// The way that all attempts of one connect go.
#[derive(Clone, Debug)]
pub(crate) enum Way<'a> {
    Direct,
    Proxy(Gateway),
    /// The caller's function opens the sockets, until then at the latest.
    Hook(&'a DialHook, Deadline),
}

/// A socket that is being connected.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) tcp: TcpStream,
    /// If it goes to a proxy: at which address, and the how many-th one that is.
    pub(super) proxy: Option<(SocketAddr, usize)>,
}

impl Way<'_> {
    /// Opens a socket and starts to connect.
    ///
    /// # Errors
    /// What the operating system, or the caller's function, says at once.
    pub(super) fn open(
        &self,
        candidate: &Candidate,
        destination: &Destination,
        settings: &Settings,
        now: Instant,
    ) -> Result<Opened, AttemptError> {
        let options = &settings.socket;
        let tcp = match (self, destination) {
            (Self::Proxy(gateway), _) => return open_to_proxy(gateway, 1, options),
            (Self::Direct, Destination::Address(address)) => socket::connect(*address, options),
            // Only a proxy or the caller can look it up.
            (Self::Direct, Destination::Name(..)) => Err(io::ErrorKind::Unsupported.into()),
            (Self::Hook(hook, until), destination) => {
                let deadline = Deadline::after(now, settings.limits.tcp).min(*until);
                hook.dial(candidate, destination, deadline.at())
                    .and_then(|tcp| adopt(connected(tcp)?, options))
            }
        };
        Ok(Opened { tcp: tcp.map_err(AttemptError::io)?, proxy: None })
    }

    /// Opens another socket after the connection to a proxy has failed at `address`, which was the `count`-th, if the proxy
    /// has more addresses.
    ///
    /// # Errors
    /// The failure, or that of the last address.
    pub(super) fn open_after(
        &self,
        error: io::Error,
        (address, count): (SocketAddr, usize),
        options: &SocketOptions,
    ) -> Result<Opened, AttemptError> {
        match self {
            Self::Proxy(gateway) => {
                gateway.give_up(address);
                if count < gateway.count() && !socket::is_exhaustion(&error) {
                    open_to_proxy(gateway, count + 1, options)
                } else {
                    Err(AttemptError::proxy_io(gateway.proxy(), error))
                }
            }
            Self::Direct | Self::Hook(..) => Err(AttemptError::io(error)),
        }
    }
}

fn open_to_proxy(gateway: &Gateway, count: usize, options: &SocketOptions) -> Result<Opened, AttemptError> {
    let mut count = count;
    loop {
        let (address, connecting) = gateway.connect(|address| socket::connect(address, options));
        match connecting {
            Ok(tcp) => return Ok(Opened { tcp, proxy: Some((address, count)) }),
            Err(error) if count < gateway.count() && !socket::is_exhaustion(&error) => {
                gateway.give_up(address);
                count += 1;
            }
            Err(error) => return Err(AttemptError::proxy_io(gateway.proxy(), error)),
        }
    }
}

/// The stream, if it is connected. One that is not would look ready all the time.
fn connected(tcp: TcpStream) -> io::Result<TcpStream> {
    match socket::connected(&tcp)? {
        Some(_) => Ok(tcp),
        None => Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "the function of `dial` returned a stream that is not connected",
        )),
    }
}

/// Takes over a stream that the caller has connected.
pub(super) fn adopt(tcp: TcpStream, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = socket2::Socket::from(tcp);
    socket.set_nonblocking(true)?;
    socket::prepare(&socket, options)?;
    Ok(socket.into())
}
