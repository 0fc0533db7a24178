//! The race: which attempt starts when, and when it is won or lost (RFC 8305, XEP-0495). No IO.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contenders::{Contenders, Room, Startable, Starting};
use super::history::History;
use super::{AttemptError, AttemptEvent, AttemptId, Destination, Note, Reach, Stage};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::discovery::order::{Below, Group};
use crate::domain::Host;
use crate::filter::Filter;
use crate::limits::{MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_REFUSED, MINIMUM_CONNECTION_ATTEMPT_DELAY};
use crate::logging;
use crate::report::{AttemptOutcome, AttemptReport, Repeat};
use crate::settings::Settings;

use self::runner::Runner;

#[cfg(test)]
mod laws;
mod refusals;
mod runner;

/// An order of the race.
#[derive(Debug)]
pub(crate) enum RaceOrder {
    /// Find the addresses of a host.
    LookUp(Host),
    /// Start an attempt.
    Start { id: AttemptId, candidate: Candidate, destination: Destination },
    /// Close an attempt that has reached its limit, or is displaced by another.
    Close(AttemptId),
    /// This attempt has won. The others in flight are abandoned.
    Won(AttemptId),
    /// Nothing is in flight, and nothing is left to try or to wait for.
    Lost,
}

/// The race over the candidates of one connect.
#[derive(Debug)]
pub(crate) struct Race {
    settings: Arc<Settings>,
    /// When the connect began.
    began: Instant,
    pub(crate) contenders: Contenders,
    attempts: Vec<Runner>,
    history: History,
    /// Which addresses the caller allows; all if `None`.
    filter: Option<Filter>,
    group: Group,
    group_opened: Instant,
    /// How many attempts may start without waiting: one for each failure, and one for a group that has just opened.
    free_starts: usize,
    /// The attempts that have completed TLS in this wake-up.
    verified: Vec<AttemptId>,
    /// The number of the first attempt since the caller last went on.
    first: usize,
    /// Whether nothing may start any more, since this machine has run out of sockets.
    is_stopped: bool,
}

impl Race {
    /// Creates a race without candidates, in a connect that starts now.
    pub(crate) fn new(settings: Arc<Settings>, now: Instant) -> Self {
        Self {
            contenders: Contenders::new(&settings),
            settings,
            began: now,
            attempts: Vec::new(),
            history: History::default(),
            filter: None,
            group: Group::default(),
            group_opened: now,
            free_starts: 0,
            verified: Vec::new(),
            first: 0,
            is_stopped: false,
        }
    }

    /// Sets what earlier connects have shown about addresses.
    pub(crate) fn set_history(&mut self, history: History) {
        self.contenders.put_last(history.rejected());
        self.history = history;
    }

    /// Draws the order of `candidates`, which are all that are known now. Those that have started stay in front.
    pub(crate) fn set_candidates(&mut self, candidates: Vec<Candidate>, below: Below<'_>, now: Instant) {
        let is_first = self.contenders.candidates().len() == 0;
        let (places, first) = self.contenders.set(candidates, below, now);
        for attempt in &mut self.attempts {
            let place = places.iter().position(|place| *place == attempt.report.candidate);
            attempt.report.candidate = place.unwrap_or_default();
        }
        if let Some(group) = first {
            // A group that joins late can precede the one that is dialled now.
            if is_first || group < self.group {
                (self.group, self.group_opened) = (group, now);
            }
        }
    }

    /// Uses `candidates` in the order in which they are.
    pub(crate) fn give_candidates(&mut self, candidates: Vec<Candidate>, now: Instant) {
        self.group = self.contenders.give(candidates, now).unwrap_or_default();
        self.group_opened = now;
    }

    /// The attempts, by number.
    pub(crate) fn attempts(&self) -> impl ExactSizeIterator<Item = &AttemptReport> {
        self.attempts.iter().map(|attempt| &attempt.report)
    }

