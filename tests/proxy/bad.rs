//! Tests of proxies that refuse, lie, drip, or are dead: what the error says, and when it comes.

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use xmpp_connect::report::{AttemptErrorKind, ProxyFailure, Stage};
use xmpp_connect::{Error, ErrorKind, Policy, Target};

use super::support::{After, BlackHole, PATIENCE, Refused};
use super::*;
use crate::given::chain;

/// The limit of the stage of the proxy.
const LIMIT: Duration = Duration::from_millis(300);
/// What is added on a slow machine.
const ROOM: Duration = Duration::from_secs(10);

/// The error of a connect to a server in direct TLS or STARTTLS through a proxy that behaves like this. `limit` is that of
/// the stage of the proxy.
fn error_within(limit: Duration, script: ProxyScript, tls: TlsMode, credentials: Option<&str>) -> Error {
    let authority = Authority::new();
    let server = XmppServer::start(self::script(authority.server(&[DOMAIN]), tls));
    let proxy = ProxyServer::start(script);
    let url = credentials.map_or_else(|| proxy.url(), |credentials| proxy.url_with(credentials));
    let builder = Connector::builder().only_roots([authority.root_der()]).proxy(url.parse().unwrap());
    let connector = builder.handshake_timeout(limit).timeout(Duration::MAX).build().unwrap();
    let target = Target::new("host.example.org", server.port(), tls).unwrap();
    let started = Instant::now();
    let error = connector.connect_to(DOMAIN, target).unwrap_err();
    assert!(started.elapsed() < limit + ROOM, "{error:?}");
    error
}

/// The same, where the limit is not reached.
fn error_with(script: ProxyScript, tls: TlsMode, credentials: Option<&str>) -> Error {
    error_within(PATIENCE, script, tls, credentials)
}

fn error(script: ProxyScript) -> Error {
    error_with(script, TlsMode::Direct, None)
}

/// The error where the limit is reached.
fn late(script: ProxyScript) -> Error {
    error_within(LIMIT, script, TlsMode::Direct, None)
}

/// The failure of the proxy, and the stage.
fn failure(error: &Error) -> (Option<ProxyFailure>, Stage) {
    let attempts = error.report().unwrap().attempts();
    let attempt = &attempts[attempts.len() - 1];
    let failure = match attempt.error().unwrap().kind() {
        AttemptErrorKind::Proxy(failure) => Some(failure),
        _ => None,
    };
    (failure, attempt.stage)
}

fn expect(error: &Error, expected: Option<ProxyFailure>, stage: Stage, words: &str) {
    let text = chain(error);
    assert_eq!(failure(error), (expected, stage), "{text}");
    assert!(text.contains(words), "{text}");
    assert!(text.lines().count() == 1 && text.len() < 1_000, "{text}");
}

// rule B13
#[test]
fn a_proxy_that_refuses_says_why() {
    for (reply, words) in [
        (1, "general failure"),
        (2, "its rules do not allow it"),
        (3, "no route to the network"),
        (4, "no route to the host"),
        (5, "connection refused"),
        (6, "TTL expired"),
        (7, "command not supported"),
        (8, "this type of address"),
        (99, "reply 99"),
    ] {
        let refusal = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
        for after in [After::Close, After::Silence] {
            let error = error(ProxyScript::socks5().answer(&refusal, after));
            expect(&error, Some(ProxyFailure::Refused), Stage::Proxy, words);
            assert_eq!(error.kind(), ErrorKind::Attempts);
            assert!(error.to_string().starts_with("no server of example.org could be reached"), "{error}");
        }
    }
    for (answer, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "it answered 403 \"Forbidden\"; many proxies allow few ports"),
        ("HTTP/1.1 503 \x1b[31mred\r\n\r\n", "it answered 503 \"\\u{1b}[31mred\""),
        ("HTTP/1.0 405\r\n", "it answered 405;"),
        ("HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n", "it answered 302 \"Found\""),
    ] {
        let error = error(ProxyScript::http().answer(answer.as_bytes(), After::Silence));
        expect(&error, Some(ProxyFailure::Refused), Stage::Proxy, words);
    }
}

