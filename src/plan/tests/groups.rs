//! When the next group starts, and which candidates form a group.

use std::time::Duration;

use super::super::simulation::World;
use crate::settings::Policy;

/// Two groups: three addresses of `a.test`, then one of `b.test`.
fn groups() -> World {
    World::example()
        .xmpps(10, "5 0 5223 a.test, 10 0 5223 b.test")
        .dns("a.test AAAA", 10, "2001:db8::a1, 2001:db8::a2")
        .dns("a.test A", 10, "192.0.2.1")
        .dns("b.test AAAA", 10, "2001:db8::b")
}

// spec D2
#[test]
fn a_black_holed_group_of_n_addresses_costs_a_quarter_second_each_but_the_first_and_one_second() {
    let played = groups().peer("[2001:db8::b]:5223", "tcp 20, tls 20").play();
    let expected = [
        "20 start 0 [2001:db8::a1]:5223",
        "270 start 1 192.0.2.1:5223",
        "520 start 2 [2001:db8::a2]:5223",
        "1520 start 3 [2001:db8::b]:5223",
        "1560 connected 3",
    ];
    assert_eq!(played.dialled(), expected);
}

// spec D2, D12
#[test]
fn up_to_16_black_holes_cost_no_more_than_that_whatever_their_families_and_hosts() {
    for count in 1..=16_u64 {
        let promised = 20 + (count - 1) * 250 + 1000 + 40;
        let good = |world: World| {
            world.dns("good.test A", 10, "203.0.113.1").peer("203.0.113.1:5223", "tcp 20, tls 20")
        };
        let of_one_host: Vec<String> = (1..=count).map(|last| format!("192.0.2.{last}")).collect();
        let one_host = World::example().xmpps(10, "5 0 5223 a.test, 10 0 5223 good.test").dns(
            "a.test A",
            10,
            &of_one_host.join(", "),
        );
        assert_eq!(*good(one_host).play().log.last().unwrap(), format!("{promised} connected {count}"));

        // As many addresses on hosts of two addresses each.
        let hosts = count.div_ceil(2);
        let records: Vec<String> = (0..hosts).map(|host| format!("5 0 5223 h{host}.test")).collect();
        let mut world = World::example().xmpps(10, &format!("{}, 10 0 5223 good.test", records.join(", ")));
        for host in 0..hosts {
            world = world.dns(&format!("h{host}.test AAAA"), 10, &format!("2001:db8::{host:x}"));
            if 2 * host + 1 < count {
                world = world.dns(&format!("h{host}.test A"), 10, &format!("192.0.2.{host}"));
            }
        }
        let log = good(world).play().log;
        assert_eq!(*log.last().unwrap(), format!("{promised} connected {count}"), "{log:?}");
    }
}

// spec D2
#[test]
fn a_completed_stage_holds_the_next_group_back_for_a_second() {
    let played = groups().peer("[2001:db8::a1]:5223", "tcp 900").play();
    assert_eq!(played.dialled()[3], "1920 start 3 [2001:db8::b]:5223");
}

// spec D2
#[test]
fn those_in_flight_go_on_and_can_still_win() {
    let played = groups().peer("192.0.2.1:5223", "tcp 1300, tls 200").play();
    let expected = ["1520 start 3 [2001:db8::b]:5223", "1770 connected 1"];
    assert_eq!(played.dialled()[3..], expected);
}

// spec D2
#[test]
fn the_next_group_starts_at_once_when_all_attempts_of_this_one_have_failed() {
    let world = groups().peer("[2001:db8::a1]:5223", "refused 30").peer("192.0.2.1:5223", "refused 40");
    let played = world.peer("[2001:db8::a2]:5223", "tcp 20, untrusted 50").play();
    let expected = [
        "20 start 0 [2001:db8::a1]:5223",
        "50 start 1 192.0.2.1:5223",
        "90 start 2 [2001:db8::a2]:5223",
        "160 start 3 [2001:db8::b]:5223",
    ];
    assert_eq!(played.dialled()[..4], expected);
}

