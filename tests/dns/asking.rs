//! What leaves: the questions, their flags, and their ids and ports.

use std::collections::HashSet;
use std::time::Duration;

use xmpp_connect::Policy;
use xmpp_connect::report::LookupResult;

use crate::given::{DOMAIN, XMPP, XMPPS};
use crate::setup::{HOST, Service, asking, dead, look_up, lookup, sorted_questions, tries};
use crate::support::{Behaviour, DnsServer, Query, Rcode, Rtype, Transport, Zone};

// rule B2, A6, D12
#[test]
fn a_connect_asks_six_questions_with_absolute_names_each_once() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone());
    service.connect(&[dns.addr()]).unwrap();
    let expected = [
        format!("{XMPP} SRV"),
        format!("{XMPPS} SRV"),
        format!("{DOMAIN} A"),
        format!("{DOMAIN} AAAA"),
        format!("{HOST} A"),
        format!("{HOST} AAAA"),
    ];
    assert_eq!(sorted_questions(&dns), expected);
    let last: HashSet<String> = dns.questions().split_off(4).into_iter().collect();
    assert_eq!(last, HashSet::from([format!("{HOST} A"), format!("{HOST} AAAA")]));
}

// rule B2
#[test]
fn no_question_of_the_first_four_waits_for_an_answer() {
    let dns = dead();
    std::thread::scope(|scope| {
        let servers = [dns.addr()];
        let limit = Duration::from_millis(900);
        scope.spawn(move || asking(&servers).timeout(limit).build().unwrap().connect(DOMAIN).unwrap_err());
        dns.wait_queries(4);
    });
    // Before the first one was sent again.
    assert_eq!(dns.queries().len(), 4);
    assert_eq!(dns.questions().into_iter().collect::<HashSet<_>>().len(), 4);
}

// rule H2, H1
#[test]
fn a_question_asks_for_recursion_and_for_1232_octets() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone().authenticated());
    for over_tcp in [false, true] {
        dns.forget_queries();
        let connector = service.builder(&[dns.addr()]).dns_over_tcp(over_tcp).build().unwrap();
        connector.connect(DOMAIN).unwrap();
        for query in dns.queries() {
            assert!(query.recursion_desired && !query.authentic_data, "{query:?}");
            assert_eq!(query.edns, Some(1_232));
            assert_eq!(query.transport == Transport::Tcp, over_tcp);
        }
    }
}

// rule H3
#[test]
fn the_ad_bit_is_asked_for_and_believed_only_from_a_trusted_server() {
    let service = Service::new();
    for (proves, trusts) in [(false, false), (false, true), (true, false), (true, true)] {
        let zone = service.zone();
        let dns = DnsServer::start(if proves { zone.authenticated() } else { zone });
        let connector = service.builder(&[dns.addr()]).trust_ad(trusts).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        assert!(dns.queries().iter().all(|query| query.authentic_data == trusts));
        let lookups = connection.report().lookups();
        assert!(lookups.iter().all(|lookup| lookup.authenticated == (proves && trusts)));
        assert_eq!(connection.report().to_string().contains("authenticated"), proves && trusts);
    }
}

/// The numbers that may meet by chance among `count` random ones of 16 bits: two pairs are one in a million.
const CHANCE: usize = 1;

fn distinct<T: Eq + std::hash::Hash>(queries: &[Query], part: impl Fn(&Query) -> T) -> usize {
    queries.iter().map(part).collect::<HashSet<_>>().len()
}

// rule H1
#[test]
fn every_question_has_an_id_and_a_port_of_its_own() {
    let dns = DnsServer::start(Zone::new());
    let connector = asking(&[dns.addr()]).policy(Policy::DirectOnly).dns_cache(false).build().unwrap();
    for _ in 0..20 {
        connector.discover(DOMAIN).unwrap_err();
    }
    let queries = dns.queries();
    assert_eq!(queries.len(), 20);
    assert!(distinct(&queries, |query| query.id) >= 20 - CHANCE, "{queries:?}");
    // The kernel draws from fewer, and some draw less well.
    assert!(distinct(&queries, |query| query.from.port()) >= 10, "{queries:?}");
}

// rule H1
#[test]
fn every_try_has_an_id_and_a_port_of_its_own() {
    let again = [Behaviour::Silence, Behaviour::Answer];
    let zone = Zone::new().script(XMPPS, Rtype::SRV, &again).script(XMPP, Rtype::SRV, &again);
    let dns = DnsServer::start(zone);
    asking(&[dns.addr()]).build().unwrap().discover(DOMAIN).unwrap();
    let queries = dns.queries();
    assert_eq!(queries.len(), 4);
    // All four sockets were open at once.
    assert_eq!(distinct(&queries, |query| query.from.port()), 4);
    assert!(distinct(&queries, |query| query.id) >= 4 - CHANCE, "{queries:?}");
}

// rule H2
#[test]
fn a_server_that_refuses_edns_is_asked_without_at_once_and_from_then_on() {
    let service = Service::new();
    for code in [Rcode::FORMERR, Rcode::NOTIMP, Rcode::SERVFAIL, Rcode::REFUSED] {
        for over_tcp in [false, true] {
            let dns = DnsServer::start(service.zone().on_everything(Behaviour::CodeOnEdns(code)));
            let connector = service.builder(&[dns.addr()]).dns_over_tcp(over_tcp).build().unwrap();
            let connection = connector.connect(DOMAIN).unwrap();
            let report = connection.report();
            assert_eq!(tries(lookup(report, &format!("{XMPPS} SRV"))), 2);
            assert_eq!(tries(lookup(report, &format!("{HOST} A"))), 1);
            let (with, without): (Vec<Query>, Vec<Query>) =
                dns.queries().into_iter().partition(|query| query.edns.is_some());
            assert!((1..=4).contains(&with.len()), "{with:?}");
            assert!(with.iter().all(|query| query.edns == Some(1_232)));
            assert_eq!(without.len(), 6);
        }
    }
}

// rule H2, H3
#[test]
fn a_server_that_knows_neither_edns_nor_the_question_has_failed() {
    for code in [Rcode::FORMERR, Rcode::NOTIMP] {
        let dns = DnsServer::start(Zone::new().on_everything(Behaviour::Code(code)));
        let lookup = look_up(asking(&[dns.addr()]));
        assert_eq!(lookup.result, LookupResult::Failed(format!("127.0.0.1: answered {code}")));
        // With EDNS, and twice without.
        let edns: Vec<Option<u16>> = dns.queries().iter().map(|query| query.edns).collect();
        assert_eq!(edns, [Some(1_232), None, None]);
    }
}

// rule H2
#[test]
fn without_edns_an_answer_of_more_than_512_octets_comes_over_tcp() {
    let zone = (0..30).fold(Zone::new(), |zone, port| zone.srv(XMPPS, 0, 0, 1 + port, "host.example"));
    let dns = DnsServer::start(zone.clone());
    assert_eq!(look_up(asking(&[dns.addr()])).result, LookupResult::Records(30));
    assert_eq!(dns.queries().len(), 1, "it fits 1,232 octets");

    let dns = DnsServer::start(zone.on_everything(Behaviour::CodeOnEdns(Rcode::FORMERR)));
    assert_eq!(look_up(asking(&[dns.addr()])).result, LookupResult::Records(30));
    let transports: Vec<Transport> = dns.queries().iter().map(|query| query.transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Udp, Transport::Tcp]);
    assert_eq!(dns.queries()[2].edns, None);
}
