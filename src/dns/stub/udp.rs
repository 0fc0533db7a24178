//! One question to one name server over UDP, on a socket of its own (RFC 5452).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::dns::message::Query;
use crate::dns::stub::schedule::Try;
use crate::settings::SocketOptions;
use crate::socket;
use crate::wait::{Interest, Token, Wait};

/// A try that waits for its answer.
#[derive(Debug)]
pub(crate) struct UdpTry {
    /// The number under which the socket is waited on.
    pub(crate) token: usize,
    /// The try.
    pub(crate) attempt: Try,
    /// What was asked.
    pub(crate) query: Query,
    /// Whether the query has left.
    pub(crate) departure: Departure,
    socket: UdpSocket,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// The system took it.
    Sent,
    /// The system had no room for it: it is lost like any datagram, and asked again when the next try is due.
    Lost,
}

impl Departure {
    fn of(result: io::Result<usize>) -> io::Result<Self> {
        match result {
            Ok(_) => Ok(Self::Sent),
            // A full queue of the network interface, on macOS and the BSDs; Linux does not report it. It passes.
            Err(error) if is_full(&error) => Ok(Self::Lost),
            Err(error) => Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

impl UdpTry {
    /// Sends `query` to `server` from a fresh socket. It is connected, so that the system chooses a port at random, drops
    /// what others send, and reports when nobody listens there.
    pub(crate) fn send(
        token: usize,
        attempt: Try,
        server: SocketAddr,
        options: &SocketOptions,
        query: Query,
    ) -> io::Result<Self> {
        let server = socket::canonical(server);
        let socket = Socket::new(Domain::for_address(server), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket::bind(&socket, &options.for_name_server(server))?;
        socket.connect(&server.into())?;
        let socket = UdpSocket::from(socket);
        let departure = Departure::of(socket.send(query.octets()))?;
        Ok(Self { token, attempt, query, departure, socket })
    }

    /// Waits for the answer.
    pub(crate) fn register<'a>(&'a self, wait: &mut Wait<'a>) {
        wait.add(Token::Lookup(self.token), &self.socket, Interest::Read);
    }

    /// The length of the next datagram, which is put into `buffer`; `None` when there is none yet.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.recv(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule D12, H3
    #[test]
    fn a_full_queue_loses_the_datagram_and_a_lack_of_descriptors_is_an_error() {
        assert_eq!(Departure::of(Ok(40)).unwrap(), Departure::Sent);
        for full in [Errno::NOBUFS.into(), io::ErrorKind::WouldBlock.into()] {
            assert_eq!(Departure::of(Err(full)).unwrap(), Departure::Lost);
        }
        for error in [Errno::MFILE, Errno::NETUNREACH, Errno::ACCESS, Errno::CONNREFUSED] {
            assert!(Departure::of(Err(error.into())).is_err(), "{error}");
        }
    }
}
