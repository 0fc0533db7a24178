//! Tests of servers found by DNS: SRV records of both kinds, policies, the fallback, and addresses that need no DNS.

use xmpp_connect::{ErrorKind, Origin, Policy, TlsMode};

use crate::given::{self, DOMAIN, XMPP, XMPPS, builder, connector, one_by_one, outcomes, owner, talk, zone};
use crate::support::xmpp::header;
use crate::support::{Authority, DnsServer, Refused, Script, XmppServer, Zone};

/// A server of `example.org` that does direct TLS, and one that does STARTTLS.
fn both(authority: &Authority) -> (XmppServer, XmppServer) {
    let config = authority.server(&[DOMAIN]);
    (XmppServer::start(Script::direct(config.clone())), XmppServer::start(Script::starttls(config)))
}

// rule B1, B3, F1, G1, G5, D7
#[test]
fn a_domain_goes_in_and_a_verified_stream_comes_out_in_both_ways() {
    let authority = Authority::new();
    let (direct, starttls) = both(&authority);
    for (tls, server) in [(TlsMode::Direct, &direct), (TlsMode::StartTls, &starttls)] {
        let dns = DnsServer::start(zone(&[(owner(tls), 3, server.addr())]));
        let mut connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
        assert_eq!(talk(&mut connection).split("<stream:features>").next(), Some(&*header(DOMAIN)));
        assert_eq!((connection.tls_mode(), connection.peer_addr()), (tls, server.addr()));
        let candidate = connection.candidate();
        assert_eq!(
            (
                candidate.host().to_string().as_str(),
                candidate.port(),
                candidate.priority(),
                candidate.weight()
            ),
            ("host0.example.org", server.port(), 3, 1)
        );
        assert_eq!((candidate.origin(), candidate.tls()), (Origin::Srv, tls));
        assert_eq!(outcomes(connection.report()), [(server.port(), "connected".to_owned())]);
        assert_eq!(connection.report().candidates(), std::slice::from_ref(candidate));
        assert!(!connection.is_resumed());
        connection.close().unwrap();
        assert_eq!(server.wait_end(0).headers.last().unwrap(), given::HEADER);
    }
}

// rule B3
#[test]
fn both_answers_make_one_list_by_priority() {
    let authority = Authority::new();
    let (direct, starttls) = both(&authority);
    for (of_direct, of_starttls, wins) in [(1, 2, &direct), (2, 1, &starttls)] {
        let dns = DnsServer::start(zone(&[
            (XMPPS, of_direct, direct.addr()),
            (XMPP, of_starttls, starttls.addr()),
        ]));
        let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), wins.addr());
        assert_eq!(connection.report().candidates().len(), 2);
    }
}

// rule B4, C1
#[test]
fn a_policy_that_prefers_one_kind_puts_it_in_front_and_keeps_the_other() {
    let authority = Authority::new();
    let (direct, starttls) = both(&authority);
    let refused = Refused::new();
    for (policy, records, wins) in [
        (Policy::PreferDirect, [(XMPPS, 9, direct.addr()), (XMPP, 1, starttls.addr())], &direct),
        (Policy::PreferStartTls, [(XMPPS, 1, direct.addr()), (XMPP, 9, starttls.addr())], &starttls),
        (Policy::PreferDirect, [(XMPPS, 1, refused.addr()), (XMPP, 1, starttls.addr())], &starttls),
        (Policy::PreferStartTls, [(XMPPS, 1, direct.addr()), (XMPP, 1, refused.addr())], &direct),
    ] {
        let dns = DnsServer::start(zone(&records));
        let connector = one_by_one(builder(&authority, &dns)).policy(policy).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), wins.addr(), "{policy:?}: {}", connection.report());
        let candidates = connection.report().candidates();
        let first = if policy == Policy::PreferDirect { TlsMode::Direct } else { TlsMode::StartTls };
        assert_eq!((candidates.len(), candidates[0].tls()), (2, first));
    }
}

// rule B4
#[test]
fn a_policy_of_one_kind_uses_no_other() {
    let authority = Authority::new();
    let (direct, starttls) = both(&authority);
    let dns = DnsServer::start(zone(&[(XMPPS, 5, direct.addr()), (XMPP, 5, starttls.addr())]));
    for (policy, wins) in [(Policy::DirectOnly, &direct), (Policy::StartTlsOnly, &starttls)] {
        let connector = builder(&authority, &dns).policy(policy).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), wins.addr());
        assert_eq!(connection.report().candidates().len(), 1);
    }
}

