//! The table of what two SRV answers say together, and what a policy leaves of it, as whole connects.

use super::super::simulation::{Played, World};
use crate::error::ErrorKind;
use crate::report::LookupResult;
use crate::settings::Policy;

const DOT: &str = "0 0 0 .";

/// Both answers as given; all hosts have an address, and every server is reachable.
fn play(policy: Policy, xmpps: &str, xmpp: &str) -> Played {
    World::example()
        .policy(policy)
        .xmpps(10, xmpps)
        .xmpp(10, xmpp)
        .dns("example.org AAAA", 10, "2001:db8::1")
        .dns("a.test AAAA", 10, "2001:db8::a")
        .dns("b.test AAAA", 10, "2001:db8::b")
        .peer("[2001:db8::1]:5222", "tcp 5, starttls 5, tls 5")
        .peer("[2001:db8::a]:5223", "tcp 5, tls 5")
        .peer("[2001:db8::b]:5222", "tcp 5, starttls 5, tls 5")
        .play()
}

const DIRECT: &str = "5 0 5223 a.test";
const STARTTLS: &str = "9 0 5222 b.test";
/// The two answers that say "none".
const NONE: [&str; 2] = ["none", "nxdomain"];

// spec B5
#[test]
fn records_and_records_are_merged() {
    let played = play(Policy::AsPublished, DIRECT, STARTTLS);
    assert_eq!(played.candidates(), ["a.test:5223 direct TLS", "b.test:5222 STARTTLS"]);
    assert_eq!(played.dialled(), ["20 start 0 [2001:db8::a]:5223", "30 connected 0"]);
}

// spec B5
#[test]
fn records_of_one_kind_are_used_whatever_the_other_answer_says() {
    for other in ["none", "nxdomain", DOT, "failed"] {
        let played = play(Policy::AsPublished, DIRECT, other);
        assert_eq!(played.candidates(), ["a.test:5223 direct TLS"], "{other}");
        assert_eq!(played.dialled(), ["20 start 0 [2001:db8::a]:5223", "30 connected 0"], "{other}");
        let played = play(Policy::AsPublished, other, STARTTLS);
        assert_eq!(played.candidates(), ["b.test:5222 STARTTLS"], "{other}");
        assert_eq!(played.dialled(), ["20 start 0 [2001:db8::b]:5222", "35 connected 0"], "{other}");
    }
}

// spec B5
#[test]
fn a_dot_beside_a_dot_or_nothing_is_not_offered_and_no_fallback() {
    let rows = [(DOT, DOT), (DOT, "none"), (DOT, "nxdomain"), ("none", DOT), ("nxdomain", DOT)];
    for (xmpps, xmpp) in rows {
        let played = play(Policy::AsPublished, xmpps, xmpp);
        assert_eq!(played.dialled(), ["10 failed NotOffered"], "{xmpps} {xmpp}");
        let message = played.error().to_string();
        assert_eq!(message, "example.org does not offer the client service, by its SRV records");
        assert!(played.error().is_permanent());
    }
}

// spec B5
#[test]
fn no_records_at_all_are_the_fallback() {
    for (xmpps, xmpp) in NONE.into_iter().flat_map(|one| NONE.map(|two| (one, two))) {
        let played = play(Policy::AsPublished, xmpps, xmpp);
        assert_eq!(played.candidates(), ["example.org:5222 STARTTLS"]);
        assert_eq!(played.dialled(), ["10 start 0 [2001:db8::1]:5222", "25 connected 0"], "{xmpps} {xmpp}");
    }
}

// spec B5
#[test]
fn a_failed_lookup_is_the_fallback_and_the_failure_is_kept_in_the_report() {
    for (xmpps, xmpp) in
        [("failed", "none"), ("none", "failed"), ("failed", "failed"), ("failed", "nxdomain")]
    {
        let played = play(Policy::AsPublished, xmpps, xmpp);
        assert_eq!(played.dialled(), ["10 start 0 [2001:db8::1]:5222", "25 connected 0"], "{xmpps} {xmpp}");
        for (lookup, reply) in played.report().lookups.iter().zip([xmpps, xmpp]) {
            let is_failed = lookup.result == LookupResult::Failed("SERVFAIL".to_owned());
            assert_eq!(is_failed, reply == "failed", "{lookup}");
        }
    }
}

