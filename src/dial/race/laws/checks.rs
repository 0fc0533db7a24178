//! What the rules say of each order, and of the time until the next one. No IO.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::watched::{Seen, State, Watched};
use crate::deadline::Deadline;
use crate::dial::{AttemptId, Destination, Reach};
use crate::discovery::Candidate;
use crate::discovery::order::Group;
use crate::domain::Host;
use crate::limits::{
    CONNECTION_ATTEMPT_DELAY, MAX_ADDRESSES, MAX_ATTEMPTS, MAX_IN_FLIGHT, MINIMUM_CONNECTION_ATTEMPT_DELAY,
    RESOLUTION_DELAY, STAGE_LIMIT,
};
use crate::report::AttemptOutcome;
use crate::settings::Family;

impl Watched {
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| seen.state == State::InFlight)
    }

    pub(super) fn group_of(&self, candidate: &Candidate) -> Group {
        Group::of(candidate, self.policy)
    }

    /// The latest group in which something has started; those that join may precede it, and get their time first.
    pub(super) fn group(&self) -> Option<Group> {
        self.seen.iter().skip(self.joined).map(|seen| self.group_of(&seen.candidate)).max()
    }

    /// Whether the last start is so long ago that there may be another.
    pub(super) fn is_apart(&self) -> bool {
        self.seen.last().is_none_or(|last| self.now - last.started >= MINIMUM_CONNECTION_ATTEMPT_DELAY)
    }

    /// An address of a group up to this one that nothing holds back, and that has not started.
    pub(super) fn overdue(&self, last: Option<Group>) -> Option<(&Candidate, IpAddr)> {
        if self.is_over || self.seen.len() >= MAX_ATTEMPTS {
            return None;
        }
        let is_due = |candidate: &&Candidate| Some(self.group_of(candidate)) <= last;
        self.candidates.iter().filter(is_due).find_map(|candidate| {
            let started: Vec<&Seen> = self.seen.iter().filter(|seen| seen.candidate == *candidate).collect();
            // It holds back for its own other family, and for a candidate before it.
            let is_free = |since: Instant| self.now - since > 2 * RESOLUTION_DELAY;
            let is_left = |address: IpAddr| {
                let is_this = |seen: &&Seen| seen.destination.reach() == Reach::At(address);
                started.len() < MAX_ADDRESSES && !started.iter().any(is_this)
            };
            let mut known = self.known.iter().filter(|((host, _), _)| host == candidate.host());
            let due = known.find(|((_, address), since)| is_free(**since) && is_left(*address));
            due.map(|((_, address), _)| (candidate, *address))
        })
    }

    pub(super) fn check_start(&mut self, id: AttemptId, candidate: &Candidate, destination: &Destination) {
        assert_eq!(id.0, self.seen.len());
        assert!(self.candidates.contains(candidate) && destination.port() == candidate.port());
        let address = destination.reach().address().unwrap();
        let is_this = |seen: &&Seen| (&seen.candidate, &seen.destination) == (candidate, destination);
        let before: Vec<&Seen> = self.seen.iter().filter(is_this).collect();
        let is_again = before.len() == 1 && before[0].state == State::Displaced;
        assert!(before.is_empty() || is_again, "{destination} of {candidate} twice");
        let is_known = self.known.contains_key(&(candidate.host().clone(), address));
        assert!(is_known || is_again, "an unknown address");
        assert!(self.in_flight().count() < MAX_IN_FLIGHT && self.seen.len() < MAX_ATTEMPTS);
        assert!(self.is_apart(), "too soon after the last start");
        // What comes again, or in excess of the bound of a candidate, comes after all others.
        let of_candidate = self.seen.iter().filter(|seen| seen.candidate == *candidate).count();
        let is_last = is_again || of_candidate >= MAX_ADDRESSES;
        let earlier = self.candidates.iter().map(|candidate| self.group_of(candidate));
        let group = self.group_of(candidate);
        let before = if is_last { earlier.max() } else { earlier.filter(|earlier| *earlier < group).max() };
        assert_eq!(
            before.and_then(|before| self.overdue(Some(before))),
            None,
            "before {candidate} of {group:?}"
        );
        self.seen.push(Seen {
            candidate: candidate.clone(),
            destination: destination.clone(),
            started: self.now,
            progress: self.now,
            delay: CONNECTION_ATTEMPT_DELAY,
            is_last,
            state: State::InFlight,
        });
        self.check_pace();
    }

    /// What starts while another attempt still makes progress follows a failure, or is the first of its group.
    pub(super) fn check_pace(&mut self) {
        let (_, before) = self.seen.split_last().unwrap();
        let is_busy = |seen: &Seen| seen.state == State::InFlight && seen.progress + seen.delay > self.now;
        self.early += usize::from(before.iter().any(is_busy));
        let groups = self.seen.iter().map(|seen| (self.group_of(&seen.candidate), seen.is_last));
        let groups: BTreeSet<(Group, bool)> = groups.collect();
        assert!(self.early <= self.failures + groups.len(), "{} too early", self.early);
    }

    /// Closes an attempt; returns whether it is displaced.
    pub(super) fn close(&mut self, id: AttemptId) -> bool {
        let oldest = self.in_flight().map(|seen| seen.progress).min();
        let is_full = self.in_flight().count() == MAX_IN_FLIGHT;
        let seen = self.seen.get_mut(id.0).filter(|seen| seen.state == State::InFlight).unwrap();
        if self.now - seen.progress >= STAGE_LIMIT {
            seen.state = State::Failed;
            self.failures += 1;
            return false;
        }
        assert!(is_full && Some(seen.progress) == oldest, "{id:?} is in nobody's way");
        seen.state = State::Displaced;
        true
    }

    pub(super) fn check_victory(&mut self, winner: AttemptId) {
        let place = |seen: &Seen| self.race.contenders.candidates().position(|one| *one == seen.candidate);
        let verified = self.seen.iter().enumerate().filter(|(_, seen)| seen.state == State::Verified);
        let first = verified.min_by_key(|(id, seen)| (place(seen), *id)).unwrap().0;
        assert_eq!(winner.0, first, "not the first in order");
        for (id, attempt) in self.race.attempts().enumerate() {
            let is_connected = matches!(attempt.outcome, AttemptOutcome::Connected);
            assert_eq!(is_connected, id == winner.0);
            assert!(
                !matches!(attempt.outcome, AttemptOutcome::InFlight),
                "{id} is neither closed nor returned"
            );
        }
        self.is_over = true;
    }

    pub(super) fn check_defeat(&self) {
        assert!(self.seen.iter().all(|seen| matches!(seen.state, State::Failed | State::Displaced)));
        if self.seen.len() == MAX_ATTEMPTS {
            return;
        }
        for candidate in &self.candidates {
            let is_answered = |family| self.answered.contains(&(candidate.host().clone(), family));
            assert!(Family::BOTH.into_iter().all(is_answered), "lost, and {candidate} is not known");
            let started = self.seen.iter().filter(|seen| seen.candidate == *candidate);
            let started: HashSet<IpAddr> =
                started.map(|seen| seen.destination.reach().address().unwrap()).collect();
            let known = self.known.keys().filter(|(host, _)| host == candidate.host());
            let untried = known.map(|(_, address)| *address).find(|address| !started.contains(address));
            assert_eq!(untried, None, "lost, and not all of {candidate} was tried");
        }
        let displaced = self.seen.iter().filter(|seen| seen.state == State::Displaced).count();
        let again = self.seen.len() - self.distinct();
        assert!(again <= displaced, "what was displaced is tried again, and nothing else");
    }

    /// How many destinations were tried.
    pub(super) fn distinct(&self) -> usize {
        let destinations = self.seen.iter().map(|seen| (seen.candidate.to_string(), &seen.destination));
        destinations.collect::<HashSet<_>>().len()
    }

    /// Nothing is due before the time at which the race wants to be polled, and it wants to be while something waits.
    pub(super) fn check_wake(&mut self, is_lost: bool) {
        if self.is_over || is_lost {
            return;
        }
        let wake = self.race.wake_at(self.now);
        assert!(!wake.is_over(self.now), "a busy loop");
        let limit = self.in_flight().map(|seen| seen.progress + STAGE_LIMIT).min();
        assert!(limit.is_none_or(|limit| wake <= Deadline::from(limit)), "it sleeps over a limit");
        let is_awaited =
            |host: &Host| !Family::BOTH.iter().all(|family| self.answered.contains(&(host.clone(), *family)));
        assert!(wake != Deadline::NEVER || self.asked.iter().any(is_awaited), "it sleeps for ever");
        let just_before = wake.at().map_or(self.now, |wake| wake - Duration::from_nanos(1));
        for at in [self.now, just_before] {
            assert!(self.race.poll(at).is_none(), "something at {:?}, and it sleeps until {wake:?}", at);
            assert_eq!(self.race.wake_at(at), wake);
        }
    }
}
