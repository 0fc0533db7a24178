//! The hosts of one connect: their addresses, which is next, and from when on (RFC 8305). No IO.

use std::net::IpAddr;
use std::time::Instant;

use super::address_order::Rank;
use crate::deadline::Deadline;
use crate::domain::Host;
use crate::limits::{MAX_ATTEMPTS, RESOLUTION_DELAY};
use crate::settings::{AddressFamily, Family};

/// The hosts, numbered in the order in which they became known.
#[derive(Debug)]
pub(super) struct Targets {
    preference: AddressFamily,
    list: Vec<HostAddresses>,
}

/// One host and its addresses.
#[derive(Debug)]
struct HostAddresses {
    host: Host,
    /// Whether its addresses have been asked for.
    is_asked: bool,
    ipv6: Known,
    ipv4: Known,
    /// How many addresses were left out.
    left_out: usize,
}

/// The addresses of one family of one host, in the order of RFC 6724.
#[derive(Debug)]
enum Known {
    /// Not known yet.
    Pending,
    /// Addresses from the additional section of an SRV answer. They can be tried, but may be stale or incomplete: the
    /// answer replaces those that have not been started.
    Hinted(Vec<(Rank, IpAddr)>, Instant),
    /// The answer. An empty list is a negative answer, or a failed lookup without hints.
    Answered(Vec<(Rank, IpAddr)>, Instant),
}

/// What a candidate can start next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This address, from this time on.
    Address(IpAddr, Instant),
    /// No address is known yet; lookups are outstanding.
    Unknown,
    /// Nothing at the moment: all known addresses have started, and one family is still outstanding.
    MoreToCome,
    /// Nothing any more.
    Nothing,
}

impl Targets {
    pub(super) fn new(preference: AddressFamily) -> Self {
        Self { preference, list: Vec::new() }
    }

    /// Returns the number of a host, which is added if it is new. An address literal is its own address; an excluded
    /// family counts as answered.
    pub(super) fn number(&mut self, host: &Host, now: Instant) -> usize {
        if let Some(number) = self.list.iter().position(|target| target.host == *host) {
            return number;
        }
        let known = |family| match host {
            Host::Address(address) if Family::of(*address) == family => {
                Known::Answered(vec![(Rank::new(*address, Some(*address)), *address)], now)
            }
            Host::Name(_) if self.preference.uses(family) => Known::Pending,
            Host::Address(_) | Host::Name(_) => Known::Answered(Vec::new(), now),
        };
        self.list.push(HostAddresses {
            host: host.clone(),
            is_asked: matches!(host, Host::Address(_)),
            ipv6: known(Family::Ipv6),
            ipv4: known(Family::Ipv4),
            left_out: 0,
        });
        self.list.len() - 1
    }

    /// Marks the host as asked for; returns it the first time.
    pub(super) fn ask(&mut self, number: usize) -> Option<Host> {
        let target = self.list.get_mut(number).filter(|target| !target.is_asked)?;
        target.is_asked = true;
        Some(target.host.clone())
    }

    /// Adds addresses from the additional section of an SRV answer.
    pub(super) fn hint(&mut self, host: &Host, family: Family, addresses: Vec<(Rank, IpAddr)>, now: Instant) {
        let Some(target) = self.list.iter_mut().find(|target| target.host == *host) else { return };
        if matches!(target.known(family), Known::Pending) && !addresses.is_empty() {
            *target.known_mut(family) = Known::Hinted(target.kept(addresses), now);
        }
    }

    /// Adds the answer to an address question; `None` if the lookup has failed, which removes no hints.
    pub(super) fn answer(
        &mut self,
        host: &Host,
        family: Family,
        addresses: Option<Vec<(Rank, IpAddr)>>,
        now: Instant,
    ) {
        let Some(target) = self.list.iter_mut().find(|target| target.host == *host) else { return };
        let answered = match (target.known_mut(family), addresses) {
            (Known::Answered(..), _) => return,
            (Known::Hinted(hints, since), None) => Known::Answered(std::mem::take(hints), *since),
            (Known::Pending | Known::Hinted(..), addresses) => {
                Known::Answered(target.kept(addresses.unwrap_or_default()), now)
            }
        };
        *target.known_mut(family) = answered;
    }

    /// The next address for a candidate with this host that has started these addresses.
    pub(super) fn next(&self, number: usize, started: &[IpAddr]) -> Next {
        self.list.get(number).map_or(Next::Nothing, |target| target.next(self.preference, started))
    }

    /// When the latest answer for this host came.
    pub(super) fn latest(&self, number: usize) -> Option<Instant> {
        let target = self.list.get(number)?;
        target.ipv6.since().max(target.ipv4.since())
    }

    /// The hosts with more addresses than can be tried: number, name, and the number of the excess ones.
    pub(super) fn cut(&self) -> impl Iterator<Item = (usize, &Host, usize)> {
        let cut = self.list.iter().enumerate().filter(|(_, target)| target.left_out > 0);
        cut.map(|(number, target)| (number, &target.host, target.left_out))
    }
}

