//! Tests of time limits over real sockets: silence and dripping bytes end at the limit of each stage, and of the connect.
//!
//! Lower limits are exact, upper ones have room for a slow machine.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: it reads the clock, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[cfg(target_os = "linux")]
mod measured;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use xmpp_connect::report::{LookupResult, Report, Stage};
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Error, ErrorKind, Target, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, builder, chain, failures, one_by_one, outcomes, owner, talk, zone};
use support::{
    Authority, Behaviour, DnsServer, Latch, OverTcp, Rtype, Script, Stage as At, Step, XmppServer, Zone,
};

/// The limit of a whole connect, in tests that reach it.
const LIMIT: Duration = Duration::from_millis(700);
/// How much later a connect may return on a slow machine. The rule says 100 ms.
const ROOM: Duration = Duration::from_secs(2);
/// The pause between two bytes: every message takes longer than the limit, while no pause comes near it.
const PACE: Duration = Duration::from_millis(30);

/// An option that is a time.
type TimeOption = fn(ConnectorBuilder, Duration) -> ConnectorBuilder;

/// Asserts that a connect ends at its limit, not before it and not much later.
#[track_caller]
fn assert_timed_out(case: &str, connect: impl FnOnce() -> Result<Connection, Error>) -> Error {
    let started = Instant::now();
    let error = connect().unwrap_err();
    let took = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{case}: {}", chain(&error));
    assert!(took >= LIMIT && took < LIMIT + ROOM, "{case}: {took:?}");
    assert!(error.to_string().contains("no connection to example.org within 0.7 s"), "{case}: {error}");
    assert!(error.report().unwrap().elapsed() >= LIMIT, "{case}");
    assert!(!error.is_permanent());
    error
}

/// The scripts of servers that never finish a stage, and the stage.
fn stuck(authority: &Authority) -> Vec<(&'static str, TlsMode, Script, Stage)> {
    let config = authority.server(&[DOMAIN]);
    let direct = || Script::direct(config.clone());
    let starttls = || Script::starttls(config.clone());
    let drip = [Step::Drip(PACE)];
    let white_space = Script::silent().then(Step::Drip(PACE)).then(Step::SendForEver(b" ".to_vec()));
    vec![
        ("silence before ServerHello", TlsMode::Direct, direct().until(At::Tls), Stage::Tls),
        ("half a ServerHello", TlsMode::Direct, direct().before(At::Tls, &[Step::Allow(40)]), Stage::Tls),
        ("half a certificate", TlsMode::Direct, direct().before(At::Tls, &[Step::Allow(400)]), Stage::Tls),
        ("dripping TLS", TlsMode::Direct, direct().before(At::Tls, &drip), Stage::Tls),
        ("silence before the header", TlsMode::StartTls, starttls().until(At::Header), Stage::StartTls),
        ("silence after the header", TlsMode::StartTls, starttls().until(At::Features), Stage::StartTls),
        ("silence after the features", TlsMode::StartTls, starttls().until(At::Proceed), Stage::StartTls),
        ("dripping header", TlsMode::StartTls, starttls().before(At::Header, &drip), Stage::StartTls),
        ("dripping features", TlsMode::StartTls, starttls().before(At::Features, &drip), Stage::StartTls),
        ("dripping white space", TlsMode::StartTls, white_space, Stage::StartTls),
        ("silence after <proceed/>", TlsMode::StartTls, starttls().until(At::Tls), Stage::Tls),
        ("TLS dripping after <proceed/>", TlsMode::StartTls, starttls().before(At::Tls, &drip), Stage::Tls),
    ]
}

