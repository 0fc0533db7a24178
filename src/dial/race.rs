//! The race: which attempt starts when, and when it is won or lost (RFC 8305, XEP-0495). No IO.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address_order::Rank;
use super::targets::{Next, Targets};
use super::{AttemptError, AttemptEvent, AttemptId, Stage};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::discovery::order::{Below, Group, order};
use crate::domain::Host;
use crate::limits::{
    MAX_ADDRESSES, MAX_ATTEMPTS, MAX_CANDIDATES, MAX_IN_FLIGHT, MINIMUM_CONNECTION_ATTEMPT_DELAY,
    RESOLUTION_DELAY,
};
use crate::report::{AttemptOutcome, AttemptReport};
use crate::settings::{Family, Settings};
use crate::starttls::Step;

/// An order of the race.
#[derive(Debug)]
pub(crate) enum RaceOrder {
    /// Find the addresses of a host.
    LookUp(Host),
    /// Start an attempt.
    Start { id: AttemptId, candidate: Candidate, address: SocketAddr },
    /// Close an attempt that has reached its limit, or is displaced by another.
    Close(AttemptId),
    /// This attempt has won. The others in flight are abandoned.
    Won(AttemptId),
    /// Nothing is in flight, and nothing is left to try or to wait for.
    Lost,
}

/// One candidate in the race.
#[derive(Debug)]
struct Contender {
    candidate: Candidate,
    /// The number of its host.
    target: usize,
    /// The addresses that were started, in order.
    started: Vec<IpAddr>,
    /// Those of them that were displaced, and when. They are started once more after everything else has been tried, so
    /// that the bound on attempts in flight costs time and never the connect.
    displaced: Vec<(IpAddr, Instant)>,
}

/// One attempt.
#[derive(Debug)]
struct Runner {
    report: AttemptReport,
    /// The group that it was started in.
    group: Group,
    /// The number of its host.
    target: usize,
    /// The step of its STARTTLS negotiation, if it is in one.
    step: Option<Step>,
    /// How long it may go without completing a stage before another one starts in parallel.
    delay: Duration,
    /// Whether it was abandoned to start another.
    is_displaced: bool,
}

impl Runner {
    fn is_in_flight(&self) -> bool {
        matches!(self.report.outcome, AttemptOutcome::InFlight)
    }

    /// When its latest stage was completed, or when it started; measured from the start of the connect.
    fn progress(&self) -> Duration {
        self.report.completed.last().map_or(self.report.started, |(_, at)| *at)
    }

    fn end(&mut self, outcome: AttemptOutcome, at: Duration) {
        self.report.outcome = outcome;
        self.report.ended = at;
    }
}

/// The race over the candidates of one connect.
#[derive(Debug)]
pub(crate) struct Race {
    settings: Arc<Settings>,
    /// When the connect began.
    began: Instant,
    targets: Targets,
    contenders: Vec<Contender>,
    /// How many candidates are not tried, since they come after the last one that is.
    left_out: usize,
    attempts: Vec<Runner>,
    group: Group,
    group_opened: Instant,
    /// How many attempts may start without waiting: one for each failure, and one for a group that has just opened.
    free_starts: usize,
    /// The attempts that have completed TLS in this wake-up.
    verified: Vec<AttemptId>,
    /// Whether nothing may start any more, since this machine has run out of sockets.
    is_stopped: bool,
}

/// What can be started in the current group.
enum Startable {
    /// This address of the contender with this number.
    Now(usize, IpAddr),
    /// Something, from this time on.
    At(Instant),
    /// All known addresses have started. `awaited`: lookups of the current group are outstanding.
    AllStarted { awaited: bool },
}

impl Race {
    /// Creates a race without candidates, in a connect that starts now.
    pub(crate) fn new(settings: Arc<Settings>, now: Instant) -> Self {
        Self {
            targets: Targets::new(settings.family),
            settings,
            began: now,
            contenders: Vec::new(),
            left_out: 0,
            attempts: Vec::new(),
            group: Group::default(),
            group_opened: now,
            free_starts: 0,
            verified: Vec::new(),
            is_stopped: false,
        }
    }

