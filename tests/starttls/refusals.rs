//! Tests of servers that must be refused: the error says what is wrong, and the next candidate is tried.

use std::time::Duration;

use xmpp_connect::ErrorKind;
use xmpp_connect::report::{AttemptError, AttemptErrorKind, Stage as Reached};

use crate::given::{self, DOMAIN, XMPP, builder, failures, zone};
use crate::support::xmpp::{
    FAILURE, HTTP, PROCEED, SASL_FEATURES, STARTTLS_FEATURES, header, header_without_version, stream_error,
};
use crate::support::{Authority, DnsServer, Script, Stage, Step, XmppServer};
use crate::{assert_refused, healthy, past, says};

// rule F2, F4, F5
#[test]
fn what_is_wrong_is_the_end_of_the_candidate_and_told() {
    let to = header(DOMAIN);
    for (answer, words) in [
        ([&*to, &stream_error("host-unknown")].concat(), ["host-unknown", "does not serve this domain"]),
        ([&header_without_version(DOMAIN), STARTTLS_FEATURES, PROCEED].concat(), ["no version", "header"]),
        (format!("{to}<!-- hello -->{STARTTLS_FEATURES}"), ["the server sent", "XMPP forbids"]),
        (format!("{to}<stream:other/>"), ["the server sent", "<other>"]),
    ] {
        assert_refused(&answer, |authority| says(authority, &[&answer]), &words);
    }
    for (features, answer, words) in [
        (STARTTLS_FEATURES, FAILURE.to_owned(), ["refused STARTTLS", "<failure/>"]),
        (STARTTLS_FEATURES, stream_error("system-shutdown"), ["stream error", "system-shutdown"]),
        (SASL_FEATURES, FAILURE.to_owned(), ["did not offer STARTTLS", "in transit"]),
    ] {
        let proceed = [Step::AwaitStartTls, Step::send(answer)];
        assert_refused(
            features,
            |authority| {
                let features = [Step::send(features)];
                healthy(authority).instead(Stage::Features, &features).instead(Stage::Proceed, &proceed)
            },
            &words,
        );
    }
}

// rule F2
#[test]
fn neither_silence_nor_dripping_instead_of_an_answer_is_waited_for() {
    let without = [Step::AwaitHeader, Step::send(header_without_version(DOMAIN)), Step::Silence];
    assert_refused(
        "silence",
        |authority| healthy(authority).instead(Stage::Header, &without),
        &["has no version"],
    );
    let drip = [Step::AwaitStartTls, Step::Drip(Duration::from_millis(10)), Step::SendForEver(b" ".to_vec())];
    assert_refused(
        "dripping",
        |authority| {
            let features = [Step::send(SASL_FEATURES)];
            healthy(authority).instead(Stage::Features, &features).instead(Stage::Proceed, &drip)
        },
        &["did not offer STARTTLS"],
    );
}

// rule F2, D7
#[test]
fn what_is_accepted_without_an_offer_is_secured_and_the_report_says_so() {
    let authority = Authority::new();
    for pipelining in [true, false] {
        let script = healthy(&authority).instead(Stage::Features, &[Step::send(SASL_FEATURES)]);
        let server = XmppServer::start(script);
        let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
        let options = builder(&authority, &dns).starttls_pipelining(pipelining);
        let mut connection = options.build().unwrap().connect(DOMAIN).unwrap();
        let report = connection.report();
        let [note] = report.notes() else { panic!("{report}") };
        assert!(note.starts_with(&server.addr().to_string()), "{note}");
        assert!(note.contains("accepted STARTTLS without offering it"), "{note}");
        assert!(report.attempts()[0].is_unoffered);
        given::talk(&mut connection);
    }
}

// rule F5
#[test]
fn see_other_host_is_told_and_not_followed_before_tls() {
    let elsewhere = XmppServer::start(Script::silent());
    let error = stream_error("see-other-host").replace(
        "xmpp-streams'/>",
        &format!("xmpp-streams'>127.0.0.1:{}</see-other-host>", elsewhere.port()),
    );
    let host = elsewhere.addr().to_string();
    assert_refused(
        "see-other-host",
        |authority| says(authority, &[&header(DOMAIN), &error]),
        &["see-other-host", &host, "not followed"],
    );
    assert_eq!(elsewhere.accepted(), 0);
}

