//! The relay's TCP half: a front for one server, and a link for each connection that passes through it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use rustix::fd::{AsFd, BorrowedFd};

use super::super::threads::{Latch, PATIENCE, Stopped};
use super::Crossing;

/// The front of one TCP server.
#[derive(Debug)]
pub(super) struct TcpFront {
    front: TcpListener,
    server: SocketAddr,
}

impl TcpFront {
    pub(super) fn new(front: TcpListener, server: SocketAddr) -> Self {
        front.set_nonblocking(true).expect("a socket becomes non-blocking");
        Self { front, server }
    }

    pub(super) fn sockets<'a>(&'a self, sockets: &mut Vec<BorrowedFd<'a>>) {
        sockets.push(self.front.as_fd());
    }

    pub(super) fn accept(&self, links: &mut Vec<Link>) {
        while let Ok((stream, _)) = self.front.accept() {
            links.push(Link { address: self.server, client: Side::new(stream), server: Server::Unconnected });
        }
    }
}

/// One connection: the client's socket at the front, and the relay's own to the server.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddr,
    client: Side,
    server: Server,
}

#[derive(Debug)]
enum Server {
    /// The connect has not crossed yet.
    Unconnected,
    Connected(Side),
    /// The connect has crossed and was refused; the client hears of it in this turn's step 4.
    Refused,
}

/// One of the two sockets, and what was read from it and has not crossed yet.
#[derive(Debug)]
struct Side {
    stream: TcpStream,
    held: Vec<u8>,
    end: End,
}

/// How far the end of the stream that is read from a side has come.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Read, and not crossed yet.
    Held,
    Crossed,
}

impl Link {
    pub(super) fn sockets<'a>(&'a self, sockets: &mut Vec<BorrowedFd<'a>>) {
        let server = self.server_side();
        let open = [Some(&self.client), server].into_iter().flatten().filter(|side| side.end == End::Open);
        sockets.extend(open.map(|side| side.stream.as_fd()));
    }

    pub(super) fn receive(&mut self) {
        self.client.receive();
        if let Server::Connected(server) = &mut self.server {
            server.receive();
        }
    }

    pub(super) fn holds_anything(&self) -> bool {
        match &self.server {
            Server::Unconnected => true,
            Server::Connected(server) => self.client.holds_anything() || server.holds_anything(),
            Server::Refused => false,
        }
    }

    pub(super) fn coming_back(&self) -> impl Iterator<Item = Crossing> {
        let refused = matches!(self.server, Server::Refused).then_some(Crossing::End(self.address));
        self.server_side().into_iter().flat_map(|side| side.crossings(self.address)).chain(refused)
    }

    /// Step 2: the connect, or in a later turn what the client has written.
    pub(super) fn release_over(&mut self, crossed: &mut Vec<Crossing>, stop: &Latch) -> Result<(), Stopped> {
        match &mut self.server {
            Server::Unconnected => {
                crossed.push(Crossing::Connect(self.address));
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE);
                self.server = stream.map_or(Server::Refused, |stream| Server::Connected(Side::new(stream)));
                Ok(())
            }
            Server::Connected(server) => {
                crossed.extend(self.client.crossings(self.address));
                self.client.release_to(&server.stream, stop)
            }
            Server::Refused => Ok(()),
        }
    }

    /// Step 4: what the server has written.
    pub(super) fn release_back(&mut self, stop: &Latch) -> Result<(), Stopped> {
        match &mut self.server {
            Server::Unconnected => Ok(()),
            Server::Connected(server) => server.release_to(&self.client.stream, stop),
            Server::Refused => {
                let _ = self.client.stream.shutdown(Shutdown::Both);
                self.client.end = End::Crossed;
                Ok(())
            }
        }
    }

    /// Whether nothing can cross any more.
    pub(super) fn is_over(&self) -> bool {
        match &self.server {
            Server::Unconnected => false,
            Server::Connected(server) => self.client.end == End::Crossed && server.end == End::Crossed,
            Server::Refused => self.client.end == End::Crossed,
        }
    }

    fn server_side(&self) -> Option<&Side> {
        match &self.server {
            Server::Connected(server) => Some(server),
            Server::Unconnected | Server::Refused => None,
        }
    }
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).expect("a socket becomes non-blocking");
        stream.set_nodelay(true).expect("TCP has this option");
        Self { stream, held: Vec::new(), end: End::Open }
    }

    fn holds_anything(&self) -> bool {
        !self.held.is_empty() || self.end == End::Held
    }

    fn receive(&mut self) {
        let mut buffer = vec![0; 65_536];
        while self.end == End::Open {
            match self.stream.read(&mut buffer) {
                Ok(length @ 1..) => self.held.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A reset crosses as an end.
                Ok(_) | Err(_) => self.end = End::Held,
            }
        }
    }

    fn crossings(&self, address: SocketAddr) -> impl Iterator<Item = Crossing> {
        let bytes = self.held.first().map(|first| Crossing::Bytes(address, self.held.len(), *first));
        let end = (self.end == End::Held).then_some(Crossing::End(address));
        bytes.into_iter().chain(end)
    }

    /// Writes what is held to the other side. A side that is gone loses it, as the network would.
    fn release_to(&mut self, other: &TcpStream, stop: &Latch) -> Result<(), Stopped> {
        let held = std::mem::take(&mut self.held);
        let mut rest = &*held;
        while !rest.is_empty() {
            match (&mut &*other).write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stop.until_writable(other)?,
                Err(_) => break,
            }
        }
        if self.end == End::Held {
            let _ = other.shutdown(Shutdown::Write);
            self.end = End::Crossed;
        }
        Ok(())
    }
}
