//! The options of a connector, each with its default.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::connector::Connector;
use crate::dial::hook::DialHook;
use crate::discovery::Candidate;
use crate::dns::cache::Caching;
use crate::dns::message::Validation;
use crate::dns::resolver::Resolver;
use crate::dns::stub::resolv_conf::Transport;
use crate::domain::Domain;
use crate::error::Error;
use crate::filter::Filter;
use crate::limits::MAX_GIVEN_NAME_SERVERS;
#[cfg(feature = "starttls")]
use crate::open_stream::OpenStream;
use crate::service::Service;
use crate::settings::{AddressFamily, DnsUse, Policy, Settings};
use crate::shared::OnlyUsed;
use crate::tls::TlsOptions;

mod build;
mod tls;
mod way;

/// Builds a [`Connector`]. Created by [`Connector::builder`].
///
/// Every option has a default; the defaults suit interactive programs. For every time limit, `Duration::MAX` means "no
/// limit".
#[derive(Clone)]
#[must_use]
pub struct ConnectorBuilder {
    settings: Settings,
    tls: TlsOptions,
    only_used: OnlyUsed,
    servers: Option<Vec<SocketAddr>>,
    validation: Validation,
    transport: Transport,
    resolver: Option<Arc<dyn Resolver>>,
    caching: Caching,
    filter: Option<Filter>,
    hook: Option<DialHook>,
    dns_use: Option<DnsUse>,
}

impl Default for ConnectorBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            tls: TlsOptions::default(),
            only_used: OnlyUsed::default(),
            servers: None,
            validation: Validation::Untrusted,
            transport: Transport::Udp,
            resolver: None,
            caching: Caching::On,
            filter: None,
            hook: None,
            dns_use: None,
        }
    }
}

impl Connector {
    /// Starts building a connector.
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder::default()
    }
}

/// Connects to a server of `domain` with the default options.
///
/// Nothing is kept for the next call: no DNS answers, no TLS session. To connect more than once, use a [`Connector`].
///
/// # Errors
/// The errors of [`Connector::connect`], and [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if no root
/// certificates or no crypto provider are compiled in.
pub fn connect<D>(domain: D) -> Result<Connection, Error>
where
    D: TryInto<Domain>,
    Error: From<D::Error>,
{
    Connector::builder().build()?.connect(domain)
}

impl ConnectorBuilder {
    /// Sets the service to connect to. The default is [`Service::Client`].
    pub fn service(mut self, service: Service) -> Self {
        self.settings.service = service;
        self
    }

