//! A DNS server on loopback, UDP and TCP at the same port, that answers from a [`Zone`], or misbehaves as a test wants.

mod behaviour;
mod server;
mod zone;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use domain::base::Message;
pub(crate) use domain::base::iana::{Rcode, Rtype};

use super::threads::{Watched, Workers};
pub(crate) use behaviour::{Behaviour, Junk, OverTcp};
pub(crate) use zone::Zone;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In a datagram.
    Udp,
    /// In a TCP connection.
    Tcp,
}

/// One question that the server received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// The name: lower case, without the last dot.
    pub(crate) name: String,
    /// The type.
    pub(crate) kind: Rtype,
    /// UDP or TCP.
    pub(crate) transport: Transport,
    /// From where: tells whether ports are fresh.
    pub(crate) from: SocketAddr,
    /// The id: tells whether ids are fresh.
    pub(crate) id: u16,
    /// The UDP payload size that the question's EDNS record gives; `None` without EDNS.
    pub(crate) edns: Option<u16>,
    /// RD, recursion desired.
    pub(crate) recursion_desired: bool,
    /// AD, "I would understand authenticated data" in a question (RFC 6840 section 5.7).
    pub(crate) authentic_data: bool,
}

/// The server. Stops, and joins its threads, on drop.
#[derive(Debug)]
pub(crate) struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _workers: Workers,
}

/// What the threads of the server share with the test.
#[derive(Debug)]
struct Shared {
    zone: Watched<Zone>,
    queries: Watched<Vec<Query>>,
}

impl DnsServer {
    /// A server at 127.0.0.1.
    pub(crate) fn start(zone: Zone) -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), zone)
    }

    /// A server at `address`, which is a loopback address.
    pub(crate) fn start_at(address: IpAddr, zone: Zone) -> Self {
        let (udp, tcp) = bind(address);
        let address = udp.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { zone: Watched::new(zone), queries: Watched::default() });
        let workers = Workers::new();
        server::start(&workers, udp, tcp, &shared);
        Self { address, shared, _workers: workers }
    }

    /// Where, over UDP and TCP.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The questions so far, in the order in which they came.
    pub(crate) fn queries(&self) -> Vec<Query> {
        self.shared.queries.read(Vec::clone)
    }

    /// The questions so far as `name TYPE`, in the order in which they came.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.shared
            .queries
            .read(|queries| queries.iter().map(|query| question(&query.name, query.kind)).collect())
    }

    /// Waits until `count` questions have come, and gives them.
    pub(crate) fn wait_queries(&self, count: usize) -> Vec<Query> {
        let enough = |queries: &Vec<Query>| (queries.len() >= count).then(|| queries.clone());
        self.shared.queries.wait_for(&format!("{count} DNS questions"), enough)
    }

    /// Forgets the questions so far.
    pub(crate) fn forget_queries(&self) {
        self.shared.queries.change(Vec::clear);
    }

    /// Changes the zone, while the server runs: `dns.change(|zone| zone.address("example.org", "127.0.0.2"))`.
    pub(crate) fn change(&self, change: impl FnOnce(Zone) -> Zone) {
        self.shared.zone.change(|zone| *zone = change(zone.clone()));
    }
}

/// The question in a datagram as `name TYPE`, as far as it can be read.
pub(crate) fn question_in(datagram: &[u8]) -> Option<String> {
    let message = Message::from_octets(datagram).ok()?;
    let asked = message.first_question()?;
    Some(question(&written(&asked.qname()), asked.qtype()))
}

fn question(name: &str, kind: Rtype) -> String {
    format!("{name} {kind}")
}

/// A name in lower case without its last dot; the root is `.`.
fn written(name: &impl ToString) -> String {
    let name = name.to_string().to_ascii_lowercase();
    match name.strip_suffix('.').unwrap_or(&name) {
        "" => ".".to_owned(),
        name => name.to_owned(),
    }
}

/// The same port for both: the kernel chooses one for TCP, and UDP takes it, or the next is tried.
fn bind(address: IpAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((address, 0)).expect("a loopback address can be bound");
        let port = tcp.local_addr().expect("a bound socket has an address").port();
        if let Ok(udp) = UdpSocket::bind((address, port)) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}
