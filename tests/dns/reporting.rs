//! What a report says of the lookups, and how it reads.

use std::time::Duration;

use xmpp_connect::dns::{AnswerSource, RecordKind};
use xmpp_connect::report::LookupResult;

use crate::given::{DOMAIN, XMPP, XMPPS};
use crate::setup::{HOST, Service, asking, dead, look_up, lookup, source, tries};
use crate::support::{Behaviour, DnsServer, OverTcp, Rcode, Rtype, Zone};

// rule D7, H3
#[test]
fn each_lookup_has_question_result_source_tries_and_time() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone());
    let connection = service.connect(&[dns.addr()]).unwrap();
    let report = connection.report();
    let told = report.lookups().iter().map(|lookup| (lookup.question.to_string(), &lookup.result));
    let expected = [
        (format!("{XMPPS} SRV"), &LookupResult::Records(1)),
        (format!("{XMPP} SRV"), &LookupResult::None),
        (format!("{DOMAIN} AAAA"), &LookupResult::None),
        (format!("{DOMAIN} A"), &LookupResult::None),
        (format!("{HOST} AAAA"), &LookupResult::None),
        (format!("{HOST} A"), &LookupResult::Records(1)),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    for lookup in report.lookups() {
        assert_eq!((source(lookup), tries(lookup)), (AnswerSource::Udp(dns.addr()), 1));
        assert!(lookup.answered.unwrap() > lookup.asked && lookup.answered.unwrap() <= report.elapsed());
        assert!(!lookup.authenticated);
    }
    let asked: Vec<_> = report.lookups().iter().map(|lookup| lookup.asked).collect();
    assert!(asked[..4].iter().all(|at| *at == asked[0]) && asked[4] == asked[5], "{asked:?}");
    assert!(asked[4] >= report.lookups()[0].answered.unwrap(), "{report}");
    assert_eq!(report.lookups()[0].question.kind(), RecordKind::Srv);
}

// rule D7
#[test]
fn a_report_reads_as_a_table() {
    let service = Service::new();
    let zone = service.zone().start_of_authority(DOMAIN, 300);
    let truncated = Behaviour::Truncated(OverTcp::Answer);
    let dns = DnsServer::start(zone.authenticated().on(XMPPS, Rtype::SRV, truncated));
    let failing = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::SERVFAIL)));
    let servers = [failing.addr(), dns.addr()];
    let connector = service.builder(&servers).trust_ad(true).build().unwrap();
    let line = |report: String, question: &str| {
        let line = report.lines().find(|line| line.contains(question)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{question} is not in {report}"))
    };
    let report = connector.connect(DOMAIN).unwrap().report().to_string();
    let server = dns.addr();
    let srv = line(report.clone(), &format!("{XMPPS} SRV: 1 record"));
    assert!(srv.ends_with(&format!("  from {server} over TCP, 4 tries, authenticated")), "{srv}");
    let host = line(report, &format!("{HOST} A: 1 record"));
    assert!(host.ends_with(&format!("  from {server}, 3 tries, authenticated")), "{host}");

    let report = connector.connect(DOMAIN).unwrap().report().to_string();
    let srv = line(report, &format!("{XMPPS} SRV: 1 record"));
    assert!(srv.ends_with("  from the cache, authenticated"), "{srv}");
}

// rule D7, B7
#[test]
fn a_failure_names_each_server_and_what_it_said() {
    let failing = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)));
    let error = asking(&[failing.addr()]).build().unwrap().connect(DOMAIN).unwrap_err();
    let report = error.report().unwrap();
    assert_eq!(report.lookups().len(), 4);
    for lookup in report.lookups() {
        assert_eq!(lookup.result, LookupResult::Failed("127.0.0.1: answered REFUSED".to_owned()));
        assert_eq!((source(lookup), tries(lookup)), (AnswerSource::Nobody, 3));
    }
}

// rule D7
#[test]
fn not_offered_reads_other_than_none() {
    let dns = DnsServer::start(Zone::new().srv(XMPPS, 0, 0, 0, "."));
    let error = asking(&[dns.addr()]).build().unwrap().connect(DOMAIN).unwrap_err();
    let report = error.report().unwrap();
    assert_eq!(lookup(report, &format!("{XMPPS} SRV")).result, LookupResult::NotOffered);
    assert_eq!(lookup(report, &format!("{XMPP} SRV")).result, LookupResult::None);
}

// rule D7
#[test]
fn what_was_not_waited_for_is_abandoned() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone().on(DOMAIN, Rtype::A, Behaviour::Silence));
    let connection = service.connect(&[dns.addr()]).unwrap();
    let lookup = lookup(connection.report(), &format!("{DOMAIN} A"));
    assert_eq!((&lookup.result, lookup.answered), (&LookupResult::Abandoned, None));
    assert!(lookup.facts.is_none());
}

// rule D7, D5
#[test]
fn a_lookup_that_is_given_up_says_how_often_it_was_sent() {
    let dns = dead();
    let lookup = look_up(asking(&[dns.addr()]).lookup_timeout(Duration::from_millis(1_500)));
    assert_eq!((source(&lookup), tries(&lookup)), (AnswerSource::Nobody, 2), "{lookup}");
    assert!(lookup.answered.is_some());
}
