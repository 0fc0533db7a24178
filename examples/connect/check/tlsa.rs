//! TLSA records (RFC 6698): those of the servers' ports, and which of the certificates shown they name. No IO.

use xmpp_connect::dns::TlsaRecord;
use xmpp_connect::{Candidate, Host, Origin};

use super::certificate::Certificate;
use super::findings::{Finding, Weight};
use super::lint::Ttl;
use super::message::{Kind, Reply};
use super::name_servers::ServerView;
use super::outcome::PlaceResult;
use super::plan::Place;
use super::published::{Owners, longest_ttl};
use super::survey::is_special;

/// Usages, RFC 6698 section 2.1.1.
const PKIX_TA: u8 = 0;
const DANE_TA: u8 = 2;
/// Matching types, RFC 6698 section 2.1.3.
const FULL: u8 = 0;
const SHA_256: u8 = 1;
const SHA_512: u8 = 2;

/// The TLSA records of one port of a host, or why they are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortRecords {
    /// `_PORT._tcp.HOST`
    pub(crate) owner: String,
    pub(crate) records: Result<Vec<TlsaRecord>, String>,
    pub(crate) ttl: Ttl,
    pub(crate) proof: Proof,
}

/// What DNSSEC says, according to a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It proves the records of the host, and those that name the host.
    Proved,
    /// It does not prove the records of the host.
    NotOfHost,
    /// It does not prove the SRV records that name the host (RFC 7673 section 3.1).
    NotOfDomain,
}

/// A TLSA record beside the certificates that a server has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Where it is published.
    pub(crate) owner: String,
    pub(crate) record: TlsaRecord,
    /// Whether it can be used, and no stronger one replaces it.
    pub(crate) counts: bool,
    /// Which of them it names.
    pub(crate) position: Option<usize>,
}

/// Returns the names at which the candidates may have TLSA records, each once.
pub(crate) fn owners(candidates: &[Candidate]) -> Vec<String> {
    let mut owners = Vec::new();
    for owner in candidates.iter().filter_map(owner) {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

/// RFC 7673 section 3.4: they are at the port and the name of the server. An address has none.
fn owner(candidate: &Candidate) -> Option<String> {
    match candidate.host() {
        Host::Name(name) if !is_special(name) => Some(format!("_{}._tcp.{name}", candidate.port())),
        _ => None,
    }
}

/// Returns the TLSA records of the candidates, or why they cannot be looked up. Nothing is said of a port that has none, or
/// that was not asked for.
pub(crate) fn published(views: &[ServerView], owners: &Owners, candidates: &[Candidate]) -> Vec<PortRecords> {
    let mut ports: Vec<PortRecords> = Vec::new();
    for candidate in candidates {
        let Some(owner) = owner(candidate) else { continue };
        if ports.iter().any(|port| port.owner == owner) {
            continue;
        }
        let replies = || views.iter().filter_map(|view| view.reply(&owner, Kind::Tlsa));
        // A name server that does not validate says less than one that does.
        let reply = replies().find(|reply| reply.is_authenticated).or_else(|| replies().next());
        let records = match (reply, failure(views, &owner)) {
            (Some(reply), _) if reply.tlsa.is_empty() => continue,
            (Some(reply), _) => Ok(reply.tlsa.clone()),
            (None, Some(why)) => Err(why),
            (None, None) => continue,
        };
        let is_proved = |name: &str, kind: Kind| {
            let mut replies = views.iter().filter_map(|view| view.reply(name, kind));
            replies.any(|reply| reply.is_authenticated && reply.has_records())
        };
        let host = candidate.host().to_string();
        let is_of_host = [Kind::Ipv6, Kind::Ipv4].into_iter().any(|kind| is_proved(&host, kind))
            && reply.is_none_or(|reply| reply.is_authenticated);
        // The domain itself, if there are no SRV records, is named by nobody.
        let is_named =
            candidate.origin() != Origin::Srv || is_proved(owners.of_kind(candidate.tls()), Kind::Srv);
        let proof = match (is_of_host, is_named) {
            (true, true) => Proof::Proved,
            (true, false) => Proof::NotOfDomain,
            (false, true | false) => Proof::NotOfHost,
        };
        let ttl = longest_ttl(views, &owner, Kind::Tlsa);
        ports.push(PortRecords { owner, records, ttl, proof });
    }
    ports
}

/// Why no name server knows; `None` if none was asked, or if those that were are of no use for anything.
fn failure(views: &[ServerView], owner: &str) -> Option<String> {
    let mut useful = views.iter().filter(|view| view.is_complete && view.failure().is_none());
    let reply = useful.find_map(|view| {
        let mut answers = view.answers.iter();
        answers
            .find(|(name, kind, _)| (name.as_str(), *kind) == (owner, Kind::Tlsa))
            .map(|(_, _, reply)| reply)
    });
    Some(match reply? {
        Ok(Reply { has_loop: true, .. }) => "the aliases (CNAME) lead in a circle".to_owned(),
        Ok(reply) if !reply.is_answer() => format!("answered {}", reply.code),
        Ok(_) => "the answer is cut off, or says nothing".to_owned(),
        Err(why) => why.clone(),
    })
}

/// Compares the certificates that were shown with the records of their ports.
pub(crate) fn compare(ports: &[PortRecords], candidates: &[Candidate], checked: &mut [(Place, PlaceResult)]) {
    for (place, result) in checked {
        for certificate in result.checks.iter_mut().filter_map(|check| check.ended.certificate_mut()) {
            for port in ports.iter().filter(|port| candidate_at(port, place, candidates).is_some()) {
                let records = port.records.iter().flatten();
                certificate.tlsa.extend(records.map(|record| Compared {
                    owner: port.owner.clone(),
                    record: record.clone(),
                    counts: port.counts(record),
                    position: record.position_in(&certificate.sent),
                }));
            }
        }
    }
}

/// The candidate of a place whose records these are. Several may share an address.
pub(crate) fn candidate_at<'a>(
    port: &PortRecords,
    place: &Place,
    candidates: &'a [Candidate],
) -> Option<&'a Candidate> {
    let mut of_place = place.candidates.iter().filter_map(|index| candidates.get(*index));
    of_place.find(|candidate| owner(candidate).as_ref() == Some(&port.owner))
}

