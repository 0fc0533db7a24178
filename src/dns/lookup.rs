//! One question on its way: its tries over UDP and TCP, and the further queries for CNAMEs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::dns::config::Transport;
use crate::dns::message::{Chain, Reply};
use crate::dns::network::Network;
use crate::dns::schedule::{Found, Order, Schedule, Try};
use crate::dns::udp::UdpTry;
use crate::dns::{AnswerSource, LookupError, Question};
use crate::wait::{Ready, Token, Wait};

/// How many datagrams are read from a socket before the others have their turn.
const DATAGRAMS_PER_TURN: usize = 16;

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
    schedule: Schedule,
    tries: Vec<UdpTry>,
}

/// A message or a failure that concerns one try.
#[derive(Debug)]
pub(crate) struct Event {
    /// The try.
    pub(crate) attempt: Try,
    /// How the query travelled.
    pub(crate) transport: Transport,
    /// What came of it.
    pub(crate) reply: Reply,
}

impl Lookup {
    /// The lookup of `question`, which ends after `limit`. [`Self::proceed`] sends what is due.
    pub(crate) fn new(question: Question, limit: Duration, network: &mut Network, now: Instant) -> Self {
        let (servers, deadline) = (network.servers(now), Deadline::after(now, limit));
        Self {
            number: network.fresh_number(),
            sent: 0,
            chain: Chain::new(question.name()),
            schedule: schedule(servers.len(), network, deadline, now),
            limit,
            deadline,
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
    ) -> Option<Result<Found, LookupError>> {
        loop {
            self.note_silence(self.schedule.silent(now), network, now);
            match self.schedule.poll(now)? {
                Order::Ask(attempt) => self.ask(attempt, network.config.transport, network, now),
                Order::Finished(result) => return Some(result),
                Order::TimedOut => {
                    // However short the limit was: the next lookup had better begin with another one.
                    self.note_silence(self.schedule.unanswered(), network, now);
                    return Some(Err(self.timed_out()));
                }
            }
        }
    }

    /// Has the servers that let the question go by asked last from now on.
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
        let told = asked.filter_map(|(server, failure)| {
            let failure = failure?;
            Some(if failure.is_empty() {
                format!("{}: no usable answer", server.ip())
            } else {
                failure.to_owned()
            })
        });
        let servers = told.collect::<Vec<_>>().join("; ");
        LookupError::new(format!("no answer within {:?} ({servers})", self.limit))
    }

    /// Reads what has come over UDP.
    pub(crate) fn receive(&mut self, network: &mut Network, ready: &Ready, now: Instant) {
        let is_ready = |attempt: &&UdpTry| ready.contains(Token::Lookup(attempt.token));
        let tokens: Vec<usize> = self.tries.iter().filter(is_ready).map(|attempt| attempt.token).collect();
        for token in tokens {
            for _ in 0..DATAGRAMS_PER_TURN {
                // An alias or an answer may have closed it.
                let Some(index) = self.tries.iter().position(|attempt| attempt.token == token) else { break };
                let Some(event) = self.tries.get(index).and_then(|attempt| self.event(attempt, network))
                else {
                    break;
                };
                if event.reply != Reply::Ignored {
                    self.tries.swap_remove(index);
                    self.handle(event, network, now);
                }
            }
        }
    }

    fn event(&self, udp: &UdpTry, network: &mut Network) -> Option<Event> {
        let reply = match udp.receive(&mut network.buffer) {
            Ok(length) => {
                let datagram = network.buffer.get(..length?).unwrap_or_default();
                udp.query.decode(datagram, &self.chain)
            }
            Err(error) => Reply::Failure(error.to_string()),
        };
        Some(Event { attempt: udp.attempt, transport: Transport::Udp, reply })
    }

    /// Takes in what came of a try.
    pub(crate) fn handle(&mut self, event: Event, network: &mut Network, now: Instant) {
        let Event { attempt, transport, reply } = event;
        let Some(server) = self.servers.get(attempt.server).copied() else { return };
        if !matches!(reply, Reply::Ignored | Reply::Failure(_)) {
            network.note_answer(server, now);
        }
        match reply {
            Reply::Ignored => {}
            Reply::Truncated => match transport {
                Transport::Udp => self.ask(attempt, Transport::Tcp, network, now),
                Transport::Tcp => self.fail(attempt, "sent a truncated answer over TCP", now),
            },
            Reply::NoEdns => {
                network.note_no_edns(server);
                self.ask(attempt, transport, network, now);
            }
            Reply::ServerFailure(code) => self.fail(attempt, &format!("answered {code}"), now),
            Reply::Malformed(why) => {
                self.fail(attempt, &format!("sent an answer that cannot be used: {why}"), now);
            }
            Reply::Failure(why) => self.fail(attempt, &why, now),
            Reply::Answer(answer) => {
                let source = match transport {
                    Transport::Udp => AnswerSource::Udp(server),
                    Transport::Tcp => AnswerSource::Tcp(server),
                };
                self.schedule.handle_answer(attempt.server, Found { answer, source });
            }
            Reply::Alias(chain) => self.follow(chain, network, now),
        }
    }

    /// "CNAMEs […] are followed […] by further queries" (spec B8).
    fn follow(&mut self, chain: Chain, network: &mut Network, now: Instant) {
        self.chain = chain;
        self.tries.clear();
        network.forget(self.number);
        self.servers = network.servers(now);
        self.schedule = schedule(self.servers.len(), network, self.deadline, now);
    }

    fn ask(&mut self, attempt: Try, transport: Transport, network: &mut Network, now: Instant) {
        let Some(server) = self.servers.get(attempt.server).copied() else { return };
        let question = Question::new(self.chain.name(), self.question.kind());
        let result = match transport {
            Transport::Udp => network.ask_udp(server, attempt, &question).map(|attempt| {
                self.tries.push(attempt);
                1
            }),
            Transport::Tcp => network.ask_tcp(server, self.number, attempt, &question),
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
    Schedule::new(servers, network.config.timeout, network.config.attempts, deadline, now)
}
