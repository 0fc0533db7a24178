//! Bounds on work, and that the report says what was left out.

use super::super::simulation::Outcome;
use super::super::simulation::{Played, World};
use super::many;
use crate::service::TlsMode;

fn has_note(played: &Played, note: &str) -> bool {
    played.report().notes.iter().any(|known| known == note)
}

/// So many candidates of one group, `h0.test` and on.
fn targets(count: usize) -> String {
    let records: Vec<String> = (0..count).map(|number| format!("5 1 5223 h{number}.test")).collect();
    records.join(", ")
}

// spec D12
#[test]
fn at_most_64_candidates_are_tried_counted_after_ordering() {
    // The record that is listed last has the best priority.
    let played = World::example().xmpps(10, &format!("{}, 1 0 443 best.test", targets(69))).play();
    let report = played.report();
    assert_eq!(report.candidates.len(), 64);
    assert_eq!(report.candidates[0].host().to_string(), "best.test");
    assert!(has_note(&played, "6 candidates were left out: 64 are tried"), "{:?}", report.notes);
    assert!(!played.log.join(" ").contains("h63.test"));
}

// spec B3a, D12
#[test]
fn a_late_answer_changes_what_the_report_says_was_left_out() {
    let played = World::example().xmpps(10, &targets(66)).xmpp(2000, "1 0 5222 late.test").play();
    assert_eq!(played.report().notes, ["3 candidates were left out: 64 are tried"]);
}

// spec D12
#[test]
fn of_many_addresses_16_are_tried_in_their_turn_and_the_rest_when_all_else_has_failed() {
    let addresses: Vec<String> = (1..=20).map(|last| format!("192.0.2.{last}")).collect();
    let mut world = World::example()
        .xmpps(10, "5 0 5223 a.test, 10 0 5223 b.test")
        .dns("a.test A", 10, &addresses.join(", "))
        .dns("b.test A", 10, "203.0.113.1")
        .peer("203.0.113.1:5223", "refused now");
    for address in &addresses {
        world = world.peer(&format!("{address}:5223"), "refused now");
    }
    let played = world.play();
    let order: Vec<String> =
        played.report().attempts.iter().map(|attempt| attempt.address.ip().to_string()).collect();
    assert_eq!(order[..16], addresses[..16]);
    assert_eq!(order[16], "203.0.113.1");
    assert_eq!(order[17..], addresses[16..]);
    assert!(played.report().notes.is_empty(), "{:?}", played.report().notes);
}

// spec D12
#[test]
fn the_last_of_60_addresses_is_reached() {
    for silent in ["", "refused now"] {
        let mut world = many(TlsMode::Direct, 60).peer("192.0.2.60:5223", "tcp 20, tls 20");
        for last in 1..60 {
            world = world.peer(&format!("192.0.2.{last}:5223"), silent);
        }
        assert!(matches!(world.play().outcome, Outcome::Connected(..)));
    }
}

// spec D2, D12
#[test]
fn slow_servers_that_made_room_are_tried_again_when_all_else_has_been() {
    // Each takes longer than it is left alone while others are due, and less than its limit.
    let mut world = many(TlsMode::Direct, 16);
    for last in 1..=16 {
        world = world.peer(&format!("192.0.2.{last}:5223"), if last == 1 { "tcp 3000, tls 9" } else { "" });
    }
    let played = world.play();
    let first: Vec<&str> =
        played.dialled().into_iter().filter(|line| line.ends_with(" 192.0.2.1:5223")).collect();
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(matches!(played.outcome, Outcome::Connected(..)), "{:?}", played.log);
    assert!(has_note(&played, "8 silent attempts were abandoned to start others: 8 run at once"));
}

// spec D12
#[test]
fn addresses_that_no_connect_could_try_are_left_out() {
    let addresses: Vec<String> = (0..140).map(|last| format!("192.0.2.{last}")).collect();
    let mut world = World::explicit(TlsMode::Direct, 5223).dns("a.test A", 10, &addresses.join(", "));
    for address in &addresses {
        world = world.peer(&format!("{address}:5223"), "refused now");
    }
    let played = world.play();
    assert_eq!(played.report().attempts.len(), 128);
    assert!(has_note(&played, "12 addresses of a.test were left out: 128 are tried"));
}

