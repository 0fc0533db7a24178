//! The race: which attempt starts when, and when it is won or lost (RFC 8305, XEP-0495). No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) use super::pace::Pace;

use super::address_order::{Family, Rank};
use super::targets::{Next, RESOLUTION_DELAY, Targets};
use super::time_line::{Attempt, State};
use super::{AttemptError, AttemptEvent, AttemptId, Stage};
use crate::deadline::Deadline;
use crate::discovery::order::Group;
use crate::domain::Host;
use crate::service::TlsMode;
use crate::starttls::Step;

/// How many attempts one connect makes at the most.
pub(crate) const MAX_ATTEMPTS: usize = 128;
/// How many attempts are in flight at the most. When one more is due, the one that has been silent longest makes room.
pub(crate) const MAX_IN_FLIGHT: usize = 8;
/// How many addresses of one candidate are tried in its turn. What is left over is tried when all else has been.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt" (RFC 8305 section 5), not
/// even when that one has failed at once.
const MINIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// One candidate in the race.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The caller's number of the candidate.
    pub(crate) candidate: usize,
    /// Candidates of one group are equals; the lesser group goes first.
    pub(crate) group: Group,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
}

/// What the race wants done.
#[derive(Debug)]
pub(crate) enum RaceOrder {
    /// Find the addresses of a host.
    LookUp(Host),
    /// Start an attempt.
    Start { id: AttemptId, candidate: usize, address: SocketAddr },
    /// An attempt has run into its limit, or makes room for another.
    Close(AttemptId),
    /// This attempt has won. What is still in flight is abandoned.
    Won(AttemptId),
    /// Nothing is left to try, to await, or in flight.
    Lost,
}

#[derive(Debug)]
struct Contender {
    entry: Entry,
    host: usize,
    /// The addresses that were started, in order.
    started: Vec<IpAddr>,
    /// Those of them that made room for others, and when: they are started once more when all else has been tried, so
    /// that the bound on what is in flight costs time and never the connect.
    displaced: Vec<(IpAddr, Instant)>,
}

/// The race over the candidates of one connect.
#[derive(Debug)]
pub(crate) struct Race {
    pace: Pace,
    targets: Targets,
    contenders: Vec<Contender>,
    attempts: Vec<Attempt>,
    group: Group,
    group_opened: Instant,
    /// How many attempts may start without waiting: one for each failure, and one for a group that has just opened.
    free_starts: usize,
    verified: Vec<AttemptId>,
    /// Whether nothing may start any more, since this machine has no more sockets.
    is_stopped: bool,
}

/// What can be started in the present group.
enum Startable {
    /// The contender of this number, this address.
    Now(usize, IpAddr),
    /// Something, from this time on.
    At(Instant),
    /// All that is known has started. `awaited`: some lookups of the present group go on.
    AllStarted { awaited: bool },
}

