//! One question on its way: its tries over UDP and TCP, and the further queries for CNAMEs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::deadline::{Deadline, Seconds};
use crate::dns::message::{Chain, Edns, QueryOutcome};
use crate::dns::stub::edns::{EdnsFailure, EdnsTry};
use crate::dns::stub::network::Network;
use crate::dns::stub::resolv_conf::Transport;
use crate::dns::stub::schedule::{LookupOrder, Resolved, Schedule, Try};
use crate::dns::stub::udp::{Departure, UdpTry};
use crate::dns::{AnswerSource, LookupError, Question};
use crate::limits::{MAX_DATAGRAMS_A_TURN, MAX_DNS_DATAGRAM};
use crate::wait::{Ready, Token, Wait};

/// One question on its way.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The number that its questions over TCP carry.
    pub(crate) number: usize,
    /// What the caller asked.
    pub(crate) question: Question,
    /// How many times it, or what it is an alias of, was sent.
    pub(crate) sent: u32,
    limit: Duration,
    deadline: Deadline,
    chain: Chain,
    servers: Vec<SocketAddr>,
    /// For each server, what has come of asking it with an OPT record.
    edns: Vec<EdnsTry>,
    schedule: Schedule,
    tries: Vec<UdpTry>,
}

/// A message or a failure that concerns one try.
#[derive(Debug)]
pub(crate) struct TryOutcome {
    /// The try.
    pub(crate) attempt: Try,
    /// How the query travelled.
    pub(crate) transport: Transport,
    /// Whether the query had an OPT record.
    pub(crate) edns: Edns,
    /// What came of it.
    pub(crate) reply: QueryOutcome,
}

impl TryOutcome {
    fn failure(udp: &UdpTry, why: String) -> Self {
        let reply = QueryOutcome::Failure(why);
        Self { attempt: udp.attempt, transport: Transport::Udp, edns: udp.query.edns(), reply }
    }
}

impl Lookup {
    /// The lookup of `question`, whose `limit` ends at `deadline`. [`Self::proceed`] sends what is due.
    pub(crate) fn new(
        question: Question,
        limit: Duration,
        deadline: Deadline,
        network: &mut Network,
        now: Instant,
    ) -> Self {
        let servers = network.servers(now);
        Self {
            number: network.fresh_number(),
            sent: 0,
            chain: Chain::new(question.name()),
            schedule: schedule(servers.len(), network, deadline, now),
            limit,
            deadline,
            edns: vec![EdnsTry::NotAsked; servers.len()],
            servers,
            question,
            tries: Vec::new(),
        }
    }

