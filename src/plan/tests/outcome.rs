//! How a connect that fails says why.

use std::error::Error;
use std::time::Duration;

use super::super::Route;
use super::super::simulation::{Played, World};
use super::two;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::service::TlsMode;
use crate::settings::Policy;

// spec B6
#[test]
fn when_no_candidate_of_srv_records_can_be_connected_there_is_no_fallback() {
    let world = World::example().xmpp(10, "5 0 5222 a.test").dns("example.org A", 10, "192.0.2.1");
    let played = world.dns("a.test A", 10, "192.0.2.2").peer("192.0.2.2:5222", "refused 5").play();
    assert_eq!(played.dialled(), ["20 start 0 192.0.2.2:5222", "25 failed Attempts"]);
    // Nor when none has an address.
    let world = World::example().xmpp(10, "5 0 5222 a.test").dns("example.org A", 10, "192.0.2.1");
    assert_eq!(world.play().dialled(), ["20 failed Attempts"]);
}

// spec B7
#[test]
fn a_fallback_to_a_name_that_does_not_exist_is_no_such_domain() {
    let world =
        || World::example().dns("example.org AAAA", 10, "nxdomain").dns("example.org A", 10, "nxdomain");
    // Also when an SRV lookup has failed.
    for reply in ["nxdomain", "none", "failed"] {
        let played = world().xmpps(10, reply).xmpp(10, reply).play();
        assert_eq!(played.log.last().unwrap(), "10 failed NoSuchDomain", "{reply}");
        assert_eq!(played.error().to_string(), "there is no domain example.org");
        // A VPN may be down.
        assert!(!played.error().is_permanent());
    }
    let played = world().policy(Policy::StartTlsOnly).play();
    assert_eq!(played.kind(), ErrorKind::NoSuchDomain);
}

// spec B7
#[test]
fn one_nxdomain_says_it_for_both_families_but_not_against_records() {
    let played =
        World::example().dns("example.org AAAA", 10, "failed").dns("example.org A", 10, "nxdomain").play();
    assert_eq!(played.kind(), ErrorKind::NoSuchDomain);
    let world =
        World::example().dns("example.org AAAA", 10, "nxdomain").dns("example.org A", 10, "192.0.2.1");
    assert_eq!(world.peer("192.0.2.1:5222", "refused 5").play().kind(), ErrorKind::Attempts);
    let world = World::example().dns("example.org AAAA", 10, "nxdomain").dns("example.org A", 10, "none");
    assert_eq!(world.play().kind(), ErrorKind::Attempts);
}

// spec B7
#[test]
fn nxdomain_for_a_target_or_a_named_host_does_not_say_that_the_domain_is_missing() {
    let nothing = |world: World| {
        let played = world.dns("a.test AAAA", 10, "nxdomain").dns("a.test A", 10, "nxdomain").play();
        (played.kind(), played.error().to_string())
    };
    let expected = (ErrorKind::Attempts, "no server of example.org has an address: a.test".to_owned());
    assert_eq!(nothing(World::example().xmpps(10, "5 0 5223 a.test")), expected);
    assert_eq!(nothing(World::explicit(TlsMode::Direct, 5223)), expected);
}

// spec B7
#[test]
fn when_every_lookup_fails_the_kind_is_lookup() {
    let failing = |name: &str, world: World| {
        world.dns(&format!("{name} AAAA"), 10, "failed").dns(&format!("{name} A"), 10, "failed")
    };
    let all = failing("example.org", World::example().xmpps(10, "failed").xmpp(10, "failed")).play();
    assert_eq!(all.log.last().unwrap(), "10 failed Lookup");
    assert_eq!(all.error().to_string(), "the lookup of the servers of example.org failed: SERVFAIL");
    assert!(!all.error().is_permanent());
    assert_eq!(failing("a.test", World::explicit(TlsMode::Direct, 5223)).play().kind(), ErrorKind::Lookup);
}

// spec B7
#[test]
fn when_no_address_of_any_target_can_be_looked_up_the_kind_is_lookup() {
    // The domain itself has an address, but it is no target.
    let world = World::example().xmpps(10, "5 0 5223 a.test").dns("example.org A", 10, "192.0.2.1");
    let played = world.dns("a.test AAAA", 10, "failed").dns("a.test A", 10, "failed").play();
    assert_eq!(played.kind(), ErrorKind::Lookup);
}

// spec B7
#[test]
fn a_fallback_after_a_failed_srv_lookup_that_does_not_connect_is_lookup_with_the_attempts_inside() {
    for failure in ["refused", "untrusted"] {
        let world = World::example().xmpps(10, "failed").dns("example.org A", 10, "192.0.2.1");
        let played = world.peer("192.0.2.1:5222", &format!("tcp 5, {failure} 5")).play();
        assert_eq!(played.log.last().unwrap(), "20 failed Lookup");
        let message = played.error().to_string();
        let expected = "the lookup of the servers of example.org failed: SERVFAIL; the domain itself was tried \
                        instead: 1 attempt, to example.org:5222 STARTTLS (192.0.2.1:5222), failed during STARTTLS";
        assert_eq!(message, expected);
        assert_eq!(played.report().attempts.len(), 1);
        assert!(played.error().source().is_some());
    }
}

