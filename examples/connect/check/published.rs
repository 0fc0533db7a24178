//! Puts together what a domain publishes, as the first name server that knows it says. No IO.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use xmpp_connect::{Candidate, Domain, Error, ErrorKind, Host, Origin, Service, TlsMode};

use super::findings::{Finding, counted};
use super::lint::{HostRecords, Published, SrvSet, Ttl};
use super::message::{Kind, Reply};
use super::name_servers::ServerView;
use super::outcome::PlaceResult;
use super::plan::Place;
use super::shell::in_options;
use super::survey::{MAX_HOSTS, is_special};
use super::tlsa;

/// The names of the SRV records (XEP-0368 section 2, RFC 6120 section 3.2.1).
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    pub(crate) direct: String,
    pub(crate) starttls: String,
}

impl Owners {
    pub(crate) fn of(domain: &Domain, service: &Service) -> Self {
        let kind = match service {
            Service::Server { .. } => "server",
            _ => "client",
        };
        let domain = domain.as_ascii();
        Self {
            direct: format!("_xmpps-{kind}._tcp.{domain}"),
            starttls: format!("_xmpp-{kind}._tcp.{domain}"),
        }
    }

    /// The one of this kind.
    pub(crate) fn of_kind(&self, tls: TlsMode) -> &str {
        match tls {
            TlsMode::Direct => &self.direct,
            TlsMode::StartTls => &self.starttls,
        }
    }

    pub(crate) fn both(&self) -> [String; 2] {
        [self.direct.clone(), self.starttls.clone()]
    }
}

/// Returns what the domain publishes; `None` if no name server knows.
pub(crate) fn published(
    views: &[ServerView],
    owners: &Owners,
    candidates: &[Candidate],
    addresses: &[(usize, SocketAddr)],
) -> Option<Published> {
    let known = |owner: &str| views.iter().find_map(|view| view.reply(owner, Kind::Srv));
    let set = |owner: &str| SrvSet {
        owner: owner.to_owned(),
        records: known(owner).map(|reply| reply.srv.clone()),
        ttl: known(owner).map(|_| longest_ttl(views, owner, Kind::Srv)).unwrap_or_default(),
    };
    let (direct, starttls) = (set(&owners.direct), set(&owners.starttls));
    if direct.records.is_none() && starttls.records.is_none() {
        return None;
    }
    let mut hosts: Vec<HostRecords> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let Host::Name(name) = candidate.host() else { continue };
        let name = name.to_string();
        let known = addresses.iter().filter(|(of, _)| *of == index).map(|(_, address)| address.ip());
        match hosts.iter_mut().find(|host| host.name == name) {
            Some(host) => add(&mut host.addresses, known),
            None => {
                let mut host = host(views, &name, candidate.origin());
                add(&mut host.addresses, known);
                hosts.push(host);
            }
        }
    }
    let tlsa = tlsa::published(views, owners, candidates);
    Some(Published { direct, starttls, hosts, shared: Vec::new(), tlsa })
}

