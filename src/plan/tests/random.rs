//! Tests with random worlds from a fixed seed: no busy loop, no hang, no bound exceeded, nothing left untried.
//!
//! The simulation itself checks most of that, for every order of a plan.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::World;
use crate::dns::RecordKind;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::filter::Filter;
use crate::limits::MAX_ATTEMPTS;
use crate::plan::simulation::{Outcome, Played};
use crate::report::{AttemptOutcome, AttemptReport, EventKind, Report};
use crate::service::TlsMode;
use crate::wait;

pub(super) const WORLDS: u64 = 2_000;

/// Round numbers, so that many events coincide, and those around the limits.
const TIMES: [u64; 16] = [0, 0, 1, 10, 10, 40, 50, 60, 200, 250, 1000, 1490, 1500, 2500, 4999, 5001];

/// A small generator (xorshift64*).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub(super) fn time(&mut self) -> u64 {
        self.one_of(&TIMES)
    }

    fn list(&mut self, count: u64, mut make: impl FnMut(&mut Self, u64) -> String) -> String {
        (1..=count).map(|number| make(self, number)).collect::<Vec<_>>().join(", ")
    }

    fn srv(&mut self, ports: [u16; 2]) -> String {
        let no_records = ["none", "nxdomain", "0 0 0 .", "failed", "never", "1 0 0 a.test"];
        if self.below(3) == 0 {
            return self.one_of(&no_records).to_owned();
        }
        let mut count = self.below(6) + 1;
        if self.below(40) == 0 {
            count = 90;
        }
        let mut records = self.list(count, |chance, number| {
            let target = match chance.below(20) {
                0 => "localhost".to_owned(),
                1 => "abc.onion".to_owned(),
                2 => "example.org".to_owned(),
                _ if count > 10 => format!("h{}.test", number % 30),
                _ => format!("h{}.test", chance.below(5)),
            };
            let (priority, weight) = (chance.below(3), chance.below(3));
            format!("{priority} {weight} {} {target}", chance.one_of(&ports))
        });
        if self.below(8) == 0 {
            records += " + h0.test 2001:db8:ffff::1, h1.test 203.0.113.1";
        }
        records
    }

    fn addresses(&mut self, prefix: &str) -> String {
        if self.below(3) == 0 {
            return self.one_of(&["none", "nxdomain", "failed", "never"]).to_owned();
        }
        let count = if self.below(15) == 0 { 20 } else { self.below(3) + 1 };
        self.list(count, |_, number| format!("{prefix}{number}"))
    }

    fn steps(&mut self, tls: TlsMode, gloomy: bool) -> String {
        let mut steps = Vec::new();
        let stages: &[&str] = match tls {
            TlsMode::Direct => &["tcp", "tls"],
            TlsMode::StartTls => &["tcp", "starttls", "tls"],
        };
        for stage in stages {
            let end = self.below(if gloomy { 2 } else { 4 }) == 0 || gloomy && *stage == "tls";
            let time = self.time();
            if end {
                let failure = self.one_of(&["refused", "reset", "untrusted", "silent", "refused now"]);
                match failure {
                    "silent" => {}
                    "refused now" if steps.is_empty() => steps.push(failure.to_owned()),
                    "refused now" => steps.push(format!("refused {time}")),
                    _ => steps.push(format!("{failure} {time}")),
                }
                break;
            }
            steps.push(format!("{stage} {time}"));
        }
        if steps.is_empty() { "silent".to_owned() } else { steps.join(", ") }
    }
}

fn world(seed: u64) -> World {
    read(seed, &text(seed))
}

pub(super) fn read(seed: u64, text: &str) -> World {
    let mut draws = Chance(seed | 1);
    World::read(text).random(move |bound| draws.below(bound))
}

