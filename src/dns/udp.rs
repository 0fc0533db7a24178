//! One question to one name server over UDP, on a socket of its own (RFC 5452).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

use crate::dns::message::Query;
use crate::dns::schedule::Try;
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
    socket: UdpSocket,
}

impl UdpTry {
    /// Sends `query` to `server` from a fresh socket. It is connected, so that the system chooses a port at random, drops
    /// what others send, and tells when nobody listens there.
    pub(crate) fn send(token: usize, attempt: Try, server: SocketAddr, query: Query) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&server.into())?;
        let socket = UdpSocket::from(socket);
        socket.send(query.octets())?;
        Ok(Self { token, attempt, query, socket })
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
