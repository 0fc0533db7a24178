//! What is asked, when dialling starts on half of the answers, and what hints are good for.

use super::super::simulation::Outcome;
use super::super::simulation::World;
use crate::domain::Domain;
use crate::report::LookupResult;
use crate::service::Service;
use crate::settings::Policy;

// spec B1, B2
#[test]
fn a_client_asks_both_srv_questions_and_the_addresses_of_the_domain_at_once() {
    let played = World::example().play();
    let expected = "0 ask _xmpps-client._tcp.example.org SRV, _xmpp-client._tcp.example.org SRV, example.org AAAA, example.org A";
    assert_eq!(played.questions(), [expected]);
}

// spec B1, B2
#[test]
fn a_server_asks_for_the_server_records() {
    let service = Service::server(Domain::new("own.test").unwrap());
    let played = World::example()
        .with(|world| world.settings.service = service)
        .dns("example.org A", 10, "192.0.2.1")
        .play();
    let expected = "0 ask _xmpps-server._tcp.example.org SRV, _xmpp-server._tcp.example.org SRV, example.org AAAA, example.org A";
    assert_eq!(played.questions(), [expected]);
    assert_eq!(played.dialled()[0], "10 start 0 192.0.2.1:5269");
}

// spec A2
#[test]
#[cfg(feature = "idna")]
fn questions_are_in_a_labels() {
    let played = World::new("bücher.example").play();
    assert!(
        played.log[0].starts_with("0 ask _xmpps-client._tcp.xn--bcher-kva.example SRV, "),
        "{}",
        played.log[0]
    );
}

// spec B2
#[test]
fn a_target_equal_to_the_domain_costs_no_further_round_trip() {
    for policy in [Policy::AsPublished, Policy::DirectOnly] {
        let world = World::example().policy(policy).xmpps(100, "5 0 5223 example.org.");
        let played = world.dns("example.org AAAA", 90, "2001:db8::1").play();
        assert_eq!(played.questions().len(), 1, "{policy:?}");
        assert_eq!(played.dialled()[0], "100 start 0 [2001:db8::1]:5223", "{policy:?}");
    }
}

// spec B2
#[test]
fn the_fallback_costs_no_further_round_trip() {
    let world =
        World::example().xmpps(100, "none").xmpp(120, "none").dns("example.org AAAA", 90, "2001:db8::1");
    assert_eq!(world.play().dialled()[0], "120 start 0 [2001:db8::1]:5222");
}

// spec B3
#[test]
fn both_answers_are_merged_by_priority() {
    let played = World::example()
        .xmpps(10, "20 0 5223 a.test, 5 0 443 b.test")
        .xmpp(20, "10 0 5222 a.test, 30 0 5222 b.test")
        .discovery()
        .play();
    let expected =
        ["b.test:443 direct TLS", "a.test:5222 STARTTLS", "a.test:5223 direct TLS", "b.test:5222 STARTTLS"];
    assert_eq!(played.candidates(), expected);
}

/// Records on one side at 10 ms, the other side as given. Addresses take no time.
fn half(other: u64, reply: &str) -> World {
    World::example()
        .xmpps(10, "10 0 5223 a.test, 20 0 5223 b.test")
        .xmpp(other, reply)
        .dns("a.test AAAA", 0, "2001:db8::a")
        .dns("b.test AAAA", 0, "2001:db8::b")
        .dns("c.test AAAA", 0, "2001:db8::c")
}

// spec B3a
#[test]
fn when_one_answer_is_missing_dialling_starts_a_second_and_a_half_after_the_other() {
    let played = half(0, "never").play();
    assert_eq!(played.dialled()[..2], ["1510 start 0 [2001:db8::a]:5223", "2510 start 1 [2001:db8::b]:5223"]);
    let played = half(1509, "none").play();
    assert_eq!(played.dialled()[0], "1509 start 0 [2001:db8::a]:5223");
}

// spec B3a
#[test]
fn either_answer_can_be_the_one_that_is_missing() {
    let world = World::example().xmpp(700, "10 0 5222 a.test").xmpps(0, "never");
    let played = world.dns("a.test AAAA", 0, "2001:db8::a").play();
    assert_eq!(played.dialled()[0], "2200 start 0 [2001:db8::a]:5222");
}

