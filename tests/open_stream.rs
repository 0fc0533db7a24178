//! Tests of connects that open the stream: only a server that answers as XMPP wins.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: it reads the clock, and what cannot be set up fails its test"
)]

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use xmpp_connect::report::{AttemptErrorKind, Stage as At};
use xmpp_connect::{Connection, ConnectorBuilder, Domain, OpenStream, Service, TlsMode};

use given::{DOMAIN, builder, failures, one_by_one, owner, zone};
use support::xmpp::{HTTP, SASL_FEATURES, header, header_without_version, stream_error};
use support::{Authority, DnsServer, Latch, PATIENCE, Script, Stage, Step, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn script(authority: &Authority, tls: TlsMode) -> Script {
    let config = authority.server(&[DOMAIN]);
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

/// Reads up to the end of the features.
fn read_features(connection: &mut Connection) -> String {
    read_to(connection, SASL_FEATURES)
}

/// Reads up to this text, which is the last thing that the server says.
fn read_to(connection: &mut Connection, end: &str) -> String {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = String::new();
    while !said.ends_with(end) {
        let mut buffer = [0; 100];
        let length = connection.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the end after {said:?}");
        said += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    said
}

fn connect_to_one(
    tls: TlsMode,
    server: &XmppServer,
    authority: &Authority,
    options: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
) -> Connection {
    let dns = DnsServer::start(zone(&[(owner(tls), 0, server.addr())]));
    options(builder(authority, &dns)).build().unwrap().connect(DOMAIN).unwrap()
}

// rule D10
#[test]
fn the_stream_is_open_and_all_that_the_server_said_can_be_read() {
    let authority = Authority::new();
    for tls in MODES {
        let server = XmppServer::start(script(&authority, tls));
        let open_stream = OpenStream::new().jid("juliet@example.org").unwrap().lang("en");
        let mut connection =
            connect_to_one(tls, &server, &authority, |builder| builder.open_stream(open_stream));
        assert!(connection.is_stream_open());
        let said = read_features(&mut connection);
        assert!(said.starts_with("<?xml") && said.contains("from='example.org'"), "{said}");
        connection.write_all(b"<iq/>").unwrap();
        let mut echo = [0; 5];
        connection.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"<iq/>");
        let report = connection.report();
        let stages: Vec<At> = report.attempts()[0].completed.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(stages[stages.len() - 2..], [At::Tls, At::Stream]);
        // The account is named over TLS only.
        let record = &server.records()[0];
        let (clear, secure): (&[String], &String) =
            (&record.headers[..record.headers.len() - 1], record.headers.last().unwrap());
        assert!(clear.iter().all(|header| !header.contains("juliet")), "{clear:?}");
        assert!(
            secure.contains(" from='juliet@example.org' ") && secure.contains(" xml:lang='en' "),
            "{secure}"
        );
        // In the parts, too.
        let connection =
            connect_to_one(tls, &server, &authority, |builder| builder.open_stream(OpenStream::new()));
        let parts = connection.into_parts().unwrap();
        assert!(String::from_utf8(parts.read_ahead).unwrap().ends_with(SASL_FEATURES));
    }
}

// rule D10
#[test]
fn without_the_option_nothing_is_sent_over_tls() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let connection = connect_to_one(TlsMode::Direct, &server, &authority, |builder| builder);
    assert!(!connection.is_stream_open());
    connection.close().unwrap();
    assert_eq!(server.wait_end(0).secure_bytes(), b"");
}

// rule D10
#[test]
fn attempts_can_open_the_stream_in_their_own_way() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(owner(TlsMode::Direct), 0, server.addr())]));
    let connector = builder(&authority, &dns).build().unwrap();
    let mut attempts = connector.attempts(DOMAIN).unwrap();
    attempts.open_stream(OpenStream::new().jid("romeo@example.org").unwrap());
    assert!(attempts.connect_next().unwrap().is_stream_open());
    assert!(server.records()[0].headers[0].contains("romeo@example.org"));
    assert!(!connector.connect(DOMAIN).unwrap().is_stream_open());
}

