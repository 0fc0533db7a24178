//! DNS messages (RFC 1035 section 4): one query encoded, and what a datagram or frame says to it. No IO.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::message_builder::PushError;
use domain::base::record::{ParsedRecord, Ttl};
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::{A, Aaaa, Cname, Soa, Srv};

use crate::dns::{Answer, LookupError, Question, Record, RecordKind, SrvRecord};

/// "EDNS0 with 1,232 octets" (spec H2): fits any path without fragments, as the DNS flag day of 2020 chose.
const UDP_PAYLOAD_SIZE: u16 = 1232;

/// "CNAMEs […] are followed […], at most 8 deep" (spec B8).
const MOST_ALIASES: usize = 8;

/// Whether a query says that it knows EDNS (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edns {
    /// The query has an OPT record.
    With,
    /// It has none, because the server refused it.
    Without,
}

/// Whether the server is trusted to have validated by DNSSEC (`trust-ad` of resolv.conf).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    /// The AD bit is asked for and believed (RFC 6840 sections 5.7 and 5.8).
    Trusted,
    /// The AD bit is neither asked for nor believed.
    Untrusted,
}

/// The names that an answer went through, CNAME by CNAME, over all queries of one lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    name: String,
    passed: Vec<String>,
    time_to_live: Option<Duration>,
    validation: Validation,
}

impl Chain {
    /// The chain that begins at `name` and has followed no alias yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            passed: Vec::new(),
            time_to_live: None,
            validation: Validation::Trusted,
        }
    }

    /// The name it has come to.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Goes on to `target`. "At most 8 deep; a loop is an error of that lookup, not a hang" (spec B8).
    fn follow(&mut self, target: String, time_to_live: Duration) -> Result<(), Reply> {
        let passed = std::mem::replace(&mut self.name, target);
        self.passed.push(passed);
        if self.passed.contains(&self.name) {
            return Err(Reply::Malformed("the CNAME records form a loop"));
        }
        if self.passed.len() > MOST_ALIASES {
            return Err(Reply::Malformed("more than 8 CNAME records in a row"));
        }
        self.time_to_live = Some(self.capped(time_to_live));
        Ok(())
    }

    /// `time_to_live`, or that of an alias passed where it is shorter.
    fn capped(&self, time_to_live: Duration) -> Duration {
        self.time_to_live.map_or(time_to_live, |passed| passed.min(time_to_live))
    }
}

/// What a message says to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Not the answer to this query: the wait for that goes on.
    Ignored,
    /// The answer did not fit and is asked for again over TCP.
    Truncated,
    /// The server does not know EDNS and is asked again without.
    NoEdns,
    /// The server says that it failed.
    ServerFailure(String),
    /// The answer cannot be used.
    Malformed(&'static str),
    /// There is no message: the system or the TCP connection says why.
    Failure(String),
    /// The answer, "none" included.
    Answer(Answer),
    /// The name is an alias and the message does not tell what stands at its end: that needs a further query.
    Alias(Chain),
}

/// One query as it goes to one server.
#[derive(Debug)]
pub(crate) struct Query {
    id: u16,
    name: Name<Vec<u8>>,
    kind: RecordKind,
    edns: Edns,
    validation: Validation,
    octets: Vec<u8>,
}

impl Query {
    /// The query for `question`.
    ///
    /// # Errors
    /// When the name cannot stand in a query.
    pub(crate) fn new(
        question: &Question,
        id: u16,
        edns: Edns,
        validation: Validation,
    ) -> Result<Self, LookupError> {
        let unusable =
            || LookupError::new(format!("{} is no name to look up", question.name().escape_debug()));
        // `vec_from_str` reads the escapes of zone files; owner names of SRV records have underscores.
        let is_letter =
            |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
        if question.name().is_empty() || !question.name().split('.').all(|label| label.chars().all(is_letter))
        {
            return Err(unusable());
        }
        let name = Name::vec_from_str(question.name()).map_err(|_| unusable())?;
        let kind = question.kind();
        let octets = encode(&name, kind, id, edns, validation).map_err(|_| unusable())?;
        Ok(Self { id, name, kind, edns, validation, octets })
    }

