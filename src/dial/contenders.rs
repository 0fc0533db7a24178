//! The candidates of a race, in order, and which of their addresses can start. No IO.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::address_order::Rank;
use super::targets::{Next, Targets};
use super::{Destination, Reach};
use crate::discovery::order::{Below, Group, Round, order};
use crate::discovery::{Candidate, Origin};
use crate::domain::Host;
use crate::filter::Filter;
use crate::limits::{MAX_ADDRESSES, MAX_CANDIDATES, RESOLUTION_DELAY};
use crate::logging;
use crate::settings::{Family, Policy, Settings};
use crate::sorted::sort_by_number;

pub(crate) use self::tlsa::Tlsa;

mod tlsa;

/// One candidate in the race.
#[derive(Debug)]
struct Contender {
    candidate: Candidate,
    /// The number of its host.
    target: usize,
    /// Those that were started, in order.
    started: Vec<Reach>,
    /// Whether an attempt refers to it, if only one that the caller's filter has refused, so that its place must stay.
    is_tried: bool,
    /// Whether the caller was given a connection to it, and goes on.
    is_finished: bool,
    /// Those of them that were displaced. They are started once more after everything else has been tried, so that the
    /// bound on attempts in flight costs time and never the connect.
    displaced: Vec<Reach>,
    /// What is known of its TLSA records.
    tlsa: Tlsa,
    /// What the caller's filter has said of each of the addresses.
    verdicts: HashMap<IpAddr, Verdict>,
}

/// What the caller's filter says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
}

impl Verdict {
    fn of(filter: &Filter, candidate: &Candidate, address: SocketAddr) -> Self {
        let is_allowed = filter.allows(candidate, address);
        if !is_allowed {
            logging::debug(format_args!("{candidate} at {address} is refused by the filter"));
        }
        if is_allowed { Self::Allowed } else { Self::Refused }
    }
}

impl Contender {
    fn new(candidate: Candidate, target: usize) -> Self {
        Self {
            candidate,
            target,
            started: Vec::new(),
            is_tried: false,
            is_finished: false,
            displaced: Vec::new(),
            tlsa: Tlsa::Unused,
            verdicts: HashMap::new(),
        }
    }

    fn is_refused(&self, reach: Reach) -> bool {
        reach.address().is_some_and(|address| self.verdicts.get(&address) == Some(&Verdict::Refused))
    }
}

/// The candidates in order, with their addresses.
#[derive(Debug)]
pub(crate) struct Contenders {
    policy: Policy,
    targets: Targets,
    list: Vec<Contender>,
    /// How many candidates are not tried, since they come after the last one that is.
    left_out: usize,
    /// The destinations that go last, because the caller has rejected them.
    rejected: Vec<Destination>,
    /// The group whose addresses have been judged by the filter, unless more have become known since.
    judged: Option<Group>,
}

/// Whether another attempt can start without displacing one in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    None,
}

/// What can be started in a group.
pub(super) enum Startable {
    /// The contender at this place, there.
    Now(usize, Reach),
    /// Something, from this time on.
    At(Instant),
    /// All known addresses have started. `awaited`: lookups of the group are outstanding.
    AllStarted { awaited: bool },
}

/// The contender of an address that starts.
pub(super) struct Starting {
    pub(super) candidate: Candidate,
    pub(super) group: Group,
    pub(super) target: usize,
}

impl Contenders {
    pub(super) fn new(settings: &Settings) -> Self {
        let targets = Targets::new(settings.family, settings.dns_use.leaves_names());
        Self {
            policy: settings.policy,
            targets,
            list: Vec::new(),
            left_out: 0,
            rejected: Vec::new(),
            judged: None,
        }
    }

