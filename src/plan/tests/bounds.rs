//! Tests of the bounds on work, and of the notes about what was left out.

use std::sync::{Arc, Mutex};

use super::{World, many};
use crate::filter::Filter;
use crate::plan::simulation::{Outcome, Played};

fn has_note(played: &Played, note: &str) -> bool {
    played.report().notes.iter().any(|known| known == note)
}

/// `count` hosts, from `h0.test` on, in one group, each with this many addresses, which all refuse.
fn refusing(hosts: u8, addresses: u8) -> World {
    let mut world = format!("dns xmpps 10: 5 1 5223 h{{0..{}}}.test\n", hosts - 1);
    for host in 0..hosts {
        world += &format!("dns h{host}.test A 10: 192.0.{host}.{{1..{addresses}}}\n");
        world += &format!("peer 192.0.{host}.{{1..{addresses}}}:5223 refused now\n");
    }
    World::read(&world)
}

// rule D2, D12
#[test]
fn up_to_16_black_holes_cost_no_more_than_a_quarter_second_each_whatever_their_families_and_hosts() {
    let good = "dns good.test A 10: 203.0.113.1\npeer 203.0.113.1:5223 tcp 20, tls 20\n";
    for count in 1..=16 {
        let expected = format!("{} connected {count}", 20 + (count - 1) * 250 + 1000 + 40);
        let one_host = format!(
            "dns xmpps 10: 5 0 5223 a.test, 10 0 5223 good.test\ndns a.test A 10: 192.0.2.{{1..{count}}}\n{good}"
        );
        assert_eq!(*World::read(&one_host).play().log.last().unwrap(), expected);

        // As many addresses on hosts of two addresses each.
        let hosts: u64 = u64::div_ceil(count, 2);
        let mut world = format!("dns xmpps 10: 5 0 5223 h{{1..{hosts}}}.test, 10 0 5223 good.test\n{good}");
        for host in 1..=hosts {
            world += &format!("dns h{host}.test AAAA 10: 2001:db8::{host}\n");
            if 2 * host <= count {
                world += &format!("dns h{host}.test A 10: 192.0.2.{host}\n");
            }
        }
        let log = World::read(&world).play().log;
        assert_eq!(*log.last().unwrap(), expected, "{log:?}");
    }
}

// rule D12
#[test]
fn at_most_64_candidates_are_tried_counted_after_ordering() {
    // The record that is listed last has the best priority.
    let played = World::read("dns xmpps 10: 5 1 5223 h{0..68}.test, 1 0 443 best.test").play();
    let report = played.report();
    assert_eq!(report.candidates.len(), 64);
    assert_eq!(report.candidates[0].host().to_string(), "best.test");
    assert!(has_note(&played, "6 candidates were left out: at most 64 are tried"), "{:?}", report.notes);
    assert!(!played.log.join(" ").contains("h63.test"));
}

// rule B3a, D12
#[test]
fn a_late_answer_changes_what_the_report_says_was_left_out() {
    let played =
        World::read("dns xmpps 10: 5 1 5223 h{0..65}.test\ndns xmpp 2000: 1 0 5222 late.test").play();
    assert_eq!(played.report().notes, ["3 candidates were left out: at most 64 are tried"]);
}

// rule D12
#[test]
fn of_many_addresses_16_are_tried_in_their_turn_and_the_rest_when_all_else_has_failed() {
    let played = World::read(
        "dns xmpps 10: 5 0 5223 a.test, 10 0 5223 b.test
         dns a.test A 10: 192.0.2.{1..20}
         dns b.test A 10: 203.0.113.1
         peer 192.0.2.{1..20}:5223 refused now
         peer 203.0.113.1:5223 refused now",
    )
    .play();
    let order = played
        .report()
        .attempts
        .iter()
        .map(|attempt| attempt.destination.address().unwrap().ip().to_string());
    let mut expected: Vec<String> = (1..=20).map(|last| format!("192.0.2.{last}")).collect();
    expected.insert(16, "203.0.113.1".to_owned());
    assert!(order.eq(expected), "{:?}", played.log);
    assert!(played.report().notes.is_empty(), "{:?}", played.report().notes);
}

