//! The threads of the DNS server: one for UDP, one that accepts TCP, one per TCP connection and per answer that waits.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use domain::base::Message;
use domain::base::iana::Rtype;

use super::super::threads::{Latch, Spawner, Stopped, Workers};
use super::super::wire::Wire;
use super::behaviour::{Behaviour, Datagram, Reaction, When};
use super::zone::name;
use super::{Query, Shared, Transport, written};

/// How often each question has come over UDP.
type Counts = Arc<Mutex<HashMap<(String, Rtype), usize>>>;

/// Starts the threads.
pub(super) fn start(workers: &Workers, udp: UdpSocket, tcp: TcpListener, shared: &Arc<Shared>) {
    let server = Server { shared: Arc::clone(shared), counts: Counts::default(), spawner: workers.spawner() };
    let over_tcp = server.clone();
    workers.spawn("dns udp", move |stop| {
        let _ = server.serve_datagrams(&Arc::new(udp), stop);
    });
    workers.spawn("dns tcp", move |stop| {
        let _ = over_tcp.accept(&tcp, stop);
    });
}

/// What each thread has of the server.
#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    counts: Counts,
    spawner: Spawner,
}

impl Server {
    fn serve_datagrams(&self, socket: &Arc<UdpSocket>, stop: &Latch) -> Result<(), Stopped> {
        let mut buffer = vec![0; 65_536];
        loop {
            stop.until_readable(&**socket)?;
            // An error is an ICMP message about an answer that nobody wanted any more.
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let received = buffer.get(..length).unwrap_or_default();
            let Some((query, behaviour)) = self.receive(received, from, Transport::Udp) else { continue };
            let (server, socket, when) = (self.clone(), Arc::clone(socket), behaviour.when());
            let answer = move || {
                let datagrams = server.shared.zone.read(|zone| behaviour.over_udp(zone, &query));
                datagrams.iter().for_each(|datagram| send(&socket, datagram, from));
            };
            match when {
                When::Now => answer(),
                When::Opened(_) | When::After(_) => self.spawner.spawn("dns answer", move |stop| {
                    if until(&when, stop).is_ok() {
                        answer();
                    }
                }),
            }
        }
    }

    fn accept(&self, listener: &TcpListener, stop: &Latch) -> Result<(), Stopped> {
        loop {
            stop.until_readable(listener)?;
            let Ok((stream, from)) = listener.accept() else { continue };
            let server = self.clone();
            self.spawner.spawn("dns connection", move |stop| {
                // An error is that the client has gone, or that the bench stops.
                let _ = server.serve_connection(stream, from, stop);
            });
        }
    }

    fn serve_connection(&self, stream: TcpStream, from: SocketAddr, stop: &Latch) -> io::Result<()> {
        let mut wire = Wire::new(stream, stop)?;
        loop {
            let mut length = [0; 2];
            wire.read_exact(&mut length)?;
            let mut received = vec![0; usize::from(u16::from_be_bytes(length))];
            wire.read_exact(&mut received)?;
            let Some((query, behaviour)) = self.receive(&received, from, Transport::Tcp) else {
                return Ok(());
            };
            until(&behaviour.when(), stop)?;
            match self.shared.zone.read(|zone| behaviour.over_tcp(zone, &query)) {
                Reaction::Nothing => {}
                Reaction::Send(bytes) => wire.write_all(&bytes)?,
                Reaction::Drip(bytes, pace) => {
                    wire.drip(pace);
                    wire.write_all(&bytes)?;
                }
                Reaction::SendAndClose(bytes) => return wire.write_all(&bytes),
            }
        }
    }

    /// Notes a question, and says what shall happen to it. What is no DNS question at all is ignored.
    fn receive(
        &self,
        received: &[u8],
        from: SocketAddr,
        transport: Transport,
    ) -> Option<(Message<Vec<u8>>, Behaviour)> {
        let message = Message::from_octets(received.to_vec()).ok()?;
        let asked = message.first_question()?;
        let (asked_name, kind) = (written(&asked.qname()), asked.qtype());
        let behaviour = self.behaviour(&asked_name, kind, transport);
        let header = message.header();
        let query = Query {
            name: asked_name,
            kind,
            transport,
            from,
            id: header.id(),
            edns: message.opt().map(|opt| opt.udp_payload_size()),
            recursion_desired: header.rd(),
            authentic_data: header.ad(),
        };
        self.shared.queries.change(|queries| queries.push(query));
        Some((message, behaviour))
    }

    /// The behaviour for this question at this time, see [`Zone::script`](super::Zone::script).
    fn behaviour(&self, asked: &str, kind: Rtype, transport: Transport) -> Behaviour {
        let seen = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry((asked.to_owned(), kind)).or_default();
            *count += usize::from(transport == Transport::Udp);
            count.saturating_sub(1)
        };
        let asked = name(asked);
        self.shared.zone.read(|zone| {
            let script = zone.scripts.iter().find(|(owner, of, _)| (owner, *of) == (&asked, kind));
            let own =
                script.and_then(|(_, _, behaviours)| behaviours.get(seen).or_else(|| behaviours.last()));
            own.or(zone.everything.as_ref()).cloned().unwrap_or(Behaviour::Answer)
        })
    }
}

fn until(when: &When, stop: &Latch) -> Result<(), Stopped> {
    match when {
        When::Now => Ok(()),
        When::Opened(latch) => stop.until_open(latch),
        When::After(time) => stop.pause(*time),
    }
}

/// Sends an answer. That nobody wants it any more is no error here.
fn send(socket: &UdpSocket, datagram: &Datagram, to: SocketAddr) {
    let from = socket.local_addr().map(|address| SocketAddr::new(address.ip(), 0)).ok();
    let other = from.filter(|_| datagram.from_other_port).and_then(|from| UdpSocket::bind(from).ok());
    let _ = other.as_ref().unwrap_or(socket).send_to(&datagram.bytes, to);
}
