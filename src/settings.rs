//! Settings: the options of a connector, which all parts of a connect share. No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::limits::Limits;
use crate::open_stream::OpenStream;
use crate::proxy::Proxy;
use crate::service::{Service, TlsMode};

/// The options of a connector, except for those of TLS and DNS.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) family: AddressFamily,
    pub(crate) limits: Limits,
    /// Whether `<starttls/>` is sent together with the stream header.
    pub(crate) pipelining: bool,
    /// Whether what arrives is acknowledged without delay at first (rule G3).
    pub(crate) quick_ack: bool,
    /// Whether TLSA records decide which certificates are accepted.
    pub(crate) dane: bool,
    /// How the stream is opened over TLS; `None` leaves that to the caller.
    pub(crate) open_stream: Option<OpenStream>,
    pub(crate) socket: SocketOptions,
    /// What all connections go through.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) dns_use: DnsUse,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: Service::Client,
            policy: Policy::default(),
            family: AddressFamily::default(),
            limits: Limits::default(),
            pipelining: true,
            quick_ack: true,
            dane: false,
            open_stream: None,
            socket: SocketOptions::default(),
            proxy: None,
            dns_use: DnsUse::All,
        }
    }
}

impl Settings {
    /// The settings for a stream that the caller has connected, which goes through no proxy of ours.
    pub(crate) fn without_proxy(&self) -> Self {
        Self { proxy: None, dns_use: DnsUse::All, ..self.clone() }
    }
}

/// The options of sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    /// After how long an idle connection is probed (TCP keep-alive); `None` is never.
    pub(crate) keep_alive: Option<Duration>,
    /// The time between two of these probes.
    pub(crate) keep_alive_interval: Option<Duration>,
    /// After how many unanswered probes the connection ends.
    pub(crate) keep_alive_count: Option<u32>,
    /// How long sent data may stay unacknowledged before the connection ends (RFC 5482).
    pub(crate) user_timeout: Option<Duration>,
    /// The local address. Only its family is used.
    pub(crate) source: Option<IpAddr>,
    /// The local network interface.
    pub(crate) interface: Option<String>,
}

impl SocketOptions {
    /// The options for a socket to the name server at `server`: "of the same family" (rule D14). A name server on this
    /// machine cannot be reached through an interface or from another address than loopback.
    pub(crate) fn for_name_server(&self, server: SocketAddr) -> Self {
        let ip = server.ip().to_canonical();
        let is_local = ip.is_loopback();
        let has_family = |source: &IpAddr| source.is_ipv4() == ip.is_ipv4();
        let source = self.source.filter(has_family).filter(|source| !is_local || source.is_loopback());
        let interface = self.interface.clone().filter(|_| !is_local);
        Self { source, interface, ..Self::default() }
    }
}

/// Whether to use direct TLS or STARTTLS, and which to try first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Both, in the order of the SRV records: priority and weight apply to both kinds together (XEP-0368 section 2,
    /// rule 1). This is the default.
    #[default]
    AsPublished,
    /// Both; all direct TLS candidates come first.
    PreferDirect,
    /// Only direct TLS. A domain without usable `_xmpps` records is an error; there is no fallback. So is
    /// a domain that is an IP address: use [`connect_to`](crate::Connector::connect_to), with a port.
    DirectOnly,
    /// Both; all STARTTLS candidates come first.
    PreferStartTls,
    /// Only STARTTLS. If there are no `_xmpp` records, the domain itself is tried.
    StartTlsOnly,
}

impl Policy {
    /// Whether candidates of this kind are looked up at all.
    pub(crate) fn allows(self, tls: TlsMode) -> bool {
        match self {
            Self::AsPublished | Self::PreferDirect | Self::PreferStartTls => true,
            Self::DirectOnly => tls == TlsMode::Direct,
            Self::StartTlsOnly => tls == TlsMode::StartTls,
        }
    }

    /// The kind that goes first, if any.
    pub(crate) fn preferred(self) -> Option<TlsMode> {
        match self {
            Self::PreferDirect => Some(TlsMode::Direct),
            Self::PreferStartTls => Some(TlsMode::StartTls),
            Self::AsPublished | Self::DirectOnly | Self::StartTlsOnly => None,
        }
    }
}

/// What is looked up in DNS before a connection through a proxy or a dial function
/// ([`ConnectorBuilder::dns_use`](crate::ConnectorBuilder::dns_use)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DnsUse {
    /// The SRV records, and the addresses of their targets. There is one attempt for each address.
    All,
    /// Only the SRV records: the names of the servers are left to the proxy or to the dial function. There is one attempt
    /// for each server.
    Srv,
    /// Nothing: the name of the domain itself is left to the proxy or to the dial function, with the default port and
    /// STARTTLS, as if there were no SRV records.
    Nothing,
}

impl DnsUse {
    /// Whether names are left to the proxy or to the dial function.
    pub(crate) fn leaves_names(self) -> bool {
        match self {
            Self::All => false,
            Self::Srv | Self::Nothing => true,
        }
    }
}

/// Which address families are used, and which is tried first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// Both, in the order of RFC 6724 section 6: usually IPv6 first, if this machine has a route. This is the default.
    #[default]
    Any,
    /// Both; IPv4 is tried first.
    Ipv4First,
    /// Only IPv4; IPv6 addresses are not looked up.
    Ipv4Only,
    /// Only IPv6; IPv4 addresses are not looked up.
    Ipv6Only,
}

/// One of the two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv6,
    Ipv4,
}

impl AddressFamily {
    pub(crate) fn uses(self, family: Family) -> bool {
        match self {
            Self::Any | Self::Ipv4First => true,
            Self::Ipv4Only => family == Family::Ipv4,
            Self::Ipv6Only => family == Family::Ipv6,
        }
    }
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::Ipv6, Self::Ipv4];

    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::Ipv6 } else { Self::Ipv4 }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Ipv6 => Self::Ipv4,
            Self::Ipv4 => Self::Ipv6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule B12, B13
    #[test]
    fn a_stream_of_the_caller_goes_through_no_proxy_and_all_else_stays() {
        let settings = Settings {
            policy: Policy::DirectOnly,
            proxy: Some("socks5://192.0.2.80:1080".parse().unwrap()),
            dns_use: DnsUse::Srv,
            ..Settings::default()
        };
        let without = settings.without_proxy();
        assert!(without.proxy.is_none());
        assert_eq!((without.dns_use, without.policy), (DnsUse::All, Policy::DirectOnly));
    }
}
