//! The sections of a DNS message, read record by record (RFC 1035 section 4.1.3). No IO.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::{Class, Rtype};
use domain::base::message::RecordSection;
use domain::base::record::{ParsedRecord, Ttl};
use domain::base::wire::ParseError;
use domain::base::{ParsedName, UnknownRecordData};
use domain::rdata::{A, Aaaa, Cname, Soa, Srv};

use crate::dns::message::QueryOutcome;
use crate::dns::message::aliases::AnswerSection;
use crate::dns::{Record, RecordKind, SrvRecord, TlsaRecord};
use crate::limits::MAX_LABELS;

/// The number of the type of record.
pub(super) fn record_type(kind: RecordKind) -> Rtype {
    match kind {
        RecordKind::Srv => Rtype::SRV,
        RecordKind::Ipv6 => Rtype::AAAA,
        RecordKind::Ipv4 => Rtype::A,
        RecordKind::Tlsa => Rtype::TLSA,
    }
}

/// Reads the answer section: the records that are asked for, and the aliases.
pub(super) fn read_answers(
    section: &mut RecordSection<'_, [u8]>,
    kind: RecordKind,
) -> Result<AnswerSection, QueryOutcome> {
    let (mut found, mut labels) = (AnswerSection::default(), Labels::default());
    for record in section {
        let record = record.map_err(malformed)?;
        if record.class() != Class::IN {
            continue;
        }
        // What is not asked for is not read: names are most of the work.
        let is_alias = record.rtype() == Rtype::CNAME;
        if !is_alias && record.rtype() != record_type(kind) {
            continue;
        }
        let (owner, time_to_live) = (labels.text(&record.owner())?, duration(record.ttl()));
        if is_alias {
            if let Some(alias) = record.into_record::<Cname<_>>().map_err(malformed)? {
                found.add_alias(owner, labels.text(alias.data().cname())?, time_to_live);
            }
        } else {
            found.add(owner, record_data(record, kind, &mut labels)?, time_to_live);
        }
    }
    Ok(found)
}

fn record_data(
    record: ParsedRecord<'_, [u8]>,
    kind: RecordKind,
    labels: &mut Labels,
) -> Result<Option<Record>, QueryOutcome> {
    Ok(match kind {
        RecordKind::Srv => match record.into_record::<Srv<_>>().map_err(malformed)? {
            Some(record) => {
                let data = record.data();
                Some(Record::Srv(SrvRecord {
                    priority: data.priority(),
                    weight: data.weight(),
                    port: data.port(),
                    target: labels.text(data.target())?,
                }))
            }
            None => None,
        },
        RecordKind::Ipv6 => {
            let record = record.into_record::<Aaaa>().map_err(malformed)?;
            record.map(|record| Record::Address(record.data().addr().into()))
        }
        RecordKind::Ipv4 => {
            let record = record.into_record::<A>().map_err(malformed)?;
            record.map(|record| Record::Address(record.data().addr().into()))
        }
        RecordKind::Tlsa => {
            let record = record.into_record::<UnknownRecordData<_>>().map_err(malformed)?;
            let tlsa = record.and_then(|record| {
                let (&[usage, selector, matching], data) = record.data().data().split_first_chunk::<3>()?;
                Some(TlsaRecord { usage, selector, matching, data: data.to_vec() })
            });
            Some(Record::Tlsa(tlsa.ok_or(QueryOutcome::Malformed("malformed answer"))?))
        }
    })
}

/// How many labels have been read of one section.
#[derive(Default)]
struct Labels(usize);

impl Labels {
    /// The text of a name, as [`name_text`] gives it, unless the answer has too many labels.
    fn text(&mut self, name: &ParsedName<&[u8]>) -> Result<String, QueryOutcome> {
        self.0 += name.label_count();
        if self.0 > MAX_LABELS {
            return Err(QueryOutcome::Malformed("its names are longer than any answer needs"));
        }
        Ok(name_text(name))
    }
}

