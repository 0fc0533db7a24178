//! What the lookups of one connect share: settings, numbers, what is known of the servers, and their TCP connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::dns::message::{Edns, Query};
use crate::dns::stub::edns::EdnsSign;
use crate::dns::stub::resolv_conf::{ResolverConfig, ServerOrder};
use crate::dns::stub::schedule::{Rounds, Try};
use crate::dns::stub::state::ResolverState;
use crate::dns::stub::tcp::{DnsConnection, Pending};
use crate::dns::stub::udp::UdpTry;
use crate::dns::{LookupError, Question, RandomBits};
use crate::limits::{MAX_DNS_DATAGRAM, UNREACHABLE_SERVER_TIME};
use crate::proxy::Gateway;
use crate::socket;
use crate::wait::Wait;

/// What the lookups of one connect share.
pub(crate) struct Network {
    /// The settings.
    pub(crate) config: Arc<ResolverConfig>,
    /// Where sockets read to.
    pub(crate) buffer: Vec<u8>,
    state: Arc<ResolverState>,
    random: RandomBits,
    exhaustion: Option<io::Error>,
    last_number: usize,
    unreachable: Vec<(SocketAddr, Instant, String)>,
    connections: Vec<DnsConnection>,
    /// What all questions go through.
    gateway: Option<Gateway>,
}

impl Network {
    /// No connection yet. With a proxy, the configuration asks over TCP only.
    pub(crate) fn new(
        config: Arc<ResolverConfig>,
        state: Arc<ResolverState>,
        random: RandomBits,
        gateway: Option<Gateway>,
    ) -> Self {
        Self {
            config,
            // One octet more shows that a datagram is longer.
            buffer: vec![0; MAX_DNS_DATAGRAM + 1],
            state,
            random,
            exhaustion: None,
            last_number: 0,
            unreachable: Vec::new(),
            connections: Vec::new(),
            gateway,
        }
    }

    /// A number that no socket and no lookup of this connect has had.
    pub(crate) fn fresh_number(&mut self) -> usize {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }

    /// The servers in the order in which a lookup that begins now asks them.
    pub(crate) fn servers(&self, now: Instant) -> Vec<SocketAddr> {
        let servers = &self.config.servers;
        let first = match self.config.order {
            ServerOrder::AsListed => 0,
            ServerOrder::Rotating => self.state.next_rotation().checked_rem(servers.len()).unwrap_or(0),
        };
        let rotated = servers.iter().cycle().skip(first).take(servers.len()).copied();
        self.state.with_health(|health| health.order(rotated, now))
    }

    /// `server` has answered something.
    pub(crate) fn note_answer(&self, server: SocketAddr, now: Instant) {
        self.state.with_health(|health| health.handle_answer(server, now));
    }

    /// `server` has not answered a question of `asked`.
    pub(crate) fn note_silence(&self, server: SocketAddr, asked: Instant, now: Instant) {
        self.state.with_health(|health| health.handle_silence(server, asked, now));
    }

    /// An answer of `server` is a sign of its EDNS.
    pub(crate) fn note_edns(&self, server: SocketAddr, sign: EdnsSign, now: Instant) {
        self.state.with_health(|health| health.handle_edns(server, sign, now));
    }

    /// Whether a question to `server` begins with an OPT record.
    pub(crate) fn edns(&self, server: SocketAddr, now: Instant) -> Edns {
        // Who is asked once only cannot be asked again without.
        if self.config.attempts <= 1 {
            return Edns::Without;
        }
        self.state.with_health(|health| health.edns(server, now))
    }

    /// Notes that no question reaches `server` over UDP, by an ICMP message to one socket. The others may get none: those
    /// who send such messages limit how many.
    pub(crate) fn note_unreachable(&mut self, server: SocketAddr, error: &io::Error, now: Instant) {
        if !socket::is_exhaustion(error) {
            self.unreachable.retain(|(known, ..)| *known != server);
            self.unreachable.push((server, now, error.to_string()));
        }
    }

    /// Returns why no question reaches `server` over UDP, if an ICMP message has said so within the last second.
    pub(crate) fn unreachable(&self, server: SocketAddr, now: Instant) -> Option<&str> {
        let (_, noted, why) = self.unreachable.iter().find(|(known, ..)| *known == server)?;
        (!Deadline::after(*noted, UNREACHABLE_SERVER_TIME).is_over(now)).then_some(why)
    }

    /// How often the servers are asked.
    pub(crate) fn rounds(&self) -> Rounds {
        self.config.rounds()
    }

    /// The limit that a lookup needs to ask as the settings say, where that is more than usual.
    pub(crate) fn longest_lookup(&self) -> Option<Duration> {
        self.rounds().longest(self.config.servers.len())
    }

