//! Tests of the limit of a lookup, with a clock that is set.

use super::AnswerSource;
use super::tests::{Played, SECOND, next, numbers, over_tcp, question, set_clock, stub, stub_of, turn};
use crate::deadline::Deadline;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::testing::{Response, address, alias, asked};
use crate::wait;

// rule D5, H1
#[test]
fn a_lookup_that_reaches_its_limit_has_failed_and_has_no_socket() {
    let (_server, server_address) = Played::new();
    let start = wait::now();
    for stub in [stub(&[server_address]), over_tcp(&[server_address])] {
        let mut lookups = stub.lookups(numbers(), Some(3 * SECOND));
        lookups.ask(&[question("example.org")], start);
        for second in [1, 2] {
            set_clock(&mut lookups, start + second * SECOND);
        }
        assert_eq!(lookups.wake_at(), (start + 3 * SECOND).into());
        assert_eq!(lookups.take(), None);
        set_clock(&mut lookups, start + 3 * SECOND);
        let (_, result, facts) = lookups.take().unwrap();
        assert_eq!(result.unwrap_err().to_string(), "no answer within 3 s (127.0.0.1: no usable answer)");
        assert_eq!(facts.source, AnswerSource::Nobody);
        assert!(lookups.open.is_empty() && lookups.network.connection_tokens().is_empty());
        assert_eq!((lookups.take(), lookups.wake_at()), (None, Deadline::NEVER));
    }
}

// rule D5, B8
#[test]
fn an_alias_does_not_extend_the_limit() {
    let (server, server_address) = Played::new();
    let start = wait::now();
    let mut lookups = stub(&[server_address]).lookups(numbers(), Some(3 * SECOND));
    lookups.ask(&[question("a.example")], start);
    let (asker, query) = server.query();
    server.send(asker, &Response::to(&query).answer(alias("a.example", 60, "b.example")));
    turn(&mut lookups, start + 2 * SECOND);
    assert_eq!(lookups.wake_at(), (start + 3 * SECOND).into());
    set_clock(&mut lookups, start + 3 * SECOND);
    assert!(lookups.take().unwrap().1.is_err());
}

// rule H3, D5
#[test]
fn a_server_that_is_silent_up_to_a_short_limit_goes_last_too() {
    let ((first, first_address), (second, second_address)) = (Played::new(), Played::new());
    let stub = stub(&[first_address, second_address]);
    let start = wait::now();
    let mut lookups = stub.lookups(numbers(), Some(SECOND / 2));
    lookups.ask(&[question("example.org")], start);
    first.query();
    set_clock(&mut lookups, start + SECOND / 2);
    assert!(lookups.take().unwrap().1.is_err());
    assert!(second.was_not_asked());

    stub.lookups(numbers(), Some(SECOND / 2)).ask(&[question("example.com")], start + SECOND / 2);
    second.0.set_nonblocking(false).unwrap();
    assert_eq!(asked(&second.query().1).0, "example.com");
}

// rule H3a
#[test]
fn timeout_lengthens_the_lookup_unless_the_caller_says_otherwise() {
    let (server, server_address) = Played::new();
    let timeout = Some(10 * SECOND);
    let stub = stub_of(ResolverConfig { timeout, ..ResolverConfig::new(vec![server_address]) });
    let start = wait::now();
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    let (asker, query) = server.query();
    set_clock(&mut lookups, start + 6 * SECOND);
    assert!(lookups.take().is_none() && server.was_not_asked());
    assert_eq!(lookups.wake_at(), (start + 10 * SECOND).into());
    server.send(asker, &Response::to(&query).answer(address("example.org", 60, "192.0.2.1")));
    assert_eq!(next(&mut lookups, start + 6 * SECOND).2.tries, 1);

    for (given, limit) in [(None, 20 * SECOND), (Some(5 * SECOND), 5 * SECOND)] {
        let mut lookups = stub.lookups(numbers(), given);
        lookups.ask(&[question("example.com")], start);
        set_clock(&mut lookups, start + limit - SECOND);
        assert!(lookups.take().is_none());
        set_clock(&mut lookups, start + limit);
        assert!(lookups.take().unwrap().1.is_err());
    }
}