    /// Sets whether direct TLS or STARTTLS is used, and which is tried first. The default is [`Policy::AsPublished`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the time limit of a whole connect, which returns at most 100 ms later, whatever the peers do. The default
    /// is 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.total = limit;
        self
    }

    /// Sets the time limit of each DNS lookup. The default is 5 s, or more if the option `timeout` of resolv.conf
    /// requires it.
    pub fn lookup_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.lookup = Some(limit);
        self
    }

    /// Sets the time limit of the TCP handshake of each attempt, with the proxy if there is one. The default is 10 s.
    pub fn tcp_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.tcp = limit;
        self
    }

    /// Sets the time limit of each stage of an attempt after TCP, for each on its own: the request to a proxy, the STARTTLS
    /// negotiation, the TLS handshake, and the opening of the stream if the connect does that. The default is 10 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.handshake = limit;
        self
    }

    /// Sets how long an attempt may make no progress before the next one of the same priority starts in parallel (RFC
    /// 8305 section 5). Once it has completed a stage, the delay is twice the time of that stage, up to 2 s, if that is
    /// longer; from its start, the same applies to the last TCP handshake with that address in an earlier connect. With
    /// `Duration::MAX`, the next attempt starts only when this one has failed. Attempts never start less than 10 ms apart.
    /// The default is 250 ms.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.settings.limits.attempt_delay = delay;
        self
    }

    /// Sets how long the attempts in flight may make no progress before those of the next priority start in parallel.
    /// If the next server is another port of a host that is already being tried, or if all addresses in flight have
    /// failed or not responded in an earlier connect, [`attempt_delay`](Self::attempt_delay) is used instead. With
    /// `Duration::MAX`, the next priority starts only when all attempts have failed (RFC 2782). The default is 1 s.
    pub fn priority_delay(mut self, delay: Duration) -> Self {
        self.settings.limits.group_delay = delay;
        self
    }

    /// Sets which address families are used, and which is tried first. The default is [`AddressFamily::Any`].
    pub fn address_family(mut self, family: AddressFamily) -> Self {
        self.settings.family = family;
        self
    }

    /// Sets a function that returns whether an address of a candidate may be connected to. By default, all may.
    ///
    /// If domains come from strangers, use [`public_only`](crate::public_only), which keeps them from making the
    /// program connect to this machine and its network.
    ///
    /// In the report, a refused address is a failed attempt
    /// ([`RefusedByFilter`](crate::report::AttemptErrorKind::RefusedByFilter)): nothing is sent to it, and it costs no
    /// time. The filter is called once for each address of a candidate, when the turn of its priority comes, wherever
    /// the address comes from: DNS, the hosts file, a [`Target`](crate::Target), or the domain itself. The connection
    /// goes to the address that the filter has seen. It is called in the thread of the connect and should return at
    /// once; a panic in it reaches the caller of the connect. It applies neither to name servers, nor to the address of a
    /// [`proxy`](Self::proxy), nor to [`Connector::secure`]. It cannot judge names that are left to a proxy or a dial
    /// function: see [`dns_use`](Self::dns_use).
    pub fn filter(mut self, filter: impl Fn(&Candidate, SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Filter::new(filter));
        self
    }

    /// Sets the local address of the connections. Only addresses of the same family are then tried. By default, the
    /// operating system chooses.
    ///
    /// The built-in resolver uses this address too, except for name servers of the other family or at loopback
    /// addresses.
    pub fn source_address(mut self, address: IpAddr) -> Self {
        self.settings.socket.source = Some(address);
        self
    }

    /// Sets the local network interface of the connections, by name; on Linux and Android only. By default, the
    /// operating system chooses.
    ///
    /// The built-in resolver uses this interface too, except for name servers at loopback addresses. Such a server
    /// sends its own queries as it is configured.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.settings.socket.interface = Some(name.into());
        self
    }

    /// Enables TCP keep-alive, and sets how long a connection is idle before it is probed: rounded up to whole seconds;
    /// more than 32,767 s count as that. `Duration::MAX` disables it, which is the default.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.settings.socket.keep_alive = Some(idle);
        self
    }

    /// Sets the time between two keep-alive probes without an answer: rounded up to whole seconds; more
    /// than 32,767 s count as that. By default, the operating system chooses (Linux: 75 s, Windows: 1 s).
    ///
    /// Without [`keep_alive`](Self::keep_alive), and on OpenBSD and Solaris, [`build`](Self::build) returns an error.
    pub fn keep_alive_interval(mut self, interval: Duration) -> Self {
        self.settings.socket.keep_alive_interval = Some(interval);
        self
    }

    /// Sets after how many keep-alive probes without an answer the connection ends; more than 127 count as 127. By default, the
    /// operating system chooses (Linux: 9). It has no effect on versions of Windows that cannot set it.
    ///
    /// Without [`keep_alive`](Self::keep_alive), and on OpenBSD and Solaris, [`build`](Self::build) returns an error.
    pub fn keep_alive_count(mut self, count: u32) -> Self {
        self.settings.socket.keep_alive_count = Some(count);
        self
    }

    /// Sets how long sent data may stay unacknowledged before the operating system ends the connection (RFC 5482,
    /// `TCP_USER_TIMEOUT`): rounded up to whole milliseconds; more than 24 days count as that; on Linux and Android only. Reads and
    /// writes then fail with [`TimedOut`](std::io::ErrorKind::TimedOut). `Duration::MAX` leaves it to the operating
    /// system, which is the default (Linux: about 15 minutes).
    ///
    /// With [`keep_alive`](Self::keep_alive), it also decides when probes have been unanswered for too long, and
    /// [`keep_alive_count`](Self::keep_alive_count) no longer does. It does not notice that the peer of an idle
    /// connection is gone: use keep-alive for that.
    pub fn user_timeout(mut self, limit: Duration) -> Self {
        self.settings.socket.user_timeout = Some(limit);
        self
    }

    /// Sets whether what the server sends is acknowledged without delay (`TCP_QUICKACK`): until the connection is
    /// established, and then by the first 32 reads that wait, for at most 2 s. Many servers send the stream header and
    /// the stream features as two small packets, and hold back the second until the first is acknowledged, which
    /// otherwise takes 40 ms. It has an effect on Linux and Android only. The default is true.
    pub fn quick_ack(mut self, quick: bool) -> Self {
        self.settings.quick_ack = quick;
        self
    }

    /// Sets whether `<starttls/>` is sent together with the stream header, which saves a round trip. If false, it is
    /// sent only after the server's features have arrived (RFC 6120 section 5.4). The default is true.
    ///
    /// If the negotiation fails in a way that may be due to this, or the server does not answer within 3 s after its
    /// features, the attempt is repeated the other way on a new socket, within its time limit. The connector then
    /// negotiates step by step with that domain.
    pub fn starttls_pipelining(mut self, pipelining: bool) -> Self {
        self.settings.pipelining = pipelining;
        self
    }

    /// Sets that each connect opens the XMPP stream, and how, so that the next server is tried if a port has something
    /// other than an XMPP server. By default, nothing is sent over TLS: you open the stream. Behind feature `starttls`.
    #[cfg(feature = "starttls")]
    pub fn open_stream(mut self, open_stream: OpenStream) -> Self {
        self.settings.open_stream = Some(open_stream);
        self
    }

    /// Sets the name servers, which are asked in this order. The hosts file still takes precedence for addresses. By
    /// default, the name servers of resolv.conf are asked (on Windows, those of the network adapters). Set some where
    /// there is no resolv.conf, as on Android: there the default is 127.0.0.1. With a [`proxy`](Self::proxy), they are
    /// asked through it, over TCP.
    ///
    /// With none, more than 32, or port 0, [`build`](Self::build) returns an error.
    pub fn nameservers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        // One more than are allowed, for the error.
        self.servers = Some(servers.into_iter().take(MAX_GIVEN_NAME_SERVERS + 1).collect());
        self
    }

    /// Sets whether to trust the AD bit, with which a name server claims that it has validated an answer by DNSSEC (RFC
    /// 6840 section 5.8). Set it to true only if both the servers and the network path to them are trusted. It applies
    /// to [`nameservers`](Self::nameservers); for those of resolv.conf, use its option `trust-ad`. The default is
    /// false.
    pub fn trust_ad(mut self, trust: bool) -> Self {
        self.validation = if trust { Validation::Trusted } else { Validation::Untrusted };
        self
    }

    /// Sets whether name servers are asked over TCP only (RFC 7766). It applies to [`nameservers`](Self::nameservers);
    /// for those of resolv.conf, use its option `use-vc`. The default is false: TCP is used only for answers that are
    /// too long for UDP.
    pub fn dns_over_tcp(mut self, tcp: bool) -> Self {
        self.transport = if tcp { Transport::Tcp } else { Transport::Udp };
        self
    }

    /// Sets the resolver: one of module [`dns`](crate::dns), or your own. It is then responsible for the hosts file and
    /// the cache. By default, the built-in stub resolver is used.
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Sets whether the built-in resolver caches answers for as long as their TTL allows. The default is true.
    pub fn dns_cache(mut self, cache: bool) -> Self {
        self.caching = if cache { Caching::On } else { Caching::Off };
        self
    }
}

impl fmt::Debug for ConnectorBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectorBuilder")
            .field("service", &self.settings.service)
            .field("policy", &self.settings.policy)
            .finish_non_exhaustive()
    }
}
