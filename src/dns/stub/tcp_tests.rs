//! Tests of the stub resolver over TCP, against scripted servers on loopback.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, mpsc};

use super::Stub;
use super::peers::{both, frame, read_frame, sockets, udp_answering, write_frame};
use super::tests::{
    LIMIT, SECOND, answer_with, code, look_up, next, numbers, only_address, over_tcp, question, set_clock,
    stub, turn,
};
use crate::dns::testing::{FORMERR, Response, TRUNCATED, address, alias, asked};
use crate::dns::{AnswerSource, LookupFacts};
use crate::wait;

/// Answers over UDP that the answer does not fit, once for each of `count` queries.
fn truncate(socket: &UdpSocket, count: usize) {
    let mut buffer = [0; 512];
    for _ in 0..count {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let response = Response::to(&buffer[..length]).flags(TRUNCATED);
        socket.send_to(&response.octets(), from).unwrap();
    }
}

/// Answers `count` queries of one connection in their order.
fn answer(listener: &TcpListener, count: usize, ip: &str) {
    let mut stream = listener.accept().unwrap().0;
    let mut make = answer_with(ip);
    for _ in 0..count {
        let query = read_frame(&mut stream).unwrap();
        write_frame(&mut stream, &make(&query));
    }
}

fn assert_found_over_tcp(stub: &Stub, server: SocketAddr, tries: u32) {
    let finished = look_up(stub, "example.org");
    assert_eq!(only_address(&finished), "192.0.2.1");
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::Tcp(server), tries });
}

// rule H2
#[test]
fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let server = both(|socket, listener| {
        truncate(&socket, 1);
        answer(&listener, 1, "192.0.2.1");
    });
    assert_found_over_tcp(&stub(&[server]), server, 2);
}

// rule H2, H6
#[test]
fn a_datagram_that_is_longer_than_any_should_be_is_asked_for_again_over_tcp() {
    let server = both(|socket, listener| {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let record = address("example.org", 60, "192.0.2.9");
        let response = Response { answer: vec![record; 200], ..Response::to(&buffer[..length]) };
        socket.send_to(&response.octets(), from).unwrap();
        answer(&listener, 1, "192.0.2.1");
    });
    assert_found_over_tcp(&stub(&[server]), server, 2);
}

// rule H6, D5
#[test]
fn a_turn_reads_as_much_as_one_buffer_takes_however_much_is_sent() {
    let (sender, sent) = mpsc::channel();
    let server = both(move |_, listener| {
        let mut stream = listener.accept().unwrap().0;
        let query = read_frame(&mut stream).unwrap();
        stream.set_nonblocking(true).unwrap();
        // Empty messages, as many as go into the buffers between.
        let flood = vec![0; 1 << 16];
        let mut length = 0;
        while let Ok(count) = stream.write(&flood) {
            length += count;
        }
        sender.send(length).unwrap();
        stream.set_nonblocking(false).unwrap();
        if length % 2 == 1 {
            stream.write_all(&[0]).unwrap();
        }
        write_frame(&mut stream, &answer_with("192.0.2.1")(&query));
    });
    let now = wait::now();
    let mut lookups = over_tcp(&[server]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], now);
    let mut turns = 0;
    let finished = loop {
        turn(&mut lookups, now);
        turns += 1;
        if let Some(finished) = lookups.take() {
            break finished;
        }
    };
    assert_eq!(only_address(&finished), "192.0.2.1");
    let length = sent.recv_timeout(LIMIT).unwrap();
    assert!(turns > length / 65_535, "{turns} turns for {length} octets");
}

// rule H2, H6
#[test]
fn an_answer_of_the_largest_size_is_read_octet_by_octet_or_at_once() {
    for octet_by_octet in [true, false] {
        let server = both(move |_, listener| {
            let mut stream = listener.accept().unwrap().0;
            stream.set_nodelay(true).unwrap();
            let query = read_frame(&mut stream).unwrap();
            let mut response = Response::to(&query).answer(address("example.org", 60, "192.0.2.1"));
            if !octet_by_octet {
                let filling = 65_535 - response.octets().len() - 11;
                let length = u16::try_from(filling).unwrap().to_be_bytes();
                response = response
                    .answer([&[0, 0, 16, 0, 1, 0, 0, 0, 60][..], &length, &vec![0; filling]].concat());
                assert_eq!(response.octets().len(), 65_535);
                return stream.write_all(&frame(&response.octets())).unwrap();
            }
            for octet in frame(&response.octets()) {
                stream.write_all(&[octet]).unwrap();
            }
        });
        assert_found_over_tcp(&over_tcp(&[server]), server, 1);
    }
}

// rule H3
#[test]
fn questions_share_one_connection_and_are_answered_in_any_order() {
    let (sender, seen) = mpsc::channel();
    let server = both(move |_, listener| {
        let mut stream = listener.accept().unwrap().0;
        let queries: Vec<_> = (0..3).map(|_| read_frame(&mut stream).unwrap()).collect();
        // Two that nobody asked, and one whose question is another's.
        let mut unasked = Response::to(&queries[0]);
        unasked.questions = Response::to(&queries[1]).questions;
        for stray in [Vec::new(), vec![0; 7], unasked.octets()] {
            write_frame(&mut stream, &stray);
        }
        for query in queries.iter().rev() {
            let number = &asked(query).0[..1];
            write_frame(&mut stream, &answer_with(&format!("192.0.2.{number}"))(query));
        }
        // When all is answered the connection is closed, and no other was opened.
        listener.set_nonblocking(true).unwrap();
        sender.send((read_frame(&mut stream), listener.accept().is_err())).unwrap();
    });
    let now = wait::now();
    // Questions of one connection have different numbers, whatever chance says.
    let mut lookups = over_tcp(&[server]).lookups(Arc::new(|| u64::MAX), None);
    lookups.ask(&["1.example", "2.example", "3.example"].map(question), now);
    for _ in 0..3 {
        let finished = next(&mut lookups, now);
        assert_eq!(only_address(&finished), format!("192.0.2.{}", &finished.0.name()[..1]));
    }
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), (None, true));
}

