//! What needs a clock that is set or files of the test: the name servers are sockets of the test itself.
//!
//! Where the clock stands still, a test that ends proves that nothing waited for a time. All else is proved through the API
//! in tests/dns, and by the cores.

mod system_files;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::dns::stub::resolv_conf::{ResolverConfig, ServerOrder};
use crate::dns::testing::{RawResponse, address, alias, asked};
use crate::dns::{Record, RecordKind};
use crate::fuzzing::Numbers;
use crate::wait;

const SECOND: Duration = Duration::from_secs(1);

/// No test takes this long; it turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(30);

fn numbers() -> RandomBits {
    let numbers = Mutex::new(Numbers(7));
    Arc::new(move || numbers.lock().unwrap().next())
}

fn stub_at(system: SystemConfig) -> Stub {
    Stub::new(system, Caching::On, SocketOptions::default())
}

fn stub_of(config: ResolverConfig) -> Stub {
    stub_at(SystemConfig::given_with_hosts(config, Path::new("/nonexistent/hosts")))
}

fn stub(servers: &[&LoopbackServer]) -> Stub {
    stub_of(ResolverConfig::new(servers.iter().map(|server| server.address()).collect()))
}

fn over_tcp(server: &LoopbackServer) -> Stub {
    stub_of(ResolverConfig { transport: Transport::Tcp, ..ResolverConfig::new(vec![server.address()]) })
}

fn question(name: &str) -> Question {
    Question::new(name, RecordKind::Ipv4)
}

/// Waits once, up to the limit of a test.
fn turn(lookups: &mut StubLookups, now: Instant) {
    let limit = if lookups.wake_at().is_over(now) { Duration::ZERO } else { LIMIT };
    let mut wait = Wait::until(Deadline::after(wait::now(), limit));
    lookups.register(&mut wait);
    let ready = wait.wait().unwrap();
    lookups.advance(&ready, now);
}

/// The next result, while the clock stands still at `now`.
fn next(lookups: &mut StubLookups, now: Instant) -> Finished {
    let limit = Deadline::after(wait::now(), LIMIT);
    loop {
        if let Some(finished) = lookups.take() {
            return finished;
        }
        assert!(!limit.is_over(wait::now()), "no result: {lookups:?}");
        turn(lookups, now);
    }
}

/// Sets the clock to `now`, with no socket ready.
fn set_clock(lookups: &mut StubLookups, now: Instant) {
    let nothing = Wait::until(wait::now().into()).wait().unwrap();
    lookups.advance(&nothing, now);
}

/// The address that is the whole answer.
fn only_address(finished: &Finished) -> String {
    match finished.1.as_ref().map(Answer::records) {
        Ok([Record::Address(address)]) => address.to_string(),
        other => panic!("not one address: {other:?}"),
    }
}

/// A name server that the test plays.
struct LoopbackServer {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl LoopbackServer {
    #[expect(clippy::disallowed_methods, reason = "a test server has its own sockets")]
    fn new() -> Self {
        loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                udp.set_read_timeout(Some(LIMIT)).unwrap();
                return Self { udp, tcp };
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.udp.local_addr().unwrap()
    }

    fn query(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = vec![0; 2048];
        let (length, from) = self.udp.recv_from(&mut buffer).unwrap();
        buffer.truncate(length);
        (from, buffer)
    }

    fn send(&self, to: SocketAddr, response: &RawResponse) {
        self.udp.send_to(&response.octets(), to).unwrap();
    }

    /// Answers the next query with `ip`.
    fn answer(&self, ip: &str) {
        let (asker, query) = self.query();
        self.send(asker, &with_address(&query, ip));
    }

    fn was_not_asked(&self) -> bool {
        self.udp.set_nonblocking(true).unwrap();
        let was_not = self.udp.recv(&mut [0; 1]).is_err();
        self.udp.set_nonblocking(false).unwrap();
        was_not
    }