// rule B13
#[test]
fn a_proxy_that_refuses_the_credentials_is_asked_once() {
    for (script, given, words) in [
        (ProxyScript::socks5(), None, "the proxy requires credentials"),
        (ProxyScript::socks5(), Some("user:wrong"), "the proxy refused the user or the password"),
        (ProxyScript::http(), None, "the proxy requires credentials (407)"),
        (ProxyScript::http(), Some("user:wrong"), "the proxy refused the user or the password (407)"),
    ] {
        let error = error_with(script.clone().credentials("user", "right"), TlsMode::Direct, given);
        expect(&error, Some(ProxyFailure::Credentials), Stage::Proxy, words);
        assert_eq!((error.kind(), error.is_permanent()), (ErrorKind::Configuration, true));
        assert!(!format!("{error:?}{}", error.report().unwrap()).contains("wrong"));

        // With DNS through the proxy, and with many servers.
        let bed = Bed::new(TlsMode::Direct, script.credentials("user", "right"));
        let url = given.map_or_else(|| bed.proxy.url(), |given| bed.proxy.url_with(given));
        let error = bed.builder_at(&url).build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!((error.kind(), bed.proxy.requests().len()), (ErrorKind::Configuration, 1), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = error(ProxyScript::socks5().method(&[5, 1]));
    expect(&error, Some(ProxyFailure::Protocol), Stage::Proxy, "method 1, which was not offered");
}

// rule B13
#[test]
fn what_is_no_such_proxy_is_said_to_be_none() {
    let http = ProxyScript::socks5().method(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(&error(http), Some(ProxyFailure::Protocol), Stage::Proxy, "no SOCKS5 proxy: it answers in HTTP");
    let socks = ProxyScript::http().answer(&[5, 0xff], After::Close);
    expect(&error(socks), Some(ProxyFailure::Protocol), Stage::Proxy, "no HTTP proxy: it answers in SOCKS5");
    let tls = ProxyScript::http().answer(b"\x15\x03\x01\0\x02\x02\x46", After::Silence);
    expect(&error(tls), Some(ProxyFailure::Protocol), Stage::Proxy, "it answers in TLS");
    // A server of XMPP behind the wrong port.
    let xmpp = ProxyScript::http().answer(b"<stream:error/>", After::Silence);
    expect(&error(xmpp), Some(ProxyFailure::Protocol), Stage::Proxy, "no HTTP proxy");
}

// rule B13, D5
#[test]
fn a_proxy_that_lies_about_a_length_or_ends_early_fails() {
    for (answer, after, expected, words) in [
        (
            &b"\x05\0\0\x03\xc8short\0\0"[..],
            After::Close,
            Some(ProxyFailure::Protocol),
            "closed the connection",
        ),
        (b"\x05\0\0\x03\xc8short\0\0", After::Silence, None, "did not connect to the server within 0.3 s"),
        (b"\x05\0\0", After::Close, Some(ProxyFailure::Protocol), "closed the connection"),
        (b"\x05\0\0\x09\0\0\0\0\0\0", After::Close, Some(ProxyFailure::Protocol), "address of type 9"),
    ] {
        let fail = if expected.is_none() { late } else { error };
        expect(&fail(ProxyScript::socks5().answer(answer, after)), expected, Stage::Proxy, words);
    }
    for (answer, after, expected, words) in [
        (
            &b"HTTP/1.1 200 OK\r\nX: y"[..],
            After::Close,
            Some(ProxyFailure::Protocol),
            "closed the connection",
        ),
        (b"", After::Close, Some(ProxyFailure::Protocol), "closed the connection"),
        (b"", After::Silence, None, "did not connect to the server within 0.3 s"),
    ] {
        let fail = if expected.is_none() { late } else { error };
        expect(&fail(ProxyScript::http().answer(answer, after)), expected, Stage::Proxy, words);
    }
}

// rule B13
#[test]
fn what_the_proxy_sends_instead_of_the_server_is_said_to_be_perhaps_its_own() {
    let page = "<html><body>Log in first</body></html>";
    let with_body = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    let short_name = b"\x05\0\0\x03\x02proxy.test\0\0";
    for (tls, stage) in [(TlsMode::Direct, Stage::Tls), (TlsMode::StartTls, Stage::StartTls)] {
        for script in [
            ProxyScript::http().answer(with_body.as_bytes(), After::Silence),
            ProxyScript::http().answer(with_body.as_bytes(), After::Relay),
            ProxyScript::socks5().answer(short_name, After::Silence),
        ] {
            let error = error_with(script, tls, None);
            expect(&error, None, stage, "the proxy may have sent this, instead of opening a tunnel");
        }
        for script in [
            ProxyScript::http().answer(b"HTTP/1.1 200 OK\r\n\r\n", After::Close),
            ProxyScript::socks5().answer(b"\x05\0\0\x01\0\0\0\0\0\0", After::Close),
        ] {
            let error = error_with(script, tls, None);
            expect(&error, None, stage, "a proxy that cannot reach the server may end like this, too");
        }
    }
}

// rule B13, D5
#[test]
fn an_endless_answer_and_one_that_drips_end_at_their_bounds() {
    let fields = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X-Filler: 0123456789\r\n".repeat(5_000)].concat();
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(4_000);
    for flood in [fields, interim] {
        let error = error(ProxyScript::http().answer(&flood, After::Silence));
        expect(&error, Some(ProxyFailure::Protocol), Stage::Proxy, "longer than 16 KiB");
    }
    // Each byte is in time, and all together are not.
    for script in scripts() {
        let script = script.drip(Duration::from_millis(100));
        let error = late(script.clone());
        expect(&error, None, Stage::Proxy, "the proxy did not connect to the server within 0.3 s");

        let bed = Bed::new(TlsMode::Direct, script);
        let builder = bed.builder().dns_use(DnsUse::Nothing).policy(Policy::StartTlsOnly).timeout(LIMIT);
        let started = Instant::now();
        let error = builder.build().unwrap().connect(DOMAIN).unwrap_err();
        let took = started.elapsed();
        assert!(
            error.kind() == ErrorKind::TimedOut && took >= LIMIT && took < LIMIT + ROOM,
            "{error}, {took:?}"
        );
        assert!(error.to_string().ends_with("got as far as proxy"), "{error}");
    }
}

// rule B13
#[test]
fn a_dead_proxy_is_named() {
    let refused = Refused::new();
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5());
    for protocol in ["socks5", "http"] {
        let url = format!("{protocol}://{}", refused.addr());
        let error = bed.builder_at(&url).build().unwrap().connect(DOMAIN).unwrap_err();
        let expected = format!("the connection to the proxy {url} failed: ");
        assert_eq!(error.kind(), ErrorKind::Lookup);
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(error.source().unwrap().to_string().starts_with(&expected), "{error:?}");
        expect(&error, Some(ProxyFailure::Unreachable), Stage::Tcp, &expected);
    }
    assert!(bed.dns.queries().is_empty() && bed.server.accepted() == 0);
}

// rule B13, D5
#[test]
#[cfg(target_os = "linux")]
fn a_proxy_that_does_not_respond_is_named_when_the_limit_is_over() {
    let hole = BlackHole::new();
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5());
    let url = format!("socks5://{}", hole.addr());
    let builder = bed.builder_at(&url).dns_use(DnsUse::Nothing).tcp_timeout(LIMIT);
    let error = builder.build().unwrap().connect(DOMAIN).unwrap_err();
    expect(&error, None, Stage::Tcp, &format!("the proxy {url} did not respond within 0.3 s"));

    let builder = bed.builder_at(&url).timeout(LIMIT);
    let started = Instant::now();
    let error = builder.build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() < LIMIT + ROOM);
}