// rule F2
#[test]
fn the_end_of_the_connection_is_told_with_its_place() {
    for (until, place) in [
        (Stage::Header, "before its stream header"),
        (Stage::Features, "before its stream features"),
        (Stage::Proceed, "before <proceed/>"),
    ] {
        assert_refused(
            place,
            |authority| healthy(authority).until(until).then(Step::Close),
            &["closed", place],
        );
    }
}

// rule F2, D3
#[test]
fn a_reset_at_any_place_is_followed_by_the_next_candidate() {
    let authority = Authority::new();
    for until in [Stage::Header, Stage::Features, Stage::Proceed, Stage::Tls] {
        let (connection, _) = past(&authority, healthy(&authority).until(until).then(Step::Reset), true);
        assert_eq!(failures(connection.report()).len(), 1, "{until:?}: {}", connection.report());
    }
}

// rule F2, D3
#[test]
fn the_end_behind_proceed_is_followed_by_the_next_candidate() {
    let authority = Authority::new();
    let (connection, _) = past(&authority, healthy(&authority).until(Stage::Tls).then(Step::Close), true);
    let failures = failures(connection.report());
    // The end may come together with <proceed/>, or after our ClientHello is sent.
    let (stage, why) = &failures[0];
    let expected = match stage {
        Reached::Tls => "the server closed the connection during the TLS handshake",
        _ => "the server closed the connection after <proceed/>",
    };
    assert_eq!(why, expected);
}

// rule F2
#[test]
fn what_is_not_xmpp_is_told_by_what_it_looks_like() {
    let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 70];
    for (greeting, looks_like) in [(HTTP.as_bytes(), "HTTP"), (alert, "TLS"), (b"\x05\xff", "\\x05\\xff")] {
        // As a greeting, and as an answer.
        assert_refused(
            looks_like,
            |authority| healthy(authority).before(Stage::Header, &[Step::send(greeting)]),
            &["not XMPP", looks_like],
        );
        assert_refused(
            looks_like,
            |authority| {
                let answer = [Step::AwaitHeader, Step::send(greeting), Step::Close];
                healthy(authority).instead(Stage::Header, &answer)
            },
            &["not XMPP", looks_like],
        );
    }
}

// rule F2, B7
#[test]
fn when_no_server_does_starttls_the_error_says_why() {
    let authority = Authority::new();
    let script = healthy(&authority)
        .instead(Stage::Features, &[Step::send(SASL_FEATURES)])
        .instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(FAILURE)]);
    let server = XmppServer::start(script);
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    let error = builder(&authority, &dns).build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    assert!(given::chain(&error).contains("did not offer STARTTLS"), "{}", given::chain(&error));
    assert!(error.report().unwrap().to_string().contains("STARTTLS failed"));
}

// rule F2: a server that closes without having read all that was sent to it resets the connection.
#[test]
fn a_reset_behind_features_without_an_offer_says_that_nothing_was_offered() {
    let authority = Authority::new();
    let script = healthy(&authority)
        .instead(Stage::Features, &[Step::send(SASL_FEATURES)])
        .instead(Stage::Proceed, &[Step::AwaitStartTls, Step::Reset]);
    let (connection, _) = past(&authority, script, false);
    let [(_, text)] = &*failures(connection.report()) else { panic!("{}", connection.report()) };
    assert!(text.contains("did not offer STARTTLS"), "{text}");
}

// rule F3
#[test]
fn injected_bytes_are_an_error_of_their_own_kind() {
    let authority = Authority::new();
    let injected = [Step::AwaitStartTls, Step::send(format!("{PROCEED}<iq/>"))];
    let (connection, _) = past(&authority, healthy(&authority).instead(Stage::Proceed, &injected), false);
    let attempt = &connection.report().attempts()[0];
    assert!(!attempt.is_unoffered);
    let kind = attempt.error().map(AttemptError::kind);
    assert!(matches!(kind, Some(AttemptErrorKind::InjectedBytes)), "{}", connection.report());
}