    fn accept(&self) -> TcpStream {
        self.tcp.accept().unwrap().0
    }
}

fn with_address(query: &[u8], ip: &str) -> RawResponse {
    RawResponse::to(query).answer(address(&asked(query).0, 60, ip))
}

/// The next query over TCP; none when the other side has closed.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

fn write_frame(stream: &mut TcpStream, response: &RawResponse) {
    let octets = response.octets();
    let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &octets].concat()).unwrap();
}

/// Whether a query has an OPT record.
fn has_opt(query: &[u8]) -> bool {
    query[11] == 1
}

// rule B2
#[test]
fn what_is_being_asked_is_not_asked_twice() {
    let (server, now) = (LoopbackServer::new(), wait::now());
    let mut lookups = stub(&[&server]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], now);
    lookups.ask(&[question("example.org")], now);
    server.answer("192.0.2.1");
    assert_eq!(only_address(&next(&mut lookups, now)), "192.0.2.1");
    assert!(server.was_not_asked() && lookups.is_idle());
    assert_eq!(lookups.wake_at(), Deadline::NEVER);
}

// rule H3
#[test]
fn a_server_that_is_silent_up_to_a_short_limit_goes_last_too_for_thirty_seconds() {
    let (first, second) = (LoopbackServer::new(), LoopbackServer::new());
    let (stub, start) = (stub(&[&first, &second]), wait::now());
    let mut lookups = stub.lookups(numbers(), Some(SECOND / 2));
    lookups.ask(&[question("example.org")], start);
    first.query();
    set_clock(&mut lookups, start + SECOND / 2);
    assert!(lookups.take().unwrap().1.is_err() && second.was_not_asked());

    let ask_at = |now| stub.lookups(numbers(), None).ask(&[question("example.com")], now);
    ask_at(start + SECOND);
    assert_eq!(asked(&second.query().1).0, "example.com");
    ask_at(start + 31 * SECOND);
    assert_eq!(asked(&first.query().1).0, "example.com");
    assert!(second.was_not_asked());
}

// rule H3
#[test]
fn rotate_begins_each_lookup_with_another_server() {
    let servers = [1, 2, 3].map(|last| SocketAddr::from(([192, 0, 2, last], 53))).to_vec();
    let order = ServerOrder::Rotating;
    let stub = stub_of(ResolverConfig { order, ..ResolverConfig::new(servers.clone()) });
    let lookups = stub.lookups(numbers(), None);
    let firsts = [(); 4].map(|()| lookups.network.servers(wait::now())[0]);
    assert_eq!(firsts, [servers[0], servers[1], servers[2], servers[0]]);
}

// rule D3a
#[test]
fn a_name_server_at_an_ipv4_address_in_an_ipv6_address_is_asked_over_ipv4() {
    let (server, now) = (LoopbackServer::new(), wait::now());
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), server.address().port());
    let mut lookups = stub_of(ResolverConfig::new(vec![mapped])).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], now);
    server.answer("192.0.2.1");
    assert_eq!(only_address(&next(&mut lookups, now)), "192.0.2.1");
}