// rule H3
#[test]
fn a_server_that_answers_one_question_a_connection_gets_as_many() {
    let server = both(|_, listener| (0..3).for_each(|_| answer(&listener, 1, "192.0.2.1")));
    let now = wait::now();
    let mut lookups = over_tcp(&[server]).lookups(numbers(), None);
    lookups.ask(&["1.example", "2.example", "3.example"].map(question), now);
    for _ in 0..3 {
        let finished = next(&mut lookups, now);
        assert_eq!((only_address(&finished).as_str(), finished.2.tries), ("192.0.2.1", 1));
    }
}

// rule H2, H3
#[test]
fn a_server_that_fails_over_tcp_has_failed() {
    let refuses = sockets();
    let refusing = refuses.0.local_addr().unwrap();
    drop(refuses.1);
    std::thread::spawn(move || truncate(&refuses.0, 1));
    let closes = both(|socket, listener| {
        truncate(&socket, 1);
        read_frame(&mut listener.accept().unwrap().0).unwrap();
    });
    let truncates = both(|socket, listener| {
        truncate(&socket, 1);
        let mut stream = listener.accept().unwrap().0;
        let query = read_frame(&mut stream).unwrap();
        write_frame(&mut stream, &code(TRUNCATED)(&query));
    });
    let good = udp_answering(answer_with("192.0.2.1"));
    for server in [refusing, closes, truncates] {
        let finished = look_up(&stub(&[server, good]), "example.org");
        assert_eq!(
            (only_address(&finished).as_str(), finished.2.source),
            ("192.0.2.1", AnswerSource::Udp(good))
        );
    }
}

// rule H3
#[test]
fn a_server_silent_over_tcp_holds_up_nobody() {
    let (socket, _listener) = sockets();
    let silent = socket.local_addr().unwrap();
    std::thread::spawn(move || truncate(&socket, 1));
    let good = udp_answering(answer_with("192.0.2.1"));
    let start = wait::now();
    let mut lookups = stub(&[silent, good]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    while lookups.network.connection_tokens().is_empty() {
        turn(&mut lookups, start);
    }
    set_clock(&mut lookups, start + SECOND);
    assert_eq!(only_address(&next(&mut lookups, start + SECOND)), "192.0.2.1");
    assert!(lookups.network.connection_tokens().is_empty());
}

// rule H3
#[test]
fn a_second_try_joins_the_first_over_tcp_and_both_fail_with_the_connection() {
    let (socket, listener) = sockets();
    let server = socket.local_addr().unwrap();
    let (sender, truncated) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..2 {
            truncate(&socket, 1);
            sender.send(()).unwrap();
        }
    });
    let start = wait::now();
    let mut lookups = stub(&[server]).lookups(numbers(), None);
    lookups.ask(&[question("example.org")], start);
    truncated.recv_timeout(LIMIT).unwrap();
    turn(&mut lookups, start);
    let mut stream = listener.accept().unwrap().0;
    set_clock(&mut lookups, start + SECOND);
    truncated.recv_timeout(LIMIT).unwrap();
    turn(&mut lookups, start + SECOND);
    assert_eq!(lookups.network.connection_tokens().len(), 1);
    read_frame(&mut stream).unwrap();
    drop(stream);

    let (_, result, facts) = next(&mut lookups, start + SECOND);
    assert_eq!(result.unwrap_err().to_string(), "127.0.0.1: TCP: closed the connection");
    assert_eq!(facts.tries, 3);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

// rule H2
#[test]
fn a_server_that_refuses_edns_over_tcp_is_asked_without_over_tcp() {
    let server = both(|_, listener| {
        let mut stream = listener.accept().unwrap().0;
        let query = read_frame(&mut stream).unwrap();
        assert_eq!(query[11], 1);
        write_frame(&mut stream, &code(FORMERR)(&query));
        let query = read_frame(&mut stream).unwrap();
        assert_eq!(query[11], 0);
        write_frame(&mut stream, &answer_with("192.0.2.1")(&query));
    });
    assert_found_over_tcp(&over_tcp(&[server]), server, 2);
}

// rule B8
#[test]
fn an_alias_is_asked_further_over_the_same_connection() {
    let server = both(|_, listener| {
        let mut stream = listener.accept().unwrap().0;
        let query = read_frame(&mut stream).unwrap();
        let response = Response::to(&query).answer(alias("example.org", 60, "host.example"));
        write_frame(&mut stream, &response.octets());
        let query = read_frame(&mut stream).unwrap();
        write_frame(&mut stream, &answer_with("192.0.2.1")(&query));
    });
    assert_found_over_tcp(&over_tcp(&[server]), server, 2);
}