    /// Draws the order of `candidates`, which are all that are known now. Those that have started stay in front.
    pub(crate) fn set_candidates(&mut self, candidates: Vec<Candidate>, below: Below<'_>, now: Instant) {
        let known = std::mem::take(&mut self.contenders);
        let is_first = known.is_empty();
        let numbered = known.into_iter().enumerate();
        let started: Vec<_> = numbered.filter(|(_, contender)| !contender.started.is_empty()).collect();
        for attempt in &mut self.attempts {
            let place = started.iter().position(|(number, _)| *number == attempt.report.candidate);
            attempt.report.candidate = place.unwrap_or_default();
        }
        self.contenders = started.into_iter().map(|(_, contender)| contender).collect();
        let is_started =
            |candidate: &Candidate| self.contenders.iter().any(|contender| contender.candidate == *candidate);
        let waiting: Vec<Candidate> =
            candidates.into_iter().filter(|candidate| !is_started(candidate)).collect();
        // A domain can publish thousands of records: the excess is dropped first.
        let room = MAX_CANDIDATES.saturating_sub(self.contenders.len());
        self.left_out = waiting.len().saturating_sub(room);
        let ordered = order(waiting, self.settings.policy, room, below);
        if let Some(first) = ordered.first() {
            let group = Group::of(first, self.settings.policy);
            // A group that joins late can precede the one that is dialled now.
            let is_other = group != self.group && self.attempts.is_empty();
            if is_first || is_other || group < self.group {
                (self.group, self.group_opened) = (group, now);
            }
        }
        for candidate in ordered {
            let target = self.targets.number(candidate.host(), now);
            self.contenders.push(Contender { candidate, target, started: Vec::new(), displaced: Vec::new() });
        }
    }

    /// The candidates, in order.
    pub(crate) fn candidates(&self) -> impl ExactSizeIterator<Item = &Candidate> {
        self.contenders.iter().map(|contender| &contender.candidate)
    }

    /// A candidate by its place in the order.
    pub(crate) fn candidate(&self, place: usize) -> Option<&Candidate> {
        self.contenders.get(place).map(|contender| &contender.candidate)
    }

    /// How many candidates were left out.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The attempts, by number.
    pub(crate) fn attempts(&self) -> impl ExactSizeIterator<Item = &AttemptReport> {
        self.attempts.iter().map(|attempt| &attempt.report)
    }

    /// The hosts of candidates with more addresses than can be tried, and the number of the excess ones.
    pub(crate) fn cut_addresses(&self) -> impl Iterator<Item = (&Host, usize)> {
        let is_used = |number| self.contenders.iter().any(|contender| contender.target == number);
        let used = self.targets.cut().filter(move |(number, _, _)| is_used(*number));
        used.map(|(_, host, left_out)| (host, left_out))
    }

    /// Whether there was more to start than [`MAX_ATTEMPTS`].
    pub(crate) fn is_cut(&self) -> bool {
        self.attempts.len() >= MAX_ATTEMPTS
            && self.contenders.iter().any(|contender| self.has_more(contender))
    }

