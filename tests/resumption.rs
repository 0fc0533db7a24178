//! Tests of resumption: only at the server that issued the session, and servers that cannot resume are no obstacle.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it opens a stream as a caller does, and what cannot be set up fails its test"
)]

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::io::{ErrorKind as IoErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use xmpp_connect::report::Report;
use xmpp_connect::report::Stage as ReportStage;
use xmpp_connect::{Connection, Connector, ConnectorBuilder, ErrorKind, Target, TlsMode};

use given::{DOMAIN, talk};
use support::{Authority, DnsServer, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];
/// The TLS records of fatal alerts (RFC 8446 section 6).
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];
const CERTIFICATE_UNKNOWN: [u8; 7] = [21, 3, 3, 0, 2, 2, 46];

/// A server at one port with a behaviour for each connection; the last one is repeated.
fn server(courses: Vec<Script>) -> XmppServer {
    XmppServer::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), courses)
}

fn healthy(config: &Arc<ServerConfig>, mode: TlsMode) -> Script {
    match mode {
        TlsMode::Direct => Script::direct(Arc::clone(config)),
        TlsMode::StartTls => Script::starttls(Arc::clone(config)),
    }
}

/// A server that does this when it has seen the `ClientHello`.
fn failing(config: &Arc<ServerConfig>, mode: TlsMode, steps: &[Step]) -> Script {
    let steps = [&[Step::AwaitHello], steps].concat();
    healthy(config, mode).instead(Stage::Tls, &steps)
}

/// The servers of these tests share their keys for tickets where they share a configuration.
fn configs(authority: &Authority, names: &[&str]) -> [Arc<ServerConfig>; 2] {
    let tls = || ServerTls::new(authority.issue(names));
    [tls().only_tls12().config(), tls().only_tls13().config()]
}

fn builder(authority: &Authority) -> ConnectorBuilder {
    Connector::builder().only_roots([authority.root_der()])
}

fn connect(connector: &Connector, server: &XmppServer, mode: TlsMode) -> Connection {
    let mut connection =
        connector.connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap()).unwrap();
    talk(&mut connection);
    connection
}

/// The report of a connect that fails.
fn fail(connector: &Connector, server: &XmppServer, mode: TlsMode) -> (ErrorKind, Report) {
    let error =
        connector.connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap()).unwrap_err();
    (error.kind(), error.report().unwrap().clone())
}

/// Why the first try of the only attempt failed.
fn repeated(report: &Report) -> Option<String> {
    let [attempt] = report.attempts() else { panic!("{report}") };
    attempt.repeats.first().map(|repeat| repeat.error.to_string())
}

// rule E5a, E8
#[test]
fn a_handshake_that_fails_with_a_session_is_repeated_without_one() {
    let authority = Authority::new();
    for (steps, why) in [
        (vec![Step::SendRaw(INTERNAL_ERROR.to_vec()), Step::Close], "alert"),
        (vec![Step::Close], "closed the connection"),
        (vec![Step::Reset], "reset"),
        (vec![Step::SendRaw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Step::Close], "TLS"),
    ] {
        for mode in MODES {
            for config in configs(&authority, &[DOMAIN]) {
                let healthy = healthy(&config, mode);
                let server = server(vec![healthy.clone(), failing(&config, mode, &steps), healthy]);
                let connector = builder(&authority).build().unwrap();
                assert_eq!(repeated(connect(&connector, &server, mode).report()), None);

                let connection = connect(&connector, &server, mode);
                let report = connection.report();
                assert!(repeated(report).unwrap().contains(why), "{report}");
                assert!(report.to_string().contains("repeated without a session"), "{report}");
                let [attempt] = report.attempts() else { panic!("{report}") };
                let stages = attempt.completed.iter().map(|(stage, _)| *stage).collect::<Vec<_>>();
                let negotiated = (mode == TlsMode::StartTls).then_some(ReportStage::StartTls);
                let expected = [Some(ReportStage::Tcp), negotiated, Some(ReportStage::Tls)];
                assert_eq!(stages, expected.into_iter().flatten().collect::<Vec<_>>());
                assert!(!connection.is_resumed());
                assert_eq!(server.accepted(), 3, "{report}");

                // The session of the repeat is like any other.
                assert!(connect(&connector, &server, mode).is_resumed());
                assert_eq!(server.accepted(), 4);
            }
        }
    }
}

