//! DNS messages (RFC 1035 section 4): one query encoded, and what a datagram or frame says to it. No IO.

use std::time::Duration;

use domain::base::iana::{Class, Opcode, OptRcode};
use domain::base::message_builder::PushError;
use domain::base::{Message, MessageBuilder, Name};

use crate::dns::message::sections::{AnswerSection, Authority, addresses_of_targets, malformed, record_type};
use crate::dns::{Answer, LookupError, Question, RecordKind};
use crate::limits::{EDNS_PAYLOAD_SIZE, MAX_ALIASES};

mod sections;

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
    fn follow(&mut self, target: String, time_to_live: Duration) -> Result<(), QueryOutcome> {
        let passed = std::mem::replace(&mut self.name, target);
        self.passed.push(passed);
        if self.passed.contains(&self.name) {
            return Err(QueryOutcome::Malformed("the CNAME records form a loop"));
        }
        if self.passed.len() > MAX_ALIASES {
            return Err(QueryOutcome::Malformed("more than 8 CNAME records in a row"));
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
pub(crate) enum QueryOutcome {
    /// Not the answer to this query: the wait for that goes on.
    Ignored,
    /// The answer did not fit and is asked for again over TCP.
    Truncated,
    /// The server does not know EDNS, and what it says instead of an answer.
    NoEdns(String),
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

    /// Whether it has an OPT record.
    pub(crate) fn edns(&self) -> Edns {
        self.edns
    }

    /// What `octets` say to this query, which was sent at the end of `chain`.
    pub(crate) fn decode(&self, octets: &[u8], chain: &Chain) -> QueryOutcome {
        let Ok(message) = Message::from_slice(octets) else { return QueryOutcome::Ignored };
        let header = message.header();
        if !header.qr() || header.id() != self.id || header.opcode() != Opcode::QUERY {
            return QueryOutcome::Ignored;
        }
        let code = message.opt_rcode();
        let refuses_edns = matches!(code, OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS)
            && self.edns == Edns::With;
        // A server that could not read the query has no question to repeat. Taking it at its word costs EDNS only.
        let is_blank = message.header_counts().qdcount() == 0
            && self.edns == Edns::With
            && !matches!(code, OptRcode::NOERROR | OptRcode::NXDOMAIN);
        if !is_blank && !self.has_same_question(message) {
            return QueryOutcome::Ignored;
        }
        match code {
            _ if refuses_edns => QueryOutcome::NoEdns(code.to_string()),
            OptRcode::NOERROR | OptRcode::NXDOMAIN if header.tc() => QueryOutcome::Truncated,
            OptRcode::NOERROR | OptRcode::NXDOMAIN => match self.read(message, chain.clone(), code) {
                Ok(reply) | Err(reply) => reply,
            },
            _ => QueryOutcome::ServerFailure(code.to_string()),
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

    fn read(
        &self,
        message: &Message<[u8]>,
        mut chain: Chain,
        code: OptRcode,
    ) -> Result<QueryOutcome, QueryOutcome> {
        if self.validation == Validation::Untrusted || !message.header().ad() {
            chain.validation = Validation::Untrusted;
        }
        let mut section = message.answer().map_err(malformed)?;
        let mut found = AnswerSection::read(&mut section, self.kind)?;
        let authority = section.next_section();
        let aliases_before = chain.passed.len();
        loop {
            if code == OptRcode::NOERROR && found.records.contains_key(chain.name()) {
                let (records, time_to_live) = found.records.remove(chain.name()).unwrap_or_default();
                let additional =
                    authority.ok().flatten().and_then(|section| section.next_section().ok().flatten());
                let additional = additional.map(|section| addresses_of_targets(section, &records));
                let answer = Answer::new(records)
                    .with_time_to_live(chain.capped(time_to_live))
                    .with_authenticated(chain.validation == Validation::Trusted)
                    .with_additional(additional.unwrap_or_default());
                return Ok(QueryOutcome::Answer(answer));
            }
            let Some((target, time_to_live)) = found.aliases.remove(chain.name()) else { break };
            chain.follow(target, time_to_live)?;
        }
        let authority = Authority::read(authority.map_err(malformed)?, chain.name())?;
        if code == OptRcode::NOERROR && authority.negative_time_to_live.is_none() {
            if chain.passed.len() > aliases_before {
                return Ok(QueryOutcome::Alias(chain));
            }
            // "An answer without records, SOA, AA and RA is a lame server's" (spec H3c), as for glibc.
            if !message.header().aa() && !message.header().ra() {
                let why = if authority.has_name_servers {
                    "only with a referral to other name servers"
                } else {
                    "without records, and neither knows the name nor asks other name servers"
                };
                return Ok(QueryOutcome::ServerFailure(why.to_owned()));
            }
        }
        // Of a name that is an alias, RFC 6604 section 2: the code says something of the alias' end only.
        let is_no_such_name = code == OptRcode::NXDOMAIN && chain.passed.is_empty();
        let none = if is_no_such_name { Answer::no_such_name() } else { Answer::new(Vec::new()) };
        let none = none.with_authenticated(chain.validation == Validation::Trusted);
        Ok(QueryOutcome::Answer(match authority.negative_time_to_live {
            Some(time_to_live) => none.with_time_to_live(chain.capped(time_to_live)),
            None => none,
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
            opt.set_udp_payload_size(EDNS_PAYLOAD_SIZE);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod expensive;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod tests;
