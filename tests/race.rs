//! Tests of the race over real sockets: what a dead, silent or refusing server costs, and that losers are closed.
//!
//! Lower limits are exact, and upper ones have room for a slow machine. What must not be the cause of a start is switched off
//! instead of timed: with an infinite priority delay only the attempt delay can start the next address, and the other way
//! round. The rest of the race is proved by the plays of the plan, to the millisecond.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: what cannot be set up fails its test"
)]

mod given;
mod support;

use std::time::Duration;

use xmpp_connect::report::{AttemptErrorKind, AttemptReport, Report, Stage};
use xmpp_connect::{Connection, Connector, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, builder, one_by_one, outcomes, owner, zone};
use support::{Authority, DelayProxy, DnsServer, Refused, Script, Step, XmppServer, Zone};

/// RFC 8305 section 5; the default.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// More than a slow machine needs, and less than any limit of a stage.
const ROOM: Duration = Duration::from_secs(5);
const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn script(authority: &Authority, tls: TlsMode) -> Script {
    let config = authority.server(&[DOMAIN]);
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

/// Asserts that `later` happened `delay` after `earlier`, not before it, and not much later.
#[track_caller]
fn assert_apart(earlier: Duration, later: Duration, delay: Duration) {
    let apart = later.checked_sub(earlier).unwrap_or_else(|| panic!("{later:?} is before {earlier:?}"));
    assert!(apart >= delay, "{apart:?} is less than {delay:?}");
    assert!(apart < delay + ROOM, "{apart:?} is much more than {delay:?}");
}

/// The two attempts of a report.
#[track_caller]
fn two(report: &Report) -> (&AttemptReport, &AttemptReport) {
    let [first, second] = report.attempts() else { panic!("{report}") };
    (first, second)
}

/// Connects until the draw among equals has put the server at `port` first.
fn connect_with_first(connector: &Connector, port: u16) -> Connection {
    let mut connections = (0..64).map(|_| connector.connect(DOMAIN).unwrap());
    connections.find(|connection| connection.report().candidates()[0].port() == port).unwrap()
}

#[cfg(target_os = "linux")]
mod black_holes {
    use super::*;
    use support::BlackHole;

    // rule D1
    #[test]
    fn a_black_hole_of_the_same_priority_costs_the_attempt_delay() {
        let authority = Authority::new();
        for tls in MODES {
            let hole = BlackHole::new();
            let server = XmppServer::start(script(&authority, tls));
            let dns = DnsServer::start(zone(&[(owner(tls), 0, hole.addr()), (owner(tls), 0, server.addr())]));
            let connector = builder(&authority, &dns).priority_delay(Duration::MAX).build().unwrap();
            let connection = connect_with_first(&connector, hole.addr().port());
            let (first, second) = two(connection.report());
            assert_apart(first.started, second.started, ATTEMPT_DELAY);
            assert_eq!((first.stage, second.destination.address()), (Stage::Tcp, Some(server.addr())));
            assert_eq!(first.outcome.to_string(), "abandoned");
            assert_eq!(hole.connecting(), 0);
        }
    }

    // rule D2
    #[test]
    fn a_black_hole_of_a_lower_priority_costs_one_second() {
        let authority = Authority::new();
        let hole = BlackHole::new();
        let server = XmppServer::start(script(&authority, TlsMode::Direct));
        let dns = DnsServer::start(zone(&[(XMPPS, 0, hole.addr()), (XMPPS, 1, server.addr())]));
        let connector = builder(&authority, &dns).attempt_delay(Duration::MAX).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        let (first, second) = two(connection.report());
        assert_apart(first.started, second.started, Duration::from_secs(1));
        assert_eq!((first.stage, second.destination.address()), (Stage::Tcp, Some(server.addr())));
        assert_eq!(hole.connecting(), 0);
    }

    // rule D1
    #[test]
    fn broken_ipv6_costs_the_attempt_delay() {
        if !given::has_ipv6() {
            return;
        }
        let authority = Authority::new();
        let hole = BlackHole::at("::1".parse().unwrap());
        let address = (std::net::Ipv4Addr::LOCALHOST, hole.addr().port()).into();
        let server = XmppServer::start_at(address, vec![script(&authority, TlsMode::Direct)]);
        let zone = Zone::new()
            .srv(XMPPS, 0, 1, server.port(), "host.example.org")
            .address("host.example.org", "127.0.0.1")
            .address("host.example.org", "::1");
        let dns = DnsServer::start(zone);
        let connector = builder(&authority, &dns).priority_delay(Duration::MAX).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        let (first, second) = two(connection.report());
        assert_apart(first.started, second.started, ATTEMPT_DELAY);
        assert_eq!(&first.destination, &hole.addr());
        assert_eq!(&second.destination, &server.addr());
        assert_eq!(hole.connecting(), 0);
    }
}

// rule D1, D2, D3
#[test]
fn a_refusal_starts_the_next_at_once_in_this_priority_and_the_next() {
    let authority = Authority::new();
    for priority in [0, 1] {
        let (refused, server) = (Refused::new(), XmppServer::start(script(&authority, TlsMode::Direct)));
        let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPPS, priority, server.addr())]));
        // No delay starts an attempt here, so the refusal did.
        let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
        let connection = connect_with_first(&connector, refused.addr().port());
        let (first, second) = two(connection.report());
        assert_eq!((first.stage, second.destination.address()), (Stage::Tcp, Some(server.addr())));
        assert!(
            matches!(first.error().unwrap().kind(), AttemptErrorKind::Io(_)) && second.started >= first.ended
        );
    }
}

