//! DNS messages as a doctor reads them: with flags, TTLs and aliases, which a connect does not need. No IO.

use std::net::IpAddr;

use domain::base::iana::{Class, OptRcode, Rtype};
use domain::base::message_builder::PushError;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{AllRecordData, Soa};
use xmpp_connect::dns::TlsaRecord;

use super::findings::plain;

/// The kind of record that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Srv,
    Ipv6,
    Ipv4,
    /// RFC 6698.
    Tlsa,
    /// Name servers: of the root, every resolver knows them.
    Ns,
}

impl Kind {
    fn code(self) -> Rtype {
        match self {
            Self::Srv => Rtype::SRV,
            Self::Ipv6 => Rtype::AAAA,
            Self::Ipv4 => Rtype::A,
            Self::Tlsa => Rtype::TLSA,
            Self::Ns => Rtype::NS,
        }
    }

    /// Returns its name: `SRV`, `AAAA` …
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Srv => "SRV",
            Self::Ipv6 => "AAAA",
            Self::Ipv4 => "A",
            Self::Tlsa => "TLSA",
            Self::Ns => "NS",
        }
    }
}

/// An SRV record as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Srv {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// Lower case, without the last dot; the root is `.`.
    pub(crate) target: String,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// `NOERROR`, `SERVFAIL` …
    pub(crate) code: String,
    pub(crate) srv: Vec<Srv>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) tlsa: Vec<TlsaRecord>,
    /// The smallest TTL of the records and of the aliases that lead to them, in seconds.
    pub(crate) ttl: Option<u32>,
    /// The names that the aliases (CNAME) lead to, in order.
    pub(crate) aliases: Vec<String>,
    /// Whether the aliases lead back to one of them, so that nobody finds anything at their end.
    pub(crate) has_loop: bool,
    pub(crate) is_truncated: bool,
    /// AA: the server is one of the domain's own.
    pub(crate) is_authoritative: bool,
    /// RA: the server asks others.
    pub(crate) is_recursive: bool,
    /// AD: the server says that DNSSEC proves the answer.
    pub(crate) is_authenticated: bool,
    /// A negative answer that says who is responsible.
    pub(crate) has_start_of_authority: bool,
}

impl Reply {
    /// Whether the server answered, if only that there are no records.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(&*self.code, "NOERROR" | "NXDOMAIN")
    }

    /// Whether it says which records there are, if any.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_answer() && !self.is_lame() && !self.has_loop && !self.is_truncated
    }

    /// Whether there are records of the kind that was asked for.
    pub(crate) fn has_records(&self) -> bool {
        !self.srv.is_empty() || !self.addresses.is_empty() || !self.tlsa.is_empty()
    }

    /// Whether the server does not know the name and does not ask others: it answers, and says nothing.
    pub(crate) fn is_lame(&self) -> bool {
        let is_empty = !self.has_records() && self.aliases.is_empty() && !self.has_loop;
        let is_competent = self.has_start_of_authority || self.is_authoritative || self.is_recursive;
        self.is_answer() && is_empty && !is_competent
    }
}

/// Returns a query for the records of `kind` at `name`.
///
/// # Errors
/// If the name cannot be asked for.
pub(crate) fn query(id: u16, name: &str, kind: Kind, has_edns: bool) -> Result<Vec<u8>, String> {
    let unusable = |_| format!("{} cannot be asked for", plain(name));
    let name = Name::vec_from_str(name).map_err(|_| format!("{} cannot be asked for", plain(name)))?;
    let build = || -> Result<Vec<u8>, PushError> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        // RFC 6840 section 5.7: "a requester understands the AD bit". DNSSEC needs EDNS.
        builder.header_mut().set_ad(has_edns);
        let mut builder = builder.question();
        builder.push((&name, kind.code()))?;
        let mut builder = builder.additional();
        if has_edns {
            builder.opt(|opt| {
                // What the library asks for too.
                opt.set_udp_payload_size(1232);
                Ok(())
            })?;
        }
        Ok(builder.finish())
    };
    build().map_err(unusable)
}

/// Returns what `octets` say to `query`: `None` if they are no answer to it, an error if they are malformed.
pub(crate) fn reply(octets: &[u8], query: &[u8]) -> Option<Result<Reply, ParseError>> {
    let (message, query) = (Message::from_slice(octets).ok()?, Message::from_slice(query).ok()?);
    let asked = query.sole_question().ok()?;
    if !message.header().qr() || message.header().id() != query.header().id() {
        return None;
    }
    // A server that could not read the query does not repeat its question.
    let is_error = !matches!(message.opt_rcode(), OptRcode::NOERROR | OptRcode::NXDOMAIN);
    let is_blank = message.header_counts().qdcount() == 0 && is_error;
    let is_same = message.sole_question().is_ok_and(|question| {
        question.qname() == asked.qname()
            && question.qtype() == asked.qtype()
            && question.qclass() == Class::IN
    });
    (is_blank || is_same).then(|| read(message, &name_text(asked.qname()), asked.qtype()))
}

fn read(message: &Message<[u8]>, asked: &str, kind: Rtype) -> Result<Reply, ParseError> {
    let header = message.header();
    let mut reply = Reply {
        code: message.opt_rcode().to_string(),
        is_truncated: header.tc(),
        is_authoritative: header.aa(),
        is_recursive: header.ra(),
        is_authenticated: header.ad(),
        ..Reply::default()
    };
    let mut records = Vec::new();
    for record in message.answer()?.limit_to::<AllRecordData<_, _>>() {
        let record = record?;
        if record.class() == Class::IN && (record.rtype() == kind || record.rtype() == Rtype::CNAME) {
            records.push(record);
        }
    }
    // Aliases come in any order; more than these are a loop.
    let mut owner = asked.to_owned();
    for _ in 0..=records.len() {
        let here = records.iter().filter(|record| name_text(record.owner()) == owner);
        let mut alias = None;
        for record in here {
            let ttl = record.ttl().as_secs();
            match record.data() {
                AllRecordData::Srv(srv) => reply.srv.push(Srv {
                    priority: srv.priority(),
                    weight: srv.weight(),
                    port: srv.port(),
                    target: name_text(srv.target()),
                }),
                AllRecordData::A(address) => reply.addresses.push(address.addr().into()),
                AllRecordData::Aaaa(address) => reply.addresses.push(address.addr().into()),
                AllRecordData::Tlsa(tlsa) => reply.tlsa.push(TlsaRecord {
                    usage: tlsa.usage().to_int(),
                    selector: tlsa.selector().to_int(),
                    matching: tlsa.matching_type().to_int(),
                    data: tlsa.data().to_vec(),
                }),
                AllRecordData::Cname(cname) => alias = Some(name_text(cname.cname())),
                _ => continue,
            }
            reply.ttl = Some(reply.ttl.map_or(ttl, |other| other.min(ttl)));
        }
        let Some(next) = alias else { break };
        if next == asked || reply.aliases.contains(&next) {
            reply.has_loop = true;
            break;
        }
        reply.aliases.push(next.clone());
        owner = next;
    }
    for record in message.authority()?.limit_to::<Soa<_>>() {
        record?;
        reply.has_start_of_authority = true;
    }
    Ok(reply)
}

/// A name in lower case, without its last dot, safe to show; the root is `.`.
fn name_text(name: &impl ToString) -> String {
    let name = plain(&name.to_string().to_ascii_lowercase());
    match name.strip_suffix('.').unwrap_or(&name) {
        "" => ".".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
