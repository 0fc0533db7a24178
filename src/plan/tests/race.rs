//! When the next attempt of a group starts, and which one wins.

use super::super::simulation::World;
use super::{many, two};
use crate::dial::Stage;
use crate::report::AttemptOutcome;
use crate::service::TlsMode;

// spec D1
#[test]
fn the_next_attempt_starts_after_250_ms_of_silence() {
    let played = two(TlsMode::Direct, "", "tcp 20, tls 30").play();
    let expected = ["10 start 0 [2001:db8::1]:5223", "260 start 1 192.0.2.1:5223", "310 connected 1"];
    assert_eq!(played.dialled(), expected);
}

// spec D1
#[test]
fn a_failure_starts_the_next_attempt_at_once() {
    for (steps, next) in [("refused 17", 27), ("refused 10", 20), ("tcp 20, refused 3", 33)] {
        let played = two(TlsMode::Direct, steps, "").play();
        let expected = ["10 start 0 [2001:db8::1]:5223".to_owned(), format!("{next} start 1 192.0.2.1:5223")];
        assert_eq!(played.dialled()[..2], expected, "{steps}");
    }
}

// spec D1
#[test]
fn two_starts_are_10_ms_apart_however_fast_the_first_fails() {
    for steps in ["refused now", "refused 1", "refused 9"] {
        let mut world = many(TlsMode::Direct, 4);
        for last in 1..=3 {
            world = world.peer(&format!("192.0.2.{last}:5223"), steps);
        }
        let expected = [
            "10 start 0 192.0.2.1:5223",
            "20 start 1 192.0.2.2:5223",
            "30 start 2 192.0.2.3:5223",
            "40 start 3 192.0.2.4:5223",
        ];
        assert_eq!(world.play().dialled()[..4], expected, "{steps}");
    }
}

// spec D1
#[test]
fn one_failure_of_two_side_by_side_earns_one_start() {
    // The first one's TCP connection, at 290 ms, holds others back until 850 ms; only the failure at 300 ms does not.
    let world = many(TlsMode::Direct, 5).peer("192.0.2.1:5223", "tcp 280");
    let played = world.peer("192.0.2.2:5223", "refused 40").play();
    let expected = [
        "10 start 0 192.0.2.1:5223",
        "260 start 1 192.0.2.2:5223",
        "300 start 2 192.0.2.3:5223",
        "850 start 3 192.0.2.4:5223",
        "1100 start 4 192.0.2.5:5223",
    ];
    assert_eq!(played.dialled()[..5], expected);
}

// spec D1
#[test]
fn a_completed_stage_extends_the_delay_to_twice_its_time_at_least_250_ms() {
    for (tcp, next) in
        [(20, 10 + 20 + 250), (125, 10 + 125 + 250), (126, 10 + 126 + 252), (249, 10 + 249 + 498)]
    {
        let played = two(TlsMode::Direct, &format!("tcp {tcp}"), "").play();
        assert_eq!(played.dialled()[1], format!("{next} start 1 192.0.2.1:5223"), "{tcp}");
    }
}

// spec D1
#[test]
fn the_delay_grows_to_two_seconds_at_most() {
    // The first attempt's TCP takes 1,490 ms; twice that is more than 2 s.
    let played = many(TlsMode::Direct, 7).peer("192.0.2.1:5223", "tcp 1490").play();
    let dialled = played.dialled();
    assert_eq!(dialled[5..7], ["1260 start 5 192.0.2.6:5223", "3500 start 6 192.0.2.7:5223"]);
}

// spec D1
#[test]
fn the_time_of_a_stage_counts_from_the_stage_before() {
    // STARTTLS is complete at 10 + 200 + 150, and 2 x 150 ms is the delay, not 2 x 350 ms.
    let played = two(TlsMode::StartTls, "tcp 200, starttls 150", "").play();
    assert_eq!(played.dialled()[1], "660 start 1 192.0.2.1:5223");
}

