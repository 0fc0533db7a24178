//! One query to one name server by way of hickory-resolver, and what comes of it, DNSSEC included.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record as Resource, RecordType};

#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::proto::dnssec::{DnssecSummary, Proof};

use super::connections::denial;
use super::servers::NameServer;
use crate::dns::message::QueryOutcome;
use crate::dns::message::aliases::{AnswerSection, Chain};
use crate::dns::{Record, RecordKind, SrvRecord, TlsaRecord};

/// Asks `server` for records at the end of `chain`.
pub(super) async fn ask(server: &NameServer, chain: Chain, kind: RecordKind) -> QueryOutcome {
    // Absolute, so that no search list is ever applied.
    let name = match Name::from_ascii(format!("{}.", chain.name())) {
        Ok(name) => name,
        Err(error) => return QueryOutcome::Failure(format!("the name cannot be asked for: {error}")),
    };
    let query = Query::query(name, record_type(kind));
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = server.is_validating();
    let mut result = server.send(query.clone(), options).await;
    let is_old = result.as_ref().is_ok_and(|response| {
        matches!(response.response_code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
    });
    // RFC 6891 section 6.2.2. DNSSEC needs EDNS.
    if is_old && !server.is_validating() {
        options.use_edns = false;
        result = server.send(query, options).await;
    }
    match result {
        Ok(response) => read(&response, chain, kind, server.is_validating()),
        #[cfg(feature = "hickory-dnssec")]
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => {
            read(&response, chain, kind, true)
        }
        #[cfg(feature = "hickory-dnssec")]
        Err(NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus)) => bogus(),
        Err(NetError::Dns(DnsError::ResponseCode(code))) => QueryOutcome::ServerFailure(code.to_string()),
        Err(error) => {
            let why = one_line(&error.to_string());
            QueryOutcome::Failure(format!("{}{why}", server.unreachable))
        }
    }
}

fn read(response: &DnsResponse, chain: Chain, kind: RecordKind, is_validated: bool) -> QueryOutcome {
    match response.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return QueryOutcome::ServerFailure(code.to_string()),
    }
    match read_records(response, chain, kind, is_validated) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn read_records(
    response: &DnsResponse,
    mut chain: Chain,
    kind: RecordKind,
    is_validated: bool,
) -> Result<QueryOutcome, QueryOutcome> {
    let mut answers = AnswerSection::default();
    let is_wanted = |record: &&Resource| {
        record.dns_class == DNSClass::IN
            && [RecordType::CNAME, record_type(kind)].contains(&record.record_type())
    };
    for record in response.answers.iter().filter(is_wanted) {
        if !is_proved(record, is_validated)? {
            chain.distrust();
        }
        let (owner, time_to_live) = (text(&record.name), Duration::from_secs(record.ttl.into()));
        match &record.data {
            RData::CNAME(target) => answers.add_alias(owner, text(&target.0), time_to_live),
            RData::SRV(srv) => {
                let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
                let record = SrvRecord { priority, weight, port, target: text(&srv.target) };
                answers.add(owner, Some(Record::Srv(record)), time_to_live);
            }
            RData::TLSA(tlsa) => {
                let (usage, selector) = (tlsa.cert_usage.into(), tlsa.selector.into());
                let (matching, data) = (tlsa.matching.into(), tlsa.cert_data.clone());
                let record = TlsaRecord { usage, selector, matching, data };
                answers.add(owner, Some(Record::Tlsa(record)), time_to_live);
            }
            data => answers.add(owner, address(data).map(Record::Address), time_to_live),
        }
    }
    let asked = chain.name().to_owned();
    match chain.follow(&mut answers)? {
        Some((records, time_to_live)) if response.response_code == ResponseCode::NoError => {
            let hints = response.additionals.iter();
            let hints = hints.filter_map(|record| Some((text(&record.name), address(&record.data)?)));
            Ok(QueryOutcome::Answer(chain.found(records, time_to_live, hints.collect())))
        }
        Some(_) | None => {
            if !is_denial_proved(response) {
                chain.distrust();
            }
            Ok(chain.none(&denial(response), &asked))
        }
    }
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::Srv => RecordType::SRV,
        RecordKind::Ipv6 => RecordType::AAAA,
        RecordKind::Ipv4 => RecordType::A,
        RecordKind::Tlsa => RecordType::TLSA,
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

/// The name in lower case without trailing dot, `.` for the root.
fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

/// Whether DNSSEC has proved `record`; one that it has proved wrong is an error.
#[cfg(feature = "hickory-dnssec")]
fn is_proved(record: &Resource, is_validated: bool) -> Result<bool, QueryOutcome> {
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
fn is_proved(_: &Resource, _: bool) -> Result<bool, QueryOutcome> {
    Ok(false)
}

/// Whether DNSSEC has proved that there are no records.
#[cfg(feature = "hickory-dnssec")]
fn is_denial_proved(response: &DnsResponse) -> bool {
    DnssecSummary::from_records(response.authorities.iter()) == DnssecSummary::Secure
}

#[cfg(not(feature = "hickory-dnssec"))]
fn is_denial_proved(_: &DnsResponse) -> bool {
    false
}

#[cfg(feature = "hickory-dnssec")]
fn bogus() -> QueryOutcome {
    let why = "DNSSEC does not prove the answer: it is forged, or its signatures are missing or too old";
    QueryOutcome::Failure(why.to_owned())
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
