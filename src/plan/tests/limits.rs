//! Limits of time, cancelling, and what ends a connect at once.

use std::error::Error;
use std::time::Duration;

use super::super::simulation::World;
use super::{many, two};
use crate::error::ErrorKind;
use crate::report::{AttemptOutcome, AttemptReport, LookupResult};
use crate::service::TlsMode;
use crate::settings::Policy;

// spec D5
#[test]
fn the_whole_connect_ends_after_30_s_with_its_attempts_inside() {
    // Each address takes the TCP connection after 9 s and is silent then.
    let mut world = many(TlsMode::Direct, 16);
    for last in 1..=16 {
        world = world.peer(&format!("192.0.2.{last}:5223"), "tcp 9000");
    }
    let played = world.play();
    assert_eq!(played.log.last().unwrap(), "30000 failed TimedOut");
    let expected = "no connection to example.org within 30 s: 24 attempts; the one that came furthest, to \
                    a.test:5223 direct TLS (192.0.2.16:5223), failed during TLS";
    assert_eq!(played.error().to_string(), expected);
    let last = played.report().attempts.iter().filter(|attempt| attempt.ended.as_secs() == 30);
    assert!(last.clone().all(|attempt| matches!(attempt.outcome, AttemptOutcome::Abandoned)));
    assert_eq!(last.count(), 8);
}

// spec D5
#[test]
fn each_stage_has_10_s_and_the_next_one_10_s_of_its_own() {
    for (steps, closed) in [
        ("", 10_010),
        ("tcp 9999", 20_009),
        ("tcp 9999, starttls 9999", 30_008),
        ("tcp 9999, starttls 1", 20_010),
    ] {
        let world =
            many(TlsMode::StartTls, 1).with(|world| world.settings.limits.total = Duration::from_secs(60));
        let played = world.peer("192.0.2.1:5223", steps).play();
        assert_eq!(played.dialled()[1..], [format!("{closed} close 0"), format!("{closed} failed Attempts")]);
        let why = played.report().attempts[0].error().unwrap().to_string();
        let stage = played.report().attempts[0].stage;
        assert_eq!(why, format!("{stage} did not finish within 10 s"));
    }
}

// spec D5
#[test]
fn stages_that_end_in_time_do_not_fail() {
    let world = many(TlsMode::StartTls, 1).peer("192.0.2.1:5223", "tcp 9999, starttls 9999, tls 9999");
    assert_eq!(world.play().log.last().unwrap(), "30000 failed TimedOut");
    let world = many(TlsMode::Direct, 1).peer("192.0.2.1:5223", "tcp 9999, tls 9999");
    assert_eq!(world.play().log.last().unwrap(), "20008 connected 0");
}

// spec D5
#[test]
fn tcp_and_the_handshakes_have_separate_limits() {
    let world = || {
        many(TlsMode::StartTls, 1).with(|world| {
            world.settings.limits.tcp = Duration::from_secs(1);
            world.settings.limits.handshake = Duration::from_secs(3);
        })
    };
    assert_eq!(world().play().dialled()[1], "1010 close 0");
    assert_eq!(world().peer("192.0.2.1:5223", "tcp 500").play().dialled()[1], "3510 close 0");
    assert_eq!(world().peer("192.0.2.1:5223", "tcp 500, starttls 500").play().dialled()[1], "4010 close 0");
}

// spec D5
#[test]
fn a_lookup_has_5_s() {
    let world =
        World::explicit(TlsMode::Direct, 5223).dns("a.test AAAA", 0, "never").dns("a.test A", 0, "never");
    let played = world.play();
    assert_eq!(played.log[1..], ["5000 failed Lookup"]);
    let lookup = &played.report().lookups[0];
    assert_eq!(lookup.result, LookupResult::Failed("no answer within 5s".to_owned()));
    assert_eq!(lookup.answered, Some(Duration::from_secs(5)));
    // One millisecond earlier it counts.
    let world = World::explicit(TlsMode::Direct, 5223).dns("a.test AAAA", 4999, "2001:db8::a");
    assert_eq!(world.play().dialled()[0], "4999 start 0 [2001:db8::a]:5223");
}