    /// The octets to send.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The number that the answer carries, too.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// What `octets` say to this query, which was sent at the end of `chain`.
    pub(crate) fn decode(&self, octets: &[u8], chain: &Chain) -> Reply {
        let Ok(message) = Message::from_slice(octets) else { return Reply::Ignored };
        let header = message.header();
        if !header.qr() || header.id() != self.id || header.opcode() != Opcode::QUERY {
            return Reply::Ignored;
        }
        let code = message.opt_rcode();
        let refuses_edns = matches!(code, OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS)
            && self.edns == Edns::With;
        // A server that could not read the query has no question to repeat. Taking it at its word costs EDNS only.
        if refuses_edns && message.header_counts().qdcount() == 0 {
            return Reply::NoEdns;
        }
        if !self.has_same_question(message) {
            return Reply::Ignored;
        }
        match code {
            _ if refuses_edns => Reply::NoEdns,
            OptRcode::NOERROR | OptRcode::NXDOMAIN if header.tc() => Reply::Truncated,
            OptRcode::NOERROR | OptRcode::NXDOMAIN => match self.read(message, chain.clone(), code) {
                Ok(reply) | Err(reply) => reply,
            },
            _ => Reply::ServerFailure(code.to_string()),
        }
    }

    /// "Question (without case) and class match (RFC 5452)" (spec H1).
    fn has_same_question(&self, message: &Message<[u8]>) -> bool {
        message.sole_question().is_ok_and(|question| {
            *question.qname() == self.name
                && question.qtype() == record_type(self.kind)
                && question.qclass() == Class::IN
        })
    }

    fn read(&self, message: &Message<[u8]>, mut chain: Chain, code: OptRcode) -> Result<Reply, Reply> {
        if self.validation == Validation::Untrusted || !message.header().ad() {
            chain.validation = Validation::Untrusted;
        }
        let mut section = message.answer().map_err(malformed)?;
        let mut found = Found::read(&mut section, self.kind)?;
        let authority = section.next_section();
        let aliases_before = chain.passed.len();
        loop {
            if code == OptRcode::NOERROR && found.records.contains_key(chain.name()) {
                let (records, time_to_live) = found.records.remove(chain.name()).unwrap_or_default();
                let additional =
                    authority.ok().flatten().and_then(|section| section.next_section().ok().flatten());
                return Ok(Reply::Answer(Answer {
                    additional: additional
                        .map(|section| addresses_of_targets(section, &records))
                        .unwrap_or_default(),
                    records,
                    time_to_live: Some(chain.capped(time_to_live)),
                    authenticated: chain.validation == Validation::Trusted,
                    no_such_name: false,
                }));
            }
            let Some((target, time_to_live)) = found.aliases.remove(chain.name()) else { break };
            chain.follow(target, time_to_live)?;
        }
        let authority = Authority::read(authority.map_err(malformed)?, chain.name())?;
        if code == OptRcode::NOERROR && authority.negative_time_to_live.is_none() {
            if chain.passed.len() > aliases_before {
                return Ok(Reply::Alias(chain));
            }
            if authority.has_name_servers && !message.header().aa() && !message.header().ra() {
                return Ok(Reply::ServerFailure("it only refers to other name servers".to_owned()));
            }
        }
        Ok(Reply::Answer(Answer {
            time_to_live: authority.negative_time_to_live.map(|time_to_live| chain.capped(time_to_live)),
            authenticated: chain.validation == Validation::Trusted,
            // Of a name that is an alias, RFC 6604 section 2: the code says something of the alias' end only.
            no_such_name: code == OptRcode::NXDOMAIN && chain.passed.is_empty(),
            ..Answer::default()
        }))
    }
}