// rule D10, F1a
#[test]
fn a_server_opens_the_stream_as_its_own_domain() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::StartTls));
    let dns = DnsServer::start(zone(&[("_xmpp-server._tcp.example.org", 0, server.addr())]));
    let service = Service::server(Domain::new("own.example").unwrap());
    let connector =
        builder(&authority, &dns).service(service).open_stream(OpenStream::new()).build().unwrap();
    assert!(connector.connect(DOMAIN).unwrap().is_stream_open());
    assert!(server.records()[0].headers[1].contains(" from='own.example' "));
}

/// What a server does in place of its header and features, how the attempt fails, and whether it is at its limit.
type Deviation = (&'static str, Vec<Step>, &'static str, bool);

/// The first half of this text.
fn half(text: &str) -> Step {
    Step::send(text.as_bytes()[..text.len() / 2].to_vec())
}

/// Servers that end, stay silent, or are too slow.
fn ends_and_silence() -> Vec<Deviation> {
    let header = || Step::send(header(DOMAIN));
    let drip = || Step::Drip(Duration::from_millis(50));
    let text = support::xmpp::header(DOMAIN);
    let read = || Step::AwaitHeader;
    vec![
        ("closes at once", vec![Step::Close], "closed the connection", false),
        ("says close_notify at once", vec![Step::CloseNotify], "closed the connection", false),
        ("resets", vec![read(), Step::Reset], "reset by the server", false),
        ("closes in the header", vec![half(&text), Step::Close], "before its stream header", false),
        ("closes after the header", vec![header(), Step::Close], "before its stream features", false),
        (
            "closes in the features",
            vec![header(), half(SASL_FEATURES), Step::Close],
            "stream features",
            false,
        ),
        ("silent", vec![read()], "no stream header received", true),
        ("does not read", vec![Step::Wait(Latch::new())], "no stream header received", true),
        ("silent in the header", vec![half(&text)], "no stream header received", true),
        ("silent after the header", vec![header()], "no stream features received", true),
        ("silent in the features", vec![header(), half(SASL_FEATURES)], "no stream features", true),
        ("drips the header", vec![drip(), header()], "no stream header received", true),
        ("drips the features", vec![header(), drip(), Step::send(SASL_FEATURES)], "no stream features", true),
        (
            "resets in the features",
            vec![header(), half(SASL_FEATURES), read(), Step::Reset],
            "reset by the server",
            false,
        ),
        ("ends the stream", vec![header(), Step::send("</stream:stream>")], "ended the stream", false),
        ("HTTPS that does not answer", vec![read(), Step::Close], "closed the connection", false),
    ]
}

/// Servers that say something else, or too much.
fn other_answers() -> Vec<Deviation> {
    let header = || Step::send(header(DOMAIN));
    vec![
        (
            "HTTPS",
            vec![Step::AwaitHeader, Step::send(HTTP), Step::Close],
            "it looks like an HTTP server",
            false,
        ),
        ("floods with white space", vec![Step::SendForEver(vec![b' '; 4096])], "more than 64 KiB", false),
        (
            "floods with features",
            vec![header(), Step::send("<stream:features>"), Step::SendForEver(b"<x/>".repeat(1000))],
            "more than 64 KiB",
            false,
        ),
        ("stream error at once", vec![header(), Step::send(stream_error("host-gone"))], "host-gone", false),
        (
            "stream error in place of a header",
            vec![Step::send(stream_error("host-gone"))],
            "not well-formed",
            false,
        ),
        (
            "no version",
            vec![Step::send(header_without_version(DOMAIN)), Step::send(SASL_FEATURES)],
            "version",
            false,
        ),
        (
            "another domain",
            vec![Step::send(support::xmpp::header("other.example")), Step::send(SASL_FEATURES)],
            "from 'other.example' and not from 'example.org'",
            false,
        ),
        (
            "floods the header",
            vec![Step::send("<stream:stream from='"), Step::SendForEver(vec![b'x'; 4096])],
            "an attribute of more than 8 KiB",
            false,
        ),
        (
            "floods after the header",
            vec![header(), Step::SendForEver(vec![b'\n'; 4096])],
            "more than 64 KiB",
            false,
        ),
        (
            "stream error in the features",
            vec![header(), Step::send("<stream:features>"), Step::send(stream_error("host-gone"))],
            "not well-formed",
            false,
        ),
        ("garbage", vec![Step::send(vec![0xff; 100])], "is not XMPP", false),
        (
            "a second <proceed/>",
            vec![header(), Step::send(support::xmpp::PROCEED)],
            "unexpected <proceed/>",
            false,
        ),
    ]
}

