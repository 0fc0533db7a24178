//! Connects that need no SRV records, or no DNS at all: literals, special names, named candidates, given streams.

use super::super::Route;
use super::super::simulation::Outcome;
use super::super::simulation::{Played, World};
use crate::discovery::Origin;
use crate::domain::{Domain, Host};
use crate::error::ErrorKind;
use crate::service::{Service, TlsMode};
use crate::settings::AddressFamily;
use crate::settings::Policy;
use crate::target::Server;

/// A name of so many octets, all labels of good length.
fn name_of(length: usize) -> String {
    let labels = "abcdefghi.".repeat(26);
    format!("{}x", &labels[labels.len() + 1 - length..])
}

// spec A3
#[test]
fn a_name_too_long_for_the_srv_prefix_has_no_srv_records() {
    let name = name_of(245);
    let played = World::new(&name).dns(&format!("{name} A"), 10, "192.0.2.1").play();
    assert_eq!(played.log[0], format!("0 ask {name} AAAA, {name} A"));
    assert_eq!(played.dialled()[0], "10 start 0 192.0.2.1:5222");
    assert_eq!(played.report().candidates[0].origin(), Origin::Fallback);
}

// spec A3
#[test]
fn a_name_too_long_for_one_prefix_only_is_asked_for_with_the_other() {
    // "_xmpps-client._tcp." has 19 octets, "_xmpp-client._tcp." has 18; 253 is the limit.
    let name = name_of(235);
    let world = World::new(&name).dns(&format!("_xmpp-client._tcp.{name} SRV"), 10, "5 0 5222 a.test");
    let played = world.dns("a.test A", 10, "192.0.2.1").play();
    assert_eq!(played.log[0], format!("0 ask _xmpp-client._tcp.{name} SRV, {name} AAAA, {name} A"));
    assert_eq!(played.dialled()[0], "20 start 0 192.0.2.1:5222");
}

// spec A3, B4
#[test]
fn a_name_too_long_for_the_srv_prefix_has_nothing_for_direct_tls_only() {
    let played = World::new(&name_of(245)).policy(Policy::DirectOnly).play();
    assert_eq!(played.dialled(), ["0 failed NotOffered"]);
}

// spec A4
#[test]
fn an_address_literal_is_dialled_without_any_question() {
    let server = Service::server(Domain::new("own.test").unwrap());
    for (domain, service, address) in [
        ("192.0.2.1", Service::Client, "192.0.2.1:5222"),
        ("[2001:db8::1]", Service::Client, "[2001:db8::1]:5222"),
        ("192.0.2.1", server, "192.0.2.1:5269"),
    ] {
        let world = World::new(domain).with(|world| world.settings.service = service);
        let played = world.peer(address, "tcp 20, starttls 20, tls 20").play();
        assert_eq!(played.log, [format!("0 start 0 {address}"), "60 connected 0".to_owned()]);
        let candidate = &played.report().candidates[0];
        assert_eq!((candidate.tls(), candidate.origin()), (TlsMode::StartTls, Origin::Address));
    }
}

// spec A4, D5
#[test]
fn an_address_literal_has_the_limits_of_any_other_attempt() {
    let played = World::new("192.0.2.1").peer("192.0.2.1:5222", "tcp 20").play();
    assert_eq!(played.log, ["0 start 0 192.0.2.1:5222", "10020 close 0", "10020 failed Attempts"]);
}

// spec A7
#[test]
fn localhost_is_the_loopback_addresses_without_any_question() {
    for domain in ["localhost", "chat.localhost"] {
        let played = World::new(domain).peer("127.0.0.1:5222", "tcp 1, starttls 1, tls 1").play();
        assert_eq!(
            played.log,
            ["0 start 0 [::1]:5222", "250 start 1 127.0.0.1:5222", "253 connected 1"],
            "{domain}"
        );
    }
}

// spec A7
#[test]
fn localhost_as_a_target_and_as_a_named_host_is_the_loopback_addresses() {
    let played = World::example().xmpps(10, "5 0 443 xmpp.localhost").play();
    assert_eq!(played.questions().len(), 1);
    assert_eq!(played.dialled()[..2], ["10 start 0 [::1]:443", "260 start 1 127.0.0.1:443"]);
    let played = explicit("localhost").play();
    assert_eq!(played.log[..2], ["0 start 0 [::1]:5299", "250 start 1 127.0.0.1:5299"]);
}