impl PortRecords {
    /// RFC 7671 section 9: of hashes for the same usage and selector, only the strongest count.
    fn counts(&self, record: &TlsaRecord) -> bool {
        let is_stronger = |other: &TlsaRecord| {
            (other.usage, other.selector, other.matching) == (record.usage, record.selector, SHA_512)
                && other.is_usable()
        };
        record.is_usable() && (record.matching != SHA_256 || !self.records.iter().flatten().any(is_stronger))
    }

    /// Whether the records that count name this certificate, or one of those that were sent with it; `None` if none counts.
    fn name(&self, certificate: &Certificate) -> Option<bool> {
        let of_port = |compared: &&Compared| compared.owner == self.owner && compared.counts;
        let mut counting = certificate.tlsa.iter().filter(of_port).peekable();
        counting.peek()?;
        Some(counting.any(|compared| compared.position.is_some()))
    }

    /// The first certificate of a place that the records do not name.
    fn mismatched<'a>(&self, result: &'a PlaceResult) -> Option<&'a Certificate> {
        result.certificates().find(|certificate| self.name(certificate) == Some(false))
    }

    /// Whether the records name each certificate that a place has shown; `None` if it has shown none, or none counts.
    pub(crate) fn match_all(&self, result: &PlaceResult) -> Option<bool> {
        let mut certificates = result.certificates().peekable();
        self.name(certificates.peek()?)?;
        Some(self.mismatched(result).is_none())
    }
}

