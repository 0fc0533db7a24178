//! Tests of servers that cannot handle `<starttls/>` together with the stream header: what is repeated, and remembered.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use xmpp_connect::report::{
    AttemptErrorKind, AttemptReport, Event, EventKind, RepeatForm, Report, Stage as Reached,
};
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Error, ErrorKind, Target, TlsMode};

use crate::given::{self, DOMAIN, XMPP, chain, talk, zone};
use crate::support::xmpp::{
    FAILURE, HTTP, PROCEED, SASL_FEATURES, STARTTLS_FEATURES, header, header_without_version, stream_error,
};
use crate::support::{Authority, DnsServer, Script, Stage, Step, XmppServer};
use crate::{SAID, healthy, says};

/// A server with a script for each connection; the last one is repeated.
fn server(courses: Vec<Script>) -> XmppServer {
    XmppServer::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), courses)
}

/// A server that takes `<starttls/>` step by step, and drops it otherwise.
fn dropping(authority: &Authority) -> Script {
    healthy(authority).before(Stage::Features, &[Step::Discard])
}

fn builder(authority: &Authority) -> ConnectorBuilder {
    Connector::builder().only_roots([authority.root_der()])
}

fn try_to_connect(connector: &Connector, server: &XmppServer) -> Result<Connection, Error> {
    connector.connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), TlsMode::StartTls).unwrap())
}

fn connect(connector: &Connector, server: &XmppServer) -> Report {
    let mut connection = try_to_connect(connector, server).unwrap();
    talk(&mut connection);
    connection.report().clone()
}

fn fail(connector: &Connector, server: &XmppServer) -> Error {
    try_to_connect(connector, server).unwrap_err()
}

fn only_attempt(report: &Report) -> &AttemptReport {
    let [attempt] = report.attempts() else { panic!("{report}") };
    attempt
}

fn repeats(report: &Report) -> Vec<RepeatForm> {
    only_attempt(report).repeats.iter().map(|repeat| repeat.form).collect()
}

/// Whether connection `index` was negotiated step by step. The beginning must have been read.
#[track_caller]
fn is_strict(server: &XmppServer, index: usize) -> bool {
    let first = server.wait_for(index, "the opening", |record| record.clear_reads().first().cloned());
    assert!(SAID.starts_with(&first), "{first}");
    first != SAID
}

// rule F1, D7
#[test]
fn what_may_be_due_to_pipelining_is_repeated_step_by_step_and_remembered() {
    let authority = Authority::new();
    let to = header(DOMAIN);
    let ends_at = |stage, step| healthy(&authority).until(stage).then(step);
    let answers = |answer: &str| says(&authority, &[&[&*to, STARTTLS_FEATURES, answer].concat()]);
    for (bad, why) in [
        (Script::silent().then(Step::AwaitHeader).then(Step::Close), "before its stream header"),
        (ends_at(Stage::Features, Step::Close), "before its stream features"),
        (ends_at(Stage::Proceed, Step::Close), "before <proceed/>"),
        (ends_at(Stage::Features, Step::Reset), "reset"),
        (ends_at(Stage::Proceed, Step::Reset), "reset"),
        (answers("\0junk<"), "not well-formed"),
        (answers("<!-- -->"), "XMPP forbids"),
        (answers(STARTTLS_FEATURES), "second <stream:features/>"),
        (answers("</stream:stream>"), "ended the stream"),
        (answers(&stream_error("unsupported-stanza-type")), "unsupported-stanza-type"),
        (says(&authority, &[&[&*to, PROCEED].concat()]), "<proceed/>"),
        (says(&authority, &[&[&*to, &stream_error("policy-violation")].concat()]), "policy-violation"),
    ] {
        let server = server(vec![bad, healthy(&authority)]);
        let connector = builder(&authority).build().unwrap();
        let report = connect(&connector, &server);
        assert_eq!(repeats(&report), [RepeatForm::StepByStep], "{report}");
        let attempt = only_attempt(&report);
        assert!(attempt.repeats[0].error.to_string().contains(why), "{why}: {report}");
        assert!(report.to_string().contains("  repeated step by step "), "{report}");
        assert!(report.notes().is_empty(), "{report}");
        let is_repeat = |event: &Event| match event.kind {
            EventKind::Repeated { attempt, form, .. } => (attempt, form) == (0, RepeatForm::StepByStep),
            _ => false,
        };
        assert_eq!(report.events().iter().filter(|event| is_repeat(event)).count(), 1, "{report}");
        let stages = attempt.completed.iter().map(|(stage, _)| *stage).collect::<Vec<_>>();
        assert_eq!(stages, [Reached::Tcp, Reached::StartTls, Reached::Tls], "{report}");
        assert!(attempt.completed[0].1 <= attempt.repeats[0].at);
        assert!(attempt.repeats[0].at <= attempt.completed[1].1);
        assert_eq!((server.accepted(), is_strict(&server, 1)), (2, true), "{report}");

        for index in [2, 3] {
            let report = connect(&connector.clone(), &server);
            assert_eq!(repeats(&report), [], "{report}");
            let [note] = report.notes() else { panic!("{report}") };
            assert!(note.contains("step by step, since an earlier negotiation"), "{note}");
            assert!(is_strict(&server, index));
        }
        let report = connect(&builder(&authority).build().unwrap(), &server);
        assert!(report.notes().is_empty() && !is_strict(&server, 4), "another connector knows nothing");
        assert_eq!(server.accepted(), 5);
    }
}

