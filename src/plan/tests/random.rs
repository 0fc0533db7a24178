//! Tests with random worlds from a fixed seed: no busy loop, no hang, no bound exceeded, nothing left untried.
//!
//! The simulation itself checks most of that, for every order of a plan.

use std::collections::HashSet;
use std::net::IpAddr;

use super::World;
use crate::error::ErrorKind;
use crate::filter::Filter;
use crate::plan::simulation::checks::{check_completeness, check_events, check_pace};
use crate::plan::simulation::random::Chance;
use crate::plan::simulation::{self, Outcome, Played};
use crate::report::{AttemptOutcome, AttemptReport};
use crate::wait;

pub(super) const WORLDS: u64 = 2_000;

fn world(seed: u64) -> World {
    read(seed, &text(seed))
}

pub(super) fn read(seed: u64, text: &str) -> World {
    let mut draws = Chance::Seed(seed | 1);
    World::read(text).random(move |bound| draws.below(bound))
}

pub(super) fn text(seed: u64) -> String {
    simulation::random::world(&mut Chance::Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
}

// rule D5, D12
#[test]
fn random_worlds_come_to_an_end_in_time_and_within_all_bounds() {
    let mut kinds = HashSet::new();
    let (mut connected, mut started) = (0, 0);
    for seed in 1..=WORLDS {
        let world = world(seed);
        let (limit, least) = (world.settings.limits.total, world.settings.limits.attempt_delay);
        let played = world.play();
        assert!(played.report().elapsed <= limit, "world {seed}\n{}", played.log.join("\n"));
        started += played.report().attempts.len();
        match &played.outcome {
            Outcome::Connected(id, report) => {
                connected += 1;
                assert!(matches!(report.attempts[id.0].outcome, AttemptOutcome::Connected));
            }
            Outcome::Failed(error) => {
                kinds.insert(error.kind());
                check_completeness(seed, &played, error.kind());
            }
            Outcome::Discovered(_) => panic!("nobody asked for that"),
        }
        check_pace(seed, least, &played);
        check_events(seed, played.report());
    }
    // The worlds must be diverse.
    assert!(connected > 500 && started > 5_000, "{connected} connected, {started} attempts");
    for kind in [
        ErrorKind::Attempts,
        ErrorKind::Lookup,
        ErrorKind::NotOffered,
        ErrorKind::NoSuchDomain,
        ErrorKind::InvalidDomain,
        ErrorKind::Untrusted,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
    ] {
        assert!(kinds.contains(&kind), "no {kind:?}");
    }
}

// rule D5
#[test]
fn being_asked_at_other_times_than_wanted_changes_nothing() {
    for seed in 1..=WORLDS / 4 {
        assert_eq!(world(seed).play().log, world(seed).patient().play().log, "world {seed}");
    }
}

// rule D5, D12, D15
#[test]
fn worlds_with_a_history_come_to_an_end_in_time_and_leave_nothing_untried_too() {
    let mut connected = 0;
    for seed in 1..=WORLDS / 4 {
        let first = world(seed).play();
        let mut second = world(seed + seed % 2);
        let limits = second.settings.limits.clone();
        second.history.learn(&first.report().attempts, first.report().elapsed, &limits, wait::now());
        for attempt in first.report().attempts.iter().step_by(3) {
            second.history.reject(&attempt.destination, wait::now());
        }
        let played = second.play();
        assert!(played.report().elapsed <= limits.total, "world {seed}\n{}", played.log.join("\n"));
        match &played.outcome {
            Outcome::Failed(error) => check_completeness(seed, &played, error.kind()),
            Outcome::Connected(..) | Outcome::Discovered(_) => connected += 1,
        }
        check_pace(seed, limits.attempt_delay, &played);
        check_events(seed, played.report());
    }
    assert!(connected > 100, "{connected} connected");
}

/// Whether the addresses of a host have an even number.
fn is_even(address: IpAddr) -> bool {
    let text = address.to_string();
    (text.starts_with("2001:db8:") || text.starts_with("192.0.")) && text.ends_with(['0', '2', '4', '6', '8'])
}

// rule D13
#[test]
fn a_refused_address_costs_no_more_time_than_one_that_does_not_exist() {
    let without_even = |line: &str| match line.split_once(": ") {
        Some((asked, records)) if line.starts_with("dns ") && !records.contains('+') => {
            let parsed = records.split(", ").map(|record| (record, record.parse().ok()));
            let kept = parsed.filter(|(_, address)| !address.is_some_and(is_even));
            let kept: Vec<&str> = kept.map(|(record, _)| record).collect();
            let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
            format!("{asked}: {kept}\n")
        }
        Some(_) | None => format!("{line}\n"),
    };
    let mut refused = 0;
    for seed in 1..=WORLDS / 4 {
        // With one SRV answer only: of the candidates known so far, one of which an address was refused keeps its place
        // when the other answer arrives.
        let text = text(seed).replace("\ndns xmpp ", "\n# ");
        let mut filtered = read(seed, &text);
        filtered.filter = Some(Filter::new(|_, address| !is_even(address.ip())));
        let filtered = filtered.play();
        let others = read(seed, &text.lines().map(without_even).collect::<String>()).play();
        let is_refused = |attempt: &&AttemptReport| {
            attempt.error().is_some_and(|error| error.to_string().contains("filter"))
        };
        refused += filtered.report().attempts.iter().filter(is_refused).count();
        assert_eq!(orders(&filtered), orders(&others), "world {seed}");
    }
    assert!(refused > 500, "{refused} addresses were refused");
}

/// The orders of a connect, without its error, and with attempts numbered as if none had been refused.
fn orders(played: &Played) -> Vec<String> {
    let mut started = Vec::new();
    let mut orders = Vec::new();
    for line in played.log.iter().filter(|line| !line.contains(" failed ")) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if matches!(words[1].as_str(), "start" | "close" | "connected") {
            if words[1] == "start" {
                started.push(words[2].clone());
            }
            words[2] = started.iter().position(|number| *number == words[2]).unwrap().to_string();
        }
        orders.push(words.join(" "));
    }
    orders
}
