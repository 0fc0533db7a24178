//! One TCP connection to one name server, shared by the questions that go there (RFC 7766).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::dns::message::Query;
use crate::dns::stub::schedule::Try;
use crate::domain::Host;
use crate::proxy::{Gateway, Progress, ProxyError, Tunnel, TunnelError};
use crate::settings::SocketOptions;
use crate::socket;
use crate::wait::{Interest, Token, Wait};

/// A connection to a name server.
#[derive(Debug)]
pub(crate) struct DnsConnection {
    /// The number under which the socket is waited on.
    pub(crate) token: usize,
    /// The name server.
    pub(crate) server: SocketAddr,
    /// The questions that wait for their answers, which come in any order.
    pub(crate) pending: Vec<Pending>,
    stream: TcpStream,
    /// If it goes through a proxy: the address that it is connected to, and the tunnel.
    proxy: Option<(Gateway, SocketAddr, Tunnel)>,
    /// Why the proxy refuses to work for us, if it does.
    pub(crate) refusal: Option<ProxyError>,
    state: ConnectionPhase,
    output: Vec<u8>,
    input: Vec<u8>,
}

/// A question sent, or to be sent, over a connection.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The lookup that it belongs to.
    pub(crate) lookup: usize,
    /// The try.
    pub(crate) attempt: Try,
    /// What is asked.
    pub(crate) query: Query,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    Connecting,
    /// The proxy is asked for a tunnel.
    Tunnelling,
    Silent,
    /// An answer has come over it.
    Answered,
}

/// What came over a connection in one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The messages, whole, that carry the number of a question that waits.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Why the connection has ended, if so.
    pub(crate) end: Option<String>,
}

impl DnsConnection {
    /// Begins to connect to `server`, through the proxy if there is one.
    pub(crate) fn open(
        token: usize,
        server: SocketAddr,
        options: &SocketOptions,
        gateway: Option<&Gateway>,
    ) -> io::Result<Self> {
        let connect = |address| socket::connect(address, &options.for_name_server(address));
        let (stream, proxy) = match gateway {
            None => (connect(server)?, None),
            Some(gateway) => {
                let (address, stream) = gateway.connect(connect);
                let stream = stream.map_err(|error| lost(gateway, address, error))?;
                let tunnel = Tunnel::new(gateway.proxy(), &Host::Address(server.ip()), server.port());
                (stream, Some((gateway.clone(), address, tunnel)))
            }
        };
        Ok(Self {
            token,
            server,
            pending: Vec::new(),
            stream,
            proxy,
            refusal: None,
            state: ConnectionPhase::Connecting,
            output: Vec::new(),
            input: Vec::new(),
        })
    }

    /// Queues a question. "A two byte length field […] gives the message length" (RFC 1035 section 4.2.2); both go out
    /// in one segment (RFC 7766 section 8).
    pub(crate) fn ask(&mut self, pending: Pending) {
        let octets = pending.query.octets();
        // A query is never longer than a name, an OPT record and 16 octets.
        let Ok(length) = u16::try_from(octets.len()) else { return };
        self.output.extend(length.to_be_bytes());
        self.output.extend(octets);
        self.pending.push(pending);
    }

