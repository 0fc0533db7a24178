//! Servers that must not get through: what is wrong is told, and the next candidate is tried.

use std::time::Duration;

use xmpp_connect::{ErrorKind, Stage as Reached};

use crate::given::{self, DOMAIN, XMPP, builder, failures, zone};
use crate::support::xmpp::{
    FAILURE, HTTP, PROCEED, SASL_FEATURES, STARTTLS_FEATURES, header, header_without_version, stream_error,
};
use crate::support::{Authority, DnsServer, Script, Stage, Step, XmppServer};
use crate::{assert_refused, healthy, past, says};

// spec F2
#[test]
fn a_refusal_is_the_end_of_the_candidate() {
    assert_refused(
        "<failure/>",
        |authority| healthy(authority).instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(FAILURE)]),
        &["refuses STARTTLS", "<failure/>"],
    );
}

/// Features that offer no STARTTLS.
fn without_offer() -> [String; 3] {
    let other_namespace = STARTTLS_FEATURES.replace("xmpp-tls", "xmpp-other");
    [SASL_FEATURES.to_owned(), "<stream:features/>".to_owned(), other_namespace]
}

// spec F2
#[test]
fn starttls_is_asked_for_without_an_offer_and_what_refuses_it_is_the_end_of_the_candidate() {
    let not_offered = "did not offer STARTTLS on this port, or the offer was removed on the way";
    for features in without_offer() {
        for answer in [
            vec![Step::send(FAILURE)],
            vec![Step::send(stream_error("policy-violation"))],
            vec![Step::send("</stream:stream>")],
            vec![Step::Close],
        ] {
            let steps: Vec<_> = [Step::AwaitStartTls].into_iter().chain(answer).collect();
            assert_refused(
                &features,
                |authority| {
                    healthy(authority)
                        .instead(Stage::Features, &[Step::send(&*features)])
                        .instead(Stage::Proceed, &steps)
                        .until(Stage::Tls)
                },
                &[not_offered],
            );
        }
    }
    // Silence, and bytes that drip.
    let drip = [Step::AwaitStartTls, Step::Drip(Duration::from_millis(10)), Step::SendForEver(b" ".to_vec())];
    for steps in [&[][..], &drip] {
        assert_refused(
            "silence",
            |authority| {
                let features = Step::send(SASL_FEATURES);
                healthy(authority)
                    .instead(Stage::Features, &[features])
                    .instead(Stage::Proceed, steps)
                    .until(Stage::Tls)
            },
            &[not_offered],
        );
    }
}

// spec F2, D7
#[test]
fn what_is_accepted_without_an_offer_is_secured_and_the_report_says_so() {
    let authority = Authority::new();
    for pipelining in [true, false] {
        for features in without_offer() {
            let script = healthy(&authority).instead(Stage::Features, &[Step::send(features)]);
            let server = XmppServer::start(script);
            let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
            let options = builder(&authority, &dns).starttls_pipelining(pipelining);
            let mut connection = options.build().unwrap().connect(DOMAIN).unwrap();
            let report = connection.report();
            let [note] = report.notes() else { panic!("{report}") };
            assert!(note.starts_with(&server.addr().to_string()), "{note}");
            assert!(note.contains("accepted STARTTLS without offering it"), "{note}");
            given::talk(&mut connection);
        }
    }
}

// spec F2, F5
#[test]
fn a_stream_error_is_told_with_its_condition() {
    let to = header(DOMAIN);
    for (condition, words) in [
        ("host-unknown", "does not serve this domain"),
        ("policy-violation", "stream error policy-violation"),
        ("system-shutdown", "stream error system-shutdown"),
    ] {
        let error = stream_error(condition);
        assert_refused(condition, |authority| says(authority, &[&to, &error]), &[condition, words]);
        assert_refused(condition, |authority| says(authority, &[&(to.clone() + &error)]), &[condition]);
        assert_refused(
            "instead of proceed",
            |authority| says(authority, &[&to, STARTTLS_FEATURES, &error]),
            &[condition],
        );
    }
}

// spec F5
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

