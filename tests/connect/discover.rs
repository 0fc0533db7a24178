//! Tests of discovery without connecting: the candidates in order, as values and as a table.

use xmpp_connect::{ErrorKind, Origin, Policy, TlsMode};

use crate::given::{self, DOMAIN, XMPP, XMPPS, builder, connector};
use crate::support::{Authority, DnsServer, Script, XmppServer, Zone};

fn four(port: u16) -> Zone {
    Zone::new()
        .srv(XMPP, 20, 7, port, "late.example.org")
        .srv(XMPPS, 10, 0, port, "direct.example.org")
        .srv(XMPP, 5, 65_535, port, "First.Example.org")
        .srv(XMPPS, 20_000, 1, port, "last.example.org")
        .address("first.example.org", "127.0.0.1")
}

// rule B3, B4, C1
#[test]
fn the_order_is_that_of_a_connect_under_each_policy() {
    let authority = Authority::new();
    let dns = DnsServer::start(four(5));
    for (policy, expected) in [
        (Policy::AsPublished, "first direct late last"),
        (Policy::PreferDirect, "direct last first late"),
        (Policy::PreferStartTls, "first late direct last"),
        (Policy::DirectOnly, "direct last"),
        (Policy::StartTlsOnly, "first late"),
    ] {
        let discovery = builder(&authority, &dns).policy(policy).build().unwrap().discover(DOMAIN).unwrap();
        let targets = discovery.candidates().iter().map(|candidate| candidate.host().to_string());
        let targets = targets.map(|target| target.replace(".example.org", "")).collect::<Vec<_>>();
        assert_eq!(targets.join(" "), expected, "{policy:?}");
        assert!(discovery.candidates().iter().all(|candidate| candidate.origin() == Origin::Srv));
    }
}

// rule B3
#[test]
fn nothing_is_dialled_and_no_address_is_asked_for() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(four(server.port()));
    let connector = connector(&authority, &dns);
    let discovery = connector.discover(DOMAIN).unwrap();
    assert_eq!(discovery.report().lookups().len(), 2);
    assert!(discovery.report().attempts().is_empty());
    let mut questions = dns.questions();
    questions.sort_unstable();
    assert_eq!(questions, [format!("{XMPP} SRV"), format!("{XMPPS} SRV")]);
    assert_eq!(server.accepted(), 0);
    // It could have been dialled.
    assert_eq!(connector.connect(DOMAIN).unwrap().peer_addr(), server.addr());
}

// rule B3
#[test]
fn the_table_has_a_line_for_each_candidate() {
    let authority = Authority::new();
    let dns = DnsServer::start(four(5222));
    let table = connector(&authority, &dns).discover(DOMAIN).unwrap().to_string();
    let expected = "\
TLS         priority  weight   port  target
STARTTLS           5   65535   5222  first.example.org (srv)
direct TLS        10       0   5222  direct.example.org (srv)
STARTTLS          20       7   5222  late.example.org (srv)
direct TLS     20000       1   5222  last.example.org (srv)
";
    assert_eq!(table, expected);
}

// rule B5, A4, A7
#[test]
fn what_has_no_records_is_one_candidate() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = connector(&authority, &dns);
    for (domain, origin) in [
        (DOMAIN, Origin::Fallback),
        ("localhost", Origin::Fallback),
        ("192.0.2.1", Origin::Address),
        ("[2001:db8::1]", Origin::Address),
    ] {
        let discovery = connector.discover(domain).unwrap();
        let [candidate] = discovery.candidates() else { panic!("{discovery}") };
        assert_eq!((candidate.origin(), candidate.port()), (origin, 5222));
        assert_eq!(candidate.tls(), TlsMode::StartTls);
    }
    assert_eq!(dns.queries().len(), 2, "only {DOMAIN} is asked for");
}

// rule B5, B7
#[test]
fn an_error_is_that_of_a_connect() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new().srv(XMPPS, 0, 0, 0, ".").srv(XMPP, 0, 0, 0, "."));
    let connector = connector(&authority, &dns);
    for error in [connector.discover(DOMAIN).unwrap_err(), connector.connect(DOMAIN).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotOffered);
        assert_eq!(
            error.to_string(),
            "according to its SRV records, example.org does not offer the client service"
        );
    }
    assert_eq!(connector.discover("").unwrap_err().kind(), ErrorKind::InvalidDomain);
}

// rule C2, C5
#[test]
fn every_call_draws_anew_and_weights_are_shares() {
    const DRAWS: usize = 2_000;
    let authority = Authority::new();
    let zone = Zone::new()
        .srv(XMPPS, 0, 3, 5223, "three.example.org")
        .srv(XMPP, 0, 1, 5222, "one.example.org")
        .srv(XMPPS, 1, 0, 5223, "zero.example.org")
        .srv(XMPPS, 1, 0, 5224, "zero.example.org");
    let dns = DnsServer::start(zone.start_of_authority(DOMAIN, 300));
    let connector = connector(&authority, &dns);
    let (mut three, mut equal) = (0, 0);
    for _ in 0..DRAWS {
        let discovery = connector.discover(DOMAIN).unwrap();
        let candidates = discovery.candidates();
        assert_eq!((candidates.len(), candidates[1].priority(), candidates[2].priority()), (4, 0, 1));
        three += usize::from(candidates[0].weight() == 3);
        equal += usize::from(candidates[2].port() == 5223);
    }
    // Seven standard deviations: 1,500 and 19.4; 1,000 and 22.4.
    assert!((1_364..=1_636).contains(&three), "{three} of {DRAWS}");
    assert!((843..=1_157).contains(&equal), "{equal} of {DRAWS}");
    assert_eq!(dns.queries().len(), 2, "the cache has the rest");
}

// rule E8
#[test]
fn threads_share_a_connector() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(given::zone(&[(XMPPS, 0, server.addr())]));
    let connector = connector(&authority, &dns);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let connector = connector.clone();
            scope.spawn(move || given::talk(&mut connector.connect(DOMAIN).unwrap()));
        }
    });
    assert_eq!(server.accepted(), 8);
}