fn explicit(host: &str) -> World {
    let host = Host::parse(host).unwrap();
    World::example()
        .with(|world| world.route = Route::Explicit(Server { host, port: 5299, tls: TlsMode::Direct }))
}

fn other_host(host: &str) -> World {
    let host = Host::parse(host).unwrap();
    World::example().with(|world| world.route = Route::OtherHost(host))
}

// spec A7
#[test]
fn onion_and_invalid_as_domain_or_named_host_are_errors_without_any_question() {
    for name in ["abc.onion", "abc.invalid"] {
        for world in [World::new(name), explicit(name), other_host(name)] {
            let played = world.play();
            assert_eq!(played.log, ["0 failed InvalidDomain"], "{name}");
            let message = played.error().to_string();
            assert!(message.starts_with(name), "{message}");
            assert_eq!(message.contains("Connector::secure"), name.ends_with("onion"), "{message}");
        }
    }
}

// spec A7, B10
#[test]
fn onion_and_invalid_as_a_target_never_reach_the_dns_and_the_next_candidate_is_tried() {
    for name in ["abc.onion", "abc.invalid"] {
        let world =
            World::example().xmpps(10, &format!("1 0 5223 {name}, 2 0 5223 a.test + {name} 192.0.2.66"));
        let log = world.play().log.join(" ");
        assert!(!log.contains(name) && !log.contains("192.0.2.66"), "{log}");
        let world = World::example().xmpps(10, &format!("1 0 5223 {name}, 2 0 5223 a.test"));
        let played = world.dns("a.test A", 10, "192.0.2.1").peer("192.0.2.1:5223", "tcp 1, tls 1").play();
        assert!(!played.log.join(" ").contains(name));
        assert_eq!(played.dialled(), ["20 start 0 192.0.2.1:5223", "22 connected 0"]);
        assert!(
            played.report().notes.iter().any(|note| note.starts_with(name)),
            "{:?}",
            played.report().notes
        );
        // Alone, it is the reason.
        let played = World::example().xmpps(10, &format!("1 0 5223 {name}")).play();
        assert_eq!(played.dialled(), ["10 failed Attempts"]);
        let message = played.error().to_string();
        assert_eq!(message.contains("Connector::secure"), name.ends_with("onion"), "{message}");
    }
}

// spec A7, D2
#[test]
fn groups_without_addresses_are_passed_over_at_once_up_to_a_target_that_never_reaches_the_dns() {
    let played = World::example().xmpps(10, "1 0 1 a.test, 2 0 2 b.test, 3 0 3 abc.onion").play();
    assert_eq!(played.dialled(), ["20 failed Attempts"]);
    let played = World::example().xmpps(10, "1 0 1 a.test, 2 0 2 b.test, 3 0 3 localhost").play();
    assert_eq!(played.dialled()[0], "20 start 0 [::1]:3");
}

/// Whether the error says that multicast DNS is not done.
fn names_multicast_dns(played: &Played) -> bool {
    played.error().to_string().contains("multicast DNS")
}

// spec A7
#[test]
fn local_names_are_looked_up_and_the_error_says_that_multicast_dns_is_not_done() {
    let played = World::new("chat.local").dns("chat.local A", 10, "192.0.2.1").play();
    assert_eq!(played.dialled()[0], "10 start 0 192.0.2.1:5222");
    for reply in ["nxdomain", "none", "failed"] {
        let world = World::new("chat.local").dns("chat.local A", 10, reply).dns("chat.local AAAA", 10, reply);
        assert!(names_multicast_dns(&world.play()), "{reply}");
        let world = World::example().xmpps(10, "1 0 5223 chat.local");
        let world = world.dns("chat.local A", 10, reply).dns("chat.local AAAA", 10, reply);
        assert!(names_multicast_dns(&world.play()), "{reply}");
        let world = explicit("chat.local").dns("chat.local A", 10, reply).dns("chat.local AAAA", 10, reply);
        assert!(names_multicast_dns(&world.play()), "{reply}");
    }
    assert!(!names_multicast_dns(&World::example().play()));
}

// spec B11
#[test]
fn a_named_candidate_is_looked_up_and_dialled_instead_of_srv() {
    let world = explicit("a.test").dns("a.test AAAA", 10, "2001:db8::a").policy(Policy::StartTlsOnly);
    let played = world.peer("[2001:db8::a]:5299", "tcp 20, tls 20").play();
    let expected = ["0 ask a.test AAAA, a.test A", "10 start 0 [2001:db8::a]:5299", "50 connected 0"];
    assert_eq!(played.log, expected);
    let report = played.report();
    assert_eq!((report.domain.as_ascii(), report.candidates[0].origin()), ("example.org", Origin::Explicit));
}

