//! The name servers of a `HickoryResolver`: which they are, and a pool of hickory-resolver's for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::net::dnssec::DnssecDnsHandle;
#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::proto::dnssec::TrustAnchors;
#[cfg(feature = "hickory-tls")]
use rustls::ClientConfig;

#[cfg(feature = "hickory-dnssec")]
use super::Dnssec;
use super::worker::Shared;
use super::{Path, Settings, Source};
use crate::dns::LookupError;
use crate::dns::config::{DEFAULT_TIMEOUT, ResolverConfig, Transport};
use crate::dns::hosts::Hosts;
use crate::dns::system::{Change, SystemConfig};
#[cfg(feature = "hickory-tls")]
use crate::tls::{Trust, verifying_config};

type Pool = NameServerPool<TokioRuntimeProvider>;

/// How a server is asked. Each server has a pool of its own: a pool of several gives up when one says SERVFAIL.
#[derive(Clone)]
enum Handle {
    Plain(Pool),
    #[cfg(feature = "hickory-dnssec")]
    Validating(DnssecDnsHandle<Pool>),
}

/// One name server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    handle: Handle,
    /// What it means that hickory has "no connections": it does not say more.
    pub(super) unreachable: &'static str,
}

impl Server {
    /// Asks one query.
    pub(super) async fn send(
        &self,
        query: Query,
        options: DnsRequestOptions,
    ) -> Result<DnsResponse, NetError> {
        match &self.handle {
            Handle::Plain(pool) => pool.lookup(query, options).first_answer().await,
            #[cfg(feature = "hickory-dnssec")]
            Handle::Validating(handle) => handle.lookup(query, options).first_answer().await,
        }
    }

    /// Whether answers are validated: each record then says how.
    pub(super) fn is_validating(&self) -> bool {
        match &self.handle {
            Handle::Plain(_) => false,
            #[cfg(feature = "hickory-dnssec")]
            Handle::Validating(_) => true,
        }
    }
}

/// What lookups that begin now work with.
#[derive(Clone)]
pub(super) struct View {
    /// In the order of the configuration, or why there are none.
    pub(super) servers: Result<Arc<Vec<Server>>, LookupError>,
    pub(super) hosts: Arc<Hosts>,
}

/// The servers, kept over lookups.
pub(super) struct Servers {
    settings: Settings,
    system: SystemConfig,
    known: Option<Result<Arc<Vec<Server>>, LookupError>>,
}

impl Servers {
    pub(super) fn new(settings: Settings) -> Self {
        let system = match &settings.source {
            Source::System => SystemConfig::new(),
            Source::Given(servers) => SystemConfig::given(ResolverConfig::new(servers.clone())),
        };
        Self::with(settings, system)
    }

    fn with(settings: Settings, system: SystemConfig) -> Self {
        Self { settings, system, known: None }
    }

    /// As they are now. When resolv.conf has changed, what was learnt with the old one is forgotten.
    pub(super) fn current(&mut self, shared: &Shared) -> View {
        let current = self.system.current();
        if current.change == Change::Changed {
            shared.cache().clear();
            shared.health().clear();
            self.known = None;
        }
        let servers = match &self.known {
            Some(Ok(servers)) => Ok(Arc::clone(servers)),
            Some(Err(_)) | None => {
                let made = current.config.and_then(|config| self.connect(&config)).map(Arc::new);
                self.known = Some(made.clone());
                made
            }
        };
        View { servers, hosts: current.hosts }
    }

    fn connect(&self, config: &ResolverConfig) -> Result<Vec<Server>, LookupError> {
        if config.servers.is_empty() {
            return Err(LookupError::new("the list of name servers is empty"));
        }
        let context =
            Arc::new(PoolContext::new(options(config.timeout.unwrap_or(DEFAULT_TIMEOUT)), self.tls()?));
        let servers = config.servers.iter().map(|address| {
            let name_server = self.name_server(*address, config.transport);
            let pool =
                NameServerPool::from_config([name_server], Arc::clone(&context), TokioRuntimeProvider::new());
            Ok(Server { address: *address, handle: self.handle(pool)?, unreachable: self.unreachable() })
        });
        servers.collect()
    }

