//! Asks one name server one question, over UDP or TCP.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{self, Kind, Reply};
use super::stop::Stop;

/// How long one try over UDP, or a question over TCP, may take.
pub(crate) const TRY: Duration = Duration::from_secs(2);
/// A datagram may be lost on the way: so often is one sent.
const TRIES: u32 = 2;
/// How often a wait looks whether it is to stop.
pub(crate) const PACE: Duration = Duration::from_millis(50);

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In a datagram, with EDNS (RFC 6891).
    Edns,
    /// In a datagram, without.
    Plain,
    /// Over TCP, with EDNS.
    Tcp,
    /// Over TCP, without.
    PlainTcp,
}

impl Way {
    /// The same over TCP.
    pub(crate) fn over_tcp(self) -> Self {
        if self.has_edns() { Self::Tcp } else { Self::PlainTcp }
    }

    fn has_edns(self) -> bool {
        matches!(self, Self::Edns | Self::Tcp)
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    Silent,
    /// The check was stopped, or the time limit has passed.
    Stopped,
    /// An error in words.
    Failed(String),
}

/// Asks `server` for the records of `kind` at `name`, and returns its reply and how long that took.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    kind: Kind,
    way: Way,
    stop: &Stop,
) -> Result<(Reply, Duration), NoReply> {
    let query = message::query(random(), name, kind, way.has_edns()).map_err(NoReply::Failed)?;
    let started = Instant::now();
    let reply = match way {
        Way::Edns | Way::Plain => over_udp(server, &query, stop),
        Way::Tcp | Way::PlainTcp => over_tcp(server, &query, stop),
    };
    reply.map(|reply| (reply, started.elapsed()))
}

fn failed(error: io::Error) -> NoReply {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NoReply::Silent,
        io::ErrorKind::ConnectionRefused => NoReply::Failed("connection refused".to_owned()),
        io::ErrorKind::ConnectionReset => NoReply::Failed("connection reset".to_owned()),
        io::ErrorKind::UnexpectedEof => NoReply::Failed("the connection was closed".to_owned()),
        _ => NoReply::Failed(error.to_string()),
    }
}

fn malformed() -> NoReply {
    NoReply::Failed("the answer is malformed".to_owned())
}

fn over_udp(server: SocketAddr, query: &[u8], stop: &Stop) -> Result<Reply, NoReply> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).map_err(failed)?;
    // Only what this server sends is received then.
    socket.connect(server).map_err(failed)?;
    socket.set_read_timeout(Some(PACE)).map_err(failed)?;
    let mut buffer = vec![0; 65_536];
    for _ in 0..TRIES {
        // The same id each time, so that a late answer counts.
        socket.send(query).map_err(failed)?;
        let end = Instant::now() + TRY;
        while Instant::now() < end {
            if stop.is_set() {
                return Err(NoReply::Stopped);
            }
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if failed_to_wait(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            match message::reply(buffer.get(..length).unwrap_or_default(), query) {
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(_)) => return Err(malformed()),
                None => {}
            }
        }
    }
    Err(NoReply::Silent)
}

fn failed_to_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn over_tcp(server: SocketAddr, query: &[u8], stop: &Stop) -> Result<Reply, NoReply> {
    // A wait for a connection cannot look whether it is to stop.
    let limit = TRY.min(stop.remaining());
    if limit.is_zero() || stop.is_set() {
        return Err(NoReply::Stopped);
    }
    let end = Instant::now() + limit;
    let connected = TcpStream::connect_timeout(&server, limit);
    if stop.is_set() {
        return Err(NoReply::Stopped);
    }
    let mut stream = connected.map_err(failed)?;
    stream.set_read_timeout(Some(PACE)).map_err(failed)?;
    stream.set_write_timeout(Some(limit)).map_err(failed)?;
    // RFC 1035 section 4.2.2: a length of two octets comes first.
    let length = u16::try_from(query.len()).map_err(|_| malformed())?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).map_err(failed)?;
    let mut read = |wanted: usize| -> Result<Vec<u8>, NoReply> {
        let mut octets = vec![0; wanted];
        let mut filled = 0;
        while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            if stop.is_set() {
                return Err(NoReply::Stopped);
            }
            if Instant::now() >= end {
                return Err(NoReply::Silent);
            }
            match stream.read(rest) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) if failed_to_wait(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(octets)
    };
    let length = read(2)?.into_iter().fold(0, |length, octet| length << 8 | usize::from(octet));
    let octets = read(length)?;
    match message::reply(&octets, query) {
        Some(Ok(reply)) => Ok(reply),
        Some(Err(_)) | None => Err(malformed()),
    }
}

/// A number that an attacker cannot guess: the keys of a `RandomState` are random.
fn random() -> u16 {
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_the_time_has_passed_nobody_is_connected_to() {
        let refused = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        for way in [Way::Tcp, Way::PlainTcp, Way::Edns, Way::Plain] {
            let result = ask(refused, "example.org", Kind::Srv, way, &Stop::after(Duration::ZERO));
            assert_eq!(result, Err(NoReply::Stopped), "{way:?}");
        }
    }
}
