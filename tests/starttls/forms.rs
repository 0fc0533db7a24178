//! Tests of the bytes before TLS: ours, and a peer's that come one by one, without end, or after `<proceed/>`.

use std::time::Duration;

use xmpp_connect::TlsMode;

use crate::given::{DOMAIN, XMPP, builder, failures, zone};
use crate::support::xmpp::{PROCEED, STARTTLS_FEATURES, header};
use crate::support::{Authority, DnsServer, Event, Stage, Step, XmppServer};
use crate::{SAID, assert_refused, healthy, past, says};

// rule F3
#[test]
fn bytes_behind_proceed_reach_neither_tls_nor_the_application() {
    for behind in ["<message/>", "\u{16}\u{3}"] {
        let proceed = [PROCEED, behind].concat();
        assert_refused(
            behind,
            |authority| {
                healthy(authority).instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(&*proceed)])
            },
            &["follow <proceed/>"],
        );
    }
    // All at once, without waiting for the client.
    let all = [&header(DOMAIN), STARTTLS_FEATURES, PROCEED, "<message/>"].concat();
    let authority = Authority::new();
    let (connection, record) = past(&authority, says(&authority, &[&all]), true);
    assert!(failures(connection.report())[0].1.contains("follow <proceed/>"));
    assert_eq!(record.hello, None);
}

// rule F4
#[test]
fn an_endless_answer_is_bounded() {
    let to = header(DOMAIN);
    for (endless, words) in [("<a xmlns='b'/>", "more than 64 KiB"), ("<a xmlns='b'>", "more than 32 deep")] {
        let steps = [Step::AwaitHeader, Step::send(&*to), Step::SendForEver(endless.into())];
        assert_refused(endless, |authority| healthy(authority).instead(Stage::Header, &steps), &[words]);
    }
}

// rule F4
#[test]
fn every_byte_may_come_alone() {
    let authority = Authority::new();
    let drip = Step::Drip(Duration::from_micros(100));
    let server = XmppServer::start(healthy(&authority).before(Stage::Header, &[drip]));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    for pipelining in [true, false] {
        let connector = builder(&authority, &dns).starttls_pipelining(pipelining).build().unwrap();
        assert_eq!(connector.connect(DOMAIN).unwrap().tls_mode(), TlsMode::StartTls);
    }
}

// rule F1, F1a
#[test]
fn header_and_starttls_leave_in_one_write_or_step_by_step() {
    let authority = Authority::new();
    let server = XmppServer::start(healthy(&authority));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    drop(builder(&authority, &dns).build().unwrap().connect(DOMAIN).unwrap());
    drop(builder(&authority, &dns).starttls_pipelining(false).build().unwrap().connect(DOMAIN).unwrap());
    assert_eq!(server.wait_end(0).clear_reads(), [SAID]);
    let (header, starttls) = SAID.split_at(SAID.find("<starttls").unwrap());
    assert_eq!(server.wait_end(1).clear_reads(), [header, starttls]);
    let events = server.wait_end(1).events;
    let place = |bytes: &str| {
        events.iter().position(|event| match event {
            Event::Read(read) | Event::Wrote(read) => read == bytes.as_bytes(),
            Event::ClientHello(_) | Event::Secured => false,
        })
    };
    assert!(place(STARTTLS_FEATURES).unwrap() < place(starttls).unwrap(), "{events:#?}");
}