// spec D12
#[test]
fn at_most_128_attempts_are_made() {
    let mut world = World::example().xmpps(10, &targets(20));
    for host in 0..20 {
        let addresses: Vec<String> = (1..=10).map(|last| format!("192.0.{host}.{last}")).collect();
        for address in &addresses {
            world = world.peer(&format!("{address}:5223"), "refused now");
        }
        world = world.dns(&format!("h{host}.test A"), 10, &addresses.join(", "));
    }
    let played = world.play();
    assert_eq!(played.report().attempts.len(), 128);
    assert_eq!(played.log.last().unwrap(), "1290 failed Attempts");
    assert!(has_note(&played, "the rest was left out: 128 attempts are made"));
}

// spec D12
#[test]
fn all_of_128_addresses_are_tried_and_nothing_was_left_out() {
    let mut world = World::example().xmpps(10, &targets(8));
    for host in 0..8 {
        let addresses: Vec<String> = (1..=16).map(|last| format!("192.0.{host}.{last}")).collect();
        for address in &addresses {
            world = world.peer(&format!("{address}:5223"), "refused now");
        }
        world = world.dns(&format!("h{host}.test A"), 10, &addresses.join(", "));
    }
    let played = world.play();
    assert_eq!(played.report().attempts.len(), 128);
    assert!(played.report().notes.is_empty(), "{:?}", played.report().notes);
}

// spec D12
#[test]
fn at_most_8_attempts_are_in_flight() {
    let played = many(TlsMode::Direct, 10).play();
    let expected = [
        "1510 start 6 192.0.2.7:5223",
        "1760 start 7 192.0.2.8:5223",
        "2010 close 0",
        "2010 start 8 192.0.2.9:5223",
        "2260 close 1",
        "2260 start 9 192.0.2.10:5223",
        // Those that made room wait until there is room for them.
        "10510 close 2",
        "10510 start 10 192.0.2.1:5223",
        "10760 close 3",
        "10760 start 11 192.0.2.2:5223",
    ];
    assert_eq!(played.dialled()[6..16], expected);
}

// spec D2, D12
#[test]
fn the_next_group_does_not_wait_though_8_attempts_are_in_flight() {
    let addresses: Vec<String> = (1..=8).map(|last| format!("192.0.2.{last}")).collect();
    let world = World::example().xmpps(10, "1 0 5223 a.test, 2 0 5223 b.test");
    let played = world.dns("a.test A", 10, &addresses.join(", ")).dns("b.test A", 10, "192.0.2.99").play();
    assert_eq!(played.dialled()[8..10], ["2770 close 0", "2770 start 8 192.0.2.99:5223"]);
}

// spec D12
#[test]
fn at_most_16_questions_are_outstanding() {
    let mut world = World::example().xmpps(10, &targets(12));
    for host in 0..12 {
        world =
            world.dns(&format!("h{host}.test AAAA"), 50, "none").dns(&format!("h{host}.test A"), 70, "none");
    }
    let played = world.play();
    let counts: Vec<(&str, usize)> = played
        .questions()
        .iter()
        .map(|line| (line.split_once(' ').unwrap().0, line.matches(',').count() + 1))
        .collect();
    assert_eq!(counts, [("0", 4), ("10", 16), ("60", 8)]);
    assert_eq!(played.log.last().unwrap(), "130 failed Attempts");
}

// spec D5, D12
#[test]
fn a_question_that_waits_for_its_turn_has_its_limit_from_when_it_is_asked() {
    let mut world = World::example().xmpps(10, &targets(9));
    for host in 0..8 {
        world =
            world.dns(&format!("h{host}.test AAAA"), 0, "never").dns(&format!("h{host}.test A"), 0, "never");
    }
    let played = world.dns("h8.test AAAA", 4000, "2001:db8::8").play();
    let asked = played.questions();
    assert_eq!(*asked.last().unwrap(), "5010 ask h8.test AAAA, h8.test A");
    assert_eq!(played.dialled()[0], "9010 start 0 [2001:db8::8]:5223");
}

// spec C3, D12
#[test]
fn what_is_cut_from_thousands_of_records_is_not_even_kept() {
    let records: Vec<String> = (1..=3000).map(|port| format!("1 1 {port} h{port}.test")).collect();
    let mut draws = 0_u64;
    let world = World::example().xmpps(10, &records.join(", ")).xmpp(10, "none").random(move |bound| {
        draws += 1;
        assert!(draws <= 3000, "one number a record is enough");
        bound - 1
    });
    let played = world.play();
    assert_eq!(played.report().candidates.len(), 64);
    assert!(
        played.report().notes().iter().any(|note| note.contains("2936 candidates")),
        "{:?}",
        played.report().notes()
    );
}
