//! The lock-step relay: all traffic of a client crosses it in turns, so that round trips are counted instead of timed.
//!
//! # How it counts
//!
//! The relay stands between one client and its servers: a front address for each of them, UDP or TCP. It plays turns:
//!
//! 1. It collects what the client sends (datagrams, connects, bytes, ends) until the client is quiet, and lets nothing pass.
//! 2. It hands all of that to the servers at once.
//! 3. It collects what the servers send until they are quiet, and lets nothing pass.
//! 4. It hands all of that to the client at once. The turn is over.
//!
//! So whatever the client sends because of something that a server said crosses a turn later than that, and whatever it
//! sends without waiting for more crosses in the same turn. On a real path each turn takes one round trip, however long the
//! path and however fast the machines. [`Relay::round_trips`] is the number of turns in which the client sent something
//! other than the end of a connection.
//!
//! A TCP connect is a round trip too, SYN and SYN-ACK, although the kernel accepts at the front before the relay is asked.
//! Therefore: **a connection crosses in the turn in which it was accepted at the front; the client's bytes on it cross at the
//! earliest in the turn after.** Only then is the connection to the server made. A server that refuses is seen by the client
//! as a connection that ends without a byte. Two things are not modelled: what else than bytes on that connection a client
//! does because the connect has succeeded, such as a further query, crosses in the turn of the connect; and what a server
//! says on a new connection before it has read anything rides on the SYN-ACK.
//!
//! # What quiet means
//!
//! No socket of the relay had anything for an interval (25 ms unless set), and, on Linux, no other thread of this process
//! runs or is ready to run: a thread that the machine keeps waiting is ready to run. Threads of other tests count for that
//! too, so the wait for sleeping threads ends after 16 intervals.
//!
//! A stall can only split what belongs together, never join what does not: a client that stalls in the middle of a batch
//! can make the count too high; one that is too low is impossible, because what answers something crosses after it. A
//! server that stalls makes a turn in which only servers send, which is no round trip.

mod tcp;
mod udp;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;

use super::threads::{Latch, Stopped, Watched, Workers};
use tcp::{Link, TcpFront};
use udp::UdpFront;

/// How long nothing happens before a side counts as quiet, unless a test says otherwise.
const QUIET: Duration = Duration::from_millis(25);
/// For how many intervals threads that do not sleep are waited for. Both sides of a turn together stay below the second after
/// which a client asks the DNS again.
const MOST_INTERVALS: usize = 16;

/// Something that crossed the relay. The address is always the server's, behind the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// A TCP connect.
    Connect(SocketAddr),
    /// A datagram, with the DNS question in it as `name TYPE`, if it is a DNS message.
    Datagram(SocketAddr, Option<String>),
    /// So many bytes of a TCP connection, and the first of them: 22 is a TLS handshake, 23 TLS data, 60 is `<`.
    Bytes(SocketAddr, usize, u8),
    /// The end of one direction of a TCP connection.
    End(SocketAddr),
}

/// What crossed in one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// From the client to the servers.
    pub(crate) over: Vec<Crossing>,
    /// From the servers to the client.
    pub(crate) back: Vec<Crossing>,
}

impl Turn {
    /// Whether the client sent something that an answer may be waited for.
    pub(crate) fn is_round_trip(&self) -> bool {
        self.over.iter().any(|crossing| match crossing {
            Crossing::Connect(_) | Crossing::Datagram(..) | Crossing::Bytes(..) => true,
            Crossing::End(_) => false,
        })
    }

    /// How many connects crossed.
    pub(crate) fn connects(&self) -> usize {
        self.over.iter().filter(|crossing| matches!(crossing, Crossing::Connect(_))).count()
    }

    /// The DNS questions that crossed, as `name TYPE`.
    pub(crate) fn questions(&self) -> Vec<&str> {
        let questions = self.over.iter().filter_map(|crossing| match crossing {
            Crossing::Datagram(_, question) => question.as_deref(),
            Crossing::Connect(_) | Crossing::Bytes(..) | Crossing::End(_) => None,
        });
        questions.collect()
    }
}

/// The relay. Stops, closes its connections and joins its thread on drop.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    _workers: Workers,
}

#[derive(Debug, Default)]
struct Shared {
    turns: Watched<Vec<Turn>>,
    /// Fronts that the thread has not taken over yet.
    new: Watched<(Vec<UdpFront>, Vec<TcpFront>)>,
}

impl Relay {
    /// A relay without fronts.
    pub(crate) fn new() -> Self {
        Self::with_quiet(QUIET)
    }

    /// A relay for which a side is quiet after `interval`. A turn takes a little more than twice that.
    pub(crate) fn with_quiet(interval: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let workers = Workers::new();
        let thread = Arc::clone(&shared);
        workers.spawn("relay", move |stop| {
            let mut path =
                Path { quiet: interval, shared: thread, udp: Vec::new(), tcp: Vec::new(), links: Vec::new() };
            let _ = path.run(stop);
        });
        Self { shared, _workers: workers }
    }

