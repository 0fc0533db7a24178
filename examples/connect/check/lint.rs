//! What is wrong with the records of a domain: records in, findings out. No IO.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use xmpp_connect::{Target, TlsMode};

use super::findings::{Finding, Weight, counted};
use super::message::{Kind, Srv};
use super::survey::is_special;
use super::tlsa::PortRecords;

/// A shorter TTL costs a lookup for nearly every connect, in seconds.
const SHORT_TTL: u32 = 30;
/// With a longer TTL, a server cannot be moved within two days, in seconds.
const LONG_TTL: u32 = 2 * 86_400;

/// What a domain publishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) direct: SrvSet,
    pub(crate) starttls: SrvSet,
    /// The addresses of the targets, or of the domain if there are no SRV records.
    pub(crate) hosts: Vec<HostRecords>,
    /// The ports of targets that are known to have both kinds of TLS.
    pub(crate) shared: Vec<(String, u16)>,
    /// The TLSA records of the ports of hosts; none for a port that has none.
    pub(crate) tlsa: Vec<PortRecords>,
}

/// The SRV records of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct SrvSet {
    pub(crate) owner: String,
    /// `None` if the lookup failed.
    pub(crate) records: Option<Vec<Srv>>,
    pub(crate) ttl: Ttl,
}

/// The addresses of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRecords {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// Where its CNAME leads.
    pub(crate) alias: Option<String>,
    /// Whether no SRV record names it: it is the domain itself.
    pub(crate) is_domain: bool,
    /// The kinds of addresses whose lookup failed, so that nobody knows them.
    pub(crate) failed: Vec<Kind>,
    /// Whether one of the kinds is not known, because its lookup failed or because nobody was asked.
    pub(crate) is_partial: bool,
    /// Whether anybody was asked for any of them.
    pub(crate) was_asked: bool,
    pub(crate) ttl: Ttl,
}

/// The TTL of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ttl {
    pub(crate) seconds: Option<u32>,
    /// Whether one of the domain's own name servers said so. A cache says what is left of it.
    pub(crate) is_whole: bool,
}

impl SrvSet {
    fn records(&self) -> &[Srv] {
        self.records.as_deref().unwrap_or_default()
    }

    /// The records that name a server.
    fn servers(&self) -> impl Iterator<Item = &Srv> {
        self.records().iter().filter(|srv| srv.target != ".")
    }

    /// Those of them that can be used.
    fn usable(&self) -> impl Iterator<Item = &Srv> {
        self.servers().filter(|srv| {
            let is_address = srv.target.parse::<IpAddr>().is_ok();
            !is_address && Target::new(&srv.target, srv.port, TlsMode::Direct).is_ok()
        })
    }

    /// Whether it is exactly one record with target `.`: not offered.
    pub(crate) fn is_not_offered(&self) -> bool {
        let distinct: BTreeSet<_> = self.records().iter().map(|srv| &srv.target).collect();
        distinct.len() == 1 && distinct.contains(&".".to_owned())
    }

    fn shown(&self, srv: &Srv) -> String {
        let Srv { priority, weight, port, target } = srv;
        format!("{} SRV {priority} {weight} {port} {target}", self.owner)
    }
}

/// Returns what is wrong with the records.
pub(crate) fn lint(published: &Published) -> Vec<Finding> {
    let mut findings = Vec::new();
    for set in [&published.direct, &published.starttls] {
        if set.records.is_none() {
            let finding = Finding::error(
                "srv-lookup-fails",
                "the SRV records cannot be looked up",
                "check the name servers of the domain: clients wait for the answer, and may not find these servers",
            );
            findings.push(finding.about(&set.owner));
        }
        single_records(set, &mut findings);
        duplicates(set, &mut findings);
        time_to_live(&set.owner, set.ttl, &mut findings);
    }
    kinds(published, &mut findings);
    redundancy(published, &mut findings);
    for host in &published.hosts {
        self::host(host, &mut findings);
        time_to_live(&host.name, host.ttl, &mut findings);
    }
    families(&published.hosts, &mut findings);
    findings
}

