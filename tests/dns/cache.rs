//! What a connector keeps of answers, how long, and when it forgets.

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::LookupResult;
use xmpp_connect::{Connector, ErrorKind};

use crate::given::{self, DOMAIN, XMPP, XMPPS};
use crate::setup::{HOST, Service, asking, lookup, sorted_questions, source, tries};
use crate::support::{Behaviour, DnsServer, Rcode, Refused, Rtype, Script, XmppServer, Zone};

/// The questions that a connector asks for the servers of `example.org`, sorted.
const SRV_QUESTIONS: [&str; 2] = ["_xmpp-client._tcp.example.org SRV", "_xmpps-client._tcp.example.org SRV"];

/// What is asked in a call, sorted.
fn asked_in(dns: &DnsServer, call: impl FnOnce()) -> Vec<String> {
    dns.forget_queries();
    call();
    sorted_questions(dns)
}

fn discover(connector: &Connector) {
    connector.discover(DOMAIN).unwrap();
}

/// An SRV record, and a SOA record for what there is not.
fn zone() -> Zone {
    Zone::new().start_of_authority(DOMAIN, 300).srv(XMPPS, 0, 0, 5223, HOST)
}

// rule H4
#[test]
fn a_second_connect_asks_nothing_when_every_answer_may_be_kept() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone().start_of_authority(DOMAIN, 300));
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    drop(connector.connect(DOMAIN).unwrap());
    assert_eq!(dns.queries().len(), 6);
    // Clones share the cache.
    let connection = connector.clone().connect(DOMAIN).unwrap();
    assert_eq!(dns.queries().len(), 6);
    for lookup in connection.report().lookups() {
        assert_eq!((source(lookup), tries(lookup)), (AnswerSource::Cache, 0), "{lookup}");
    }
    assert_eq!(lookup(connection.report(), &format!("{XMPPS} SRV")).result, LookupResult::Records(1));
    assert_eq!(lookup(connection.report(), &format!("{XMPP} SRV")).result, LookupResult::None);
}

// rule H4
#[test]
fn a_negative_answer_without_soa_is_not_kept() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone());
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    drop(connector.connect(DOMAIN).unwrap());
    let asked = asked_in(&dns, || drop(connector.connect(DOMAIN).unwrap()));
    // NXDOMAIN for the first, no such records at names that exist for the others.
    let expected = [
        "_xmpp-client._tcp.example.org SRV".to_owned(),
        "example.org A".to_owned(),
        "example.org AAAA".to_owned(),
        format!("{HOST} AAAA"),
    ];
    assert_eq!(asked, expected);
}

// rule H4
#[test]
fn failures_are_not_kept() {
    let dns = DnsServer::start(zone().on_everything(Behaviour::Code(Rcode::SERVFAIL)));
    let connector = asking(&[dns.addr()]).build().unwrap();
    discover(&connector);
    dns.change(|zone| zone.on_everything(Behaviour::Answer));
    let asked = asked_in(&dns, || {
        assert_eq!(connector.discover(DOMAIN).unwrap().candidates()[0].host().to_string(), HOST);
    });
    assert_eq!(asked, SRV_QUESTIONS);
}

// rule H4
#[test]
fn clearing_and_switching_off_ask_again() {
    let dns = DnsServer::start(zone());
    let connector = asking(&[dns.addr()]).build().unwrap();
    discover(&connector);
    assert!(asked_in(&dns, || discover(&connector)).is_empty());
    connector.clear_cache();
    assert_eq!(asked_in(&dns, || discover(&connector)), SRV_QUESTIONS);

    let connector = asking(&[dns.addr()]).dns_cache(false).build().unwrap();
    discover(&connector);
    assert_eq!(asked_in(&dns, || discover(&connector)), SRV_QUESTIONS);
}

// rule H4
#[test]
fn a_connect_without_a_connection_forgets_what_it_used_and_nothing_else() {
    let service = Service::new();
    let zone = service.zone().start_of_authority(".", 300);
    let dns = DnsServer::start(zone.srv("_xmpps-client._tcp.example.net", 0, 0, 5223, "host.example.net"));
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    drop(connector.connect(DOMAIN).unwrap());
    connector.discover("example.net").unwrap();

    let Service { authority, server } = service;
    drop(server);
    let asked = asked_in(&dns, || {
        assert_eq!(connector.connect(DOMAIN).unwrap_err().kind(), ErrorKind::Attempts);
    });
    assert!(asked.is_empty(), "the second connect knew all, and it was no use: {asked:?}");

    let moved = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    dns.change(|_| given::zone(&[(XMPPS, 0, moved.addr())]));
    let asked = asked_in(&dns, || {
        assert_eq!(connector.connect(DOMAIN).unwrap().peer_addr(), moved.addr());
    });
    assert_eq!(asked.len(), 6, "{asked:?}");
    let asked = asked_in(&dns, || drop(connector.discover("example.net").unwrap()));
    assert!(asked.is_empty(), "{asked:?}");
}

// rule H4
#[test]
fn what_the_first_connect_without_a_connection_learnt_is_forgotten_too() {
    let service = Service::new();
    let gone = Refused::new();
    let dns = DnsServer::start(given::zone(&[(XMPPS, 0, gone.addr())]).start_of_authority(DOMAIN, 300));
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    connector.connect(DOMAIN).unwrap_err();
    dns.change(|_| service.zone());
    assert_eq!(connector.connect(DOMAIN).unwrap().peer_addr(), service.server.addr());
}

// rule H4, B9
#[test]
fn addresses_of_the_additional_section_are_not_kept() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone().start_of_authority(DOMAIN, 300).with_additional());
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    dns.change(|zone| zone.on(HOST, Rtype::A, Behaviour::Silence).on(HOST, Rtype::AAAA, Behaviour::Silence));
    // Only the hints lead there, and they do not come out of the cache.
    drop(connector.connect(DOMAIN).unwrap());
    let asked = asked_in(&dns, || drop(connector.discover(DOMAIN).unwrap()));
    assert!(asked.is_empty(), "{asked:?}");
    connector.connect(DOMAIN).unwrap_err();
}
