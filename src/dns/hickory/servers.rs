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
#[cfg(feature = "hickory-tls")]
use rustls::ClientConfig;

#[cfg(feature = "hickory-dnssec")]
use super::Dnssec;
use super::{HickoryOptions, Path};
use crate::dns::LookupError;
use crate::dns::stub::resolv_conf::{DEFAULT_TIMEOUT, ResolverConfig, Transport};
use crate::dns::stub::state::ResolverState;
use crate::dns::stub::system::Change;
use crate::wait;

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
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    handle: Handle,
    /// What it means that hickory has "no connections": it does not say more.
    pub(super) unreachable: &'static str,
}

impl NameServer {
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
    pub(super) servers: Result<Arc<Vec<NameServer>>, LookupError>,
    /// Why the servers are not those of the system.
    pub(super) problem: Option<String>,
}

/// The servers, kept over lookups.
pub(super) struct Servers {
    options: HickoryOptions,
    state: Arc<ResolverState>,
    known: Option<Arc<Vec<NameServer>>>,
}

impl Servers {
    pub(super) fn new(options: HickoryOptions, state: Arc<ResolverState>) -> Self {
        Self { options, state, known: None }
    }

    /// As they are now. When resolv.conf has changed, what was learnt with the old one is forgotten.
    pub(super) fn current(&mut self) -> View {
        self.state.notice_sleep(wait::clocks());
        let (system, change) = match self.state.system.current() {
            Ok(current) => current,
            Err(error) => {
                let why = format!("cannot read the settings of the resolver ({error})");
                return View { servers: Err(LookupError::new(why)), problem: None };
            }
        };
        if change == Change::Changed {
            self.state.clear();
            self.known = None;
        }
        let servers = match &self.known {
            Some(servers) => Ok(Arc::clone(servers)),
            None => self.connect(&system.config).map(Arc::new),
        };
        self.known = servers.as_ref().ok().cloned();
        View { servers, problem: system.problem }
    }

    fn connect(&self, config: &ResolverConfig) -> Result<Vec<NameServer>, LookupError> {
        if config.servers.is_empty() {
            return Err(LookupError::new("no name server to ask"));
        }
        let context =
            Arc::new(PoolContext::new(options(config.timeout.unwrap_or(DEFAULT_TIMEOUT)), self.tls()?));
        let servers = config.servers.iter().map(|address| {
            let name_server = self.name_server(*address, config.transport);
            let pool =
                NameServerPool::from_config([name_server], Arc::clone(&context), TokioRuntimeProvider::new());
            NameServer { address: *address, handle: self.handle(pool), unreachable: self.unreachable() }
        });
        Ok(servers.collect())
    }

    fn name_server(&self, address: SocketAddr, transport: Transport) -> NameServerConfig {
        let protocols = match (&self.options.path, transport) {
            (Path::Plain, Transport::Udp) => vec![ProtocolConfig::Udp, ProtocolConfig::Tcp],
            (Path::Plain, Transport::Tcp) => vec![ProtocolConfig::Tcp],
            #[cfg(feature = "hickory-tls")]
            (Path::Tls { name, .. }, _) => vec![ProtocolConfig::Tls { server_name: name.to_str().into() }],
            #[cfg(feature = "hickory-https")]
            (Path::Https { name, .. }, _) => {
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
        match self.options.path {
            Path::Plain => "it cannot be reached",
            #[cfg(feature = "hickory-tls")]
            Path::Tls { .. } => {
                "it cannot be reached over TLS, or its certificate is not good for the given name"
            }
            #[cfg(feature = "hickory-https")]
            Path::Https { .. } => {
                "it cannot be reached over HTTPS, or its certificate is not good for the given name"
            }
        }
    }

    #[cfg(not(feature = "hickory-dnssec"))]
    #[expect(clippy::unused_self, reason = "the other features need it")]
    fn handle(&self, pool: Pool) -> Handle {
        Handle::Plain(pool)
    }

    #[cfg(feature = "hickory-dnssec")]
    fn handle(&self, pool: Pool) -> Handle {
        match &self.options.dnssec {
            Dnssec::Ignored => Handle::Plain(pool),
            Dnssec::Validated(anchors) => {
                Handle::Validating(DnssecDnsHandle::with_trust_anchor(pool, Arc::clone(anchors)))
            }
        }
    }

    fn tls(&self) -> Result<TlsConfig, LookupError> {
        match &self.options.path {
            // It is not used.
            Path::Plain => TlsConfig::new().map_err(|error| LookupError::new(error.to_string())),
            #[cfg(feature = "hickory-tls")]
            Path::Tls { config, .. } => Ok(TlsConfig { config: ClientConfig::clone(config) }),
            #[cfg(feature = "hickory-https")]
            Path::Https { config, .. } => Ok(TlsConfig { config: ClientConfig::clone(config) }),
        }
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
    use crate::dns::cache::Caching;
    use crate::dns::hickory::HickoryResolver;
    use crate::dns::stub::system::SystemConfig;
    use crate::dns::testing::TemporaryDirectory;
    use crate::settings::SocketOptions;

    fn addresses(view: &View) -> Vec<String> {
        view.servers.as_ref().unwrap().iter().map(|server| server.address.to_string()).collect()
    }

    // spec H3, H3a
    #[test]
    fn a_changed_resolv_conf_is_read_again_and_an_unchanged_one_keeps_the_connections() {
        let directory = TemporaryDirectory::new();
        let resolv_conf = directory.path("resolv.conf");
        let system = SystemConfig::at(&resolv_conf, &directory.path("hosts"));
        let state = Arc::new(ResolverState::new(system, Caching::On, SocketOptions::default()));
        let mut servers = Servers::new(HickoryResolver::from_system().options, Arc::clone(&state));
        let view = servers.current();
        assert_eq!(addresses(&view), ["127.0.0.1:53"]);
        assert!(view.problem.is_some_and(|problem| problem.contains("resolv.conf")));

        fs::write(&resolv_conf, "options no-such-option\nnameserver 192.0.2.1\n").unwrap();
        let first = servers.current();
        assert_eq!((addresses(&first), first.problem), (vec!["192.0.2.1:53".to_owned()], None));
        let second = servers.current();
        assert!(Arc::ptr_eq(&first.servers.unwrap(), &second.servers.unwrap()));

        let generation = || state.with_cache(|cache| cache.generation());
        let before = generation();
        fs::write(directory.path("new"), "nameserver 192.0.2.2\nnameserver 2001:db8::1\n").unwrap();
        fs::rename(directory.path("new"), &resolv_conf).unwrap();
        assert_eq!(addresses(&servers.current()), ["192.0.2.2:53", "[2001:db8::1]:53"]);
        assert!(generation() > before, "what the old servers said is forgotten");
    }

    // spec H3
    #[test]
    fn each_transport_becomes_its_connections() {
        let resolver = HickoryResolver::from_system();
        let servers = Servers::new(resolver.options, resolver.state);
        let address = SocketAddr::from(([192, 0, 2, 1], 5353));
        let protocols = |transport| {
            let connections = servers.name_server(address, transport).connections;
            connections.into_iter().map(|one| (one.protocol, one.port)).collect::<Vec<_>>()
        };
        assert_eq!(protocols(Transport::Tcp), [(ProtocolConfig::Tcp, 5353)]);
        assert_eq!(protocols(Transport::Udp), [(ProtocolConfig::Udp, 5353), (ProtocolConfig::Tcp, 5353)]);
    }
}
