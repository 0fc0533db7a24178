//! A simulated world in which whole plans run: DNS, peers, and a clock that needs no waiting. No IO.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "code of tests")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Chance, Plan, Route};
use crate::deadline::{Deadline, Seconds};
use crate::dial::history::History;
use crate::dial::{AttemptEvent, AttemptId, Destination, Reach, Stage};
use crate::discovery::Candidate;
use crate::dns::{Answer, AnswerSource, LookupError, LookupFacts, Question, RecordKind};
use crate::domain::{Domain, Host, SpecialUse};
use crate::error::ErrorKind;
use crate::filter::Filter;
use crate::limits::{LOOKUP_LIMIT, MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_QUESTIONS};
use crate::service::TlsMode;
use crate::settings::Settings;
use crate::wait;

use self::played::Ordered;
pub(super) use self::played::{Outcome, Played};
use self::script::{ScriptedAnswer, ScriptedStep};

pub(super) mod checks;
mod played;
pub(super) mod random;
mod script;

/// A scripted world for a plan.
pub(super) struct World {
    domain: Domain,
    route: Route,
    pub(super) settings: Settings,
    /// Whether only the servers are found, without connecting.
    is_discovery: bool,
    chance: Chance,
    /// The addresses of this machine, at most one of each family: the families that it has a route for.
    sources: Vec<IpAddr>,
    /// The answer to each question, and its delay.
    answers: HashMap<String, (Duration, ScriptedAnswer)>,
    /// By where the attempt goes: `address:port` or `name:port`.
    peers: HashMap<String, Vec<ScriptedStep>>,
    cancelled: Option<Duration>,
    pub(super) filter: Option<Filter>,
    pub(super) history: History,
    /// How long the caller keeps each connection before going on, and why it rejects it.
    going_on: Vec<(Duration, String)>,
    lookup_limit: Duration,
    /// Whether the plan is also polled before the time of its `wake_at`.
    nosy: bool,
}

impl World {
    /// Parses a world in the format of `src/plan/plays/README.md`. The random source always returns 0.
    pub(super) fn read(text: &str) -> Self {
        let mut world = Self {
            domain: Domain::new("example.org").unwrap(),
            route: Route::Domain,
            settings: Settings::default(),
            is_discovery: false,
            chance: Box::new(|_| 0),
            // Such that no address is preferred.
            sources: vec![Ipv6Addr::from(1 << 96).into(), Ipv4Addr::new(192, 0, 2, 254).into()],
            answers: HashMap::new(),
            peers: HashMap::new(),
            cancelled: None,
            filter: None,
            history: History::default(),
            going_on: Vec::new(),
            lookup_limit: LOOKUP_LIMIT,
            nosy: true,
        };
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .for_each(|line| world.read_line(line));
        world
    }

    /// The random source.
    pub(super) fn random(mut self, chance: impl FnMut(u64) -> u64 + Send + Sync + 'static) -> Self {
        self.chance = Box::new(chance);
        self
    }

    /// Polls the plan only at the time of its `wake_at`.
    pub(super) fn patient(mut self) -> Self {
        self.nosy = false;
        self
    }

    /// Runs the plan to its end.
    pub(super) fn play(self) -> Played {
        let start = wait::now();
        let settings = Arc::new(self.settings);
        let (leaves_names, total) = (settings.dns_use.leaves_names(), settings.limits.total);
        let sources = self.sources;
        let routes = Box::new(move |destination: IpAddr| {
            let is_usable = |source: &&IpAddr| source.is_ipv4() == destination.is_ipv4();
            if destination.is_loopback() {
                Some(destination)
            } else {
                sources.iter().find(is_usable).copied()
            }
        });
        let tlsa: Option<super::UpdateTlsa> = if settings.dane { Some(Plan::update_tlsa) } else { None };
        let mut plan = Plan::new(self.domain, self.route, settings, self.chance, routes, tlsa, start);
        if let Some(filter) = self.filter {
            plan.set_filter(filter);
        }
        plan.set_history(self.history);
        let mut play = Play {
            plan,
            is_discovery: self.is_discovery,
            leaves_names,
            start,
            now: start,
            lookup_limit: self.lookup_limit,
            answers: self.answers,
            peers: self.peers,
            events: Vec::new(),
            log: Vec::new(),
            asked: Vec::new(),
            outstanding: Vec::new(),
            given: Vec::new(),
            started: Vec::new(),
            started_before: 0,
            in_flight: Vec::new(),
            verified: Vec::new(),
            deadline: Deadline::after(start, total),
            dropped: Vec::new(),
        };
        if let Some(after) = self.cancelled {
            play.events.push((start + after, WorldEvent::Cancel));
        }
        let mut outcome = play.run(self.nosy);
        for (after, why) in self.going_on {
            // After other errors there is nothing left to try (rule D8). With this one, a plan says so itself.
            if let Outcome::Failed(error) = &outcome
                && !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::System | ErrorKind::Attempts)
            {
                break;
            }
            play.go_on(&outcome, after, &why);
            play.deadline = Deadline::after(play.now, total);
            outcome = play.run(self.nosy);
        }
        assert!(play.poll(play.now).is_none(), "orders after the end\n{}", play.log.join("\n"));
        Played { log: play.log, outcome, given: play.given }
    }
}