    /// The time at which [`Self::proceed`] has something to do.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.schedule.wake_at()
    }

    /// Waits for the answers over UDP.
    pub(crate) fn register<'a>(&'a self, wait: &mut Wait<'a>) {
        self.tries.iter().for_each(|attempt| attempt.register(wait));
    }

    /// The names that the answers went through.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Sends what is due; gives the result when the lookup has ended.
    pub(crate) fn proceed(
        &mut self,
        network: &mut Network,
        now: Instant,
    ) -> Option<Result<Resolved, LookupError>> {
        loop {
            self.note_silence(self.schedule.silent(now), network, now);
            match self.schedule.poll(now)? {
                LookupOrder::Ask(attempt) => self.ask(attempt, network.config.transport, network, now),
                LookupOrder::Finished(result) => return Some(result),
                LookupOrder::TimedOut => {
                    // However short the limit was: the next lookup had better begin with another one.
                    self.note_silence(self.schedule.unanswered(), network, now);
                    return Some(Err(self.timed_out()));
                }
            }
        }
    }

    /// Notes which servers have not answered, so that they are asked last from now on.
    fn note_silence(&self, silent: impl Iterator<Item = (usize, Instant)>, network: &Network, now: Instant) {
        for (index, asked) in silent {
            if let Some(server) = self.servers.get(index) {
                network.note_silence(*server, asked, now);
            }
        }
    }

    /// The error of a lookup that has reached its limit, with what each server that was asked has done.
    fn timed_out(&self) -> LookupError {
        let asked = self.servers.iter().zip(self.schedule.failures());
        let done = asked.filter_map(|(server, failure)| {
            let failure = failure?;
            Some(if failure.is_empty() {
                format!("{}: no usable answer", server.ip())
            } else {
                failure.to_owned()
            })
        });
        let servers = done.collect::<Vec<_>>().join("; ");
        LookupError::new(format!("no answer within {} ({servers})", Seconds(self.limit)))
    }

    /// Reads what has come over UDP.
    pub(crate) fn receive(&mut self, network: &mut Network, ready: &Ready, now: Instant) {
        let is_ready = |attempt: &&UdpTry| ready.contains(Token::Lookup(attempt.token));
        let tokens: Vec<usize> = self.tries.iter().filter(is_ready).map(|attempt| attempt.token).collect();
        for token in tokens {
            for _ in 0..MAX_DATAGRAMS_A_TURN {
                // An alias or an answer may have closed it.
                let Some(index) = self.tries.iter().position(|attempt| attempt.token == token) else { break };
                let Some(event) = self.tries.get(index).and_then(|attempt| self.event(attempt, network, now))
                else {
                    break;
                };
                if event.reply != QueryOutcome::Ignored {
                    self.tries.swap_remove(index);
                    self.handle(event, network, now);
                }
            }
        }
    }

    fn event(&self, udp: &UdpTry, network: &mut Network, now: Instant) -> Option<TryOutcome> {
        let buffer = &mut *network.buffer;
        let reply = match udp.receive(buffer) {
            Ok(length) => {
                let datagram = buffer.get(..length?).unwrap_or_default();
                match (datagram.len() > MAX_DNS_DATAGRAM, udp.query.decode(datagram, &self.chain)) {
                    // It goes on behind what was read.
                    (true, QueryOutcome::Malformed(_) | QueryOutcome::Answer(_) | QueryOutcome::Alias(_)) => {
                        QueryOutcome::Truncated
                    }
                    (_, reply) => reply,
                }
            }
            Err(error) => {
                if let Some(server) = self.servers.get(udp.attempt.server) {
                    network.note_unreachable(*server, &error, now);
                }
                return Some(TryOutcome::failure(udp, error.to_string()));
            }
        };
        Some(TryOutcome { attempt: udp.attempt, transport: Transport::Udp, edns: udp.query.edns(), reply })
    }

    /// Takes in what came of a try.
    pub(crate) fn handle(&mut self, event: TryOutcome, network: &mut Network, now: Instant) {
        let TryOutcome { attempt, transport, edns, reply } = event;
        let Some(server) = self.servers.get(attempt.server).copied() else { return };
        if !matches!(reply, QueryOutcome::Ignored | QueryOutcome::Failure(_)) {
            network.note_answer(server, now);
        }
        let Some(edns_try) = self.edns.get_mut(attempt.server) else { return };
        if let (Edns::With, Some(failure)) = (edns, EdnsFailure::of(&reply)) {
            // "A query with EDNS that fails in any way [...] is sent again without it" (rule H2): at once, before the failure
            // counts as the server's.
            if edns_try.handle_failure(failure) {
                self.ask(attempt, transport, network, now);
            }
            return;
        }
        if let Some(sign) = edns_try.handle_outcome(edns, &reply) {
            network.note_edns(server, sign, now);
        }
        match reply {
            QueryOutcome::Ignored => {}
            QueryOutcome::Truncated => match transport {
                Transport::Udp => self.ask(attempt, Transport::Tcp, network, now),
                Transport::Tcp => self.fail(attempt, "sent a truncated answer over TCP", now),
            },
            QueryOutcome::NoEdns(_)
            | QueryOutcome::ServerFailure(_)
            | QueryOutcome::Malformed(_)
            | QueryOutcome::Failure(_) => {
                self.fail(attempt, &reply.failure().unwrap_or_default(), now);
            }
            QueryOutcome::Answer(answer) => {
                let source = match transport {
                    Transport::Udp => AnswerSource::Udp(server),
                    Transport::Tcp => AnswerSource::Tcp(server),
                };
                self.schedule.handle_answer(attempt.server, Resolved { answer, source });
            }
            QueryOutcome::Alias(chain) => self.follow(chain, network, now),
        }
    }

    /// Ends the tries to servers that another socket has found to be unreachable: "what one socket learns of a server
    /// holds for all questions in flight to it".
    pub(crate) fn fail_unreachable(&mut self, network: &mut Network, now: Instant) {
        let Self { servers, tries, .. } = self;
        let why_of = |udp: &UdpTry| network.unreachable(*servers.get(udp.attempt.server)?, now);
        let events: Vec<TryOutcome> =
            tries.iter().filter_map(|udp| Some(TryOutcome::failure(udp, why_of(udp)?.to_owned()))).collect();
        tries.retain(|udp| why_of(udp).is_none());
        for event in events {
            self.handle(event, network, now);
        }
    }

    /// "CNAMEs [...] are followed [...] by further queries" (rule B8).
    fn follow(&mut self, chain: Chain, network: &mut Network, now: Instant) {
        self.chain = chain;
        self.tries.clear();
        network.forget(self.number);
        self.servers = network.servers(now);
        self.edns = vec![EdnsTry::NotAsked; self.servers.len()];
        self.schedule = schedule(self.servers.len(), network, self.deadline, now);
    }

    fn ask(&mut self, attempt: Try, transport: Transport, network: &mut Network, now: Instant) {
        let Some(server) = self.servers.get(attempt.server).copied() else { return };
        let Some(edns_try) = self.edns.get_mut(attempt.server) else { return };
        let edns = edns_try.next(network.edns(server, now));
        let question = Question::new(self.chain.name(), self.question.kind());
        let result = match transport {
            Transport::Udp => network.ask_udp(server, attempt, &question, edns, now).map(|udp| {
                let departure = udp.departure;
                self.tries.push(udp);
                match departure {
                    Departure::Sent => 1,
                    Departure::Lost => {
                        edns_try.forget(edns);
                        0
                    }
                }
            }),
            Transport::Tcp => network.ask_tcp(server, self.number, attempt, &question, edns),
        };
        match result {
            Ok(sent) => self.sent += sent,
            Err(error) => self.fail(attempt, &error.to_string(), now),
        }
    }

    fn fail(&mut self, attempt: Try, why: &str, now: Instant) {
        if let Some(server) = self.servers.get(attempt.server) {
            self.schedule.handle_failure(attempt, format!("{}: {why}", server.ip()), now);
        }
    }
}

fn schedule(servers: usize, network: &Network, deadline: Deadline, now: Instant) -> Schedule {
    Schedule::new(servers, network.rounds(), deadline, now)
}
