//! Plan: the decisions of one connect: what to look up, what to dial when, and how it ends. No IO.
//!
//! Time, answers and events of attempts are passed to `handle_*`; [`Plan::poll`] returns what to do next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::dial::history::History;
use crate::dial::race::{Race, RaceOrder};
use crate::discovery::answers::SrvAnswers;
use crate::discovery::{Candidate, Discovered, Origin};
use crate::dns::{Question, RecordKind};
use crate::domain::{Domain, Host, SpecialUse};
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::report::{AttemptOutcome, EventKind};
use crate::service::TlsMode;
use crate::settings::{DnsUse, Family, Policy, Settings};
use crate::target::Server;

pub(crate) use self::orders::{DiscoveryOrder, Order, Route};

use self::questions::Questions;
use self::timeline::Timeline;

mod addresses;
mod dane;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod orders;
mod outcome;
mod questions;
#[cfg(any(test, fuzzing))]
mod simulation;
#[cfg(test)]
mod tests;
mod timeline;

/// How many of the candidates are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// None yet.
    Discovering,
    /// Those of one SRV answer, which are dialled; the other answer is missing.
    HalfKnown,
    /// All.
    Known,
}

/// One connect.
pub(crate) struct Plan {
    /// The domain to connect to. The stream header, SNI and the certificate check always use it.
    domain: Domain,
    route: Route,
    settings: Arc<Settings>,
    chance: Chance,
    routes: Routes,
    started: Instant,
    /// When the total limit started: with the connect, and again whenever the caller goes on.
    limit_from: Instant,
    phase: Phase,
    /// Whether the connect has ended. It can be resumed.
    is_over: bool,
    srv: SrvAnswers,
    questions: Questions,
    /// Addresses from the additional sections of SRV answers, for targets of the same answers.
    hints: Vec<(Host, IpAddr)>,
    /// Why SRV records were ignored, a sentence each.
    left_out_records: Vec<String>,
    race: Race,
    /// `None`: TLSA records do not count.
    update_tlsa: Option<UpdateTlsa>,
    timeline: Timeline,
    notes: Vec<String>,
    /// The error with which the connect ends now, decided outside the race.
    verdict: Option<Error>,
    /// The server that the caller wants to be tried first.
    preferred: Option<Candidate>,
    /// The error if that server fails, because discovery has found no other.
    without_servers: Option<Error>,
    /// The error once nothing is in flight any more, because this machine has run out of sockets.
    exhaustion: Option<Error>,
}

/// The source of random numbers: returns a number from 0 up to, not including, the argument.
pub(crate) type Chance = Box<dyn FnMut(u64) -> u64 + Send + Sync>;

/// [`Plan::update_tlsa`]. Only programs that set DANE name it, and link it.
pub(crate) type UpdateTlsa = fn(&mut Plan, Instant);

/// Returns the source address with which this machine would reach an address; `None` if it has no route.
pub(crate) type Routes = Box<dyn Fn(IpAddr) -> Option<IpAddr> + Send + Sync>;

impl Plan {
    /// A connect that starts now.
    pub(crate) fn new(
        domain: Domain,
        route: Route,
        settings: Arc<Settings>,
        chance: Chance,
        routes: Routes,
        update_tlsa: Option<UpdateTlsa>,
        now: Instant,
    ) -> Self {
        let mut plan = Self {
            update_tlsa,
            race: Race::new(Arc::clone(&settings), now),
            questions: Questions::default(),
            domain,
            route,
            settings,
            chance,
            routes,
            started: now,
            limit_from: now,
            phase: Phase::Discovering,
            is_over: false,
            srv: SrvAnswers::default(),
            hints: Vec::new(),
            left_out_records: Vec::new(),
            timeline: Timeline::new(now),
            notes: Vec::new(),
            verdict: None,
            preferred: None,
            without_servers: None,
            exhaustion: None,
        };
        plan.begin(now);
        plan
    }

    /// Finds the TLSA records of the candidates, if they count.
    fn know_tlsa(&mut self, now: Instant) {
        if let Some(update_tlsa) = self.update_tlsa {
            update_tlsa(self, now);
        }
    }

