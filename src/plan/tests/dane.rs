//! Tests of TLSA records with random worlds from a fixed seed: who starts, and with which records.

use std::collections::HashMap;

use super::World;
use super::random::{read, text};
use crate::discovery::{Candidate, Origin};
use crate::dns::RecordKind;
use crate::plan::simulation::checks::{check_events, check_pace};
use crate::plan::simulation::random::Chance;
use crate::plan::simulation::{Outcome, Played};
use crate::report::{LookupResult, Report};
use crate::service::TlsMode;

const WORLDS: u64 = 500;

const PORTS: [u16; 4] = [5223, 443, 5222, 5269];

/// What the simulated DNS answers, by question; without the time.
struct Answers(HashMap<String, String>);

impl Answers {
    fn of(&self, question: &str) -> &str {
        self.0.get(question).map_or("none", String::as_str)
    }
}

/// The world with the option, with zones that are signed and others, and with TLSA records.
fn with_tlsa(seed: u64) -> (String, Answers) {
    let mut chance = Chance::Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut signed: HashMap<String, bool> = HashMap::new();
    let mut answers = HashMap::new();
    let mut world = "dane\n".to_owned();
    for line in text(seed).lines().filter(|line| !line.starts_with("limit lookup")) {
        let Some((asked, reply)) = line.strip_prefix("dns ").and_then(|rest| rest.split_once(": ")) else {
            if let Some(question) = line.strip_prefix("dns ").and_then(|rest| rest.strip_suffix(" never")) {
                answers.insert(question.to_owned(), "never".to_owned());
            }
            world += &format!("{line}\n");
            continue;
        };
        let (question, _) = asked.rsplit_once(' ').unwrap();
        let zone = match question.split_once(' ') {
            Some((host, _)) => host.to_owned(),
            None => "example.org".to_owned(),
        };
        let is_signed = *signed.entry(zone).or_insert_with(|| chance.below(4) > 0);
        let reply = if is_signed && reply != "failed" { format!("signed {reply}") } else { reply.to_owned() };
        answers.insert(question.to_owned(), reply.clone());
        world += &format!("dns {asked}: {reply}\n");
    }
    for host in (0..30).map(|number| format!("h{number}.test")).chain(["example.org".to_owned()]) {
        for port in PORTS {
            let replies = [
                "signed TLSA 3 1 1 7",
                "signed TLSA 3 1 9 7",
                "signed none",
                "none",
                "TLSA 3 1 1 7",
                "failed",
                "never",
            ];
            let (reply, time) = (chance.one_of(&replies), chance.time());
            let question = format!("_{port}._tcp.{host} TLSA");
            world += &match reply {
                "never" => format!("dns {question} never\n"),
                reply => format!("dns {question} {time}: {reply}\n"),
            };
            answers.insert(question, reply.to_owned());
        }
    }
    (world, Answers(answers))
}

/// How an attempt of a candidate can start: with TLSA records or without; not at all if both are false.
struct Expected {
    with: bool,
    without: bool,
}

fn expected(candidate: &Candidate, answers: &Answers, report: &Report) -> Expected {
    let host = candidate.host().to_string();
    let (with, without) = (Expected { with: true, without: false }, Expected { with: false, without: true });
    let neither = Expected { with: false, without: false };
    let srv_failed = report.lookups.iter().any(|lookup| {
        lookup.question.kind() == RecordKind::Srv && matches!(lookup.result, LookupResult::Failed(_))
    });
    let srv = if candidate.tls() == TlsMode::Direct { "xmpps" } else { "xmpp" };
    let is_named = match candidate.origin() {
        Origin::Srv => answers.of(srv).starts_with("signed "),
        _ => false,
    };
    if host != "example.org" && !is_named || host == "localhost" || host.starts_with("192.") {
        return without;
    }
    let of_host = ["AAAA", "A"].map(|kind| answers.of(&format!("{host} {kind}")));
    let has_addresses = |reply: &&str| reply.contains(':') || reply.contains('.');
    let mut with_addresses = of_host.iter().copied().filter(has_addresses).peekable();
    let is_proved = match with_addresses.peek() {
        Some(_) => with_addresses.any(|reply| reply.starts_with("signed ")),
        // There may be hints.
        None => {
            return Expected { with: false, without: of_host.iter().all(|reply| reply.ends_with("none")) };
        }
    };
    let tlsa = answers.of(&format!("_{}._tcp.{host} TLSA", candidate.port()));
    match tlsa {
        _ if !is_proved => without,
        _ if candidate.origin() == Origin::Fallback && srv_failed => neither,
        "signed TLSA 3 1 1 7" => with,
        "failed" | "never" => neither,
        _ => without,
    }
}

fn check_starts(seed: u64, played: &Played, answers: &Answers) -> usize {
    let log = || format!("world {seed}\n{}", played.log.join("\n"));
    let mut count = 0;
    for (number, attempt) in played.report().attempts.iter().enumerate() {
        if !attempt.was_connected_to() {
            continue;
        }
        let line = format!(" start {number} {}", attempt.destination);
        let line = played
            .log
            .iter()
            .find(|start| format!("{start} ").contains(&format!("{line} ")))
            .unwrap_or_else(|| panic!("no {line} {}", log()));
        let has_tlsa = line.contains(" TLSA");
        let expected = expected(&played.report().candidates[attempt.candidate], answers, played.report());
        let is_right = if has_tlsa { expected.with } else { expected.without };
        assert!(is_right, "attempt {number}, {} in {}", has_tlsa, log());
        count += usize::from(has_tlsa);
    }
    count
}

// rule E10, D5
#[test]
fn in_random_worlds_attempts_start_with_the_records_that_count_and_no_others() {
    let (mut with_records, mut refused, mut connected) = (0, 0, 0);
    for seed in 1..=WORLDS {
        let (world, answers) = with_tlsa(seed);
        let world = read(seed, &world);
        let (limit, least) = (world.settings.limits.total, world.settings.limits.attempt_delay);
        let played = world.play();
        assert!(played.report().elapsed <= limit, "world {seed}\n{}", played.log.join("\n"));
        with_records += check_starts(seed, &played, &answers);
        refused += played.report().attempts.iter().filter(|attempt| !attempt.was_connected_to()).count();
        connected += usize::from(matches!(played.outcome, Outcome::Connected(..)));
        check_pace(seed, least, &played);
        check_events(seed, played.report());
    }
    assert!(with_records > 200 && refused > 100 && connected > 100, "{with_records} {refused} {connected}");
}

// rule E10, D5
#[test]
fn being_asked_at_other_times_than_wanted_changes_nothing() {
    for seed in 1..=WORLDS / 4 {
        let play = || read(seed, &with_tlsa(seed).0);
        assert_eq!(play().play().log, play().patient().play().log, "world {seed}");
    }
}

// rule E10
#[test]
fn a_host_whose_name_is_too_long_for_the_prefix_has_no_tlsa_records() {
    let long = [["a"; 63].concat(), ["b"; 63].concat(), ["c"; 63].concat()].join(".");
    for (last, is_asked) in [(50, true), (51, false)] {
        let host = format!("{long}.{}", "d".repeat(last));
        let world = format!(
            "dane\ndns xmpps 10: signed 5 0 5223 {host}\ndns {host} 10: signed 192.0.2.1\n\
             peer 192.0.2.1:5223 tcp 20, tls 20"
        );
        let played = World::read(&world).play();
        assert!(played.log.last().unwrap().contains("connected"), "{:?}", played.log);
        assert_eq!(played.log.concat().contains("_5223._tcp.a"), is_asked, "{last}");
    }
}
