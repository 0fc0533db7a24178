//! A TCP proxy that makes the path to a server long: every byte takes a fixed time each way.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fd::AsFd;

use super::threads::{Latch, Stopped, Workers};

/// The proxy. Stops, closes its connections and joins its threads on drop.
///
/// It is as honest as loopback allows: the kernel accepts at once, so a TCP connect takes no time, which only a network
/// namespace could change. To make up for that, the client's first bytes take a whole round trip longer, and the time until
/// TLS is done is that of the real path. The times of the single stages are not: TCP is too fast, the next stage too slow.
#[derive(Debug)]
pub(crate) struct DelayProxy {
    address: SocketAddr,
    _workers: Workers,
}

impl DelayProxy {
    /// A proxy for `back`: each byte takes `one_way`, so a round trip is twice that.
    pub(crate) fn start(back: SocketAddr, one_way: Duration) -> Self {
        let listener = TcpListener::bind((back.ip(), 0)).expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let workers = Workers::new();
        let spawner = workers.spawner();
        let accept = move |stop: &Latch| -> Result<(), Stopped> {
            loop {
                stop.until_readable(&listener)?;
                let Ok((client, _)) = listener.accept() else { continue };
                spawner.spawn("delayed connection", move |stop| {
                    // An error is that one of the two has gone, or that the bench stops. Both sockets close.
                    let _ = forward(client, back, one_way, stop);
                });
            }
        };
        workers.spawn("delay", move |stop| {
            let _ = accept(stop);
        });
        Self { address, _workers: workers }
    }

    /// Where the client has to connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }
}

fn forward(client: TcpStream, back: SocketAddr, one_way: Duration, stop: &Latch) -> io::Result<()> {
    // SYN over, SYN-ACK back.
    let connected = Instant::now() + one_way * 2;
    stop.pause(one_way)?;
    let server = TcpStream::connect(back)?;
    let mut over = Lane::new(client.try_clone()?, server.try_clone()?, one_way, connected)?;
    let mut returning = Lane::new(server, client, one_way, connected)?;
    while !(over.is_over() && returning.is_over()) {
        let now = Instant::now();
        over.advance(now, stop)?;
        returning.advance(now, stop)?;
        let due = [over.due(), returning.due()].into_iter().flatten().min();
        let lanes = [&over, &returning].into_iter().filter(|lane| !lane.ended);
        let sockets = lanes.map(|lane| (lane.from.as_fd(), PollFlags::IN)).collect::<Vec<_>>();
        stop.wait(&sockets, due.map(|due| due.saturating_duration_since(Instant::now())))?;
    }
    Ok(())
}

/// One direction.
#[derive(Debug)]
struct Lane {
    from: TcpStream,
    to: TcpStream,
    one_way: Duration,
    /// Nothing is sent before this.
    opens: Instant,
    /// What is on its way, and when it arrives. Nothing at all is the end of the stream.
    travelling: VecDeque<(Instant, Vec<u8>)>,
    /// The end has been read.
    ended: bool,
}

impl Lane {
    fn new(from: TcpStream, to: TcpStream, one_way: Duration, opens: Instant) -> io::Result<Self> {
        from.set_nonblocking(true)?;
        from.set_nodelay(true)?;
        Ok(Self { from, to, one_way, opens, travelling: VecDeque::new(), ended: false })
    }

    fn due(&self) -> Option<Instant> {
        self.travelling.front().map(|(due, _)| *due)
    }

    fn is_over(&self) -> bool {
        self.ended && self.travelling.is_empty()
    }

    /// Takes in what was sent, and delivers what has arrived by `now`.
    fn advance(&mut self, now: Instant, stop: &Latch) -> io::Result<()> {
        let mut buffer = vec![0; 65_536];
        while !self.ended {
            match self.from.read(&mut buffer) {
                Ok(length) => {
                    self.ended = length == 0;
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    self.travelling.push_back((now.max(self.opens) + self.one_way, bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while self.due().is_some_and(|due| due <= now) {
            let (_, bytes) = self.travelling.pop_front().expect("something is due");
            if bytes.is_empty() {
                self.to.shutdown(Shutdown::Write)?;
            }
            let mut rest = &*bytes;
            while !rest.is_empty() {
                match self.to.write(rest) {
                    Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        stop.until_writable(&self.to)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
