//! Measures how late a connect returns after its limit, which needs a release build and an idle machine.
//!
//! `cargo test --release --test deadlines -- --ignored --nocapture --test-threads=1 measured`

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use xmpp_connect::{ErrorKind, TlsMode};

use crate::given::{DOMAIN, builder, owner, zone};
use crate::support::{
    Authority, Behaviour, BlackHole, DnsServer, Identity, Latch, Rtype, Script, ServerTls, Stage as At, Step,
    XmppServer,
};

/// "`connect` returns at most 100 ms after the total limit" (rule D5).
const LATE: Duration = Duration::from_millis(100);
/// The most that a negotiation reads.
const LONGEST: usize = 64 * 1024;
/// A server's stream header, and the beginning of its features.
const BEGINNING: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
    version='1.0'><stream:features>";

// rule D5
#[test]
#[ignore = "prints figures, and needs a release build"]
fn connect_returns_within_100_ms_after_its_limit() {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let drip = [Step::Drip(Duration::from_millis(1))];
    let direct = || Script::direct(config.clone());
    let starttls = || Script::starttls(config.clone());
    let white_space = Script::silent().then(drip[0].clone()).then(Step::SendForEver(b" ".to_vec()));
    for (case, tls, script) in [
        ("silence before the stream header", TlsMode::StartTls, starttls().until(At::Header)),
        ("silence before <proceed/>", TlsMode::StartTls, starttls().until(At::Proceed)),
        ("dripping header", TlsMode::StartTls, starttls().before(At::Header, &drip)),
        ("dripping white space", TlsMode::StartTls, white_space),
        ("silence in TLS", TlsMode::Direct, direct().until(At::Tls)),
        ("dripping TLS", TlsMode::Direct, direct().before(At::Tls, &drip)),
    ] {
        let server = XmppServer::start(script);
        let dns = DnsServer::start(zone(&[(owner(tls), 0, server.addr())]));
        measure(case, &authority, &dns);
    }
    let nobody = BlackHole::new();
    measure("silent TCP", &authority, &DnsServer::start(zone(&[(owner(TlsMode::Direct), 0, nobody.addr())])));
    let mut silent = zone(&[]);
    for tls in [TlsMode::Direct, TlsMode::StartTls] {
        silent = silent.on(owner(tls), Rtype::SRV, Behaviour::Silence);
    }
    for kind in [Rtype::A, Rtype::AAAA] {
        silent = silent.on(DOMAIN, kind, Behaviour::Silence);
    }
    measure("silent DNS", &authority, &DnsServer::start(silent));
}

/// Prints how late the latest of many connects returns, and asserts that it is not too late.
fn measure(case: &str, authority: &Authority, dns: &DnsServer) {
    let limit = Duration::from_millis(50);
    let connector = builder(authority, dns).timeout(limit).build().unwrap();
    let late = |_| {
        let started = Instant::now();
        let error = connector.connect(DOMAIN).unwrap_err();
        let took = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{case}: {error}");
        took.saturating_sub(limit)
    };
    let latest = (0..100).map(late).max().unwrap();
    println!("{case}: the latest of 100 returned {latest:.1?} after its limit");
    assert!(latest <= LATE, "{case}: {latest:?}");
}

// rule D5, F4
#[test]
#[ignore = "prints figures, and needs a release build"]
fn eight_hostile_peers_at_once_do_not_hold_a_connect_beyond_its_limit() {
    let limit = Duration::from_secs(1);
    for (case, tls, step) in expensive() {
        for opened_after in [Duration::ZERO, Duration::from_millis(900), Duration::from_millis(980)] {
            let authority = Authority::new();
            let latch = Latch::new();
            let await_client = match tls {
                TlsMode::StartTls => Script::silent().then(Step::AwaitHeader),
                _ => Script::silent(),
            };
            let script = await_client.then(Step::Wait(latch.clone())).then(step.clone());
            let peers: Vec<_> = (0..8).map(|_| XmppServer::start(script.clone())).collect();
            let records: Vec<_> = peers.iter().map(|peer| (owner(tls), 0, peer.addr())).collect();
            let dns = DnsServer::start(zone(&records));
            let options = builder(&authority, &dns).attempt_delay(Duration::from_millis(10));
            let connector = options.timeout(limit).build().unwrap();
            let started = Instant::now();
            let (error, took) = std::thread::scope(|scope| {
                scope.spawn(|| {
                    peers.iter().for_each(|peer| peer.wait_accepted(1));
                    std::thread::sleep(opened_after.saturating_sub(started.elapsed()));
                    latch.open();
                });
                let error = connector.connect(DOMAIN).unwrap_err();
                (error, started.elapsed())
            });
            assert_eq!(error.report().unwrap().attempts().len(), 8, "{error}");
            let late = took.saturating_sub(limit);
            println!("{case}, sent after {opened_after:?}: returned {late:.1?} after its limit");
            assert!(late <= LATE, "{case}: {late:?}");
        }
    }
}

/// The most expensive things to read.
fn expensive() -> Vec<(&'static str, TlsMode, Step)> {
    let nested = |declarations: usize| {
        let level: String = (0..declarations).map(|number| format!(" xmlns:a{number}='b'")).collect();
        BEGINNING.to_owned() + &format!("<x{level}>").repeat(29)
    };
    // A handshake message of 65,535 bytes, one byte a record.
    let record = |byte: u8| [22, 3, 3, 0, 1, byte];
    let records: Vec<u8> = [2, 0, 255, 255].into_iter().chain([0; 10_000]).flat_map(record).collect();
    vec![
        (
            "prefixes among 2,300 declarations",
            TlsMode::StartTls,
            Step::Send(filled(nested(80), "<stream:x/>")),
        ),
        (
            "prefixes among 290 declarations",
            TlsMode::StartTls,
            Step::Send(filled(nested(10), "<stream:x stream:a=''/>")),
        ),
        ("small elements", TlsMode::StartTls, Step::Send(filled(BEGINNING.to_owned(), "<x/>"))),
        ("references", TlsMode::StartTls, Step::Send(filled(BEGINNING.to_owned(), "<x a='&lt;'/>"))),
        ("TLS records of one byte", TlsMode::Direct, Step::Send(records)),
        ("certificates of one subject", TlsMode::Direct, Step::Secure(ServerTls::new(many_paths()).config())),
    ]
}

/// A certificate, and twelve of the issuer's name that could each be next to any other in the chain.
fn many_paths() -> Identity {
    let mut issuer = CertificateParams::default();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuers: Vec<_> = (0..12)
        .map(|_| CertifiedIssuer::self_signed(issuer.clone(), KeyPair::generate().unwrap()).unwrap())
        .collect();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec![DOMAIN.to_owned()]).unwrap();
    let certificate = names.signed_by(&key, issuers.last().unwrap()).unwrap();
    let issuers = issuers.iter().map(|issuer| issuer.der().clone());
    Identity {
        chain: [certificate.der().clone()].into_iter().chain(issuers).collect(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    }
}

/// At most 64 KiB: more ends the attempt.
fn filled(mut bytes: String, unit: &str) -> Vec<u8> {
    while bytes.len() + unit.len() <= LONGEST {
        bytes += unit;
    }
    bytes.into_bytes()
}