#[derive(Debug)]
enum WorldEvent {
    Answer(Question, ScriptedAnswer),
    Attempt(AttemptId, AttemptEvent),
    Cancel,
}

/// A plan in its world.
struct Play {
    plan: Plan,
    is_discovery: bool,
    leaves_names: bool,
    start: Instant,
    now: Instant,
    lookup_limit: Duration,
    answers: HashMap<String, (Duration, ScriptedAnswer)>,
    peers: HashMap<String, Vec<ScriptedStep>>,
    events: Vec<(Instant, WorldEvent)>,
    log: Vec<String>,
    asked: Vec<Question>,
    outstanding: Vec<Question>,
    given: Vec<(Host, Option<RecordKind>, IpAddr)>,
    started: Vec<(AttemptId, Candidate, Destination)>,
    /// How many were started when the caller last went on.
    started_before: usize,
    in_flight: Vec<AttemptId>,
    /// The attempts whose TLS handshake is verified.
    verified: Vec<AttemptId>,
    /// When the total limit is over.
    deadline: Deadline,
    /// The attempts that were in flight or verified when another one was returned.
    dropped: Vec<usize>,
}

impl Play {
    fn poll(&mut self, now: Instant) -> Option<Ordered> {
        if self.is_discovery {
            self.plan.poll_discovery(now).map(Ordered::from)
        } else {
            self.plan.poll(now).map(Ordered::from)
        }
    }

    fn wake_at(&self, now: Instant) -> Deadline {
        if self.is_discovery { self.plan.total() } else { self.plan.wake_at(now) }
    }

    fn run(&mut self, nosy: bool) -> Outcome {
        for _ in 0..10_000 {
            while let Some(order) = self.poll(self.now) {
                if let Some(outcome) = self.obey(order) {
                    return outcome;
                }
            }
            let wake = self.wake_at(self.now);
            assert!(!wake.is_over(self.now), "a busy loop at {}\n{}", self.time(), self.log.join("\n"));
            let event = self.events.iter().map(|(at, _)| Deadline::from(*at)).min();
            let Some(next) = event.map_or(wake, |event| event.min(wake)).at() else {
                panic!("it hangs forever at {}\n{}", self.time(), self.log.join("\n"));
            };
            if nosy {
                self.expect_silence_until(next, wake);
            }
            // A cancel may have been due while the caller did something else.
            self.now = next.max(self.now);
            self.deliver();
        }
        panic!("it does not end\n{}", self.log.join("\n"));
    }

    /// The caller goes on so long after the end of the connect, and rejects the connection if there is a reason.
    fn go_on(&mut self, outcome: &Outcome, after: Duration, why: &str) {
        assert!(self.poll(self.now).is_none(), "orders after the end\n{}", self.log.join("\n"));
        self.now += after;
        self.events.retain(|(_, event)| matches!(event, WorldEvent::Cancel));
        let outstanding = std::mem::take(&mut self.outstanding);
        self.asked.retain(|asked| !outstanding.contains(asked));
        // Those that were verified at the same time too.
        let is_other = |id: &AttemptId| !matches!(outcome, Outcome::Connected(winner, _) if winner == id);
        let others = self.verified.drain(..).filter(is_other);
        self.dropped.extend(self.in_flight.drain(..).chain(others).map(|id| id.0));
        self.started_before = self.started.len();
        self.log.push(format!("{} next {why}", self.time()).trim_end().to_owned());
        if let (Outcome::Connected(id, _), false) = (outcome, why.is_empty()) {
            self.plan.handle_rejection(*id, why, self.now);
        }
        self.plan.resume(self.now);
    }

