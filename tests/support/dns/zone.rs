//! The records of the DNS server of the bench, and its answers.

use std::net::IpAddr;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message_builder::StaticCompressor;
use domain::base::name::Name;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Record, Serial, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa, Srv, ZoneRecordData};

use super::behaviour::Behaviour;

type Owner = Name<Vec<u8>>;
type Data = ZoneRecordData<Vec<u8>, Owner>;

/// What a DNS message over TCP can hold.
pub(super) const LARGEST: usize = 65_535;
/// What a DNS message over UDP can hold when the question has no EDNS: RFC 1035 section 2.3.4.
pub(super) const LARGEST_PLAIN_DATAGRAM: usize = 512;
/// How many CNAMEs one answer follows: a loop ends there, and the client sees it as a loop.
const LONGEST_CHAIN: usize = 16;

/// Records, and behaviour other than answering for single questions. Names are absolute, with or without the last dot, in
/// A-labels, without case; escapes are those of zone files.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    records: Vec<Record<Owner, Data>>,
    time_to_live: Ttl,
    start_of_authority: Option<Record<Owner, Data>>,
    additional: bool,
    follow: bool,
    authenticated: bool,
    pub(super) scripts: Vec<(Owner, Rtype, Vec<Behaviour>)>,
    pub(super) everything: Option<Behaviour>,
}

impl Zone {
    /// No records: the answer to everything is NXDOMAIN, without SOA.
    pub(crate) fn new() -> Self {
        Self {
            records: Vec::new(),
            time_to_live: Ttl::from_secs(300),
            start_of_authority: None,
            additional: false,
            follow: true,
            authenticated: false,
            scripts: Vec::new(),
            everything: None,
        }
    }

    /// The time to live of the records that follow, in seconds; 300 before that.
    pub(crate) fn time_to_live(mut self, seconds: u32) -> Self {
        self.time_to_live = Ttl::from_secs(seconds);
        self
    }

    /// An SRV record (RFC 2782). The target `.` says "not offered".
    pub(crate) fn srv(self, owner: &str, priority: u16, weight: u16, port: u16, target: &str) -> Self {
        self.record(owner, Srv::new(priority, weight, port, name(target)).into())
    }

    /// An A or AAAA record, by the kind of `address`.
    pub(crate) fn address(self, owner: &str, address: &str) -> Self {
        let data = match address.parse().expect("an IP address") {
            IpAddr::V4(address) => A::new(address).into(),
            IpAddr::V6(address) => Aaaa::new(address).into(),
        };
        self.record(owner, data)
    }

    /// A TLSA record: usage, selector, matching type, and data.
    pub(crate) fn tlsa(self, owner: &str, numbers: [u8; 3], data: &[u8]) -> Self {
        let octets = [&numbers[..], data].concat();
        let data = UnknownRecordData::from_octets(Rtype::TLSA, octets).expect("a short record");
        self.record(owner, ZoneRecordData::Unknown(data))
    }

    /// A CNAME record. Answers follow it, as a resolver does.
    pub(crate) fn cname(self, owner: &str, target: &str) -> Self {
        self.record(owner, Cname::new(name(target)).into())
    }

    /// The SOA record that negative answers carry, for everything. A client may keep them for `minimum` seconds (RFC 2308
    /// section 5).
    pub(crate) fn start_of_authority(mut self, owner: &str, minimum: u32) -> Self {
        let minimum = Ttl::from_secs(minimum);
        let day = Ttl::from_days(1);
        let data = Soa::new(name(owner), name("hostmaster.invalid"), Serial(1), day, day, day, minimum);
        self.start_of_authority = Some(Record::new(name(owner), Class::IN, minimum, data.into()));
        self
    }

    /// Answers to SRV questions carry the addresses of the targets in the additional section.
    pub(crate) fn with_additional(mut self) -> Self {
        self.additional = true;
        self
    }

