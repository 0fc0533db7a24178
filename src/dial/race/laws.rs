//! Laws of the race: whatever happens, in whatever order and at whatever time, these hold. No IO.
//!
//! A script of events is played with a made-up clock, and after each event every order is checked against what the rules
//! say about the past, which is written down here.

use std::collections::HashSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

use self::watched::{Event, HOSTS, State, Watched, What, name};
use crate::deadline::Deadline;
use crate::discovery::{Candidate, Origin};
use crate::laws::for_all;
use crate::limits::{
    CONNECTION_ATTEMPT_DELAY, GROUP_DELAY, MAX_ADDRESSES, MAX_ATTEMPTS, MAX_CANDIDATES, MAX_IN_FLIGHT,
    MAXIMUM_CONNECTION_ATTEMPT_DELAY, STAGE_LIMIT,
};
use crate::report::AttemptOutcome;
use crate::service::TlsMode;
use crate::settings::{Family, Policy};

mod checks;
mod watched;

fn events() -> impl Strategy<Value = Event> {
    // Those around the delays and limits.
    let times =
        select(&[0_u64, 1, 9, 10, 11, 40, 50, 51, 249, 250, 251, 500, 999, 1000, 2000, 9999, 10_000][..]);
    let times = times.prop_map(Duration::from_millis);
    let what = prop_oneof![3 => Just(What::Completed), 4 => Just(What::Failed), 1 => Just(What::Verified)];
    let family = select(&Family::BOTH[..]);
    let count = prop_oneof![8 => 0_u8..4, 1 => 15_u8..19];
    prop_oneof![
        3 => times.clone().prop_map(Event::Pass),
        6 => prop_oneof![9 => Just(Duration::ZERO), 1 => times].prop_map(Event::Wake),
        3 => (0..HOSTS, family.clone(), proptest::option::weighted(0.8, count.clone()))
            .prop_map(|(host, family, count)| Event::Answer(host, family, count)),
        1 => (0..HOSTS, family, count).prop_map(|(host, family, count)| Event::Hint(host, family, count)),
        4 => vec((0_usize..24, what), 1..4).prop_map(Event::Attempts),
        1 => Just(Event::Join),
    ]
}

fn candidate(tls: TlsMode, host: u8, priority: u16, port: u16) -> Candidate {
    Candidate::new(tls, name(host), port, priority, 0, Origin::Srv)
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let kinds = select(&[TlsMode::Direct, TlsMode::StartTls][..]);
    let one = (kinds, 0..HOSTS, 0_u16..3, 1_u16..4);
    vec(one.prop_map(|(tls, host, priority, port)| candidate(tls, host, priority, port)), 0..6).prop_map(
        |mut list| {
            let mut seen = HashSet::new();
            list.retain(|candidate| seen.insert(candidate.to_string()));
            list
        },
    )
}

// rule C1, D1, D3, D4, D5, D12
#[test]
fn whatever_happens_every_order_is_right_and_the_race_ends() {
    let policies = select(&[Policy::AsPublished, Policy::PreferDirect, Policy::PreferStartTls][..]);
    let inputs = (policies, candidates(), candidates(), vec(events(), 0..50));
    for_all(250, &inputs, |(policy, first, late, events)| {
        let late =
            late.into_iter().filter(|candidate| !first.iter().any(|one| one.is_same_server(candidate)));
        let mut watched = Watched::new(policy, first.clone(), late.collect());
        watched.settle(false);
        for event in events {
            if watched.is_over {
                break;
            }
            watched.play(event);
        }
        // Each start waits for the group delay at most, and the last of them for its limit.
        let most = MAXIMUM_CONNECTION_ATTEMPT_DELAY * u32::try_from(MAX_ATTEMPTS).unwrap() + STAGE_LIMIT;
        assert!(watched.is_over || watched.finish() <= most);
        let ended =
            watched.race.attempts().all(|attempt| !matches!(attempt.outcome, AttemptOutcome::InFlight));
        assert!(ended && watched.race.attempts().len() == watched.seen.len());
    });
}

/// The times of the starts at addresses of one host, which are all known from the beginning, each silent or failing so
/// many milliseconds after its start: the rule, one millisecond after the other.
fn expected_starts(failures: &[Option<u64>]) -> Vec<u64> {
    let mut starts: Vec<u64> = Vec::new();
    let mut free = 0;
    for now in 0.. {
        let ends = |starts: &[u64]| -> Vec<u64> {
            starts
                .iter()
                .zip(failures)
                .map(|(start, fails)| fails.map_or(u64::MAX, |after| start + after))
                .collect()
        };
        free += ends(&starts).iter().filter(|end| **end == now).count();
        while starts.len() < failures.len() {
            let in_flight = starts.iter().zip(ends(&starts)).filter(|(_, end)| *end > now);
            let is_quiet = in_flight.map(|(start, _)| start + 250).all(|quiet| quiet <= now);
            if !(is_quiet || free > 0) || starts.last().is_some_and(|last| last + 10 > now) {
                break;
            }
            starts.push(now);
            free = free.saturating_sub(1);
        }
        if starts.len() == failures.len() {
            return starts;
        }
    }
    starts
}

