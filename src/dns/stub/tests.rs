//! Tests of the stub resolver against scripted servers on loopback.
//!
//! Where the clock stands still, a test that ends proves that nothing waited for a time. Where time matters the clock is
//! set, never waited for.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use super::peers::{refusing, sockets, udp, udp_answering};
use super::*;
use crate::dns::stub::resolv_conf::{ResolverConfig, ServerOrder};
use crate::dns::testing::{NXDOMAIN, REFUSED, Response, SERVFAIL, address, alias, asked};
use crate::dns::{Record, RecordKind};
use crate::wait;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// No test takes this long; it turns a hang into a failure.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn numbers() -> RandomBits {
    let numbers = Mutex::new(crate::dns::testing::SplitMix64(7));
    Arc::new(move || numbers.lock().unwrap().next())
}

pub(super) fn stub_of(config: ResolverConfig) -> Stub {
    Stub::new(
        SystemConfig::given_with_hosts(config, Path::new("/nonexistent/hosts")),
        Caching::On,
        SocketOptions::default(),
    )
}

pub(super) fn stub(servers: &[SocketAddr]) -> Stub {
    stub_of(ResolverConfig::new(servers.to_vec()))
}

pub(super) fn over_tcp(servers: &[SocketAddr]) -> Stub {
    stub_of(ResolverConfig { transport: Transport::Tcp, ..ResolverConfig::new(servers.to_vec()) })
}

pub(super) fn question(name: &str) -> Question {
    Question::new(name, RecordKind::Ipv4)
}

/// Waits once, up to the limit of a test.
pub(super) fn turn(lookups: &mut StubLookups, now: Instant) {
    let limit = if lookups.wake_at().is_over(now) { Duration::ZERO } else { LIMIT };
    let mut wait = Wait::until(Deadline::after(wait::now(), limit));
    lookups.register(&mut wait);
    let ready = wait.wait().unwrap();
    lookups.advance(&ready, now);
}

/// The next result, while the clock stands still at `now`.
pub(super) fn next(lookups: &mut StubLookups, now: Instant) -> Finished {
    let limit = Deadline::after(wait::now(), LIMIT);
    loop {
        if let Some(finished) = lookups.take() {
            return finished;
        }
        assert!(!limit.is_over(wait::now()), "no result: {lookups:?}");
        turn(lookups, now);
    }
}

/// Reads what is there already.
pub(super) fn glance(lookups: &mut StubLookups, now: Instant) {
    let mut wait = Wait::until(wait::now().into());
    lookups.register(&mut wait);
    let ready = wait.wait().unwrap();
    lookups.advance(&ready, now);
}

/// Sets the clock to `now`, with no socket ready.
pub(super) fn set_clock(lookups: &mut StubLookups, now: Instant) {
    let nothing = Wait::until(wait::now().into()).wait().unwrap();
    lookups.advance(&nothing, now);
}

/// Asks for the A records of `name`.
pub(super) fn look_up(stub: &Stub, name: &str) -> Finished {
    let now = wait::now();
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question(name)], now);
    next(&mut lookups, now)
}

/// The address that is the whole answer.
pub(super) fn only_address(finished: &Finished) -> String {
    match finished.1.as_ref().map(Answer::records) {
        Ok([Record::Address(address)]) => address.to_string(),
        other => panic!("not one address: {other:?}"),
    }
}

/// Answers each A question with `ip`.
pub(super) fn answer_with(ip: &str) -> impl FnMut(&[u8]) -> Vec<u8> + Send + 'static {
    let ip = ip.to_owned();
    move |query| Response::to(query).answer(address(&asked(query).0, 60, &ip)).octets()
}

pub(super) fn code(flags: u16) -> impl FnMut(&[u8]) -> Vec<u8> + Send + 'static {
    move |query| Response::to(query).flags(flags).octets()
}

// rule B2, H1
#[test]
fn questions_leave_together_each_from_its_own_port_with_its_own_number() {
    let (sender, seen) = mpsc::channel();
    let mut waiting = Vec::new();
    let server = udp(move |socket, from, query| {
        waiting.push((from, query.to_vec()));
        if waiting.len() < 3 {
            return;
        }
        for (from, query) in &waiting {
            sender.send((from.port(), query[..2].to_vec())).unwrap();
            socket.send_to(&Response::to(query).octets(), from).unwrap();
        }
    });
    let now = wait::now();
    let questions = [
        Question::new("_xmpp-client._tcp.example.org", RecordKind::Srv),
        Question::new("example.org", RecordKind::Ipv6),
        question("example.org"),
    ];
    let mut lookups = stub(&[server]).lookups(numbers(), None);
    lookups.ask(&questions, now);
    // What is asked already is not asked twice.
    lookups.ask(&questions, now);
    let mut results: Vec<_> = (0..3).map(|_| next(&mut lookups, now)).collect();
    results.sort_by_key(|(question, _, _)| questions.iter().position(|asked| asked == question));
    for ((question, result, facts), asked) in results.into_iter().zip(&questions) {
        assert_eq!((&question, result), (asked, Ok(Answer::new(Vec::new()))));
        assert_eq!(facts, LookupFacts { source: AnswerSource::Udp(server), tries: 1 });
    }
    let (ports, ids): (HashSet<_>, HashSet<_>) = seen.try_iter().unzip();
    assert_eq!((ports.len(), ids.len()), (3, 3));
    assert_eq!(lookups.take(), None);
    assert_eq!(lookups.wake_at(), Deadline::NEVER);
}

