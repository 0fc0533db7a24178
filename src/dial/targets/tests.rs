//! Tests of which address of a host is next, and from when on.

use std::time::Duration;

use super::*;
use crate::wait;

fn ipv6(last: u16) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])
}

fn ipv4(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Addresses as on a machine with both families.
fn routed(addresses: &[IpAddr]) -> Vec<(Rank, IpAddr)> {
    let source = |address: &IpAddr| if address.is_ipv6() { ipv6(0xffff) } else { ipv4(254) };
    addresses.iter().map(|address| (Rank::new(*address, Some(source(address))), *address)).collect()
}

/// Addresses that this machine has no route to.
fn unrouted(addresses: &[IpAddr]) -> Vec<(Rank, IpAddr)> {
    addresses.iter().map(|address| (Rank::new(*address, None), *address)).collect()
}

struct Bed {
    targets: Targets,
    host: Host,
    start: Instant,
}

impl Bed {
    fn new(preference: AddressFamily) -> Self {
        let (start, host) = (wait::now(), Host::Name("a.test".into()));
        let mut targets = Targets::new(preference, false);
        assert_eq!(targets.number(&host, start), 0);
        Self { targets, host, start }
    }

    fn answer(&mut self, family: Family, addresses: &[IpAddr], after: u64) {
        let at = self.start + Duration::from_millis(after);
        self.targets.answer(&self.host, family, Some(routed(addresses)), at);
    }

    fn next(&self, started: &[IpAddr]) -> Next {
        let started: Vec<Reach> = started.iter().copied().map(Reach::At).collect();
        self.targets.next(0, &started, &|_| false)
    }

    /// An address that may start so many milliseconds after the begin.
    fn address(&self, address: IpAddr, after: u64) -> Next {
        Next::Start(Reach::At(address), self.start + Duration::from_millis(after))
    }

    /// All that is there, in order.
    fn all(&self) -> Vec<IpAddr> {
        let mut started = Vec::new();
        while let Next::Start(Reach::At(address), _) = self.next(&started) {
            started.push(address);
        }
        started
    }
}

// rule D1
#[test]
fn families_take_turns_ipv6_first() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv4, &[ipv4(1), ipv4(2), ipv4(3)], 0);
    bed.answer(Family::Ipv6, &[ipv6(1), ipv6(2)], 0);
    assert_eq!(bed.all(), [ipv6(1), ipv4(1), ipv6(2), ipv4(2), ipv4(3)]);
}

// rule D1
#[test]
fn addresses_without_a_route_come_behind_all_others() {
    let mut bed = Bed::new(AddressFamily::Any);
    let mut mixed = unrouted(&[ipv6(1)]);
    mixed.extend(routed(&[ipv6(2)]));
    bed.targets.answer(&bed.host, Family::Ipv6, Some(mixed), bed.start);
    bed.answer(Family::Ipv4, &[ipv4(1), ipv4(2)], 0);
    assert_eq!(bed.all(), [ipv6(2), ipv4(1), ipv4(2), ipv6(1)]);
}

// rule D1, D4
#[test]
fn ipv6_without_a_route_waits_for_ipv4_as_the_second_family_does() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.targets.answer(&bed.host, Family::Ipv6, Some(unrouted(&[ipv6(1)])), bed.start);
    assert_eq!(bed.next(&[]), bed.address(ipv6(1), 50));
    bed.answer(Family::Ipv4, &[ipv4(1)], 20);
    assert_eq!(bed.next(&[]), bed.address(ipv4(1), 20));
    assert_eq!(bed.all(), [ipv4(1), ipv6(1)]);
}

// rule D11
#[test]
fn the_family_option_turns_the_order_or_leaves_one_out() {
    for (family, expected) in [
        (AddressFamily::Ipv4First, vec![ipv4(1), ipv6(1)]),
        (AddressFamily::Ipv4Only, vec![ipv4(1)]),
        (AddressFamily::Ipv6Only, vec![ipv6(1)]),
    ] {
        let mut bed = Bed::new(family);
        bed.answer(Family::Ipv6, &[ipv6(1)], 0);
        bed.answer(Family::Ipv4, &[ipv4(1)], 0);
        assert_eq!(bed.all(), expected, "{family:?}");
    }
}