// spec D5
#[test]
fn an_answer_that_comes_behind_its_limit_changes_nothing() {
    // The addresses of the second target come 1 s too late, while the first one is still dialled.
    let world =
        World::example().xmpps(10, "1 0 5223 a.test, 2 0 5223 b.test").dns("a.test A", 10, "192.0.2.1");
    let played = world.dns("b.test AAAA", 6000, "2001:db8::b").dns("b.test A", 6000, "failed").play();
    assert_eq!(played.dialled(), ["20 start 0 192.0.2.1:5223", "10020 close 0", "10020 failed Attempts"]);
    let lookup = played.report().lookups.iter().find(|lookup| lookup.question.name() == "b.test").unwrap();
    assert_eq!(lookup.result, LookupResult::Failed("no answer within 5s".to_owned()));
    assert_eq!(lookup.answered, Some(Duration::from_millis(5010)));
}

// spec D5
#[test]
fn a_limit_of_one_nanosecond_works() {
    let played = World::example().with(|world| world.settings.limits.total = Duration::from_nanos(1)).play();
    assert_eq!(played.log.last().unwrap(), "1ns failed TimedOut");
    assert_eq!(played.log.len(), 2);
    let nano = Duration::from_nanos(1);
    let world = two(TlsMode::Direct, "", "").with(|world| {
        world.settings.limits.tcp = nano;
        world.settings.limits.handshake = nano;
        world.settings.limits.attempt_delay = nano;
        world.settings.limits.group_delay = nano;
    });
    let expected = [
        "10 start 0 [2001:db8::1]:5223",
        "10.000001ms close 0",
        "20 start 1 192.0.2.1:5223",
        "20.000001ms close 1",
        "20.000001ms failed Attempts",
    ];
    assert_eq!(world.play().dialled(), expected);
    let world = two(TlsMode::Direct, "", "").lookup_limit(nano);
    assert_eq!(world.play().log.last().unwrap(), "1ns failed Lookup");
}

// spec D5
#[test]
fn without_any_limit_a_connect_goes_on_for_ever_in_strict_order() {
    const FORTY_DAYS: u64 = 40 * 24 * 60 * 60 * 1000;
    let world = World::example()
        .xmpps(10, "1 0 5223 a.test, 2 0 5223 b.test")
        .xmpp(FORTY_DAYS, "none")
        .dns("a.test AAAA", FORTY_DAYS, "2001:db8::a1, 2001:db8::a2")
        .dns("b.test AAAA", FORTY_DAYS, "2001:db8::b")
        .peer("[2001:db8::a1]:5223", &format!("tcp {FORTY_DAYS}, refused {FORTY_DAYS}"))
        .peer("[2001:db8::a2]:5223", &format!("refused {FORTY_DAYS}"))
        .peer("[2001:db8::b]:5223", &format!("tcp {FORTY_DAYS}, tls {FORTY_DAYS}"))
        .with(|world| {
            world.settings.limits.total = Duration::MAX;
            world.settings.limits.tcp = Duration::MAX;
            world.settings.limits.handshake = Duration::MAX;
            world.settings.limits.attempt_delay = Duration::MAX;
            world.settings.limits.group_delay = Duration::MAX;
        })
        .lookup_limit(Duration::MAX);
    let played = world.play();
    let (first, second, third) = (1510 + FORTY_DAYS, 1510 + 3 * FORTY_DAYS, 1510 + 4 * FORTY_DAYS);
    let expected = [
        format!("{first} start 0 [2001:db8::a1]:5223"),
        format!("{second} start 1 [2001:db8::a2]:5223"),
        format!("{third} start 2 [2001:db8::b]:5223"),
        format!("{} connected 2", third + 2 * FORTY_DAYS),
    ];
    assert_eq!(played.dialled(), expected);
}