// rule D12
#[test]
fn the_last_of_60_addresses_is_reached() {
    for others in ["silent", "refused now"] {
        let peers = format!("peer 192.0.2.{{1..59}}:5223 {others}\npeer 192.0.2.60:5223 tcp 20, tls 20");
        assert!(matches!(many(60, &peers).play().outcome, Outcome::Connected(..)));
    }
}

// rule D2, D12
#[test]
fn slow_servers_that_made_room_are_tried_again_when_all_else_has_been() {
    // Each takes longer than the time after which it is displaced, but less than its limit.
    let played = many(16, "peer 192.0.2.1:5223 tcp 3000, tls 9").play();
    let starts = played.log.iter().filter(|line| line.ends_with(" 192.0.2.1:5223"));
    assert_eq!(starts.count(), 2, "{:?}", played.log);
    assert!(matches!(played.outcome, Outcome::Connected(..)), "{:?}", played.log);
    assert!(has_note(&played, "8 silent attempts were abandoned to start others: at most 8 run at once"));
}

// rule D12
#[test]
fn addresses_that_no_connect_could_try_are_left_out() {
    let played = many(140, "peer 192.0.2.{1..140}:5223 refused now").play();
    assert_eq!(played.report().attempts.len(), 128);
    assert!(has_note(&played, "12 addresses of a.test were left out: at most 128 are tried"));
}

// rule D12
#[test]
fn at_most_128_attempts_are_made() {
    let played = refusing(20, 10).play();
    assert_eq!(played.report().attempts.len(), 128);
    assert_eq!(played.log.last().unwrap(), "1290 failed Attempts");
    assert!(has_note(&played, "the rest was left out: at most 128 attempts are made"));
}

// rule D12
#[test]
fn all_of_128_addresses_are_tried_and_nothing_was_left_out() {
    let played = refusing(8, 16).play();
    assert_eq!(played.report().attempts.len(), 128);
    assert!(played.report().notes.is_empty(), "{:?}", played.report().notes);
}

// rule D12
#[test]
fn at_most_16_questions_are_outstanding() {
    let answers = (0..12).map(|host| format!("dns h{host}.test AAAA 50: none\ndns h{host}.test A 70: none"));
    let answers = answers.collect::<Vec<_>>().join("\n");
    let log = World::read(&format!("dns xmpps 10: 5 1 5223 h{{0..11}}.test\n{answers}")).play().log;
    let questions: Vec<(&str, usize)> = log
        .iter()
        .filter_map(|line| line.split_once(" ask "))
        .map(|(time, questions)| (time, questions.matches(',').count() + 1))
        .collect();
    assert_eq!(questions, [("0", 4), ("10", 16), ("60", 8)]);
    assert_eq!(log.last().unwrap(), "130 failed Attempts");
}

// rule D5, D12
#[test]
fn a_question_that_waits_for_its_turn_has_its_limit_from_when_it_is_asked() {
    let silent = (0..8).map(|host| format!("dns h{host}.test AAAA never\ndns h{host}.test A never"));
    let silent = silent.collect::<Vec<_>>().join("\n");
    let world = "dns xmpps 10: 5 1 5223 h{0..8}.test\ndns h8.test AAAA 4000: 2001:db8::8";
    let log = World::read(&format!("{world}\n{silent}")).play().log;
    assert_eq!(log[2..4], ["5010 ask h8.test AAAA, h8.test A", "9010 start 0 [2001:db8::8]:5223"]);
}

// rule D12, D13
#[test]
fn a_server_behind_a_thousand_refused_addresses_is_found_at_once() {
    let good = "refuse 10.0.{0..9}.{0..99}\npeer 192.0.2.1:5223 tcp 20, tls 20";
    // Of one host; and of 50 hosts with 20 addresses each, in one priority and in many.
    let one =
        format!("to a.test:5223 direct TLS\n{good}\ndns a.test A 10: 10.0.{{0..9}}.{{0..99}}, 192.0.2.1");
    let many = |priority: &dyn Fn(usize) -> usize| {
        let records = (0..50).map(|host| format!("{} 0 5223 h{host}.test, ", priority(host)));
        let records = records.collect::<String>();
        let hosts = (0..50).map(|host| {
            let first = host % 5 * 20;
            format!("dns h{host}.test A 10: 10.0.{}.{{{first}..{}}}\n", host / 5, first + 19)
        });
        let hosts = hosts.collect::<String>();
        format!("dns xmpps 10: {records}99 0 5223 good.test\n{good}\n{hosts}dns good.test A 10: 192.0.2.1")
    };
    for world in [one, many(&|_| 1), many(&|host| host)] {
        let played = World::read(&world).play();
        assert!(matches!(played.outcome, Outcome::Connected(..)), "{:?}", played.outcome);
        let attempts = &played.report().attempts;
        assert_eq!(attempts.len(), 1001);
        let started = attempts.last().unwrap().started;
        let lookups = played.report().lookups.last().unwrap().answered.unwrap();
        assert_eq!(started, lookups, "{:?}", played.log);
    }
}