// spec D2
#[test]
fn a_failure_does_not_open_the_next_group_while_another_of_this_one_is_in_flight() {
    let world = groups().peer("192.0.2.1:5223", "refused 5");
    let played = world.peer("[2001:db8::a2]:5223", "refused 5").play();
    let expected = [
        "20 start 0 [2001:db8::a1]:5223",
        "270 start 1 192.0.2.1:5223",
        "280 start 2 [2001:db8::a2]:5223",
        // The one in flight has been silent for a second.
        "1020 start 3 [2001:db8::b]:5223",
    ];
    assert_eq!(played.dialled()[..4], expected);
}

// spec D2
#[test]
fn an_infinite_group_delay_gives_strict_order() {
    let strict = |world: World| world.with(|world| world.settings.limits.group_delay = Duration::MAX);
    let played = strict(groups()).play();
    assert_eq!(
        played.dialled()[3..7],
        ["10020 close 0", "10270 close 1", "10520 close 2", "10520 start 3 [2001:db8::b]:5223"]
    );
    let played = strict(doors()).play();
    assert_eq!(played.dialled()[1..3], ["10020 close 0", "10020 start 1 [2001:db8::a]:5222"]);
}

/// Direct TLS and STARTTLS on the same server, in this order: the usual case.
fn doors() -> World {
    let world = World::example().xmpps(10, "5 0 5223 a.test").xmpp(10, "10 0 5222 a.test");
    world.dns("a.test AAAA", 10, "2001:db8::a")
}

// spec D2
#[test]
fn another_door_to_the_same_server_is_tried_after_250_ms() {
    let played = doors().peer("[2001:db8::a]:5222", "tcp 20, starttls 20, tls 20").play();
    let expected = ["20 start 0 [2001:db8::a]:5223", "270 start 1 [2001:db8::a]:5222", "330 connected 1"];
    assert_eq!(played.dialled(), expected);
}

// spec D1, D2
#[test]
fn the_other_door_waits_longer_while_the_first_makes_slow_progress() {
    let played = doors().peer("[2001:db8::a]:5223", "tcp 200").play();
    assert_eq!(played.dialled()[1], "620 start 1 [2001:db8::a]:5222");
}

// spec D2
#[test]
fn the_other_door_waits_until_all_addresses_of_the_first_have_started() {
    let played = doors().dns("a.test A", 10, "192.0.2.1").play();
    let expected = [
        "20 start 0 [2001:db8::a]:5223",
        "270 start 1 192.0.2.1:5223",
        "520 start 2 [2001:db8::a]:5222",
        "770 start 3 192.0.2.1:5222",
    ];
    assert_eq!(played.dialled()[..4], expected);
}

// spec D2
#[test]
fn a_lookup_that_hangs_holds_the_next_group_back_for_a_second() {
    let world = || {
        World::example().xmpps(10, "5 0 5223 a.test, 10 0 5223 b.test").dns("b.test AAAA", 10, "2001:db8::b")
    };
    let played = world().dns("a.test AAAA", 0, "never").dns("a.test A", 0, "never").play();
    assert_eq!(played.dialled()[0], "1010 start 0 [2001:db8::b]:5223");
    let played = world().dns("a.test AAAA", 0, "never").dns("a.test A", 300, "none").play();
    assert_eq!(played.dialled()[0], "1310 start 0 [2001:db8::b]:5223");
}

// spec D2, D4
#[test]
fn the_addresses_of_an_earlier_group_that_come_late_are_still_dialled() {
    let played = World::example()
        .xmpps(10, "5 0 5223 a.test, 10 0 5223 b.test")
        .dns("a.test AAAA", 2000, "2001:db8::a")
        .dns("a.test A", 2000, "none")
        .dns("b.test AAAA", 10, "2001:db8::b")
        .peer("[2001:db8::a]:5223", "tcp 20, tls 20")
        .peer("[2001:db8::b]:5223", "refused 5")
        .play();
    let expected = ["1010 start 0 [2001:db8::b]:5223", "2010 start 1 [2001:db8::a]:5223", "2050 connected 1"];
    assert_eq!(played.dialled(), expected);
}

