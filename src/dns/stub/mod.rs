//! The blocking stub resolver: the hosts file, the cache, and the name servers, on the caller's one wait (rules H).

mod edns;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod health;
pub(crate) mod hosts_file;
mod lookup;
mod network;
pub(crate) mod resolv_conf;
mod resolver;
pub(crate) mod schedule;
pub(crate) mod state;
pub(crate) mod system;
mod tcp;
mod udp;
#[cfg(windows)]
mod windows;

pub use self::resolver::StubResolver;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline::{Deadline, Seconds};
use crate::dns::cache::{Cache, Caching};
use crate::dns::message::QueryOutcome;
use crate::dns::stub::hosts_file::{HostsFile, Said};
use crate::dns::stub::lookup::{Lookup, TryOutcome};
use crate::dns::stub::network::Network;
use crate::dns::stub::resolv_conf::Transport;
use crate::dns::stub::schedule::Resolved;
use crate::dns::stub::state::ResolverState;
use crate::dns::stub::system::{Change, SystemConfig, SystemSettings};
use crate::dns::{
    Answer, AnswerSource, Finished, LookupError, LookupFacts, Question, RandomBits, RecordKind,
};
use crate::limits::LOOKUP_LIMIT;
use crate::proxy::Gateway;
use crate::settings::SocketOptions;
use crate::wait::{self, Ready, Token, Wait};

/// Why nothing can be asked through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The system knows no name server that the proxy could reach.
    NoServers(String),
    /// The proxy refuses the credentials.
    Refused(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServers(why) | Self::Refused(why) => formatter.write_str(why),
        }
    }
}

/// The stub resolver of a connector: what lasts over connects.
#[derive(Debug)]
pub(crate) struct Stub {
    state: Arc<ResolverState>,
}

impl Stub {
    /// A resolver that asks as `system` says, from sockets with the options `socket`.
    pub(crate) fn new(system: SystemConfig, caching: Caching, socket: SocketOptions) -> Self {
        Self { state: Arc::new(ResolverState::new(system, caching, socket)) }
    }

    /// The lookups of one connect. resolv.conf is read again here when it has changed. `limit` is that of one lookup, where
    /// the caller has set it.
    pub(crate) fn lookups(&self, random: RandomBits, limit: Option<Duration>) -> StubLookups {
        self.lookups_through(None, random, limit)
    }

    /// The same; with a `gateway`, everything goes through that proxy.
    pub(crate) fn lookups_through(
        &self,
        gateway: Option<Gateway>,
        random: RandomBits,
        limit: Option<Duration>,
    ) -> StubLookups {
        self.state.notice_sleep(wait::clocks());
        let (settings, exhaustion) = match self.state.system.current() {
            Ok((settings, Change::Unchanged)) => (settings, None),
            Ok((settings, Change::Changed)) => {
                self.state.clear();
                (settings, None)
            }
            Err(error) => {
                let problem = format!("cannot read the settings of the resolver ({error})");
                (SystemSettings::without_servers(problem), Some(error))
            }
        };
        let (settings, unusable) = match &gateway {
            Some(_) => self.state.system.through_proxy(settings),
            None => (settings, None),
        };
        let asked = gateway.as_ref().map(|gateway| format!("asked through the proxy {}", gateway.proxy()));
        let lacks_descriptors = exhaustion.is_some();
        let network = Network::new(settings.config, Arc::clone(&self.state), random, gateway);
        let usual = || network.longest_lookup().map_or(LOOKUP_LIMIT, |longest| longest.max(LOOKUP_LIMIT));
        StubLookups {
            limit: limit.unwrap_or_else(usual),
            network,
            problem: settings.problem.or(asked),
            exhaustion,
            // The lack of descriptors is the reason, and says more.
            unusable: unusable.filter(|_| !lacks_descriptors),
            hosts: HostsFile::new(self.state.system.hosts().map(Path::to_owned)),
            held: Vec::new(),
            generation: self.state.with_cache(|cache| cache.generation()),
            state: Arc::clone(&self.state),
            open: Vec::new(),
            done: VecDeque::new(),
            used: Vec::new(),
            now: None,
        }
    }

