//! A race that is played with a made-up clock, and what is known of its past. No IO.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dial::address_order::Rank;
use crate::dial::race::{Race, RaceOrder};
use crate::dial::{AttemptError, AttemptEvent, AttemptId, Destination, Stage};
use crate::discovery::Candidate;
use crate::domain::Host;
use crate::limits::{CONNECTION_ATTEMPT_DELAY, MAXIMUM_CONNECTION_ATTEMPT_DELAY};
use crate::settings::{Family, Policy, Settings};
use crate::wait;

/// How many hosts there are.
pub(super) const HOSTS: u8 = 4;

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Pass(Duration),
    /// Time passes until the race wants to be polled, and so much more.
    Wake(Duration),
    /// So many addresses of a host arrive; `None` if the lookup fails.
    Answer(u8, Family, Option<u8>),
    /// So many addresses are in the additional section.
    Hint(u8, Family, u8),
    /// Something happens to these attempts, all in one wake-up. Some do not exist, or have ended.
    Attempts(Vec<(usize, What)>),
    /// The rest of the candidates becomes known.
    Join,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Completed,
    Verified,
    Failed,
}

pub(super) fn name(host: u8) -> Host {
    Host::Name(format!("h{host}.test"))
}

/// The addresses of a host, from the first on.
pub(super) fn addresses(host: u8, family: Family, count: u8) -> Vec<(Rank, IpAddr)> {
    let address = |number| match family {
        Family::Ipv6 => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, host.into(), number)),
        Family::Ipv4 => IpAddr::from(Ipv4Addr::new(192, 0, host, number.try_into().unwrap())),
    };
    (1..=u16::from(count)).map(address).map(|address| (Rank::new(address, Some(address)), address)).collect()
}

/// What has become of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    InFlight,
    Failed,
    Displaced,
    Verified,
}

/// An attempt, as seen from outside.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) candidate: Candidate,
    pub(super) destination: Destination,
    pub(super) started: Instant,
    pub(super) progress: Instant,
    /// How long nothing else may start after its progress.
    pub(super) delay: Duration,
    /// Whether it came after all others: again, or in excess of the bound of its candidate.
    pub(super) is_last: bool,
    pub(super) state: State,
}

/// A race that is watched.
pub(super) struct Watched {
    pub(super) race: Race,
    pub(super) policy: Policy,
    pub(super) now: Instant,
    pub(super) candidates: Vec<Candidate>,
    pub(super) late: Vec<Candidate>,
    /// The addresses that are known, each with the time since which it is. Answered families are known as a whole.
    pub(super) known: HashMap<(Host, IpAddr), Instant>,
    pub(super) answered: Vec<(Host, Family)>,
    pub(super) asked: HashSet<Host>,
    pub(super) seen: Vec<Seen>,
    pub(super) failures: usize,
    /// How many attempts had started when the rest of the candidates became known.
    pub(super) joined: usize,
    /// How many attempts have started while another one made progress.
    pub(super) early: usize,
    pub(super) is_over: bool,
}

impl Watched {
    pub(super) fn new(policy: Policy, candidates: Vec<Candidate>, late: Vec<Candidate>) -> Self {
        let now = wait::now();
        let race = Race::new(Arc::new(Settings { policy, ..Settings::default() }), now);
        let mut watched = Self {
            race,
            policy,
            now,
            candidates: Vec::new(),
            late,
            known: HashMap::new(),
            answered: Vec::new(),
            asked: HashSet::new(),
            seen: Vec::new(),
            failures: 0,
            joined: 0,
            early: 0,
            is_over: false,
        };
        watched.set(candidates);
        watched
    }

    pub(super) fn set(&mut self, candidates: Vec<Candidate>) {
        self.race.set_candidates(candidates.clone(), &mut |bound| bound - 1, self.now);
        self.candidates = candidates;
    }

    pub(super) fn play(&mut self, event: Event) {
        let failures = self.failures;
        match event {
            Event::Pass(time) => self.now += time,
            Event::Wake(more) => {
                let wake = self.race.wake_at(self.now).at();
                self.now = wake.unwrap_or(self.now) + more;
            }
            Event::Answer(host, family, count) => self.answer(host, family, count),
            Event::Hint(host, family, count) => {
                if self.answered.contains(&(name(host), family)) || self.has_some(host, family) {
                    return;
                }
                let hints = addresses(host, family, count);
                self.learn(host, &hints);
                self.race.contenders.handle_hints(&name(host), family, hints, self.now);
            }
            Event::Attempts(list) => list.into_iter().for_each(|(which, what)| self.happen(which, what)),
            Event::Join => {
                if self.late.is_empty() {
                    return;
                }
                self.joined = self.seen.len();
                let all = [self.candidates.clone(), std::mem::take(&mut self.late)].concat();
                self.set(all);
            }
        }
        self.settle(self.failures > failures);
    }