// spec D2, D4
#[test]
fn late_addresses_of_an_earlier_group_go_before_those_of_the_group_that_is_dialled() {
    let played = World::example()
        .xmpps(10, "5 0 5223 a.test, 10 0 5223 b.test")
        .dns("a.test AAAA", 1100, "2001:db8::a")
        .dns("a.test A", 1100, "none")
        .dns("b.test AAAA", 10, "2001:db8::b1, 2001:db8::b2")
        .play();
    let expected = [
        "1010 start 0 [2001:db8::b1]:5223",
        "1260 start 1 [2001:db8::a]:5223",
        "1510 start 2 [2001:db8::b2]:5223",
    ];
    assert_eq!(played.dialled()[..3], expected);
}

/// Three groups: `a.test`, whose lookup hangs, `b.test` and `c.test`.
fn hanging_first() -> World {
    World::example()
        .xmpps(10, "1 0 5223 a.test, 2 0 5223 b.test, 3 0 5223 c.test")
        .dns("a.test AAAA", 0, "never")
        .dns("c.test AAAA", 10, "2001:db8::c")
}

// spec D2, D4
#[test]
fn an_earlier_group_whose_lookup_hangs_delays_only_the_group_behind_it() {
    // The second group's answer comes when it is dialled already: nothing of its own group is waited for.
    let played = hanging_first().dns("b.test AAAA", 1190, "2001:db8::b").play();
    assert_eq!(played.dialled()[0], "1200 start 0 [2001:db8::b]:5223");
    // The second group has failed: that is all that the third one waits for.
    let world = hanging_first().dns("b.test AAAA", 10, "2001:db8::b");
    let played = world.peer("[2001:db8::b]:5223", "refused 50").play();
    assert_eq!(played.dialled()[..2], ["1020 start 0 [2001:db8::b]:5223", "1070 start 1 [2001:db8::c]:5223"]);
}

// spec D2
#[test]
fn an_earlier_group_in_flight_does_not_hold_back_the_group_behind_one_that_has_failed() {
    // The first attempt makes progress at 2,010 ms still; the second group has failed as a whole at 2,050 ms.
    let world = World::example().xmpp(10, "1 0 5222 a.test, 2 0 5222 b.test, 3 0 5222 c.test");
    let world = world.dns("a.test AAAA", 10, "2001:db8::a").dns("b.test AAAA", 10, "2001:db8::b");
    let world = world.dns("c.test AAAA", 10, "2001:db8::c");
    let world = world.peer("[2001:db8::a]:5222", "tcp 980, starttls 1010");
    let played = world.peer("[2001:db8::b]:5222", "refused 50").play();
    let expected = [
        "20 start 0 [2001:db8::a]:5222",
        "2000 start 1 [2001:db8::b]:5222",
        "2050 start 2 [2001:db8::c]:5222",
    ];
    assert_eq!(played.dialled()[..3], expected);
}

// spec D12
#[test]
fn targets_are_looked_up_group_by_group_the_next_one_ahead_of_time() {
    let played = World::example()
        .xmpps(10, "1 0 1 a.test, 2 0 2 b.test, 3 0 3 c.test, 4 0 4 d.test")
        .dns("a.test AAAA", 10, "2001:db8::a")
        .dns("b.test AAAA", 10, "2001:db8::b")
        .play();
    let expected = [
        "10 ask a.test AAAA, a.test A, b.test AAAA, b.test A",
        "1020 ask c.test AAAA, c.test A",
        "2020 ask d.test AAAA, d.test A",
    ];
    assert_eq!(played.questions()[1..], expected);
}