    /// The name servers, in order.
    pub(crate) fn servers(&self) -> Vec<SocketAddr> {
        match self.state.system.current() {
            Ok((settings, change)) => {
                if change == Change::Changed {
                    self.state.clear();
                }
                settings.config.servers.clone()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Forgets all answers.
    pub(crate) fn clear_cache(&self) {
        self.state.with_cache(Cache::clear);
    }
}

/// The lookups of one connect.
pub(crate) struct StubLookups {
    state: Arc<ResolverState>,
    network: Network,
    limit: Duration,
    /// Why the settings are not those of the system, or what all questions go through, for the error of a lookup.
    problem: Option<String>,
    exhaustion: Option<io::Error>,
    /// Why nobody can be asked through the proxy.
    unusable: Option<Unusable>,
    hosts: HostsFile,
    /// The questions that wait for what the hosts file says, each with the end of its limit.
    held: Vec<(Question, Deadline)>,
    generation: u64,
    open: Vec<Lookup>,
    done: VecDeque<Finished>,
    /// The questions whose answers stand in the cache and were used.
    used: Vec<Question>,
    now: Option<Instant>,
}

impl StubLookups {
    /// Starts to answer `questions`. All that goes out over UDP leaves before this returns; one that is being asked
    /// already is not asked twice.
    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        self.now = Some(now);
        for question in questions {
            let is_held = self.held.iter().any(|(held, _)| held == question);
            if !is_held && self.open.iter().all(|lookup| lookup.question != *question) {
                self.start(question, Deadline::after(now, self.limit), now);
            }
        }
        // Behind the questions that do not wait for it. Where it is small, all leave in this turn.
        self.read_hosts(now);
        self.network.close_idle();
    }

    /// When [`Self::advance`] is to be called even if no socket is ready.
    pub(crate) fn wake_at(&self) -> Deadline {
        let has_work = !self.done.is_empty() || !self.held.is_empty() || self.hosts.is_pending();
        if let Some(now) = self.now.filter(|_| has_work) {
            return now.into();
        }
        self.open.iter().map(Lookup::wake_at).min().unwrap_or(Deadline::NEVER)
    }

    /// Waits for the sockets.
    pub(crate) fn register<'a>(&'a self, wait: &mut Wait<'a>) {
        self.open.iter().for_each(|lookup| lookup.register(wait));
        self.network.register(wait);
    }

    /// Reads and writes what is ready, and sends what is due at `now`.
    pub(crate) fn advance(&mut self, ready: &Ready, now: Instant) {
        self.now = Some(now);
        for lookup in &mut self.open {
            lookup.receive(&mut self.network, ready, now);
        }
        for lookup in &mut self.open {
            lookup.fail_unreachable(&mut self.network, now);
        }
        for token in self.network.connection_tokens() {
            if ready.contains(Token::Lookup(token)) {
                self.advance_connection(token, now);
            }
        }
        let mut index = 0;
        while let Some(lookup) = self.open.get_mut(index) {
            match lookup.proceed(&mut self.network, now) {
                Some(result) => {
                    let lookup = self.open.remove(index);
                    self.finish(lookup, result, now);
                }
                None => index += 1,
            }
        }
        self.read_hosts(now);
        self.network.close_idle();
    }

    /// Whether every question has its result, and every result has been taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.held.is_empty() && self.done.is_empty()
    }

    /// Returns once that this machine has run out of sockets to ask with.
    pub(crate) fn take_exhaustion(&mut self) -> Option<io::Error> {
        self.exhaustion.take().or_else(|| self.network.take_exhaustion())
    }

    /// Returns once that no name server can be asked through the proxy.
    pub(crate) fn take_unusable(&mut self) -> Option<Unusable> {
        self.unusable.take()
    }

    /// The next result.
    pub(crate) fn take(&mut self) -> Option<Finished> {
        self.done.pop_front()
    }

    /// "A connect that ends without a connection removes every entry it used" (rule H4).
    pub(crate) fn forget_used(&mut self) {
        let used = std::mem::take(&mut self.used);
        self.state.with_cache(|cache| used.iter().for_each(|question| cache.remove(question)));
    }

    /// Starts the lookup of `question`, whose limit ends at `deadline`.
    fn start(&mut self, question: &Question, deadline: Deadline, now: Instant) {
        match self.hosts.answer(question) {
            Said::Answer(answer) => {
                return self.finish_at_once(question, Ok(answer), AnswerSource::HostsFile);
            }
            Said::NotYet if deadline.is_over(now) => return self.finish_late(question),
            Said::NotYet => return self.held.push((question.clone(), deadline)),
            Said::Nothing => {}
        }
        if let Some(answer) = self.state.with_cache(|cache| cache.answer(question, now)) {
            self.used.push(question.clone());
            return self.finish_at_once(question, Ok(answer), AnswerSource::Cache);
        }
        if deadline.is_over(now) {
            return self.finish_late(question);
        }
        let mut lookup = Lookup::new(question.clone(), self.limit, deadline, &mut self.network, now);
        match lookup.proceed(&mut self.network, now) {
            Some(result) => self.finish(lookup, result, now),
            None => self.open.push(lookup),
        }
    }

