//! Tests of how a connect ends: the kind of its error, lack of sockets, and cancellation at every stage.

use std::error::Error;

use super::{World, many};
use crate::error::ErrorKind;
use crate::report::{AttemptOutcome, AttemptReport};

// rule B7
#[test]
fn the_kind_follows_the_attempt_that_came_furthest() {
    let untrusted = "tcp 5, untrusted 5";
    for (first, second, kind, what, furthest) in [
        (untrusted, untrusted, ErrorKind::Untrusted, "trusted", 2),
        ("refused 5", untrusted, ErrorKind::Untrusted, "trusted", 2),
        (untrusted, "refused 5", ErrorKind::Untrusted, "trusted", 1),
        // The verification of the certificate comes last.
        (untrusted, "tcp 5, reset 5", ErrorKind::Untrusted, "trusted", 1),
        (untrusted, "tcp 5", ErrorKind::Untrusted, "trusted", 1),
        ("refused 5", "tcp 5, reset 5", ErrorKind::Attempts, "used", 2),
        ("tcp 5, reset 5", "refused 5", ErrorKind::Attempts, "used", 1),
        ("tcp 5, reset 5", "tcp 5, reset 5", ErrorKind::Attempts, "used", 2),
        ("refused 5", "refused 5", ErrorKind::Attempts, "reached", 2),
        ("refused 5", "silent", ErrorKind::Attempts, "reached", 2),
    ] {
        let peers = format!("peer 192.0.2.1:5223 {first}\npeer 192.0.2.2:5223 {second}");
        let played = many(2, &peers).play();
        let (error, message) = (played.error(), played.error().to_string());
        assert_eq!(error.kind(), kind, "{first} and {second}");
        assert!(
            message.starts_with(&format!("no server of example.org could be {what}: 2 attempts; ")),
            "{message}"
        );
        let attempt = &played.report().attempts[furthest - 1];
        assert!(message.contains(&attempt.destination.to_string()), "{first} and {second}: {message}");
        assert_eq!(error.source().unwrap().to_string(), attempt.error().unwrap().to_string());
    }
}

// rule D12
#[test]
fn running_out_of_sockets_ends_the_connect_with_that_error() {
    for what in ["emfile", "enobufs"] {
        let played = many(9, &format!("peer 192.0.2.2:5223 {what} now")).play();
        // The first is in flight and needs no more sockets, so the connect waits for it.
        let expected = [
            "10 start 0 192.0.2.1:5223",
            "260 start 1 192.0.2.2:5223",
            "10010 close 0",
            "10010 failed System",
        ];
        assert_eq!(played.log[1..], expected);
        let why = played.report().attempts[1].error().unwrap();
        assert!(matches!(why.kind(), crate::dial::AttemptErrorKind::Io(_)));
        assert_eq!(played.error().source().unwrap().to_string(), why.to_string());
        let played = many(9, &format!("peer 192.0.2.1:5223 {what} 5")).play();
        assert_eq!(played.log[1..], ["10 start 0 192.0.2.1:5223", "15 failed System"]);
        let peers = format!("peer 192.0.2.1:5223 tcp 200, tls 200\npeer 192.0.2.2:5223 {what} now");
        assert_eq!(*many(9, &peers).play().log.last().unwrap(), "410 connected 0");
    }
}

// rule D9
#[test]
fn cancelling_ends_the_connect_at_once_at_every_stage() {
    // SRV until 100, addresses until 200, TCP until 300, STARTTLS until 400, TLS until 500.
    let world = "dns xmpp 100: 5 0 5222 a.test\ndns a.test AAAA 100: 2001:db8::a\n\
                 peer [2001:db8::a]:5222 tcp 100, starttls 100, tls 100\n";
    assert_eq!(World::read(world).play().log.last().unwrap(), "500 connected 0");
    for after in [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 499] {
        let played = World::read(&format!("{world}cancel {after}")).play();
        assert_eq!(*played.log.last().unwrap(), format!("{after} failed Cancelled"));
        assert_eq!(played.error().to_string(), "connecting to example.org was cancelled");
        let abandoned = |attempt: &AttemptReport| matches!(attempt.outcome, AttemptOutcome::Abandoned);
        assert!(played.report().attempts.iter().all(abandoned));
        assert_eq!(played.report().attempts.len(), usize::from(after > 200), "{after}");
        assert_eq!(played.report().elapsed.as_millis(), after);
    }
}

// rule D5
#[test]
fn the_whole_connect_ends_after_30_s_with_its_attempts_inside() {
    // Each address accepts the TCP connection after 9 s, and then stays silent.
    let played = many(16, "peer 192.0.2.{1..16}:5223 tcp 9000").play();
    assert_eq!(played.log.last().unwrap(), "30000 failed TimedOut");
    let expected = "no connection to example.org within 30 s: 24 attempts; the one that got furthest, to \
                    a.test:5223 direct TLS (192.0.2.16:5223), failed during TLS";
    assert_eq!(played.error().to_string(), expected);
    let last = played.report().attempts.iter().filter(|attempt| attempt.ended.as_secs() == 30);
    assert!(last.clone().all(|attempt| matches!(attempt.outcome, AttemptOutcome::Abandoned)));
    assert_eq!(last.count(), 8);
}

// rule A7
#[test]
fn the_error_for_a_local_name_without_addresses_says_that_multicast_dns_is_not_done() {
    for reply in ["nxdomain", "none", "failed"] {
        let answers = format!("dns chat.local A 10: {reply}\ndns chat.local AAAA 10: {reply}\n");
        for line in
            ["domain chat.local", "dns xmpps 10: 1 0 5223 chat.local", "to chat.local:5299 direct TLS"]
        {
            let played = World::read(&format!("{answers}{line}")).play();
            assert!(played.error().to_string().contains("multicast DNS"), "{reply} {line}");
        }
    }
    assert!(!World::read("").play().error().to_string().contains("multicast DNS"));
}

// rule D8, D9
#[test]
fn an_attempt_that_is_verified_while_the_connect_is_cancelled_was_not_the_connection() {
    for cancel in [15, 14, 16] {
        let played = many(2, &format!("peer 192.0.2.1:5223 tcp 2, tls 3\ncancel {cancel}")).play();
        let attempts = &played.report().attempts;
        if cancel == 16 {
            assert_eq!(*played.log.last().unwrap(), "15 connected 0");
        } else {
            assert_eq!(played.error().kind(), ErrorKind::Cancelled);
            assert!(matches!(attempts[0].outcome, AttemptOutcome::Abandoned), "{}", played.report());
            let ends = played.report().events.iter().filter(|event| event.to_string().contains("abandoned"));
            assert_eq!(ends.count(), 1, "{}", played.report());
        }
    }
}
