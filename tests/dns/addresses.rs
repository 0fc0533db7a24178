//! Addresses as they come: by the additional section, one family before the other, late.

use std::net::{Ipv6Addr, SocketAddr};

use xmpp_connect::report::LookupResult;

use crate::given::{DOMAIN, XMPPS, has_ipv6, zone};
use crate::setup::{HOST, Service, TRY_DELAY, lookup, sorted_questions};
use crate::support::{Authority, Behaviour, DnsServer, Latch, Rtype, Script, XmppServer, Zone};

fn asked_for_host(dns: &DnsServer) -> Vec<String> {
    sorted_questions(dns).into_iter().filter(|question| question.starts_with(HOST)).collect()
}

// rule B9
#[test]
fn an_address_of_the_additional_section_is_used_at_once_and_asked_for_all_the_same() {
    let service = Service::new();
    // Nobody answers what is asked about the host: only the hint can lead there.
    let zone = service.zone().with_additional().on(HOST, Rtype::AAAA, Behaviour::Silence);
    let dns = DnsServer::start(zone.on(HOST, Rtype::A, Behaviour::Silence));
    let connection = service.connect(&[dns.addr()]).unwrap();
    assert_eq!(connection.peer_addr(), service.server.addr());
    assert_eq!(lookup(connection.report(), &format!("{HOST} AAAA")).result, LookupResult::Abandoned);
    assert_eq!(asked_for_host(&dns), [format!("{HOST} A"), format!("{HOST} AAAA")]);
    assert!(connection.report().attempts()[0].started < TRY_DELAY);
}

// rule B9
#[test]
fn stale_addresses_in_the_additional_section_cost_an_attempt_and_not_the_connect() {
    let service = Service::new();
    // Nobody listens at the address of the hint; the answer, which is held until that is known, has the right one.
    let stale = zone(&[(XMPPS, 0, SocketAddr::from(([127, 0, 0, 1], service.server.port())))]);
    let dns = DnsServer::start(stale.address(HOST, "127.0.0.2").with_additional());
    let latch = Latch::new();
    dns.change(|zone| zone.on(HOST, Rtype::A, Behaviour::Answer.held(&latch)));
    let connection = std::thread::scope(|scope| {
        let connection = scope.spawn(|| service.connect(&[dns.addr()]).unwrap());
        dns.wait_queries(6);
        dns.change(|_| service.zone());
        latch.open();
        connection.join().unwrap()
    });
    assert_eq!(connection.peer_addr(), service.server.addr());
}

/// A silent server at 127.0.0.1 and a good one at `::1`, at the same port.
fn silent_and_good() -> (XmppServer, Service) {
    let authority = Authority::new();
    let silent = XmppServer::start(Script::silent());
    let script = Script::direct(authority.server(&[DOMAIN]));
    let server = XmppServer::start_at((Ipv6Addr::LOCALHOST, silent.port()).into(), vec![script]);
    (silent, Service { authority, server })
}

// rule D4, D3
#[test]
fn aaaa_that_comes_when_a_is_dialled_joins_the_race() {
    if !has_ipv6() {
        return;
    }
    let (silent, service) = silent_and_good();
    let latch = Latch::new();
    let zone = service.zone().address(HOST, "127.0.0.1");
    let dns = DnsServer::start(zone.on(HOST, Rtype::AAAA, Behaviour::Answer.held(&latch)));
    let connection = std::thread::scope(|scope| {
        let connection = scope.spawn(|| service.connect(&[dns.addr()]).unwrap());
        silent.wait_accepted(1);
        latch.open();
        connection.join().unwrap()
    });
    assert_eq!(connection.peer_addr(), service.server.addr());
    let addresses: Vec<SocketAddr> =
        connection.report().attempts().iter().map(|attempt| attempt.destination.address().unwrap()).collect();
    assert_eq!(addresses, [silent.addr(), service.server.addr()]);
}

// rule B2
#[test]
fn a_target_that_is_the_domain_needs_no_further_question() {
    let service = Service::new();
    let zone = Zone::new().srv(XMPPS, 0, 0, service.server.port(), DOMAIN).address(DOMAIN, "127.0.0.1");
    let dns = DnsServer::start(zone);
    service.connect(&[dns.addr()]).unwrap();
    assert_eq!(dns.queries().len(), 4);
}
