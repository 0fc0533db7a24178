//! Several name servers: who is asked when, and whose answer counts (rule H3).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use xmpp_connect::Policy;
use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::{LookupReport, LookupResult};

use crate::given::{DOMAIN, XMPPS};
use crate::setup::{
    LOOKUP_LIMIT, Service, TRY_DELAY, asking, dead, look_up, lookup, source, took, tries, why,
};
use crate::support::{Behaviour, DnsServer, Latch, Rcode, Rtype, Zone, closed_udp_port};

fn one_record() -> Zone {
    Zone::new().srv(XMPPS, 0, 0, 5223, "host.example")
}

/// A server that has the record, and says so when `latch` opens.
fn held(latch: &Latch) -> DnsServer {
    DnsServer::start(one_record().on(XMPPS, Rtype::SRV, Behaviour::Answer.held(latch)))
}

fn assert_found(lookup: &LookupReport, server: SocketAddr, sent: u32) {
    assert_eq!(lookup.result, LookupResult::Records(1), "{lookup}");
    assert_eq!((source(lookup), tries(lookup)), (AnswerSource::Udp(server), sent), "{lookup}");
}

// rule H3
#[test]
fn a_dead_first_server_costs_one_second_in_all() {
    let service = Service::new();
    let (first, second) = (dead(), DnsServer::start(service.zone()));
    let connection = service.connect(&[first.addr(), second.addr()]).unwrap();
    let report = connection.report();
    assert_found(lookup(report, &format!("{XMPPS} SRV")), second.addr(), 2);
    assert!(report.elapsed() >= TRY_DELAY && report.elapsed() < LOOKUP_LIMIT, "{report}");
    // After that it goes last: only what left together with the first question was sent to it.
    assert_eq!((first.queries().len(), second.queries().len()), (4, 6));
}

// rule H3
#[test]
fn a_server_that_timed_out_goes_last_in_later_connects() {
    let (first, second) = (dead(), DnsServer::start(one_record()));
    let servers = [first.addr(), second.addr()];
    let connector = asking(&servers).policy(Policy::DirectOnly).dns_cache(false).build().unwrap();
    let discover = || connector.discover(DOMAIN).unwrap().report().lookups()[0].clone();
    assert_found(&discover(), second.addr(), 2);
    first.forget_queries();
    for _ in 0..3 {
        assert_found(&discover(), second.addr(), 1);
    }
    assert!(first.queries().is_empty());
    // It is last, not out: when the other one fails, it is asked.
    first.change(|_| one_record().on_everything(Behaviour::Answer));
    second.change(|zone| zone.on_everything(Behaviour::Code(Rcode::SERVFAIL)));
    assert_found(&discover(), first.addr(), 3);
}

// rule H3
#[test]
fn a_server_that_fails_costs_no_time() {
    let good = DnsServer::start(one_record());
    for code in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP] {
        let bad = DnsServer::start(Zone::new().on_everything(Behaviour::Code(code)));
        let lookup = look_up(asking(&[bad.addr(), good.addr()]));
        assert_eq!(
            (&lookup.result, source(&lookup)),
            (&LookupResult::Records(1), AnswerSource::Udp(good.addr()))
        );
        assert!(took(&lookup) < TRY_DELAY, "{lookup}");
    }
    // To a broadcast address nothing is sent.
    for (failed, sent) in [(closed_udp_port(), 2), ((Ipv4Addr::BROADCAST, 53).into(), 1)] {
        let lookup = look_up(asking(&[failed, good.addr()]));
        assert_found(&lookup, good.addr(), sent);
        assert!(took(&lookup) < TRY_DELAY, "{lookup}");
    }
}

// rule H3, B5
#[test]
fn when_every_server_fails_the_lookup_has_failed_at_once_with_every_reason() {
    let refusing = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)));
    let failing = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::SERVFAIL)));
    let lookup = look_up(asking(&[refusing.addr(), closed_udp_port(), failing.addr()]));
    let whys: Vec<&str> = why(&lookup).split("; ").collect();
    assert_eq!((whys[0], whys[2]), ("127.0.0.1: answered REFUSED", "127.0.0.1: answered SERVFAIL"));
    assert!(whys[1].starts_with("127.0.0.1: ") && whys.len() == 3, "{whys:?}");
    // Twice, the first time with EDNS and then without.
    assert_eq!((refusing.queries().len(), failing.queries().len()), (3, 3));
    assert!(took(&lookup) < TRY_DELAY, "{lookup}");
}

// rule H3
#[test]
fn none_of_the_first_server_is_final() {
    let second = DnsServer::start(one_record());
    // No such name, and no such records.
    for zone in [Zone::new(), Zone::new().address(XMPPS, "127.0.0.1")] {
        let first = DnsServer::start(zone);
        let lookup = look_up(asking(&[first.addr(), second.addr()]));
        assert_eq!((&lookup.result, source(&lookup)), (&LookupResult::None, AnswerSource::Udp(first.addr())));
        assert!(second.queries().is_empty());
    }
}

// rule H3
#[test]
fn none_of_a_later_server_does_not_count_while_the_first_may_still_answer() {
    for zone in [Zone::new(), Zone::new().address(XMPPS, "127.0.0.1")] {
        let latch = Latch::new();
        let (first, second) = (held(&latch), DnsServer::start(zone));
        let lookup = std::thread::scope(|scope| {
            let servers = [first.addr(), second.addr()];
            let lookup = scope.spawn(move || look_up(asking(&servers)));
            second.wait_queries(1);
            // The "none" of the second shall be the first to arrive. Either way the result is the same.
            Latch::new().pause(Duration::from_millis(100)).unwrap();
            latch.open();
            lookup.join().unwrap()
        });
        assert_found(&lookup, first.addr(), 2);
        assert!(took(&lookup) >= TRY_DELAY, "{lookup}");
    }
}