// spec D12
#[test]
fn a_group_without_known_addresses_does_not_delay_the_lookup_of_the_next_one() {
    let played = World::example()
        .xmpps(10, "1 0 1 a.test, 2 0 2 b.test, 3 0 3 c.test")
        .dns("a.test AAAA", 10, "2001:db8::a")
        .dns("b.test AAAA", 0, "never")
        .dns("b.test A", 0, "never")
        .play();
    assert_eq!(played.questions()[2], "1020 ask c.test AAAA, c.test A");
}

/// Both kinds at two priorities; every far end refuses, so that the starts show the order.
fn both_kinds(policy: Policy) -> Vec<u16> {
    let mut world = World::example()
        .xmpps(10, "5 1 1 a.test, 10 1 2 a.test")
        .xmpp(10, "5 1 3 a.test, 10 1 4 a.test")
        .dns("a.test A", 10, "192.0.2.1")
        .policy(policy);
    for port in 1..=4 {
        world = world.peer(&format!("192.0.2.1:{port}"), "refused 5");
    }
    let played = world.play();
    played.report().attempts.iter().map(|attempt| attempt.address.port()).collect()
}

// spec B4, C1
#[test]
fn priorities_are_tried_lowest_first_and_under_a_preference_by_kind_first() {
    assert_eq!(both_kinds(Policy::AsPublished), [1, 3, 2, 4]);
    assert_eq!(both_kinds(Policy::PreferDirect), [1, 2, 3, 4]);
    assert_eq!(both_kinds(Policy::PreferStartTls), [3, 4, 1, 2]);
    assert_eq!(both_kinds(Policy::DirectOnly), [1, 2]);
    assert_eq!(both_kinds(Policy::StartTlsOnly), [3, 4]);
}

// spec C1
#[test]
fn under_a_preference_one_pair_of_kind_and_priority_is_a_group() {
    let starts = |policy| {
        let world = World::example().xmpps(10, "5 1 5223 a.test").xmpp(10, "5 1 5222 b.test").policy(policy);
        let played = world.dns("a.test AAAA", 10, "2001:db8::a").dns("b.test AAAA", 10, "2001:db8::b").play();
        [played.dialled()[0].to_owned(), played.dialled()[1].to_owned()]
    };
    // One group: the attempt delay. Two groups: the group delay.
    assert_eq!(
        starts(Policy::AsPublished),
        ["20 start 0 [2001:db8::a]:5223", "270 start 1 [2001:db8::b]:5222"]
    );
    assert_eq!(
        starts(Policy::PreferDirect),
        ["20 start 0 [2001:db8::a]:5223", "1020 start 1 [2001:db8::b]:5222"]
    );
    assert_eq!(
        starts(Policy::PreferStartTls),
        ["20 start 0 [2001:db8::b]:5222", "1020 start 1 [2001:db8::a]:5223"]
    );
}

// spec B3, C2
#[test]
fn the_weighted_draw_is_over_both_kinds_together() {
    let order = |ticket: u64| {
        let mut tickets = vec![0, ticket];
        let world = World::example().xmpps(10, "5 1 5223 a.test").xmpp(10, "5 3 5222 b.test");
        let played = world.discovery();
        let played = played.random(move |_| tickets.pop().unwrap_or(0)).play();
        played.candidates()[0].clone()
    };
    assert_eq!(
        [0, 1, 2, 3].map(order),
        ["a.test:5223 direct TLS", "b.test:5222 STARTTLS", "b.test:5222 STARTTLS", "b.test:5222 STARTTLS"]
    );
}

// spec C4, C5
#[test]
fn each_connect_draws_a_fresh_order() {
    let order = |first: u64| {
        let world = World::example().xmpps(10, "5 1 5223 a.test, 5 1 5223 b.test, 5 1 5223 c.test");
        let mut first = Some(first);
        let played = world.random(move |_| first.take().unwrap_or(0)).play();
        played.report().candidates.iter().map(|candidate| candidate.host().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order(0), ["a.test", "b.test", "c.test"]);
    assert_eq!(order(1), ["b.test", "a.test", "c.test"]);
    assert_eq!(order(2), ["c.test", "a.test", "b.test"]);
}
