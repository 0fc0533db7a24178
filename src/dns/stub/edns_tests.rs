//! Tests of what is asked without EDNS, and of what is remembered of it (rule H2).

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Stub;
use super::peers::{both, read_frame, udp, udp_answering, write_frame};
use super::tests::{
    Played, SECOND, answer_with, code, look_up, next, numbers, only_address, over_tcp, question, set_clock,
    stub, turn,
};
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::testing::{FORMERR, OPT, REFUSED, Response, SERVFAIL, address, asked};
use crate::dns::{AnswerSource, LookupFacts};
use crate::wait;

/// What a server makes of a query with an OPT record.
type Failure = fn(&[u8]) -> Vec<u8>;

/// Whether a query has an OPT record.
fn has_opt(query: &[u8]) -> bool {
    query[11] == 1
}

/// Answers well without an OPT record, and like `with` to a query that has one.
fn without_edns(with: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, mpsc::Receiver<bool>) {
    let (sender, seen) = mpsc::channel();
    let mut good = answer_with("192.0.2.1");
    let server = udp_answering(move |query| {
        sender.send(has_opt(query)).unwrap();
        if has_opt(query) { with(query) } else { good(query) }
    });
    (server, seen)
}

/// Looks up at a time of the test's choice.
fn look_up_at(stub: &Stub, name: &str, now: Instant) -> (String, u32) {
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question(name)], now);
    let finished = next(&mut lookups, now);
    (only_address(&finished), finished.2.tries)
}

// rule H2
#[test]
fn whatever_a_server_says_to_edns_it_is_asked_without_at_once_and_in_later_connects() {
    let failures: [Failure; 7] = [
        |query| Response::to(query).flags(FORMERR).octets(),
        |query| Response::to(query).flags(4).octets(),
        |query| Response::to(query).flags(SERVFAIL).octets(),
        |query| Response::to(query).flags(REFUSED).octets(),
        |query| Response::to(query).answer(vec![0]).octets(),
        // BADVERS.
        |query| {
            let opt = [vec![0], OPT.to_be_bytes().to_vec(), vec![4, 208, 1, 0, 0, 0, 0, 0]].concat();
            Response::to(query).additional(opt).octets()
        },
        // A header only.
        |query| Response { questions: Vec::new(), ..Response::to(query) }.flags(REFUSED).octets(),
    ];
    for (number, failure) in failures.into_iter().enumerate() {
        let (server, seen) = without_edns(failure);
        let (stub, now) = (stub(&[server]), wait::now());
        assert_eq!(look_up_at(&stub, "a.example", now), ("192.0.2.1".to_owned(), 2), "failure {number}");
        assert_eq!(look_up_at(&stub, "b.example", now), ("192.0.2.1".to_owned(), 1), "failure {number}");
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true, false, false], "failure {number}");
    }
}

// rule H2
#[test]
fn a_server_that_is_silent_to_edns_is_asked_without_when_the_next_try_is_due_and_from_then_on() {
    let (sender, seen) = mpsc::channel();
    let mut good = answer_with("192.0.2.1");
    let server = udp(move |socket, from, query| {
        sender.send(has_opt(query)).unwrap();
        if !has_opt(query) {
            socket.send_to(&good(query), from).unwrap();
        }
    });
    let (stub, start) = (stub(&[server]), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&["a.example", "b.example"].map(question), start);
    set_clock(&mut lookups, start + SECOND);
    for _ in 0..2 {
        let finished = next(&mut lookups, start + SECOND);
        assert_eq!(finished.2, LookupFacts { source: AnswerSource::Udp(server), tries: 2 });
    }
    assert_eq!(look_up_at(&stub, "c.example", start + SECOND).1, 1);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true, true, false, false, false]);

    // Two questions that left together are one sign, and a datagram may have been lost. Later it is tried once more.
    let later = start + Duration::from_secs(700);
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("d.example")], later);
    set_clock(&mut lookups, later + SECOND);
    assert_eq!(only_address(&next(&mut lookups, later + SECOND)), "192.0.2.1");
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true, false]);
    // After that it is certain.
    assert_eq!(look_up_at(&stub, "e.example", later + Duration::from_secs(100_000)).1, 1);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [false]);
}