// rule B5, B2
#[test]
#[cfg(target_os = "linux")]
fn without_srv_records_the_domain_itself_is_tried_at_5222_by_starttls() {
    let authority = Authority::new();
    let address = crate::support::addresses::own_loopback(11);
    let script = Script::starttls(authority.server(&[DOMAIN]));
    let server = XmppServer::start_at((address, 5222).into(), vec![script]);
    let dns = DnsServer::start(Zone::new().address(DOMAIN, &address.to_string()));
    for policy in [Policy::AsPublished, Policy::PreferDirect, Policy::PreferStartTls, Policy::StartTlsOnly] {
        let connector = builder(&authority, &dns).policy(policy).build().unwrap();
        let mut connection = connector.connect(DOMAIN).unwrap();
        talk(&mut connection);
        assert_eq!(connection.peer_addr(), server.addr());
        assert_eq!(
            (connection.candidate().origin(), connection.tls_mode()),
            (Origin::Fallback, TlsMode::StartTls)
        );
    }
}

// rule B5, D1
#[test]
#[cfg(target_os = "linux")]
fn the_fallback_has_all_addresses_of_the_domain_ipv6_first() {
    if !given::has_ipv6() {
        return;
    }
    let authority = Authority::new();
    let address = crate::support::addresses::own_loopback(12);
    let script = Script::starttls(authority.server(&[DOMAIN]));
    let _server = XmppServer::start_at((address, 5222).into(), vec![script]);
    // This test has no server at ::1, so an attempt there fails: it is refused, or not trusted.
    let dns = DnsServer::start(Zone::new().address(DOMAIN, &address.to_string()).address(DOMAIN, "::1"));
    let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let addresses: Vec<_> =
        connection.report().attempts().iter().map(|attempt| attempt.destination.to_string()).collect();
    assert_eq!(addresses, ["[::1]:5222".to_owned(), format!("{address}:5222")]);
}

// rule B8
#[test]
fn aliases_of_records_and_of_targets_are_followed() {
    let authority = Authority::new();
    let (direct, _) = both(&authority);
    let zone = Zone::new()
        .cname(XMPPS, "_xmpps-client._tcp.hosting.example")
        .srv("_xmpps-client._tcp.hosting.example", 0, 5, direct.port(), "alias.hosting.example")
        .cname("alias.hosting.example", "real.hosting.example")
        .address("real.hosting.example", "127.0.0.1");
    for zone in [zone.clone(), zone.without_following()] {
        let dns = DnsServer::start(zone);
        let connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), direct.addr());
    }
}

// rule A4, E4
#[test]
#[cfg(target_os = "linux")]
fn an_address_literal_is_connected_to_directly_by_starttls() {
    let authority = Authority::new();
    let address = crate::support::addresses::own_loopback(13);
    let script = Script::starttls(authority.server(&[&address.to_string()]));
    let server = XmppServer::start_at((address, 5222).into(), vec![script]);
    let dns = DnsServer::start(Zone::new());
    let mut connection = connector(&authority, &dns).connect(address.to_string()).unwrap();
    talk(&mut connection);
    assert_eq!((connection.peer_addr(), connection.candidate().origin()), (server.addr(), Origin::Address));
    drop(connection);
    let record = server.wait_end(0);
    assert!(record.headers[0].contains(&format!(" to='{address}'")), "{:?}", record.headers);
    assert_eq!(record.hello.unwrap().server_name, None);
    assert!(dns.queries().is_empty());
}

// rule A4, B4
#[test]
fn an_address_literal_has_no_port_for_direct_tls() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = builder(&authority, &dns).policy(Policy::DirectOnly).build().unwrap();
    for literal in ["127.0.0.1", "::1"] {
        let error = connector.connect(literal).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("connect_to"), "{error}");
    }
    assert!(dns.queries().is_empty());
}

// rule A7, A4
#[test]
fn localhost_is_this_machine_without_any_question() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
    for name in ["localhost", "xmpp.LocalHost."] {
        // If there is a server at port 5222 here, its certificate is not from our authority.
        let error = connector.connect(name).unwrap_err();
        let report = error.report().unwrap();
        let attempts: Vec<_> =
            report.attempts().iter().map(|attempt| attempt.destination.to_string()).collect();
        assert_eq!(attempts, ["[::1]:5222", "127.0.0.1:5222"], "{error}");
        assert_eq!(report.candidates()[0].tls(), TlsMode::StartTls);
    }
    assert!(dns.queries().is_empty());
}

// rule B1, A6
#[test]
fn every_question_is_absolute_and_lower_case() {
    let authority = Authority::new();
    let (direct, _) = both(&authority);
    let dns = DnsServer::start(zone(&[(XMPPS, 0, direct.addr())]));
    connector(&authority, &dns).connect("EXAMPLE.org.").unwrap();
    let mut questions = dns.questions();
    questions.sort_unstable();
    questions.dedup();
    let expected = [
        "_xmpp-client._tcp.example.org SRV",
        "_xmpps-client._tcp.example.org SRV",
        "example.org A",
        "example.org AAAA",
        "host0.example.org A",
        "host0.example.org AAAA",
    ];
    assert_eq!(questions, expected);
}
