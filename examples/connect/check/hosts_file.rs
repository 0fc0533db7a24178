//! What this machine's hosts file says instead of the DNS. No IO.
//!
//! Nobody else sees it, so a check goes by the name servers: on a server, the file often has an address of its own for the
//! server's name.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::{LookupReport, Report};
use xmpp_connect::{Candidate, Host};

use super::Found;
use super::message::Kind;
use super::name_servers::ServerView;
use super::survey::is_special;

/// Returns the names of which the hosts file has given the addresses, as far as name servers could give others.
pub(crate) fn names(report: &Report) -> Vec<String> {
    let is_from_file = |lookup: &&LookupReport| {
        lookup.facts.as_ref().is_some_and(|facts| facts.source == AnswerSource::HostsFile)
    };
    let lookups = report.lookups().iter().filter(is_from_file);
    let names: BTreeSet<_> = lookups.map(|lookup| lookup.question.name().to_owned()).collect();
    names.into_iter().filter(|name| !is_special(name)).collect()
}

/// Replaces the addresses that are from the hosts file by those that the name servers publish. Returns a note for each host
/// of which they say something else.
pub(crate) fn set_right(found: &mut Found, views: &[ServerView]) -> Vec<String> {
    let mut notes = Vec::new();
    for name in found.in_hosts_file.clone() {
        let indices: Vec<_> =
            (0..found.candidates.len()).filter(|index| found.is_at(*index, &name)).collect();
        let is_here = |(index, _): &(usize, SocketAddr)| indices.contains(index);
        let local: BTreeSet<_> =
            found.addresses.iter().copied().filter(is_here).map(|(_, address)| address.ip()).collect();
        let known = |kind| views.iter().find_map(|view| view.reply(&name, kind));
        let replies: Vec<_> = [Kind::Ipv6, Kind::Ipv4].into_iter().filter_map(known).collect();
        let public: BTreeSet<_> = replies.iter().flat_map(|reply| reply.addresses.iter().copied()).collect();
        if indices.is_empty() || public == local {
            continue;
        }
        if replies.is_empty() {
            notes.push(format!(
                "no name server says which addresses {name} has; the check connected to those in the hosts file of this \
                 machine: {}",
                list(&local)
            ));
            continue;
        }
        found.addresses.retain(|place| !indices.contains(&place.0));
        for index in indices {
            let port = found.candidates.get(index).map(Candidate::port).unwrap_or_default();
            found.addresses.extend(public.iter().map(|address| (index, SocketAddr::new(*address, port))));
        }
        notes.push(format!(
            "the hosts file of this machine has other addresses for {name} ({}) than the name servers ({}), which the check \
             went by, as others do",
            list(&local),
            list(&public)
        ));
    }
    found.addresses.sort_by_key(|(index, _)| *index);
    notes
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() { "none".to_owned() } else { addresses.join(" ") }
}

impl Found {
    /// Whether the candidate is at this host.
    fn is_at(&self, index: usize, name: &str) -> bool {
        self.candidates
            .get(index)
            .is_some_and(|candidate| matches!(candidate.host(), Host::Name(host) if *host == *name))
    }

    /// The addresses that are not from the hosts file.
    pub(super) fn public_addresses(&self) -> Vec<(usize, SocketAddr)> {
        let is_public = |(index, _): &(usize, SocketAddr)| {
            !self.in_hosts_file.iter().any(|name| self.is_at(*index, name))
        };
        self.addresses.iter().copied().filter(is_public).collect()
    }
}