// spec B7
#[test]
fn the_kind_follows_the_attempt_that_came_furthest() {
    let untrusted = "tcp 5, untrusted 5";
    for (first, second, kind, what, furthest) in [
        (untrusted, untrusted, ErrorKind::Untrusted, "trusted", 2),
        ("refused 5", untrusted, ErrorKind::Untrusted, "trusted", 2),
        (untrusted, "refused 5", ErrorKind::Untrusted, "trusted", 1),
        // The check of the certificate comes last.
        (untrusted, "tcp 5, reset 5", ErrorKind::Untrusted, "trusted", 1),
        (untrusted, "tcp 5", ErrorKind::Untrusted, "trusted", 1),
        ("refused 5", "tcp 5, reset 5", ErrorKind::Attempts, "used", 2),
        ("tcp 5, reset 5", "refused 5", ErrorKind::Attempts, "used", 1),
        ("tcp 5, reset 5", "tcp 5, reset 5", ErrorKind::Attempts, "used", 2),
        ("refused 5", "refused 5", ErrorKind::Attempts, "reached", 2),
        ("refused 5", "", ErrorKind::Attempts, "reached", 2),
    ] {
        let played = two(TlsMode::Direct, first, second).play();
        assert_eq!(played.kind(), kind, "{first} and {second}");
        let (error, message) = (played.error(), played.error().to_string());
        assert!(
            message.starts_with(&format!("no server of example.org could be {what}: 2 attempts; ")),
            "{message}"
        );
        let attempt = &played.report().attempts[furthest - 1];
        assert!(message.contains(&attempt.address.to_string()), "{first} and {second}: {message}");
        assert_eq!(error.source().unwrap().to_string(), attempt.error().unwrap().to_string());
    }
}

// spec B7
#[test]
fn the_error_says_in_one_line_where_the_furthest_attempt_ended() {
    let played = two(TlsMode::Direct, "tcp 5, reset 5", "refused 5").play();
    let expected = "no server of example.org could be used: 2 attempts; the one that came furthest, to a.test:5223 direct \
                    TLS ([2001:db8::1]:5223), failed during TLS";
    assert_eq!(played.error().to_string(), expected);
    assert_eq!(
        format!("{:?}", played.error()),
        format!("{expected}: connection reset by the server, or by a firewall on the way: connection reset")
    );
}

/// The first target gives nothing, the second one works.
fn second_target(reply: &str) -> Played {
    World::example()
        .xmpps(10, "5 0 5223 a.test, 6 0 5223 b.test")
        .dns("a.test AAAA", 10, reply)
        .dns("a.test A", 10, reply)
        .dns("b.test AAAA", 10, "2001:db8::b")
        .peer("[2001:db8::b]:5223", "tcp 5, tls 5")
        .play()
}

// spec B10
#[test]
fn a_target_without_addresses_or_with_a_failed_lookup_is_passed_over_at_once() {
    for reply in ["none", "nxdomain", "failed"] {
        let played = second_target(reply);
        assert_eq!(played.dialled(), ["20 start 0 [2001:db8::b]:5223", "30 connected 0"], "{reply}");
        assert_eq!(played.candidates().len(), 2);
    }
}

// spec B8, B10
#[test]
fn an_srv_lookup_that_fails_for_a_loop_of_names_leaves_the_other_kind() {
    let world =
        World::example().xmpps(10, "failed").xmpp(10, "5 0 5222 a.test").dns("a.test A", 10, "192.0.2.1");
    let played = world.peer("192.0.2.1:5222", "tcp 5, starttls 5, tls 5").play();
    assert_eq!(played.dialled(), ["20 start 0 192.0.2.1:5222", "35 connected 0"]);
}

// spec B7, B11
#[test]
fn not_offered_names_the_host_whose_records_say_so() {
    let world = World::example()
        .with(|world| world.route = Route::OtherHost(Host::parse("other.test").unwrap()))
        .dns("_xmpps-client._tcp.other.test SRV", 10, "0 0 0 .")
        .dns("_xmpp-client._tcp.other.test SRV", 10, "0 0 0 .");
    let played = world.play();
    assert_eq!(played.kind(), ErrorKind::NotOffered);
    assert!(played.error().to_string().starts_with("other.test does not"), "{}", played.error());
}

// spec D5, D7
#[test]
fn a_literal_that_runs_out_of_time_is_not_laid_to_the_dns() {
    let played =
        World::new("192.0.2.1").with(|world| world.settings.limits.total = Duration::from_nanos(1)).play();
    assert_eq!(played.kind(), ErrorKind::TimedOut);
    assert!(!played.error().to_string().contains("DNS"), "{}", played.error());
}