pub(super) fn text(seed: u64) -> String {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let chance = &mut chance;
    let mut world = settings(chance);
    let (xmpps, xmpp) = (chance.srv([5223, 443]), chance.srv([5222, 5269]));
    world += &answer("xmpps", chance.time(), &xmpps);
    world += &answer("xmpp", chance.time(), &xmpp);
    let gloomy = chance.below(2) == 0;
    let mut addresses: Vec<String> =
        ["2001:db8:ffff::1", "203.0.113.1", "::1", "127.0.0.1"].map(String::from).into();
    for number in 0..=30 {
        let host = if number == 30 { "example.org".to_owned() } else { format!("h{number}.test") };
        if number < 30 && !xmpps.contains(&host) && !xmpp.contains(&host) {
            continue;
        }
        for (kind, prefix) in [("AAAA", format!("2001:db8:{number}::")), ("A", format!("192.0.{number}."))] {
            let reply = chance.addresses(&prefix);
            world += &answer(&format!("{host} {kind}"), chance.time(), &reply);
            addresses.extend(reply.split(", ").filter(|text| text.starts_with(&prefix)).map(String::from));
        }
    }
    for address in addresses {
        world += &peers(&address, gloomy, chance);
    }
    world
}

fn answer(question: &str, delay: u64, reply: &str) -> String {
    if reply == "never" {
        return format!("dns {question} never\n");
    }
    format!("dns {question} {delay}: {reply}\n")
}

fn settings(chance: &mut Chance) -> String {
    let published = "as published";
    let only = ["only direct TLS", "only STARTTLS"];
    let policy = [published, published, "prefer direct TLS", "prefer STARTTLS", only[0], only[1]];
    let mut world = format!("policy {}\n", chance.one_of(&policy));
    let family = ["any", "any", "any", "IPv4 first", "only IPv4", "only IPv6"];
    world += &format!("family {}\n", chance.one_of(&family));
    if chance.below(25) == 0 {
        let host = chance.one_of(&["h0.test", "localhost", "192.0.2.1", "abc.onion"]);
        world += &format!("to {host}:5223 direct TLS\n");
    }
    let mut limit = |what, limits: &[&str], chance: &mut Chance| {
        world += &format!("limit {what} {}\n", chance.one_of(limits));
    };
    if chance.below(2) == 0 {
        limit("attempt delay", &["250ms", "250ms", "250ms", "1ns", "10ms", "10s", "none"], chance);
        limit("group delay", &["1s", "1s", "1s", "1ns", "250ms", "none"], chance);
        limit("total", &["30s", "30s", "30s", "5s", "2s"], chance);
        if chance.below(30) == 0 {
            limit("total", &["1ns"], chance);
        }
        // Without a total limit, the other limits must end it.
        if chance.below(10) == 0 {
            limit("total", &["none"], chance);
        } else {
            limit("lookup", &["5s", "5s", "1s", "20ms", "none"], chance);
            limit("tcp", &["10s", "10s", "1s", "1ns", "none"], chance);
            limit("handshake", &["10s", "10s", "1s", "1ns", "none"], chance);
        }
    }
    if chance.below(12) == 0 {
        world += &format!("cancel {}\n", 2 * chance.time());
    }
    world
}