    /// Sets which addresses the caller allows. That does not apply to a stream that the caller has connected.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        if !matches!(self.route, Route::Connected { .. }) {
            self.race.set_filter(filter);
        }
    }

    /// Sets what earlier connects have shown about addresses. That does not apply to a stream that the caller has
    /// connected.
    pub(crate) fn set_history(&mut self, history: History) {
        if !matches!(self.route, Route::Connected { .. }) {
            self.race.set_history(history);
        }
    }

    fn begin(&mut self, now: Instant) {
        match self.route.clone() {
            Route::Domain => self.begin_discovery(&self.domain.host().clone(), now),
            Route::OtherHost(host) => self.begin_discovery(&host, now),
            Route::Given { candidates, .. } if candidates.is_empty() => {
                let message = format!("no server of {} is left to connect to", self.domain);
                self.verdict = Some(Error::new(ErrorKind::Attempts, message));
            }
            Route::Given { candidates, .. } => {
                self.phase = Phase::Known;
                self.race.give_candidates(candidates, now);
                self.record_candidates(now);
            }
            Route::Explicit(Server { host, port, tls }) => match self.why_unusable(&host) {
                Some(error) => self.verdict = Some(error),
                None => self.use_only(Candidate::single(tls, host, port, Origin::Explicit), now),
            },
            Route::Prefer(Server { host, port, tls }) => {
                match self.why_unusable(&host) {
                    Some(error) => self.note(format!("{host} was ignored: {error}"), now),
                    None => {
                        self.preferred = Some(Candidate::single(tls, host, port, Origin::Preferred));
                        self.set_candidates(Vec::new(), now);
                    }
                }
                self.begin_discovery(&self.domain.host().clone(), now);
            }
            Route::Connected { peer, tls } => {
                self.use_only(
                    Candidate::single(tls, Host::Address(peer.ip()), peer.port(), Origin::Explicit),
                    now,
                );
            }
        }
    }

    /// Why the host cannot be used: nobody can look up its name, or it is an address of an excluded family.
    fn why_unusable(&self, host: &Host) -> Option<Error> {
        let is_nameless = match host.special_use() {
            SpecialUse::Invalid => true,
            SpecialUse::Onion => !self.settings.dns_use.leaves_names(),
            SpecialUse::None | SpecialUse::Loopback | SpecialUse::MulticastDns => false,
        };
        if is_nameless {
            return Some(Error::new(ErrorKind::InvalidDomain, outcome::no_dns(host)));
        }
        let Host::Address(address) = host else { return None };
        let is_excluded = !self.settings.family.uses(Family::of(*address));
        let message = || format!("the options exclude the address family of {host}");
        is_excluded.then(|| Error::new(ErrorKind::Configuration, message()))
    }

    /// Ends a discovery that has found no server. The connect ends too, unless there is a preferred server.
    fn end_discovery(&mut self, error: Error) {
        self.phase = Phase::Known;
        if self.preferred.is_some() {
            self.without_servers = Some(error);
        } else {
            self.verdict = Some(error);
        }
    }

    /// Queues the SRV questions that the policy allows. Hosts without SRV records get their candidate at once.
    fn begin_discovery(&mut self, host: &Host, now: Instant) {
        if let Some(error) = self.why_unusable(host) {
            return self.end_discovery(error);
        }
        if let Host::Address(_) = host {
            return self.use_default_port(host, Origin::Address, now);
        }
        let is_in_dns = !matches!(host.special_use(), SpecialUse::Loopback | SpecialUse::Onion);
        if !is_in_dns || self.settings.dns_use == DnsUse::Nothing {
            return self.use_default_port(host, Origin::Fallback, now);
        }
        for tls in [TlsMode::Direct, TlsMode::StartTls] {
            if !self.settings.policy.allows(tls) {
                continue;
            }
            let name = host.srv_name(self.settings.service.srv_prefix(tls));
            let question = name.map(|name| Question::new(&name, RecordKind::Srv));
            if let Some(question) = &question {
                self.questions.want(question.clone());
            }
            self.srv.add(tls, question, now);
        }
    }

    /// Uses the host itself, STARTTLS and the default port (RFC 6120 section 3.2.2).
    fn use_default_port(&mut self, host: &Host, origin: Origin, now: Instant) {
        if self.settings.policy == Policy::DirectOnly {
            return self.end_discovery(Error::new(
                ErrorKind::Configuration,
                format!(
                    "direct TLS to {host} requires a port, and only SRV records have one; use connect_to"
                ),
            ));
        }
        let port = self.settings.service.fallback_port();
        self.use_only(Candidate::single(TlsMode::StartTls, host.clone(), port, origin), now);
    }

    fn use_only(&mut self, candidate: Candidate, now: Instant) {
        self.phase = Phase::Known;
        self.set_candidates(vec![candidate], now);
    }

    /// Goes on after the end: with what is left to try, and a new total limit. Nothing that was answered is asked again.
    pub(crate) fn resume(&mut self, now: Instant) {
        if !self.is_over {
            // The caller's code has panicked in the middle of the connect, which has closed all sockets.
            self.race.abandon(now);
            self.record_ends(now);
        }
        self.is_over = false;
        self.limit_from = now;
        self.exhaustion = None;
        self.questions.ask_again();
        self.race.resume(now);
    }

    /// Returns what to do next. Call it until it returns `None`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Order> {
        if self.is_over {
            return None;
        }
        let has_enough = self.srv.enough_from().is_over(now);
        if let Some(error) = self.poll_verdict(has_enough, now) {
            return Some(Order::Failed(error));
        }
        if matches!(self.phase, Phase::Discovering) && !self.settings.dns_use.leaves_names() {
            // For the fallback, and for a target equal to the domain.
            self.want_addresses(&self.discovered_host().clone());
        }
        self.know_tlsa(now);
        if let Some(order) = self.race_order(now) {
            return Some(order);
        }
        // The questions that belong to those of the race.
        self.know_tlsa(now);
        // The attempts in flight may still succeed, and need no more sockets.
        if !self.race.is_in_flight()
            && let Some(error) = self.exhaustion.take()
        {
            return Some(Order::Failed(self.fail(error, now)));
        }
        self.due_questions(now).map(Order::Ask)
    }

    /// Returns what to do next in a discovery; called instead of [`Self::poll`] when something has happened, or the
    /// total limit has expired.
    pub(crate) fn poll_discovery(&mut self, now: Instant) -> Option<DiscoveryOrder> {
        if self.is_over {
            return None;
        }
        if let Some(error) = self.poll_verdict(false, now) {
            return Some(DiscoveryOrder::Finished(Err(error)));
        }
        match (self.exhaustion.take(), self.phase) {
            (Some(error), _) => Some(DiscoveryOrder::Finished(Err(self.fail(error, now)))),
            (None, Phase::Known) => {
                self.is_over = true;
                Some(DiscoveryOrder::Finished(Ok(Box::new(self.report(now)))))
            }
            (None, _) => self.due_questions(now).map(DiscoveryOrder::Ask),
        }
    }

    /// Uses the SRV answers, and returns the error if they or the total limit end the connect.
    fn poll_verdict(&mut self, has_enough: bool, now: Instant) -> Option<Error> {
        self.discover(has_enough, now);
        let is_late = self.total().is_over(now) && !self.race.is_won();
        let verdict = match self.verdict.take() {
            // "The total limit takes precedence over the list" (rule D5), and over a lookup that ends at the same time.
            Some(error) if is_late && error.kind() == ErrorKind::Lookup => self.timed_out(),
            Some(error) => error,
            None if is_late => self.timed_out(),
            None => return None,
        };
        Some(self.fail(verdict, now))
    }

    /// When [`Self::poll`] must be called even if nothing happens.
    pub(crate) fn wake_at(&self, now: Instant) -> Deadline {
        let half_known = match self.phase {
            Phase::Discovering => self.srv.enough_from(),
            Phase::HalfKnown | Phase::Known => Deadline::NEVER,
        };
        self.total().min(half_known).min(self.race.wake_at(now))
    }

    /// The limit of the whole connect.
    pub(crate) fn total(&self) -> Deadline {
        Deadline::after(self.limit_from, self.settings.limits.total)
    }

    /// Turns the SRV answers into candidates, once both are there or one is enough.
    fn discover(&mut self, has_enough: bool, now: Instant) {
        let complete = self.srv.is_complete();
        match self.phase {
            Phase::Discovering | Phase::HalfKnown if complete => self.phase = Phase::Known,
            Phase::Discovering if has_enough => self.phase = Phase::HalfKnown,
            Phase::Discovering | Phase::HalfKnown | Phase::Known => return,
        }
        match self.srv.merged() {
            Discovered::Candidates(candidates) => self.set_candidates(candidates, now),
            Discovered::Fallback => {
                let host = self.discovered_host().clone();
                let port = self.settings.service.fallback_port();
                self.set_candidates(
                    vec![Candidate::single(TlsMode::StartTls, host, port, Origin::Fallback)],
                    now,
                );
            }
            Discovered::NotOffered => self.end_discovery(self.not_offered()),
            Discovered::NotOfferedAndFailed => self.end_discovery(self.not_offered_and_failed()),
            Discovered::Failed => self.end_discovery(self.lookup_failed()),
        }
    }

    /// The host whose SRV records are used.
    fn discovered_host(&self) -> &Host {
        match &self.route {
            Route::OtherHost(host) => host,
            Route::Domain
            | Route::Given { .. }
            | Route::Explicit(_)
            | Route::Prefer(_)
            | Route::Connected { .. } => self.domain.host(),
        }
    }

    /// Passes these candidates, and the preferred one, to the race.
    fn set_candidates(&mut self, mut candidates: Vec<Candidate>, now: Instant) {
        if let Some(preferred) = &self.preferred {
            let is_it = |candidate: &Candidate| candidate.is_same_server(preferred);
            let is_proved =
                candidates.iter().any(|candidate| is_it(candidate) && candidate.is_authenticated());
            candidates.retain(|candidate| !is_it(candidate));
            candidates.push(preferred.clone().authenticated(is_proved));
        }
        self.race.set_candidates(candidates, &mut self.chance, now);
        self.record_candidates(now);
        self.use_hints(now);
    }

    fn race_order(&mut self, now: Instant) -> Option<Order> {
        if self.race.contenders.candidates().len() == 0 {
            return None;
        }
        loop {
            let order = self.race.poll(now);
            self.record_ends(now);
            return match order? {
                RaceOrder::LookUp(host) => {
                    self.look_up(&host, now);
                    continue;
                }
                RaceOrder::Start { id, candidate, destination } => {
                    let (attempt, of, to) = (id.0, candidate.clone().with_tlsa(None), destination.clone());
                    let started = EventKind::Started { attempt, candidate: of, destination: to };
                    self.timeline.record(now, started);
                    Some(Order::Start { id, candidate, destination })
                }
                RaceOrder::Close(id) => Some(Order::Close(id)),
                RaceOrder::Won(id) => {
                    let outcome = AttemptOutcome::Connected;
                    self.timeline.record(now, EventKind::Ended { attempt: id.0, outcome });
                    self.is_over = true;
                    Some(Order::Connected(id, self.report(now)))
                }
                // The other SRV answer may bring more.
                RaceOrder::Lost if matches!(self.phase, Phase::Discovering | Phase::HalfKnown) => None,
                RaceOrder::Lost => {
                    let error = self.exhaustion.take().or_else(|| self.without_servers.take());
                    let error = error.unwrap_or_else(|| self.lost());
                    Some(Order::Failed(self.fail(error, now)))
                }
            };
        }
    }

    /// Ends the connect with this error, which gets the report.
    pub(crate) fn fail(&mut self, error: Error, now: Instant) -> Error {
        self.race.abandon(now);
        self.record_ends(now);
        self.is_over = true;
        error.with_report(self.report(now))
    }
}