// rule D10, F4
#[test]
fn whatever_else_is_behind_the_port_fails_its_candidate_and_the_next_one_is_connected() {
    let authority = Authority::new();
    let limit = Duration::from_millis(500);
    let deviations = ends_and_silence().into_iter().chain(other_answers());
    for (index, (what, steps, words, is_late)) in deviations.enumerate() {
        let tls = MODES[index % 2];
        let bad = script(&authority, tls).until(Stage::SecureHeader);
        let bad = XmppServer::start(steps.into_iter().fold(bad, Script::then));
        let good = XmppServer::start(script(&authority, tls));
        let dns = DnsServer::start(zone(&[(owner(tls), 1, bad.addr()), (owner(tls), 2, good.addr())]));
        let options = one_by_one(builder(&authority, &dns)).handshake_timeout(limit);
        let connector = options.open_stream(OpenStream::new()).build().unwrap();
        let start = Instant::now();
        let mut connection = connector.connect(DOMAIN).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let took = start.elapsed();
        assert_eq!(connection.peer_addr(), good.addr(), "{what}");
        read_features(&mut connection);
        let [(stage, error)] = failures(connection.report()).try_into().unwrap();
        assert!(stage == At::Stream && error.contains(words), "{what}: {stage}: {error}");
        if is_late {
            assert!(took >= limit, "{what}: {took:?}");
        }
        let error = connection.report().attempts()[0].error().unwrap().kind();
        match what {
            "stream error at once" => assert!(matches!(
                error,
                AttemptErrorKind::StreamError { is_authenticated: true, condition: Some("host-gone"), .. }
            )),
            _ if is_late => assert!(matches!(error, AttemptErrorKind::TimedOut(At::Stream)), "{error:?}"),
            _ => {}
        }
    }
}

// rule D10, F5
#[test]
fn a_redirection_over_tls_is_authenticated_data() {
    let authority = Authority::new();
    let error = "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
        127.0.0.9:5222</see-other-host></stream:error>";
    let redirects = script(&authority, TlsMode::Direct).instead(Stage::SecureFeatures, &[Step::send(error)]);
    let server = XmppServer::start(redirects);
    let dns = DnsServer::start(zone(&[(owner(TlsMode::Direct), 0, server.addr())]));
    let connector = builder(&authority, &dns).open_stream(OpenStream::new()).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    let attempt = &error.report().unwrap().attempts()[0];
    let AttemptErrorKind::StreamError { is_authenticated: true, see_other_host: Some(host), .. } =
        attempt.error().unwrap().kind()
    else {
        panic!("{error:?}")
    };
    assert_eq!(host, "127.0.0.9:5222");
}

// rule D10
#[test]
fn a_first_flight_follows_the_header_in_the_same_write() {
    let authority = Authority::new();
    for tls in MODES {
        let server = XmppServer::start(script(&authority, tls));
        let open_stream = OpenStream::new().first_flight(*b"<authenticate/>");
        let mut connection =
            connect_to_one(tls, &server, &authority, |builder| builder.open_stream(open_stream));
        // The server writes it back.
        let said = read_to(&mut connection, "<authenticate/>");
        assert!(said.ends_with(&format!("{SASL_FEATURES}<authenticate/>")), "{said}");
    }
}

