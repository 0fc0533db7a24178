//! The XMPP server: the healthy course, each departure from it, and what it records.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::client::{close, config, expect, handshake, tcp};
use super::support::xmpp::{FAILURE, HTTP, PROCEED, SASL_FEATURES, STARTTLS_FEATURES, header, stream_error};
use super::support::{Authority, End, Event, Latch, PATIENCE, Script, Stage, Step, XmppServer};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn healthy() -> (Authority, Script) {
    let authority = Authority::new();
    let script = Script::starttls(authority.server(&["example.org"]));
    (authority, script)
}

#[test]
fn the_healthy_course_by_hand_and_its_record() {
    let (authority, script) = healthy();
    let server = XmppServer::start(script);
    let mut stream = tcp(server.addr());
    stream.write_all([HEADER, STARTTLS].concat().as_bytes()).unwrap();
    expect(&mut stream, &[&header("example.org"), STARTTLS_FEATURES, PROCEED].concat());
    let mut stream = handshake(stream, &config(authority.root_der(), &[]), "example.org").unwrap();
    stream.write_all(HEADER.as_bytes()).unwrap();
    expect(&mut stream, &[&header("example.org"), SASL_FEATURES].concat());
    stream.write_all(b"<presence/>").unwrap();
    expect(&mut stream, "<presence/>");
    close(stream);

    let record = server.wait_end(0);
    assert_eq!(record.clear_reads(), [[HEADER, STARTTLS].concat()]);
    assert_eq!(record.secure_bytes(), [HEADER, "<presence/>"].concat().as_bytes());
    assert_eq!(record.headers.len(), 2);
    assert!(record.headers.iter().all(|header| header.starts_with("<stream:stream ")));
    let hello = record.hello.unwrap();
    assert_eq!((hello.server_name.as_deref(), hello.protocols), (Some("example.org"), None));
    assert!(record.secured.is_some());
    assert_eq!(record.end, Some(End::CloseNotify));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn step_by_step_is_seen_as_two_reads_in_order() {
    let (_, script) = healthy();
    let server = XmppServer::start(script.until(Stage::Tls));
    let mut stream = tcp(server.addr());
    stream.write_all(HEADER.as_bytes()).unwrap();
    expect(&mut stream, &[&header("example.org"), STARTTLS_FEATURES].concat());
    stream.write_all(STARTTLS.as_bytes()).unwrap();
    expect(&mut stream, PROCEED);
    drop(stream);
    let record = server.wait_end(0);
    assert_eq!(record.end, Some(End::Closed));
    let read = |text: &str| Event::Read(text.as_bytes().to_vec());
    let wrote = |text: &str| Event::Wrote(text.as_bytes().to_vec());
    let header = header("example.org");
    let expected = [read(HEADER), wrote(&header), wrote(STARTTLS_FEATURES), read(STARTTLS), wrote(PROCEED)];
    assert_eq!(record.events, expected);
}

/// All that a server says before it closes, to a client that says header and `<starttls/>`.
fn all_of(server: &XmppServer) -> std::io::Result<String> {
    let mut stream = tcp(server.addr());
    stream.write_all([HEADER, STARTTLS].concat().as_bytes())?;
    let mut said = String::new();
    stream.read_to_string(&mut said).map(|_| said)
}

#[test]
fn departures_replace_a_stage_and_go_on_or_end() {
    let (_, script) = healthy();
    let header = header("example.org");
    let cases = [
        (script.clone().until(Stage::Header).then(Step::send(HTTP)).then(Step::Close), HTTP.to_owned()),
        (
            script
                .clone()
                .instead(Stage::Features, &[Step::send(SASL_FEATURES)])
                .until(Stage::Tls)
                .then(Step::Close),
            [&header, SASL_FEATURES, PROCEED].concat(),
        ),
        (
            script.clone().until(Stage::Proceed).then(Step::send(FAILURE)).then(Step::Close),
            [&header, STARTTLS_FEATURES, FAILURE].concat(),
        ),
        (
            script.clone().before(Stage::Features, &[Step::send(stream_error("reset")), Step::Close]),
            [&header, &*stream_error("reset")].concat(),
        ),
        (script.hosts(&["example.com"]), [&header, &*stream_error("host-unknown")].concat()),
    ];
    for (script, expected) in cases {
        let server = XmppServer::start(script);
        assert_eq!(all_of(&server).unwrap(), expected);
        assert_eq!(server.wait_end(0).end, Some(End::ByServer));
    }
}

#[test]
fn reset_is_a_reset() {
    let (_, script) = healthy();
    let server = XmppServer::start(script.until(Stage::Proceed).then(Step::AwaitStartTls).then(Step::Reset));
    assert_eq!(all_of(&server).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn silence_lasts_until_the_client_has_gone_and_is_recorded() {
    let (_, script) = healthy();
    for stage in [Stage::Header, Stage::Features, Stage::Proceed, Stage::Tls] {
        let server = XmppServer::start(script.clone().until(stage));
        let mut stream = tcp(server.addr());
        stream.write_all(HEADER.as_bytes()).unwrap();
        if stage == Stage::Tls {
            stream.write_all(STARTTLS.as_bytes()).unwrap();
        }
        server.wait_for(0, "the header", |record| record.clear_reads().first().cloned());
        assert_eq!(server.records()[0].end, None);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(server.wait_end(0).end.unwrap().by_client());
    }
}

#[test]
fn a_path_that_dies_swallows_the_rest_and_one_that_drips_gives_a_byte_at_a_time() {
    let (_, script) = healthy();
    let header = header("example.org");
    let dying = [Step::Allow(header.len() + 4)];
    let server =
        XmppServer::start(script.clone().before(Stage::Header, &dying).until(Stage::Tls).then(Step::Close));
    assert_eq!(all_of(&server).unwrap(), [&*header, "<str"].concat());

    let pace = Duration::from_millis(2);
    let server =
        XmppServer::start(script.until(Stage::Header).then(Step::Drip(pace)).then(Step::send("dripping")));
    let mut stream = tcp(server.addr());
    let started = std::time::Instant::now();
    expect(&mut stream, "dripping");
    assert!(started.elapsed() >= pace * 8);
}

#[test]
fn what_never_ends_ends_with_the_client_or_with_the_server() {
    for drip in [Duration::ZERO, Duration::from_millis(1)] {
        let steps = [Step::Drip(drip), Step::SendForEver(b" ".to_vec())];
        let steps = if drip.is_zero() { &steps[1..] } else { &steps[..] };
        let server = XmppServer::start(steps.iter().cloned().fold(Script::silent(), Script::then));
        let mut first = tcp(server.addr());
        first.read_exact(&mut [0; 3]).unwrap();
        drop(first);
        assert!(server.wait_end(0).end.unwrap().by_client());
        let mut second = tcp(server.addr());
        second.read_exact(&mut [0; 3]).unwrap();
        // The second connection is not read from: the server is blocked in its write, and stops all the same.
        drop(server);
        assert!(second.read_to_end(&mut Vec::new()).is_ok());
    }
}

#[test]
fn a_client_that_does_not_wait_for_proceed_is_found_out() {
    let (_, script) = healthy();
    let server = XmppServer::start(script);
    let mut stream = tcp(server.addr());
    stream.write_all(&[HEADER.as_bytes(), STARTTLS.as_bytes(), &[22, 3, 1]].concat()).unwrap();
    let end = server.wait_end(0).end;
    assert!(matches!(&end, Some(End::Failed(why)) if why.contains("did not wait")), "{end:?}");
}

#[test]
fn text_behind_proceed_comes_in_the_same_write_and_tls_goes_on() {
    let (authority, script) = healthy();
    let proceed = [Step::AwaitStartTls, Step::send([PROCEED, "<message/>"].concat())];
    let server = XmppServer::start(script.instead(Stage::Proceed, &proceed));
    let mut stream = tcp(server.addr());
    stream.write_all([HEADER, STARTTLS].concat().as_bytes()).unwrap();
    expect(&mut stream, &[&header("example.org"), STARTTLS_FEATURES, PROCEED, "<message/>"].concat());
    assert!(handshake(stream, &config(authority.root_der(), &[]), "example.org").is_ok());
}

#[test]
fn each_connection_gets_its_script_and_the_last_one_stays() {
    let say = |text: &str| Script::silent().then(Step::send(text)).then(Step::Close);
    let address = SocketAddr::from(([127, 0, 0, 2], 0));
    let server = XmppServer::start_at(address, vec![say("first"), say("then")]);
    assert_eq!(server.addr().ip(), address.ip());
    let said = (0..3).map(|_| {
        let mut said = String::new();
        tcp(server.addr()).read_to_string(&mut said).unwrap();
        said
    });
    assert_eq!(said.collect::<Vec<_>>(), ["first", "then", "then"]);
    server.wait_accepted(3);
}

#[test]
fn a_latch_holds_the_course_back() {
    let latch = Latch::new();
    let server =
        XmppServer::start_on("::1", Script::silent().then(Step::Wait(latch.clone())).then(Step::send("on")));
    let mut stream = tcp(server.addr());
    server.wait_accepted(1);
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    latch.open();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&mut stream, "on");
}

#[test]
fn a_client_that_cuts_tls_is_not_one_that_closes_it() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&["example.org"])));
    let stream = handshake(tcp(server.addr()), &config(authority.root_der(), &[]), "example.org").unwrap();
    server.wait_secured(0);
    stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.wait_end(0).end, Some(End::Closed));
}

#[test]
fn dropping_the_server_closes_what_is_open_and_frees_its_port() {
    let (_, script) = healthy();
    let server = XmppServer::start(script.until(Stage::Proceed));
    let address = server.addr();
    let mut stream = tcp(address);
    stream.write_all(HEADER.as_bytes()).unwrap();
    expect(&mut stream, &[&header("example.org"), STARTTLS_FEATURES].concat());
    drop(server);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    TcpListener::bind(address).unwrap();
}