// rule H1
#[test]
fn stray_datagrams_are_ignored_and_the_wait_goes_on() {
    let stranger = sockets().0;
    let server = udp(move |socket, from, query| {
        let good = Response::to(query).answer(address("example.org", 60, "192.0.2.1"));
        let evil = Response::to(query).answer(address("example.org", 60, "192.0.2.66"));
        let wrong_id = Response { id: [!query[0], query[1]], ..evil.clone() };
        let no_response = Response { flags: 0x0100, ..evil.clone() };
        let other_question = Response::to(&[&query[..12], b"\x04evil\x00\x00\x01\x00\x01"].concat());
        // Port and address are wrong here: another socket sends it.
        stranger.send_to(&evil.octets(), from).unwrap();
        let strays =
            [Vec::new(), vec![1, 2, 3], wrong_id.octets(), no_response.octets(), other_question.octets()];
        for datagram in strays.iter().chain(&vec![wrong_id.octets(); 40]).chain([&good.octets()]) {
            socket.send_to(datagram, from).unwrap();
        }
    });
    let finished = look_up(&stub(&[server]), "example.org");
    assert_eq!(only_address(&finished), "192.0.2.1");
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Udp(server), tries: 1 });
}

// rule H3
#[test]
fn a_failing_server_sends_the_question_to_the_next_at_once() {
    let good = udp_answering(answer_with("192.0.2.1"));
    let malformed = udp_answering(|query| Response::to(query).answer(vec![0]).octets());
    let unreachable = SocketAddr::from((Ipv4Addr::BROADCAST, 53));
    let failing =
        [refusing(), unreachable, malformed, udp_answering(code(SERVFAIL)), udp_answering(code(REFUSED))];
    for server in failing {
        let finished = look_up(&stub(&[server, good]), "example.org");
        assert_eq!(only_address(&finished), "192.0.2.1", "{server}");
        assert_eq!(finished.2.source, AnswerSource::Udp(good));
    }
}

// rule H3, B5
#[test]
fn a_lookup_fails_at_once_when_every_server_fails_and_says_why() {
    let servers = [udp_answering(code(SERVFAIL)), refusing(), (Ipv4Addr::BROADCAST, 53).into()];
    let (_, result, facts) = look_up(&stub(&servers), "example.org");
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("127.0.0.1: answered SERVFAIL; 127.0.0.1: "), "{message}");
    assert!(message.contains("255.255.255.255: "), "{message}");
    // The first one also without EDNS; the second is known to be closed after one, and the last one's never left.
    assert_eq!(facts, LookupFacts { source: AnswerSource::Nobody, tries: 4 });
}

/// A name server that the test itself plays.
pub(super) struct Played(pub(super) UdpSocket);

impl Played {
    pub(super) fn new() -> (Self, SocketAddr) {
        let (socket, _) = sockets();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let address = socket.local_addr().unwrap();
        (Self(socket), address)
    }

    pub(super) fn query(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = vec![0; 2048];
        let (length, from) = self.0.recv_from(&mut buffer).unwrap();
        buffer.truncate(length);
        (from, buffer)
    }

    pub(super) fn send(&self, to: SocketAddr, response: &Response) {
        self.0.send_to(&response.octets(), to).unwrap();
    }

    pub(super) fn was_not_asked(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0; 1]).is_err()
    }
}

// rule H3
#[test]
fn a_second_of_silence_asks_the_next_server_and_the_first_is_still_listened_to() {
    let ((first, first_address), (second, second_address)) = (Played::new(), Played::new());
    let start = wait::now();
    let mut lookups = stub(&[first_address, second_address]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    let (asker, query) = first.query();
    assert_eq!(lookups.wake_at(), (start + SECOND).into());
    set_clock(&mut lookups, start + SECOND);
    assert_eq!(asked(&second.query().1), ("example.org".to_owned(), 1));
    assert_eq!(lookups.take(), None);

    first.send(asker, &Response::to(&query).answer(address("example.org", 60, "192.0.2.1")));
    let finished = next(&mut lookups, start + SECOND);
    assert_eq!(only_address(&finished), "192.0.2.1");
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Udp(first_address), tries: 2 });
}

