//! Settings: what a connector was built with and every part of a connect goes by. No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::limits::Limits;
use crate::service::{Service, TlsMode};

/// What a connector was built with, but for TLS and the source of DNS answers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) family: AddressFamily,
    pub(crate) limits: Limits,
    /// Whether the stream header and `<starttls/>` leave in one write.
    pub(crate) pipelining: bool,
    pub(crate) socket: SocketOptions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: Service::Client,
            policy: Policy::default(),
            family: AddressFamily::default(),
            limits: Limits::default(),
            pipelining: true,
            socket: SocketOptions::default(),
        }
    }
}

/// The options of sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    /// After how long an idle connection is probed (TCP keep-alive); `None`: never.
    pub(crate) keep_alive: Option<Duration>,
    /// The local address, whose family is then the only one used.
    pub(crate) source: Option<IpAddr>,
    /// The local network interface.
    pub(crate) interface: Option<String>,
}

impl SocketOptions {
    /// Those that hold for a socket to the name server at `server`: "of their family" (rule D14). A name server on this
    /// machine is behind no interface and at no address of a network.
    pub(crate) fn for_name_server(&self, server: SocketAddr) -> Self {
        let is_local = server.ip().is_loopback();
        let has_family = |source: &IpAddr| source.is_ipv4() == server.is_ipv4();
        let source = self.source.filter(has_family).filter(|source| !is_local || source.is_loopback());
        let interface = self.interface.clone().filter(|_| !is_local);
        Self { keep_alive: None, source, interface }
    }
}

/// Which of the two kinds of TLS to use, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// As the domain's owner published it: priority and weight count over both kinds together (XEP-0368 section 2,
    /// rule 1). The default.
    #[default]
    AsPublished,
    /// All direct TLS candidates first, otherwise as published.
    PreferDirect,
    /// Direct TLS and nothing else. Without usable `_xmpps` records it is an error; there is no fallback.
    DirectOnly,
    /// All STARTTLS candidates first, otherwise as published.
    PreferStartTls,
    /// STARTTLS and nothing else; without `_xmpp` records the domain itself is tried.
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

    /// The kind that goes first, where one does.
    pub(crate) fn preferred(self) -> Option<TlsMode> {
        match self {
            Self::PreferDirect => Some(TlsMode::Direct),
            Self::PreferStartTls => Some(TlsMode::StartTls),
            Self::AsPublished | Self::DirectOnly | Self::StartTlsOnly => None,
        }
    }
}

/// Which address families are used, and which goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// Both, in the order of RFC 6724 section 6: IPv6 goes first where this machine has a route for it. The default.
    #[default]
    Any,
    /// Both; IPv4 goes first.
    Ipv4First,
    /// IPv4 only; IPv6 addresses are not even asked for.
    Ipv4Only,
    /// IPv6 only; IPv4 addresses are not even asked for.
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