// rule D5
#[test]
fn silence_and_dripping_at_any_stage_end_at_the_total_limit() {
    let authority = Authority::new();
    std::thread::scope(|scope| {
        for (case, tls, script, stage) in stuck(&authority) {
            let authority = &authority;
            scope.spawn(move || {
                let server = XmppServer::start(script);
                let dns = DnsServer::start(zone(&[(owner(tls), 0, server.addr())]));
                let connector = builder(authority, &dns).timeout(LIMIT).build().unwrap();
                let error = assert_timed_out(case, || connector.connect(DOMAIN));
                let [attempt] = error.report().unwrap().attempts() else { panic!("{case}: {error:?}") };
                let outcome = attempt.outcome.to_string();
                assert_eq!((attempt.stage, outcome.as_str()), (stage, "abandoned"), "{case}");
                assert!(error.to_string().contains(&format!("got as far as {stage}")), "{case}: {error}");
                assert!(server.wait_end(0).end.unwrap().by_client(), "{case}");
            });
        }
    });
}

// rule D5, D1
#[test]
fn silence_and_dripping_at_any_stage_end_at_the_limit_of_the_stage_and_the_next_is_tried() {
    let authority = Authority::new();
    let good = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let limit = Duration::from_secs(1);
    std::thread::scope(|scope| {
        for (case, tls, script, stage) in stuck(&authority) {
            let (authority, good) = (&authority, &good);
            scope.spawn(move || {
                let bad = XmppServer::start(script);
                let dns = DnsServer::start(zone(&[(owner(tls), 0, bad.addr()), (XMPPS, 1, good.addr())]));
                let options = one_by_one(builder(authority, &dns)).handshake_timeout(limit);
                let connected = options.build().unwrap().connect(DOMAIN);
                // The good server has the same limit, which a very slow machine may reach; that does not matter here.
                let report = match &connected {
                    Ok(connection) => connection.report(),
                    Err(error) => error.report().unwrap(),
                };
                let [first, second] = report.attempts() else { panic!("{case}: {report}") };
                let why = first.error().unwrap().to_string();
                assert!(why.starts_with(&format!("{stage} did not finish within 1 s")), "{case}: {why}");
                // What the negotiation was waiting for is in the error too.
                assert_eq!(why.contains(" received"), stage == Stage::StartTls, "{case}: {why}");
                let began = first.completed.last().unwrap().1;
                assert!(
                    first.ended >= began + limit && first.ended < began + limit + ROOM,
                    "{case}: {report}"
                );
                assert!(
                    second.started >= first.ended && second.destination == good.addr(),
                    "{case}: {report}"
                );
                assert!(bad.wait_end(0).end.unwrap().by_client(), "{case}");
            });
        }
    });
}

// rule D5, D7
#[test]
fn the_total_limit_wins_over_the_list() {
    let authority = Authority::new();
    let stuck =
        stuck(&authority).into_iter().map(|(_, tls, script, _)| (owner(tls), XmppServer::start(script)));
    let stuck: Vec<_> = stuck.collect();
    let records: Vec<_> = stuck.iter().map(|(owner, server)| (*owner, 0, server.addr())).collect();
    let dns = DnsServer::start(zone(&records));
    let quick = builder(&authority, &dns).attempt_delay(Duration::from_millis(20));
    let connector = quick.timeout(LIMIT).build().unwrap();
    let error = assert_timed_out("all of them", || connector.connect(DOMAIN));
    let report = error.report().unwrap();
    assert_eq!(report.candidates().len(), stuck.len());
    assert!(report.attempts().len() > 1, "{report}");
}

// rule D5, B12
#[test]
fn a_given_stream_has_the_same_limits() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    for (case, tls, script, stage) in stuck(&authority).into_iter().step_by(3) {
        let server = XmppServer::start(script);
        let tcp = std::net::TcpStream::connect(server.addr()).unwrap();
        let connector = builder(&authority, &dns).timeout(LIMIT).build().unwrap();
        let error = assert_timed_out(case, || connector.secure(DOMAIN, tcp, tls));
        assert_eq!(error.report().unwrap().attempts()[0].stage, stage, "{case}");
        assert!(server.wait_end(0).end.unwrap().by_client(), "{case}");
    }
}

