//! The report of a connect, in an error and on a connection, as values and as a table for a person.

use std::error::Error as _;
use std::time::Duration;

use xmpp_connect::{AttemptError, AttemptErrorKind, ErrorKind, LookupResult, Stage, UntrustedReason};

use crate::assert_in_style;
use crate::given::{DOMAIN, XMPP, XMPPS, builder, connector, one_by_one, zone};
use crate::support::{Authority, DnsServer, Refused, Script, XmppServer, Zone};

/// A time in milliseconds reads `0 ms` and a port `0`, so that the rest can be compared.
fn masked(report: &str, ports: &[u16]) -> String {
    let mut text = ports.iter().fold(report.to_owned(), |text, port| text.replace(&format!(":{port}"), ":0"));
    while let Some((before, after)) = text.split_once(" ms") {
        let before =
            before.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
        // `0.1 ms..2.3 ms`: the dots between two times are taken along, and put back.
        let dots = if before.ends_with("\u{1}") { ".." } else { "" };
        text = format!("{before}{dots}0\u{1}{after}");
    }
    text.replace('\u{1}', " ms")
}

// spec D7
#[test]
fn the_table_of_a_failed_connect_tells_all_of_it() {
    let authority = Authority::new();
    let refused = Refused::new();
    let untrusted = XmppServer::start(Script::starttls(Authority::new().server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPP, 1, untrusted.addr())]));
    let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    let report = error.report().unwrap().to_string();
    let server = dns.addr().port();
    let text = masked(&report, &[server, refused.addr().port(), untrusted.port()]);
    let lookup = |question: &str, result: &str| {
        format!("  lookup     {question}: {result}  0 ms..0 ms  by 127.0.0.1:0\n")
    };
    let expected = [
        "example.org (client), 0 ms\n".to_owned(),
        lookup("_xmpps-client._tcp.example.org SRV", "1 record"),
        lookup("_xmpp-client._tcp.example.org SRV", "1 record"),
        "  candidate  1 host0.example.org:0 direct TLS  priority 0 weight 1 (srv)\n".to_owned(),
        "  candidate  2 host1.example.org:0 STARTTLS  priority 1 weight 1 (srv)\n".to_owned(),
        "  attempt    1 127.0.0.1:0  0 ms  TCP failed 0 ms: ".to_owned(),
        "  attempt    2 127.0.0.1:0  0 ms  TCP 0 ms  STARTTLS 0 ms  TLS failed 0 ms: the certificate was issued by"
            .to_owned(),
    ];
    for part in expected {
        assert!(text.contains(&part), "{part:?} is not in {text}");
    }
    assert_eq!(text.lines().count(), 1 + 8 + 2 + 2, "{text}");
}

// spec D7, G5
#[test]
fn the_times_of_a_connect_are_in_order() {
    let authority = Authority::new();
    let refused = Refused::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPP, 1, server.addr())]));
    let connection = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap();
    let report = connection.report();
    assert_eq!((report.domain().as_ascii(), report.service().to_string().as_str()), (DOMAIN, "client"));
    for lookup in report.lookups() {
        assert!(
            lookup.answered.is_none_or(|answered| lookup.asked <= answered && answered <= report.elapsed())
        );
    }
    let [first, second] = report.attempts() else { panic!("{report}") };
    let srv = report.lookups().iter().find(|lookup| lookup.question.name() == XMPPS).unwrap();
    assert!(srv.answered.unwrap() <= first.started && first.started <= first.ended);
    assert!(first.ended <= second.started && second.ended <= report.elapsed());
    let stages: Vec<Stage> = second.completed.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Tcp, Stage::StartTls, Stage::Tls]);
    let times: Vec<Duration> = second.completed.iter().map(|(_, at)| *at).collect();
    assert!(second.started <= times[0] && times.is_sorted() && times[2] <= second.ended, "{report}");
    assert_eq!((first.candidate, second.candidate), (0, 1));
    assert_eq!(&report.candidates()[1], connection.candidate());
    assert!(report.notes().is_empty());
}

// spec D7
#[test]
fn the_source_of_an_error_is_the_cause_of_the_attempt_that_came_furthest() {
    let authority = Authority::new();
    let refused = Refused::new();
    let untrusted = XmppServer::start(Script::direct(authority.server(&["other.example"])));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPPS, 1, untrusted.addr())]));
    let error = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.to_string().contains(&untrusted.addr().to_string()), "{error}");
    let cause = error.source().unwrap().downcast_ref::<AttemptError>().unwrap();
    assert!(matches!(cause.kind(), AttemptErrorKind::Untrusted(UntrustedReason::WrongName)));
    assert!(!error.to_string().contains(&cause.to_string()), "{error}");
    assert_in_style(&error);
    // What a main function prints that returns the error.
    assert_eq!(format!("{error:?}"), format!("{error}: {cause}"));

    let as_io = std::io::Error::from(error);
    assert_eq!(as_io.kind(), std::io::ErrorKind::InvalidData);
    let inner = as_io.get_ref().unwrap().downcast_ref::<xmpp_connect::Error>().unwrap();
    assert_eq!(inner.report().unwrap().attempts().len(), 2);
}

// spec D7, B5
#[test]
fn the_results_of_lookups_read_as_the_documentation_says() {
    let authority = Authority::new();
    let zone = Zone::new().srv(XMPPS, 0, 0, 0, ".").srv(XMPP, 0, 0, 5222, "a.example.org").srv(
        XMPP,
        0,
        0,
        5223,
        "a.example.org",
    );
    let dns = DnsServer::start(zone);
    let error = connector(&authority, &dns).connect(DOMAIN).unwrap_err();
    let lookups = error.report().unwrap().lookups();
    let read: Vec<_> =
        lookups.iter().map(|lookup| format!("{}: {}", lookup.question, lookup.result)).collect();
    for line in [
        "_xmpps-client._tcp.example.org SRV: not offered",
        "_xmpp-client._tcp.example.org SRV: 2 records",
        "a.example.org A: none",
        "a.example.org AAAA: none",
    ] {
        assert!(read.contains(&line.to_owned()), "{read:#?}");
    }
    assert_eq!(LookupResult::Failed("SERVFAIL".into()).to_string(), "failed: SERVFAIL");
    for lookup in lookups {
        assert_eq!(lookup.facts.as_ref().unwrap().tries, 1);
    }
}
