//! The relay's UDP half: a front for one server, with a socket behind it for each client socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::fd::{AsFd, BorrowedFd};

use super::super::dns::question_in;
use super::Crossing;

/// The front of one UDP server.
#[derive(Debug)]
pub(super) struct UdpFront {
    front: UdpSocket,
    server: SocketAddr,
    flows: Vec<Flow>,
}

/// What passes between one client socket and the server.
#[derive(Debug)]
struct Flow {
    client: SocketAddr,
    back: UdpSocket,
    over: Vec<Vec<u8>>,
    returning: Vec<Vec<u8>>,
}

impl UdpFront {
    pub(super) fn new(front: UdpSocket, server: SocketAddr) -> Self {
        front.set_nonblocking(true).expect("a socket becomes non-blocking");
        Self { front, server, flows: Vec::new() }
    }

    pub(super) fn sockets<'a>(&'a self, sockets: &mut Vec<BorrowedFd<'a>>) {
        sockets.push(self.front.as_fd());
        sockets.extend(self.flows.iter().map(|flow| flow.back.as_fd()));
    }

    pub(super) fn receive(&mut self) {
        while let Some((client, datagram)) = receive(&self.front) {
            let known = self.flows.iter().position(|flow| flow.client == client);
            let index = known.unwrap_or_else(|| {
                self.flows.push(Flow::new(client, self.server));
                self.flows.len() - 1
            });
            self.flows.get_mut(index).expect("found or pushed").over.push(datagram);
        }
        for flow in &mut self.flows {
            while let Some((_, datagram)) = receive(&flow.back) {
                flow.returning.push(datagram);
            }
        }
    }

    pub(super) fn holds_anything(&self) -> bool {
        self.flows.iter().any(|flow| !flow.over.is_empty() || !flow.returning.is_empty())
    }

    pub(super) fn coming_back(&self) -> impl Iterator<Item = Crossing> {
        let returning = self.flows.iter().flat_map(|flow| &flow.returning);
        returning.map(|datagram| Crossing::Datagram(self.server, question_in(datagram)))
    }

    pub(super) fn release_over(&mut self, crossed: &mut Vec<Crossing>) {
        for flow in &mut self.flows {
            for datagram in flow.over.drain(..) {
                // A refusal by ICMP ends here: the client does not see it.
                let _ = flow.back.send(&datagram);
                crossed.push(Crossing::Datagram(self.server, question_in(&datagram)));
            }
        }
    }

    pub(super) fn release_back(&mut self) {
        for flow in &mut self.flows {
            for datagram in flow.returning.drain(..) {
                let _ = self.front.send_to(&datagram, flow.client);
            }
        }
    }
}

impl Flow {
    fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let back = UdpSocket::bind((server.ip(), 0)).expect("a loopback address can be bound");
        back.connect(server).expect("a UDP socket connects");
        back.set_nonblocking(true).expect("a socket becomes non-blocking");
        Self { client, back, over: Vec::new(), returning: Vec::new() }
    }
}

/// The next datagram, or none. ICMP errors are skipped.
fn receive(socket: &UdpSocket) -> Option<(SocketAddr, Vec<u8>)> {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                buffer.truncate(length);
                return Some((from, buffer));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
}