// rule H3
#[test]
fn a_closed_port_that_one_socket_learns_of_fails_the_questions_of_all_at_once() {
    let server = LoopbackServer::new();
    let now = wait::now();
    let mut lookups = stub(&[&server]).lookups(numbers(), None);
    lookups.ask(&["a.example", "b.example", "c.example"].map(question), now);
    // Only one of them gets the ICMP message, as behind routers that limit them.
    lookups.network.note_unreachable(server.address(), &io::ErrorKind::ConnectionRefused.into(), now);
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

// rule B8, H1
#[test]
fn a_late_answer_to_the_name_before_an_alias_is_not_taken_for_the_next() {
    let (first, second) = (LoopbackServer::new(), LoopbackServer::new());
    let start = wait::now();
    let mut lookups = stub(&[&first, &second]).lookups(numbers(), None);
    lookups.ask(&[question("a.example")], start);
    let (early_asker, early_query) = first.query();
    set_clock(&mut lookups, start + SECOND);
    let (asker, query) = second.query();
    second.send(asker, &RawResponse::to(&query).answer(alias("a.example", 60, "b.example")));
    turn(&mut lookups, start + SECOND);

    let (asker, query) = second.query();
    first.send(early_asker, &RawResponse::to(&early_query));
    let mut wait = Wait::until(wait::now().into());
    lookups.register(&mut wait);
    let ready = wait.wait().unwrap();
    lookups.advance(&ready, start + SECOND);
    second.send(asker, &RawResponse::to(&query).answer(address("b.example", 60, "192.0.2.1")));
    assert_eq!(only_address(&next(&mut lookups, start + SECOND)), "192.0.2.1");
}

// rule D5, B8
#[test]
fn an_alias_does_not_extend_the_limit() {
    let server = LoopbackServer::new();
    let start = wait::now();
    let mut lookups = stub(&[&server]).lookups(numbers(), Some(3 * SECOND));
    lookups.ask(&[question("a.example")], start);
    let (asker, query) = server.query();
    server.send(asker, &RawResponse::to(&query).answer(alias("a.example", 60, "b.example")));
    turn(&mut lookups, start + 2 * SECOND);
    assert_eq!(lookups.wake_at(), (start + 3 * SECOND).into());
    set_clock(&mut lookups, start + 3 * SECOND);
    assert!(lookups.take().unwrap().1.is_err());
}

// rule H3a
#[test]
fn timeout_lengthens_the_lookup_unless_the_caller_says_otherwise() {
    let servers = || vec![SocketAddr::from(([192, 0, 2, 1], 53))];
    let stub = stub_of(ResolverConfig { timeout: Some(10 * SECOND), ..ResolverConfig::new(servers()) });
    assert_eq!(stub.lookups(numbers(), None).limit, 20 * SECOND);
    assert_eq!(stub.lookups(numbers(), Some(5 * SECOND)).limit, 5 * SECOND);
    assert_eq!(stub_of(ResolverConfig::new(servers())).lookups(numbers(), None).limit, LOOKUP_LIMIT);
}

// rule H2
#[test]
fn a_server_that_is_silent_to_edns_is_asked_without_when_the_next_try_is_due_and_from_then_on() {
    let (server, start) = (LoopbackServer::new(), wait::now());
    let stub = stub(&[&server]);
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("a.example")], start);
    assert!(has_opt(&server.query().1));
    set_clock(&mut lookups, start + SECOND);
    let (asker, query) = server.query();
    assert!(!has_opt(&query));
    server.send(asker, &with_address(&query, "192.0.2.1"));
    let finished = next(&mut lookups, start + SECOND);
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Udp(server.address()), tries: 2 });
    stub.lookups(numbers(), None).ask(&[question("b.example")], start + SECOND);
    assert!(!has_opt(&server.query().1));
}

// rule H2
#[test]
fn over_tcp_a_server_that_is_silent_to_edns_is_asked_without_over_the_same_connection() {
    let (server, start) = (LoopbackServer::new(), wait::now());
    let mut lookups = over_tcp(&server).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    turn(&mut lookups, start);
    let mut stream = server.accept();
    assert!(has_opt(&read_frame(&mut stream).unwrap()));
    set_clock(&mut lookups, start + SECOND);
    turn(&mut lookups, start + SECOND);
    let query = read_frame(&mut stream).unwrap();
    assert!(!has_opt(&query));
    write_frame(&mut stream, &with_address(&query, "192.0.2.1"));
    let finished = next(&mut lookups, start + SECOND);
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Tcp(server.address()), tries: 2 });
}

// rule H2
#[test]
fn who_is_asked_once_only_is_asked_without_edns() {
    let server = LoopbackServer::new();
    let stub = stub_of(ResolverConfig { attempts: 1, ..ResolverConfig::new(vec![server.address()]) });
    stub.lookups(numbers(), None).ask(&[question("a.example")], wait::now());
    assert!(!has_opt(&server.query().1));
}