// rule H2
#[test]
fn a_server_that_has_answered_with_edns_only_lost_a_datagram() {
    let (server, server_address) = Played::new();
    let (stub, start) = (stub(&[server_address]), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&["a.example", "b.example"].map(question), start);
    // The first one is lost.
    server.query();
    let answer = |has: bool, lookups: &mut _, now| {
        let (asker, query) = server.query();
        assert_eq!(has_opt(&query), has);
        server.send(asker, &Response::to(&query).answer(address(&asked(&query).0, 60, "192.0.2.1")));
        assert_eq!(only_address(&next(lookups, now)), "192.0.2.1");
    };
    answer(true, &mut lookups, start);
    set_clock(&mut lookups, start + SECOND);
    answer(false, &mut lookups, start + SECOND);
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("c.example")], start + SECOND);
    answer(true, &mut lookups, start + SECOND);
}

// rule H2
#[test]
fn a_late_answer_with_edns_counts_when_it_comes_first_and_shows_that_edns_works() {
    let (server, server_address) = Played::new();
    let (stub, start) = (stub(&[server_address]), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("a.example")], start);
    let (asker, query) = server.query();
    set_clock(&mut lookups, start + SECOND);
    assert!(!has_opt(&server.query().1));
    server.send(asker, &Response::to(&query).answer(address("a.example", 60, "192.0.2.1")));
    assert_eq!(only_address(&next(&mut lookups, start + SECOND)), "192.0.2.1");
    stub.lookups(numbers(), None).ask(&[question("b.example")], start + SECOND);
    assert!(has_opt(&server.query().1));
}

// rule H2
#[test]
fn a_late_failure_with_edns_leaves_the_question_without_open() {
    let (server, server_address) = Played::new();
    let (stub, start) = (stub(&[server_address]), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("a.example")], start);
    let (early_asker, early) = server.query();
    set_clock(&mut lookups, start + SECOND);
    let (asker, query) = server.query();
    server.send(early_asker, &Response::to(&early).flags(SERVFAIL));
    turn(&mut lookups, start + SECOND);
    assert_eq!(lookups.take(), None);
    server.send(asker, &Response::to(&query).answer(address("a.example", 60, "192.0.2.1")));
    assert_eq!(next(&mut lookups, start + SECOND).2.tries, 2);
}

// rule H2, H3
#[test]
fn a_server_that_fails_either_way_has_failed_and_keeps_its_edns() {
    let (sender, seen) = mpsc::channel();
    let mut fail = code(SERVFAIL);
    let server = udp_answering(move |query| {
        sender.send(has_opt(query)).unwrap();
        fail(query)
    });
    let stub = stub(&[server]);
    for name in ["a.example", "b.example"] {
        let error = look_up(&stub, name).1.unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.1: answered SERVFAIL");
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true, false, false]);
    }
}

// rule H2
#[test]
fn over_tcp_a_server_that_is_silent_to_edns_is_asked_without_over_the_same_connection() {
    let server = both(|_, listener| {
        let mut stream = listener.accept().unwrap().0;
        assert!(has_opt(&read_frame(&mut stream).unwrap()));
        let query = read_frame(&mut stream).unwrap();
        assert!(!has_opt(&query));
        write_frame(&mut stream, &answer_with("192.0.2.1")(&query));
    });
    let start = wait::now();
    let mut lookups = over_tcp(&[server]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    set_clock(&mut lookups, start + SECOND);
    let finished = next(&mut lookups, start + SECOND);
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Tcp(server), tries: 2 });
}

// rule H2
#[test]
fn who_is_asked_once_only_is_asked_without_edns() {
    let (server, seen) = without_edns(|_| Vec::new());
    let config = ResolverConfig { attempts: 1, ..ResolverConfig::new(vec![server]) };
    assert_eq!(only_address(&look_up(&super::tests::stub_of(config), "a.example")), "192.0.2.1");
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [false]);
}