// rule B13
#[test]
fn a_question_that_is_not_answered_in_time_names_the_proxy() {
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5().answer(&[5], After::Silence));
    let connector = bed.builder().lookup_timeout(LIMIT).handshake_timeout(LIMIT).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    let expected = format!("asked through the proxy {}", bed.proxy.url());
    assert!(error.kind() == ErrorKind::Lookup && error.to_string().contains(&expected), "{error}");
}

// rule B13, D9
#[test]
fn a_connect_is_cancelled_while_the_proxy_is_silent() {
    for script in [
        ProxyScript::socks5().method(&[5]),
        ProxyScript::socks5().answer(&[5, 0], After::Silence),
        ProxyScript::http().answer(b"HTTP/1.1 200 OK\r\n", After::Silence),
    ] {
        // Once in a question, and once in an attempt.
        for dns_use in [DnsUse::Srv, DnsUse::Nothing] {
            let bed = Bed::new(TlsMode::Direct, script.clone());
            let connector = bed.builder().dns_use(dns_use).build().unwrap();
            let mut attempts = connector.attempts(DOMAIN).unwrap();
            let canceller = attempts.canceller();
            let started = Instant::now();
            let error = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(50));
                    canceller.cancel();
                });
                attempts.connect_next().unwrap_err()
            });
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            assert!(started.elapsed() < PATIENCE / 10);
        }
    }
}
