//! Tests of the report of a connect, in an error and of a connection, as values and as a table.

use std::error::Error as _;
use std::time::Duration;

use xmpp_connect::ErrorKind;
use xmpp_connect::report::{AttemptError, AttemptErrorKind, Stage, UntrustedReason};

use crate::assert_in_style;
use crate::given::{DOMAIN, XMPP, XMPPS, builder, one_by_one, zone};
use crate::support::{Authority, DnsServer, Refused, Script, XmppServer};

// rule D7, G5
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

// rule D7
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
    // This is printed if a main function returns the error.
    assert_eq!(format!("{error:?}"), format!("{error}: {cause}"));

    let as_io = std::io::Error::from(error);
    assert_eq!(as_io.kind(), std::io::ErrorKind::InvalidData);
    let inner = as_io.get_ref().unwrap().downcast_ref::<xmpp_connect::Error>().unwrap();
    assert_eq!(inner.report().unwrap().attempts().len(), 2);
}
