//! A candidate: one server to try, and where it comes from. No IO.

use std::fmt;
use std::sync::Arc;

use crate::domain::Host;
use crate::service::TlsMode;
use crate::tls::TlsaRecord;

/// One server to try: from an SRV record, the fallback, or a target that the caller gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    tls: TlsMode,
    host: Host,
    port: u16,
    priority: u16,
    weight: u16,
    origin: Origin,
    is_authenticated: bool,
    tlsa: Option<Arc<[TlsaRecord]>>,
}

impl Candidate {
    pub(crate) fn new(
        tls: TlsMode,
        host: Host,
        port: u16,
        priority: u16,
        weight: u16,
        origin: Origin,
    ) -> Self {
        Self { tls, host, port, priority, weight, origin, is_authenticated: false, tlsa: None }
    }

    /// A candidate that is not from an SRV record: priority and weight are 0.
    pub(crate) fn single(tls: TlsMode, host: Host, port: u16, origin: Origin) -> Self {
        Self::new(tls, host, port, 0, 0, origin)
    }

    /// Returns how TLS starts there.
    #[must_use]
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// Returns the host: the target of the SRV record (RFC 2782), the domain, or the host that the caller gave.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the priority of the SRV record, 0 without one. Lower priorities are tried first.
    #[must_use]
    pub fn priority(&self) -> u16 {
        self.priority
    }

    /// Returns the weight of the SRV record, 0 without one.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// Sets whether DNSSEC proves that it is a server of the domain.
    pub(crate) fn authenticated(self, is_authenticated: bool) -> Self {
        Self { is_authenticated, ..self }
    }

    /// Sets the TLSA records that decide which certificates it may present.
    pub(crate) fn with_tlsa(self, tlsa: Option<Arc<[TlsaRecord]>>) -> Self {
        Self { tlsa, ..self }
    }

    /// Returns whether its SRV record was validated by DNSSEC.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    /// Returns the TLSA records that its certificate was verified by, for the candidate of a
    /// [`Connection`](crate::Connection::candidate). Without [`dane`](crate::ConnectorBuilder::dane), and for a server
    /// without usable TLSA records that DNSSEC has validated, there are none.
    #[must_use]
    pub fn tlsa(&self) -> &[TlsaRecord] {
        self.tlsa.as_deref().unwrap_or_default()
    }

    /// Whether both are the same server, regardless of priority, weight and origin.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        (&self.host, self.port, self.tls) == (&other.host, other.port, other.tls)
    }

    /// Whether both are the same, except that DNSSEC may have proved only one of them.
    pub(crate) fn is_same_record(&self, other: &Self) -> bool {
        self.clone().authenticated(other.is_authenticated) == *other
    }

    /// Returns where the candidate comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// `xmpp.example.org:5223 direct TLS`.
impl fmt::Display for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address @ std::net::IpAddr::V6(_)) => write!(formatter, "[{address}]")?,
            host @ (Host::Address(_) | Host::Name(_)) => write!(formatter, "{host}")?,
        }
        write!(formatter, ":{} {}", self.port, self.tls)
    }
}

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// An SRV record.
    Srv,
    /// The domain itself on the default port, because it has no SRV records (RFC 6120 section 3.2.2).
    Fallback,
    /// The target of [`Connector::connect_to`](crate::Connector::connect_to), or the peer of the stream given to
    /// [`Connector::secure`](crate::Connector::secure).
    Explicit,
    /// The target of [`Connector::connect_preferring`](crate::Connector::connect_preferring).
    Preferred,
    /// The domain, which is an IP address.
    Address,
}

/// `srv`, `fallback`, `explicit`, `preferred` or `address`.
impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Srv => "srv",
            Self::Fallback => "fallback",
            Self::Explicit => "explicit",
            Self::Preferred => "preferred",
            Self::Address => "address",
        })
    }
}