// spec D1
#[test]
fn a_healthy_server_at_200_ms_round_trip_stays_alone() {
    // TLS 1.2 needs two round trips, which ends just when the other would start.
    for (tls, steps, connected) in [
        (TlsMode::Direct, "tcp 200, tls 200", 410),
        (TlsMode::Direct, "tcp 200, tls 400", 610),
        (TlsMode::StartTls, "tcp 200, starttls 200, tls 200", 610),
        (TlsMode::StartTls, "tcp 200, starttls 200, tls 400", 810),
    ] {
        let played = two(tls, steps, "tcp 1, starttls 1, tls 1").play();
        let expected = ["10 start 0 [2001:db8::1]:5223".to_owned(), format!("{connected} connected 0")];
        assert_eq!(played.dialled(), expected, "{steps}");
    }
}

// spec D1, D5
#[test]
fn a_peer_that_drips_bytes_and_completes_no_stage_gains_nothing() {
    // There is no event for bytes: only the stages of the first attempt can hold the second one back.
    let played = two(TlsMode::StartTls, "tcp 20, starttls 20", "").play();
    let expected = [
        "10 start 0 [2001:db8::1]:5223",
        "300 start 1 192.0.2.1:5223",
        "10050 close 0",
        "10300 close 1",
        "10300 failed Attempts",
    ];
    assert_eq!(played.dialled(), expected);
}

// spec D1
#[test]
fn any_attempt_in_flight_that_makes_progress_holds_the_next_one_back() {
    let world = many(TlsMode::Direct, 3);
    let played = world.peer("192.0.2.1:5223", "tcp 240").peer("192.0.2.2:5223", "tcp 9").play();
    // The first one's delay is 480 ms from 250 on; the second one's 250 ms from 739 on.
    let expected = ["10 start 0 192.0.2.1:5223", "730 start 1 192.0.2.2:5223", "989 start 2 192.0.2.3:5223"];
    assert_eq!(played.dialled()[..3], expected);
    // An older attempt that makes progress, beside a younger one that does not.
    let played = many(TlsMode::Direct, 3).peer("192.0.2.1:5223", "tcp 400").play();
    let expected = ["10 start 0 192.0.2.1:5223", "260 start 1 192.0.2.2:5223", "1210 start 2 192.0.2.3:5223"];
    assert_eq!(played.dialled()[..3], expected);
}

// spec D1
#[test]
fn addresses_are_interleaved_by_family_in_the_order_of_the_candidates() {
    let played = World::example()
        .xmpps(10, "5 1 5223 a.test, 5 1 443 b.test")
        .dns("a.test AAAA", 10, "2001:db8::1, 2001:db8::2, 2001:db8::3")
        .dns("a.test A", 10, "192.0.2.1, 192.0.2.2")
        .dns("b.test AAAA", 10, "2001:db8::b")
        .dns("b.test A", 10, "192.0.2.11")
        .play();
    let expected = [
        "20 start 0 [2001:db8::1]:5223",
        "270 start 1 192.0.2.1:5223",
        "520 start 2 [2001:db8::2]:5223",
        "770 start 3 192.0.2.2:5223",
        "1020 start 4 [2001:db8::3]:5223",
        "1270 start 5 [2001:db8::b]:443",
        "1520 start 6 192.0.2.11:443",
    ];
    assert_eq!(played.dialled()[..7], expected);
}

// spec D3
#[test]
fn a_server_that_accepts_and_stays_silent_costs_that_stage_and_one_delay() {
    let played = two(TlsMode::Direct, "tcp 20", "tcp 20, tls 20").play();
    let expected = ["10 start 0 [2001:db8::1]:5223", "280 start 1 192.0.2.1:5223", "320 connected 1"];
    assert_eq!(played.dialled(), expected);
    let played = two(TlsMode::StartTls, "tcp 20, starttls 30", "tcp 20, starttls 20, tls 20").play();
    let expected = ["10 start 0 [2001:db8::1]:5223", "310 start 1 192.0.2.1:5223", "370 connected 1"];
    assert_eq!(played.dialled(), expected);
}

// spec D3
#[test]
fn the_first_tcp_connection_does_not_win_but_the_first_verified_handshake() {
    let played = two(TlsMode::Direct, "tcp 200, tls 600", "tcp 50, tls 50").play();
    let expected = ["10 start 0 [2001:db8::1]:5223", "610 start 1 192.0.2.1:5223", "710 connected 1"];
    assert_eq!(played.dialled(), expected);
}

/// Two candidates of one group; the addresses of the second are known first, so that its attempt is number 0.
fn second_starts_first() -> World {
    World::example().xmpps(10, "5 1 5223 a.test, 5 1 5223 b.test").dns("a.test A", 190, "192.0.2.1").dns(
        "b.test A",
        10,
        "192.0.2.2",
    )
}