// rule D3, D1
#[test]
fn a_server_that_accepts_and_says_nothing_costs_that_stage_and_one_delay() {
    let authority = Authority::new();
    for tls in MODES {
        let silent = XmppServer::start(Script::silent());
        let server = XmppServer::start(script(&authority, tls));
        let dns = DnsServer::start(zone(&[(owner(tls), 0, silent.addr()), (owner(tls), 0, server.addr())]));
        let connector = builder(&authority, &dns).priority_delay(Duration::MAX).build().unwrap();
        let connection = connect_with_first(&connector, silent.port());
        let (first, second) = two(connection.report());
        let [(Stage::Tcp, accepted)] = *first.completed else { panic!("{}", connection.report()) };
        assert_apart(accepted, second.started, ATTEMPT_DELAY);
        assert_eq!(first.stage, if tls == TlsMode::Direct { Stage::Tls } else { Stage::StartTls });
        assert_eq!(connection.peer_addr(), server.addr());
    }
}

// rule D1, D3
#[test]
fn a_failure_at_any_stage_starts_the_next_at_once() {
    let authority = Authority::new();
    let untrusted = Script::direct(Authority::new().server(&[DOMAIN]));
    let closes = Script::silent().then(Step::Close);
    let resets = script(&authority, TlsMode::StartTls).until(support::Stage::Proceed).then(Step::Reset);
    for (tls, bad) in [(TlsMode::Direct, untrusted), (TlsMode::Direct, closes), (TlsMode::StartTls, resets)] {
        let bad = XmppServer::start(bad);
        let server = XmppServer::start(script(&authority, TlsMode::Direct));
        let dns = DnsServer::start(zone(&[(owner(tls), 0, bad.addr()), (XMPPS, 1, server.addr())]));
        let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        let expected = [(bad.port(), "failed".to_owned()), (server.port(), "connected".to_owned())];
        assert_eq!(outcomes(connection.report()), expected, "{}", connection.report());
    }
}