// spec A4, B4, B11
#[test]
fn a_named_address_literal_needs_no_question_and_works_under_direct_tls_only() {
    let played =
        explicit("192.0.2.9").policy(Policy::DirectOnly).peer("192.0.2.9:5299", "tcp 20, tls 20").play();
    assert_eq!(played.log, ["0 start 0 192.0.2.9:5299", "40 connected 0"]);
}

// spec B11
#[test]
fn another_host_without_a_port_is_discovered_under_the_name_of_the_domain() {
    let world = other_host("other.test").dns("_xmpps-client._tcp.other.test SRV", 10, "5 0 5223 a.test");
    let played =
        world.dns("a.test AAAA", 10, "2001:db8::a").peer("[2001:db8::a]:5223", "tcp 5, tls 5").play();
    let expected = "0 ask _xmpps-client._tcp.other.test SRV, _xmpp-client._tcp.other.test SRV, other.test AAAA, other.test A";
    assert_eq!(played.log[0], expected);
    assert_eq!(played.dialled(), ["20 start 0 [2001:db8::a]:5223", "30 connected 0"]);
    assert_eq!(played.report().domain.as_ascii(), "example.org");
    // Its fallback is its own.
    let played = other_host("other.test").dns("other.test A", 10, "192.0.2.1").play();
    assert_eq!(played.dialled()[0], "10 start 0 192.0.2.1:5222");
    let played = other_host("192.0.2.7").play();
    assert_eq!(played.log[0], "0 start 0 192.0.2.7:5222");
}

// spec A7, B12
#[test]
fn a_given_stream_is_one_attempt_without_any_question_whatever_the_domain() {
    for (domain, peer) in
        [("example.org", "192.0.2.1:1080"), ("abc.onion", "[::1]:9050"), ("192.0.2.5", "[::1]:1")]
    {
        let route = Route::Connected { peer: peer.parse().unwrap(), tls: TlsMode::StartTls };
        let world = World::new(domain).with(|world| world.route = route);
        let played = world.peer(peer, "tcp now, starttls 20, tls 20").play();
        assert_eq!(played.log, [format!("0 start 0 {peer}"), "40 connected 0".to_owned()]);
        assert!(matches!(played.outcome, Outcome::Connected(..)));
    }
}

// spec B12
#[test]
fn the_report_keeps_the_scope_of_a_link_local_peer() {
    let peer = "[fe80::1%7]:5222".parse().unwrap();
    let route = Route::Connected { peer, tls: TlsMode::Direct };
    let world = World::example().with(|world| world.route = route);
    let played = world.peer("[fe80::1]:5222", "tcp now, tls 20").play();
    assert_eq!(played.report().attempts[0].address, peer);
}

// spec B12, D5
#[test]
fn a_given_stream_has_the_same_limits() {
    let route = Route::Connected { peer: "192.0.2.1:1080".parse().unwrap(), tls: TlsMode::Direct };
    let played = World::example().with(|world| world.route = route).peer("192.0.2.1:1080", "tcp now").play();
    assert_eq!(played.log, ["0 start 0 192.0.2.1:1080", "10000 close 0", "10000 failed Attempts"]);
    assert_eq!(played.kind(), ErrorKind::Attempts);
    assert!(played.error().to_string().contains("on the given stream"), "{}", played.error());
}

// spec D11
#[test]
fn an_address_of_a_family_that_is_not_used_is_refused_before_anything_is_tried() {
    for (host, family) in [("192.0.2.1", AddressFamily::Ipv6Only), ("2001:db8::1", AddressFamily::Ipv4Only)] {
        let named = World::explicit(TlsMode::Direct, 5223).with(|world| {
            world.settings.family = family;
            world.route = Route::Explicit(Server {
                host: Host::parse(host).unwrap(),
                port: 5223,
                tls: TlsMode::Direct,
            });
        });
        let literal = World::new(host).with(|world| world.settings.family = family);
        for played in [named.play(), literal.play()] {
            assert_eq!(played.log, ["0 failed Configuration"]);
            assert!(played.error().to_string().contains(host));
        }
    }
}