    /// Draws the order of `candidates`, which are all that are known now. Those that have started stay in front.
    /// Returns the places that they had before, and the first group of the others.
    pub(super) fn set(
        &mut self,
        candidates: Vec<Candidate>,
        below: Below<'_>,
        now: Instant,
    ) -> (Vec<usize>, Option<Group>) {
        let known = std::mem::take(&mut self.list).into_iter().enumerate();
        let (places, tried) = known.filter(|(_, contender)| contender.is_tried).unzip();
        self.list = tried;
        for contender in &mut self.list {
            let is_it = |candidate: &&Candidate| candidate.is_same_record(&contender.candidate);
            if let Some(candidate) = candidates.iter().find(is_it) {
                contender.candidate = candidate.clone();
            }
        }
        let is_tried = |candidate: &Candidate| self.candidates().any(|tried| tried == candidate);
        let waiting: Vec<Candidate> =
            candidates.into_iter().filter(|candidate| !is_tried(candidate)).collect();
        // A domain can publish thousands of records: the excess is dropped first.
        let started = self.list.iter().filter(|contender| !contender.started.is_empty()).count();
        let room = MAX_CANDIDATES.saturating_sub(started);
        self.left_out = waiting.len().saturating_sub(room);
        let ordered = order(waiting, self.policy, room, below);
        (places, self.give(ordered, now))
    }

    /// Adds candidates in the order in which they are. Returns the group of the first of them.
    pub(super) fn give(&mut self, candidates: Vec<Candidate>, now: Instant) -> Option<Group> {
        let first = candidates.first().map(|candidate| Group::of(candidate, self.policy));
        for candidate in candidates {
            let target = self.targets.number(candidate.host(), now);
            self.list.push(Contender::new(candidate, target));
        }
        self.judged = None;
        first
    }

    /// Tries nothing more of a candidate.
    pub(super) fn finish(&mut self, place: usize) {
        if let Some(contender) = self.list.get_mut(place) {
            contender.is_finished = true;
            contender.displaced.clear();
        }
    }

    /// Makes what was started something that has not been.
    pub(super) fn put_back(&mut self, place: usize, reach: Reach) {
        let Some(contender) = self.list.get_mut(place) else { return };
        // Twice, if it was displaced and started again.
        contender.started.retain(|started| *started != reach);
    }

    /// Keeps more addresses, since the caller's filter may refuse most of them.
    pub(super) fn expect_refusals(&mut self) {
        self.targets.expect_refusals();
    }

    /// Makes these destinations go last.
    pub(super) fn put_last(&mut self, rejected: impl Iterator<Item = Destination>) {
        self.rejected = rejected.collect();
    }

    /// The candidates, in order.
    pub(crate) fn candidates(&self) -> impl ExactSizeIterator<Item = &Candidate> {
        self.list.iter().map(|contender| &contender.candidate)
    }

    /// A candidate by its place in the order.
    pub(crate) fn candidate(&self, place: usize) -> Option<&Candidate> {
        self.list.get(place).map(|contender| &contender.candidate)
    }

    /// How many candidates were left out.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The hosts of candidates with more addresses than can be tried, and the number of the excess ones.
    pub(crate) fn cut_addresses(&self) -> impl Iterator<Item = (&Host, usize)> {
        let is_used = |number| self.list.iter().any(|contender| contender.target == number);
        let used = self.targets.cut().filter(move |(number, _, _)| is_used(*number));
        used.map(|(_, host, left_out)| (host, left_out))
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
        self.judged = None;
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
        self.judged = None;
    }

    /// A host whose addresses have not been asked for: of group `present`, an earlier one, or, ahead of time, the next
    /// one.
    pub(super) fn due_lookup(&mut self, present: Group) -> Option<Host> {
        let latest = self.next_group(present).unwrap_or(present);
        let is_due = |contender: &&Contender| Group::of(&contender.candidate, self.policy) <= latest;
        let due = self.list.iter().filter(is_due).map(|contender| contender.target);
        due.into_iter().find_map(|host| self.targets.ask(host))
    }

