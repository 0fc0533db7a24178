//! DNS messages (RFC 1035 section 4): one query encoded, and what a datagram or frame says to it. No IO.

pub(crate) mod aliases;
mod sections;

use domain::base::iana::{Class, Opcode, OptRcode};
use domain::base::message_builder::PushError;
use domain::base::{Message, MessageBuilder, Name};

pub(crate) use self::aliases::Chain;
use self::aliases::Denial;
use self::sections::{Authority, addresses_of_targets, malformed, read_answers, record_type};
use crate::dns::{Answer, LookupError, Question, RecordKind};
use crate::limits::EDNS_PAYLOAD_SIZE;

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

impl QueryOutcome {
    /// What the server did wrong, or what has prevented an answer, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::NoEdns(code) | Self::ServerFailure(code) => Some(format!("answered {code}")),
            Self::Malformed(why) => Some(format!("sent an answer that cannot be used: {why}")),
            Self::Failure(why) => Some(why.clone()),
            Self::Ignored | Self::Truncated | Self::Answer(_) | Self::Alias(_) => None,
        }
    }
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

    /// "Question (without case) and class match (RFC 5452)" (rule H1).
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
            chain.distrust();
        }
        let mut section = message.answer().map_err(malformed)?;
        let mut answers = read_answers(&mut section, self.kind)?;
        let authority = section.next_section();
        let asked = chain.name().to_owned();
        match chain.follow(&mut answers)? {
            Some((records, time_to_live)) if code == OptRcode::NOERROR => {
                let additional =
                    authority.ok().flatten().and_then(|section| section.next_section().ok().flatten());
                let additional = additional.map(|section| addresses_of_targets(section, &records));
                Ok(QueryOutcome::Answer(chain.found(records, time_to_live, additional.unwrap_or_default())))
            }
            Some(_) | None => {
                let authority = Authority::read(authority.map_err(malformed)?, chain.name())?;
                let denial = Denial {
                    is_no_such_name: code == OptRcode::NXDOMAIN,
                    time_to_live: authority.negative_time_to_live,
                    has_name_servers: authority.has_name_servers,
                    is_competent: message.header().aa() || message.header().ra(),
                };
                Ok(chain.none(&denial, &asked))
            }
        }
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
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod tests;
