//! The race: which attempt starts when, and when it is won or lost (RFC 8305, XEP-0495). No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub(crate) use super::pace::Pace;

use super::addresses::{Addresses, Family, Next, Progress, RESOLUTION_DELAY};
use super::hosts::Hosts;
use super::time_line::{Attempt, State};
use super::{AttemptError, AttemptEvent, AttemptId, Stage};
use crate::deadline::Deadline;
use crate::discovery::order::Group;
use crate::domain::Host;
use crate::service::TlsMode;
use crate::starttls::Step;

/// How many attempts one connect makes at the most.
pub(crate) const MAX_ATTEMPTS: usize = 128;
/// How many attempts are in flight at the most.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

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
    /// Start an attempt.
    Start { id: AttemptId, candidate: usize, address: SocketAddr },
    /// An attempt has run into its limit.
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
    progress: Progress,
}

/// The race over the candidates of one connect.
#[derive(Debug)]
pub(crate) struct Race {
    pace: Pace,
    hosts: Hosts,
    contenders: Vec<Contender>,
    attempts: Vec<Attempt>,
    group: Group,
    group_opened: Instant,
    /// How many attempts may start without waiting: one for each failure, and one for a group that has just opened.
    free_starts: usize,
    verified: Vec<AttemptId>,
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
            hosts: Hosts::new(pace.family),
            pace,
            contenders: Vec::new(),
            attempts: Vec::new(),
            group: Group::default(),
            group_opened: now,
            free_starts: 0,
            verified: Vec::new(),
        }
    }

    /// Sets the candidates, in order. What has started stays started; what has not is replaced by `entries`.
    pub(crate) fn set_entries(&mut self, entries: Vec<Entry>, now: Instant) {
        let mut started: Vec<Contender> = std::mem::take(&mut self.contenders);
        started.retain(|contender| contender.progress.taken() > 0);
        for entry in entries {
            let host = self.hosts.number(&entry.host, now);
            let same = started.iter().position(|contender| contender.entry.candidate == entry.candidate);
            let progress = same.map_or_else(Progress::default, |index| started.swap_remove(index).progress);
            self.contenders.push(Contender { entry, host, progress });
        }
        let waiting = self.contenders.iter().filter(|contender| contender.progress.taken() == 0);
        if let Some(group) = waiting.map(|contender| contender.entry.group).min() {
            // A group that joins late can stand before the one that is dialled now.
            if self.attempts.is_empty() || group < self.group {
                (self.group, self.group_opened) = (group, now);
            }
        }
    }

    /// Whether the group is dialled now, was before, or is the next one.
    pub(crate) fn is_due(&self, group: Group) -> bool {
        group <= self.group || self.next_group() == Some(group)
    }

    /// The attempts, by number.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The hosts of candidates with more addresses than are tried, and how many more.
    pub(crate) fn cut_addresses(&self) -> impl Iterator<Item = (&Host, usize)> {
        let is_used = |number| self.contenders.iter().any(|contender| contender.host == number);
        let used = self.hosts.cut().filter(move |(number, _, _)| is_used(*number));
        used.map(|(_, host, left_out)| (host, left_out))
    }

    /// Whether there was more to start than [`MAX_ATTEMPTS`].
    pub(crate) fn is_cut(&self) -> bool {
        self.attempts.len() >= MAX_ATTEMPTS
            && self.contenders.iter().any(|contender| self.has_more(contender))
    }

    /// The answer to an address question; empty when there are none, or the lookup failed.
    pub(crate) fn handle_addresses(
        &mut self,
        host: &Host,
        family: Family,
        addresses: &[IpAddr],
        now: Instant,
    ) {
        self.hosts.set(host, family, addresses, now);
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
            AttemptEvent::Verified => {
                attempt.completed.push((Stage::Tls, now));
                attempt.end(State::Verified, now);
                self.verified.push(id);
            }
            // A part of the TLS stage: neither is its limit extended, nor does another attempt wait for it.
            AttemptEvent::Repeated(error) => attempt.repeated = Some((error, now)),
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
        loop {
            if self.in_flight().count() >= MAX_IN_FLIGHT || self.attempts.len() >= MAX_ATTEMPTS {
                break;
            }
            match self.startable(now) {
                Startable::Now(contender, address) => {
                    if self.free_starts == 0 && !self.quiet_from().is_over(now) {
                        break;
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
        if self.in_flight().count() >= MAX_IN_FLIGHT || self.attempts.len() >= MAX_ATTEMPTS {
            return limits;
        }
        limits.min(match self.startable(now) {
            Startable::Now(..) => self.quiet_from(),
            Startable::At(at) => Deadline::from(at),
            Startable::AllStarted { awaited } if self.next_group().is_some() => self.next_group_from(awaited),
            Startable::AllStarted { .. } => Deadline::NEVER,
        })
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
        let contender = self.contenders.get_mut(contender)?;
        Addresses::take(&mut contender.progress, address);
        self.free_starts = self.free_starts.saturating_sub(1);
        let id = AttemptId(self.attempts.len());
        let address = SocketAddr::new(address, contender.entry.port);
        self.attempts.push(Attempt::start(&contender.entry, address, self.pace.attempt_delay, now));
        Some(RaceOrder::Start { id, candidate: contender.entry.candidate, address })
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
            let group = contender.entry.group;
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

    fn next(&self, contender: &Contender) -> Next {
        let addresses = self.hosts.addresses(contender.host);
        addresses.map_or(Next::Nothing, |addresses| addresses.next(contender.progress))
    }

    /// Whether the candidate has or may get an address that has not started.
    fn has_more(&self, contender: &Contender) -> bool {
        self.next(contender) != Next::Nothing
    }

    fn next_group(&self) -> Option<Group> {
        let groups = self.contenders.iter().map(|contender| contender.entry.group);
        groups.filter(|group| *group > self.group).min()
    }

    /// When the next group starts, given that all of this one has started.
    ///
    /// At once when all its attempts have failed. Otherwise when nothing in flight has completed a stage for the group
    /// delay; a lookup that goes on counts as in flight since the latest answer of its host, or since the group's start.
    /// When the next target is a host already being tried, behind another port, the attempt delay is enough.
    fn next_group_from(&self, awaited: bool) -> Deadline {
        let in_group = |attempt: &&Attempt| {
            let of_attempt = |contender: &&Contender| contender.entry.candidate == attempt.candidate;
            self.contenders
                .iter()
                .find(of_attempt)
                .is_some_and(|contender| contender.entry.group == self.group)
        };
        if !awaited && !self.in_flight().any(|attempt| in_group(&attempt)) {
            return Deadline::from(self.group_opened);
        }
        let progress = self.in_flight().map(Attempt::progress_at).max();
        let looked_up = if awaited { self.latest_lookup() } else { None };
        let since = progress.max(looked_up).unwrap_or(self.group_opened);
        let quiet = Deadline::after(since, self.pace.group_delay);
        let next_group = self.next_group();
        let mut next = self.contenders.iter().filter(|contender| Some(contender.entry.group) == next_group);
        let next = next.find(|contender| self.has_more(contender));
        let same_host =
            next.is_some_and(|next| self.in_flight().any(|attempt| attempt.host == next.entry.host));
        // An infinite group delay asks for strict order.
        if same_host && quiet != Deadline::NEVER { quiet.min(self.quiet_from()) } else { quiet }
    }

    /// When the present group had its latest answer from the DNS; its start before that.
    fn latest_lookup(&self) -> Option<Instant> {
        let of_group = self.contenders.iter().filter(|contender| contender.entry.group == self.group);
        let answers = of_group.filter_map(|contender| self.hosts.addresses(contender.host)?.latest());
        Some(answers.max().map_or(self.group_opened, |at| at.max(self.group_opened)))
    }

    fn is_lost(&self) -> bool {
        let may_go_on = self.attempts.len() < MAX_ATTEMPTS
            && self.contenders.iter().any(|contender| self.has_more(contender));
        self.in_flight().next().is_none() && self.verified.is_empty() && !may_go_on
    }
}