// rule F1
#[test]
fn silence_after_the_features_is_repeated_step_by_step() {
    let authority = Authority::new();
    let server = XmppServer::start(dropping(&authority));
    let connector = builder(&authority).build().unwrap();
    let report = connect(&connector, &server);
    assert_eq!(repeats(&report), [RepeatForm::StepByStep], "{report}");
    let attempt = only_attempt(&report);
    let why = &attempt.repeats[0].error;
    assert!(matches!(why.kind(), AttemptErrorKind::TimedOut(Reached::StartTls)), "{why}");
    assert!(attempt.repeats[0].at - attempt.completed[0].1 >= Duration::from_secs(3), "{report}");
    assert_eq!((repeats(&connect(&connector, &server)), server.accepted()), (vec![], 3));
}

// rule F1
#[test]
fn a_server_that_fails_in_both_forms_fails_after_two_sockets_and_nothing_is_remembered() {
    let authority = Authority::new();
    let ends = |step| healthy(&authority).until(Stage::Proceed).then(Step::AwaitStartTls).then(step);
    let server = server(vec![ends(Step::Close), ends(Step::Reset), ends(Step::Close)]);
    let connector = builder(&authority).build().unwrap();
    for (sockets, why) in [(2, "reset"), (4, "closed the connection")] {
        let error = fail(&connector, &server);
        assert_eq!((error.kind(), server.accepted()), (ErrorKind::Attempts, sockets));
        assert!(chain(&error).contains(why), "{error}");
        let report = error.report().unwrap();
        assert_eq!(repeats(report), [RepeatForm::StepByStep], "{report}");
        assert!(only_attempt(report).repeats[0].error.to_string().contains("closed the connection"));
        assert!(report.to_string().contains("  repeated step by step "), "{report}");
        assert!(!is_strict(&server, sockets - 2) && is_strict(&server, sockets - 1));
    }
}

// rule F1, F2
#[test]
fn a_clear_refusal_and_a_failure_of_the_strict_form_are_not_repeated() {
    let authority = Authority::new();
    let to = header(DOMAIN);
    let closes = healthy(&authority).until(Stage::Proceed).then(Step::Close);
    let answers = |answer: &[&str]| says(&authority, &[&answer.concat()]).until(Stage::Tls).then(Step::Close);
    for (script, pipelining) in [
        (answers(&[&to, STARTTLS_FEATURES, FAILURE]), true),
        (answers(&[&to, SASL_FEATURES, FAILURE]), true),
        (answers(&[&to, SASL_FEATURES, &stream_error("policy-violation")]), true),
        (answers(&[&to, SASL_FEATURES]), true),
        (answers(&[&to, STARTTLS_FEATURES, &stream_error("system-shutdown")]), true),
        (answers(&[&to, &stream_error("host-unknown")]), true),
        (answers(&[&header_without_version(DOMAIN)]), true),
        (answers(&[HTTP]), true),
        (answers(&["\u{15}\u{3}\u{3}"]), true),
        (answers(&[&to, STARTTLS_FEATURES, PROCEED, "<x/>"]), true),
        (closes, false),
    ] {
        let server = XmppServer::start(script);
        let connector = builder(&authority).starttls_pipelining(pipelining).build().unwrap();
        let error = fail(&connector, &server);
        let report = error.report().unwrap();
        assert_eq!((repeats(report), server.accepted()), (vec![], 1), "{report}");
    }
}

// rule F1, D5
#[test]
fn a_silent_server_has_one_limit_for_both_forms() {
    let authority = Authority::new();
    let limit = Duration::from_secs(4);
    let server = XmppServer::start(healthy(&authority).until(Stage::Proceed));
    let error = fail(&builder(&authority).handshake_timeout(limit).build().unwrap(), &server);
    let report = error.report().unwrap();
    let attempt = only_attempt(report);
    let why = attempt.error().unwrap();
    assert!(matches!(why.kind(), AttemptErrorKind::TimedOut(Reached::StartTls)), "{report}");
    assert_eq!((repeats(report), server.accepted()), (vec![RepeatForm::StepByStep], 2), "{report}");
    let [(_, began)] = *attempt.completed else { panic!("{report}") };
    // The repeat starts after 3 s.
    assert!(attempt.ended - began < Duration::from_secs(3) + limit, "{report}");
}