// rule E5a
#[test]
fn a_server_that_always_fails_fails_its_candidate_after_one_repeat() {
    let authority = Authority::new();
    for mode in MODES {
        for config in configs(&authority, &[DOMAIN]) {
            let alert = [Step::SendRaw(INTERNAL_ERROR.to_vec()), Step::Close];
            let (alert, reset) = (failing(&config, mode, &alert), failing(&config, mode, &[Step::Reset]));
            let server = server(vec![healthy(&config, mode), alert, reset]);
            let connector = builder(&authority).build().unwrap();
            connect(&connector, &server, mode);
            let (kind, report) = fail(&connector, &server, mode);
            assert_eq!((kind, server.accepted()), (ErrorKind::Attempts, 3));
            assert!(repeated(&report).unwrap().contains("alert"), "{report}");
            let [attempt] = report.attempts() else { panic!("{report}") };
            assert!(attempt.error().unwrap().to_string().contains("reset"), "{report}");
            // The session is forgotten, so there is none to repeat without.
            let (_, report) = fail(&connector, &server, mode);
            assert_eq!((repeated(&report), server.accepted()), (None, 4), "{report}");
        }
    }
}

// rule E5a
#[test]
fn a_server_that_fails_again_and_again_is_offered_no_session_any_more() {
    let authority = Authority::new();
    for config in configs(&authority, &[DOMAIN]) {
        let mode = TlsMode::Direct;
        let (healthy, reset) = (healthy(&config, mode), failing(&config, mode, &[Step::Reset]));
        let course = [&healthy, &reset, &healthy, &reset, &healthy, &healthy].map(Clone::clone);
        let server = server(course.to_vec());
        let connector = builder(&authority).build().unwrap();
        let accepted = [1, 3, 5, 6, 7].map(|accepted| {
            connect(&connector, &server, mode);
            (accepted, server.accepted())
        });
        assert!(accepted.iter().all(|(expected, is)| expected == is), "{accepted:?}");
    }
}

// rule E5a
#[test]
fn a_certificate_that_is_to_blame_is_no_reason_to_repeat() {
    let authority = Authority::new();
    let mode = TlsMode::Direct;
    for config in configs(&authority, &[DOMAIN]) {
        let refusal = [Step::SendRaw(CERTIFICATE_UNKNOWN.to_vec()), Step::Close];
        let server = server(vec![healthy(&config, mode), failing(&config, mode, &refusal)]);
        let connector = builder(&authority).build().unwrap();
        connect(&connector, &server, mode);
        let (_, report) = fail(&connector, &server, mode);
        assert_eq!((repeated(&report), server.accepted()), (None, 2), "{report}");
    }
    for (good, wrong) in configs(&authority, &[DOMAIN]).iter().zip(configs(&authority, &["wrong.example"])) {
        let server = server(vec![healthy(good, mode), healthy(&wrong, mode)]);
        let connector = builder(&authority).build().unwrap();
        connect(&connector, &server, mode);
        let (kind, report) = fail(&connector, &server, mode);
        assert_eq!((kind, repeated(&report), server.accepted()), (ErrorKind::Untrusted, None, 2), "{report}");
    }
}

// rule E5a, B12
#[test]
fn over_a_stream_of_the_callers_the_next_handshake_is_full() {
    let authority = Authority::new();
    for mode in MODES {
        for config in configs(&authority, &[DOMAIN]) {
            let healthy = healthy(&config, mode);
            let reset = failing(&config, mode, &[Step::Reset]);
            let server = server(vec![healthy.clone(), reset, healthy]);
            let connector = builder(&authority).build().unwrap();
            let secure = || connector.secure(DOMAIN, TcpStream::connect(server.addr()).unwrap(), mode);
            talk(&mut secure().unwrap());
            let error = secure().unwrap_err();
            assert_eq!((error.kind(), server.accepted()), (ErrorKind::Attempts, 2));
            for resumed in [false, true] {
                let mut connection = secure().unwrap();
                assert_eq!(connection.is_resumed(), resumed);
                talk(&mut connection);
            }
        }
    }
}

