//! Several name servers: dead, refusing, and of different opinions; and no server at all.

use std::net::SocketAddr;
use std::time::Duration;

use xmpp_connect::dns::HickoryResolver;
use xmpp_connect::{Error, ErrorKind};

use super::support::{Behaviour, DnsServer, Rcode, Rtype, Zone, closed_udp_port};
use super::{DIRECT, SOON, builder, candidates, timed};

const FOUND: [&str; 1] = ["direct TLS one.example.org:5223"];

fn good() -> Zone {
    Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org")
}

fn ask(servers: &[SocketAddr]) -> (Vec<String>, Duration) {
    let connector = builder(servers).build().unwrap();
    let (discovery, time) = timed(|| connector.discover("example.org"));
    (candidates(discovery.unwrap().report()), time)
}

// rule H3
#[test]
fn a_first_server_that_is_silent_costs_a_second_and_goes_last_then() {
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let second = DnsServer::start(good().start_of_authority("example.org", 60));
    let connector = builder(&[silent.addr(), second.addr()]).build().unwrap();
    let (discovery, time) = timed(|| connector.discover("example.org"));
    assert_eq!(candidates(discovery.unwrap().report()), FOUND);
    // Two seconds for the negative answer of the second server: the first one could know better.
    assert!(time >= Duration::from_secs(2) && time < SOON, "{time:?}");
    silent.forget_queries();
    connector.discover("example.net").unwrap();
    assert_eq!(silent.questions(), [""; 0]);
}

// rule H3
#[test]
fn a_first_server_that_refuses_costs_nothing() {
    for zone in [
        Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)),
        Zone::new().on_everything(Behaviour::Code(Rcode::SERVFAIL)),
    ] {
        let (first, second) = (DnsServer::start(zone), DnsServer::start(good()));
        let (found, time) = ask(&[first.addr(), second.addr()]);
        assert_eq!(found, FOUND);
        assert!(time < Duration::from_secs(1), "{time:?}");
    }
}

// rule H3
#[test]
fn a_first_server_that_is_not_there_is_passed_over() {
    let second = DnsServer::start(good());
    let (found, time) = ask(&[closed_udp_port(), second.addr()]);
    assert_eq!(found, FOUND);
    assert!(time < SOON, "{time:?}");
}

// rule H3
#[test]
fn what_the_first_server_denies_is_denied_and_what_the_second_denies_is_not() {
    let (knows, denies) = (DnsServer::start(good()), DnsServer::start(Zone::new()));
    assert_eq!(ask(&[knows.addr(), denies.addr()]).0, FOUND);
    assert_eq!(ask(&[denies.addr(), knows.addr()]).0, ["STARTTLS example.org:5222"]);
    let late = good().on_everything(Behaviour::Answer.late(Duration::from_millis(1_200)));
    let late = DnsServer::start(late);
    assert_eq!(ask(&[late.addr(), denies.addr()]).0, FOUND, "it answers within two seconds");
}

// rule H3c
#[test]
fn a_lame_server_sends_the_question_to_the_next() {
    // No records, and neither AA nor RA.
    let lame = Zone::new().on_everything(Behaviour::Mangled(|mut message| {
        message[2] &= !0x04;
        message[3] = 0;
        message
    }));
    let (lame, second) = (DnsServer::start(lame), DnsServer::start(good()));
    let (found, time) = ask(&[lame.addr(), second.addr()]);
    assert_eq!(found, FOUND);
    assert!(time < Duration::from_secs(1), "{time:?}");
}

// rule H3
#[test]
fn what_was_lost_is_asked_again_after_a_second_and_no_sooner() {
    let lost = good().script(DIRECT, Rtype::SRV, &[Behaviour::Silence, Behaviour::Answer]);
    let server = DnsServer::start(lost);
    let (found, time) = ask(&[server.addr()]);
    assert_eq!(found, FOUND);
    assert!(time >= Duration::from_secs(1) && time < SOON, "{time:?}");
    assert_eq!(server.questions().iter().filter(|question| question.starts_with(DIRECT)).count(), 2);
}

// rule B5, D5, H3
#[test]
fn silence_of_all_ends_with_the_lookup_limit() {
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let limit = Duration::from_millis(300);
    let connector = builder(&[silent.addr()]).lookup_timeout(limit).build().unwrap();
    let (result, time) = timed(|| connector.connect("example.org"));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
    assert!(error.to_string().contains("no answer within 0.3 s"), "{error}");
    assert!(time >= limit && time < SOON, "{time:?}");
}

// rule H3
#[test]
fn when_every_server_fails_each_is_named() {
    let refuse = || DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)));
    let (one, two) = (refuse(), refuse());
    let connector = builder(&[one.addr(), two.addr()]).build().unwrap();
    let error = connector.connect("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup);
    for server in [&one, &two] {
        assert!(error.to_string().contains(&server.addr().to_string()), "{error}");
    }
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn servers_that_nobody_can_ask_are_an_error_at_once() {
    let cases: [(&[SocketAddr], &str); 2] = [
        (&[], "the list of name servers is empty"),
        (&[SocketAddr::from(([192, 0, 2, 1], 0))], "port 0 of 192.0.2.1"),
    ];
    for (servers, expected) in cases {
        let error = Error::from(HickoryResolver::new(servers.iter().copied()).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
