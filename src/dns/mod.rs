//! Questions to the DNS and their answers, and the trait for a caller's own resolver.

pub(crate) mod cache;
pub(crate) mod lookups;
pub(crate) mod message;
pub(crate) mod resolver;
pub(crate) mod stub;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The limit of one lookup, where the caller sets none (spec D5).
pub(crate) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// One question to the DNS: an absolute name and the kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    name: String,
    kind: RecordKind,
}

impl Question {
    /// The question for the records of `kind` at `name`, which is in A-labels. It is taken as absolute, in lower case,
    /// with or without its trailing dot.
    pub(crate) fn new(name: &str, kind: RecordKind) -> Self {
        Self { name: canonical(name), kind }
    }

    /// The name: absolute, A-labels, lower case, without the trailing dot. Search lists never apply to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of record asked for.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }
}

/// `_xmpps-client._tcp.example.org SRV`.
impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.kind)
    }
}

/// The kind of record a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// SRV (RFC 2782): where a service is.
    Srv,
    /// AAAA (RFC 3596): IPv6 addresses.
    Ipv6,
    /// A (RFC 1035): IPv4 addresses.
    Ipv4,
}

/// `SRV`, `AAAA` or `A`.
impl fmt::Display for RecordKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Srv => "SRV",
            Self::Ipv6 => "AAAA",
            Self::Ipv4 => "A",
        })
    }
}

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

    /// A copy of what may be kept: the addresses of the additional section count for one connect only (spec B9).
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

/// One spelling for one name: lower case, without the trailing dot.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Why a question found no answer. Not to be confused with the answer "none".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    message: String,
}

impl LookupError {
    /// A failure that reads `message`: lower case, one line.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The failure in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for LookupError {}

/// How an answer came about, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupFacts {
    /// Where the answer is from.
    pub source: AnswerSource,
    /// How many times the question was sent, all servers together; 0 when it was not sent.
    pub tries: u32,
}

/// The result of one question.
pub(crate) type Finished = (Question, Result<Answer, LookupError>, LookupFacts);

/// Where random numbers come from.
pub(crate) type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

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