// rule F1
#[test]
fn silence_until_a_shorter_limit_is_remembered_without_a_repeat() {
    let authority = Authority::new();
    let limit = Duration::from_secs(2);
    for connector in [
        builder(&authority).handshake_timeout(limit).build().unwrap(),
        builder(&authority).timeout(limit).build().unwrap(),
    ] {
        let server = XmppServer::start(dropping(&authority));
        let error = fail(&connector, &server);
        assert_eq!((repeats(error.report().unwrap()), server.accepted()), (vec![], 1), "{error}");
        assert_eq!((connect(&connector, &server).notes().len(), server.accepted()), (1, 2));
    }
}

// rule F1, D3
#[test]
fn a_server_that_stays_silent_until_another_has_won_is_used_the_next_time() {
    let authority = Authority::new();
    let (first, second) = (XmppServer::start(dropping(&authority)), XmppServer::start(healthy(&authority)));
    let dns = DnsServer::start(zone(&[(XMPP, 0, first.addr()), (XMPP, 1, second.addr())]));
    // An address that was silent holds the next one back for this long the next time.
    let options = given::builder(&authority, &dns).attempt_delay(Duration::from_secs(1));
    let connector = options.build().unwrap();
    for winner in [&second, &first] {
        assert_eq!(connector.connect(DOMAIN).unwrap().peer_addr(), winner.addr());
    }
    assert_eq!((first.accepted(), second.accepted()), (2, 1));
}

// rule F1, B12
#[test]
fn over_a_stream_of_the_callers_the_next_negotiation_is_strict() {
    let authority = Authority::new();
    let closing = healthy(&authority).until(Stage::Proceed).then(Step::Close);
    // The limit is longer than the wait before a repeat, which is not possible here.
    for (script, why) in [(closing, "closed the connection"), (dropping(&authority), "within 4 s: no answer")]
    {
        let server = server(vec![script, healthy(&authority)]);
        let connector = builder(&authority).handshake_timeout(Duration::from_secs(4)).build().unwrap();
        let secure = || {
            let tcp = TcpStream::connect(server.addr()).unwrap();
            connector.secure(DOMAIN, tcp, TlsMode::StartTls)
        };
        let error = secure().unwrap_err();
        assert!(chain(&error).contains(why), "{}", chain(&error));
        assert_eq!((repeats(error.report().unwrap()), server.accepted()), (vec![], 1), "{error}");
        let mut connection = secure().unwrap();
        talk(&mut connection);
        assert_eq!(connection.report().notes().len(), 1, "{}", connection.report());
        assert!(is_strict(&server, 1));
    }
}

// rule F1, F2, B12
#[test]
fn a_clear_refusal_over_a_stream_of_the_callers_is_not_remembered() {
    let authority = Authority::new();
    let refusing = healthy(&authority).instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(FAILURE)]);
    let server = server(vec![refusing, healthy(&authority)]);
    let connector = builder(&authority).build().unwrap();
    let secure = || {
        let tcp = TcpStream::connect(server.addr()).unwrap();
        connector.secure(DOMAIN, tcp, TlsMode::StartTls)
    };
    secure().unwrap_err();
    assert!(secure().unwrap().report().notes().is_empty());
    assert!(!is_strict(&server, 1));
}

// rule F1, E5a
#[test]
fn each_of_the_two_repeats_is_made_once_in_one_attempt() {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let healthy = || Script::starttls(Arc::clone(&config));
    let closing = healthy().until(Stage::Proceed).then(Step::Close);
    let resetting = healthy().instead(Stage::Tls, &[Step::AwaitHello, Step::Reset]);
    let courses = |last| vec![healthy(), closing.clone(), resetting.clone(), last];
    for (last, is_connected) in [(healthy(), true), (closing.clone(), false), (resetting.clone(), false)] {
        let server = server(courses(last));
        let connector = builder(&authority).build().unwrap();
        connect(&connector, &server);
        let result = try_to_connect(&connector, &server);
        assert_eq!((result.is_ok(), server.accepted()), (is_connected, 4));
        let report = match &result {
            Ok(connection) => connection.report(),
            Err(error) => error.report().unwrap(),
        };
        assert_eq!(repeats(report), [RepeatForm::StepByStep, RepeatForm::WithoutSession], "{report}");
        let shown = report.to_string();
        let place = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words}: {shown}"));
        assert!(
            place("step by step") < place("  STARTTLS ") && place("  STARTTLS ") < place("without a session")
        );
        let negotiated =
            only_attempt(report).completed.iter().filter(|(stage, _)| *stage == Reached::StartTls);
        assert_eq!(negotiated.count(), 1, "{report}");
        assert!(is_strict(&server, 3));
    }
}
