//! Datagrams and messages that are no answer to the question: they are ignored, and the wait goes on.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::given::{DOMAIN, XMPPS};
use crate::setup::{
    LOOKUP_LIMIT, Mangle, Service, UdpServer, asking, empty_answer, look_up, question_end, took, tries, why,
};
use crate::support::{Behaviour, DnsServer, Junk, PATIENCE, Rtype, Zone};

const LIMIT: Duration = Duration::from_millis(200);
const NXDOMAIN: u8 = 3;

// rule H1, H6
#[test]
fn the_answer_counts_whatever_comes_before_it() {
    let service = Service::new();
    let single = Junk::ALL.map(|junk| vec![junk]);
    for junk in single.into_iter().chain([Junk::ALL.to_vec(), vec![Junk::WrongId; 100]]) {
        let zone = service.zone().on_everything(Behaviour::JunkThenAnswer(junk.clone()));
        let dns = DnsServer::start(zone);
        let connection = service.connect(&[dns.addr()]).unwrap_or_else(|error| panic!("{junk:?}: {error:?}"));
        assert_eq!(connection.peer_addr(), service.server.addr());
        assert!(connection.report().lookups().iter().all(|lookup| tries(lookup) == 1), "{junk:?}");
    }
}

/// Each makes an answer one that does not belong to the question.
const STRAYS: [(&str, Mangle); 2] = [
    ("id", |mut message| {
        message[1] ^= 0xff;
        message
    }),
    ("type", |mut message| {
        let end = question_end(&message);
        message[end - 3] = 16;
        message
    }),
];

// rule H1, H6, D5
#[test]
fn an_answer_to_another_question_is_none_and_the_lookup_ends_at_its_limit() {
    for (what, stray) in STRAYS {
        let zone = Zone::new().srv(XMPPS, 0, 0, 5223, "a.example");
        let dns = DnsServer::start(zone.on(XMPPS, Rtype::SRV, Behaviour::Mangled(stray)));
        for over_tcp in [false, true] {
            let lookup = look_up(asking(&[dns.addr()]).dns_over_tcp(over_tcp).lookup_timeout(LIMIT));
            assert!(why(&lookup).starts_with("no answer within 0.2 s"), "{what}, over TCP: {over_tcp}");
            assert!(took(&lookup) >= LIMIT && took(&lookup) < LOOKUP_LIMIT, "{lookup}");
        }
    }
}

// rule H1
#[test]
fn an_answer_from_another_port_or_address_is_none() {
    let near = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = near();
    let mut others = vec![near()];
    // Elsewhere only 127.0.0.1 is there without being set up.
    if cfg!(target_os = "linux") {
        others.push(UdpSocket::bind(("127.0.0.2", socket.local_addr().unwrap().port())).unwrap());
    }
    let server = UdpServer::start(socket, move |_, from, query| {
        for other in &others {
            other.send_to(&empty_answer(query, 0, NXDOMAIN), from).unwrap();
        }
    });
    let lookup = look_up(asking(&[server.address]).lookup_timeout(LIMIT));
    assert!(why(&lookup).starts_with("no answer within 0.2 s"));

    // From where it was asked, the same octets are the answer.
    let server = UdpServer::start(near(), |socket, from, query| {
        socket.send_to(&empty_answer(query, 0, NXDOMAIN), from).unwrap();
    });
    let discovery = asking(&[server.address]).build().unwrap().discover(DOMAIN).unwrap();
    assert!(discovery.report().lookups().iter().all(|lookup| lookup.result.to_string() == "none"));
}

// rule D5, H6
#[test]
fn a_flood_of_junk_does_not_move_the_limit() {
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = UdpServer::start(socket, move |socket, from, query| {
        let mut stray = empty_answer(query, 0, NXDOMAIN);
        stray[0] ^= 0xff;
        let start = Instant::now();
        while !stop.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
            // What the client's buffer has no room for is lost.
            let _ = socket.send_to(&stray, from);
        }
    });
    let lookup = look_up(asking(&[server.address]).lookup_timeout(LIMIT));
    is_over.store(true, Ordering::Relaxed);
    assert!(why(&lookup).starts_with("no answer within 0.2 s"));
    assert!(took(&lookup) >= LIMIT && took(&lookup) < LOOKUP_LIMIT, "{lookup}");
}
