//! Random worlds behind a proxy: whole connects end in time, try everything, and look up only what they may.

use super::random::{WORLDS, read, text};
use crate::dns::RecordKind;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::limits::{MAX_ATTEMPTS, MAX_CANDIDATES};
use crate::plan::simulation::checks::{check_completeness, check_events, check_pace};
use crate::plan::simulation::{Outcome, Played};

/// The same world behind a proxy, which takes as long as the TCP handshake with the server, and knows the names too.
fn behind_proxy(world: &str, dns_use: &str) -> String {
    let mut lines = vec![format!("proxy {dns_use}")];
    for line in world.lines() {
        let Some((place, steps)) = line.strip_prefix("peer ").and_then(|peer| peer.split_once(' ')) else {
            lines.push(line.to_owned());
            continue;
        };
        let tcp = steps.split(", ").next().unwrap_or_default();
        let with_proxy = steps.replacen(tcp, &format!("{tcp}, {}", tcp.replace("tcp", "proxy")), 1);
        let steps = if tcp.starts_with("tcp ") { with_proxy } else { steps.to_owned() };
        lines.push(format!("peer {place} {steps}"));
        // 192.0.7.1 is an address of h7.test.
        let host = place.strip_prefix("192.0.").and_then(|rest| rest.split_once('.'));
        if let (Some((number, _)), Some((_, port))) = (host, place.rsplit_once(':')) {
            let host = if number == "30" { "example.org".to_owned() } else { format!("h{number}.test") };
            lines.push(format!("peer {host}:{port} {steps}"));
        }
    }
    lines.join("\n") + "\n"
}

/// Asserts that a connect that leaves names to the proxy has looked up no address, and has tried every candidate once.
fn check_names(seed: u64, played: &Played) {
    let report = played.report();
    let log = played.log.join("\n");
    assert!(
        report.lookups.iter().all(|lookup| lookup.question.kind() == RecordKind::Srv),
        "world {seed}\n{log}"
    );
    for attempt in &report.attempts {
        let is_name = matches!(report.candidates[attempt.candidate].host(), Host::Name(_));
        assert_eq!(is_name, attempt.destination.address().is_none(), "world {seed}\n{log}");
    }
    let Outcome::Failed(error) = &played.outcome else { return };
    let is_complete = matches!(error.kind(), ErrorKind::Attempts | ErrorKind::Untrusted);
    let is_cut = report.attempts.len() >= MAX_ATTEMPTS || report.candidates.len() >= MAX_CANDIDATES;
    for number in (0..report.candidates.len()).filter(|_| is_complete && !is_cut) {
        let tried = report.attempts.iter().filter(|attempt| attempt.candidate == number).count();
        // Twice if it was displaced.
        assert!(
            tried == 1 || tried == 2 && played.log.iter().any(|line| line.contains("close")),
            "world {seed}\n{log}"
        );
    }
}

// rule B13, D5, D12
#[test]
fn random_worlds_behind_a_proxy_come_to_an_end_in_time_and_leave_nothing_untried() {
    let (mut connected, mut by_name) = (0, 0);
    for seed in 1..=WORLDS / 4 {
        let dns_use = ["srv", "srv", "all", "nothing"][usize::try_from(seed % 4).unwrap()];
        let text = behind_proxy(&text(seed), dns_use);
        let world = read(seed, &text);
        let (limit, least) = (world.settings.limits.total, world.settings.limits.attempt_delay);
        let played = world.play();
        let log = played.log.join("\n");
        assert!(played.report().elapsed <= limit, "world {seed}\n{log}");
        connected += usize::from(matches!(played.outcome, Outcome::Connected(..)));
        match (dns_use, &played.outcome) {
            ("all", Outcome::Failed(error)) => check_completeness(seed, &played, error.kind()),
            ("all", _) => {}
            _ => check_names(seed, &played),
        }
        if dns_use == "nothing" {
            assert!(played.report().lookups.is_empty(), "world {seed}\n{log}");
        }
        let attempts = &played.report().attempts;
        by_name += attempts.iter().filter(|attempt| attempt.destination.address().is_none()).count();
        check_pace(seed, least, &played);
        check_events(seed, played.report());
        assert_eq!(log, read(seed, &text).patient().play().log.join("\n"), "world {seed}");
    }
    assert!(connected > 60 && by_name > 500, "{connected} connected, {by_name} attempts by name");
}