// spec D3
#[test]
fn of_several_that_finish_in_one_wake_up_the_first_in_order_wins() {
    let world = second_starts_first();
    let played =
        world.peer("192.0.2.2:5223", "tcp 200, tls 600").peer("192.0.2.1:5223", "tcp 100, tls 100").play();
    let expected = ["70 start 0 192.0.2.2:5223", "670 start 1 192.0.2.1:5223", "870 connected 1"];
    assert_eq!(played.dialled(), expected);
    let report = played.report();
    assert_eq!(report.candidates[report.attempts[1].candidate].host().to_string(), "a.test");
    assert!(matches!(report.attempts[1].outcome, AttemptOutcome::Connected));
    assert!(matches!(report.attempts[0].outcome, AttemptOutcome::Abandoned), "only one is the connection");
    // One millisecond earlier the other one has won.
    let world = second_starts_first();
    let played =
        world.peer("192.0.2.2:5223", "tcp 200, tls 599").peer("192.0.2.1:5223", "tcp 100, tls 100").play();
    assert_eq!(played.log.last().unwrap(), "869 connected 0");
}

// spec D3
#[test]
fn a_failure_of_any_kind_and_stage_starts_the_next_attempt_at_once() {
    for failure in ["refused", "reset", "untrusted"] {
        for (before, at) in [("", 10), ("tcp 20, ", 30), ("tcp 20, starttls 30, ", 60)] {
            let played =
                two(TlsMode::StartTls, &format!("{before}{failure} 12"), "tcp 1, starttls 1, tls 1").play();
            let next = at + 12;
            let expected = [
                "10 start 0 [2001:db8::1]:5223".to_owned(),
                format!("{next} start 1 192.0.2.1:5223"),
                format!("{} connected 1", next + 3),
            ];
            assert_eq!(played.dialled(), expected, "{before}{failure}");
        }
    }
}

// spec D3, D5
#[test]
fn an_attempt_that_runs_into_its_limit_is_closed_and_the_next_one_starts_at_once() {
    let world = two(TlsMode::Direct, "", "tcp 20, tls 20");
    let played = world.with(|world| world.settings.limits.attempt_delay = std::time::Duration::MAX).play();
    let expected = [
        "10 start 0 [2001:db8::1]:5223",
        "10010 close 0",
        "10010 start 1 192.0.2.1:5223",
        "10050 connected 1",
    ];
    assert_eq!(played.dialled(), expected);
}

// spec D3, D7
#[test]
fn losers_are_reported_as_abandoned_with_the_stage_they_were_in() {
    let world = many(TlsMode::StartTls, 4).peer("192.0.2.1:5223", "").peer("192.0.2.2:5223", "tcp 20");
    let played = world
        .peer("192.0.2.3:5223", "tcp 20, starttls 20")
        .peer("192.0.2.4:5223", "tcp 5, starttls 5, tls 5")
        .play();
    let report = played.report();
    let stages: Vec<Stage> = report.attempts.iter().map(|attempt| attempt.stage).collect();
    assert_eq!(stages, [Stage::Tcp, Stage::StartTls, Stage::Tls, Stage::Tls]);
    for (index, attempt) in report.attempts.iter().enumerate() {
        let expected = if index == 3 { "connected" } else { "abandoned" };
        assert_eq!(attempt.outcome.to_string(), expected, "{index}");
        assert_eq!(attempt.ended, report.elapsed);
    }
}

// spec D1
#[test]
fn failures_while_nothing_can_start_earn_one_start_and_no_burst() {
    let mut world = World::explicit(TlsMode::Direct, 5223)
        .dns("a.test AAAA", 10, "2001:db8::1, 2001:db8::2, 2001:db8::3")
        .dns("a.test A", 2000, "192.0.2.1, 192.0.2.2, 192.0.2.3");
    for (last, after) in [(1, 900), (2, 650), (3, 400)] {
        world = world.peer(&format!("[2001:db8::{last}]:5223"), &format!("refused {after}"));
    }
    let played = world.play();
    let expected =
        ["2000 start 3 192.0.2.1:5223", "2250 start 4 192.0.2.2:5223", "2500 start 5 192.0.2.3:5223"];
    assert_eq!(played.dialled()[3..6], expected);
}
