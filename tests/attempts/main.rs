//! Tests of `Attempts`: going on to the next server, events, and cancelling.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it has threads and a clock, and what cannot be set up fails its test"
)]

mod cancelling;
#[path = "../given/mod.rs"]
mod given;
mod redirected;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use xmpp_connect::report::{AttemptOutcome, Event, EventKind};
use xmpp_connect::{Connection, ErrorKind, Target, TlsMode};

use given::{DOMAIN, HEADER, XMPP, XMPPS, builder, connector, outcomes, owner, talk, zone};
use support::{Authority, DnsServer, PATIENCE, Rtype, Script, Stage, Step, XmppServer, Zone};

fn script(authority: &Authority, tls: TlsMode) -> Script {
    let config = authority.server(&[DOMAIN]);
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

/// Sends a stream header, and returns what the server says to it, up to the end of `until`.
fn ask(connection: &mut Connection, until: &str) -> String {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(HEADER.as_bytes()).unwrap();
    let mut said = String::new();
    while !said.contains(until) {
        let mut buffer = [0; 4096];
        let length = connection.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the end after {said:?}");
        said += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    said
}

/// Stream features with only this mechanism.
fn only_mechanism(name: &str) -> String {
    format!(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>{name}</mechanism>\
         </mechanisms></stream:features>"
    )
}

/// As far as a log-in gets here: the server takes the stream and offers SCRAM.
fn log_in(connection: &mut Connection) -> Result<(), String> {
    let said = ask(connection, "</stream:");
    if said.contains("<stream:error>") {
        return Err("the server refused the stream".to_owned());
    }
    if said.contains("SCRAM-SHA-1") { Ok(()) } else { Err("no SCRAM".to_owned()) }
}

// rule D8
#[test]
fn a_log_in_ends_on_the_second_server_when_the_first_refuses_the_stream_or_lacks_the_mechanism() {
    let authority = Authority::new();
    let refuses = support::xmpp::stream_error("host-gone");
    for (tls, says, why) in [
        (TlsMode::Direct, refuses.clone(), "the server refused the stream"),
        (TlsMode::StartTls, refuses, "the server refused the stream"),
        (TlsMode::Direct, only_mechanism("PLAIN"), "no SCRAM"),
    ] {
        let (first, second) = (
            XmppServer::start(script(&authority, tls).instead(Stage::SecureFeatures, &[Step::send(says)])),
            XmppServer::start(script(&authority, tls)),
        );
        let dns = DnsServer::start(zone(&[(owner(tls), 1, first.addr()), (owner(tls), 2, second.addr())]));
        let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
        let connection = loop {
            let mut connection = attempts.connect_next().unwrap();
            match log_in(&mut connection) {
                Ok(()) => break connection,
                Err(why) => attempts.reject(why),
            }
        };
        assert_eq!(connection.peer_addr(), second.addr());
        let report = connection.report();
        assert_eq!(
            outcomes(report),
            [(first.port(), "rejected".to_owned()), (second.port(), "connected".to_owned())]
        );
        assert!(report.to_string().contains(&format!("connected, and rejected: {why}")), "{report}");
        // Every question was asked once.
        let mut questions: Vec<String> =
            report.lookups().iter().map(|lookup| lookup.question.to_string()).collect();
        questions.sort();
        questions.dedup();
        assert_eq!(questions.len(), report.lookups().len(), "{report}");
        let queries = dns.queries();
        assert_eq!(queries.iter().filter(|query| query.kind.to_string() == "SRV").count(), 2, "{queries:?}");
    }
}

// rule D8
#[test]
fn after_the_last_server_it_is_an_error_with_the_report_and_stays_one() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    drop(attempts.connect_next().unwrap());
    attempts.reject("no SCRAM");
    // A second reason for the same connection has no effect.
    attempts.reject("another reason");
    for _ in 0..3 {
        let error = attempts.connect_next().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempts);
        assert!(error.to_string().ends_with("was rejected: no SCRAM"), "{error}");
        let report = error.report().unwrap();
        assert!(
            matches!(&report.attempts()[0].outcome, AttemptOutcome::Rejected(why) if why == "no SCRAM"),
            "{report}"
        );
    }
    assert_eq!(server.accepted(), 1);
}

// rule D8
#[test]
fn nothing_is_sent_before_the_first_connect_next() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    attempts.reject("nothing was connected to yet");
    assert!(dns.queries().is_empty());
    let connection = attempts.connect_next().unwrap();
    assert_eq!(outcomes(connection.report()), [(server.port(), "connected".to_owned())]);
}

// rule D8
#[test]
fn a_discovery_that_was_filtered_is_dialled_in_its_order_without_further_srv_lookups() {
    let authority = Authority::new();
    let servers: Vec<XmppServer> =
        (0..4).map(|_| XmppServer::start(script(&authority, TlsMode::Direct))).collect();
    let records: Vec<_> = servers.iter().map(|server| (XMPPS, 1, server.addr())).collect();
    let dns = DnsServer::start(zone(&records));
    let connector = connector(&authority, &dns);
    for _ in 0..4 {
        let mut discovery = connector.discover(DOMAIN).unwrap();
        let removed = discovery.candidates()[0].port();
        discovery.retain(|candidate| candidate.port() != removed);
        let order: Vec<u16> = discovery.candidates().iter().map(|candidate| candidate.port()).collect();
        assert_eq!(order.len(), 3);
        connector.clear_cache();
        let before = dns.queries().len();
        let mut attempts = connector.attempts_from(discovery);
        for port in order {
            let mut connection = attempts.connect_next().unwrap();
            assert_eq!(connection.peer_addr().port(), port);
            talk(&mut connection);
        }
        assert_eq!(attempts.connect_next().unwrap_err().kind(), ErrorKind::Attempts);
        assert!(dns.queries()[before..].iter().all(|query| query.kind.to_string() != "SRV"));
    }
    // Nothing is left.
    let mut discovery = connector.discover(DOMAIN).unwrap();
    discovery.retain(|_| false);
    let error = connector.attempts_from(discovery).connect_next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts, "{error}");
}

