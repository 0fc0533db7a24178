//! One question to one name server by way of hickory-resolver: CNAMEs, negative answers, and what DNSSEC says.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record as Resource, RecordType};

#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::proto::dnssec::{DnssecSummary, Proof};

use super::servers::NameServer;
use crate::dns::{Answer, LookupError, Question, Record, RecordKind, SrvRecord};
use crate::limits::MAX_ALIASES;

/// How many records of one answer are taken.
const MOST_RECORDS: usize = 1000;

/// What a server said to one query.
struct Reply {
    code: ResponseCode,
    answers: Vec<Resource>,
    additional: Vec<Resource>,
    /// How long a negative answer may be kept; `None` without SOA: it says nothing about where an alias leads.
    negative: Option<u32>,
    /// A negative answer was proved.
    authenticated: bool,
}

/// Asks `server`, and again for what CNAMEs lead to.
///
/// hickory's own resolver is not used: it takes a loop of CNAMEs for "no records", and loses SRV records behind one.
///
/// # Errors
/// A loop of CNAMEs, and whatever is no answer.
pub(super) async fn look_up(server: &NameServer, question: &Question) -> Result<Answer, LookupError> {
    let kind = match question.kind() {
        RecordKind::Srv => RecordType::SRV,
        RecordKind::Ipv6 => RecordType::AAAA,
        RecordKind::Ipv4 => RecordType::A,
    };
    // Absolute, so that no search list is ever applied.
    let name = Name::from_ascii(format!("{}.", question.name()));
    let name = name.map_err(|error| LookupError::new(format!("the name cannot be asked for: {error}")))?;
    let is_validated = server.is_validating();
    let mut chain =
        Chain { names: vec![name], time_to_live: u32::MAX, is_validated, authenticated: is_validated };
    loop {
        let asked = chain.end();
        let reply = send(server, &asked, kind).await?;
        chain.follow(&reply.answers)?;
        let end = chain.end();
        let found = reply.answers.iter().filter(|record| record.name == end && record.record_type() == kind);
        let found = found.take(MOST_RECORDS).collect::<Vec<_>>();
        if !found.is_empty() {
            return chain.positive(&found, &reply.additional);
        }
        if end == asked || reply.code == ResponseCode::NXDomain || reply.negative.is_some() {
            return Ok(chain.negative(&reply));
        }
    }
}

/// The names from the question's to the last alias's.
struct Chain {
    names: Vec<Name>,
    time_to_live: u32,
    /// DNSSEC has a say on each record.
    is_validated: bool,
    /// It has proved all so far.
    authenticated: bool,
}

impl Chain {
    fn end(&self) -> Name {
        self.names.last().cloned().unwrap_or_default()
    }