    /// Asks `server` over UDP.
    ///
    /// # Errors
    /// The question cannot be sent, for example because there are no more sockets.
    pub(crate) fn ask_udp(
        &mut self,
        server: SocketAddr,
        attempt: Try,
        question: &Question,
        edns: Edns,
        now: Instant,
    ) -> Result<UdpTry, LookupError> {
        if let Some(why) = self.unreachable(server, now) {
            return Err(LookupError::new(why));
        }
        // Never past the proxy, whatever the configuration says.
        if self.gateway.is_some() {
            return Err(LookupError::new("UDP does not go through the proxy"));
        }
        let query = Query::new(question, self.random_id(), edns, self.config.validation)?;
        let token = self.fresh_number();
        let sent = UdpTry::send(token, attempt, server, &self.state.socket, query);
        sent.map_err(|error| self.note_failure(error))
    }

    /// Asks `server` over TCP, over the connection that is open already if there is one. Returns how often the question
    /// was sent for that: not at all when it is on its way.
    ///
    /// # Errors
    /// The question cannot be sent, for example because there are no more sockets.
    pub(crate) fn ask_tcp(
        &mut self,
        server: SocketAddr,
        lookup: usize,
        attempt: Try,
        question: &Question,
        edns: Edns,
    ) -> Result<u32, LookupError> {
        let index = match self.connections.iter().position(|connection| connection.server == server) {
            Some(index) => index,
            None => self.open(server)?,
        };
        let mut id = self.random_id();
        let Some(connection) = self.connections.get_mut(index) else { return Ok(0) };
        let is_same = |pending: &&mut Pending| pending.lookup == lookup && pending.query.edns() == edns;
        if let Some(pending) = connection.pending.iter_mut().find(is_same) {
            // It is on its way, and a stream loses nothing.
            pending.attempt = attempt;
            return Ok(0);
        }
        while connection.has_id(id) {
            id = id.wrapping_add(1);
        }
        let query = Query::new(question, id, edns, self.config.validation)?;
        if let Some(connection) = self.connections.get_mut(index) {
            connection.ask(Pending { lookup, attempt, query });
        }
        Ok(1)
    }

    /// Waits for the connections.
    pub(crate) fn register<'a>(&'a self, wait: &mut Wait<'a>) {
        for connection in &self.connections {
            connection.register(wait);
        }
    }

    /// The numbers of the connections.
    pub(crate) fn connection_tokens(&self) -> Vec<usize> {
        self.connections.iter().map(|connection| connection.token).collect()
    }

    /// The connection of this number.
    pub(crate) fn connection(&mut self, token: usize) -> Option<&mut DnsConnection> {
        self.connections.iter_mut().find(|connection| connection.token == token)
    }

    /// The connection of this number and the buffer to read to.
    pub(crate) fn connection_and_buffer(&mut self, token: usize) -> Option<(&mut DnsConnection, &mut [u8])> {
        let connection = self.connections.iter_mut().find(|connection| connection.token == token)?;
        Some((connection, &mut self.buffer))
    }

    /// Takes out the connection of this number, which has ended, and gives back the questions that have failed with it.
    pub(crate) fn close(&mut self, token: usize) -> Vec<Pending> {
        let Some(index) = self.connections.iter().position(|connection| connection.token == token) else {
            return Vec::new();
        };
        let ended = self.connections.swap_remove(index);
        if ended.pending.is_empty() || !ended.may_be_renewed() {
            return ended.pending;
        }
        match self.open(ended.server).ok().and_then(|index| self.connections.get_mut(index)) {
            Some(connection) => {
                ended.pending.into_iter().for_each(|pending| connection.ask(pending));
                Vec::new()
            }
            None => ended.pending,
        }
    }

    /// Nothing is asked for `lookup` any more.
    pub(crate) fn forget(&mut self, lookup: usize) {
        for connection in &mut self.connections {
            connection.pending.retain(|pending| pending.lookup != lookup);
        }
    }

    /// Closes the connections that nobody waits for.
    pub(crate) fn close_idle(&mut self) {
        self.connections.retain(|connection| !connection.pending.is_empty());
    }

    fn open(&mut self, server: SocketAddr) -> Result<usize, LookupError> {
        let token = self.fresh_number();
        let connection = DnsConnection::open(token, server, &self.state.socket, self.gateway.as_ref());
        let connection = connection.map_err(|error| self.note_failure(error))?;
        self.connections.push(connection);
        Ok(self.connections.len() - 1)
    }

    /// A socket cannot be had. When that is for want of descriptors, no other server can be asked either.
    fn note_failure(&mut self, error: io::Error) -> LookupError {
        let why = LookupError::new(error.to_string());
        if socket::is_exhaustion(&error) {
            self.exhaustion = Some(error);
        }
        why
    }

    /// Returns once that this machine has run out of sockets.
    pub(crate) fn take_exhaustion(&mut self) -> Option<io::Error> {
        self.exhaustion.take()
    }

    /// "A fresh random id for each try" (rule H1).
    fn random_id(&self) -> u16 {
        u16::try_from((self.random)() & u64::from(u16::MAX)).unwrap_or_default()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Network")
            .field("config", &self.config)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