/// The octets of a query: "RD" set, so that the server does the work (RFC 1035 section 4.1.1).
fn encode(
    name: &Name<Vec<u8>>,
    kind: RecordKind,
    id: u16,
    edns: Edns,
    validation: Validation,
) -> Result<Vec<u8>, PushError> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    builder.header_mut().set_ad(validation == Validation::Trusted);
    let mut builder = builder.question();
    builder.push((name, record_type(kind)))?;
    let mut builder = builder.additional();
    if edns == Edns::With {
        builder.opt(|opt| {
            opt.set_udp_payload_size(UDP_PAYLOAD_SIZE);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

fn record_type(kind: RecordKind) -> Rtype {
    match kind {
        RecordKind::Srv => Rtype::SRV,
        RecordKind::Ipv6 => Rtype::AAAA,
        RecordKind::Ipv4 => Rtype::A,
    }
}

/// What the answer section holds, by owner name; so a CNAME chain is followed whatever the order of the records.
#[derive(Default)]
struct Found {
    records: HashMap<String, (Vec<Record>, Duration)>,
    aliases: HashMap<String, (String, Duration)>,
}

impl Found {
    fn read(section: &mut RecordSection<'_, [u8]>, kind: RecordKind) -> Result<Self, Reply> {
        let mut found = Self::default();
        for record in section {
            let record = record.map_err(malformed)?;
            if record.class() != Class::IN {
                continue;
            }
            let (owner, time_to_live) = (name_text(&record.owner()), duration(record.ttl()));
            if record.rtype() == Rtype::CNAME {
                let alias = record.into_record::<Cname<_>>().map_err(malformed)?;
                if let Some(alias) = alias {
                    found.aliases.entry(owner).or_insert((name_text(alias.data().cname()), time_to_live));
                }
            } else if record.rtype() == record_type(kind) {
                let data = record_data(record, kind).map_err(malformed)?;
                let (records, shortest) =
                    found.records.entry(owner).or_insert_with(|| (Vec::new(), time_to_live));
                records.extend(data);
                *shortest = time_to_live.min(*shortest);
            }
        }
        Ok(found)
    }
}

fn record_data(record: ParsedRecord<'_, [u8]>, kind: RecordKind) -> Result<Option<Record>, ParseError> {
    Ok(match kind {
        RecordKind::Srv => record.into_record::<Srv<_>>()?.map(|record| {
            let data = record.data();
            Record::Srv(SrvRecord {
                priority: data.priority(),
                weight: data.weight(),
                port: data.port(),
                target: name_text(data.target()),
            })
        }),
        RecordKind::Ipv6 => {
            record.into_record::<Aaaa>()?.map(|record| Record::Address(record.data().addr().into()))
        }
        RecordKind::Ipv4 => {
            record.into_record::<A>()?.map(|record| Record::Address(record.data().addr().into()))
        }
    })
}

/// What the authority section says about an answer without records.
#[derive(Default)]
struct Authority {
    negative_time_to_live: Option<Duration>,
    has_name_servers: bool,
}

impl Authority {
    /// Reads the SOA of a zone that `name` is in: "the minimum of the SOA.MINIMUM field and SOA's TTL" (RFC 2308
    /// section 5).
    fn read(section: Option<RecordSection<'_, [u8]>>, name: &str) -> Result<Self, Reply> {
        let mut authority = Self::default();
        for record in section.into_iter().flatten() {
            let record = record.map_err(malformed)?;
            if record.class() != Class::IN {
                continue;
            }
            authority.has_name_servers |= record.rtype() == Rtype::NS;
            if record.rtype() == Rtype::SOA && is_within(name, &name_text(&record.owner())) {
                let time_to_live = duration(record.ttl());
                let soa = record.into_record::<Soa<_>>().map_err(malformed)?;
                authority.negative_time_to_live =
                    soa.map(|soa| duration(soa.data().minimum()).min(time_to_live));
            }
        }
        Ok(authority)
    }
}

/// The addresses in the additional section that belong to targets of `records` (spec B9). What is malformed here is
/// passed over: it is a hint only.
fn addresses_of_targets(section: RecordSection<'_, [u8]>, records: &[Record]) -> Vec<(String, IpAddr)> {
    let targets: HashSet<&str> = records
        .iter()
        .filter_map(|record| match record {
            Record::Srv(service) => Some(service.target.as_str()),
            Record::Address(_) => None,
        })
        .collect();
    if targets.is_empty() {
        return Vec::new();
    }
    let mut addresses = Vec::new();
    for record in section.flatten().filter(|record| record.class() == Class::IN) {
        let owner = name_text(&record.owner());
        let kind = match record.rtype() {
            Rtype::AAAA => RecordKind::Ipv6,
            Rtype::A => RecordKind::Ipv4,
            _ => continue,
        };
        if let (true, Ok(Some(Record::Address(address)))) =
            (targets.contains(owner.as_str()), record_data(record, kind))
        {
            addresses.push((owner, address));
        }
    }
    addresses
}

fn malformed(_: ParseError) -> Reply {
    Reply::Malformed("malformed answer")
}

/// The name in lower case without trailing dot, `.` for the root. What a host name cannot have is escaped, so that
/// two names never read the same.
fn name_text(name: &ParsedName<&[u8]>) -> String {
    let mut text = String::with_capacity(64);
    for label in name.iter().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{label}");
    }
    if text.is_empty() {
        text.push('.');
    }
    text.make_ascii_lowercase();
    text
}

/// Whether `name` is `zone` or below.
fn is_within(name: &str, zone: &str) -> bool {
    zone == "." || name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// "If the most significant bit [is] set, the whole value [is] to be treated as zero" (RFC 2181 section 8).
fn duration(time_to_live: Ttl) -> Duration {
    let seconds = time_to_live.as_secs();
    Duration::from_secs(if seconds >> 31 == 0 { seconds.into() } else { 0 })
}

#[cfg(test)]
mod tests;