// spec B5
#[test]
fn a_dot_and_a_failure_are_an_error_that_names_both() {
    for (xmpps, xmpp, not_offered, failed) in
        [(DOT, "failed", "direct TLS", "STARTTLS"), ("failed", DOT, "STARTTLS", "direct TLS")]
    {
        let played = play(Policy::AsPublished, xmpps, xmpp);
        assert_eq!(played.dialled(), ["10 failed Lookup"]);
        let expected = format!(
            "example.org does not offer {not_offered}, by its SRV records, and the lookup for {failed} failed: SERVFAIL"
        );
        assert_eq!(played.error().to_string(), expected);
    }
}

// spec B5
#[test]
fn a_lookup_without_an_answer_in_time_is_a_failed_one() {
    let world = World::example().xmpps(10, DOT).xmpp(0, "never").dns("example.org AAAA", 10, "2001:db8::1");
    let played = world.play();
    assert_eq!(played.dialled(), ["5000 failed Lookup"]);
    assert!(played.error().to_string().ends_with("no answer within 5s"), "{}", played.error());
}

// spec B5
#[test]
fn an_answer_whose_records_are_all_unusable_counts_as_a_dot() {
    for records in ["5 0 0 a.test", "5 0 5223 192.0.2.1", "1 0 5223 ., 2 0 5223 .", "7 8 9 ., 7 8 9 ."] {
        assert_eq!(
            play(Policy::AsPublished, records, "none").dialled(),
            ["10 failed NotOffered"],
            "{records}"
        );
    }
    // What is left of the others is used.
    let played =
        play(Policy::AsPublished, "1 0 5223 ., 2 0 0 c.test, 5 0 5223 a.test, 5 0 5223 a.test", "none");
    assert_eq!(played.candidates(), ["a.test:5223 direct TLS"]);
}

// spec B4
#[test]
fn only_one_kind_never_asks_for_the_other() {
    for (policy, prefix) in [(Policy::DirectOnly, "_xmpps-client"), (Policy::StartTlsOnly, "_xmpp-client")] {
        let played = play(policy, DIRECT, STARTTLS);
        assert_eq!(
            played.log[0],
            format!("0 ask {prefix}._tcp.example.org SRV, example.org AAAA, example.org A")
        );
    }
}

// spec B4
#[test]
fn direct_tls_only_has_no_fallback() {
    let rows = [
        (DOT, ErrorKind::NotOffered),
        ("none", ErrorKind::NotOffered),
        ("nxdomain", ErrorKind::NotOffered),
        ("failed", ErrorKind::Lookup),
    ];
    for (xmpps, kind) in rows {
        let played = play(Policy::DirectOnly, xmpps, STARTTLS);
        assert_eq!(played.dialled(), [format!("10 failed {kind:?}")], "{xmpps}");
    }
    assert_eq!(play(Policy::DirectOnly, DIRECT, DOT).log.last().unwrap(), "30 connected 0");
}

// spec B4
#[test]
fn starttls_only_takes_a_dot_for_an_error_and_all_else_for_the_fallback() {
    let played = play(Policy::StartTlsOnly, DIRECT, DOT);
    assert_eq!(played.dialled(), ["10 failed NotOffered"]);
    for xmpp in ["none", "nxdomain", "failed"] {
        let played = play(Policy::StartTlsOnly, DIRECT, xmpp);
        assert_eq!(played.dialled(), ["10 start 0 [2001:db8::1]:5222", "25 connected 0"], "{xmpp}");
    }
}

// spec B4
#[test]
fn an_address_literal_under_direct_tls_only_is_an_error_without_a_port() {
    for domain in ["192.0.2.1", "2001:db8::1", "localhost"] {
        let played = World::new(domain).policy(Policy::DirectOnly).play();
        assert_eq!(played.log, ["0 failed Configuration"], "{domain}");
        assert!(played.error().to_string().contains("connect_to"), "{}", played.error());
    }
}
