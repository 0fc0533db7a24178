//! The options of a connector, each with its default.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use crate::connection::Connection;
use crate::connector::{Connector, Names};
use crate::dns::cache::Caching;
use crate::dns::message::Validation;
use crate::dns::resolver::Resolver;
use crate::dns::stub::Stub;
use crate::dns::stub::resolv_conf::{ResolverConfig, Transport};
use crate::dns::stub::system::SystemConfig;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind};
use crate::service::Service;
use crate::settings::AddressFamily;
use crate::settings::Policy;
use crate::settings::Settings;
use crate::socket::CAN_BIND_TO_INTERFACE;
use crate::tls::{Tls, TlsOptions};

/// Builds a [`Connector`]. Made by [`Connector::builder`].
///
/// Every option has a default, and the defaults are what a program that a person uses should have. `Duration::MAX` is
/// "no limit" wherever a time is given.
#[derive(Clone)]
#[must_use]
pub struct ConnectorBuilder {
    settings: Settings,
    tls: TlsOptions,
    servers: Option<Vec<SocketAddr>>,
    validation: Validation,
    transport: Transport,
    resolver: Option<Arc<dyn Resolver>>,
    caching: Caching,
}

impl Default for ConnectorBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            tls: TlsOptions::default(),
            servers: None,
            validation: Validation::Untrusted,
            transport: Transport::Udp,
            resolver: None,
            caching: Caching::On,
        }
    }
}

impl Connector {
    /// Starts building a connector.
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder::default()
    }
}

/// Connects to a server of `domain` with all defaults.
///
/// Nothing is kept for the next call: no DNS cache, no TLS session. For more than one connect make a [`Connector`].
///
/// # Errors
/// As [`Connector::connect`], and [`ErrorKind::Configuration`] without roots or cryptography compiled in.
pub fn connect<D>(domain: D) -> Result<Connection, Error>
where
    D: TryInto<Domain>,
    Error: From<D::Error>,
{
    Connector::builder().build()?.connect(domain)
}

impl ConnectorBuilder {
    /// Which service to connect to. Default: [`Service::Client`].
    pub fn service(mut self, service: Service) -> Self {
        self.settings.service = service;
        self
    }