// rule E5a: a repeat does not extend the limit.
#[test]
fn a_repeat_runs_into_the_limit_of_its_stage_and_silence_is_a_failure_too() {
    let authority = Authority::new();
    let limit = Duration::from_secs(1);
    for mode in MODES {
        for config in configs(&authority, &[DOMAIN]) {
            let (healthy, silent) = (healthy(&config, mode), failing(&config, mode, &[Step::Silence]));
            let reset = failing(&config, mode, &[Step::Reset]);
            let server =
                server(vec![healthy.clone(), reset, silent.clone(), healthy.clone(), silent, healthy]);
            let connector = builder(&authority).handshake_timeout(limit).build().unwrap();
            connect(&connector, &server, mode);
            let (_, report) = fail(&connector, &server, mode);
            let [attempt] = report.attempts() else { panic!("{report}") };
            let (stage, began) = *attempt.completed.last().unwrap();
            assert_eq!(
                (attempt.completed.len(), stage),
                match mode {
                    TlsMode::Direct => (1, ReportStage::Tcp),
                    TlsMode::StartTls => (2, ReportStage::StartTls),
                }
            );
            assert!(repeated(&report).is_some() && attempt.ended - began < limit * 3, "{report}");

            connect(&connector, &server, mode);
            let (_, report) = fail(&connector, &server, mode);
            assert_eq!(repeated(&report), None, "{report}");
            assert!(!connect(&connector, &server, mode).is_resumed(), "the session is offered for ever");
            assert_eq!(server.accepted(), 6);
        }
    }
}

// rule E5a
#[test]
fn silence_until_the_total_limit_is_a_failure_too() {
    let authority = Authority::new();
    let mode = TlsMode::Direct;
    for config in configs(&authority, &[DOMAIN]) {
        let (healthy, silent) = (healthy(&config, mode), failing(&config, mode, &[Step::Silence]));
        let server = server(vec![healthy.clone(), silent, healthy]);
        let connector = builder(&authority).timeout(Duration::from_secs(1)).build().unwrap();
        connect(&connector, &server, mode);
        assert_eq!(fail(&connector, &server, mode).0, ErrorKind::TimedOut);
        assert!(!connect(&connector, &server, mode).is_resumed());
    }
}

// rule G1a, E5a: under TLS 1.3 the server may refuse after our handshake is complete.
#[test]
fn a_session_whose_connection_fails_before_the_server_has_said_anything_is_forgotten() {
    let authority = Authority::new();
    for config in configs(&authority, &[DOMAIN]) {
        for mode in MODES {
            let junk = Step::SendRaw([&[23, 3, 3, 0, 32][..], &[7; 32]].concat());
            for (steps, kind, resumes) in [
                (vec![Step::Close], IoErrorKind::UnexpectedEof, false),
                (vec![Step::Reset], IoErrorKind::ConnectionReset, false),
                (vec![junk], IoErrorKind::InvalidData, false),
                (vec![Step::send("x"), Step::Close], IoErrorKind::UnexpectedEof, true),
            ] {
                let healthy = healthy(&config, mode);
                let cut = healthy.clone().until(Stage::SecureHeader);
                let cut = steps.iter().cloned().fold(cut, Script::then);
                let server = server(vec![healthy.clone(), cut, healthy]);
                let connector = builder(&authority).build().unwrap();
                connect(&connector, &server, mode);
                let mut connection = connector
                    .connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap())
                    .unwrap();
                assert!(connection.is_resumed());
                connection.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(connection.read_to_end(&mut Vec::new()).unwrap_err().kind(), kind);
                assert_eq!(connect(&connector, &server, mode).is_resumed(), resumes, "{kind:?}");
            }
        }
    }
}