// rule D1
#[test]
fn of_two_healthy_servers_on_a_long_path_one_alone_is_connected_to() {
    // On loopback TCP takes no time, and the proxy makes the next stage longer instead: at 200 ms round trip direct TLS is one
    // stage of 400 ms. So the delay is not the default here, which is for paths whose TCP takes as long as the rest.
    assert_one_is_opened(TlsMode::Direct, Duration::from_millis(100), Duration::from_secs(2));
    // STARTTLS is 1,000 ms, then TLS 500 ms: in all more than the delay, which each completed stage starts anew.
    assert_one_is_opened(TlsMode::StartTls, Duration::from_millis(250), Duration::from_millis(1_490));
}

#[track_caller]
fn assert_one_is_opened(tls: TlsMode, one_way: Duration, attempt_delay: Duration) {
    let authority = Authority::new();
    let servers = [(); 2].map(|()| XmppServer::start(script(&authority, tls)));
    let [one, two] = servers.each_ref().map(|server| DelayProxy::start(server.addr(), one_way));
    let dns = DnsServer::start(zone(&[(owner(tls), 0, one.addr()), (owner(tls), 0, two.addr())]));
    let connector = builder(&authority, &dns).attempt_delay(attempt_delay).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let report = connection.report();
    assert!(report.elapsed() >= one_way * 4, "{report}");
    assert_eq!((report.candidates().len(), report.attempts().len()), (2, 1), "{report}");
    assert_eq!(servers.iter().map(XmppServer::accepted).sum::<usize>(), 1);
}

// rule D3
#[test]
fn losers_are_closed() {
    let authority = Authority::new();
    let silent = [(); 3].map(|()| XmppServer::start(Script::silent()));
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let [one, two, three] = silent.each_ref().map(XmppServer::addr);
    let dns = DnsServer::start(zone(&[
        (XMPPS, 0, one),
        (XMPPS, 0, two),
        (XMPP, 0, three),
        (XMPPS, 1, server.addr()),
    ]));
    let delay = Duration::from_millis(10);
    let connector = builder(&authority, &dns).attempt_delay(delay).priority_delay(delay).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    assert_eq!(connection.report().attempts().len(), 4);
    for loser in &silent {
        assert!(loser.wait_end(0).end.unwrap().by_client());
        #[cfg(target_os = "linux")]
        assert_eq!(support::process::sockets_to(loser.addr()), 0);
    }
    assert_eq!(connection.peer_addr(), server.addr());
    #[cfg(target_os = "linux")]
    assert_eq!(support::process::sockets_to(server.addr()), 1);
}

// rule D3, D5
#[test]
fn after_an_error_everything_is_closed() {
    let authority = Authority::new();
    let silent = XmppServer::start(Script::silent());
    let stuck = XmppServer::start(script(&authority, TlsMode::StartTls).until(support::Stage::Tls));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, silent.addr()), (XMPP, 1, stuck.addr())]));
    let connector = builder(&authority, &dns)
        .priority_delay(Duration::from_millis(10))
        .timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    connector.connect(DOMAIN).unwrap_err();
    for server in [&silent, &stuck] {
        assert!(server.wait_end(0).end.unwrap().by_client());
        #[cfg(target_os = "linux")]
        assert_eq!(support::process::sockets_to(server.addr()), 0);
    }
}

// rule C2, C5, D1
#[test]
fn connects_spread_over_equals_by_weight() {
    let authority = Authority::new();
    let [light, heavy] = [(); 2].map(|()| XmppServer::start(script(&authority, TlsMode::Direct)));
    let zone = Zone::new()
        .srv(XMPPS, 0, 1, light.port(), "host.example.org")
        .srv(XMPPS, 0, 4, heavy.port(), "host.example.org")
        .address("host.example.org", "127.0.0.1");
    let dns = DnsServer::start(zone);
    let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
    for _ in 0..200 {
        connector.connect(DOMAIN).unwrap();
    }
    // 40 of 200 on average; seven standard deviations are 40.
    assert_eq!(light.accepted() + heavy.accepted(), 200);
    assert!((5..=80).contains(&light.accepted()), "{}", light.accepted());
}