    /// Asserts that the plan orders nothing before its `wake_at`.
    fn expect_silence_until(&mut self, next: Instant, wake: Deadline) {
        let now = self.now;
        let between = [self.now + (next - self.now) / 2, next - Duration::from_nanos(1)];
        for at in between.into_iter().filter(|at| (now..next).contains(at)) {
            let order = self.poll(at);
            let after = at - self.start;
            assert!(
                order.is_none(),
                "{order:?} at {after:?}, wake_at said {wake:?}\n{}",
                self.log.join("\n")
            );
            assert_eq!(self.wake_at(at), wake, "at {after:?} wake_at has changed\n{}", self.log.join("\n"));
        }
    }

    fn deliver(&mut self) {
        let (due, later) = std::mem::take(&mut self.events).into_iter().partition(|(at, _)| *at <= self.now);
        self.events = later;
        for (_, event) in due {
            match event {
                WorldEvent::Answer(question, reply) => self.answer(&question, reply),
                WorldEvent::Attempt(id, event) => {
                    self.note_end(id, &event);
                    self.plan.handle_attempt(id, event, self.now);
                }
                WorldEvent::Cancel => self.plan.handle_cancel(),
            }
        }
    }

    fn answer(&mut self, question: &Question, reply: ScriptedAnswer) {
        self.outstanding.retain(|outstanding| outstanding != question);
        let result = match reply {
            ScriptedAnswer::Answer(answer) => Ok(answer),
            ScriptedAnswer::Failed => Err(LookupError::new("SERVFAIL")),
            ScriptedAnswer::Never => {
                Err(LookupError::new(format!("no answer within {}", Seconds(self.lookup_limit))))
            }
        };
        if let Ok(answer) = &result {
            let host = Host::Name(question.name().to_owned());
            self.given
                .extend(answer.addresses().map(|address| (host.clone(), Some(question.kind()), address)));
            let hints = answer.additional().iter();
            self.given
                .extend(hints.map(|(name, address)| (Host::of_srv_target(name).unwrap(), None, *address)));
        }
        let facts = LookupFacts { source: AnswerSource::Resolver, tries: 1 };
        self.plan.handle_answer(question, result, facts, self.now);
    }

    /// Carries out an order, and checks what must be true for every order.
    fn obey(&mut self, order: Ordered) -> Option<Outcome> {
        let line = match &order {
            Ordered::Ask(questions) => {
                let questions: Vec<String> = questions.iter().map(ToString::to_string).collect();
                format!("ask {}", questions.join(", "))
            }
            Ordered::Start { id, destination, candidate } => {
                let tlsa: Vec<String> =
                    candidate.tlsa().iter().map(|record| format!(" TLSA {}", record.data[0])).collect();
                format!("start {} {destination}{}", id.0, tlsa.concat())
            }
            Ordered::Close(id) => format!("close {}", id.0),
            Ordered::Finished(Outcome::Connected(id, _)) => format!("connected {}", id.0),
            Ordered::Finished(Outcome::Discovered(_)) => "discovered".to_owned(),
            Ordered::Finished(Outcome::Failed(error)) => format!("failed {:?}", error.kind()),
        };
        self.log.push(format!("{} {line}", self.time()));
        match order {
            Ordered::Ask(questions) => self.ask(questions),
            Ordered::Start { id, candidate, destination } => self.start(id, candidate, destination),
            Ordered::Close(id) => {
                assert!(self.in_flight.contains(&id), "{id:?} was not in flight");
                self.forget(id);
            }
            Ordered::Finished(outcome) => {
                if let Outcome::Connected(id, _) = &outcome {
                    assert!(self.verified.contains(id), "{id:?} was not verified");
                }
                let is_late = self.deadline.at().is_some_and(|deadline| self.now > deadline);
                assert!(!is_late, "it ends too late\n{}", self.log.join("\n"));
                return Some(outcome);
            }
        }
        None
    }