// rule G1a, E5a
#[test]
fn a_session_whose_connection_ends_before_the_server_has_said_anything_is_forgotten() {
    let authority = Authority::new();
    for config in configs(&authority, &[DOMAIN]) {
        for mode in MODES {
            // Whoever has ended the connection himself is not surprised that nothing comes.
            for (steps, is_shut_down, resumes) in
                [(vec![], false, false), (vec![], true, true), (vec![Step::send("x")], false, true)]
            {
                let healthy = healthy(&config, mode);
                let ended =
                    steps.iter().cloned().fold(healthy.clone().until(Stage::SecureHeader), Script::then);
                let ended = ended.then(Step::CloseNotify).then(Step::Close);
                let server = server(vec![healthy.clone(), ended, healthy]);
                let connector = builder(&authority).build().unwrap();
                connect(&connector, &server, mode);
                let mut connection = connector
                    .connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap())
                    .unwrap();
                assert!(connection.is_resumed());
                connection.set_read_timeout(Some(PATIENCE)).unwrap();
                if is_shut_down {
                    connection.shutdown().unwrap();
                }
                // With no room for data, nothing that comes of a read says anything.
                assert_eq!(connection.read(&mut []).unwrap(), 0);
                assert_eq!(connection.read_to_end(&mut Vec::new()).unwrap(), steps.len());
                assert_eq!(
                    connect(&connector, &server, mode).is_resumed(),
                    resumes,
                    "{steps:?} {is_shut_down}"
                );
            }
        }
    }
}

// rule E5a, D3
#[test]
fn a_server_that_falls_silent_when_it_is_offered_a_session_is_used_again_though_another_has_won() {
    let authority = Authority::new();
    for mode in MODES {
        for config in configs(&authority, &[DOMAIN]) {
            let (healthy, silent) = (healthy(&config, mode), failing(&config, mode, &[Step::Silence]));
            let first = server(vec![healthy.clone(), silent, healthy.clone()]);
            let second = server(vec![healthy]);
            let dns = DnsServer::start(given::zone(&[
                (given::owner(mode), 1, first.addr()),
                (given::owner(mode), 2, second.addr()),
            ]));
            let connector = given::connector(&authority, &dns);
            let winners = [&first, &second, &first, &first].map(|winner| {
                let mut connection = connector.connect(DOMAIN).unwrap();
                talk(&mut connection);
                (connection.peer_addr(), winner.addr(), connection.is_resumed())
            });
            assert!(winners.iter().all(|(is, expected, _)| is == expected), "{winners:?}");
            assert_eq!(winners.map(|(_, _, resumed)| resumed), [false, false, false, true]);
        }
    }
}

// rule E8
#[test]
fn sessions_do_not_cross_targets_ports_modes_or_domains() {
    const OTHER: &str = "other.example";
    let authority = Authority::new();
    for config in configs(&authority, &[DOMAIN, OTHER]) {
        // Both accept each other's tickets, and alternate their modes.
        let both = |first, second| server(vec![healthy(&config, first), healthy(&config, second)]);
        let [direct, starttls] = MODES;
        let (one, other) = (both(direct, direct), both(direct, direct));
        let changing =
            server([direct, starttls, direct, starttls].map(|mode| healthy(&config, mode)).to_vec());
        let connector = builder(&authority).build().unwrap();
        let resumed = |domain: &str, host: &str, server: &XmppServer, mode| {
            let mut connection =
                connector.connect_to(domain, Target::new(host, server.port(), mode).unwrap()).unwrap();
            talk(&mut connection);
            connection.is_resumed()
        };
        assert!(!resumed(DOMAIN, "127.0.0.1", &one, direct));
        assert!(!resumed(DOMAIN, "127.0.0.1", &other, direct), "another port");
        assert!(!resumed(DOMAIN, "localhost", &one, direct), "another target");
        assert!(!resumed(OTHER, "127.0.0.1", &one, direct), "another domain");
        for known in [false, true] {
            assert_eq!(resumed(DOMAIN, "127.0.0.1", &changing, direct), known, "another port, and then back");
            assert_eq!(
                resumed(DOMAIN, "127.0.0.1", &changing, starttls),
                known,
                "another mode, and then back"
            );
        }
        for (domain, host, server) in [
            (DOMAIN, "127.0.0.1", &one),
            (DOMAIN, "127.0.0.1", &other),
            (DOMAIN, "localhost", &one),
            (OTHER, "127.0.0.1", &one),
        ] {
            assert!(resumed(domain, host, server, direct), "{domain} at {host}");
        }
    }
}

// rule E8
#[test]
fn resumption_can_be_switched_off() {
    let authority = Authority::new();
    for mode in MODES {
        for config in configs(&authority, &[DOMAIN]) {
            let server = server(vec![healthy(&config, mode)]);
            let connector = builder(&authority).resumption(false).build().unwrap();
            for _ in 0..2 {
                assert!(!connect(&connector, &server, mode).is_resumed());
            }
        }
    }
}