    /// What to start in group `present`, or in an earlier one whose addresses came late: the first in order. A
    /// candidate whose addresses are still unknown holds back those after it in its group for [`RESOLUTION_DELAY`].
    pub(super) fn startable(&self, present: Group, room: Room, now: Instant) -> Startable {
        let mut held_back: Option<Group> = None;
        let mut earliest: Option<(Group, Instant)> = None;
        let mut awaited = false;
        for (group, place, contender) in self.by_group() {
            if group > present || self.is_again(contender) {
                continue;
            }
            match self.next(contender) {
                // "Groups are tried in order" (rule C1): an address of an earlier group that starts soon goes first.
                Next::Start(..) if earliest.is_some_and(|(earlier, _)| earlier < group) => {}
                Next::Start(reach, from) => {
                    let from = if held_back == Some(group) { from + RESOLUTION_DELAY } else { from };
                    if from <= now {
                        return Startable::Now(place, reach);
                    }
                    let (first, at) = earliest.unwrap_or((group, from));
                    earliest = Some((first.min(group), at.min(from)));
                    held_back = Some(group);
                }
                Next::Unknown => {
                    held_back = Some(group);
                    awaited |= group == present;
                }
                Next::MoreToCome => awaited |= group == present,
                Next::Nothing => {}
            }
        }
        if let Some((_, earliest)) = earliest {
            return Startable::At(earliest);
        }
        self.startable_again(present, room).unwrap_or(Startable::AllStarted { awaited })
    }

    /// The contenders by their groups. Those that had started when others joined are in front of them in the list, but
    /// what is left of them is not.
    fn by_group(&self) -> Vec<(Group, usize, &Contender)> {
        let contenders = self.list.iter().enumerate();
        let mut all =
            contenders.map(|(place, contender)| (self.group_of(contender), place, contender)).collect();
        sort_by_number(&mut all, |(group, ..): &(Group, usize, &Contender)| group.number());
        all
    }

    /// The group of the contender at `place`, whatever round it is in.
    pub(super) fn group_at(&self, place: usize) -> Option<Group> {
        self.list.get(place).map(|contender| Group::of(&contender.candidate, self.policy))
    }

    /// A displaced address that can start once more: only if there is room, and nothing else that it would keep from
    /// starting.
    fn startable_again(&self, present: Group, room: Room) -> Option<Startable> {
        if room == Room::None {
            return None;
        }
        self.by_group().into_iter().find_map(|(group, place, contender)| {
            let reach = contender.displaced.first()?;
            let is_due = self.is_again(contender) && group <= present;
            is_due.then_some(Startable::Now(place, *reach))
        })
    }

    /// Starts the contender at `place`.
    pub(super) fn start(&mut self, place: usize, reach: Reach) -> Option<Starting> {
        let group = self.group_of(self.list.get(place)?);
        let contender = self.list.get_mut(place)?;
        contender.displaced.retain(|displaced| *displaced != reach);
        contender.started.push(reach);
        contender.is_tried = true;
        let candidate = contender.candidate.clone().with_tlsa(contender.tlsa.records());
        Some(Starting { candidate, group, target: contender.target })
    }

    /// Applies the filter to the known addresses of group `present` and those before it, to each once, until `most` are
    /// refused. Returns those that it has refused.
    pub(super) fn judge(&mut self, present: Group, filter: &Filter, most: usize) -> Vec<(usize, SocketAddr)> {
        let mut refused = Vec::new();
        if self.judged.replace(present) == Some(present) {
            return refused;
        }
        for (place, contender) in self.list.iter_mut().enumerate() {
            if contender.is_finished || Group::of(&contender.candidate, self.policy) > present {
                continue;
            }
            for address in self.targets.known(contender.target) {
                if refused.len() >= most {
                    return refused;
                }
                let Entry::Vacant(verdict) = contender.verdicts.entry(address) else { continue };
                let address = SocketAddr::new(address, contender.candidate.port());
                let verdict = *verdict.insert(Verdict::of(filter, &contender.candidate, address));
                if verdict == Verdict::Refused {
                    contender.is_tried = true;
                    refused.push((place, address));
                }
            }
        }
        refused
    }

