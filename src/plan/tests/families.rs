//! What is dialled while answers of the DNS are still missing.

use super::super::simulation::World;
use crate::service::TlsMode;

fn explicit() -> World {
    World::explicit(TlsMode::Direct, 5223)
}

// spec D4
#[test]
fn an_ipv6_answer_starts_at_once() {
    let played = explicit().dns("a.test AAAA", 10, "2001:db8::1").dns("a.test A", 100, "192.0.2.1").play();
    let expected = ["10 start 0 [2001:db8::1]:5223", "260 start 1 192.0.2.1:5223"];
    assert_eq!(played.dialled()[..2], expected);
}

// spec D4
#[test]
fn an_ipv4_answer_waits_50_ms_for_the_ipv6_answer_and_no_longer() {
    let world = || explicit().dns("a.test A", 10, "192.0.2.1");
    let played = world().dns("a.test AAAA", 59, "2001:db8::1").play();
    let expected = ["59 start 0 [2001:db8::1]:5223", "309 start 1 192.0.2.1:5223"];
    assert_eq!(played.dialled()[..2], expected);
    let played = world().dns("a.test AAAA", 61, "2001:db8::1").play();
    let expected = ["60 start 0 192.0.2.1:5223", "310 start 1 [2001:db8::1]:5223"];
    assert_eq!(played.dialled()[..2], expected);
}

// spec D4
#[test]
fn a_negative_or_failed_ipv6_answer_ends_the_wait() {
    for reply in ["none", "nxdomain", "failed"] {
        for (ipv6, ipv4, start) in [(30, 10, 30), (5, 10, 10), (10, 10, 10), (61, 10, 60)] {
            let played = explicit().dns("a.test AAAA", ipv6, reply).dns("a.test A", ipv4, "192.0.2.1").play();
            assert_eq!(
                played.dialled()[0],
                format!("{start} start 0 192.0.2.1:5223"),
                "{reply} after {ipv6} ms"
            );
        }
    }
}

// spec D4
#[test]
fn the_family_that_comes_later_joins_the_race() {
    // Behind an attempt that has failed, it starts as soon as it is known.
    let played = explicit()
        .dns("a.test A", 10, "192.0.2.1")
        .dns("a.test AAAA", 4000, "2001:db8::1")
        .peer("192.0.2.1:5223", "refused 5")
        .peer("[2001:db8::1]:5223", "tcp 20, tls 20")
        .play();
    let expected = ["60 start 0 192.0.2.1:5223", "4000 start 1 [2001:db8::1]:5223", "4040 connected 1"];
    assert_eq!(played.dialled(), expected);
}

fn two_candidates() -> World {
    World::example().xmpps(10, "5 1 5223 a.test, 5 1 5223 b.test")
}

// spec D4
#[test]
fn a_later_candidate_waits_50_ms_for_the_addresses_of_an_earlier_one() {
    let world = || two_candidates().dns("b.test AAAA", 20, "2001:db8::b").dns("b.test A", 20, "none");
    let played = world().dns("a.test AAAA", 69, "2001:db8::a").dns("a.test A", 69, "none").play();
    let expected = ["79 start 0 [2001:db8::a]:5223", "329 start 1 [2001:db8::b]:5223"];
    assert_eq!(played.dialled()[..2], expected);
    // The earlier one joins when its answer comes.
    let played = world().dns("a.test AAAA", 71, "2001:db8::a").dns("a.test A", 71, "none").play();
    let expected = ["80 start 0 [2001:db8::b]:5223", "330 start 1 [2001:db8::a]:5223"];
    assert_eq!(played.dialled()[..2], expected);
    let played = world().dns("a.test AAAA", 700, "2001:db8::a").dns("a.test A", 700, "none").play();
    let expected = ["80 start 0 [2001:db8::b]:5223", "710 start 1 [2001:db8::a]:5223"];
    assert_eq!(played.dialled()[..2], expected);
}

// spec D4, B10
#[test]
fn an_earlier_candidate_that_turns_out_to_have_no_address_is_not_waited_for() {
    for reply in ["none", "nxdomain", "failed"] {
        let played = two_candidates()
            .dns("b.test AAAA", 20, "2001:db8::b")
            .dns("a.test AAAA", 35, reply)
            .dns("a.test A", 30, reply)
            .play();
        assert_eq!(played.dialled()[0], "45 start 0 [2001:db8::b]:5223", "{reply}");
    }
}

// spec D4
#[test]
fn the_50_ms_for_an_earlier_candidate_begin_when_the_later_one_has_addresses() {
    let world = two_candidates().dns("a.test AAAA", 0, "never").dns("b.test AAAA", 5, "none");
    let played = world.dns("b.test A", 20, "192.0.2.11").play();
    assert_eq!(played.dialled()[0], "80 start 0 192.0.2.11:5223");
}

