//! The addresses of one host as they become known: which is next, and when it may start (RFC 8305). No IO.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;

/// "If a positive A response is received first due to reordering, the client SHOULD wait a short time for the AAAA
/// response [...] the recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 section 3).
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How many addresses of one candidate are tried.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// Which address families are used, and which goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// Both; IPv6 goes first (RFC 8305 section 4). The default.
    #[default]
    Any,
    /// Both; IPv4 goes first.
    Ipv4First,
    /// IPv4 only; IPv6 addresses are not even asked for.
    Ipv4Only,
    /// IPv6 only; IPv4 addresses are not even asked for.
    Ipv6Only,
}

/// One of the two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv6,
    Ipv4,
}

impl AddressFamily {
    pub(crate) fn uses(self, family: Family) -> bool {
        match self {
            Self::Any | Self::Ipv4First => true,
            Self::Ipv4Only => family == Family::Ipv4,
            Self::Ipv6Only => family == Family::Ipv6,
        }
    }

    fn first(self) -> Family {
        match self {
            Self::Any | Self::Ipv6Only => Family::Ipv6,
            Self::Ipv4First | Self::Ipv4Only => Family::Ipv4,
        }
    }
}

/// What is known of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// The answer is awaited.
    Pending,
    /// These, since then. An empty list is a negative answer or a failed lookup.
    Addresses(Vec<IpAddr>, Instant),
}

impl Known {
    fn list(&self) -> &[IpAddr] {
        match self {
            Self::Pending => &[],
            Self::Addresses(addresses, _) => addresses,
        }
    }

    fn since(&self) -> Option<Instant> {
        match self {
            Self::Pending => None,
            Self::Addresses(_, since) => Some(*since),
        }
    }
}

/// The addresses of one host.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    preference: AddressFamily,
    ipv6: Known,
    ipv4: Known,
    /// How many addresses the answers had, both families together.
    found: usize,
}

/// How far one candidate has come through the addresses of its host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    ipv6: usize,
    ipv4: usize,
    last: Option<Family>,
}

impl Progress {
    /// How many addresses were taken.
    pub(crate) fn taken(self) -> usize {
        self.ipv6 + self.ipv4
    }
}

/// What a candidate can start next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This address, from this time on.
    Address(IpAddr, Instant),
    /// Nothing yet, and nothing was there before: the lookups go on.
    Unknown,
    /// Nothing at present, after some addresses; one family is still awaited.
    MoreToCome,
    /// Nothing any more.
    Nothing,
}

impl Addresses {
    /// Nothing known yet. A family that is not used counts as answered, with nothing.
    pub(crate) fn new(preference: AddressFamily, now: Instant) -> Self {
        let known = |family| {
            if preference.uses(family) { Known::Pending } else { Known::Addresses(Vec::new(), now) }
        };
        Self { preference, ipv6: known(Family::Ipv6), ipv4: known(Family::Ipv4), found: 0 }
    }

    /// An answer has come. What is used of another family than `family` is dropped.
    pub(crate) fn set(&mut self, family: Family, addresses: &[IpAddr], now: Instant) {
        if *self.known(family) != Known::Pending {
            return;
        }
        let mut seen = HashSet::new();
        let of_family = addresses.iter().filter(|address| address.is_ipv6() == (family == Family::Ipv6));
        let mut kept: Vec<IpAddr> = of_family.copied().filter(|address| seen.insert(*address)).collect();
        self.found += kept.len();
        kept.truncate(MAX_ADDRESSES);
        *self.known_mut(family) = Known::Addresses(kept, now);
    }

