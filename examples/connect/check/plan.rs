//! Which connections a check makes: each address of each candidate once, and one to a port that may be open unpublished. No IO.

use std::net::SocketAddr;

use xmpp_connect::{Candidate, Origin, Service, TlsMode};

/// How many places are checked.
pub(crate) const MAX_PLACES: usize = 64;

/// One address, port and kind of TLS, of one candidate or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tls: TlsMode,
    pub(crate) address: SocketAddr,
    /// Indices into the candidates.
    pub(crate) candidates: Vec<usize>,
}

/// What to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What the domain publishes, each place once.
    pub(crate) places: Vec<Place>,
    /// How many places are left out, since there are more than 64.
    pub(crate) left_out: usize,
    /// Ports that are often open for direct TLS and are not published, one for each host.
    pub(crate) unpublished: Vec<SocketAddr>,
}

/// The port that servers usually have for direct TLS.
pub(crate) fn usual_direct_port(service: &Service) -> u16 {
    match service {
        Service::Server { .. } => 5270,
        _ => 5223,
    }
}

/// Returns what to check of these candidates, whose addresses were found: each with the index of its candidate.
pub(crate) fn plan(candidates: &[Candidate], found: &[(usize, SocketAddr)], service: &Service) -> Plan {
    let mut plan = Plan::default();
    for (index, address) in found {
        let Some(candidate) = candidates.get(*index) else { continue };
        let same = |place: &&mut Place| (place.tls, place.address) == (candidate.tls(), *address);
        let is_full = plan.places.len() >= MAX_PLACES;
        match plan.places.iter_mut().find(same) {
            Some(place) => place.candidates.push(*index),
            None if !is_full => {
                plan.places.push(Place { tls: candidate.tls(), address: *address, candidates: vec![*index] });
            }
            None => plan.left_out += 1,
        }
    }
    plan.unpublished = unpublished(candidates, found, usual_direct_port(service));
    plan
}

/// An address of each host that has no candidate at `port`: the first one of IPv4, since not every machine has IPv6.
fn unpublished(candidates: &[Candidate], found: &[(usize, SocketAddr)], port: u16) -> Vec<SocketAddr> {
    let mut seen: Vec<&Candidate> = Vec::new();
    let mut ports = Vec::new();
    let is_published = |address: &SocketAddr| {
        found.iter().any(|(_, other)| (other.ip(), other.port()) == (address.ip(), port))
    };
    let (ipv4, ipv6): (Vec<_>, Vec<_>) = found.iter().copied().partition(|(_, address)| address.is_ipv4());
    for (index, address) in ipv4.into_iter().chain(ipv6) {
        let Some(candidate) = candidates.get(index) else { continue };
        // An address as the domain has no records.
        let has_records = matches!(candidate.origin(), Origin::Srv | Origin::Fallback);
        if !has_records || seen.iter().any(|other| other.host() == candidate.host()) {
            continue;
        }
        seen.push(candidate);
        let place = SocketAddr::new(address.ip(), port);
        if !is_published(&address) && !ports.contains(&place) {
            ports.push(place);
        }
    }
    ports
}