// rule D5
#[test]
#[cfg(target_os = "linux")]
fn a_black_hole_ends_at_the_total_limit_or_at_that_of_tcp() {
    let authority = Authority::new();
    let hole = support::BlackHole::new();
    let dns = DnsServer::start(zone(&[(XMPP, 0, hole.addr())]));
    let connector = builder(&authority, &dns).timeout(LIMIT).build().unwrap();
    let error = assert_timed_out("black hole", || connector.connect(DOMAIN));
    assert_eq!(error.report().unwrap().attempts()[0].stage, Stage::Tcp);
    assert_eq!(hole.connecting(), 0);

    let good = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPP, 0, hole.addr()), (XMPPS, 1, good.addr())]));
    let limit = Duration::from_millis(200);
    let connector = one_by_one(builder(&authority, &dns)).tcp_timeout(limit).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let told = failures(connection.report());
    assert_eq!(told, [(Stage::Tcp, "TCP did not finish within 0.2 s".to_owned())]);
    let [first, second] = connection.report().attempts() else { panic!("{}", connection.report()) };
    assert!(first.ended >= first.started + limit && second.started >= first.ended);
    assert_eq!(hole.connecting(), 0);
}

// rule D5, B7
#[test]
fn a_silent_or_dripping_dns_ends_at_the_total_limit_or_at_that_of_a_lookup() {
    let authority = Authority::new();
    let dripping = Behaviour::Truncated(OverTcp::ByteByByte(PACE));
    for (case, behaviour) in [("silence", Behaviour::Silence), ("dripping over TCP", dripping)] {
        let dns = DnsServer::start(Zone::new().on_everything(behaviour));
        let connector = builder(&authority, &dns).timeout(LIMIT).build().unwrap();
        let error = assert_timed_out(case, || connector.connect(DOMAIN));
        assert!(error.to_string().contains("no response from DNS"), "{error}");
        let lookups = error.report().unwrap().lookups();
        assert!(lookups.len() == 4 && lookups.iter().all(|lookup| lookup.result == LookupResult::Abandoned));

        let started = Instant::now();
        let connector = builder(&authority, &dns).lookup_timeout(LIMIT).build().unwrap();
        let error = connector.connect(DOMAIN).unwrap_err();
        let took = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
        assert!(error.to_string().contains("no answer within 0.7 s"), "{error}");
        assert!(took >= LIMIT && took < LIMIT + ROOM, "{case}: {took:?}");
    }
}

// rule D5
#[test]
fn a_nanosecond_is_a_limit_and_so_is_none() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    let nanosecond = Duration::from_nanos(1);
    let connector = builder(&authority, &dns).timeout(nanosecond).build().unwrap();
    for error in [
        connector.connect(DOMAIN).unwrap_err(),
        connector.connect("127.0.0.1").unwrap_err(),
        connector.discover(DOMAIN).map(drop).unwrap_err(),
        connector
            .connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), TlsMode::StartTls).unwrap())
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    let options: [TimeOption; 3] = [
        ConnectorBuilder::lookup_timeout,
        ConnectorBuilder::tcp_timeout,
        ConnectorBuilder::handshake_timeout,
    ];
    for option in options {
        let connector = option(builder(&authority, &dns), nanosecond).build().unwrap();
        // An immediate answer is in time.
        if let Err(error) = connector.connect(DOMAIN) {
            assert!(matches!(error.kind(), ErrorKind::Attempts | ErrorKind::Lookup), "{error}");
        }
    }

    let unlimited = options
        .iter()
        .fold(one_by_one(builder(&authority, &dns)), |builder, option| option(builder, Duration::MAX));
    let mut connection = unlimited.timeout(Duration::MAX).build().unwrap().connect(DOMAIN).unwrap();
    talk(&mut connection);
}