// spec D4
#[test]
fn a_later_candidate_waits_while_an_earlier_one_waits_for_its_ipv6_answer() {
    let world = two_candidates().dns("a.test A", 10, "192.0.2.1").dns("a.test AAAA", 0, "never");
    let played = world.dns("b.test AAAA", 10, "2001:db8::b").play();
    let expected = ["70 start 0 192.0.2.1:5223", "320 start 1 [2001:db8::b]:5223"];
    assert_eq!(played.dialled()[..2], expected);
}

// spec D4
#[test]
fn an_earlier_candidate_that_joins_goes_before_the_rest_of_the_later_one() {
    let played = two_candidates()
        .dns("b.test AAAA", 10, "2001:db8::b1, 2001:db8::b2")
        .dns("a.test AAAA", 200, "2001:db8::a")
        .play();
    let expected = [
        "70 start 0 [2001:db8::b1]:5223",
        "320 start 1 [2001:db8::a]:5223",
        "570 start 2 [2001:db8::b2]:5223",
    ];
    assert_eq!(played.dialled()[..3], expected);
}

// spec D11
#[test]
fn a_family_that_is_not_wanted_is_not_asked_for() {
    use crate::settings::AddressFamily;
    for (family, asked) in [
        (AddressFamily::Any, "0 ask a.test AAAA, a.test A"),
        (AddressFamily::Ipv4First, "0 ask a.test AAAA, a.test A"),
        (AddressFamily::Ipv4Only, "0 ask a.test A"),
        (AddressFamily::Ipv6Only, "0 ask a.test AAAA"),
    ] {
        let world = explicit().dns("a.test AAAA", 10, "2001:db8::1").dns("a.test A", 10, "192.0.2.1");
        let played = world.with(|world| world.settings.family = family).play();
        assert_eq!(played.questions(), [asked]);
        let ipv6 = "start 0 [2001:db8::1]:5223";
        let ipv4 = "start 0 192.0.2.1:5223";
        let first = match family {
            AddressFamily::Any | AddressFamily::Ipv6Only => ipv6,
            AddressFamily::Ipv4First | AddressFamily::Ipv4Only => ipv4,
        };
        assert_eq!(played.dialled()[0], format!("10 {first}"), "{family:?}");
    }
}

// spec B9, D11
#[test]
fn a_hint_of_a_family_that_is_not_wanted_is_not_dialled() {
    use crate::settings::AddressFamily;
    let world = World::example().with(|world| world.settings.family = AddressFamily::Ipv4Only);
    let world = world.xmpps(10, "5 0 5223 a.test + a.test 2001:db8::a").dns("a.test A", 10, "192.0.2.1");
    let played = world.play();
    let addresses: Vec<String> =
        played.report().attempts.iter().map(|attempt| attempt.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1:5223"]);
}

// spec D4, D11
#[test]
fn with_ipv4_first_the_ipv6_answer_is_the_one_that_waits() {
    use crate::settings::AddressFamily;
    let world = explicit().dns("a.test AAAA", 10, "2001:db8::1").dns("a.test A", 100, "192.0.2.1");
    let played = world.with(|world| world.settings.family = AddressFamily::Ipv4First).play();
    let expected = ["60 start 0 [2001:db8::1]:5223", "310 start 1 192.0.2.1:5223"];
    assert_eq!(played.dialled()[..2], expected);
}

// spec D1
#[test]
fn addresses_are_sorted_by_rfc_6724_with_the_source_addresses_of_this_machine() {
    let world = || {
        World::explicit(TlsMode::Direct, 5223).dns("a.test AAAA", 10, "2001:db8::1, 2001:db8:1::1").dns(
            "a.test A",
            10,
            "192.0.2.1, 192.0.2.2",
        )
    };
    let starts = |world: World| -> Vec<String> {
        let played = world.play();
        let starts = played.report().attempts.iter().map(|attempt| attempt.address.ip().to_string());
        starts.collect()
    };
    // Without a route for IPv6 it goes last, though it is there first.
    let played = world().routes(|to| to.is_ipv4().then(|| "192.0.2.254".parse().unwrap()));
    assert_eq!(starts(played), ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1"]);
    // The source address shares a longer prefix with the second.
    let played = world().routes(|to| {
        Some(if to.is_ipv4() { "192.0.2.254".parse().unwrap() } else { "2001:db8:1::9".parse().unwrap() })
    });
    assert_eq!(starts(played), ["2001:db8:1::1", "192.0.2.1", "2001:db8::1", "192.0.2.2"]);
}