// spec F2
#[test]
fn a_header_without_version_1_0_is_the_end_of_the_candidate() {
    let without = header_without_version(DOMAIN);
    assert_refused(
        "no version",
        |authority| says(authority, &[&without, STARTTLS_FEATURES, PROCEED]),
        &["no version"],
    );
    assert_refused(
        "no version, all in one write",
        |authority| says(authority, &[&[&without, STARTTLS_FEATURES, PROCEED].concat()]),
        &["no version"],
    );
    let old = header(DOMAIN).replace("version='1.0' xml:lang", "version='0.9' xml:lang");
    assert_refused("0.9", |authority| says(authority, &[&old, STARTTLS_FEATURES, PROCEED]), &["'0.9'"]);
}

// spec F2, F5
#[test]
fn a_stream_error_behind_a_header_without_version_says_why() {
    let without = header_without_version(DOMAIN);
    let error = stream_error("host-unknown");
    assert_refused(
        "in one write",
        |authority| says(authority, &[&[&*without, &error].concat()]),
        &["host-unknown"],
    );
    for cut in [0, 1, error.len() / 2, error.len() - 20] {
        let (one, other) = error.split_at(cut);
        let one = [&*without, one].concat();
        let drip = Step::Drip(Duration::from_millis(1));
        let steps = [Step::AwaitHeader, Step::send(one), drip, Step::send(other)];
        assert_refused(
            "in pieces",
            |authority| healthy(authority).instead(Stage::Header, &steps),
            &["host-unknown"],
        );
    }
}

// spec F2
#[test]
fn a_header_without_version_is_the_error_when_nothing_follows() {
    let without = header_without_version(DOMAIN);
    let closed = [Step::AwaitHeader, Step::send(&*without), Step::Close];
    let silent = [Step::AwaitHeader, Step::send(&*without), Step::Silence];
    let dripping = [Step::AwaitHeader, Step::send(&*without), Step::Drip(Duration::from_millis(10))];
    let dripping = [&dripping[..], &[Step::SendForEver(b" ".to_vec())]].concat();
    for steps in [&closed[..], &silent, &dripping] {
        assert_refused(
            "no version",
            |authority| healthy(authority).instead(Stage::Header, steps),
            &["has no version"],
        );
    }
}

// spec F2
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
        let stream_end = |authority: &Authority| {
            let closing = Step::send("</stream:stream>");
            healthy(authority).until(until).then(closing).then(Step::Close)
        };
        if until != Stage::Header {
            assert_refused(place, stream_end, &["ended the stream", place]);
        }
    }
}

// spec F2, D3
#[test]
fn a_reset_at_any_place_is_followed_by_the_next_candidate() {
    let authority = Authority::new();
    for until in [Stage::Header, Stage::Features, Stage::Proceed, Stage::Tls] {
        let (connection, _) = past(&authority, healthy(&authority).until(until).then(Step::Reset), true);
        assert_eq!(failures(connection.report()).len(), 1, "{until:?}: {}", connection.report());
    }
}

// spec F2, D3
#[test]
fn the_end_behind_proceed_is_followed_by_the_next_candidate() {
    let authority = Authority::new();
    let (connection, _) = past(&authority, healthy(&authority).until(Stage::Tls).then(Step::Close), true);
    let failures = failures(connection.report());
    // The end may come together with <proceed/> or after our ClientHello has left.
    let (stage, why) = &failures[0];
    let expected = match stage {
        Reached::Tls => "the server closed the connection within the TLS handshake",
        _ => "the server closed the connection after <proceed/>",
    };
    assert_eq!(why, expected);
}

// spec F2
#[test]
fn what_is_not_xmpp_is_told_by_what_it_looks_like() {
    let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 70];
    for (greeting, looks_like) in [
        (HTTP.as_bytes(), "HTTP"),
        (b"<!DOCTYPE html>\n<html>", "HTTP"),
        (alert, "TLS"),
        (b"220 mail.example ESMTP\r\n", "SMTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "begins with SSH-2.0"),
        (b"\x05\xff", "begins with \\x05\\xff"),
    ] {
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

// spec F2, B7
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
