//! Tests of DNS errors: their kinds, and how broken name servers are handled.

use std::time::Duration;

use xmpp_connect::ErrorKind;

use crate::assert_in_style;
use crate::given::{DOMAIN, XMPP, XMPPS, builder, chain, connector, zone};
use crate::support::{
    Authority, Behaviour, DnsServer, Junk, OverTcp, Rcode, Rtype, Script, XmppServer, Zone, closed_udp_port,
};

// rule B7
#[test]
fn a_domain_that_does_not_exist_is_told_as_such() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let error = connector(&authority, &dns).connect("nowhere.example").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchDomain);
    assert_eq!(error.to_string(), "the domain nowhere.example does not exist");
    // A VPN may be down.
    assert!(!error.is_permanent() && error.report().unwrap().attempts().is_empty());
    assert_in_style(&error);
}

// rule B7
#[test]
fn when_every_lookup_fails_it_is_the_lookup() {
    let authority = Authority::new();
    for code in [Rcode::SERVFAIL, Rcode::REFUSED] {
        let dns = DnsServer::start(Zone::new().on_everything(Behaviour::Code(code)));
        let error = connector(&authority, &dns).connect(DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert!(error.to_string().contains(&dns.addr().ip().to_string()), "{error}");
        assert!(!error.is_permanent());
        assert_in_style(&error);
    }
    // No name server at all.
    let connector = builder(&authority, &DnsServer::start(Zone::new())).nameservers([closed_udp_port()]);
    let connector = connector.lookup_timeout(Duration::from_secs(2)).build().unwrap();
    assert_eq!(connector.connect(DOMAIN).unwrap_err().kind(), ErrorKind::Lookup);
}

// rule H1, H2, H3, H6
#[test]
fn what_a_bad_name_server_does_is_borne() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let servfail = Behaviour::Code(Rcode::SERVFAIL);
    for behaviours in [
        vec![Behaviour::JunkThenAnswer(Junk::ALL.to_vec())],
        vec![Behaviour::Truncated(OverTcp::Answer)],
        vec![Behaviour::Truncated(OverTcp::ByteByByte(Duration::from_micros(200)))],
        vec![Behaviour::CodeOnEdns(Rcode::FORMERR)],
        vec![Behaviour::CodeOnEdns(Rcode::NOTIMP)],
        vec![servfail.clone(), Behaviour::Answer],
        vec![Behaviour::Silence, Behaviour::Answer],
    ] {
        let zone = zone(&[(XMPPS, 0, server.addr())]).script(XMPPS, Rtype::SRV, &behaviours);
        let zone = zone.script("host0.example.org", Rtype::A, &behaviours);
        let dns = DnsServer::start(zone);
        let connected = connector(&authority, &dns).connect(DOMAIN);
        assert!(connected.is_ok(), "{behaviours:?}: {}", chain(&connected.unwrap_err()));
    }
}

// rule H4
#[test]
fn a_connect_that_fails_forgets_what_it_was_told() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let refused = crate::support::Refused::new();
    let dns = DnsServer::start(zone(&[(XMPP, 0, refused.addr())]));
    let connector = connector(&authority, &dns);
    connector.connect(DOMAIN).unwrap_err();
    // The domain moves.
    dns.change(|_| zone(&[(XMPP, 0, server.addr())]));
    connector.connect(DOMAIN).unwrap();
    dns.forget_queries();
    connector.connect(DOMAIN).unwrap();
    assert!(!dns.questions().contains(&format!("{XMPP} SRV")), "{:?}", dns.questions());
}