    /// A front for the UDP server `back`: where the client has to send its datagrams.
    pub(crate) fn udp(&self, back: SocketAddr) -> SocketAddr {
        let front = UdpSocket::bind((back.ip(), 0)).expect("a loopback address can be bound");
        let address = front.local_addr().expect("a bound socket has an address");
        self.shared.new.change(|(udp, _)| udp.push(UdpFront::new(front, back)));
        address
    }

    /// A front for the TCP server `back`: where the client has to connect.
    pub(crate) fn tcp(&self, back: SocketAddr) -> SocketAddr {
        let front = TcpListener::bind((back.ip(), 0)).expect("a loopback address can be bound");
        let address = front.local_addr().expect("a bound socket has an address");
        self.shared.new.change(|(_, tcp)| tcp.push(TcpFront::new(front, back)));
        address
    }

    /// How many round trips the client has made. Right at the moment in which the client has what it waited for: a turn is
    /// counted just before its step 4.
    pub(crate) fn round_trips(&self) -> usize {
        self.shared.turns.read(|turns| turns.iter().filter(|turn| turn.is_round_trip()).count())
    }

    /// All turns so far.
    pub(crate) fn log(&self) -> Vec<Turn> {
        self.shared.turns.read(Vec::clone)
    }

    /// Waits until `look` finds what it looks for in the turns so far.
    pub(crate) fn wait_for<R>(&self, what: &str, mut look: impl FnMut(&[Turn]) -> Option<R>) -> R {
        self.shared.turns.wait_for(what, |turns| look(turns))
    }
}

/// All that the relay's thread has.
struct Path {
    quiet: Duration,
    shared: Arc<Shared>,
    udp: Vec<UdpFront>,
    tcp: Vec<TcpFront>,
    links: Vec<Link>,
}

impl Path {
    fn run(&mut self, stop: &Latch) -> Result<(), Stopped> {
        loop {
            self.collect(stop)?;
            if !self.holds_anything() {
                continue;
            }
            let mut turn = Turn::default();
            self.udp.iter_mut().for_each(|front| front.release_over(&mut turn.over));
            for link in &mut self.links {
                link.release_over(&mut turn.over, stop)?;
            }
            self.collect(stop)?;
            turn.back = self.coming_back();
            self.shared.turns.change(|turns| turns.push(turn));
            self.udp.iter_mut().for_each(UdpFront::release_back);
            for link in &mut self.links {
                link.release_back(stop)?;
            }
            self.links.retain(|link| !link.is_over());
        }
    }

    /// Collects what both sides send until all is quiet.
    fn collect(&mut self, stop: &Latch) -> Result<(), Stopped> {
        let mut intervals = 0;
        loop {
            self.take_new_fronts();
            let readable =
                self.sockets().into_iter().map(|socket| (socket, PollFlags::IN)).collect::<Vec<_>>();
            let ready = stop.wait(&readable, Some(self.quiet))?;
            if ready.contains(&true) {
                intervals = 0;
                self.receive();
            } else {
                intervals += 1;
                // A relay with nothing to pass on looks at no thread, or two of them would each find the other one awake.
                if !self.holds_anything() || intervals >= MOST_INTERVALS || !others_are_busy() {
                    return Ok(());
                }
            }
        }
    }

    fn take_new_fronts(&mut self) {
        let (udp, tcp) = self.shared.new.change(std::mem::take);
        self.udp.extend(udp);
        self.tcp.extend(tcp);
    }

    fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        let mut sockets = Vec::new();
        self.udp.iter().for_each(|front| front.sockets(&mut sockets));
        self.tcp.iter().for_each(|front| front.sockets(&mut sockets));
        self.links.iter().for_each(|link| link.sockets(&mut sockets));
        sockets
    }

    /// Reads whatever there is, everywhere: all sockets are non-blocking.
    fn receive(&mut self) {
        self.udp.iter_mut().for_each(UdpFront::receive);
        for front in &self.tcp {
            front.accept(&mut self.links);
        }
        self.links.iter_mut().for_each(Link::receive);
    }

    fn holds_anything(&self) -> bool {
        self.udp.iter().any(UdpFront::holds_anything) || self.links.iter().any(Link::holds_anything)
    }

    fn coming_back(&self) -> Vec<Crossing> {
        let datagrams = self.udp.iter().flat_map(UdpFront::coming_back);
        datagrams.chain(self.links.iter().flat_map(Link::coming_back)).collect()
    }
}

#[cfg(target_os = "linux")]
fn others_are_busy() -> bool {
    super::process::busy_threads() > 0
}

#[cfg(not(target_os = "linux"))]
fn others_are_busy() -> bool {
    false
}