// spec B3a
#[test]
fn a_late_answer_joins_at_its_place_among_what_has_not_started() {
    // Its candidate stands behind the first one, which has started, and before the second one, which has not.
    let played = half(2000, "15 0 5222 c.test").play();
    let expected = [
        "1510 start 0 [2001:db8::a]:5223",
        "2510 start 1 [2001:db8::c]:5222",
        "3510 start 2 [2001:db8::b]:5223",
    ];
    assert_eq!(played.dialled()[..3], expected);
    assert_eq!(
        played.candidates(),
        ["a.test:5223 direct TLS", "c.test:5222 STARTTLS", "b.test:5223 direct TLS"]
    );
}

// spec B3a
#[test]
fn a_late_answer_of_a_lower_priority_number_goes_next_and_what_has_started_goes_on() {
    let played = half(2000, "5 0 5222 c.test").peer("[2001:db8::a]:5223", "tcp 300, tls 1500").play();
    let expected = [
        "1510 start 0 [2001:db8::a]:5223",
        // 300 ms of TCP hold the next attempt back for 600 ms.
        "2410 start 1 [2001:db8::c]:5222",
        "3310 connected 0",
    ];
    assert_eq!(played.dialled(), expected);
    let played = half(2000, "5 0 5222 c.test").peer("[2001:db8::c]:5222", "tcp 5, starttls 5, tls 5").play();
    let expected = ["1510 start 0 [2001:db8::a]:5223", "2000 start 1 [2001:db8::c]:5222", "2015 connected 1"];
    assert_eq!(played.dialled(), expected);
}

// spec B3a, D2
#[test]
fn a_group_that_joins_late_has_its_own_second_for_its_lookups() {
    // c.test takes 700 ms to look up; b.test, a group behind it, must not start before.
    let world = World::example()
        .xmpps(10, "10 0 5223 a.test, 20 0 5223 b.test")
        .xmpp(2000, "5 0 5222 c.test")
        .dns("a.test AAAA", 0, "2001:db8::a")
        .dns("b.test AAAA", 0, "2001:db8::b")
        .dns("c.test AAAA", 700, "2001:db8::c")
        .dns("c.test A", 700, "none");
    let played = world.peer("[2001:db8::a]:5223", "refused 600").play();
    let expected = [
        "1510 start 0 [2001:db8::a]:5223",
        "2700 start 1 [2001:db8::c]:5222",
        "3700 start 2 [2001:db8::b]:5223",
    ];
    assert_eq!(played.dialled()[..3], expected);
}

// spec B3a
#[test]
fn with_all_that_is_known_failed_the_missing_answer_is_still_waited_for() {
    let failing =
        |world: World| world.peer("[2001:db8::a]:5223", "refused 5").peer("[2001:db8::b]:5223", "refused 5");
    let played =
        failing(half(4000, "5 0 5222 c.test")).peer("[2001:db8::c]:5222", "tcp 5, starttls 5, tls 5").play();
    let expected = [
        "1510 start 0 [2001:db8::a]:5223",
        // The first target's A answer, which says "none", was awaited.
        "1520 start 1 [2001:db8::b]:5223",
        "4000 start 2 [2001:db8::c]:5222",
        "4015 connected 2",
    ];
    assert_eq!(played.dialled(), expected);
    let played = failing(half(0, "never")).play();
    assert_eq!(played.log.last().unwrap(), "5000 failed Attempts");
    // The connect that has the records of one kind has not failed for want of the other kind's.
    assert_eq!(played.report().lookups[1].result, LookupResult::Failed("no answer within 5s".to_owned()));
}

// spec B3a
#[test]
fn when_the_first_answer_has_no_records_the_other_one_is_waited_for_to_its_limit() {
    for reply in ["none", "nxdomain", "0 0 0 .", "failed"] {
        let world = World::example().xmpps(10, reply).dns("example.org AAAA", 10, "2001:db8::1");
        let played = world.xmpp(4999, "5 0 5222 a.test").dns("a.test AAAA", 1, "2001:db8::a").play();
        assert_eq!(played.dialled()[0], "5000 start 0 [2001:db8::a]:5222", "{reply}");
    }
    let world =
        World::example().xmpps(10, "none").xmpp(0, "never").dns("example.org AAAA", 10, "2001:db8::1");
    let played = world.play();
    assert_eq!(played.log[1], "5000 start 0 [2001:db8::1]:5222");
}

