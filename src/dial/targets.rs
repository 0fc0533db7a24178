//! The hosts of one connect: their addresses, which is next, and from when on (RFC 8305). No IO.

use std::net::IpAddr;
use std::time::Instant;

use super::Reach;
use super::address_order::Rank;
use crate::deadline::Deadline;
use crate::domain::{Host, SpecialUse};
use crate::limits::{MAX_ATTEMPTS, MAX_REFUSED, RESOLUTION_DELAY};
use crate::settings::{AddressFamily, Family};
use crate::sorted::sort_by_number;

/// The hosts, numbered in the order in which they became known.
#[derive(Debug)]
pub(super) struct Targets {
    preference: AddressFamily,
    /// Whether hosts are reached by their names, which are not looked up.
    leaves_names: bool,
    list: Vec<HostAddresses>,
    /// How many addresses of each family are kept for a host.
    most: usize,
}

/// One host and its addresses.
#[derive(Debug)]
struct HostAddresses {
    host: Host,
    /// Whether its addresses have been asked for.
    is_asked: bool,
    /// If it is reached by its name: since when it is known.
    by_name: Option<Instant>,
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
    /// This way to the host, from this time on.
    Start(Reach, Instant),
    /// No address is known yet; lookups are outstanding.
    Unknown,
    /// Nothing at the moment: all known addresses have started, and one family is still outstanding.
    MoreToCome,
    /// Nothing any more.
    Nothing,
}

impl Targets {
    pub(super) fn new(preference: AddressFamily, leaves_names: bool) -> Self {
        Self { preference, leaves_names, list: Vec::new(), most: MAX_ATTEMPTS }
    }

    /// Keeps as many addresses as one connect can refuse and try.
    pub(super) fn expect_refusals(&mut self) {
        self.most = MAX_REFUSED + MAX_ATTEMPTS;
    }

    /// Returns the number of a host, which is added if it is new. An address literal is its own address; an excluded
    /// family counts as answered, as do both for a host that is reached by its name.
    pub(super) fn number(&mut self, host: &Host, now: Instant) -> usize {
        if let Some(number) = self.list.iter().position(|target| target.host == *host) {
            return number;
        }
        let is_by_name =
            self.leaves_names && matches!(host, Host::Name(_)) && host.special_use() != SpecialUse::Invalid;
        let known = |family| match host {
            Host::Address(address) if Family::of(*address) == family => {
                Known::Answered(vec![(Rank::new(*address, Some(*address)), *address)], now)
            }
            Host::Name(_) if self.preference.uses(family) && !is_by_name => Known::Pending,
            Host::Address(_) | Host::Name(_) => Known::Answered(Vec::new(), now),
        };
        self.list.push(HostAddresses {
            host: host.clone(),
            is_asked: matches!(host, Host::Address(_)) || is_by_name,
            by_name: is_by_name.then_some(now),
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
            *target.known_mut(family) = Known::Hinted(target.kept(addresses, self.most), now);
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
                Known::Answered(target.kept(addresses.unwrap_or_default(), self.most), now)
            }
        };
        *target.known_mut(family) = answered;
    }

    /// What is next for a candidate with this host that has started these, and skips others.
    pub(super) fn next(&self, number: usize, started: &[Reach], skips: &dyn Fn(Reach) -> bool) -> Next {
        self.list.get(number).map_or(Next::Nothing, |target| target.next(self.preference, started, skips))
    }

    /// The known addresses of this host.
    pub(super) fn known(&self, number: usize) -> impl Iterator<Item = IpAddr> {
        self.list.get(number).into_iter().flat_map(HostAddresses::addresses)
    }

    /// How this host is reached first, as far as that is known.
    pub(super) fn first_reach(&self, number: usize) -> Option<Reach> {
        let target = self.list.get(number)?;
        let by_name = target.by_name.map(|_| Reach::ByName);
        by_name.or_else(|| target.addresses().next().map(Reach::At))
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
    fn next(&self, preference: AddressFamily, started: &[Reach], skips: &dyn Fn(Reach) -> bool) -> Next {
        let is_left = |reach| !started.contains(&reach) && !skips(reach);
        if let Some(since) = self.by_name {
            return if is_left(Reach::ByName) { Next::Start(Reach::ByName, since) } else { Next::Nothing };
        }
        let first = self.first(preference);
        let last = started.last().and_then(|last| last.address());
        let turn = last.map_or(first, |last| Family::of(last).other());
        let left = |family: Family| {
            self.known(family).list().iter().find(|(_, address)| is_left(Reach::At(*address))).copied()
        };
        let usable = |family| left(family).filter(|(rank, _)| !rank.is_unusable());
        let next = usable(turn)
            .or_else(|| usable(turn.other()))
            .or_else(|| left(turn))
            .or_else(|| left(turn.other()));
        match next {
            Some((_, address)) => {
                self.ready_at(first).map_or(Next::Unknown, |at| Next::Start(Reach::At(address), at))
            }
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
                (Some(ipv6), None) if ipv6.is_unusable() => Family::Ipv4,
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

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ipv6.list().iter().chain(self.ipv4.list()).map(|(_, address)| *address)
    }

    /// Whether no answer is outstanding.
    fn is_complete(&self) -> bool {
        let is_answered = |known: &Known| match known {
            Known::Pending | Known::Hinted(..) => false,
            Known::Answered(..) => true,
        };
        is_answered(&self.ipv6) && is_answered(&self.ipv4)
    }

    /// Sorts addresses, and drops those beyond what a whole connect could use.
    fn kept(&mut self, mut addresses: Vec<(Rank, IpAddr)>, most: usize) -> Vec<(Rank, IpAddr)> {
        sort_by_number(&mut addresses, |(rank, _)| rank.number());
        self.left_out += addresses.len().saturating_sub(most);
        addresses.truncate(most);
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
mod tests;
