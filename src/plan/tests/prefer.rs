//! A server that the caller prefers, before those that discovery finds.

use super::super::Route;
use super::super::simulation::World;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::service::TlsMode;
use crate::settings::{AddressFamily, Policy};
use crate::target::Server;

/// example.org with one STARTTLS server, `srv.test`; `first.test`, direct TLS on port 443, goes first.
fn world(first: &str) -> World {
    let host = Host::parse(first).unwrap();
    World::example()
        .with(|world| world.route = Route::Prefer(Server { host, port: 443, tls: TlsMode::Direct }))
        .xmpp(10, "5 0 5222 srv.test")
        .dns("first.test A", 10, "192.0.2.1")
        .dns("srv.test A", 10, "192.0.2.2")
        .peer("192.0.2.2:5222", "tcp 20, starttls 20, tls 20")
}

// spec B11
#[test]
fn the_preferred_server_is_dialled_while_discovery_goes_on() {
    let played = world("first.test").peer("192.0.2.1:443", "tcp 20, tls 20").play();
    assert_eq!(played.dialled(), ["10 start 0 192.0.2.1:443", "50 connected 0"]);
    assert_eq!(
        played.questions(),
        [
            "0 ask _xmpps-client._tcp.example.org SRV, _xmpp-client._tcp.example.org SRV, example.org AAAA, \
             example.org A, first.test AAAA, first.test A",
            "10 ask srv.test AAAA, srv.test A",
        ]
    );
    let candidates = ["first.test:443 direct TLS", "srv.test:5222 STARTTLS"];
    assert_eq!(played.candidates(), candidates);
}

// spec B11, D2
#[test]
fn the_others_start_when_it_fails_or_after_the_group_delay() {
    let played = world("first.test").peer("192.0.2.1:443", "refused 30").play();
    assert_eq!(
        played.dialled(),
        ["10 start 0 192.0.2.1:443", "40 start 1 192.0.2.2:5222", "100 connected 1"]
    );
    let played = world("first.test").play();
    let expected =
        ["10 start 0 192.0.2.1:443", "1010 start 1 192.0.2.2:5222", "1070 close 0", "1070 connected 1"];
    let logged = played.dialled();
    assert_eq!(logged.first(), expected.first());
    assert_eq!(logged.get(1), expected.get(1), "{logged:#?}");
}

// spec B11
#[test]
fn one_whose_lookup_is_slow_holds_nothing_up_longer_than_one_that_is_silent() {
    let played = world("slow.test").dns("slow.test A", 4000, "192.0.2.1").play();
    assert_eq!(played.dialled()[0], "1010 start 0 192.0.2.2:5222");
}

// spec B11, C1
#[test]
fn it_goes_first_under_every_policy_and_is_not_dialled_twice() {
    for policy in [Policy::AsPublished, Policy::PreferStartTls, Policy::StartTlsOnly] {
        let world = world("first.test").policy(policy).xmpp(10, "0 0 5222 srv.test");
        let played = world.peer("192.0.2.1:443", "refused 30").play();
        assert_eq!(played.dialled()[0], "10 start 0 192.0.2.1:443");
    }
    let world = world("first.test").xmpps(10, "1 0 443 First.Test.").peer("192.0.2.1:443", "refused 30");
    let played = world.play();
    assert_eq!(played.candidates(), ["first.test:443 direct TLS", "srv.test:5222 STARTTLS"]);
    assert_eq!(played.dialled().len(), 3, "{:?}", played.dialled());
}

// spec B11
#[test]
fn without_other_servers_the_error_says_so_after_the_preferred_one_has_failed() {
    for (answer, kind) in [("0 0 0 .", ErrorKind::NotOffered), ("none", ErrorKind::NoSuchDomain)] {
        let play = |steps: &str| {
            let host = Host::parse("192.0.2.1").unwrap();
            let route = Route::Prefer(Server { host, port: 443, tls: TlsMode::Direct });
            let world = World::example().with(|world| world.route = route).xmpps(10, answer).xmpp(10, answer);
            let world = world.dns("example.org A", 10, "nxdomain").dns("example.org AAAA", 10, "nxdomain");
            world.peer("192.0.2.1:443", steps).play()
        };
        assert_eq!(play("tcp 40, tls 40").dialled().last(), Some(&"80 connected 0"));
        let failed = play("refused 40");
        assert_eq!((failed.kind(), failed.report().attempts.len()), (kind, 1));
    }
}

// spec B11
#[test]
fn one_that_cannot_be_used_is_noted_and_the_connect_goes_on() {
    for host in ["2001:db8::1", "abc.onion"] {
        let world = world(host).with(|world| world.settings.family = AddressFamily::Ipv4Only);
        let played = world.play();
        assert_eq!(played.dialled()[0], "20 start 0 192.0.2.2:5222");
        let [note] = played.report().notes.as_slice() else { panic!("{:?}", played.report().notes) };
        assert!(note.starts_with(&format!("{host} is left out: ")), "{note}");
    }
}
