//! Loopback addresses without a server: refused, and the black hole.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

/// A TCP address that refuses connections for as long as this lives: bound, so that nobody else gets it, not listening.
#[derive(Debug)]
pub(crate) struct Refused {
    address: SocketAddr,
    _socket: Socket,
}

impl Refused {
    /// At 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// At `address`, which is a loopback address.
    pub(crate) fn at(address: IpAddr) -> Self {
        let (socket, address) = bound(address);
        Self { address, _socket: socket }
    }

    /// Where.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }
}

/// A loopback address of this process alone, for servers at a port that an RFC fixes, or that are started again: at
/// 127.0.0.1, a client could get the port meanwhile, even by connecting to it (a connection of a socket to itself). Linux
/// only: elsewhere only 127.0.0.1 is there without being set up.
#[cfg(target_os = "linux")]
pub(crate) fn own_loopback(last: u8) -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, last)
}

fn bound(address: IpAddr) -> (Socket, SocketAddr) {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a TCP socket");
    socket.bind(&address.into()).expect("a loopback address can be bound");
    let address = socket.local_addr().expect("a bound socket has an address").as_socket();
    (socket, address.expect("an IP socket has an IP address"))
}

/// A UDP address that answers with ICMP "port unreachable". A bound socket would swallow the datagrams, so the port is free
/// again, and with bad luck a socket opened meanwhile gets it.
pub(crate) fn closed_udp_port() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP socket on loopback");
    socket.local_addr().expect("a bound socket has an address")
}

/// A TCP address that swallows SYNs for as long as this lives: connects neither succeed nor fail.
///
/// Linux only. There a listener whose accept queue is full drops further SYNs (unless `net.ipv4.tcp_abort_on_overflow` is
/// set, which is not the default), and those sent again too. So this listens with a backlog of 0, never accepts, and fills
/// the queue with connections of its own until one hangs. Windows answers RST instead.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    fillers: Vec<Socket>,
}

#[cfg(target_os = "linux")]
impl BlackHole {
    /// At 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// At `address`, which is a loopback address.
    pub(crate) fn at(address: IpAddr) -> Self {
        let (listener, address) = bound(address);
        listener.listen(0).expect("a bound socket listens");
        let mut fillers = Vec::new();
        while fill(address, &mut fillers) {
            assert!(fillers.len() < 16, "a backlog of 0 takes no more than a few connections");
        }
        Self { address, _listener: listener, fillers }
    }

    /// Where.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// How many sockets of this process are connecting to it now, its own not counted.
    pub(crate) fn connecting(&self) -> usize {
        super::process::sockets_to(self.address).saturating_sub(self.fillers.len())
    }
}

/// Makes one connection to a full or not yet full queue, and says whether it was established: the queue may have room then.
#[cfg(target_os = "linux")]
fn fill(address: SocketAddr, fillers: &mut Vec<Socket>) -> bool {
    use std::time::Duration;

    // A handshake on loopback is over in microseconds. On a machine so busy that it is not, a connection that is still coming
    // is taken for one that hangs, and fills the queue all the same a moment later.
    const ESTABLISHED_BY_NOW: Duration = Duration::from_millis(100);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a TCP socket");
    let established = socket.connect_timeout(&address.into(), ESTABLISHED_BY_NOW).is_ok();
    fillers.push(socket);
    established
}