fn single_records(set: &SrvSet, findings: &mut Vec<Finding>) {
    let has_others = !set.is_not_offered();
    for srv in set.records() {
        let is_address = srv.target.parse::<IpAddr>().is_ok();
        let finding = if srv.target == "." && has_others {
            Finding::warning(
                "srv-root-among-others",
                "a record with target \".\" says that the service is not offered, and the others say that it is",
                "remove it, or the others",
            )
        } else if srv.target == "." {
            continue;
        } else if is_address {
            Finding::error(
                "srv-target-address",
                "the target of the record is an address, and has to be a host name (RFC 2782)",
                "give the server a name with A and AAAA records, and put that name there",
            )
        } else if is_of_machine(&srv.target) {
            Finding::error(
                "srv-target-invalid",
                "the target of the record is a name that each machine has for itself, and not one of the DNS (RFC 6761)",
                "put the name of the server there that all others know it by",
            )
        } else if srv.port == 0 {
            Finding::error(
                "srv-port-0",
                "the record has port 0, which cannot be connected to",
                "put the port of the server there; if the service is not offered, make \".\" the target",
            )
        } else if let Err(error) = Target::new(&srv.target, srv.port, TlsMode::Direct) {
            Finding::error(
                "srv-target-invalid",
                format!("the target of the record is not a host name: {error}"),
                "put the name of the server there",
            )
        } else {
            continue;
        };
        findings.push(finding.about(set.shown(srv)));
    }
}

/// Whether clients find this machine, their network or nothing by that name. A Tor address is the same everywhere.
fn is_of_machine(target: &str) -> bool {
    is_special(target) && !target.ends_with(".onion")
}

fn duplicates(set: &SrvSet, findings: &mut Vec<Finding>) {
    let mut places: BTreeMap<(&str, u16), Vec<&Srv>> = BTreeMap::new();
    for srv in set.servers() {
        places.entry((&srv.target, srv.port)).or_default().push(srv);
    }
    for ((target, port), records) in places.into_iter().filter(|(_, records)| records.len() > 1) {
        let finding = Finding::warning(
            "srv-duplicate",
            format!("{} records name {target}:{port}", records.len()),
            "leave one of them: a server is not tried again under another priority or weight",
        );
        findings.push(finding.about_all(records.into_iter().map(|srv| set.shown(srv))));
    }
}

fn time_to_live(owner: &str, ttl: Ttl, findings: &mut Vec<Finding>) {
    let Some(seconds) = ttl.seconds else { return };
    let finding = match seconds {
        0 => Finding::warning(
            "ttl-zero",
            "the TTL is 0: nobody may keep the answer, so every connect asks again",
            "set a TTL between five minutes and a day",
        ),
        // What a cache says may be the rest of a long one.
        1..SHORT_TTL if ttl.is_whole => Finding::hint(
            "ttl-short",
            format!("the TTL is {seconds} s, so nearly every connect asks again"),
            "set a TTL between five minutes and a day, unless a move is near",
        ),
        1..=LONG_TTL => return,
        _ => Finding::hint(
            "ttl-long",
            format!("the TTL is {}: so long after a change, clients use the old records", days(seconds)),
            "set a TTL of at most a day",
        ),
    };
    findings.push(finding.about(owner));
}

fn days(seconds: u32) -> String {
    counted((seconds / 86_400) as usize, "day", "days")
}

/// Which kinds there are, and which ports they share.
fn kinds(published: &Published, findings: &mut Vec<Finding>) {
    let Published { direct, starttls, .. } = published;
    let (Some(direct_records), Some(starttls_records)) = (&direct.records, &starttls.records) else { return };
    match (direct_records.is_empty(), starttls_records.is_empty()) {
        (true, true) => findings.push(Finding::hint(
            "no-srv",
            "the domain has no SRV records, so clients try the domain itself, with STARTTLS at the default port",
            format!(
                "publish {} records, and {} records if the server has a port for direct TLS",
                starttls.owner, direct.owner
            ),
        )),
        (true, false) if !starttls.is_not_offered() => findings.push(Finding::hint(
            "no-direct-tls",
            "there are no records for direct TLS (XEP-0368), which takes fewer round trips, passes more firewalls on \
             port 443, and does not start unencrypted",
            format!("give the server a port for direct TLS, and publish it at {}", direct.owner),
        )),
        (false, true) if !direct.is_not_offered() => findings.push(Finding::hint(
            "no-starttls",
            "there are no records for STARTTLS: programs that do not know direct TLS (XEP-0368) try the default port",
            format!(
                "publish {} records; if there is no such port, publish one with target \".\"",
                starttls.owner
            ),
        )),
        (true | false, true | false) => {}
    }
    if (direct.is_not_offered() || direct_records.is_empty())
        && (starttls.is_not_offered() || starttls_records.is_empty())
        && (direct.is_not_offered() || starttls.is_not_offered())
    {
        findings.push(Finding::error(
            "not-offered",
            "the SRV records say that the domain does not offer this service (target \".\")",
            "if it does, replace the record by one that names the server",
        ));
    }
    let place = |srv: &Srv| (srv.target.clone(), srv.port);
    let of_direct: BTreeSet<_> = direct.servers().map(place).collect();
    let is_wrong = |srv: &&Srv| of_direct.contains(&place(srv)) && !published.shared.contains(&place(srv));
    for srv in starttls.servers().filter(is_wrong) {
        let finding = Finding::warning(
            "same-port",
            "the same port is published for direct TLS and for STARTTLS, and few servers can tell them apart",
            "use a port for each, and publish each at its own name",
        );
        findings.push(finding.about(format!("{}:{}", srv.target, srv.port)));
    }
}