    /// Follows the CNAMEs that are in `answers`.
    fn follow(&mut self, answers: &[Resource]) -> Result<(), LookupError> {
        loop {
            let end = self.end();
            let alias = answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == end => Some((record, target)),
                _ => None,
            });
            let Some((record, target)) = alias else { return Ok(()) };
            if self.names.contains(&target.0) {
                return Err(LookupError::new(format!("the CNAMEs of {end} lead in a circle")));
            }
            if self.names.len() > MAX_ALIASES {
                return Err(LookupError::new(format!(
                    "more than {MAX_ALIASES} CNAMEs, one behind the other"
                )));
            }
            self.take(record)?;
            self.names.push(target.0.clone());
        }
    }

    /// Notes what a record means for the whole.
    fn take(&mut self, record: &Resource) -> Result<(), LookupError> {
        self.time_to_live = self.time_to_live.min(record.ttl);
        self.authenticated &= proved(record, self.is_validated)?;
        Ok(())
    }

    fn positive(mut self, found: &[&Resource], additional: &[Resource]) -> Result<Answer, LookupError> {
        for record in found {
            self.take(record)?;
        }
        let records = found.iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => {
                let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
                Some(Record::Srv(SrvRecord { priority, weight, port, target: srv.target.to_ascii() }))
            }
            data => address(data).map(Record::Address),
        });
        let hints = additional.iter().filter_map(|record| {
            let owner = record.name.to_ascii();
            Some((owner.strip_suffix('.').unwrap_or(&owner).to_ascii_lowercase(), address(&record.data)?))
        });
        Ok(Answer::new(records.collect())
            .with_time_to_live(Duration::from_secs(self.time_to_live.into()))
            .with_authenticated(self.authenticated)
            .with_additional(hints.take(MOST_RECORDS).collect()))
    }

    fn negative(self, reply: &Reply) -> Answer {
        let is_gone = reply.code == ResponseCode::NXDomain;
        let answer = if is_gone { Answer::no_such_name() } else { Answer::new(Vec::new()) };
        let answer = answer.with_authenticated(self.authenticated && reply.authenticated);
        match reply.negative {
            Some(seconds) => {
                answer.with_time_to_live(Duration::from_secs(seconds.min(self.time_to_live).into()))
            }
            None => answer,
        }
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

/// Sends one query, and again without EDNS to a server that does not know it (RFC 6891 section 6.2.2).
async fn send(server: &NameServer, name: &Name, kind: RecordType) -> Result<Reply, LookupError> {
    let query = Query::query(name.clone(), kind);
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = server.is_validating();
    let result = server.send(query.clone(), options).await;
    let is_old = matches!(
        result,
        Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::FormErr | ResponseCode::NotImp)))
    );
    if is_old && !server.is_validating() {
        options.use_edns = false;
        return reply(server, server.send(query, options).await);
    }
    reply(server, result)
}

fn reply(server: &NameServer, result: Result<DnsResponse, NetError>) -> Result<Reply, LookupError> {
    match result {
        Ok(response) => Ok(response.into()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            Ok(Reply {
                code: none.response_code,
                answers: Vec::new(),
                additional: Vec::new(),
                negative: none.negative_ttl,
                authenticated: false,
            })
        }
        #[cfg(feature = "hickory-dnssec")]
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => Ok((*response).into()),
        #[cfg(feature = "hickory-dnssec")]
        Err(NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus)) => Err(bogus()),
        Err(NetError::NoConnections) => Err(LookupError::new(server.unreachable)),
        Err(error) => Err(LookupError::new(one_line(&error.to_string()))),
    }
}

impl From<DnsResponse> for Reply {
    fn from(response: DnsResponse) -> Self {
        #[cfg(feature = "hickory-dnssec")]
        let authenticated = DnssecSummary::from_records(response.authorities.iter()) == DnssecSummary::Secure;
        #[cfg(not(feature = "hickory-dnssec"))]
        let authenticated = false;
        let negative = response.negative_ttl();
        let message = response.into_message();
        Self {
            code: message.metadata.response_code,
            answers: message.answers,
            additional: message.additionals,
            negative,
            authenticated,
        }
    }
}

/// Whether DNSSEC has proved `record`; one that it has proved wrong is an error.
#[cfg(feature = "hickory-dnssec")]
fn proved(record: &Resource, is_validated: bool) -> Result<bool, LookupError> {
    match record.proof {
        Proof::Secure => Ok(true),
        Proof::Insecure => Ok(false),
        Proof::Bogus => Err(bogus()),
        // Without validation every record is.
        Proof::Indeterminate if is_validated => Err(bogus()),
        Proof::Indeterminate => Ok(false),
    }
}

#[cfg(not(feature = "hickory-dnssec"))]
#[expect(clippy::unnecessary_wraps, reason = "with DNSSEC it can fail")]
fn proved(_: &Resource, _: bool) -> Result<bool, LookupError> {
    Ok(false)
}

#[cfg(feature = "hickory-dnssec")]
fn bogus() -> LookupError {
    LookupError::new(
        "DNSSEC does not prove the answer: it is forged, or its signatures are missing or too old",
    )
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