    /// How many attempts were abandoned to start others.
    pub(crate) fn displaced(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.is_displaced).count()
    }

    /// Handles the answer to an address question; `None` if the lookup has failed.
    pub(crate) fn handle_addresses(
        &mut self,
        host: &Host,
        family: Family,
        addresses: Option<Vec<(Rank, IpAddr)>>,
        now: Instant,
    ) {
        self.targets.answer(host, family, addresses, now);
    }

    /// Handles addresses from the additional section of an SRV answer.
    pub(crate) fn handle_hints(
        &mut self,
        host: &Host,
        family: Family,
        addresses: Vec<(Rank, IpAddr)>,
        now: Instant,
    ) {
        self.targets.hint(host, family, addresses, now);
    }

    /// Makes the race start nothing more. The attempts in flight continue.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Handles an event of an attempt.
    pub(crate) fn handle_attempt(&mut self, id: AttemptId, event: AttemptEvent, now: Instant) {
        let at = self.since_begin(now);
        let Some(attempt) = self.attempts.get_mut(id.0).filter(|attempt| attempt.is_in_flight()) else {
            return;
        };
        match event {
            AttemptEvent::Completed(stage) => {
                attempt.delay = self.settings.limits.delay_after(at.saturating_sub(attempt.progress()));
                attempt.report.completed.push((stage, at));
                let candidate = self.contenders.get(attempt.report.candidate);
                let next = candidate.and_then(|contender| stage.next(contender.candidate.tls()));
                attempt.report.stage = next.unwrap_or(stage);
            }
            AttemptEvent::Reached(step) => attempt.step = Some(step),
            AttemptEvent::Noted(_) => {}
            AttemptEvent::Verified => {
                attempt.report.completed.push((Stage::Tls, at));
                attempt.end(AttemptOutcome::Connected, at);
                self.verified.push(id);
            }
            // Part of the TLS stage: it extends neither the limit of the stage nor the delay of the next attempt.
            AttemptEvent::Repeated(error) => attempt.report.repeated = Some((error, at)),
            AttemptEvent::Failed(error) => {
                attempt.end(AttemptOutcome::Failed(error), at);
                self.free_starts += 1;
            }
        }
    }

    /// Returns what to do next. Call it until it returns `None`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<RaceOrder> {
        if let Some(winner) = self.winner() {
            self.abandon(now);
            self.demote_all_but(winner);
            return Some(RaceOrder::Won(winner));
        }
        if let Some(id) = self.expire(now) {
            return Some(RaceOrder::Close(id));
        }
        while self.may_start() {
            if let Some(host) = self.due_lookup() {
                return Some(RaceOrder::LookUp(host));
            }
            match self.startable(now) {
                Startable::Now(contender, address) => {
                    if !self.next_start_from(contender, address).is_over(now) {
                        break;
                    }
                    if self.is_full() {
                        return self.displace(now).map(RaceOrder::Close);
                    }
                    return self.start(contender, address, now);
                }
                Startable::At(_) => {
                    self.keep_one_free_start();
                    break;
                }
                Startable::AllStarted { awaited } => {
                    self.keep_one_free_start();
                    if !self.next_group_from(awaited).is_over(now) {
                        break;
                    }
                    let Some(group) = self.next_group() else { break };
                    self.group = group;
                    self.group_opened = now;
                    self.free_starts = 1;
                }
            }
        }
        self.is_lost().then_some(RaceOrder::Lost)
    }

    /// When [`Self::poll`] must be called even if nothing happens.
    pub(crate) fn wake_at(&self, now: Instant) -> Deadline {
        let limits = self.in_flight().map(|attempt| self.limit_of(attempt)).min().unwrap_or(Deadline::NEVER);
        if !self.may_start() {
            return limits;
        }
        limits.min(match self.startable(now) {
            Startable::Now(contender, address) => self.next_start_from(contender, address),
            Startable::At(at) => Deadline::from(at),
            Startable::AllStarted { awaited } if self.next_group().is_some() => self.next_group_from(awaited),
            Startable::AllStarted { .. } => Deadline::NEVER,
        })
    }

    fn may_start(&self) -> bool {
        !self.is_stopped && self.attempts.len() < MAX_ATTEMPTS
    }

    /// A host whose addresses have not been asked for: of the current group, an earlier one, or, ahead of time, the
    /// next one.
    fn due_lookup(&mut self) -> Option<Host> {
        let latest = self.next_group().unwrap_or(self.group);
        let due = self
            .contenders
            .iter()
            .filter(|contender| Group::of(&contender.candidate, self.settings.policy) <= latest);
        due.map(|contender| contender.target).find_map(|host| self.targets.ask(host))
    }

    fn is_full(&self) -> bool {
        self.in_flight().count() >= MAX_IN_FLIGHT
    }

    /// Abandons the attempt in flight that has gone longest without completing a stage, so that another can start.
    fn displace(&mut self, now: Instant) -> Option<AttemptId> {
        let at = self.since_begin(now);
        let in_flight = self.attempts.iter_mut().enumerate().filter(|(_, attempt)| attempt.is_in_flight());
        let (index, attempt) = in_flight.min_by_key(|(_, attempt)| attempt.progress())?;
        attempt.end(AttemptOutcome::Abandoned, at);
        attempt.is_displaced = true;
        let (contender, address) = (attempt.report.candidate, attempt.report.address.ip());
        let contender = self.contenders.get_mut(contender)?;
        let is_first_time = contender.started.iter().filter(|started| **started == address).count() == 1;
        if is_first_time {
            contender.displaced.push((address, now));
        }
        Some(AttemptId(index))
    }

    /// Whether any attempt is in flight.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight().next().is_some()
    }

    /// Whether an attempt is verified.
    pub(crate) fn is_won(&self) -> bool {
        !self.verified.is_empty()
    }

    /// Abandons all attempts in flight: another has won, or the connect has ended.
    pub(crate) fn abandon(&mut self, now: Instant) {
        let at = self.since_begin(now);
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_in_flight()) {
            attempt.end(AttemptOutcome::Abandoned, at);
        }
    }

    /// Abandons attempts that were verified in the same wake-up as the winner.
    fn demote_all_but(&mut self, winner: AttemptId) {
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if index != winner.0 && matches!(attempt.report.outcome, AttemptOutcome::Connected) {
                attempt.report.outcome = AttemptOutcome::Abandoned;
            }
        }
    }

    /// Limits the failures that happened while nothing could start to one start, so that addresses that arrive do not
    /// cause a burst.
    fn keep_one_free_start(&mut self) {
        self.free_starts = self.free_starts.min(1);
    }

    fn in_flight(&self) -> impl Iterator<Item = &Runner> {
        self.attempts.iter().filter(|attempt| attempt.is_in_flight())
    }

    /// "If several attempts finish in one wake-up, the first in order wins" (rule D3).
    fn winner(&self) -> Option<AttemptId> {
        let place = |id: &AttemptId| (self.attempts.get(id.0).map(|attempt| attempt.report.candidate), *id);
        self.verified.iter().copied().min_by_key(place)
    }

    /// Fails one attempt that has reached the limit of its stage.
    fn expire(&mut self, now: Instant) -> Option<AttemptId> {
        let expired = |attempt: &Runner| attempt.is_in_flight() && self.limit_of(attempt).is_over(now);
        let id = AttemptId(self.attempts.iter().position(expired)?);
        let attempt = self.attempts.get(id.0)?;
        let stage = attempt.report.stage;
        let error = AttemptError::timed_out(stage, self.stage_limit(stage), attempt.step);
        self.handle_attempt(id, AttemptEvent::Failed(error), now);
        Some(id)
    }

    fn limit_of(&self, attempt: &Runner) -> Deadline {
        self.after_progress(attempt, self.stage_limit(attempt.report.stage))
    }

    fn stage_limit(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Tcp => self.settings.limits.tcp,
            Stage::StartTls | Stage::Tls => self.settings.limits.handshake,
        }
    }

    fn after_progress(&self, attempt: &Runner, delay: Duration) -> Deadline {
        Deadline::after(self.began, attempt.progress().saturating_add(delay))
    }

    fn since_begin(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    fn start(&mut self, place: usize, address: IpAddr, now: Instant) -> Option<RaceOrder> {
        let group = self.group_of(self.contenders.get(place)?);
        let started = self.since_begin(now);
        let contender = self.contenders.get_mut(place)?;
        contender.displaced.retain(|(displaced, _)| *displaced != address);
        contender.started.push(address);
        self.free_starts = self.free_starts.saturating_sub(1);
        let id = AttemptId(self.attempts.len());
        let address = SocketAddr::new(address, contender.candidate.port());
        self.attempts.push(Runner {
            report: AttemptReport {
                candidate: place,
                address,
                started,
                ended: started,
                completed: Vec::new(),
                repeated: None,
                stage: Stage::Tcp,
                outcome: AttemptOutcome::InFlight,
            },
            group,
            target: contender.target,
            step: None,
            delay: self.settings.limits.attempt_delay,
            is_displaced: false,
        });
        Some(RaceOrder::Start { id, candidate: contender.candidate.clone(), address })
    }

    /// From when on this attempt may start: when none in flight has completed a stage for its attempt delay, or at once
    /// after a failure, but never closer to the start before than the minimum. One that was displaced waits for room.
    fn next_start_from(&self, place: usize, address: IpAddr) -> Deadline {
        let is_again = self.contenders.get(place).is_some_and(|one| one.started.contains(&address));
        if is_again && self.is_full() {
            return Deadline::NEVER;
        }
        let quiet = if self.free_starts > 0 { Deadline::from(self.group_opened) } else { self.quiet_from() };
        let latest = self.attempts.last().map(|attempt| attempt.report.started);
        let apart = latest.map(|at| Deadline::after(self.began, at + MINIMUM_CONNECTION_ATTEMPT_DELAY));
        apart.map_or(quiet, |apart| apart.max(quiet))
    }

    /// From when on no attempt in flight has completed a stage for its attempt delay; already past if none is in
    /// flight.
    fn quiet_from(&self) -> Deadline {
        let quiet = self.in_flight().map(|attempt| self.after_progress(attempt, attempt.delay));
        quiet.max().unwrap_or_else(|| Deadline::from(self.group_opened))
    }

    /// What to start in the current group, or in an earlier one whose addresses came late: the first in order. A
    /// candidate whose addresses are still unknown holds back those after it in its group for [`RESOLUTION_DELAY`].
    fn startable(&self, now: Instant) -> Startable {
        let mut held_back: Option<Group> = None;
        let mut earliest: Option<Instant> = None;
        let mut awaited = false;
        for (index, contender) in self.contenders.iter().enumerate() {
            let group = self.group_of(contender);
            if group > self.group {
                continue;
            }
            match self.next(contender) {
                Next::Address(address, from) => {
                    let from = if held_back == Some(group) { from + RESOLUTION_DELAY } else { from };
                    if from <= now {
                        return Startable::Now(index, address);
                    }
                    earliest = Some(earliest.map_or(from, |earliest| earliest.min(from)));
                    held_back = Some(group);
                }
                Next::Unknown => {
                    held_back = Some(group);
                    awaited |= group == self.group;
                }
                Next::MoreToCome => awaited |= group == self.group,
                Next::Nothing => {}
            }
        }
        earliest.map_or(Startable::AllStarted { awaited }, Startable::At)
    }

    /// The current group of a candidate: after all others once its turn is used up.
    fn group_of(&self, contender: &Contender) -> Group {
        let group = Group::of(&contender.candidate, self.settings.policy);
        let is_left_over = contender.started.len() >= MAX_ADDRESSES || self.is_again(contender);
        if is_left_over { group.left_over() } else { group }
    }

    /// Whether only displaced addresses are left of the candidate.
    fn is_again(&self, contender: &Contender) -> bool {
        !contender.displaced.is_empty()
            && self.targets.next(contender.target, &contender.started) == Next::Nothing
    }

    fn next(&self, contender: &Contender) -> Next {
        match (self.targets.next(contender.target, &contender.started), contender.displaced.first()) {
            (Next::Nothing, Some((address, since))) => Next::Address(*address, *since),
            (next, _) => next,
        }
    }

    /// Whether the candidate has, or may get, an address that has not started.
    fn has_more(&self, contender: &Contender) -> bool {
        self.next(contender) != Next::Nothing
    }

    fn next_group(&self) -> Option<Group> {
        let groups = self.contenders.iter().map(|contender| self.group_of(contender));
        groups.filter(|group| *group > self.group).min()
    }

    /// When the next group starts, given that everything in this one has started.
    ///
    /// At once if all its attempts have failed. Otherwise when nothing in flight has completed a stage for the group
    /// delay; an outstanding lookup counts as in flight since the latest answer of its host, or since the start of the
    /// group. If the next target is another port of a host that is already being tried, the attempt delay is enough.
    fn next_group_from(&self, awaited: bool) -> Deadline {
        if !awaited && !self.in_flight().any(|attempt| attempt.group == self.group) {
            return Deadline::from(self.group_opened);
        }
        let progress = self.in_flight().map(Runner::progress).max().map(|at| self.began + at);
        let looked_up = if awaited { self.latest_lookup() } else { None };
        let since = progress.max(looked_up).unwrap_or(self.group_opened);
        let quiet = Deadline::after(since, self.settings.limits.group_delay);
        let next_group = self.next_group();
        let mut next =
            self.contenders.iter().filter(|contender| Some(self.group_of(contender)) == next_group);
        let next = next.find(|contender| self.has_more(contender));
        let same_host =
            next.is_some_and(|next| self.in_flight().any(|attempt| attempt.target == next.target));
        // An infinite group delay asks for strict order.
        if same_host && quiet != Deadline::NEVER { quiet.min(self.quiet_from()) } else { quiet }
    }

    /// When the current group received its latest DNS answer, or when it started.
    fn latest_lookup(&self) -> Option<Instant> {
        let of_group = self.contenders.iter().filter(|contender| self.group_of(contender) == self.group);
        let answers = of_group.filter_map(|contender| self.targets.latest(contender.target));
        Some(answers.max().map_or(self.group_opened, |at| at.max(self.group_opened)))
    }

    fn is_lost(&self) -> bool {
        let may_go_on = self.may_start() && self.contenders.iter().any(|contender| self.has_more(contender));
        !self.is_in_flight() && self.verified.is_empty() && !may_go_on
    }
}