impl Race {
    pub(crate) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            targets: Targets::new(pace.family),
            pace,
            contenders: Vec::new(),
            attempts: Vec::new(),
            group: Group::default(),
            group_opened: now,
            free_starts: 0,
            verified: Vec::new(),
            is_stopped: false,
        }
    }

    /// Sets the candidates, in order. What has started stays started; what has not is replaced by `entries`.
    pub(crate) fn set_entries(&mut self, entries: Vec<Entry>, now: Instant) {
        let mut started: Vec<Contender> = std::mem::take(&mut self.contenders);
        started.retain(|contender| !contender.started.is_empty());
        for entry in entries {
            let host = self.targets.number(&entry.host, now);
            let same = started.iter().position(|contender| contender.entry.candidate == entry.candidate);
            self.contenders.push(match same {
                Some(index) => Contender { entry, ..started.swap_remove(index) },
                None => Contender { entry, host, started: Vec::new(), displaced: Vec::new() },
            });
        }
        let waiting = self.contenders.iter().filter(|contender| contender.started.is_empty());
        if let Some(group) = waiting.map(|contender| contender.entry.group).min() {
            // A group that joins late can stand before the one that is dialled now.
            if self.attempts.is_empty() || group < self.group {
                (self.group, self.group_opened) = (group, now);
            }
        }
    }

    /// The attempts, by number.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The hosts of candidates with more addresses than can be tried, and how many more.
    pub(crate) fn cut_addresses(&self) -> impl Iterator<Item = (&Host, usize)> {
        let is_used = |number| self.contenders.iter().any(|contender| contender.host == number);
        let used = self.targets.cut().filter(move |(number, _, _)| is_used(*number));
        used.map(|(_, host, left_out)| (host, left_out))
    }

    /// Whether there was more to start than [`MAX_ATTEMPTS`].
    pub(crate) fn is_cut(&self) -> bool {
        self.attempts.len() >= MAX_ATTEMPTS
            && self.contenders.iter().any(|contender| self.has_more(contender))
    }

    /// How many attempts were abandoned to make room for others.
    pub(crate) fn displaced(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.is_displaced).count()
    }

    /// The answer to an address question; `None` where the lookup has failed.
    pub(crate) fn handle_addresses(
        &mut self,
        host: &Host,
        family: Family,
        addresses: Option<Vec<(Rank, IpAddr)>>,
        now: Instant,
    ) {
        self.targets.answer(host, family, addresses, now);
    }

    /// Addresses that have come along with an SRV answer.
    pub(crate) fn handle_hints(
        &mut self,
        host: &Host,
        family: Family,
        addresses: Vec<(Rank, IpAddr)>,
        now: Instant,
    ) {
        self.targets.hint(host, family, addresses, now);
    }

    /// Starts nothing any more. What is in flight goes on.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// What became of an attempt.
    pub(crate) fn handle_attempt(&mut self, id: AttemptId, event: AttemptEvent, now: Instant) {
        let Some(attempt) = self.attempts.get_mut(id.0).filter(|attempt| attempt.is_in_flight()) else {
            return;
        };
        match event {
            AttemptEvent::Completed(stage) => {
                attempt.delay = self.pace.delay_after(now.saturating_duration_since(attempt.progress_at()));
                attempt.completed.push((stage, now));
                attempt.stage = stage.next(attempt.tls).unwrap_or(stage);
            }
            // For the report alone.
            AttemptEvent::Noted(_) => {}
            AttemptEvent::Verified => {
                attempt.completed.push((Stage::Tls, now));
                attempt.end(State::Verified, now);
                self.verified.push(id);
            }
            AttemptEvent::Failed(error) => {
                attempt.end(State::Failed(error), now);
                self.free_starts += 1;
            }
        }
    }

    /// How far the STARTTLS negotiation had come of an attempt that ran into its limit.
    pub(crate) fn note_step(&mut self, id: AttemptId, step: Step) {
        if let Some(State::Failed(error)) = self.attempts.get_mut(id.0).map(|attempt| &mut attempt.state) {
            error.note_step(step);
        }
    }

    /// What to do next. To be asked again until it says nothing.
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

    /// When [`Self::poll`] has something to say without anything having happened.
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

    /// A host of the present group, an earlier one, or, ahead of time, the next one whose addresses were not asked for.
    fn due_lookup(&mut self) -> Option<Host> {
        let latest = self.next_group().unwrap_or(self.group);
        let due = self.contenders.iter().filter(|contender| contender.entry.group <= latest);
        due.map(|contender| contender.host).find_map(|host| self.targets.ask(host))
    }

    fn is_full(&self) -> bool {
        self.in_flight().count() >= MAX_IN_FLIGHT
    }

    /// Makes room: of the attempts in flight the one that has gone longest without completing a stage is abandoned.
    fn displace(&mut self, now: Instant) -> Option<AttemptId> {
        let in_flight = self.attempts.iter_mut().enumerate().filter(|(_, attempt)| attempt.is_in_flight());
        let (index, attempt) = in_flight.min_by_key(|(_, attempt)| attempt.progress_at())?;
        attempt.end(State::Abandoned, now);
        attempt.is_displaced = true;
        let (candidate, address) = (attempt.candidate, attempt.address.ip());
        let contender =
            self.contenders.iter_mut().find(|contender| contender.entry.candidate == candidate)?;
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

    /// Ends all that is in flight: another has won, or the connect is over.
    pub(crate) fn abandon(&mut self, now: Instant) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_in_flight()) {
            attempt.end(State::Abandoned, now);
        }
    }

    /// Another attempt was verified in the same wake-up as the winner: it is closed like the others.
    fn demote_all_but(&mut self, winner: AttemptId) {
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if index != winner.0 && matches!(attempt.state, State::Verified) {
                attempt.state = State::Abandoned;
            }
        }
    }

    /// What failed while nothing could start earns one start in all, not a burst when addresses come.
    fn keep_one_free_start(&mut self) {
        self.free_starts = self.free_starts.min(1);
    }

    fn in_flight(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.is_in_flight())
    }

    /// "If several finish in one wake-up, the first in order wins."
    fn winner(&self) -> Option<AttemptId> {
        let place = |id: &AttemptId| {
            let candidate = self.attempts.get(id.0).map(|attempt| attempt.candidate);
            let place =
                self.contenders.iter().position(|contender| Some(contender.entry.candidate) == candidate);
            (place, *id)
        };
        self.verified.iter().copied().min_by_key(place)
    }

    /// Fails one attempt that has run into the limit of its stage.
    fn expire(&mut self, now: Instant) -> Option<AttemptId> {
        let expired = |attempt: &Attempt| attempt.is_in_flight() && self.limit_of(attempt).is_over(now);
        let id = AttemptId(self.attempts.iter().position(expired)?);
        let stage = self.attempts.get(id.0)?.stage;
        let error = AttemptError::timed_out(stage, self.pace.limit(stage));
        self.handle_attempt(id, AttemptEvent::Failed(error), now);
        Some(id)
    }

    fn limit_of(&self, attempt: &Attempt) -> Deadline {
        Deadline::after(attempt.progress_at(), self.pace.limit(attempt.stage))
    }

    fn start(&mut self, contender: usize, address: IpAddr, now: Instant) -> Option<RaceOrder> {
        let group = self.group_of(self.contenders.get(contender)?);
        let contender = self.contenders.get_mut(contender)?;
        contender.displaced.retain(|(displaced, _)| *displaced != address);
        contender.started.push(address);
        self.free_starts = self.free_starts.saturating_sub(1);
        let id = AttemptId(self.attempts.len());
        let address = SocketAddr::new(address, contender.entry.port);
        self.attempts.push(Attempt::start(&contender.entry, group, address, self.pace.attempt_delay, now));
        Some(RaceOrder::Start { id, candidate: contender.entry.candidate, address })
    }

    /// From when on this attempt may start: when none in flight has completed a stage for its attempt delay, or at once
    /// after a failure, but never closer to the start before than the minimum. One that was displaced waits for room.
    fn next_start_from(&self, contender: usize, address: IpAddr) -> Deadline {
        let is_again = self.contenders.get(contender).is_some_and(|one| one.started.contains(&address));
        if is_again && self.is_full() {
            return Deadline::NEVER;
        }
        let quiet = if self.free_starts > 0 { Deadline::from(self.group_opened) } else { self.quiet_from() };
        let latest = self.attempts.last();
        let apart = latest.map(|attempt| Deadline::after(attempt.started, MINIMUM_CONNECTION_ATTEMPT_DELAY));
        apart.map_or(quiet, |apart| apart.max(quiet))
    }

    /// From when on no attempt in flight has completed a stage for its attempt delay. Over already when none is.
    fn quiet_from(&self) -> Deadline {
        let quiet = self.in_flight().map(|attempt| Deadline::after(attempt.progress_at(), attempt.delay));
        quiet.max().unwrap_or_else(|| Deadline::from(self.group_opened))
    }

    /// What the present group has to start, or an earlier one whose addresses came late: the first in order, but a
    /// candidate whose addresses are unknown yet holds back those behind it in its group for [`RESOLUTION_DELAY`].
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

    /// The group that a candidate belongs to now: behind all others once it has used up its turn.
    fn group_of(&self, contender: &Contender) -> Group {
        let is_left_over = contender.started.len() >= MAX_ADDRESSES || self.is_again(contender);
        if is_left_over { contender.entry.group.left_over() } else { contender.entry.group }
    }

    /// Whether only what was displaced is left of the candidate.
    fn is_again(&self, contender: &Contender) -> bool {
        !contender.displaced.is_empty()
            && self.targets.next(contender.host, &contender.started) == Next::Nothing
    }

    fn next(&self, contender: &Contender) -> Next {
        match (self.targets.next(contender.host, &contender.started), contender.displaced.first()) {
            (Next::Nothing, Some((address, since))) => Next::Address(*address, *since),
            (next, _) => next,
        }
    }

    /// Whether the candidate has or may get an address that has not started.
    fn has_more(&self, contender: &Contender) -> bool {
        self.next(contender) != Next::Nothing
    }

    fn next_group(&self) -> Option<Group> {
        let groups = self.contenders.iter().map(|contender| self.group_of(contender));
        groups.filter(|group| *group > self.group).min()
    }

    /// When the next group starts, given that all of this one has started.
    ///
    /// At once when all its attempts have failed. Otherwise when nothing in flight has completed a stage for the group
    /// delay; a lookup that goes on counts as in flight since the latest answer of its host, or since the group's start.
    /// When the next target is a host already being tried, behind another port, the attempt delay is enough.
    fn next_group_from(&self, awaited: bool) -> Deadline {
        if !awaited && !self.in_flight().any(|attempt| attempt.group == self.group) {
            return Deadline::from(self.group_opened);
        }
        let progress = self.in_flight().map(Attempt::progress_at).max();
        let looked_up = if awaited { self.latest_lookup() } else { None };
        let since = progress.max(looked_up).unwrap_or(self.group_opened);
        let quiet = Deadline::after(since, self.pace.group_delay);
        let next_group = self.next_group();
        let mut next =
            self.contenders.iter().filter(|contender| Some(self.group_of(contender)) == next_group);
        let next = next.find(|contender| self.has_more(contender));
        let same_host =
            next.is_some_and(|next| self.in_flight().any(|attempt| attempt.host == next.entry.host));
        // An infinite group delay asks for strict order.
        if same_host && quiet != Deadline::NEVER { quiet.min(self.quiet_from()) } else { quiet }
    }

    /// When the present group had its latest answer from the DNS; its start before that.
    fn latest_lookup(&self) -> Option<Instant> {
        let of_group = self.contenders.iter().filter(|contender| self.group_of(contender) == self.group);
        let answers = of_group.filter_map(|contender| self.targets.latest(contender.host));
        Some(answers.max().map_or(self.group_opened, |at| at.max(self.group_opened)))
    }

    fn is_lost(&self) -> bool {
        let may_go_on = self.may_start() && self.contenders.iter().any(|contender| self.has_more(contender));
        !self.is_in_flight() && self.verified.is_empty() && !may_go_on
    }
}