// spec D5
#[test]
fn the_total_limit_wins_over_what_ends_in_the_same_moment() {
    let five = |world: World| world.with(|world| world.settings.limits.total = Duration::from_secs(5)).play();
    let played = five(World::example().policy(Policy::DirectOnly).xmpps(0, "never"));
    assert_eq!(played.kind(), ErrorKind::TimedOut);
    let silent =
        World::explicit(TlsMode::Direct, 5223).dns("a.test AAAA", 0, "never").dns("a.test A", 0, "never");
    assert_eq!(five(silent).kind(), ErrorKind::TimedOut);
    let world = two(TlsMode::Direct, "refused 5", "refused 4985");
    assert_eq!(five(world).kind(), ErrorKind::TimedOut);
    // But not over a connection.
    let world = two(TlsMode::Direct, "tcp 20, tls 4970", "");
    assert_eq!(five(world).log.last().unwrap(), "5000 connected 0");
}

// spec D5
#[test]
fn the_total_limit_counts_from_the_call_not_from_the_first_attempt() {
    let world = World::explicit(TlsMode::Direct, 5223).dns("a.test AAAA", 4000, "2001:db8::a");
    let played = world.with(|world| world.settings.limits.total = Duration::from_secs(6)).play();
    assert_eq!(played.dialled(), ["4000 start 0 [2001:db8::a]:5223", "6000 failed TimedOut"]);
}

// spec D12
#[test]
fn running_out_of_sockets_ends_the_connect_with_that_error() {
    for what in ["emfile", "enobufs"] {
        let played = many(TlsMode::Direct, 9).peer("192.0.2.2:5223", &format!("{what} now")).play();
        // The first is in flight and needs no more sockets: it is waited for.
        let expected = [
            "10 start 0 192.0.2.1:5223",
            "260 start 1 192.0.2.2:5223",
            "10010 close 0",
            "10010 failed System",
        ];
        assert_eq!(played.dialled(), expected);
        let report = played.report();
        let why = report.attempts[1].error().unwrap();
        assert!(matches!(why.kind(), crate::dial::AttemptErrorKind::Io(_)));
        assert_eq!(played.error().source().unwrap().to_string(), why.to_string());
        let played = many(TlsMode::Direct, 9).peer("192.0.2.1:5223", &format!("{what} 5")).play();
        assert_eq!(played.dialled(), ["10 start 0 192.0.2.1:5223", "15 failed System"]);
        let world = many(TlsMode::Direct, 9).peer("192.0.2.1:5223", "tcp 200, tls 200");
        let played = world.peer("192.0.2.2:5223", &format!("{what} now")).play();
        assert_eq!(*played.log.last().unwrap(), "410 connected 0");
    }
}

// spec D9
#[test]
fn cancelling_ends_the_connect_at_once_at_every_stage() {
    // SRV until 100, addresses until 200, TCP until 300, STARTTLS until 400, TLS until 500.
    let world = || {
        World::example()
            .xmpp(100, "5 0 5222 a.test")
            .dns("a.test AAAA", 100, "2001:db8::a")
            .peer("[2001:db8::a]:5222", "tcp 100, starttls 100, tls 100")
    };
    assert_eq!(world().play().log.last().unwrap(), "500 connected 0");
    for after in [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 499] {
        let played = world().cancelled(after).play();
        assert_eq!(*played.log.last().unwrap(), format!("{after} failed Cancelled"));
        assert_eq!(played.error().to_string(), "connecting to example.org was cancelled");
        let abandoned = |attempt: &AttemptReport| matches!(attempt.outcome, AttemptOutcome::Abandoned);
        assert!(played.report().attempts.iter().all(abandoned));
        assert_eq!(played.report().attempts.len(), usize::from(after > 200), "{after}");
        assert_eq!(played.report().elapsed, Duration::from_millis(after));
    }
}

// spec D9
#[test]
fn cancelling_ends_the_wait_for_the_other_srv_answer_and_between_attempts() {
    let half = || {
        World::example().xmpps(10, "5 0 5223 a.test").xmpp(0, "never").dns("a.test AAAA", 0, "2001:db8::a")
    };
    assert_eq!(half().cancelled(800).play().log.last().unwrap(), "800 failed Cancelled");
    let failed = half().peer("[2001:db8::a]:5223", "refused 5").cancelled(2000).play();
    assert_eq!(failed.dialled(), ["1510 start 0 [2001:db8::a]:5223", "2000 failed Cancelled"]);
}