/// Whether more than one record leads to no more than one server.
fn redundancy(published: &Published, findings: &mut Vec<Finding>) {
    for set in [&published.direct, &published.starttls] {
        let priorities: BTreeSet<_> = set.usable().map(|srv| srv.priority).collect();
        let hosts: BTreeSet<_> = set.usable().map(|srv| srv.target.as_str()).collect();
        let addresses = |host: &&str| {
            let host = published.hosts.iter().find(|records| records.name == **host)?;
            Some(host.addresses.iter().copied().collect::<BTreeSet<_>>()).filter(|all| !all.is_empty())
        };
        // `None` if those of any are not known.
        let places: Option<BTreeSet<_>> = hosts.iter().map(addresses).collect();
        let (one, what) = match (hosts.len(), places.map(|places| places.len())) {
            _ if priorities.len() < 2 => continue,
            (1, _) => (hosts.first().copied().unwrap_or_default(), "one host"),
            (_, Some(1)) => (set.owner.as_str(), "one set of addresses"),
            (_, _) => continue,
        };
        let finding = Finding::hint(
            "one-server",
            format!("the records of all {} priorities lead to {what}", priorities.len()),
            "if a second priority is meant as a backup, let it name another host",
        );
        findings.push(finding.about(one));
    }
}

fn host(host: &HostRecords, findings: &mut Vec<Finding>) {
    if let Some(alias) = &host.alias {
        let finding = Finding::warning(
            "srv-target-alias",
            format!("the target of an SRV record is an alias (CNAME) of {alias}, which RFC 2782 forbids"),
            format!("put {alias} into the SRV record, or give the target A and AAAA records"),
        );
        findings.push(finding.about(&host.name));
    }
    if host.addresses.is_empty() && !host.is_partial {
        let (what, advice) = match host.is_domain {
            false => (
                "the host has neither A nor AAAA records, so nobody can connect to it",
                "add them, or correct the name in the SRV record",
            ),
            true => (
                "the domain has neither SRV records nor A or AAAA records, so nobody finds a server",
                "publish SRV records that name its servers",
            ),
        };
        findings.push(Finding::error("target-unresolved", what, advice).about(&host.name));
    }
    let failed: Vec<_> = host.failed.iter().map(|kind| kind.name()).collect();
    if host.addresses.is_empty() && !failed.is_empty() {
        let finding = Finding::error(
            "target-lookup-fails",
            "the addresses of the host cannot be looked up",
            "check the name servers of the host's domain",
        );
        findings.push(finding.about(&host.name));
    } else if !failed.is_empty() {
        let finding = Finding::warning(
            "target-lookup-fails",
            format!(
                "the {} records of the host cannot be looked up: clients may wait for them, and do not find these addresses",
                failed.join(" and ")
            ),
            "check the name servers of the host's domain, and any firewall in front of them: they have to answer this \
             question too, if only that there are none",
        );
        findings.push(finding.about(&host.name));
    }
}

fn families(hosts: &[HostRecords], findings: &mut Vec<Finding>) {
    let known = || hosts.iter().filter(|host| !host.addresses.is_empty() && !host.is_partial);
    let without = |is_family: fn(&IpAddr) -> bool| {
        known().filter(move |host| !host.addresses.iter().any(is_family)).map(|host| &host.name)
    };
    let ipv6: Vec<_> = without(IpAddr::is_ipv6).collect();
    if !ipv6.is_empty() {
        let finding = Finding::hint(
            "no-ipv6",
            "the host has no AAAA record, so clients without IPv4 cannot connect to it",
            "give the server an IPv6 address, and publish it",
        );
        findings.push(finding.about_all(ipv6));
    }
    let ipv4: Vec<_> = without(IpAddr::is_ipv4).collect();
    if !ipv4.is_empty() {
        // One other host with an A record is enough for those without IPv6.
        let weighs_more = ipv4.len() == known().count();
        let finding = Finding::new(
            if weighs_more { Weight::Warning } else { Weight::Hint },
            "no-ipv4",
            "the host has no A record, so clients without IPv6 cannot connect to it",
            "give the server an IPv4 address, and publish it",
        );
        findings.push(finding.about_all(ipv4));
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
