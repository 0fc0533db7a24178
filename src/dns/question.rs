//! A question to the DNS: an absolute name and the kind of record. No IO.

use std::fmt;

/// One question to the DNS: an absolute name and the kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    name: String,
    kind: RecordKind,
}

impl Question {
    /// Creates the question for the records of `kind` at `name`. The name is absolute and in A-labels; it is folded to
    /// lower case, and a trailing dot is removed. It is not checked: the lookup of an invalid name fails.
    #[must_use]
    pub fn new(name: &str, kind: RecordKind) -> Self {
        Self { name: canonical(name), kind }
    }

    /// Returns the name: absolute, A-labels, lower case, without the trailing dot. Search lists never apply to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of record asked for.
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
    /// TLSA (RFC 6698): which certificates a server may present. The name is `_PORT._tcp.HOST`.
    Tlsa,
}

/// `SRV`, `AAAA`, `A` or `TLSA`.
impl fmt::Display for RecordKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Srv => "SRV",
            Self::Ipv6 => "AAAA",
            Self::Ipv4 => "A",
            Self::Tlsa => "TLSA",
        })
    }
}

/// One spelling for one name: lower case, without the trailing dot.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