    fn ask(&mut self, questions: Vec<Question>) {
        for question in questions {
            assert!(!self.asked.contains(&question), "{question} was asked twice");
            let scripted = self.answers.get(&question.to_string()).cloned();
            let (delay, reply) = scripted
                .unwrap_or_else(|| (Duration::from_millis(10), ScriptedAnswer::Answer(Answer::default())));
            self.asked.push(question.clone());
            self.outstanding.push(question.clone());
            let is_in_time = !matches!(reply, ScriptedAnswer::Never) && delay <= self.lookup_limit;
            let (delay, reply) =
                if is_in_time { (delay, reply) } else { (self.lookup_limit, ScriptedAnswer::Never) };
            if let Some(at) = Deadline::after(self.now, delay).at() {
                self.events.push((at, WorldEvent::Answer(question, reply)));
            }
        }
        assert!(
            self.outstanding.len() <= MAX_QUESTIONS,
            "{} questions are outstanding",
            self.outstanding.len()
        );
    }

    fn start(&mut self, id: AttemptId, candidate: Candidate, destination: Destination) {
        // Those that the filter refuses have numbers too.
        let latest = self.started.last().map(|(id, ..)| *id);
        assert!(Some(id) > latest, "attempts are numbered in the order of their starts");
        assert_eq!(candidate.port(), destination.port());
        let is_known = match (candidate.host(), destination.reach()) {
            (Host::Address(given), Reach::At(address)) => *given == address,
            (host, Reach::At(address)) if host.special_use() == SpecialUse::Loopback => address.is_loopback(),
            (host, Reach::At(address)) => {
                self.given.iter().any(|(known, _, given)| known == host && *given == address)
            }
            (host, Reach::ByName) => self.leaves_names && matches!(host, Host::Name(_)),
        };
        assert!(is_known, "{candidate} is not at {destination}");
        let is_this = |started: &&(AttemptId, Candidate, Destination)| {
            (&started.1, &started.2) == (&candidate, &destination)
        };
        let before: Vec<usize> = self.started.iter().filter(is_this).map(|(id, ..)| id.0).collect();
        let is_closed = |id: &usize| {
            self.dropped.contains(id) || self.log.iter().any(|line| line.ends_with(&format!(" close {id}")))
        };
        assert!(
            before.iter().all(is_closed)
                && (before.len() < 2 || before.iter().any(|id| self.dropped.contains(id))),
            "{destination} of {candidate} was started again\n{}",
            self.log.join("\n")
        );
        let scripted = self.peers.get(&destination.to_string()).cloned();
        self.started.push((id, candidate.clone(), destination));
        self.in_flight.push(id);
        assert!(self.in_flight.len() <= MAX_IN_FLIGHT);
        assert!(self.started.len() - self.started_before <= MAX_ATTEMPTS);
        let mut at = self.now;
        for ScriptedStep { delay, event } in scripted.unwrap_or_default() {
            let is_starttls = matches!(event, AttemptEvent::Completed(Stage::StartTls));
            assert!(!is_starttls || candidate.tls() == TlsMode::StartTls, "STARTTLS with {candidate}");
            match delay {
                Some(delay) => {
                    at += delay;
                    self.events.push((at, WorldEvent::Attempt(id, event)));
                }
                None => {
                    self.note_end(id, &event);
                    self.plan.handle_attempt(id, event, self.now);
                }
            }
        }
    }

    fn note_end(&mut self, id: AttemptId, event: &AttemptEvent) {
        match event {
            AttemptEvent::Completed(_)
            | AttemptEvent::Reached(_)
            | AttemptEvent::Noted(_)
            | AttemptEvent::Shown(_)
            | AttemptEvent::Repeated(..) => {}
            AttemptEvent::Verified => {
                self.verified.push(id);
                self.forget(id);
            }
            AttemptEvent::Failed(_) => self.forget(id),
        }
    }

    fn forget(&mut self, id: AttemptId) {
        self.in_flight.retain(|in_flight| *in_flight != id);
        self.events.retain(|(_, event)| !matches!(event, WorldEvent::Attempt(of, _) if *of == id));
    }

    /// Whole milliseconds as a number, other times with their unit.
    fn time(&self) -> String {
        let since = self.now - self.start;
        let is_whole = since.subsec_nanos().is_multiple_of(1_000_000);
        if is_whole { since.as_millis().to_string() } else { format!("{since:?}") }
    }
}