    /// Which kinds of TLS to use, in which order. Default: [`Policy::AsPublished`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// The limit of a whole connect. It returns at most 100 ms later, whatever the other side does. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.total = limit;
        self
    }

    /// The limit of one lookup. Default: 5 s; the built-in resolver takes more where `timeout` of resolv.conf needs it.
    pub fn lookup_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.lookup = Some(limit);
        self
    }

    /// The limit of the TCP stage of one attempt. Default: 10 s.
    pub fn tcp_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.tcp = limit;
        self
    }

    /// The limit of the STARTTLS stage and of the TLS stage of one attempt, each. Default: 10 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.handshake = limit;
        self
    }

    /// How long an attempt that makes no progress is waited for before the next one of the same priority starts beside it
    /// (RFC 8305 section 5). After a completed stage it is twice that stage's time where that is longer, at most 2 s.
    /// `Duration::MAX`: only when it has failed. Default: 250 ms.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.settings.limits.attempt_delay = delay;
        self
    }

    /// How long attempts that make no progress are waited for before the next priority starts. `Duration::MAX`: strictly
    /// one priority after the other, as RFC 2782 has it. Where the next priority's server is a host that is being tried
    /// already, behind another port, [`attempt_delay`](Self::attempt_delay) is enough. Default: 1 s.
    pub fn priority_delay(mut self, delay: Duration) -> Self {
        self.settings.limits.group_delay = delay;
        self
    }

    /// Which address families are used, and in which order. Default: [`AddressFamily::Any`].
    pub fn address_family(mut self, family: AddressFamily) -> Self {
        self.settings.family = family;
        self
    }

    /// Sets the local address of the connections. Only addresses of its family are then tried. Default: the system's choice.
    ///
    /// The built-in resolver asks name servers of that family from it, too; name servers of the other family, and those at
    /// loopback addresses, are asked from the address that the system chooses.
    pub fn source_address(mut self, address: IpAddr) -> Self {
        self.settings.socket.source = Some(address);
        self
    }

    /// Sets the local network interface of the connections, by name; Linux and Android only. Default: the system's choice.
    ///
    /// The built-in resolver asks name servers through it, too, but for those at loopback addresses: such a server asks
    /// others by itself.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.settings.socket.interface = Some(name.into());
        self
    }

    /// After how long an idle connection is probed (TCP keep-alive), rounded up to whole seconds, at most
    /// 32,767; `Duration::MAX` is never. Default: never.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.settings.socket.keep_alive = Some(idle);
        self
    }

    /// Whether the stream header and `<starttls/>` leave in one write, which saves a round trip. False goes step by step
    /// (RFC 6120 section 5.4). Default: true.
    pub fn starttls_pipelining(mut self, pipelining: bool) -> Self {
        self.settings.pipelining = pipelining;
        self
    }

    /// Whether direct TLS offers the ALPN name `xmpp-client` or `xmpp-server` (XEP-0368 section 2, rules 7 to 9). STARTTLS
    /// never does. Default: true.
    pub fn alpn(mut self, alpn: bool) -> Self {
        self.tls.alpn = alpn;
        self
    }

    /// Whether TLS sessions are resumed, which saves round trips and computing (RFC 8446 section 2.2). A server, and with
    /// TLS 1.2 anybody on the way, can link the connections that resume one another (RFC 8446 section C.4): false for
    /// connections that must not be linked. Sessions are kept in the connector only, apart for each domain, server, port and
    /// kind of TLS. Early data (0-RTT) is never sent. Default: true.
    pub fn resumption(mut self, resumption: bool) -> Self {
        self.tls.resumption = resumption;
        self
    }

    /// Trusts these root certificates (DER) too, beside those that are compiled in and those of other calls. Default: none.
    pub fn add_roots(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.tls.trust.given.extend(roots);
        self
    }

    /// Trusts these root certificates (DER), those of [`add_roots`](Self::add_roots), and none that are compiled in. The
    /// order of the calls does not matter, and what they give adds up. Default: the roots of feature `webpki-roots`.
    pub fn only_roots(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.tls.trust.only_given = true;
        self.add_roots(roots)
    }

    /// Uses the caller's own TLS configuration instead of our own: its provider, verification, client certificate and
    /// versions. Only ALPN and the store of sessions are set, and early data turned off. Default: none.
    ///
    /// What it does not verify is not verified: the security of the connection is then the caller's work.
    ///
    /// Sessions are kept by the connector, not in the configuration's own store, so that they stay apart by server and one
    /// that a server cannot resume is forgotten; `Resumption::disabled()` in the configuration, or
    /// [`resumption`](Self::resumption), switches them off. Other choices in `ClientConfig::resumption` have no effect.
    pub fn tls_config(mut self, config: ClientConfig) -> Self {
        self.tls.config = Some(config);
        self
    }

    /// Asks these name servers, in this order, instead of the system's. The hosts file still goes first for addresses.
    /// Default: those of resolv.conf.
    pub fn nameservers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.servers = Some(servers.into_iter().collect());
        self
    }

    /// Whether the AD bit of the given name servers is believed, by which they say that DNSSEC proved an answer (RFC 6840
    /// section 5.8): only with servers and a way to them that are trusted. For the system's name servers resolv.conf says
    /// so, by its option `trust-ad`. Default: false.
    pub fn trust_ad(mut self, trust: bool) -> Self {
        self.validation = if trust { Validation::Trusted } else { Validation::Untrusted };
        self
    }

    /// Whether the given name servers are asked over TCP only (RFC 7766). For the system's name servers resolv.conf says so,
    /// by its option `use-vc`. Default: false, TCP only for answers that are too long.
    pub fn dns_over_tcp(mut self, tcp: bool) -> Self {
        self.transport = if tcp { Transport::Tcp } else { Transport::Udp };
        self
    }

    /// Asks the caller's resolver instead of the built-in one; hosts file and cache are then its own. Default: none.
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Whether answers of the DNS are kept as long as they say, in this connector. Default: true.
    pub fn dns_cache(mut self, cache: bool) -> Self {
        self.caching = if cache { Caching::On } else { Caching::Off };
        self
    }

    /// Builds the connector: reads no file and sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: a limit or delay of zero, an empty list of name servers, one at port 0, name servers and a resolver
    /// both, options for given name servers without any, an interface where none can be chosen, a source address of a
    /// family that is not used, roots beside a `ClientConfig`, no roots, no cryptography, or a root certificate that
    /// cannot be read.
    pub fn build(self) -> Result<Connector, Error> {
        self.check_times()?;
        let has_roots = self.tls.trust.only_given || !self.tls.trust.given.is_empty();
        if self.tls.config.is_some() && has_roots {
            return Err(configuration(
                "roots and a ClientConfig are given; the ClientConfig says alone what is trusted",
            ));
        }
        let mut settings = self.settings.clone();
        settings.family = self.family_for_source()?;
        let names = self.names()?;
        if self.settings.socket.interface.is_some() && !CAN_BIND_TO_INTERFACE {
            return Err(configuration("an interface can be chosen on Linux and Android only"));
        }
        let tls = Tls::new(self.tls, &settings.service).map_err(|error| configuration(error.to_string()))?;
        Ok(Connector::new(settings, tls, names))
    }

    fn check_times(&self) -> Result<(), Error> {
        let times = [
            ("timeout", Some(self.settings.limits.total)),
            ("lookup_timeout", self.settings.limits.lookup),
            ("tcp_timeout", Some(self.settings.limits.tcp)),
            ("handshake_timeout", Some(self.settings.limits.handshake)),
            ("attempt_delay", Some(self.settings.limits.attempt_delay)),
            ("priority_delay", Some(self.settings.limits.group_delay)),
            ("keep_alive", self.settings.socket.keep_alive),
        ];
        match times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            Some((name, _)) => Err(configuration(format!("{name} is zero; Duration::MAX is \"no limit\""))),
            None => Ok(()),
        }
    }

    /// A socket that is bound to an address of one family cannot connect to the other.
    fn family_for_source(&self) -> Result<AddressFamily, Error> {
        Ok(match (self.settings.socket.source, self.settings.family) {
            (None, family) => family,
            (
                Some(IpAddr::V4(_)),
                AddressFamily::Any | AddressFamily::Ipv4First | AddressFamily::Ipv4Only,
            ) => AddressFamily::Ipv4Only,
            (
                Some(IpAddr::V6(_)),
                AddressFamily::Any | AddressFamily::Ipv4First | AddressFamily::Ipv6Only,
            ) => AddressFamily::Ipv6Only,
            (Some(address), AddressFamily::Ipv4Only | AddressFamily::Ipv6Only) => {
                return Err(configuration(format!(
                    "the source address {address} is of a family that is not used"
                )));
            }
        })
    }

    fn names(&self) -> Result<Names, Error> {
        let has_options = self.validation != Validation::Untrusted || self.transport != Transport::Udp;
        if has_options && self.servers.is_none() {
            return Err(configuration(
                "trust_ad and dns_over_tcp are for given name servers, and none are given",
            ));
        }
        match (&self.resolver, &self.servers) {
            (Some(_), Some(_)) => {
                Err(configuration("name servers and a resolver are given; one of them can be asked"))
            }
            (Some(resolver), None) => Ok(Names::Resolver(Arc::clone(resolver))),
            (None, Some(servers)) => {
                let mut config = ResolverConfig::given(servers.iter().copied())?;
                config.validation = self.validation;
                config.transport = self.transport;
                Ok(Names::Stub(Stub::new(
                    SystemConfig::given(config),
                    self.caching,
                    self.settings.socket.clone(),
                )))
            }
            (None, None) => {
                Ok(Names::Stub(Stub::new(SystemConfig::new(), self.caching, self.settings.socket.clone())))
            }
        }
    }
}

fn configuration(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
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