// rule H3
#[test]
fn questions_share_one_connection_and_a_server_that_answers_one_for_each_gets_as_many() {
    for per_connection in [3, 1] {
        let (server, now) = (LoopbackServer::new(), wait::now());
        // Questions of one connection have different ids, whatever chance says.
        let mut lookups = over_tcp(&server).lookups(Arc::new(|| u64::MAX), None);
        lookups.ask(&["1.example", "2.example", "3.example"].map(question), now);
        for open in [3, 2, 1].into_iter().step_by(per_connection) {
            turn(&mut lookups, now);
            let mut stream = server.accept();
            let queries: Vec<_> = (0..open).map(|_| read_frame(&mut stream).unwrap()).collect();
            // In any order.
            for query in queries.iter().rev().take(per_connection) {
                let number = asked(query).0[..1].to_owned();
                write_frame(&mut stream, &with_address(query, &format!("192.0.2.{number}")));
                let finished = next(&mut lookups, now);
                assert_eq!(only_address(&finished), format!("192.0.2.{}", &finished.0.name()[..1]));
                assert_eq!((finished.0.name()[..1].to_owned(), finished.2.tries), (number, 1));
            }
            drop(stream);
            if !lookups.is_idle() {
                turn(&mut lookups, now);
            }
        }
        assert!(lookups.is_idle() && lookups.network.connection_tokens().is_empty());
    }
}

// rule H3
#[test]
fn a_second_try_joins_the_first_over_tcp_and_both_fail_with_the_connection() {
    let (server, start) = (LoopbackServer::new(), wait::now());
    let mut lookups = over_tcp(&server).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    turn(&mut lookups, start);
    let mut stream = server.accept();
    read_frame(&mut stream).unwrap();
    // Without EDNS, which is a question of its own; then that is asked for already.
    for second in [1, 2] {
        set_clock(&mut lookups, start + second * SECOND);
        assert_eq!(lookups.network.connection_tokens().len(), 1);
    }
    turn(&mut lookups, start + SECOND);
    read_frame(&mut stream).unwrap();
    drop(stream);
    let (_, result, facts) = next(&mut lookups, start + SECOND);
    assert_eq!(result.unwrap_err().to_string(), "127.0.0.1: TCP: closed the connection");
    assert_eq!(facts.tries, 2);
}

// rule H3a
#[test]
fn a_lookup_that_fails_by_settings_that_are_not_the_systems_says_so() {
    let (server, now) = (LoopbackServer::new(), wait::now());
    let mut lookups = stub(&[&server]).lookups(numbers(), Some(3 * SECOND));
    lookups.problem = Some("cannot read the file".to_owned());
    lookups.ask(&[question("example.org")], now);
    set_clock(&mut lookups, now + 3 * SECOND);
    let message = lookups.take().unwrap().1.unwrap_err().to_string();
    assert_eq!(message, "no answer within 3 s (127.0.0.1: no usable answer); cannot read the file");
}

// rule H4
#[test]
fn a_night_empties_the_cache_and_the_record_of_silence() {
    let servers = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 53))).to_vec();
    let stub = stub_of(ResolverConfig::new(servers.clone()));
    let (now, wall) = wait::clocks();
    let lookups = stub.lookups(numbers(), None);
    let answer = Answer::no_such_name().with_time_to_live(SECOND);
    stub.state.with_cache(|cache| cache.store(lookups.generation, &question("example.org"), &answer, now));
    lookups.network.note_silence(servers[0], now, now);
    stub.state.notice_sleep((now, wall + 8 * 3600 * SECOND));
    assert_eq!(stub.state.with_cache(|cache| cache.answer(&question("example.org"), now)), None);
    assert_eq!(lookups.network.servers(now), servers);
}