/// What the authority section says about an answer without records.
#[derive(Default)]
pub(super) struct Authority {
    pub(super) negative_time_to_live: Option<Duration>,
    pub(super) has_name_servers: bool,
}

impl Authority {
    /// Reads the SOA of a zone that `name` is in: "the minimum of the SOA.MINIMUM field and SOA's TTL" (RFC 2308
    /// section 5).
    pub(super) fn read(section: Option<RecordSection<'_, [u8]>>, name: &str) -> Result<Self, QueryOutcome> {
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

/// The addresses in the additional section that belong to targets of `records` (rule B9). What is malformed here is
/// passed over: it is a hint only.
pub(super) fn addresses_of_targets(
    section: RecordSection<'_, [u8]>,
    records: &[Record],
) -> Vec<(String, IpAddr)> {
    let targets: HashSet<&str> = records
        .iter()
        .filter_map(|record| match record {
            // The root says that the service is not offered, and is no host.
            Record::Srv(service) => Some(service.target.as_str()).filter(|target| *target != "."),
            Record::Address(_) | Record::Tlsa(_) => None,
        })
        .collect();
    if targets.is_empty() {
        return Vec::new();
    }
    let (mut addresses, mut labels) = (Vec::new(), Labels::default());
    for record in section.flatten().filter(|record| record.class() == Class::IN) {
        let kind = match record.rtype() {
            Rtype::AAAA => RecordKind::Ipv6,
            Rtype::A => RecordKind::Ipv4,
            _ => continue,
        };
        let Ok(owner) = labels.text(&record.owner()) else { break };
        if let (true, Ok(Some(Record::Address(address)))) =
            (targets.contains(owner.as_str()), record_data(record, kind, &mut labels))
        {
            addresses.push((owner, address));
        }
    }
    addresses
}

pub(super) fn malformed(_: ParseError) -> QueryOutcome {
    QueryOutcome::Malformed("malformed answer")
}

/// The name in lower case without trailing dot, `.` for the root. What a host name cannot have is escaped, so that
/// two names never read the same.
fn name_text(name: &ParsedName<&[u8]>) -> String {
    let mut text = String::with_capacity(64);
    for label in name.iter().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        for octet in label.as_slice() {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*octet)),
                b'A'..=b'Z' => text.push(char::from(octet.to_ascii_lowercase())),
                b'.' | b'\\' | b' ' => text.extend(['\\', char::from(*octet)]),
                0x21..=0x7e => text.push(char::from(*octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
    }
    if text.is_empty() {
        text.push('.');
    }
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
mod tests {
    use domain::dep::octseq::Parser;

    use super::*;
    use crate::dns::testing::name;

    // rule H6
    #[test]
    fn names_of_exactly_65536_labels_are_read() {
        let octets = name("a.b.c");
        let parsed = ParsedName::parse(&mut Parser::from_ref(octets.as_slice())).unwrap();
        let mut labels = Labels(MAX_LABELS - 4);
        assert_eq!(labels.text(&parsed), Ok("a.b.c".to_owned()));
        assert!(matches!(labels.text(&parsed), Err(QueryOutcome::Malformed(_))));
    }

    // rule H6
    #[test]
    fn no_two_names_read_the_same() {
        for (octets, text) in [
            (&b"\x09az09-_AZ.\x00"[..], "az09-_az\\."),
            (b"\x04!*~/\x00", "!*~/"),
            (b"\x03 \\.\x01a\x00", "\\ \\\\\\..a"),
            (b"\x05\x00\x1f\x7f\x80\xff\x00", "\\000\\031\\127\\128\\255"),
            (b"\x00", "."),
        ] {
            let parsed = ParsedName::parse(&mut Parser::from_ref(octets)).unwrap();
            assert_eq!(name_text(&parsed), text);
        }
    }
}
