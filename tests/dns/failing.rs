//! Name servers that say no, and answers that come too late: what a connect makes of it.

use std::time::Duration;

use xmpp_connect::report::LookupResult;
use xmpp_connect::{ErrorKind, Policy};

use crate::given::{DOMAIN, XMPPS};
use crate::setup::{LOOKUP_LIMIT, TRY_DELAY, asking, dead, look_up, sorted_questions, took, tries, why};
use crate::support::{Behaviour, DnsServer, Latch, Rcode, Rtype, Zone};

// rule H3, B5
#[test]
fn a_refusal_of_the_only_server_is_a_failure_at_once_that_names_it() {
    for code in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTAUTH] {
        let dns = DnsServer::start(Zone::new().on_everything(Behaviour::Code(code)));
        let lookup = look_up(asking(&[dns.addr()]));
        assert_eq!(why(&lookup), format!("127.0.0.1: answered {code}"));
        // Twice, the first time with EDNS and then without.
        assert_eq!((tries(&lookup), dns.queries().len()), (3, 3));
        assert!(took(&lookup) < TRY_DELAY, "{lookup}");
    }
}

// rule A6
#[test]
fn a_name_that_is_not_there_is_asked_for_as_it_is_and_below_no_other() {
    let dns = DnsServer::start(Zone::new());
    for domain in ["single", "two.labels", "three.labels.deep"] {
        dns.forget_queries();
        asking(&[dns.addr()]).build().unwrap().connect(domain).unwrap_err();
        let expected = [
            format!("_xmpp-client._tcp.{domain} SRV"),
            format!("_xmpps-client._tcp.{domain} SRV"),
            format!("{domain} A"),
            format!("{domain} AAAA"),
        ];
        assert_eq!(sorted_questions(&dns), expected);
    }
}

// rule D5, H1
#[test]
fn an_answer_after_the_limit_is_too_late_and_harms_no_later_lookup() {
    const LIMIT: Duration = Duration::from_millis(200);
    let latch = Latch::new();
    let zone = Zone::new().srv(XMPPS, 0, 0, 5223, "late.example");
    let held = Behaviour::Answer.held(&latch);
    let dns = DnsServer::start(zone.script(XMPPS, Rtype::SRV, &[held, Behaviour::Answer]));
    let connector = asking(&[dns.addr()]).policy(Policy::DirectOnly).lookup_timeout(LIMIT);
    let connector = connector.build().unwrap();

    let error = connector.discover(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup);
    let first = &error.report().unwrap().lookups()[0];
    assert!(why(first).starts_with("no answer within 0.2 s"));
    assert!(took(first) >= LIMIT && took(first) < LOOKUP_LIMIT, "{first}");

    latch.open();
    let discovery = connector.discover(DOMAIN).unwrap();
    assert_eq!(discovery.report().lookups()[0].result, LookupResult::Records(1));
    assert_eq!(dns.queries().len(), 2);
}

// rule D5
#[test]
fn silence_ends_at_the_limit_of_the_whole_connect_where_that_is_shorter() {
    let dns = dead();
    let connector = asking(&[dns.addr()]).timeout(Duration::from_millis(200)).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("no response from DNS"), "{error}");
    let report = error.report().unwrap();
    assert!(report.elapsed() >= Duration::from_millis(200) && report.elapsed() < LOOKUP_LIMIT);
    assert!(report.lookups().iter().all(|lookup| lookup.result == LookupResult::Abandoned), "{report}");
}
