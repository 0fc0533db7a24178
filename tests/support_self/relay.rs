//! The relay and the delay: the counts of exchanges made by hand, which are known.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::client::{ask, config, expect, handshake, question, receive, tcp, udp};
use super::support::xmpp::{PROCEED, STARTTLS_FEATURES, header};
use super::support::{
    Authority, Behaviour, Crossing, DelayProxy, DnsServer, Latch, Refused, Relay, Rtype, Script, Stage, Step,
    XmppServer, Zone,
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' to='example.org' version='1.0'>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[test]
fn questions_asked_together_are_one_round_trip_and_one_after_the_other_are_two() {
    let dns =
        DnsServer::start(Zone::new().address("a.example", "192.0.2.1").address("b.example", "192.0.2.2"));
    let relay = Relay::new();
    let front = relay.udp(dns.addr());
    let (first, second) = (udp(), udp());
    first.send_to(&question("a.example", Rtype::A, None), front).unwrap();
    second.send_to(&question("b.example", Rtype::A, None), front).unwrap();
    receive(&first);
    receive(&second);
    assert_eq!(relay.round_trips(), 1, "{:#?}", relay.log());
    ask(front, "a.example", Rtype::AAAA, None);
    assert_eq!(relay.round_trips(), 2, "{:#?}", relay.log());
    let log = relay.log();
    let mut together = log[0].questions();
    together.sort_unstable();
    assert_eq!(together, ["a.example A", "b.example A"]);
    assert_eq!(log[1].questions(), ["a.example AAAA"]);
    assert_eq!(log[0].back.len(), 2);
}

#[test]
fn a_connect_and_what_is_written_at_once_after_it_are_two_round_trips() {
    let server = XmppServer::start(Script::silent().then(Step::Echo));
    let relay = Relay::new();
    let mut stream = tcp(relay.tcp(server.addr()));
    stream.write_all(b"one").unwrap();
    expect(&mut stream, "one");
    assert_eq!(relay.round_trips(), 2, "{:#?}", relay.log());
    stream.write_all(b"two").unwrap();
    expect(&mut stream, "two");
    assert_eq!(relay.round_trips(), 3, "{:#?}", relay.log());
    let log = relay.log();
    assert_eq!(log[0].over, [Crossing::Connect(server.addr())]);
    assert_eq!((log[0].connects(), &log[0].back), (1, &Vec::new()));
    assert_eq!(log[1].over, [Crossing::Bytes(server.addr(), 3, b'o')]);
    assert_eq!(log[1].back, log[1].over);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(relay.round_trips(), 3, "the end of a connection is not waited for: {:#?}", relay.log());
    assert!(relay.log().iter().any(|turn| turn.over == [Crossing::End(server.addr())]));
}

#[test]
fn starttls_by_hand_takes_three_round_trips_in_one_write_and_four_step_by_step() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&["example.org"])));
    let client = config(authority.root_der(), &[]);
    for in_one_write in [true, false] {
        let relay = Relay::new();
        let mut stream = tcp(relay.tcp(server.addr()));
        if in_one_write {
            stream.write_all([HEADER, STARTTLS].concat().as_bytes()).unwrap();
        } else {
            stream.write_all(HEADER.as_bytes()).unwrap();
        }
        expect(&mut stream, &[&header("example.org"), STARTTLS_FEATURES].concat());
        if !in_one_write {
            stream.write_all(STARTTLS.as_bytes()).unwrap();
        }
        expect(&mut stream, PROCEED);
        handshake(stream, &client, "example.org").unwrap();
        // TCP; header and starttls together or apart; TLS 1.3.
        assert_eq!(relay.round_trips(), if in_one_write { 3 } else { 4 }, "{:#?}", relay.log());
    }
}

#[test]
fn an_answer_that_takes_its_time_makes_no_round_trip_more() {
    let latch = Latch::new();
    let zone = Zone::new().address("a.example", "192.0.2.1").on(
        "a.example",
        Rtype::A,
        Behaviour::Answer.held(&latch),
    );
    let dns = DnsServer::start(zone);
    let relay = Relay::new();
    let socket = udp();
    socket.send_to(&question("a.example", Rtype::A, None), relay.udp(dns.addr())).unwrap();
    relay.wait_for("the turn of the question", |turns| (!turns.is_empty()).then_some(()));
    latch.open();
    receive(&socket);
    let log = relay.log();
    assert_eq!((relay.round_trips(), log.len()), (1, 2), "{log:#?}");
    assert!(log[0].back.is_empty() && log[1].over.is_empty(), "{log:#?}");
}

#[test]
fn a_server_that_refuses_is_seen_as_an_end_without_a_byte() {
    let refused = Refused::new();
    let relay = Relay::with_quiet(Duration::from_millis(5));
    let mut stream = tcp(relay.tcp(refused.addr()));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(relay.log()[0].back, [Crossing::End(refused.addr())]);
}

#[test]
fn dropping_the_relay_closes_what_is_open() {
    let server = XmppServer::start(Script::silent());
    let relay = Relay::new();
    let mut stream = tcp(relay.tcp(server.addr()));
    server.wait_accepted(1);
    drop(relay);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(server.wait_end(0).end.unwrap().by_client());
}

#[test]
fn a_long_path_delays_each_way_and_the_connect_is_made_up_for() {
    let one_way = Duration::from_millis(20);
    let authority = Authority::new();
    let tls = authority.server(&["example.org"]);
    let server = XmppServer::start(Script::direct(tls).until(Stage::SecureHeader).then(Step::Echo));
    let proxy = DelayProxy::start(server.addr(), one_way);
    let started = Instant::now();
    let mut stream = handshake(tcp(proxy.addr()), &config(authority.root_der(), &[]), "example.org").unwrap();
    // A connect and TLS 1.3: two round trips.
    assert!(started.elapsed() >= one_way * 4);
    let started = Instant::now();
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    assert!(started.elapsed() >= one_way * 2);
    drop(stream);
    assert!(server.wait_end(0).end.unwrap().by_client());
}