    /// Whether no answer is awaited any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.ipv6 != Known::Pending && self.ipv4 != Known::Pending
    }

    /// How many addresses are more than are tried.
    pub(crate) fn left_out(&self) -> usize {
        self.found.saturating_sub(MAX_ADDRESSES)
    }

    /// When the latest answer came.
    pub(crate) fn latest(&self) -> Option<Instant> {
        self.ipv6.since().max(self.ipv4.since())
    }

    /// The next address for a candidate that has come as far as `progress`.
    ///
    /// Families take turns, the preferred one first (RFC 8305 section 4); one that is answered later joins.
    pub(crate) fn next(&self, progress: Progress) -> Next {
        if progress.taken() >= MAX_ADDRESSES {
            return Next::Nothing;
        }
        let first = self.preference.first();
        let turn = progress.last.map_or(first, other);
        let left = |family| self.known(family).list().get(taken(progress, family)).copied();
        match left(turn).or_else(|| left(other(turn))) {
            Some(address) => self.ready_at(first).map_or(Next::Unknown, |at| Next::Address(address, at)),
            None if self.is_complete() => Next::Nothing,
            None if progress.taken() > 0 => Next::MoreToCome,
            None => Next::Unknown,
        }
    }

    /// Notes that `address` was started.
    pub(crate) fn take(progress: &mut Progress, address: IpAddr) {
        if address.is_ipv6() {
            progress.ipv6 += 1;
            progress.last = Some(Family::Ipv6);
        } else {
            progress.ipv4 += 1;
            progress.last = Some(Family::Ipv4);
        }
    }

    /// When the host may be tried: as soon as the preferred family has addresses; with addresses of the other one only
    /// when the preferred family is known to have none, or [`RESOLUTION_DELAY`] later.
    fn ready_at(&self, first: Family) -> Option<Instant> {
        let since = |family| match self.known(family) {
            Known::Addresses(addresses, since) if !addresses.is_empty() => Some(*since),
            Known::Addresses(..) | Known::Pending => None,
        };
        let preferred = since(first);
        let second = since(other(first)).and_then(|since| {
            let waited = Deadline::after(since, RESOLUTION_DELAY);
            let known = self.known(first).since().map_or(Deadline::NEVER, |at| Deadline::from(at.max(since)));
            waited.min(known).at()
        });
        match (preferred, second) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
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

fn other(family: Family) -> Family {
    match family {
        Family::Ipv6 => Family::Ipv4,
        Family::Ipv4 => Family::Ipv6,
    }
}

fn taken(progress: Progress, family: Family) -> usize {
    match family {
        Family::Ipv6 => progress.ipv6,
        Family::Ipv4 => progress.ipv4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;

    fn ipv6(last: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])
    }

    fn ipv4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Takes all that is there, in order.
    fn all(addresses: &Addresses) -> Vec<IpAddr> {
        let mut progress = Progress::default();
        let mut list = Vec::new();
        while let Next::Address(address, _) = addresses.next(progress) {
            Addresses::take(&mut progress, address);
            list.push(address);
        }
        list
    }

    // spec D1
    #[test]
    fn families_take_turns_ipv6_first() {
        let now = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, now);
        addresses.set(Family::Ipv4, &[ipv4(1), ipv4(2), ipv4(3)], now);
        addresses.set(Family::Ipv6, &[ipv6(1), ipv6(2)], now);
        assert_eq!(all(&addresses), [ipv6(1), ipv4(1), ipv6(2), ipv4(2), ipv4(3)]);
    }

    // spec D11
    #[test]
    fn the_family_option_turns_the_order_or_leaves_one_out() {
        let now = wait::now();
        for (family, expected) in [
            (AddressFamily::Ipv4First, vec![ipv4(1), ipv6(1)]),
            (AddressFamily::Ipv4Only, vec![ipv4(1)]),
            (AddressFamily::Ipv6Only, vec![ipv6(1)]),
        ] {
            let mut addresses = Addresses::new(family, now);
            addresses.set(Family::Ipv6, &[ipv6(1)], now);
            addresses.set(Family::Ipv4, &[ipv4(1)], now);
            assert_eq!(all(&addresses), expected, "{family:?}");
        }
    }

    // spec D4
    #[test]
    fn an_ipv4_answer_waits_50_ms_for_ipv6_and_no_longer() {
        let start = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, start);
        assert_eq!(addresses.next(Progress::default()), Next::Unknown);
        addresses.set(Family::Ipv4, &[ipv4(1)], start);
        assert_eq!(addresses.next(Progress::default()), Next::Address(ipv4(1), start + RESOLUTION_DELAY));
        let later = start + Duration::from_millis(20);
        for (answer, next) in [(vec![ipv6(1)], ipv6(1)), (vec![], ipv4(1))] {
            let mut addresses = addresses.clone();
            addresses.set(Family::Ipv6, &answer, later);
            assert_eq!(addresses.next(Progress::default()), Next::Address(next, later));
        }
    }

    // spec D4
    #[test]
    fn an_ipv6_answer_starts_at_once_and_ipv4_joins() {
        let start = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, start);
        addresses.set(Family::Ipv6, &[ipv6(1), ipv6(2)], start);
        let mut progress = Progress::default();
        assert_eq!(addresses.next(progress), Next::Address(ipv6(1), start));
        Addresses::take(&mut progress, ipv6(1));
        addresses.set(Family::Ipv4, &[ipv4(1)], start + Duration::from_secs(1));
        assert_eq!(addresses.next(progress), Next::Address(ipv4(1), start));
    }

    // spec B10
    #[test]
    fn without_addresses_there_is_nothing_and_with_one_answer_missing_more_may_come() {
        let now = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, now);
        addresses.set(Family::Ipv4, &[], now);
        assert_eq!(addresses.next(Progress::default()), Next::Unknown);
        let mut with_one = addresses.clone();
        addresses.set(Family::Ipv6, &[], now);
        assert_eq!(addresses.next(Progress::default()), Next::Nothing);
        with_one.set(Family::Ipv6, &[ipv6(1)], now);
        assert_eq!(all(&with_one), [ipv6(1)]);
        let mut awaiting = Addresses::new(AddressFamily::Any, now);
        awaiting.set(Family::Ipv6, &[ipv6(1)], now);
        let mut progress = Progress::default();
        Addresses::take(&mut progress, ipv6(1));
        assert_eq!(awaiting.next(progress), Next::MoreToCome);
    }

    // spec D12
    #[test]
    fn at_most_16_addresses_of_a_candidate_are_tried() {
        let now = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, now);
        addresses.set(Family::Ipv6, &(0..100).map(ipv6).collect::<Vec<_>>(), now);
        addresses.set(Family::Ipv4, &(0..100).map(ipv4).collect::<Vec<_>>(), now);
        assert_eq!(all(&addresses).len(), MAX_ADDRESSES);
    }

    // spec B8, H6
    #[test]
    fn answers_of_the_wrong_family_and_repeated_addresses_are_dropped() {
        let now = wait::now();
        let mut addresses = Addresses::new(AddressFamily::Any, now);
        addresses.set(Family::Ipv6, &[ipv4(9), ipv6(1), ipv6(1)], now);
        addresses.set(Family::Ipv4, &[ipv6(9)], now);
        assert_eq!(all(&addresses), [ipv6(1)]);
    }
}
