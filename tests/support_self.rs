//! Tests of the test bench: of the faults in it that would let other tests pass.
//!
//! Counts of round trips, sockets and threads that are too low, black holes that are none, junk that is right, and threads that
//! fail in silence. All else of the bench is proved by the tests that use it.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: it has blocking sockets and threads, and its helpers fail their test"
)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use domain::base::{MessageBuilder, Name};

use support::{
    Authority, Behaviour, Crossing, DnsServer, End, Junk, PATIENCE, Relay, Rtype, Script, Step, Workers,
    XmppServer, Zone,
};

/// A socket that has asked `server` for the IPv4 addresses of `name`, and the question.
fn asked(server: SocketAddr, name: &str) -> (UdpSocket, Vec<u8>) {
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((Name::vec_from_str(name).unwrap(), Rtype::A)).unwrap();
    let question = builder.finish();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&question, server).unwrap();
    (socket, question)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn tcp(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

#[test]
fn questions_asked_together_are_one_round_trip_and_one_after_the_other_are_two() {
    let dns = DnsServer::start(Zone::new());
    let relay = Relay::new();
    let front = relay.udp(dns.addr());
    let (first, second) = (asked(front, "a.example").0, asked(front, "b.example").0);
    receive(&first);
    receive(&second);
    assert_eq!(relay.round_trips(), 1, "{:#?}", relay.log());
    receive(&asked(front, "c.example").0);
    assert_eq!(relay.round_trips(), 2, "{:#?}", relay.log());
    assert_eq!(relay.log()[1].questions(), ["c.example A"]);
}

#[test]
fn a_connect_and_each_exchange_after_it_are_round_trips_and_the_end_is_none() {
    let server = XmppServer::start(Script::silent().then(Step::Echo));
    let relay = Relay::new();
    let mut stream = tcp(relay.tcp(server.addr()));
    for (text, round_trips) in [("one", 2), ("two", 3)] {
        stream.write_all(text.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(relay.round_trips(), round_trips, "{:#?}", relay.log());
    }
    assert_eq!(relay.log()[0].over, [Crossing::Connect(server.addr())]);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(relay.round_trips(), 3, "{:#?}", relay.log());
}

#[test]
fn each_kind_of_junk_differs_from_the_answer_where_it_says_so() {
    let zone = Zone::new().address("a.example", "192.0.2.1");
    let zone = zone.on("a.example", Rtype::A, Behaviour::JunkThenAnswer(Junk::ALL.to_vec()));
    let server = DnsServer::start(zone);
    let (socket, question) = asked(server.addr(), "a.example");
    // A response with the id and the question that were sent.
    let is_right = |bytes: &[u8]| {
        let same = |range: std::ops::Range<usize>| bytes.get(range.clone()) == question.get(range);
        same(0..2) && same(12..question.len()) && bytes[2] & 0x80 != 0
    };
    let received = (0..=Junk::ALL.len()).map(|_| receive(&socket)).collect::<Vec<_>>();
    // All of them are junk but the answer and the one that is right in everything but the port.
    let (from_server, stray) = received.iter().partition::<Vec<_>, _>(|(_, from)| *from == server.addr());
    assert_eq!(stray.iter().map(|(bytes, _)| is_right(bytes)).collect::<Vec<_>>(), [true]);
    let right = from_server.iter().map(|(bytes, _)| is_right(bytes)).collect::<Vec<_>>();
    assert_eq!(right.iter().position(|right| *right), Some(right.len() - 1), "{received:02x?}");
}

#[test]
fn a_client_that_does_not_wait_for_proceed_is_found_out() {
    let server = XmppServer::start(Script::starttls(Authority::new().server(&["example.org"])));
    let mut stream = tcp(server.addr());
    let opening = b"<stream:stream xmlns='jabber:client' to='example.org' version='1.0'>\
        <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\x16\x03\x01";
    stream.write_all(opening).unwrap();
    let end = server.wait_end(0).end;
    assert!(matches!(&end, Some(End::Failed(why)) if why.contains("did not wait")), "{end:?}");
}

#[test]
fn other_names_are_in_the_certificate_as_the_rfcs_write_them() {
    let authority = Authority::new();
    // id-on-dnsSRV (RFC 4985) with an IA5String, and id-on-xmppAddr (RFC 6120 section 13.7.1.4) with a UTF8String.
    let srv_id =
        [&[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 7, 0xa0, 26, 0x16, 24], &b"_xmpp-client.example.org"[..]];
    let address = [&[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 5, 0xa0, 13, 0x0c, 11], &b"example.org"[..]];
    for (identity, expected) in [
        (authority.issue_srv_ids(&["_xmpp-client.example.org"]), srv_id.concat()),
        (authority.issue_xmpp_addresses(&["example.org"]), address.concat()),
    ] {
        assert!(identity.chain[0].windows(expected.len()).any(|window| window == expected));
    }
}

#[test]
#[should_panic(expected = "the bench's thread culprit panicked")]
fn a_thread_that_panics_fails_the_test() {
    let workers = Workers::new();
    workers.spawn("culprit", |_| panic!("on purpose"));
    drop(workers);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::support::{BlackHole, process};
    use super::*;

    #[test]
    fn a_black_hole_swallows_every_connect_also_when_the_syn_is_sent_again() {
        let hole = BlackHole::new();
        assert_eq!(hole.connecting(), 0);
        thread::scope(|scope| {
            // The kernel sends the SYN again after 1 s.
            let connect = || TcpStream::connect_timeout(&hole.addr(), Duration::from_millis(1_300));
            let threads = [(); 3].map(|()| scope.spawn(connect));
            assert!((0..100_000).any(|_| hole.connecting() == 3), "the SYNs are counted");
            for thread in threads {
                assert_eq!(thread.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
            }
        });
        assert_eq!(hole.connecting(), 0);
    }

    #[test]
    fn sockets_to_an_address_are_counted_on_the_connecting_side_only() {
        // The kernel's tables are not read in one piece, and tests beside this one change them meanwhile.
        let are = |count, address| (0..100).any(|_| process::sockets_to(address) == count);
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            let mut open = vec![tcp(address), tcp(address)];
            let _accepted = listener.accept().unwrap();
            while let Some(stream) = open.pop() {
                assert!(are(open.len() + 1, address));
                drop(stream);
            }
            assert!(are(0, address));
        }
        let (server, client) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        client.connect(server.local_addr().unwrap()).unwrap();
        assert!(are(1, server.local_addr().unwrap()));
        drop(client);
        assert!(are(0, server.local_addr().unwrap()));
        assert!(process::open_descriptors() >= 3 && process::threads() >= 2);
    }
}