/// Returns what is wrong with the TLSA records, once they have been compared with the certificates.
pub(crate) fn judge(
    ports: &[PortRecords],
    candidates: &[Candidate],
    checked: &[(Place, PlaceResult)],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for port in ports {
        let places = || {
            checked.iter().filter_map(|(place, result)| {
                let candidate = candidate_at(port, place, candidates)?;
                Some((format!("{candidate} at {}", place.address.ip()), result))
            })
        };
        let records = match &port.records {
            Ok(records) => records,
            Err(why) => {
                findings.push(lookup(port.proof, why).about(&port.owner));
                continue;
            }
        };
        let right = |certificate: &Certificate| TlsaRecord::of_key(certificate.sent.first()?);
        if !records.iter().any(|record| port.counts(record)) {
            let right = places().flat_map(|(_, result)| result.certificates()).find_map(right);
            findings.push(unusable(right.as_ref()).about(&port.owner));
        } else if let Some(finding) = not_proved(port.proof) {
            findings.push(finding.about(&port.owner));
        }
        for (shown, result) in places() {
            if let Some(wrong) = port.mismatched(result) {
                findings.push(mismatch(port, right(wrong).as_ref()).about(shown));
            }
        }
    }
    findings
}

fn lookup(proof: Proof, why: &str) -> Finding {
    let (weight, consequence) = match proof {
        Proof::Proved => (Weight::Error, "clients with DANE do not connect to this server"),
        Proof::NotOfHost | Proof::NotOfDomain => (
            Weight::Warning,
            "clients with DANE do not connect to this server if DNSSEC proves its other records, as it does not here",
        ),
    };
    Finding::new(
        weight,
        "tlsa-lookup-fails",
        format!("the TLSA records cannot be looked up ({why}): {consequence}"),
        "let the name servers of the host's domain, and any firewall in front of them, answer questions for TLSA records, \
         if only that there are none",
    )
}

fn unusable(right: Option<&TlsaRecord>) -> Finding {
    Finding::warning(
        "tlsa-unusable",
        "no TLSA record can be used: usage, selector or matching type is unknown, or the data is damaged",
        format!("replace the records by {}, or remove them", right_one(right)),
    )
}

/// `3 1 1 8bd1…`, which is the one to publish (RFC 7671 section 5.1).
fn right_one(right: Option<&TlsaRecord>) -> String {
    match right {
        Some(record) => format!("\"{record}\", which names the key of the server's certificate"),
        None => "one with 3 1 1 and the SHA-256 of the public key of the server's certificate".to_owned(),
    }
}

fn not_proved(proof: Proof) -> Option<Finding> {
    let (what, advice) = match proof {
        Proof::Proved => return None,
        Proof::NotOfHost => (
            "DNSSEC does not prove the addresses and TLSA records of the host, so clients with DANE ignore the latter: the \
             name server that was asked does not validate, or the zone of the host is not signed",
            "sign the zone, or remove the records; if it is signed, repeat the check with a name server that validates \
             (here: --nameserver)",
        ),
        Proof::NotOfDomain => (
            "DNSSEC proves the TLSA records, but not the SRV records that name the host, so clients with DANE ignore both: \
             the zone of the domain is not signed",
            "sign the zone of the domain; until then, the records do nothing for it",
        ),
    };
    Some(Finding::hint("tlsa-not-proved", what, advice))
}

fn mismatch(port: &PortRecords, right: Option<&TlsaRecord>) -> Finding {
    // A client may have the certificate of an authority from elsewhere: its own list, or the record.
    let may_be_known = |record: &TlsaRecord| {
        let is_elsewhere = record.usage == PKIX_TA || (record.usage, record.matching) == (DANE_TA, FULL);
        is_elsewhere && port.counts(record)
    };
    let is_sure = !port.records.iter().flatten().any(may_be_known);
    let consequence = match port.proof {
        Proof::Proved if is_sure => "clients with DANE do not connect to it",
        Proof::Proved => {
            "clients with DANE connect to it only if they have that of an authority that the records name"
        }
        Proof::NotOfHost | Proof::NotOfDomain => {
            "clients with DANE do not connect to it once DNSSEC proves the records, as it does not here"
        }
    };
    let is_error = port.proof == Proof::Proved && is_sure;
    Finding::new(
        if is_error { Weight::Error } else { Weight::Warning },
        "tlsa-mismatch",
        format!("the TLSA records name none of the certificates that the server shows: {consequence}"),
        format!(
            "publish {}, at {}; before the server gets another key, add the record of that key, and wait for the TTL",
            right_one(right),
            port.owner
        ),
    )
}