// rule D8
#[test]
fn a_preferred_or_explicit_target_can_be_gone_on_from() {
    let authority = Authority::new();
    let (preferred, published) = (
        XmppServer::start(script(&authority, TlsMode::Direct)),
        XmppServer::start(script(&authority, TlsMode::StartTls)),
    );
    let dns = DnsServer::start(zone(&[(XMPP, 1, published.addr())]));
    let connector = connector(&authority, &dns);
    let target = || Target::new("127.0.0.1", preferred.port(), TlsMode::Direct).unwrap();
    let mut attempts = connector.attempts_preferring(DOMAIN, target()).unwrap();
    assert_eq!(attempts.connect_next().unwrap().peer_addr(), preferred.addr());
    assert_eq!(attempts.connect_next().unwrap().peer_addr(), published.addr());
    assert_eq!(attempts.connect_next().unwrap_err().kind(), ErrorKind::Attempts);
    let mut attempts = connector.attempts_to(DOMAIN, target()).unwrap();
    assert_eq!(attempts.connect_next().unwrap().peer_addr(), preferred.addr());
    assert_eq!(attempts.connect_next().unwrap_err().kind(), ErrorKind::Attempts);
}

// rule D8
#[test]
fn the_events_are_seen_while_they_happen_and_are_those_of_the_report() {
    let authority = Authority::new();
    let refused = support::Refused::new();
    let server = XmppServer::start(script(&authority, TlsMode::StartTls));
    let dns = DnsServer::start(zone(&[(XMPP, 1, refused.addr()), (XMPP, 2, server.addr())]));
    let seen: Arc<Mutex<Vec<Event>>> = Arc::default();
    let mut attempts = builder(&authority, &dns).build().unwrap().attempts(DOMAIN).unwrap();
    let (sink, probe) = (Arc::clone(&seen), server.addr());
    attempts.observe(move |event| {
        if let EventKind::Started { destination, .. } = &event.kind {
            // The handshake with this server is still to come.
            let is_early = !sink.lock().unwrap().iter().any(|event| event.to_string().ends_with("connected"));
            assert!(*destination != probe || is_early);
        }
        sink.lock().unwrap().push(event.clone());
    });
    let connection = attempts.connect_next().unwrap();
    attempts.reject("enough");
    assert!(seen.lock().unwrap().last().unwrap().to_string().ends_with("rejected: enough"));
    attempts.connect_next().unwrap_err();
    let lines =
        |events: &[Event]| events.iter().map(|event| format!("{:?} {event}", event.at)).collect::<Vec<_>>();
    let seen = lines(&seen.lock().unwrap());
    let report = lines(connection.report().events());
    assert_eq!(seen[..report.len()], report);
    let told = seen.join("\n");
    for words in [
        "looking up _xmpp-client._tcp.example.org SRV",
        "_xmpp-client._tcp.example.org SRV: 2 records",
        "candidates: host0.example.org:",
        "attempt 1: host0.example.org:",
        "attempt 1: failed: connection refused",
        "attempt 2: TCP is complete",
        "attempt 2: STARTTLS is complete",
        "attempt 2: TLS is complete",
        "attempt 2: connected",
        "attempt 2: rejected: enough",
    ] {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    assert!(seen.is_sorted_by_key(|line| line.is_empty()), "in order");
}

// rule D8
#[test]
fn a_connection_that_was_not_rejected_stays_connected_in_the_reports_of_the_next() {
    let authority = Authority::new();
    let servers: Vec<XmppServer> =
        (0..3).map(|_| XmppServer::start(script(&authority, TlsMode::Direct))).collect();
    let records: Vec<_> =
        (1..).zip(&servers).map(|(priority, server)| (XMPPS, priority, server.addr())).collect();
    let dns = DnsServer::start(zone(&records));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    let mut expected = Vec::new();
    for server in &servers {
        let connection = attempts.connect_next().unwrap();
        expected.push((server.port(), "connected".to_owned()));
        assert_eq!(outcomes(connection.report()), expected);
    }
    let error = attempts.connect_next().unwrap_err();
    assert_eq!(outcomes(error.report().unwrap()), expected);
}

// rule D8
#[test]
fn after_an_observer_has_panicked_the_next_connect_starts_with_new_sockets() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    for moment in ["looking up", "candidates:", "attempt 1: host", "TCP is complete"] {
        let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
        attempts.observe(move |event| assert!(!event.to_string().contains(moment)));
        let attempt = std::panic::AssertUnwindSafe(|| attempts.connect_next());
        std::panic::catch_unwind(attempt).unwrap_err();
        attempts.observe(|_| {});
        let connection = attempts.connect_next().unwrap();
        let report = connection.report();
        let last = outcomes(report).pop().unwrap();
        assert_eq!(last, (server.port(), "connected".to_owned()), "{moment}: {report}");
        assert!(!report.to_string().contains("failed"), "{moment}: {report}");
    }
}

#[test]
fn attempts_and_cancellers_can_be_sent_to_and_shared_with_other_threads() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<xmpp_connect::Attempts>();
    is_send_and_sync::<xmpp_connect::Canceller>();
    is_send_and_sync::<Connection>();
}