    /// Whether there was more to start than the bounds allow.
    pub(crate) fn is_cut(&self) -> bool {
        !self.has_attempts_left() && self.contenders.has_any_more()
    }

    /// Whether more attempts may be made until the connect ends.
    fn has_attempts_left(&self) -> bool {
        let refused = self.refused_since_first();
        let started = self.attempts.len().saturating_sub(self.first + refused);
        started < MAX_ATTEMPTS && refused < MAX_REFUSED
    }

    /// How many attempts were abandoned to start others.
    pub(crate) fn displaced(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.is_displaced).count()
    }

    /// Makes the race start nothing more. The attempts in flight continue.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Goes on after the end: without the rest of the candidate that has won, and with the attempts again that were
    /// abandoned at the end.
    pub(crate) fn resume(&mut self, now: Instant) {
        for attempt in self.attempts.iter().skip(self.first) {
            match attempt.report.outcome {
                AttemptOutcome::Connected | AttemptOutcome::Rejected(_) => {
                    self.contenders.finish(attempt.report.candidate);
                }
                AttemptOutcome::Abandoned if !attempt.is_displaced => {
                    self.contenders.put_back(attempt.report.candidate, attempt.report.destination.reach());
                }
                AttemptOutcome::InFlight | AttemptOutcome::Failed(_) | AttemptOutcome::Abandoned => {}
            }
        }
        self.verified.clear();
        self.first = self.attempts.len();
        self.is_stopped = false;
        self.free_starts = 1;
        self.group_opened = now;
    }

    /// Sets how an attempt ended that was the connection.
    pub(crate) fn reject(&mut self, id: AttemptId, outcome: AttemptOutcome) {
        if let Some(attempt) = self.attempts.get_mut(id.0) {
            attempt.report.outcome = outcome;
        }
    }

    /// Handles an event of an attempt.
    pub(crate) fn handle_attempt(&mut self, id: AttemptId, event: AttemptEvent, now: Instant) {
        let at = self.since_begin(now);
        let Some(attempt) = self.attempts.get_mut(id.0).filter(|attempt| attempt.is_in_flight()) else {
            return;
        };
        match event {
            AttemptEvent::Completed(stage) => {
                let has_proxy = self.settings.proxy.is_some();
                // The proxy may be near and the server far: what is known of the way to the server still holds.
                if !(has_proxy && stage == Stage::Tcp) {
                    attempt.delay = self.settings.limits.delay_after(at.saturating_sub(attempt.progress()));
                }
                attempt.report.completed.push((stage, at));
                let candidate = self.contenders.candidate(attempt.report.candidate);
                let next = |candidate: &Candidate| stage.next(candidate.tls(), has_proxy);
                attempt.report.stage = candidate.map_or(stage, next);
            }
            AttemptEvent::Reached(step) => attempt.step = Some(step),
            AttemptEvent::Noted(Note::NotOffered) => attempt.report.is_unoffered = true,
            AttemptEvent::Noted(Note::Remembered | Note::Tlsa(_)) => {}
            AttemptEvent::Shown(certificate) => attempt.report.certificate = Some(certificate),
            AttemptEvent::Verified => {
                attempt.report.completed.push((attempt.report.stage, at));
                attempt.end(AttemptOutcome::Connected, at);
                self.verified.push(id);
            }
            // Part of its stage: it extends neither the limit of the stage nor the delay of the next attempt.
            AttemptEvent::Repeated(form, error) => attempt.report.repeats.push(Repeat { form, error, at }),
            AttemptEvent::Failed(error) => {
                let refused = error.certificate().cloned();
                attempt.report.certificate = refused.or_else(|| attempt.report.certificate.take());
                attempt.end(AttemptOutcome::Failed(error), at);
                self.free_starts += 1;
            }
        }
    }

    /// Returns what to do next. Call it until it returns `None`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<RaceOrder> {
        if let Some(winner) = self.winner() {
            self.abandon_all_but(Some(winner), now);
            return Some(RaceOrder::Won(winner));
        }
        if let Some(id) = self.expire(now) {
            return Some(RaceOrder::Close(id));
        }
        while self.may_start() {
            if let Some(host) = self.contenders.due_lookup(self.group) {
                return Some(RaceOrder::LookUp(host));
            }
            self.apply_filter(now);
            self.apply_tlsa(now);
            if !self.has_attempts_left() {
                break;
            }
            match self.contenders.startable(self.group, self.room(), now) {
                Startable::Now(place, reach) => {
                    if !self.next_start_from().is_over(now) {
                        break;
                    }
                    if self.is_full() {
                        return self.displace(now).map(RaceOrder::Close);
                    }
                    return self.start(place, reach, now);
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
                    let Some(group) = self.contenders.next_group(self.group) else { break };
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
        let has_next_group = || self.contenders.next_group(self.group).is_some();
        limits.min(match self.contenders.startable(self.group, self.room(), now) {
            Startable::Now(..) => self.next_start_from(),
            Startable::At(at) => Deadline::from(at),
            Startable::AllStarted { awaited } if has_next_group() => self.next_group_from(awaited),
            Startable::AllStarted { .. } => Deadline::NEVER,
        })
    }

    fn may_start(&self) -> bool {
        !self.is_stopped && self.has_attempts_left()
    }

    fn is_full(&self) -> bool {
        self.room() == Room::None
    }

    fn room(&self) -> Room {
        if self.in_flight().count() >= MAX_IN_FLIGHT { Room::None } else { Room::Some }
    }

    /// Abandons the attempt in flight that has gone longest without completing a stage, so that another can start.
    fn displace(&mut self, now: Instant) -> Option<AttemptId> {
        let at = self.since_begin(now);
        let in_flight = self.attempts.iter_mut().enumerate().filter(|(_, attempt)| attempt.is_in_flight());
        let (index, attempt) = in_flight.min_by_key(|(_, attempt)| attempt.progress())?;
        attempt.end(AttemptOutcome::Abandoned, at);
        attempt.is_displaced = true;
        self.contenders.displace(attempt.report.candidate, attempt.report.destination.reach());
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

    /// Abandons all attempts of a connect that has ended without a connection.
    pub(crate) fn abandon(&mut self, now: Instant) {
        self.abandon_all_but(None, now);
    }

    /// Abandons all attempts in flight, and those that were verified in this wake-up. Connections that the caller already
    /// has stay what they are.
    fn abandon_all_but(&mut self, winner: Option<AttemptId>, now: Instant) {
        let at = self.since_begin(now);
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            let id = AttemptId(index);
            if attempt.is_in_flight() {
                attempt.end(AttemptOutcome::Abandoned, at);
            } else if Some(id) != winner && self.verified.contains(&id) {
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
        let place = |id: &AttemptId| {
            let place = self.attempts.get(id.0).map(|attempt| attempt.report.candidate);
            (place.and_then(|place| self.contenders.group_at(place)), place, *id)
        };
        self.verified.iter().copied().min_by_key(place)
    }

    /// Fails one attempt that has reached the limit of its stage.
    fn expire(&mut self, now: Instant) -> Option<AttemptId> {
        let expired = |attempt: &Runner| attempt.is_in_flight() && self.limit_of(attempt).is_over(now);
        let id = AttemptId(self.attempts.iter().position(expired)?);
        let attempt = self.attempts.get(id.0)?;
        let stage = attempt.report.stage;
        let limit = self.stage_limit(stage);
        let error = match &self.settings.proxy {
            Some(proxy) if stage == Stage::Tcp => AttemptError::proxy_silent(proxy, limit),
            Some(_) | None => AttemptError::timed_out(stage, limit, attempt.step),
        };
        self.handle_attempt(id, AttemptEvent::Failed(error), now);
        Some(id)
    }

    fn limit_of(&self, attempt: &Runner) -> Deadline {
        self.after_progress(attempt, self.stage_limit(attempt.report.stage))
    }

    fn stage_limit(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Tcp => self.settings.limits.tcp,
            Stage::Proxy | Stage::StartTls | Stage::Tls | Stage::Stream => self.settings.limits.handshake,
        }
    }

    fn after_progress(&self, attempt: &Runner, delay: Duration) -> Deadline {
        Deadline::after(self.began, attempt.progress().saturating_add(delay))
    }

    fn since_begin(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    fn start(&mut self, place: usize, reach: Reach, now: Instant) -> Option<RaceOrder> {
        let Starting { candidate, group, target } = self.contenders.start(place, reach)?;
        let started = self.since_begin(now);
        self.free_starts = self.free_starts.saturating_sub(1);
        let id = AttemptId(self.attempts.len());
        let destination = Destination::new(reach, &candidate);
        let mut attempt = Runner::new(place, destination.clone(), started);
        (attempt.group, attempt.target) = (group, target);
        attempt.delay = self.history.attempt_delay(&destination, &self.settings.limits);
        attempt.is_known_dead = self.history.is_dead(&destination);
        if attempt.is_known_dead {
            logging::debug(format_args!("{destination} has failed or not responded in an earlier connect"));
        }
        self.attempts.push(attempt);
        Some(RaceOrder::Start { id, candidate, destination })
    }

    /// From when on the next attempt may start: once none in flight has completed a stage for its attempt delay, or
    /// immediately after a failure, but never sooner after the previous start than the minimum.
    fn next_start_from(&self) -> Deadline {
        let quiet = if self.free_starts > 0 { Deadline::from(self.group_opened) } else { self.quiet_from() };
        let started = |attempt: &&Runner| attempt.report.was_connected_to();
        let latest = self.attempts.iter().rev().find(started).map(|attempt| attempt.report.started);
        let apart = latest.map(|at| Deadline::after(self.began, at + MINIMUM_CONNECTION_ATTEMPT_DELAY));
        apart.map_or(quiet, |apart| apart.max(quiet))
    }

    /// From when on no attempt in flight has completed a stage for its attempt delay; already past if none is in
    /// flight.
    fn quiet_from(&self) -> Deadline {
        let quiet = self.in_flight().map(|attempt| self.after_progress(attempt, attempt.delay));
        quiet.max().unwrap_or_else(|| Deadline::from(self.group_opened))
    }

    /// When the next group starts, given that everything in this one has started.
    ///
    /// At once if all its attempts have failed. Otherwise when nothing in flight has completed a stage for the group
    /// delay; an outstanding lookup counts as in flight since the latest answer of its host, or since the start of the
    /// group. If the next target is another port of a host that is already being tried, or if all addresses in flight are
    /// known to be dead, the attempt delay is enough.
    fn next_group_from(&self, awaited: bool) -> Deadline {
        if !awaited && !self.in_flight().any(|attempt| attempt.group == self.group) {
            return Deadline::from(self.group_opened);
        }
        let progress = self.in_flight().map(Runner::progress).max().map(|at| self.began + at);
        let opened = self.group_opened;
        let looked_up = || self.contenders.latest_lookup(self.group).map_or(opened, |at| at.max(opened));
        let looked_up = awaited.then(looked_up);
        let since = progress.max(looked_up).unwrap_or(self.group_opened);
        let quiet = Deadline::after(since, self.settings.limits.group_delay);
        let next = self.contenders.next_target(self.group);
        let same_host = self.in_flight().any(|attempt| Some(attempt.target) == next);
        let all_dead = !awaited && self.in_flight().all(|attempt| attempt.is_known_dead);
        // An infinite group delay asks for strict order.
        if (same_host || all_dead) && quiet != Deadline::NEVER { quiet.min(self.quiet_from()) } else { quiet }
    }

    fn is_lost(&self) -> bool {
        let may_go_on = self.may_start() && self.contenders.has_any_more();
        !self.is_in_flight() && self.verified.is_empty() && !may_go_on
    }
}
