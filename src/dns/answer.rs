//! An answer of the DNS, and where it is from. No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dns::question::canonical;
use crate::tls::TlsaRecord;

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A service record (RFC 2782).
    Srv(SrvRecord),
    /// An address, of an AAAA or A record.
    Address(IpAddr),
    /// A TLSA record (RFC 6698).
    Tlsa(TlsaRecord),
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

/// The answer to a [`Question`](super::Question): the records at the end of its CNAMEs. An answer without records says
/// that there are none; a lookup that failed has a [`LookupError`](super::LookupError) instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    records: Vec<Record>,
    time_to_live: Option<Duration>,
    authenticated: bool,
    no_such_name: bool,
    additional: Vec<(String, IpAddr)>,
}

impl Answer {
    /// Creates an answer with these records, not authenticated and not to be kept. An empty list means that the name has no
    /// records of this kind.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// Creates an answer that says that the name does not exist (NXDOMAIN).
    #[must_use]
    pub fn no_such_name() -> Self {
        Self { no_such_name: true, ..Self::default() }
    }

    /// Sets how long the answer may be kept. The default is not at all. It is for resolvers that wrap this one: the
    /// connector itself keeps no answers of a resolver that you have given.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// Sets whether the answer was validated by DNSSEC (RFC 4035 section 3.2.3). The default is false.
    #[must_use]
    pub fn with_authenticated(mut self, authenticated: bool) -> Self {
        self.authenticated = authenticated;
        self
    }

    /// The addresses in its records, of both families.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records.iter().filter_map(|record| match record {
            Record::Address(address) => Some(*address),
            Record::Srv(_) | Record::Tlsa(_) => None,
        })
    }

    /// Sets the addresses of SRV targets from the additional section, as hints. The names are absolute, in A-labels, in any
    /// case, with or without the trailing dot. The default is none.
    #[must_use]
    pub fn with_additional(mut self, additional: Vec<(String, IpAddr)>) -> Self {
        let canonical = |(name, address): (String, IpAddr)| (canonical(&name), address);
        self.additional = additional.into_iter().map(canonical).collect();
        self
    }

    /// Returns the records.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns how long the answer may be kept; `None` is not at all.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// Returns whether the answer was validated by DNSSEC.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Returns whether the answer is that the name does not exist (NXDOMAIN).
    #[must_use]
    pub fn is_no_such_name(&self) -> bool {
        self.no_such_name
    }

    /// Returns a copy of what may be cached: the addresses of the additional section count for one connect only (rule B9).
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

    /// Removes the additional addresses of names for which `keeps` returns false.
    pub(crate) fn retain_additional(&mut self, keeps: impl Fn(&str) -> bool) {
        self.additional.retain(|(name, _)| keeps(name));
    }

    /// Returns the addresses of SRV targets from the additional section, each with its owner name.
    #[must_use]
    pub fn additional(&self) -> &[(String, IpAddr)] {
        &self.additional
    }
}

/// Where an answer is from and how many queries it took, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupFacts {
    /// Where the answer is from.
    pub source: AnswerSource,
    /// How many times the question was sent, to all servers together; 0 if it was not sent.
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