// rule D5
#[test]
fn zero_is_refused_when_building() {
    let options: [(&str, TimeOption); 7] = [
        ("timeout", ConnectorBuilder::timeout),
        ("lookup_timeout", ConnectorBuilder::lookup_timeout),
        ("tcp_timeout", ConnectorBuilder::tcp_timeout),
        ("handshake_timeout", ConnectorBuilder::handshake_timeout),
        ("attempt_delay", ConnectorBuilder::attempt_delay),
        ("priority_delay", ConnectorBuilder::priority_delay),
        ("keep_alive", ConnectorBuilder::keep_alive),
    ];
    for (name, option) in options {
        let root = Authority::new().root_der();
        let error = option(Connector::builder().only_roots([root]), Duration::ZERO).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(&format!("{name} is zero")), "{error}");
        assert!(error.is_permanent());
    }
}

/// The result of the lookup of `owner`.
fn lookup_of<'a>(report: &'a Report, name: &str) -> &'a LookupResult {
    &report.lookups().iter().find(|lookup| lookup.question.name() == name).unwrap().result
}

// rule B3a
#[test]
fn records_of_one_kind_wait_a_second_and_a_half_for_the_other() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let zone = zone(&[(XMPP, 0, server.addr())]).on(XMPPS, Rtype::SRV, Behaviour::Silence);
    let dns = DnsServer::start(zone);
    let connector = builder(&authority, &dns).lookup_timeout(Duration::MAX).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let report = connection.report();
    assert!(report.attempts()[0].started >= Duration::from_millis(1500), "{report}");
    assert_eq!(lookup_of(report, XMPPS), &LookupResult::Abandoned);
}

// rule B3a, C1
#[test]
fn an_answer_that_comes_after_that_joins_at_its_place() {
    let authority = Authority::new();
    let silent = XmppServer::start(Script::silent());
    let direct = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let starttls = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let late = Latch::new();
    let records = [(XMPP, 5, silent.addr()), (XMPPS, 6, direct.addr()), (XMPP, 7, starttls.addr())];
    let dns = DnsServer::start(zone(&records).on(XMPPS, Rtype::SRV, Behaviour::Answer.held(&late)));
    let connection = std::thread::scope(|scope| {
        scope.spawn(|| {
            silent.wait_accepted(1);
            late.open();
        });
        // The answer has the time of the priority delay to come before the last candidate would start.
        let delay = Duration::from_secs(3);
        builder(&authority, &dns).priority_delay(delay).build().unwrap().connect(DOMAIN).unwrap()
    });
    let expected = [(silent.port(), "abandoned".to_owned()), (direct.port(), "connected".to_owned())];
    assert_eq!(outcomes(connection.report()), expected, "{}", connection.report());
    assert_eq!(connection.report().candidates().len(), 3);
}

// rule B3a
#[test]
fn an_answer_without_records_waits_for_the_other_to_its_limit() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let late = Duration::from_secs(2);
    for other in [Zone::new(), Zone::new().srv(XMPP, 0, 0, 0, ".")] {
        let zone = other
            .srv(XMPPS, 0, 5, server.port(), "host.example.org")
            .address("host.example.org", "127.0.0.1")
            .on(XMPPS, Rtype::SRV, Behaviour::Answer.late(late));
        let dns = DnsServer::start(zone);
        let connection = builder(&authority, &dns).build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), server.addr());
        assert!(connection.report().attempts()[0].started >= late);
    }
}

// rule D4
#[test]
fn ipv4_addresses_wait_50_ms_for_those_of_ipv6_and_no_longer() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let zone = zone(&[(XMPPS, 0, server.addr())]);
    let dns = DnsServer::start(zone.on("host0.example.org", Rtype::AAAA, Behaviour::Silence));
    let connector = builder(&authority, &dns).lookup_timeout(Duration::MAX).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let report = connection.report();
    let of_target =
        |lookup: &&xmpp_connect::report::LookupReport| lookup.question.name() == "host0.example.org";
    let answered: Vec<_> =
        report.lookups().iter().filter(of_target).filter_map(|lookup| lookup.answered).collect();
    let [ipv4] = *answered else { panic!("{report}") };
    assert!(report.attempts()[0].started >= ipv4 + Duration::from_millis(50), "{report}");
}