// spec B9
#[test]
fn an_attempt_starts_at_once_on_a_hint_and_both_families_are_asked_for_all_the_same() {
    let played = World::example()
        .xmpps(20, "5 0 5223 a.test + a.test 2001:db8::a")
        .dns("a.test A", 100, "192.0.2.1")
        .play();
    assert_eq!(played.questions()[1], "20 ask a.test AAAA, a.test A");
    assert_eq!(played.dialled()[..2], ["20 start 0 [2001:db8::a]:5223", "270 start 1 192.0.2.1:5223"]);
}

// spec B9, D4
#[test]
fn a_hint_of_an_ipv4_address_waits_50_ms_for_the_ipv6_answer() {
    let world = || World::example().xmpps(20, "5 0 5223 a.test + a.test 192.0.2.1");
    let played = world().dns("a.test AAAA", 30, "2001:db8::a").dns("a.test A", 30, "192.0.2.1").play();
    assert_eq!(played.questions()[1], "20 ask a.test AAAA, a.test A");
    assert_eq!(played.dialled()[..2], ["50 start 0 [2001:db8::a]:5223", "300 start 1 192.0.2.1:5223"]);
    let played = world().dns("a.test AAAA", 0, "never").dns("a.test A", 60, "192.0.2.1").play();
    assert_eq!(played.dialled()[0], "70 start 0 192.0.2.1:5223");
}

// spec B9
#[test]
fn stale_hints_of_both_families_cost_an_attempt_each_and_never_the_connect() {
    let hints = "5 0 5223 a.test + a.test 192.0.2.66, A.Test. 2001:db8::66";
    let world = World::example().xmpps(20, hints);
    let world = world.peer("[2001:db8::66]:5223", "refused 5").peer("192.0.2.66:5223", "refused 5");
    let played = world.dns("a.test A", 100, "192.0.2.1").peer("192.0.2.1:5223", "tcp 5, tls 5").play();
    let expected = [
        "20 start 0 [2001:db8::66]:5223",
        "30 start 1 192.0.2.66:5223",
        "120 start 2 192.0.2.1:5223",
        "130 connected 2",
    ];
    assert_eq!(played.dialled(), expected);
}

// spec B9
#[test]
fn an_answer_takes_back_the_hints_that_have_not_started() {
    let hints = "5 0 5223 a.test + a.test 2001:db8::66, a.test 2001:db8::67, a.test 2001:db8::68";
    let world = World::example().xmpps(20, hints).dns("a.test AAAA", 10, "2001:db8::1, 2001:db8::66");
    let expected = ["20 start 0 [2001:db8::66]:5223", "270 start 1 [2001:db8::1]:5223"];
    let dialled: Vec<String> =
        world.play().dialled().into_iter().filter(|line| line.contains("start")).map(str::to_owned).collect();
    assert_eq!(dialled, expected);
}

// spec B9, H6
#[test]
fn a_hint_counts_for_targets_of_the_same_answer_only() {
    let played = World::example()
        .xmpps(20, "5 0 5223 a.test + b.test 2001:db8::bad, example.org 2001:db8::bad")
        .xmpp(20, "5 0 5222 b.test, 9 0 5222 example.org")
        .dns("a.test AAAA", 10, "2001:db8::a")
        .dns("b.test AAAA", 10, "2001:db8::b")
        .dns("example.org AAAA", 100, "2001:db8::1")
        .play();
    let addresses: Vec<String> =
        played.report().attempts.iter().map(|attempt| attempt.address.to_string()).collect();
    assert_eq!(addresses, ["[2001:db8::a]:5223", "[2001:db8::b]:5222", "[2001:db8::1]:5222"]);
}

// spec A7, B9
#[test]
fn a_hint_cannot_move_localhost_elsewhere() {
    let played = World::example().xmpps(20, "5 0 5223 localhost + localhost 192.0.2.66").play();
    assert_eq!(played.dialled()[..2], ["20 start 0 [::1]:5223", "270 start 1 127.0.0.1:5223"]);
    assert_eq!(played.questions().len(), 1);
}

// spec B2, C5
#[test]
fn discovering_dials_nothing_and_asks_for_no_address() {
    let world = World::example().discovery();
    let played = world.xmpps(10, "5 0 5223 a.test").xmpp(3000, "1 0 5222 a.test").play();
    let expected =
        ["0 ask _xmpps-client._tcp.example.org SRV, _xmpp-client._tcp.example.org SRV", "3000 discovered"];
    assert_eq!(played.log, expected);
    assert_eq!(played.candidates(), ["a.test:5222 STARTTLS", "a.test:5223 direct TLS"]);
    assert!(matches!(played.outcome, Outcome::Discovered(_)));
}