// rule D4
#[test]
fn an_ipv4_answer_waits_50_ms_for_ipv6_and_no_longer() {
    for (answer, expected) in [(None, (ipv4(1), 50)), (Some(ipv6(1)), (ipv6(1), 20)), (None, (ipv4(1), 50))] {
        let mut bed = Bed::new(AddressFamily::Any);
        assert_eq!(bed.next(&[]), Next::Unknown);
        bed.answer(Family::Ipv4, &[ipv4(1)], 0);
        assert_eq!(bed.next(&[]), bed.address(ipv4(1), 50));
        if let Some(answer) = answer {
            bed.answer(Family::Ipv6, &[answer], 20);
        }
        assert_eq!(bed.next(&[]), bed.address(expected.0, expected.1));
    }
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv4, &[ipv4(1)], 0);
    bed.answer(Family::Ipv6, &[], 20);
    assert_eq!(bed.next(&[]), bed.address(ipv4(1), 20));
}

// rule D4
#[test]
fn an_ipv6_answer_starts_at_once_and_ipv4_joins() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv6, &[ipv6(1), ipv6(2)], 0);
    assert_eq!(bed.next(&[]), bed.address(ipv6(1), 0));
    bed.answer(Family::Ipv4, &[ipv4(1)], 1000);
    assert_eq!(bed.next(&[ipv6(1)]), bed.address(ipv4(1), 0));
}

// rule B10
#[test]
fn without_addresses_there_is_nothing_and_with_one_answer_missing_more_may_come() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv4, &[], 0);
    assert_eq!(bed.next(&[]), Next::Unknown);
    bed.targets.answer(&bed.host, Family::Ipv6, None, bed.start);
    assert_eq!(bed.next(&[]), Next::Nothing);
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv6, &[ipv6(1)], 0);
    assert_eq!(bed.next(&[ipv6(1)]), Next::MoreToCome);
}

// rule B9
#[test]
fn a_hint_starts_at_once_and_its_answer_replaces_what_has_not_started() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.targets.hint(&bed.host, Family::Ipv6, routed(&[ipv6(66), ipv6(67)]), bed.start);
    assert_eq!(bed.next(&[]), bed.address(ipv6(66), 0));
    assert_eq!(bed.next(&[ipv6(66), ipv6(67)]), Next::MoreToCome);
    bed.answer(Family::Ipv6, &[ipv6(1)], 30);
    bed.answer(Family::Ipv4, &[], 30);
    assert_eq!(bed.next(&[ipv6(66)]), bed.address(ipv6(1), 30));
    assert_eq!(bed.next(&[ipv6(66), ipv6(1)]), Next::Nothing);
    // A hint that arrives after the answer changes nothing.
    bed.targets.hint(&bed.host, Family::Ipv6, routed(&[ipv6(66)]), bed.start);
    assert_eq!(bed.all(), [ipv6(1)]);
}

// rule B9
#[test]
fn a_negative_answer_takes_a_hint_away_and_a_failed_lookup_does_not() {
    for (answer, left) in [(Some(Vec::new()), vec![]), (None, vec![ipv6(66)])] {
        let mut bed = Bed::new(AddressFamily::Any);
        bed.targets.hint(&bed.host, Family::Ipv6, routed(&[ipv6(66)]), bed.start);
        bed.targets.answer(&bed.host, Family::Ipv6, answer, bed.start);
        bed.answer(Family::Ipv4, &[], 0);
        assert_eq!(bed.all(), left);
    }
}

// rule D12
#[test]
fn no_more_addresses_are_kept_than_one_connect_can_try() {
    let mut bed = Bed::new(AddressFamily::Any);
    bed.answer(Family::Ipv6, &(0..200).map(ipv6).collect::<Vec<_>>(), 0);
    bed.answer(Family::Ipv4, &(0..100).map(ipv4).collect::<Vec<_>>(), 0);
    assert_eq!(bed.all().len(), 228);
    assert_eq!(bed.targets.cut().map(|(_, _, count)| count).collect::<Vec<_>>(), [72]);
}