    /// Notes that the attempt there was abandoned to start another. It is started once more at most.
    pub(super) fn displace(&mut self, place: usize, reach: Reach) {
        let Some(contender) = self.list.get_mut(place) else { return };
        if contender.started.iter().filter(|started| **started == reach).count() == 1 {
            contender.displaced.push(reach);
        }
    }

    /// Whether anything is left to start or to look up.
    pub(super) fn has_any_more(&self) -> bool {
        self.list.iter().any(|contender| self.has_more(contender))
    }

    /// The group after `present`.
    pub(super) fn next_group(&self, present: Group) -> Option<Group> {
        let groups = self.list.iter().map(|contender| self.group_of(contender));
        groups.filter(|group| *group > present).min()
    }

    /// The number of the host that goes first in the group after `present`.
    pub(super) fn next_target(&self, present: Group) -> Option<usize> {
        let next = self.next_group(present)?;
        let mut of_next = self.list.iter().filter(|contender| self.group_of(contender) == next);
        of_next.find(|contender| self.has_more(contender)).map(|contender| contender.target)
    }

    /// When group `present` received its latest DNS answer.
    pub(super) fn latest_lookup(&self, present: Group) -> Option<Instant> {
        let of_group = self.list.iter().filter(|contender| self.group_of(contender) == present);
        of_group.filter_map(|contender| self.targets.latest(contender.target)).max()
    }

    /// The current group of a candidate: after all others once its turn is used up.
    fn group_of(&self, contender: &Contender) -> Group {
        let round = if self.is_again(contender) {
            Round::Again
        } else if self.is_rejected_left(contender) {
            Round::Rejected
        } else if contender.started.len() >= MAX_ADDRESSES {
            Round::LeftOver
        } else {
            Round::First
        };
        Group::of(&contender.candidate, self.policy).in_round(round)
    }

    /// Whether only addresses are left of the candidate that the caller has rejected.
    fn is_rejected_left(&self, contender: &Contender) -> bool {
        !self.rejected.is_empty()
            && self.next_but_rejected(contender) == Next::Nothing
            && self.next(contender) != Next::Nothing
    }

    /// Whether only displaced addresses are left of the candidate.
    fn is_again(&self, contender: &Contender) -> bool {
        !contender.displaced.is_empty() && self.next(contender) == Next::Nothing
    }

    fn next(&self, contender: &Contender) -> Next {
        match self.next_but_rejected(contender) {
            Next::Nothing if !contender.is_finished && !self.rejected.is_empty() => {
                self.targets.next(contender.target, &contender.started, &|reach| contender.is_refused(reach))
            }
            next => next,
        }
    }

    fn next_but_rejected(&self, contender: &Contender) -> Next {
        if contender.is_finished {
            return Next::Nothing;
        }
        if contender.tlsa == Tlsa::Awaited {
            return if contender.started.is_empty() { Next::Unknown } else { Next::MoreToCome };
        }
        let is_skipped = |reach| contender.is_refused(reach) || self.is_rejected(contender, reach);
        self.targets.next(contender.target, &contender.started, &is_skipped)
    }

    /// Whether it goes last. A server that the caller wants to be tried first is tried first all the same.
    fn is_rejected(&self, contender: &Contender, reach: Reach) -> bool {
        let candidate = &contender.candidate;
        candidate.origin() != Origin::Preferred && self.rejected.contains(&Destination::new(reach, candidate))
    }

    /// Whether the candidate has, or may get, an address to start.
    fn has_more(&self, contender: &Contender) -> bool {
        !contender.displaced.is_empty() || self.next(contender) != Next::Nothing
    }
}