// rule D1
#[test]
fn an_attempt_starts_when_the_others_are_quiet_or_one_has_failed_and_never_within_10_ms() {
    let times =
        prop_oneof![Just(None), (1_u64..400).prop_map(Some), select(&[9, 10, 11, 250][..]).prop_map(Some)];
    for_all(200, &vec(times, 1..=MAX_IN_FLIGHT), |failures| {
        let count = u8::try_from(failures.len()).unwrap();
        let mut watched =
            Watched::new(Policy::AsPublished, vec![candidate(TlsMode::Direct, 0, 0, 1)], Vec::new());
        watched.settle(false);
        let began = watched.now;
        watched.play(Event::Answer(0, Family::Ipv4, Some(0)));
        watched.play(Event::Answer(0, Family::Ipv6, Some(count)));
        let expected = expected_starts(&failures);
        while watched.seen.len() < failures.len() {
            let ends = watched.seen.iter().zip(&failures).enumerate().filter_map(|(which, (seen, after))| {
                let end = seen.started + Duration::from_millis((*after)?);
                (seen.state == State::InFlight).then_some((end, which))
            });
            let end = ends.min();
            let wake = watched.race.wake_at(watched.now);
            match end.filter(|(end, _)| Deadline::from(*end) <= wake) {
                Some((end, which)) => {
                    watched.now = end;
                    watched.play(Event::Attempts(vec![(which, What::Failed)]));
                }
                None => watched.play(Event::Wake(Duration::ZERO)),
            }
        }
        let starts: Vec<u128> = watched.seen.iter().map(|seen| (seen.started - began).as_millis()).collect();
        assert_eq!(starts, expected.into_iter().map(u128::from).collect::<Vec<_>>());
    });
}

// rule D2
#[test]
fn silent_servers_hold_the_next_priority_back_for_their_starts_and_one_second() {
    for_all(60, &(1..=u8::try_from(MAX_ADDRESSES).unwrap(), 0_u8..8), |(count, of_next)| {
        let candidates = vec![candidate(TlsMode::Direct, 0, 0, 1), candidate(TlsMode::StartTls, 1, 1, 1)];
        let mut watched = Watched::new(Policy::AsPublished, candidates, Vec::new());
        watched.settle(false);
        let began = watched.now;
        for (host, count) in [(0, count), (1, of_next + 1)] {
            watched.play(Event::Answer(host, Family::Ipv4, Some(0)));
            watched.play(Event::Answer(host, Family::Ipv6, Some(count)));
        }
        while watched.seen.len() <= usize::from(count) {
            watched.play(Event::Wake(Duration::ZERO));
        }
        let next = watched.seen.last().unwrap();
        assert_eq!(*next.candidate.host(), name(1));
        assert_eq!(next.started - began, CONNECTION_ATTEMPT_DELAY * u32::from(count - 1) + GROUP_DELAY);
    });
}

// rule B3a, D12
#[test]
fn of_many_candidates_the_first_in_order_are_kept_with_those_that_have_started() {
    let counts = select(&[0_u16, 1, 8, 16, 63, 64, 65, 130][..]);
    for_all(60, &(counts.clone(), counts, any::<bool>()), |(first, late, has_started)| {
        let numbered = |ports: std::ops::Range<u16>, priority| -> Vec<Candidate> {
            ports.map(|port| candidate(TlsMode::Direct, 0, priority, port)).collect()
        };
        let first = numbered(1..first + 1, 1);
        let late = numbered(1000..1000 + late, 0);
        let mut watched = Watched::new(Policy::AsPublished, first.clone(), late.clone());
        let kept = |watched: &Watched| watched.race.contenders.candidates().cloned().collect::<Vec<_>>();
        assert_eq!(kept(&watched).len(), first.len().min(MAX_CANDIDATES));
        assert_eq!(watched.race.contenders.left_out(), first.len().saturating_sub(MAX_CANDIDATES));
        watched.settle(false);
        if has_started && !first.is_empty() {
            watched.play(Event::Answer(0, Family::Ipv6, Some(1)));
        }
        let started: Vec<Candidate> = watched.seen.iter().map(|seen| seen.candidate.clone()).collect();
        watched.play(Event::Join);
        let all = first.len() + late.len();
        let kept = kept(&watched);
        assert_eq!(kept.len(), all.min(MAX_CANDIDATES));
        assert_eq!(watched.race.contenders.left_out(), all - kept.len());
        assert!(kept.starts_with(&started));
        let of_late = kept.iter().filter(|candidate| candidate.priority() == 0).count();
        assert_eq!(of_late, late.len().min(MAX_CANDIDATES - started.len()));
    });
}