    /// Waits for what can be done next.
    pub(crate) fn register<'a>(&'a self, wait: &mut Wait<'a>) {
        let wants_write = self.proxy.as_ref().is_some_and(|(_, _, tunnel)| tunnel.wants_write());
        let interest = match (self.state, self.output.is_empty()) {
            (ConnectionPhase::Connecting, _) => Interest::Write,
            (ConnectionPhase::Tunnelling, _) => {
                if wants_write {
                    Interest::Both
                } else {
                    Interest::Read
                }
            }
            (ConnectionPhase::Silent | ConnectionPhase::Answered, true) => Interest::Read,
            (ConnectionPhase::Silent | ConnectionPhase::Answered, false) => Interest::Both,
        };
        wait.add(Token::Lookup(self.token), &self.stream, interest);
    }

    /// The question that `message` carries the number of.
    pub(crate) fn pending_of(&self, message: &[u8]) -> Option<usize> {
        let id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        self.pending.iter().position(|pending| pending.query.id() == id)
    }

    /// Whether a question with this number waits here.
    pub(crate) fn has_id(&self, id: u16) -> bool {
        self.pending.iter().any(|pending| pending.query.id() == id)
    }

    /// Takes out the question at `index`, which has been answered.
    pub(crate) fn take_answered(&mut self, index: usize) -> Pending {
        self.state = ConnectionPhase::Answered;
        self.pending.swap_remove(index)
    }

    /// Whether the questions that still wait may be asked again over a new connection: "the client […] SHOULD retry
    /// pending queries" (RFC 7766 section 6.2.4). As each connection has answered one, this ends.
    pub(crate) fn may_be_renewed(&self) -> bool {
        self.state == ConnectionPhase::Answered
    }

    /// Writes what can be written now, and reads once: whatever the server sends, the others have their turn after the
    /// octets that `buffer` takes.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> Turn {
        let mut messages = Vec::new();
        let end = self.exchange(buffer, &mut messages).err().map(|error| error.to_string());
        Turn { messages, end }
    }

    fn exchange(&mut self, buffer: &mut [u8], messages: &mut Vec<Vec<u8>>) -> io::Result<()> {
        if self.state == ConnectionPhase::Connecting {
            if !self.connected()? {
                return Ok(());
            }
            self.state = match self.proxy {
                Some(_) => ConnectionPhase::Tunnelling,
                None => ConnectionPhase::Silent,
            };
        }
        if self.state == ConnectionPhase::Tunnelling {
            if self.tunnel()? == Progress::More {
                return Ok(());
            }
            self.state = ConnectionPhase::Silent;
        }
        let write_result = self.write();
        // A peer that ends may have answered before: what it sent is read first.
        match self.read(buffer, messages)? {
            0 => write_result,
            _ => Ok(()),
        }
    }

    /// Whether the TCP handshake is complete.
    fn connected(&self) -> io::Result<bool> {
        socket::connected(&self.stream).map(|peer| peer.is_some()).map_err(|error| match &self.proxy {
            Some((gateway, address, _)) => lost(gateway, *address, error),
            None => error,
        })
    }

    fn tunnel(&mut self) -> io::Result<Progress> {
        let Some((gateway, address, tunnel)) = &mut self.proxy else { return Ok(Progress::Complete) };
        tunnel.turn(&self.stream).map_err(|error| match error {
            TunnelError::Io(error) => lost(gateway, *address, error),
            TunnelError::Proxy(error) => {
                self.refusal = Some(error.clone()).filter(ProxyError::is_refusal_of_credentials);
                io::Error::other(error)
            }
        })
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length.min(self.output.len()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns how many octets have come.
    fn read(&mut self, buffer: &mut [u8], messages: &mut Vec<Vec<u8>>) -> io::Result<usize> {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed the connection")),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error),
        };
        self.input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let pending = &self.pending;
        let is_wanted = |id| pending.iter().any(|pending| pending.query.id() == id);
        take_messages(&mut self.input, messages, is_wanted);
        Ok(length)
    }
}

/// The connection to the proxy at `address` is lost. Returns the error, with what it is about.
fn lost(gateway: &Gateway, address: SocketAddr, error: io::Error) -> io::Error {
    gateway.give_up(address);
    if socket::is_exhaustion(&error) {
        return error;
    }
    io::Error::new(error.kind(), format!("the connection to the proxy {} failed: {error}", gateway.proxy()))
}

/// Moves the messages that are whole out of `input`, where less than one, 65,537 octets, stays behind. A message without
/// a number that is wanted is dropped.
fn take_messages(input: &mut Vec<u8>, messages: &mut Vec<Vec<u8>>, is_wanted: impl Fn(u16) -> bool) {
    let mut rest = input.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let Some((message, behind)) = behind.split_at_checked(u16::from_be_bytes(*length).into()) else {
            break;
        };
        if message.first_chunk::<2>().is_some_and(|id| is_wanted(u16::from_be_bytes(*id))) {
            messages.push(message.to_vec());
        }
        rest = behind;
    }
    let taken = input.len() - rest.len();
    input.drain(..taken);
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule H1
    #[test]
    fn messages_are_found_wherever_the_stream_is_cut() {
        // One that nobody waits for, one without a number, and none at all are dropped.
        let stream = [0, 3, 1, 2, 3, 0, 3, 9, 9, 9, 0, 1, 1, 0, 0, 0, 2, 1, 2, 0, 5, 1];
        for cut in 0..=stream.len() {
            let (mut input, mut messages) = (Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                input.extend_from_slice(part);
                take_messages(&mut input, &mut messages, |id| id == 0x0102);
            }
            assert_eq!(messages, [vec![1, 2, 3], vec![1, 2]]);
            assert_eq!(input, [0, 5, 1]);
        }
    }

    // rule H6, D5
    #[test]
    fn a_turn_reads_as_much_as_one_buffer_takes_however_much_is_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut connection = DnsConnection::open(1, server, &SocketOptions::default(), None).unwrap();
        let mut stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        // Empty messages, as many as go into the buffers between.
        let (flood, mut length) = (vec![0; 1 << 16], 0);
        while let Ok(count) = stream.write(&flood) {
            length += count;
        }
        drop(stream);
        let (mut turns, mut buffer) = (0, vec![0; 65_535]);
        while connection.advance(&mut buffer).end.is_none() {
            assert!(connection.input.len() < 2);
            turns += 1;
        }
        assert!(turns >= length / 65_535, "{turns} turns for {length} octets");
    }
}
