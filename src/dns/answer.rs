//! An answer of the DNS, and where it is from. No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dns::question::canonical;

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A service record (RFC 2782).
    Srv(SrvRecord),
    /// An address, of an AAAA or A record.
    Address(IpAddr),
}

/// The data of an SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "RFC 2782 fixes these four fields")]
pub struct SrvRecord {
    /// Lower is tried first.
    pub priority: u16,
    /// The share of the load within one priority.
    pub weight: u16,
    /// The TCP port.
    pub port: u16,
    /// The host, with or without its trailing dot; `.` says that the service is not offered.
    pub target: String,
}

/// An answer of the DNS: the records, CNAMEs followed. Without records it says "none".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    records: Vec<Record>,
    time_to_live: Option<Duration>,
    authenticated: bool,
    no_such_name: bool,
    additional: Vec<(String, IpAddr)>,
}

impl Answer {
    /// An answer with these records, not cached and not authenticated. An empty list says that the name has none.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// The answer that the name does not exist at all (NXDOMAIN).
    #[must_use]
    pub fn no_such_name() -> Self {
        Self { no_such_name: true, ..Self::default() }
    }

    /// How long the answer may be kept. Default: not at all. The built-in cache never keeps answers of a caller's resolver.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// Whether DNSSEC proved the answer (RFC 4035 section 3.2.3). Default: no.
    #[must_use]
    pub fn with_authenticated(mut self, authenticated: bool) -> Self {
        self.authenticated = authenticated;
        self
    }

    /// Addresses of SRV targets that came along in the additional section; a hint only. The names are taken as absolute,
    /// in A-labels, whatever their case, with or without the trailing dot.
    #[must_use]
    pub fn with_additional(mut self, additional: Vec<(String, IpAddr)>) -> Self {
        let canonical = |(name, address): (String, IpAddr)| (canonical(&name), address);
        self.additional = additional.into_iter().map(canonical).collect();
        self
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How long the answer may be kept.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// Whether DNSSEC proved the answer.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether the answer is that the name does not exist (NXDOMAIN).
    #[must_use]
    pub fn is_no_such_name(&self) -> bool {
        self.no_such_name
    }

    /// A copy of what may be kept: the addresses of the additional section count for one connect only (rule B9).
    pub(crate) fn without_additional(&self) -> Self {
        let Self { records, time_to_live, authenticated, no_such_name, additional: _ } = self;
        Self {
            records: records.clone(),
            time_to_live: *time_to_live,
            authenticated: *authenticated,
            no_such_name: *no_such_name,
            additional: Vec::new(),
        }
    }

    /// Leaves out the additional addresses of names for which this is false.
    pub(crate) fn retain_additional(&mut self, keeps: impl Fn(&str) -> bool) {
        self.additional.retain(|(name, _)| keeps(name));
    }

    /// Addresses that came along in the additional section: owner name and address.
    #[must_use]
    pub fn additional(&self) -> &[(String, IpAddr)] {
        &self.additional
    }
}

/// How an answer came about, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupFacts {
    /// Where the answer is from.
    pub source: AnswerSource,
    /// How many times the question was sent, all servers together; 0 when it was not sent.
    pub tries: u32,
}

/// Where an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerSource {
    /// Nobody answered.
    Nobody,
    /// A name server, over UDP.
    Udp(SocketAddr),
    /// A name server, over TCP.
    Tcp(SocketAddr),
    /// The hosts file.
    HostsFile,
    /// The connector's cache.
    Cache,
    /// The caller's resolver.
    Resolver,
}
