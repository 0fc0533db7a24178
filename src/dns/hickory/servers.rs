//! The name servers of a `HickoryResolver`: which they are, and how each is asked.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::config::{ConnectionConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::{PoolContext, TlsConfig};

#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::net::dnssec::DnssecDnsHandle;
#[cfg(feature = "hickory-tls")]
use rustls::ClientConfig;

#[cfg(feature = "hickory-dnssec")]
use super::Dnssec;
use super::connections::{Connections, Datagrams, Responses};
use super::{HickoryOptions, Path};
use crate::dns::LookupError;
use crate::dns::stub::resolv_conf::{ResolverConfig, Transport};
use crate::dns::stub::schedule::Rounds;
use crate::dns::stub::state::ResolverState;
use crate::dns::stub::system::Change;
use crate::limits::TOTAL_LIMIT;
use crate::wait;

/// How a server is asked.
#[derive(Clone)]
enum Handle {
    Plain(Connections),
    #[cfg(feature = "hickory-dnssec")]
    Validating(DnssecDnsHandle<Connections>),
}

/// One name server.
#[derive(Clone)]
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    handle: Handle,
    /// What goes before the reason why there is no answer.
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
            Handle::Plain(handle) => handle.lookup(query, options).first_answer().await,
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
    /// How often they are asked.
    pub(super) rounds: Rounds,
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
                let rounds = Rounds { attempts: 0, timeout: None };
                return View { servers: Err(LookupError::new(why)), rounds, problem: None };
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
        View { servers, rounds: system.config.rounds(), problem: system.problem }
    }

    fn connect(&self, config: &ResolverConfig) -> Result<Vec<NameServer>, LookupError> {
        if config.servers.is_empty() {
            return Err(LookupError::new("no name server to ask"));
        }
        let context = Arc::new(PoolContext::new(options(), self.tls()?));
        let servers = config.servers.iter().map(|address| {
            let (datagrams, protocol) = self.transport(config.transport);
            let mut stream = ConnectionConfig::new(protocol);
            stream.port = address.port();
            let handle = self.handle(|responses| {
                Connections::new(*address, datagrams, stream, Arc::clone(&context), responses)
            });
            NameServer { address: *address, handle, unreachable: self.unreachable() }
        });
        Ok(servers.collect())
    }

    fn transport(&self, transport: Transport) -> (Datagrams, ProtocolConfig) {
        match (&self.options.path, transport) {
            (Path::Plain, Transport::Udp) => (Datagrams::First, ProtocolConfig::Tcp),
            (Path::Plain, Transport::Tcp) => (Datagrams::Never, ProtocolConfig::Tcp),
            #[cfg(feature = "hickory-tls")]
            (Path::Tls { name, .. }, _) => {
                (Datagrams::Never, ProtocolConfig::Tls { server_name: name.to_str().into() })
            }
            #[cfg(feature = "hickory-https")]
            (Path::Https { name, .. }, _) => {
                let (server_name, path) = (name.to_str().into(), "/dns-query".into());
                (Datagrams::Never, ProtocolConfig::Https { server_name, path })
            }
        }
    }

    fn unreachable(&self) -> &'static str {
        match self.options.path {
            Path::Plain => "",
            #[cfg(feature = "hickory-tls")]
            Path::Tls { .. } => "over TLS: ",
            #[cfg(feature = "hickory-https")]
            Path::Https { .. } => "over HTTPS: ",
        }
    }

    fn handle(&self, connect: impl FnOnce(Responses) -> Connections) -> Handle {
        #[cfg(feature = "hickory-dnssec")]
        if let Dnssec::Validated(anchors) = &self.options.dnssec {
            let connections = connect(Responses::Classified);
            return Handle::Validating(DnssecDnsHandle::with_trust_anchor(connections, Arc::clone(anchors)));
        }
        Handle::Plain(connect(Responses::Raw))
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

/// A try is listened to until its lookup ends.
fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TOTAL_LIMIT;
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

    // rule H3, H3a
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
}