// rule H3
#[test]
fn a_server_that_timed_out_goes_last_for_thirty_seconds_over_connects() {
    let ((first, first_address), (second, second_address)) = (Played::new(), Played::new());
    let stub = stub(&[first_address, second_address]);
    let start = wait::now();
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    first.query();
    set_clock(&mut lookups, start + SECOND);
    second.query();
    drop(lookups);

    let ask_at = |now| stub.lookups(numbers(), None).ask(&[question("example.com")], now);
    ask_at(start + 2 * SECOND);
    assert_eq!(asked(&second.query().1).0, "example.com");
    ask_at(start + 31 * SECOND);
    assert_eq!(asked(&first.query().1).0, "example.com");
    assert!(second.was_not_asked());
}

// rule H3
#[test]
fn one_lost_datagram_does_not_make_a_server_go_last() {
    let ((first, first_address), (second, second_address)) = (Played::new(), Played::new());
    let stub = stub(&[first_address, second_address]);
    let start = wait::now();
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&["a.example", "b.example"].map(question), start);
    first.query();
    let (asker, query) = first.query();
    first.send(asker, &Response::to(&query));
    assert_eq!(next(&mut lookups, start).0.name(), "b.example");
    set_clock(&mut lookups, start + SECOND);
    assert_eq!(asked(&second.query().1).0, "a.example");

    stub.lookups(numbers(), None).ask(&[question("c.example")], start + SECOND);
    assert_eq!(asked(&first.query().1).0, "c.example");
}

// rule H3
#[test]
fn no_such_name_from_a_later_server_waits_two_seconds_for_the_first() {
    let (_first, first_address) = Played::new();
    let second = udp_answering(code(NXDOMAIN));
    let start = wait::now();
    let mut lookups = stub(&[first_address, second]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    set_clock(&mut lookups, start + SECOND);
    turn(&mut lookups, start + SECOND);
    assert_eq!(lookups.take(), None);
    assert_eq!(lookups.wake_at(), (start + 2 * SECOND).into());
    set_clock(&mut lookups, start + 2 * SECOND);
    assert_eq!(lookups.take().unwrap().1, Ok(Answer::no_such_name()));
}

// rule H3
#[test]
fn rotate_begins_each_lookup_with_another_server() {
    let servers: Vec<_> =
        (1..=3).map(|number| udp_answering(answer_with(&format!("192.0.2.{number}")))).collect();
    let stub = stub_of(ResolverConfig { order: ServerOrder::Rotating, ..ResolverConfig::new(servers) });
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let answers: Vec<_> = names.iter().map(|name| only_address(&look_up(&stub, name))).collect();
    assert_eq!(answers, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]);
}

// rule H3
#[test]
fn a_closed_port_that_one_socket_learns_of_fails_the_questions_of_all_at_once() {
    let (server, server_address) = Played::new();
    let now = wait::now();
    let mut lookups = stub(&[server_address]).lookups(numbers(), None);
    lookups.ask(&["a.example", "b.example", "c.example"].map(question), now);
    // Who tells that the port is closed tells one of them only, as routers that limit such messages do.
    lookups.network.note_unreachable(server_address, &io::ErrorKind::ConnectionRefused.into(), now);
    set_clock(&mut lookups, now);
    let results = [(); 3].map(|()| lookups.take().unwrap());
    for (_, result, facts) in results {
        assert_eq!(result.unwrap_err().to_string(), "127.0.0.1: connection refused");
        assert_eq!(facts.tries, 1);
    }
    // A second later it may be there again.
    lookups.ask(&[question("d.example")], now + SECOND);
    assert_eq!([(); 4].map(|()| asked(&server.query().1).0)[3], "d.example");
}

// rule H3c
#[test]
fn a_lame_server_sends_the_question_to_the_next() {
    let good = udp_answering(answer_with("192.0.2.1"));
    for refers in [false, true] {
        let lame = udp_answering(move |query| {
            let response = Response { flags: 0x8100, ..Response::to(query) };
            let referral = crate::dns::testing::record("example", crate::dns::testing::NS, 60, &[1, b'a', 0]);
            if refers { response.authority(referral) } else { response }.octets()
        });
        let finished = look_up(&stub(&[lame, good]), "example.org");
        assert_eq!(
            (only_address(&finished).as_str(), finished.2.source),
            ("192.0.2.1", AnswerSource::Udp(good))
        );
    }
}

// rule B8, H1
#[test]
fn a_late_answer_to_the_name_before_an_alias_is_not_taken_for_the_next() {
    let ((first, first_address), (second, second_address)) = (Played::new(), Played::new());
    let start = wait::now();
    let mut lookups = stub(&[first_address, second_address]).lookups(numbers(), None);
    lookups.ask(&[question("a.example")], start);
    let (early_asker, early_query) = first.query();
    set_clock(&mut lookups, start + SECOND);
    let (asker, query) = second.query();
    second.send(asker, &Response::to(&query).answer(alias("a.example", 60, "b.example")));
    turn(&mut lookups, start + SECOND);

    let (asker, query) = second.query();
    first.send(early_asker, &Response::to(&early_query));
    glance(&mut lookups, start + SECOND);
    second.send(asker, &Response::to(&query).answer(address("b.example", 60, "192.0.2.1")));
    assert_eq!(only_address(&next(&mut lookups, start + SECOND)), "192.0.2.1");
}