    /// A CNAME is the whole answer: what it leads to has to be asked for.
    pub(crate) fn without_following(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Answers say AD, authenticated data, as those of a validating resolver.
    pub(crate) fn authenticated(mut self) -> Self {
        self.authenticated = true;
        self
    }

    /// Answers do not say AD.
    pub(crate) fn unauthenticated(mut self) -> Self {
        self.authenticated = false;
        self
    }

    /// What happens to one question, every time.
    pub(crate) fn on(self, owner: &str, kind: Rtype, behaviour: Behaviour) -> Self {
        self.script(owner, kind, &[behaviour])
    }

    /// What happens to one question the first time, the second time, ... The last of `behaviours` stays. Only questions over
    /// UDP count: one over TCP gets what the last one over UDP got, or the first of the list.
    pub(crate) fn script(mut self, owner: &str, kind: Rtype, behaviours: &[Behaviour]) -> Self {
        let owner = name(owner);
        self.scripts.retain(|(other, other_kind, _)| (other, *other_kind) != (&owner, kind));
        self.scripts.push((owner, kind, behaviours.to_vec()));
        self
    }

    /// What happens to every question that has no behaviour of its own.
    pub(crate) fn on_everything(mut self, behaviour: Behaviour) -> Self {
        self.everything = Some(behaviour);
        self
    }

    fn record(mut self, owner: &str, data: Data) -> Self {
        self.records.push(Record::new(name(owner), Class::IN, self.time_to_live, data));
        self
    }

    /// The right answer to `query`, in at most `limit` octets, truncated if it is longer.
    pub(super) fn answer(&self, query: &Message<Vec<u8>>, limit: usize) -> Vec<u8> {
        let Ok(question) = query.sole_question() else { return error(query, Rcode::FORMERR) };
        let asked = name(&question.qname().to_string());
        let (last, found) = self.chain(&asked, question.qtype());
        let negative = !found.iter().any(|record| record.rtype() == question.qtype())
            && (self.follow || found.is_empty());
        let code = if negative && !self.knows(&last) { Rcode::NXDOMAIN } else { Rcode::NOERROR };

        let mut builder = builder(limit).start_answer(query, code).expect("a question fits");
        builder.header_mut().set_ra(true);
        builder.header_mut().set_ad(self.authenticated);
        for &record in &found {
            if builder.push(record.clone()).is_err() {
                builder.header_mut().set_tc(true);
                break;
            }
        }
        let mut builder = builder.authority();
        if let Some(record) = self.start_of_authority.as_ref().filter(|_| negative) {
            builder.push(record.clone()).expect("a negative answer is short");
        }
        let mut builder = builder.additional();
        for record in self.additional_to(&found) {
            // RFC 2181 section 9: what is missing here is no reason to set TC.
            if builder.push(record.clone()).is_err() {
                break;
            }
        }
        if query.opt().is_some() {
            // An answer that fills the limit to the last octet loses its OPT record, which servers avoid and clients bear.
            let _ = builder.opt(|opt| {
                opt.set_udp_payload_size(1_232);
                Ok(())
            });
        }
        builder.finish().into_target()
    }

    /// The records of the answer, CNAMEs followed, and the name where the chain ends.
    fn chain(&self, asked: &Owner, kind: Rtype) -> (Owner, Vec<&Record<Owner, Data>>) {
        let mut owner = asked.clone();
        let mut found = Vec::new();
        for _ in 0..LONGEST_CHAIN {
            let before = found.len();
            let here = self.of(&owner);
            found.extend(here.iter().filter(|record| record.rtype() == kind));
            let alias = here.iter().find_map(|record| match record.data() {
                ZoneRecordData::Cname(cname) => Some((*record, cname.cname().clone())),
                _ => None,
            });
            let Some((record, target)) = alias.filter(|_| found.len() == before) else { break };
            found.push(record);
            if !self.follow {
                break;
            }
            owner = target;
        }
        (owner, found)
    }

    fn of<'a>(&'a self, owner: &Owner) -> Vec<&'a Record<Owner, Data>> {
        self.records.iter().filter(|record| record.owner() == owner).collect()
    }

    /// Whether the name exists: it has records, or a name below it has (RFC 8020).
    fn knows(&self, owner: &Owner) -> bool {
        self.records.iter().any(|record| record.owner().ends_with(owner))
    }

    fn additional_to<'a>(
        &'a self,
        found: &'a [&Record<Owner, Data>],
    ) -> impl Iterator<Item = &'a Record<Owner, Data>> {
        let targets = found.iter().filter(|_| self.additional).filter_map(|record| match record.data() {
            ZoneRecordData::Srv(srv) => Some(srv.target()),
            _ => None,
        });
        targets.flat_map(|target| self.of(target)).filter(|r| matches!(r.rtype(), Rtype::A | Rtype::AAAA))
    }
}

/// An answer that is only a response code.
pub(super) fn error(query: &Message<Vec<u8>>, code: Rcode) -> Vec<u8> {
    let mut builder = builder(LARGEST).start_error(query, code);
    builder.header_mut().set_ra(true);
    builder.finish().into_target()
}

fn builder(limit: usize) -> MessageBuilder<StaticCompressor<Vec<u8>>> {
    let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).expect("a header fits");
    builder.set_push_limit(limit);
    builder
}

/// A name of a zone, absolute with or without its last dot; the root, which has no other name, is empty.
pub(super) fn name(text: &str) -> Owner {
    if text.is_empty() {
        return Name::root_vec();
    }
    Name::vec_from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