// rule B3a, D12, D13
#[test]
fn refused_candidates_leave_room_for_those_of_the_other_answer() {
    let world = "dns xmpps 10: 5 1 5223 h{0..63}.test
         dns xmpp 2000: 9 1 5222 good.test
         dns good.test A 10: 192.0.2.1
         refuse 10.0.0.1
         peer 192.0.2.1:5222 tcp 20, starttls 20, tls 20\n";
    let hosts = (0..64).map(|host| format!("dns h{host}.test A 10: 10.0.0.1\n"));
    let played = World::read(&(world.to_owned() + &hosts.collect::<String>())).play();
    assert_eq!(played.log.last().unwrap(), "2070 connected 64");
    let report = played.report();
    assert_eq!((report.candidates.len(), report.attempts.len()), (65, 65));
    for attempt in &report.attempts {
        let candidate = report.candidate(attempt).unwrap();
        assert_eq!(candidate.host().to_string() == "good.test", attempt.error().is_none(), "{report}");
    }
}

// rule D12, D13
#[test]
fn at_most_1024_addresses_are_refused() {
    let world = "to a.test:5223 direct TLS
         refuse 10.{0..4}.{0..4}.{0..99}
         dns a.test A 10: 10.{0..4}.{0..4}.{0..99}, 192.0.2.1";
    let played = World::read(world).play();
    assert_eq!(played.report().attempts.len(), 1024);
    assert_eq!(played.log.last().unwrap(), "10 failed Attempts");
    assert!(has_note(&played, "the rest was left out: the filter has refused 1024 addresses"));
    // 128 of them could still be tried.
    assert!(has_note(&played, "1349 addresses of a.test were left out: at most 128 are tried"));
}

// rule D13
#[test]
fn the_filter_is_asked_once_for_each_address_and_only_in_its_turn() {
    let good = "dns b.test A 10: 203.0.113.1\npeer 192.0.2.9:5223 tcp 20, tls 20";
    let mut world = World::read(&format!(
        "dns xmpps 10: 5 0 5223 a.test, 5 0 443 a.test, 10 0 5223 b.test\ndns a.test A 10: 192.0.2.{{1..9}}\n{good}"
    ));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    world.filter = Some(Filter::new(move |candidate, address| {
        assert_eq!(candidate.port(), address.port());
        log.lock().unwrap().push(address.to_string());
        true
    }));
    assert!(matches!(world.play().outcome, Outcome::Connected(..)));
    let mut asked = asked.lock().unwrap();
    asked.sort_unstable();
    let mut expected: Vec<_> =
        (1..=9).flat_map(|last| [443, 5223].map(|port| format!("192.0.2.{last}:{port}"))).collect();
    expected.sort_unstable();
    assert_eq!(*asked, expected);
}

// rule C3, D12
#[test]
fn what_is_cut_from_thousands_of_records_is_not_even_kept() {
    let records: Vec<String> = (1..=3000).map(|port| format!("1 1 {port} h{port}.test")).collect();
    let mut draws = 0_u64;
    let world = World::read(&format!("dns xmpps 10: {}", records.join(", "))).random(move |bound| {
        draws += 1;
        assert!(draws <= 3000, "one number a record is enough");
        bound - 1
    });
    let played = world.play();
    assert_eq!(played.report().candidates.len(), 64);
    let notes = &played.report().notes;
    assert!(notes.iter().any(|note| note.contains("2936 candidates")), "{notes:?}");
}