fn peers(address: &str, gloomy: bool, chance: &mut Chance) -> String {
    let address: IpAddr = address.parse().unwrap();
    let ports = [
        (5223, TlsMode::Direct),
        (443, TlsMode::Direct),
        (5222, TlsMode::StartTls),
        (5269, TlsMode::StartTls),
    ];
    let peers = ports.map(|(port, tls)| {
        format!("peer {} {}\n", SocketAddr::new(address, port), chance.steps(tls, gloomy))
    });
    peers.concat()
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

/// Asserts that a connect that was not cut short has tried every address of every candidate that DNS has returned.
pub(super) fn check_completeness(seed: u64, played: &Played, kind: ErrorKind) {
    let is_complete = matches!(kind, ErrorKind::Attempts | ErrorKind::Lookup | ErrorKind::Untrusted);
    let report = played.report();
    if !is_complete || report.attempts.len() >= MAX_ATTEMPTS {
        return;
    }
    for (number, candidate) in report.candidates.iter().enumerate() {
        let given = played.given.iter().filter(|(host, ..)| host == candidate.host());
        let (hints, answers): (Vec<_>, Vec<_>) = given.partition(|(_, kind, _)| kind.is_none());
        let addresses = |given: &[&(Host, Option<RecordKind>, IpAddr)]| -> HashSet<IpAddr> {
            given.iter().map(|(_, _, address)| *address).collect()
        };
        let (hints, answers) = (addresses(&hints), addresses(&answers));
        let of_candidate = report.attempts.iter().filter(|attempt| attempt.candidate == number);
        let tried: HashSet<IpAddr> =
            of_candidate.map(|attempt| attempt.destination.address().unwrap().ip()).collect();
        let is_special = matches!(candidate.host().to_string().as_str(), "localhost" | "192.0.2.1");
        if !is_special {
            let log = played.log.join("\n");
            assert!(tried.is_superset(&answers), "{candidate} in world {seed}\n{log}");
            assert!(tried.iter().all(|address| answers.contains(address) || hints.contains(address)));
        }
    }
}

/// Asserts that the attempts and lookups that the events tell of are those of the report, and that each attempt has ended.
pub(super) fn check_events(seed: u64, report: &Report) {
    let (mut attempts, mut asked, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    let mut ordered = &Vec::new();
    for event in &report.events {
        let at = event.at;
        match &event.kind {
            EventKind::Started { attempt, candidate, destination } => {
                assert_eq!(*attempt, attempts.len(), "world {seed}");
                attempts.push((candidate, destination.clone(), at, Vec::new(), None));
            }
            EventKind::Completed { attempt, stage } => attempts[*attempt].3.push((*stage, at)),
            EventKind::Ended { attempt, outcome } => {
                let end = attempts[*attempt].4.replace((format!("{outcome:?}"), at));
                assert!(end.is_none(), "attempt {attempt} has ended twice in world {seed}");
            }
            EventKind::Asked(question) => asked.push(question),
            EventKind::Answered { question, result } => answered.push((question, format!("{result:?}"))),
            EventKind::Ordered(candidates) => ordered = candidates,
            EventKind::Repeated { .. } | EventKind::Noted(_) => {}
        }
    }
    let of_report = report.attempts.iter().map(|attempt| {
        let end = Some((format!("{:?}", attempt.outcome), attempt.ended));
        let candidate = &report.candidates[attempt.candidate];
        (candidate, attempt.destination.clone(), attempt.started, attempt.completed.clone(), end)
    });
    assert_eq!(attempts, of_report.collect::<Vec<_>>(), "world {seed}");
    let questions: Vec<_> = report.lookups.iter().map(|lookup| &lookup.question).collect();
    assert_eq!(asked, questions, "world {seed}");
    assert_eq!(ordered, &report.candidates, "world {seed}");
    let are_answered = report.lookups.iter().filter(|lookup| lookup.answered.is_some());
    assert_eq!(answered.len(), are_answered.count(), "world {seed}");
    for (question, result) in answered {
        let lookup = report.lookups.iter().find(|lookup| lookup.question == *question).unwrap();
        assert_eq!(result, format!("{:?}", lookup.result), "{question} in world {seed}");
    }
}

/// Asserts that an attempt that starts in parallel to one that still makes progress follows a failure, or is the first
/// of its group.
pub(super) fn check_pace(seed: u64, least: Duration, played: &Played) {
    let report = played.report();
    let in_flight_at = |attempt: &AttemptReport, time| attempt.ended > time;
    let mut early = 0;
    let mut groups = HashSet::new();
    for (index, attempt) in report.attempts.iter().enumerate() {
        let candidate = &report.candidates[attempt.candidate];
        groups.insert((candidate.priority(), candidate.tls()));
        let before = &report.attempts[..index];
        let is_busy = before.iter().any(|other| {
            let progress =
                other.completed.iter().map(|(_, at)| *at).filter(|at| *at <= attempt.started).max();
            let since = attempt.started - progress.unwrap_or(other.started);
            in_flight_at(other, attempt.started) && since < least
        });
        early += usize::from(is_busy);
        let has_failed = |other: &&AttemptReport| other.error().is_some() && other.ended <= attempt.started;
        let failed = before.iter().filter(has_failed).count();
        assert!(early <= failed + groups.len(), "attempt {index} in world {seed}\n{}", played.log.join("\n"));
    }
}
