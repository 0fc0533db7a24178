//! Name servers that say no, and answers that come too late: what a connect makes of it.

use std::time::Duration;

use xmpp_connect::report::LookupResult;
use xmpp_connect::{ErrorKind, Origin, Policy, TlsMode};

use crate::given::{self, DOMAIN, XMPP, XMPPS};
use crate::setup::{
    LOOKUP_LIMIT, Service, TRY_DELAY, asking, dead, look_up, lookup, sorted_questions, took, tries, why,
};
use crate::support::{Behaviour, DnsServer, Latch, Rcode, Rtype, Script, XmppServer, Zone};

// spec H3, B5
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

// spec B5, H3
#[test]
fn when_one_lookup_of_two_fails_the_other_is_enough() {
    let service = Service::new();
    let starttls = XmppServer::start(Script::starttls(service.authority.server(&[DOMAIN])));
    for code in [Rcode::SERVFAIL, Rcode::REFUSED] {
        for (failing, tls) in [(XMPPS, TlsMode::StartTls), (XMPP, TlsMode::Direct)] {
            let zone = given::zone(&[(XMPPS, 0, service.server.addr()), (XMPP, 0, starttls.addr())]);
            let dns = DnsServer::start(zone.on(failing, Rtype::SRV, Behaviour::Code(code)));
            let connection = service.connect(&[dns.addr()]).unwrap();
            assert_eq!(connection.tls_mode(), tls);
            let failed = lookup(connection.report(), &format!("{failing} SRV"));
            assert!(why(failed).contains(&code.to_string()), "{failed}");
        }
    }
}

// spec B4, B5, B7
#[test]
fn when_all_fails_the_fallback_is_left_and_the_error_is_that_of_the_lookup() {
    let dns = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)));
    let options = || asking(&[dns.addr()]);
    let discovery = options().build().unwrap().discover(DOMAIN).unwrap();
    assert_eq!(discovery.candidates()[0].origin(), Origin::Fallback);
    assert!(discovery.report().lookups().iter().all(|lookup| why(lookup).contains("REFUSED")));
    let error = options().build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup);
    assert!(error.to_string().contains("127.0.0.1: answered REFUSED"), "{error}");
    let error = options().policy(Policy::DirectOnly).build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup);
}

// spec B5, B7
#[test]
fn not_offered_beside_a_failure_is_an_error_that_names_both() {
    for (offered, other) in [(XMPPS, XMPP), (XMPP, XMPPS)] {
        let zone = Zone::new().srv(offered, 0, 0, 0, ".").address(DOMAIN, "127.0.0.1");
        let dns = DnsServer::start(zone.on(other, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL)));
        let error = asking(&[dns.addr()]).build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        let text = error.to_string();
        assert!(text.contains("does not offer") && text.contains("SERVFAIL"), "{text}");
        assert!(error.report().unwrap().attempts().is_empty());
    }
}

// spec B7
#[test]
fn no_such_name_for_all_is_no_such_domain() {
    for zone in [Zone::new(), Zone::new().start_of_authority(".", 60)] {
        let dns = DnsServer::start(zone);
        let error = asking(&[dns.addr()]).build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::NoSuchDomain, "the domain example.org does not exist")
        );
        assert_eq!(dns.queries().len(), 4);
    }
}

// spec A6
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

// spec D5, H1
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

// spec D5
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