    pub(super) fn has_some(&self, host: u8, family: Family) -> bool {
        self.known.keys().any(|(known, address)| *known == name(host) && Family::of(*address) == family)
    }

    pub(super) fn learn(&mut self, host: u8, addresses: &[(Rank, IpAddr)]) {
        // The race knows the hosts of its candidates only.
        if self.candidates.iter().any(|candidate| *candidate.host() == name(host)) {
            for (_, address) in addresses {
                self.known.entry((name(host), *address)).or_insert(self.now);
            }
        }
    }

    pub(super) fn answer(&mut self, host: u8, family: Family, count: Option<u8>) {
        let is_answered = self.answered.contains(&(name(host), family));
        if is_answered || !self.asked.contains(&name(host)) {
            return;
        }
        self.answered.push((name(host), family));
        let answer = count.map(|count| addresses(host, family, count));
        if let Some(answer) = &answer {
            let is_stale = |(of, address): &(Host, IpAddr)| {
                *of == name(host)
                    && Family::of(*address) == family
                    && !answer.iter().any(|(_, new)| new == address)
            };
            self.known.retain(|known, _| !is_stale(known));
            self.learn(host, answer);
        }
        self.race.contenders.handle_addresses(&name(host), family, answer, self.now);
    }

    pub(super) fn happen(&mut self, which: usize, what: What) {
        let stage = self.race.attempts().nth(which).map(|attempt| attempt.stage);
        let event = match (what, stage) {
            (What::Completed, Some(stage @ (Stage::Tcp | Stage::StartTls))) => AttemptEvent::Completed(stage),
            (What::Completed, _) => return,
            (What::Verified, _) => AttemptEvent::Verified,
            (What::Failed, _) => {
                AttemptEvent::Failed(AttemptError::io(io::ErrorKind::ConnectionRefused.into()))
            }
        };
        self.race.handle_attempt(AttemptId(which), event, self.now);
        let Some(seen) = self.seen.get_mut(which).filter(|seen| seen.state == State::InFlight) else {
            return;
        };
        match what {
            What::Completed => {
                let took = self.now - seen.progress;
                seen.delay = (2 * took).clamp(CONNECTION_ATTEMPT_DELAY, MAXIMUM_CONNECTION_ATTEMPT_DELAY);
                seen.progress = self.now;
            }
            What::Verified => seen.state = State::Verified,
            What::Failed => {
                seen.state = State::Failed;
                self.failures += 1;
            }
        }
    }

    /// Takes and checks the orders of now.
    pub(super) fn settle(&mut self, has_failed: bool) {
        let started = self.seen.len();
        let (mut has_displaced, mut is_lost) = (false, false);
        while !self.is_over
            && let Some(order) = self.race.poll(self.now)
        {
            match order {
                RaceOrder::LookUp(host) => {
                    assert!(self.candidates.iter().any(|candidate| *candidate.host() == host));
                    assert!(self.asked.insert(host), "asked twice");
                }
                RaceOrder::Start { id, candidate, destination } => {
                    self.check_start(id, &candidate, &destination);
                    has_displaced = false;
                }
                RaceOrder::Close(id) => {
                    assert!(!has_displaced, "displaced for nothing");
                    has_displaced = self.close(id);
                }
                RaceOrder::Won(id) => self.check_victory(id),
                // There may be more candidates to come.
                RaceOrder::Lost => {
                    self.check_defeat();
                    is_lost = true;
                    self.is_over = self.late.is_empty();
                    break;
                }
            }
        }
        assert!(!has_displaced, "displaced for nothing");
        let is_at_once = self.seen.len() > started || !self.is_apart();
        assert!(
            !has_failed || is_at_once || self.overdue(self.group()).is_none(),
            "a failure starts nothing"
        );
        self.check_wake(is_lost);
    }

    /// Answers every question with nothing, and lets all attempts be silent: how long it takes until the end.
    pub(super) fn finish(&mut self) -> Duration {
        let began = self.now;
        self.play(Event::Join);
        for _ in 0..10_000 {
            let mut hosts = (0..HOSTS).filter(|host| self.asked.contains(&name(*host)));
            if let Some((host, family)) = hosts.find_map(|host| {
                let mut families = Family::BOTH.into_iter();
                Some((host, families.find(|family| !self.answered.contains(&(name(host), *family)))?))
            }) {
                self.play(Event::Answer(host, family, None));
                continue;
            }
            if self.is_over {
                return self.now - began;
            }
            self.play(Event::Wake(Duration::ZERO));
        }
        panic!("it does not end");
    }
}