// rule D10
#[test]
fn a_first_flight_that_the_server_does_not_read_neither_blocks_nor_is_lost() {
    let authority = Authority::new();
    let flight = vec![b' '; 8 << 20];
    // It answers, and reads only later.
    let latch = Latch::new();
    let late = script(&authority, TlsMode::Direct)
        .instead(Stage::SecureHeader, &[Step::AwaitHeader, Step::Header])
        .before(Stage::Echo, &[Step::Wait(latch.clone())]);
    let server = XmppServer::start(late);
    let open_stream = OpenStream::new().first_flight(flight.clone());
    let mut connection =
        connect_to_one(TlsMode::Direct, &server, &authority, |builder| builder.open_stream(open_stream));
    read_features(&mut connection);
    assert!(connection.wants_write());
    latch.open();
    let (mut read, mut write) = (0, std::io::sink());
    let mut buffer = vec![0; 65_536];
    while read < flight.len() {
        let length = connection.read(&mut buffer).unwrap();
        assert!(length > 0 && buffer[..length].iter().all(|byte| *byte == b' '));
        write.write_all(&buffer[..length]).unwrap();
        read += length;
    }
    assert!(!connection.wants_write());

    // It neither reads nor answers.
    let silent =
        script(&authority, TlsMode::Direct).until(Stage::SecureHeader).then(Step::Wait(Latch::new()));
    let server = XmppServer::start(silent);
    let dns = DnsServer::start(zone(&[(owner(TlsMode::Direct), 0, server.addr())]));
    let options = builder(&authority, &dns).handshake_timeout(Duration::from_millis(300));
    let connector = options.open_stream(OpenStream::new().first_flight(flight)).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert!(failures(error.report().unwrap())[0].1.contains("no stream header received"), "{error:?}");
}

// rule D10
#[test]
fn the_pause_is_kept() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let pause = Duration::from_millis(100);
    let connection = connect_to_one(TlsMode::Direct, &server, &authority, |builder| {
        builder.open_stream(OpenStream::new().pause(pause))
    });
    let attempt = &connection.report().attempts()[0];
    // Stages are noted a little after they are complete, the start is not.
    let (stage, opened) = *attempt.completed.last().unwrap();
    assert_eq!(stage, At::Stream);
    assert!(opened - attempt.started >= pause, "{attempt:?}");
}

// rule D10
#[test]
fn a_peer_that_talks_before_our_header_is_due_gets_it_all_the_same() {
    let authority = Authority::new();
    for tls in MODES {
        let hasty = script(&authority, tls)
            .instead(
                Stage::SecureHeader,
                &[Step::send(header(DOMAIN)), Step::send(SASL_FEATURES), Step::AwaitHeader],
            )
            .instead(Stage::SecureFeatures, &[]);
        let server = XmppServer::start(hasty);
        let pause = Duration::from_secs(2);
        let open_stream = OpenStream::new().pause(pause).first_flight(*b"<authenticate/>");
        let mut connection =
            connect_to_one(tls, &server, &authority, |builder| builder.open_stream(open_stream));
        // The server writes back what follows the header.
        read_to(&mut connection, "<authenticate/>");
    }
}

// rule D10, E5a
#[test]
fn a_session_that_the_server_refuses_after_the_handshake_is_left_out_in_a_repeat() {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let healthy = || Script::direct(config.clone());
    let closes = Script::direct(config.clone()).until(Stage::SecureHeader).then(Step::Close);
    // The first connection gives a session, the second one resumes it and ends.
    let server = XmppServer::start_at("127.0.0.1:0".parse().unwrap(), vec![healthy(), closes, healthy()]);
    let dns = DnsServer::start(zone(&[(owner(TlsMode::Direct), 0, server.addr())]));
    let connector = builder(&authority, &dns).open_stream(OpenStream::new()).build().unwrap();
    read_features(&mut connector.connect(DOMAIN).unwrap());
    let connection = connector.connect(DOMAIN).unwrap();
    assert!(!connection.is_resumed());
    assert_eq!(connection.report().attempts()[0].repeats.len(), 1, "{}", connection.report());
    assert!(server.wait_secured(1).resumed);
}