impl Known {
    fn list(&self) -> &[(Rank, IpAddr)] {
        match self {
            Self::Pending => &[],
            Self::Hinted(addresses, _) | Self::Answered(addresses, _) => addresses,
        }
    }

    fn since(&self) -> Option<Instant> {
        match self {
            Self::Pending => None,
            Self::Hinted(_, since) | Self::Answered(_, since) => Some(*since),
        }
    }

    /// The rank of the address that goes first, once there is one.
    fn best(&self) -> Option<Rank> {
        self.list().first().map(|(rank, _)| *rank)
    }
}

impl HostAddresses {
    /// Families alternate, the preferred one first (RFC 8305 section 4); addresses without a route come after all
    /// others.
    fn next(&self, preference: AddressFamily, started: &[IpAddr]) -> Next {
        let first = self.first(preference);
        let turn = started.last().map_or(first, |last| Family::of(*last).other());
        let left = |family: Family| {
            self.known(family).list().iter().find(|(_, address)| !started.contains(address)).copied()
        };
        let usable = |family| left(family).filter(|(rank, _)| !rank.is_unusable);
        let next = usable(turn)
            .or_else(|| usable(turn.other()))
            .or_else(|| left(turn))
            .or_else(|| left(turn.other()));
        match next {
            Some((_, address)) => self.ready_at(first).map_or(Next::Unknown, |at| Next::Address(address, at)),
            None if self.is_complete() => Next::Nothing,
            None if started.is_empty() => Next::Unknown,
            None => Next::MoreToCome,
        }
    }

    /// The family that goes first. Unless the caller has set it, that is IPv6, except if the known IPv4 addresses rank
    /// before it or IPv6 has no route.
    fn first(&self, preference: AddressFamily) -> Family {
        match preference {
            AddressFamily::Ipv6Only => Family::Ipv6,
            AddressFamily::Ipv4First | AddressFamily::Ipv4Only => Family::Ipv4,
            AddressFamily::Any => match (self.ipv6.best(), self.ipv4.best()) {
                (Some(ipv6), Some(ipv4)) if ipv4 < ipv6 => Family::Ipv4,
                (Some(ipv6), None) if ipv6.is_unusable => Family::Ipv4,
                (Some(_) | None, _) => Family::Ipv6,
            },
        }
    }

    /// When the host may be tried: as soon as the first family has addresses; with addresses of the other family once
    /// the first is known to have none, or [`RESOLUTION_DELAY`] later.
    fn ready_at(&self, first: Family) -> Option<Instant> {
        let with_addresses = |family| {
            let known = self.known(family);
            known.since().filter(|_| !known.list().is_empty())
        };
        let second = with_addresses(first.other()).and_then(|since| {
            let waited = Deadline::after(since, RESOLUTION_DELAY);
            let known = self.known(first).since().map_or(Deadline::NEVER, |at| Deadline::from(at.max(since)));
            waited.min(known).at()
        });
        match (with_addresses(first), second) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
    }

    /// Whether no answer is outstanding.
    fn is_complete(&self) -> bool {
        let is_answered = |known: &Known| match known {
            Known::Pending | Known::Hinted(..) => false,
            Known::Answered(..) => true,
        };
        is_answered(&self.ipv6) && is_answered(&self.ipv4)
    }

    /// Sorts addresses, and drops those beyond what a whole connect could try.
    fn kept(&mut self, mut addresses: Vec<(Rank, IpAddr)>) -> Vec<(Rank, IpAddr)> {
        addresses.sort_by_key(|(rank, _)| *rank);
        self.left_out += addresses.len().saturating_sub(MAX_ATTEMPTS);
        addresses.truncate(MAX_ATTEMPTS);
        addresses
    }

    fn known(&self, family: Family) -> &Known {
        match family {
            Family::Ipv6 => &self.ipv6,
            Family::Ipv4 => &self.ipv4,
        }
    }

    fn known_mut(&mut self, family: Family) -> &mut Known {
        match family {
            Family::Ipv6 => &mut self.ipv6,
            Family::Ipv4 => &mut self.ipv4,
        }
    }
}

#[cfg(test)]
mod tests {
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
            let mut targets = Targets::new(preference);
            assert_eq!(targets.number(&host, start), 0);
            Self { targets, host, start }
        }

        fn answer(&mut self, family: Family, addresses: &[IpAddr], after: u64) {
            let at = self.start + Duration::from_millis(after);
            self.targets.answer(&self.host, family, Some(routed(addresses)), at);
        }

        fn next(&self, started: &[IpAddr]) -> Next {
            self.targets.next(0, started)
        }

        /// An address that may start so many milliseconds after the begin.
        fn address(&self, address: IpAddr, after: u64) -> Next {
            Next::Address(address, self.start + Duration::from_millis(after))
        }

        /// All that is there, in order.
        fn all(&self) -> Vec<IpAddr> {
            let mut started = Vec::new();
            while let Next::Address(address, _) = self.next(&started) {
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
        for (answer, expected) in
            [(None, (ipv4(1), 50)), (Some(ipv6(1)), (ipv6(1), 20)), (None, (ipv4(1), 50))]
        {
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
}
