//! Bounds on work, and that the report says what was left out.

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
    assert_eq!(report.candidates[0].target(), "best.test");
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
fn at_most_16_addresses_of_a_target_are_tried() {
    let mut world = many(TlsMode::Direct, 20);
    for last in 1..=20 {
        world = world.peer(&format!("192.0.2.{last}:5223"), "refused now");
    }
    let played = world.dns("a.test AAAA", 10, "2001:db8::1").peer("[2001:db8::1]:5223", "refused now").play();
    assert_eq!(played.report().attempts.len(), 16);
    assert_eq!(played.log.last().unwrap(), "10 failed Attempts");
    assert!(
        has_note(&played, "5 addresses of a.test were left out: 16 are tried"),
        "{:?}",
        played.report().notes
    );
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
    assert_eq!(played.log.last().unwrap(), "30 failed Attempts");
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
        "10010 close 0",
        "10010 start 8 192.0.2.9:5223",
        "10260 close 1",
        "10260 start 9 192.0.2.10:5223",
    ];
    assert_eq!(played.dialled()[6..12], expected);
}

// spec D2, D12
#[test]
fn the_next_group_waits_while_8_attempts_are_in_flight() {
    let addresses: Vec<String> = (1..=8).map(|last| format!("192.0.2.{last}")).collect();
    let world = World::example().xmpps(10, "1 0 5223 a.test, 2 0 5223 b.test");
    let played = world.dns("a.test A", 10, &addresses.join(", ")).dns("b.test A", 10, "192.0.2.99").play();
    assert_eq!(played.dialled()[8..10], ["10020 close 0", "10020 start 8 192.0.2.99:5223"]);
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