fn add(addresses: &mut Vec<IpAddr>, more: impl Iterator<Item = IpAddr>) {
    for address in more {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
}

fn host(views: &[ServerView], name: &str, origin: Origin) -> HostRecords {
    let known = |kind| views.iter().find_map(|view| view.reply(name, kind));
    let kinds = [Kind::Ipv6, Kind::Ipv4];
    let replies: Vec<&Reply> = kinds.into_iter().filter_map(known).collect();
    let was_asked = |kind: &Kind| views.iter().any(|view| view.was_asked(name, *kind));
    let failed: Vec<_> = kinds.into_iter().filter(|kind| was_asked(kind) && known(*kind).is_none()).collect();
    let mut addresses = Vec::new();
    replies.iter().for_each(|reply| add(&mut addresses, reply.addresses.iter().copied()));
    // The domain itself may be an alias (RFC 6120 section 3.2.2 looks up its addresses); a target may not.
    let alias = replies.iter().find_map(|reply| reply.aliases.last());
    let alias = alias.filter(|_| origin == Origin::Srv).cloned();
    let kind = replies.iter().find(|reply| !reply.addresses.is_empty());
    let ttl = kind.map(|reply| Ttl { seconds: reply.ttl, is_whole: reply.is_authoritative });
    HostRecords {
        name: name.to_owned(),
        addresses,
        alias,
        is_domain: origin != Origin::Srv,
        failed,
        is_partial: replies.len() < kinds.len(),
        was_asked: kinds.iter().any(was_asked),
        ttl: ttl.unwrap_or_default(),
    }
}

/// Returns a note for the hosts whose records nobody was asked for.
pub(crate) fn not_asked(published: &Published) -> Option<String> {
    let names = published.hosts.iter().filter(|host| !host.was_asked && !is_special(&host.name));
    let names: BTreeSet<_> = names.map(|host| host.name.as_str()).collect();
    let (first, count) = (names.first()?, counted(names.len(), "host", "hosts"));
    Some(format!(
        "the records of {count} were not looked at, of {first} for one: at most those of {MAX_HOSTS} are"
    ))
}

/// A cache says what is left of a TTL, so the longest one is the nearest to what was published.
pub(crate) fn longest_ttl(views: &[ServerView], owner: &str, kind: Kind) -> Ttl {
    let replies = || views.iter().filter_map(|view| view.reply(owner, kind));
    match replies().find(|reply| reply.is_authoritative) {
        Some(reply) => Ttl { seconds: reply.ttl, is_whole: true },
        None => Ttl { seconds: replies().filter_map(|reply| reply.ttl).max(), is_whole: false },
    }
}

/// Notes the ports that are published for both kinds and have both: a multiplexer tells them apart.
pub(crate) fn note_shared_ports(
    published: &mut Published,
    candidates: &[Candidate],
    checked: &[(Place, PlaceResult)],
) {
    let works = |tls: TlsMode, target: &str, port: u16| {
        checked.iter().any(|(place, result)| {
            let is_of = |index: &usize| {
                candidates.get(*index).is_some_and(|candidate| {
                    (candidate.tls(), candidate.port()) == (tls, port)
                        && candidate.host().to_string() == target
                })
            };
            place.candidates.iter().any(is_of) && result.works()
        })
    };
    let both_work =
        |target: &str, port| works(TlsMode::Direct, target, port) && works(TlsMode::StartTls, target, port);
    let records = published.direct.records.iter().flatten();
    let shared = records.filter(|srv| both_work(&srv.target, srv.port));
    published.shared = shared.map(|srv| (srv.target.clone(), srv.port)).collect();
}

/// Returns the finding about a domain of which no server is known. `is_up` says whether the name servers of this machine
/// answer other questions.
pub(crate) fn failure(error: Option<&Error>, is_up: bool) -> Vec<Finding> {
    let Some(error) = error else { return Vec::new() };
    // The search for the servers connects to none, so what it says of connections is no news.
    let text = in_options(&format!("{error:?}"));
    let text = text.split("; the domain itself was tried instead").next().unwrap_or_default();
    let finding = match error.kind() {
        ErrorKind::NoSuchDomain => Finding::error(
            "no-such-domain",
            error.to_string(),
            "check its spelling; if it is new, wait until it is in the DNS",
        ),
        ErrorKind::Lookup if is_up => Finding::error(
            "lookup-fails",
            text,
            "check the name servers of the domain, and its DNSSEC signatures if it has any: the name servers of this machine \
             answer other questions",
        ),
        ErrorKind::Lookup => Finding::error(
            "lookup-fails",
            text,
            "check the network of this machine, its name servers, and those of the domain",
        ),
        ErrorKind::System => Finding::error("this-machine", text, "close other programs, and try again"),
        // The lint and the connections say why.
        _ => return Vec::new(),
    };
    vec![finding]
}