    fn name_server(&self, address: SocketAddr, transport: Transport) -> NameServerConfig {
        let protocols = match (&self.settings.path, transport) {
            (Path::Plain, Transport::Udp) => vec![ProtocolConfig::Udp, ProtocolConfig::Tcp],
            (Path::Plain, Transport::Tcp) => vec![ProtocolConfig::Tcp],
            #[cfg(feature = "hickory-tls")]
            (Path::Tls(name), _) => vec![ProtocolConfig::Tls { server_name: name.to_str().into() }],
            #[cfg(feature = "hickory-https")]
            (Path::Https(name), _) => {
                let path = "/dns-query".into();
                vec![ProtocolConfig::Https { server_name: name.to_str().into(), path }]
            }
        };
        let connections = protocols.into_iter().map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.collect())
    }

    fn unreachable(&self) -> &'static str {
        match self.settings.path {
            Path::Plain => "it cannot be reached",
            #[cfg(feature = "hickory-tls")]
            Path::Tls(_) => {
                "it cannot be reached over TLS, or its certificate is not good for the given name"
            }
            #[cfg(feature = "hickory-https")]
            Path::Https(_) => {
                "it cannot be reached over HTTPS, or its certificate is not good for the given name"
            }
        }
    }

    #[cfg(not(feature = "hickory-dnssec"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the other features need them")]
    fn handle(&self, pool: Pool) -> Result<Handle, LookupError> {
        Ok(Handle::Plain(pool))
    }

    #[cfg(feature = "hickory-dnssec")]
    fn handle(&self, pool: Pool) -> Result<Handle, LookupError> {
        let Dnssec::Validated { anchors } = &self.settings.dnssec else { return Ok(Handle::Plain(pool)) };
        let anchors = match anchors {
            None => TrustAnchors::default(),
            Some(text) => text.parse().map_err(|error| {
                LookupError::new(format!("the given DNSSEC keys cannot be read: {error}"))
            })?,
        };
        Ok(Handle::Validating(DnssecDnsHandle::with_trust_anchor(pool, Arc::new(anchors))))
    }

    #[cfg(not(feature = "hickory-tls"))]
    #[expect(clippy::unused_self, reason = "the other features need it")]
    fn tls(&self) -> Result<TlsConfig, LookupError> {
        TlsConfig::new().map_err(|error| LookupError::new(error.to_string()))
    }

    #[cfg(feature = "hickory-tls")]
    fn tls(&self) -> Result<TlsConfig, LookupError> {
        let config = match (&self.settings.path, &self.settings.tls) {
            // It is not used.
            (Path::Plain, _) => {
                return TlsConfig::new().map_err(|error| LookupError::new(error.to_string()));
            }
            (_, Some(config)) => ClientConfig::clone(config),
            (_, None) => {
                verifying_config(Trust::default()).map_err(|error| LookupError::new(error.to_string()))?
            }
        };
        Ok(TlsConfig { config })
    }
}

/// Search lists, the hosts file and the cache of hickory-resolver are not used: its pools know nothing of them.
fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::dns::hickory::HickoryResolver;
    use crate::dns::testing::TemporaryDirectory;

    fn addresses(view: &View) -> Vec<String> {
        view.servers.as_ref().unwrap().iter().map(|server| server.address.to_string()).collect()
    }

    // spec H3
    #[test]
    fn a_changed_resolv_conf_is_read_again_and_an_unchanged_one_keeps_the_connections() {
        let directory = TemporaryDirectory::new();
        let resolv_conf = directory.path("resolv.conf");
        let system = SystemConfig::at(&resolv_conf, &directory.path("hosts"));
        let mut servers = Servers::with(HickoryResolver::from_system().settings, system);
        let shared = Shared::default();
        let message = servers.current(&shared).servers.err().unwrap().to_string();
        assert!(message.contains("resolv.conf"), "{message}");

        fs::write(&resolv_conf, "options no-such-option\nnameserver 192.0.2.1\n").unwrap();
        let first = servers.current(&shared);
        assert_eq!(addresses(&first), ["192.0.2.1:53"]);
        let second = servers.current(&shared);
        assert!(Arc::ptr_eq(&first.servers.unwrap(), &second.servers.unwrap()));

        let generation = shared.cache().generation();
        fs::write(directory.path("new"), "nameserver 192.0.2.2\nnameserver 2001:db8::1\n").unwrap();
        fs::rename(directory.path("new"), &resolv_conf).unwrap();
        assert_eq!(addresses(&servers.current(&shared)), ["192.0.2.2:53", "[2001:db8::1]:53"]);
        assert!(shared.cache().generation() > generation, "what the old servers said is forgotten");
    }

    // spec H3
    #[test]
    fn each_transport_becomes_its_connections() {
        let servers = Servers::new(HickoryResolver::new([]).settings);
        let address = SocketAddr::from(([192, 0, 2, 1], 5353));
        let protocols = |transport| {
            let connections = servers.name_server(address, transport).connections;
            connections.into_iter().map(|one| (one.protocol, one.port)).collect::<Vec<_>>()
        };
        assert_eq!(protocols(Transport::Tcp), [(ProtocolConfig::Tcp, 5353)]);
        assert_eq!(protocols(Transport::Udp), [(ProtocolConfig::Udp, 5353), (ProtocolConfig::Tcp, 5353)]);
    }
}
