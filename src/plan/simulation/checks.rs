//! What must be true of a whole connect, whatever its world. No IO.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::Played;
use crate::discovery::{Candidate, Origin};
use crate::dns::RecordKind;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::limits::MAX_ATTEMPTS;
use crate::report::{AttemptOutcome, AttemptReport, EventKind, LookupResult, Report};
use crate::service::TlsMode;
use crate::settings::Policy;

/// Asserts that a connect that was not cut short has tried every address of every candidate that DNS has returned.
pub(in crate::plan) fn check_completeness(seed: u64, played: &Played, kind: ErrorKind) {
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
pub(in crate::plan) fn check_events(seed: u64, report: &Report) {
    let (mut attempts, mut asked, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    let mut ordered = &Vec::new();
    for event in &report.events {
        let at = event.at;
        match &event.kind {
            EventKind::Started { attempt, candidate, destination } => {
                assert_eq!(*attempt, attempts.len(), "world {seed}");
                // Whether DNSSEC proves it may be known only later.
                attempts.push((candidate.to_string(), destination.clone(), at, Vec::new(), None));
            }
            EventKind::Completed { attempt, stage } => attempts[*attempt].3.push((*stage, at)),
            EventKind::Ended { attempt, outcome } => {
                let end = attempts[*attempt].4.replace((format!("{outcome:?}"), at));
                let is_rejection = matches!(outcome, AttemptOutcome::Rejected(_));
                let (before, end) = end.map_or((None, at), |(before, end)| (Some(before), end));
                let expected = is_rejection.then(|| format!("{:?}", AttemptOutcome::Connected));
                assert_eq!(before, expected, "attempt {attempt} has ended before in world {seed}");
                attempts[*attempt].4.as_mut().unwrap().1 = end;
            }
            EventKind::Asked(question) => {
                // Again, if the caller has gone on before there was an answer.
                asked.retain(|(_, other)| *other != question);
                asked.push((at, question));
            }
            EventKind::Answered { question, result } => answered.push((question, format!("{result:?}"))),
            EventKind::Ordered(candidates) => ordered = candidates,
            EventKind::Repeated { .. } | EventKind::Noted(_) => {}
        }
    }
    let of_report = report.attempts.iter().map(|attempt| {
        let end = Some((format!("{:?}", attempt.outcome), attempt.ended));
        let candidate = report.candidates[attempt.candidate].to_string();
        (candidate, attempt.destination.clone(), attempt.started, attempt.completed.clone(), end)
    });
    assert_eq!(attempts, of_report.collect::<Vec<_>>(), "world {seed}");
    let mut of_report: Vec<_> =
        report.lookups.iter().map(|lookup| (lookup.asked, &lookup.question)).collect();
    // Several may be asked at the same time.
    for list in [&mut asked, &mut of_report] {
        list.sort_by_key(|(at, question)| (*at, question.to_string()));
    }
    assert_eq!(asked, of_report, "world {seed}");
    assert_eq!(ordered, &report.candidates, "world {seed}");
    for (question, result) in answered {
        let lookup = report.lookups.iter().find(|lookup| lookup.question == *question).unwrap();
        assert_eq!(result, format!("{:?}", lookup.result), "{question} in world {seed}");
    }
}

/// Asserts that an attempt that starts in parallel to one that still makes progress follows a failure, or is the first
/// of its group.
pub(in crate::plan) fn check_pace(seed: u64, least: Duration, played: &Played) {
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

/// Asserts that times are in order, and that nothing is still in flight.
pub(in crate::plan) fn check_times(report: &Report) {
    let in_order = |times: &[Duration]| assert!(times.is_sorted(), "{times:?}\n{report}");
    in_order(&report.events.iter().map(|event| event.at).chain([report.elapsed]).collect::<Vec<_>>());
    in_order(&report.attempts.iter().map(|attempt| attempt.started).collect::<Vec<_>>());
    in_order(&report.lookups.iter().map(|lookup| lookup.asked).collect::<Vec<_>>());
    for attempt in &report.attempts {
        let stages = attempt.completed.iter().map(|(_, at)| *at);
        in_order(
            &[attempt.started]
                .into_iter()
                .chain(stages)
                .chain([attempt.ended, report.elapsed])
                .collect::<Vec<_>>(),
        );
        assert!(!matches!(attempt.outcome, AttemptOutcome::InFlight), "{report}");
        assert!(attempt.candidate < report.candidates.len(), "{report}");
    }
    for lookup in &report.lookups {
        in_order(&[lookup.asked, lookup.answered.unwrap_or(report.elapsed), report.elapsed]);
    }
}

/// Asserts that groups are tried in order (rule C1): no attempt of a candidate starts while one of an earlier group, all of
/// whose addresses are known, has not had any.
pub(in crate::plan) fn check_order(report: &Report, policy: Policy) {
    let group = |candidate: &Candidate| {
        let kind = match policy {
            Policy::PreferDirect => u8::from(candidate.tls() != TlsMode::Direct),
            Policy::PreferStartTls => u8::from(candidate.tls() != TlsMode::StartTls),
            Policy::AsPublished | Policy::DirectOnly | Policy::StartTlsOnly => 0,
        };
        (candidate.origin() != Origin::Preferred, kind, candidate.priority())
    };
    let (mut known, mut asked, mut answered) = (&Vec::new(), Vec::new(), Vec::new());
    let mut started: Vec<&Candidate> = Vec::new();
    for event in &report.events {
        match &event.kind {
            EventKind::Ordered(candidates) => {
                let is_new =
                    |candidate: &&Candidate| !started.iter().any(|other| other.is_same_server(candidate));
                let groups = candidates.iter().filter(is_new).map(group);
                assert!(groups.is_sorted(), "{event}");
                known = candidates;
            }
            EventKind::Asked(question) => asked.push(question),
            EventKind::Answered { question, result } => answered.push((question, result)),
            EventKind::Started { attempt, candidate, .. } => {
                let is_waiting = |earlier: &&Candidate| {
                    let name = earlier.host().to_string();
                    let is_open = asked.iter().any(|question| {
                        question.name() == name && !answered.iter().any(|(other, _)| other == question)
                    });
                    let mut results = answered.iter().filter(|(question, _)| question.name() == name);
                    let has_address = results
                        .any(|(_, result)| matches!(result, LookupResult::Records(count) if *count > 0));
                    !is_open && has_address && !started.iter().any(|other| other.is_same_server(earlier))
                };
                // One that has started stays in front when others become known, and one that the filter refuses costs nothing.
                let is_first = report.attempts[*attempt].was_connected_to()
                    && !started.iter().any(|other| other.is_same_server(candidate));
                let overtaken =
                    known.iter().filter(|earlier| group(earlier) < group(candidate)).find(is_waiting);
                assert!(overtaken.is_none() || !is_first, "{overtaken:?} was overtaken: {event}\n{report}");
                started.push(candidate);
            }
            EventKind::Completed { .. }
            | EventKind::Ended { .. }
            | EventKind::Repeated { .. }
            | EventKind::Noted(_) => {}
        }
    }
}