    /// Reads the next piece of the hosts file, and starts the lookups that waited for it. The file is read in turns like
    /// everything else, since people have files of a million lines.
    fn read_hosts(&mut self, now: Instant) {
        if let Err(error) = self.hosts.advance(&mut self.network.buffer) {
            let failure = LookupError::new(format!("cannot read the hosts file ({error})"));
            for (question, _) in std::mem::take(&mut self.held) {
                self.finish_at_once(&question, Err(failure.clone()), AnswerSource::Nobody);
            }
            self.exhaustion = Some(error);
        }
        // Those whose names are not known yet are held again, up to their limit.
        for (question, deadline) in std::mem::take(&mut self.held) {
            self.start(&question, deadline, now);
        }
    }

    /// `why` a lookup failed, and what is wrong with the settings by which it did.
    fn explained(&self, why: String) -> String {
        let parts = [Some(why).filter(|why| !why.is_empty()), self.problem.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// `question` has waited for the hosts file up to its limit.
    fn finish_late(&mut self, question: &Question) {
        let why = format!("no answer within {} (reading the hosts file takes longer)", Seconds(self.limit));
        self.finish_at_once(question, Err(LookupError::new(why)), AnswerSource::Nobody);
    }

    fn finish_at_once(
        &mut self,
        question: &Question,
        result: Result<Answer, LookupError>,
        source: AnswerSource,
    ) {
        self.done.push_back((question.clone(), result, LookupFacts { source, tries: 0 }));
    }

    fn finish(&mut self, lookup: Lookup, result: Result<Resolved, LookupError>, now: Instant) {
        self.network.forget(lookup.number);
        let question = lookup.question;
        let (result, source) = match result {
            Ok(Resolved { mut answer, source }) => {
                if question.kind() == RecordKind::Srv {
                    self.hosts.check_hints(&mut answer, &mut self.network.buffer);
                }
                self.state.with_cache(|cache| cache.store(self.generation, &question, &answer, now));
                self.used.push(question.clone());
                (Ok(answer), source)
            }
            Err(error) => {
                let why = self.explained(error.message().to_owned());
                (Err(LookupError::new(why)), AnswerSource::Nobody)
            }
        };
        self.done.push_back((question, result, LookupFacts { source, tries: lookup.sent }));
    }

    fn advance_connection(&mut self, token: usize, now: Instant) {
        let Some((connection, buffer)) = self.network.connection_and_buffer(token) else { return };
        let turn = connection.advance(buffer);
        let refusal = connection.refusal.take();
        for message in turn.messages {
            self.handle_message(token, &message, now);
        }
        let Some(why) = turn.end else { return };
        if let Some(refusal) = refusal {
            let message = format!("no name server can be asked through the proxy: {refusal}");
            self.unusable = Some(Unusable::Refused(message));
        }
        for pending in self.network.close(token) {
            let event = TryOutcome {
                attempt: pending.attempt,
                transport: Transport::Tcp,
                edns: pending.query.edns(),
                reply: QueryOutcome::Failure(format!("TCP: {why}")),
            };
            if let Some(lookup) = self.open.iter_mut().find(|lookup| lookup.number == pending.lookup) {
                lookup.handle(event, &mut self.network, now);
            }
        }
    }

    /// Hands a message that came over TCP to the lookup whose question it answers; another one is passed over.
    fn handle_message(&mut self, token: usize, message: &[u8], now: Instant) {
        let Some(connection) = self.network.connection(token) else { return };
        let Some(index) = connection.pending_of(message) else { return };
        let Some(pending) = connection.pending.get(index) else { return };
        let Some(lookup) = self.open.iter_mut().find(|lookup| lookup.number == pending.lookup) else {
            return;
        };
        let reply = pending.query.decode(message, lookup.chain());
        if reply == QueryOutcome::Ignored {
            return;
        }
        let pending = connection.take_answered(index);
        let event = TryOutcome {
            attempt: pending.attempt,
            transport: Transport::Tcp,
            edns: pending.query.edns(),
            reply,
        };
        lookup.handle(event, &mut self.network, now);
    }
}

impl fmt::Debug for StubLookups {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StubLookups")
            .field("open", &self.open)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
