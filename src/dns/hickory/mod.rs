//! `HickoryResolver`: the caller's resolver by hickory-resolver, on a worker thread of its own.

mod connections;
mod exchange;
mod lookup;
mod servers;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::proto::dnssec::TrustAnchors;
#[cfg(feature = "hickory-tls")]
use rustls::ClientConfig;
#[cfg(feature = "hickory-tls")]
use rustls::pki_types::ServerName;

use self::worker::Worker;
use crate::dns::cache::{Cache, Caching};
use crate::dns::resolver::{Answers, Resolver};
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::stub::state::ResolverState;
use crate::dns::stub::system::SystemConfig;
use crate::dns::{ConfigurationError, LookupError, Question};
#[cfg(feature = "hickory-tls")]
use crate::service::Service;
use crate::settings::SocketOptions;
#[cfg(feature = "hickory-tls")]
use crate::tls::{TlsOptions, verifying_config};

/// A [`Resolver`] backed by the hickory-resolver crate (formerly trust-dns-resolver): with DNSSEC, DNS over TLS and DNS over
/// HTTPS, behind the features `hickory-dnssec`, `hickory-tls` and `hickory-https`.
///
/// It has one thread, which starts with the first question. It ends when the resolver is dropped, and abandons the lookups
/// that are then in progress. The hosts file takes precedence for addresses, answers are cached as by the built-in
/// resolver, and search lists never apply. The name servers are asked in their order: the next one when one has failed or
/// been silent for a second.
///
/// To share it and its cache among several connectors, use an `Arc`.
///
/// ```no_run
/// use xmpp_connect::dns::HickoryResolver;
/// use xmpp_connect::Connector;
///
/// let connector = Connector::builder().resolver(HickoryResolver::from_system()).build()?;
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Debug)]
pub struct HickoryResolver {
    options: HickoryOptions,
    state: Arc<ResolverState>,
    worker: Mutex<Option<Worker>>,
}

/// What the caller wants.
#[derive(Clone, Debug)]
struct HickoryOptions {
    path: Path,
    #[cfg(feature = "hickory-dnssec")]
    dnssec: Dnssec,
}

/// How a question gets to a server.
#[derive(Clone, Debug)]
enum Path {
    /// UDP, and TCP for what does not fit.
    Plain,
    /// DNS over TLS (RFC 7858).
    #[cfg(feature = "hickory-tls")]
    Tls { name: ServerName<'static>, config: Box<ClientConfig> },
    /// DNS over HTTPS (RFC 8484).
    #[cfg(feature = "hickory-https")]
    Https { name: ServerName<'static>, config: Box<ClientConfig> },
}

/// Whether answers are validated, and from which keys on (RFC 4035).
#[cfg(feature = "hickory-dnssec")]
#[derive(Clone)]
enum Dnssec {
    Ignored,
    Validated(Arc<TrustAnchors>),
}

#[cfg(feature = "hickory-dnssec")]
impl fmt::Debug for Dnssec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ignored => "Ignored",
            Self::Validated(_) => "Validated",
        })
    }
}

impl HickoryResolver {
    /// Creates a resolver that asks the name servers of resolv.conf, which is read at the first question and again when it
    /// has changed. Its options `timeout`, `attempts` and `use-vc` apply.
    #[must_use]
    pub fn from_system() -> Self {
        Self::with(SystemConfig::new(), Path::Plain)
    }

    /// Creates a resolver that asks these name servers over UDP, and over TCP for answers that are too long for UDP.
    ///
    /// # Errors
    /// An empty list, or port 0.
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Result<Self, ConfigurationError> {
        Ok(Self::with(SystemConfig::given(ResolverConfig::given(servers)?), Path::Plain))
    }

    /// Creates a resolver that asks these name servers over TLS (RFC 7858; the usual port is 853). Their certificates must
    /// be valid for `name`. Without `config`, they are verified as by a connector, with the roots of feature
    /// `webpki-roots`.
    ///
    /// # Errors
    /// An empty list, port 0, or no `config` where no roots or no crypto provider are compiled in.
    #[cfg(feature = "hickory-tls")]
    pub fn over_tls(
        servers: impl IntoIterator<Item = SocketAddr>,
        name: ServerName<'static>,
        config: Option<ClientConfig>,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self::with(
            SystemConfig::given(ResolverConfig::given(servers)?),
            Path::Tls { name, config: verifying(config)? },
        ))
    }

    /// Creates a resolver that asks these name servers over HTTPS at `/dns-query` (RFC 8484; the usual port is 443). Their
    /// certificates must be valid for `name`. Without `config`, they are verified as by a connector, with the roots of
    /// feature `webpki-roots`.
    ///
    /// # Errors
    /// The same as for [`over_tls`](Self::over_tls).
    #[cfg(feature = "hickory-https")]
    pub fn over_https(
        servers: impl IntoIterator<Item = SocketAddr>,
        name: ServerName<'static>,
        config: Option<ClientConfig>,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self::with(
            SystemConfig::given(ResolverConfig::given(servers)?),
            Path::Https { name, config: verifying(config)? },
        ))
    }

    fn with(system: SystemConfig, path: Path) -> Self {
        let options = HickoryOptions {
            path,
            #[cfg(feature = "hickory-dnssec")]
            dnssec: Dnssec::Ignored,
        };
        let state = Arc::new(ResolverState::new(system, Caching::On, SocketOptions::default()));
        Self { options, state, worker: Mutex::new(None) }
    }

    /// Sets whether this resolver validates answers by DNSSEC (RFC 4035). The lookup then fails for a bogus answer, and a
    /// validated one is marked [`is_authenticated`](crate::dns::Answer::is_authenticated). The name servers must pass on
    /// signatures. The default is false.
    #[cfg(feature = "hickory-dnssec")]
    #[must_use]
    pub fn validate(mut self, validate: bool) -> Self {
        self.options.dnssec = match (validate, self.options.dnssec) {
            (false, _) => Dnssec::Ignored,
            (true, Dnssec::Ignored) => Dnssec::Validated(Arc::default()),
            (true, validated @ Dnssec::Validated(_)) => validated,
        };
        self
    }

    /// Enables [`validate`](Self::validate) with these trust anchors: DNSKEY records, in the form of a zone file. The
    /// default is the keys of the root.
    ///
    /// # Errors
    /// Keys that cannot be read, or none.
    #[cfg(feature = "hickory-dnssec")]
    pub fn validate_from(mut self, anchors: &str) -> Result<Self, ConfigurationError> {
        let keys = anchors.parse::<TrustAnchors>().map_err(|error| {
            ConfigurationError::new(format!(
                "the given DNSSEC keys cannot be read: {}",
                exchange::one_line(&error.to_string())
            ))
        })?;
        if keys.is_empty() && !anchors.contains("DNSKEY") {
            return Err(ConfigurationError::new("the given DNSSEC keys are none: there is no DNSKEY record"));
        }
        self.options.dnssec = Dnssec::Validated(Arc::new(keys));
        Ok(self)
    }
}

#[cfg(feature = "hickory-tls")]
fn verifying(config: Option<ClientConfig>) -> Result<Box<ClientConfig>, ConfigurationError> {
    let verifying = || verifying_config(&TlsOptions::default(), &Service::Client).map(|(config, _)| config);
    let config = config.map_or_else(verifying, Ok);
    config.map(Box::new).map_err(|error| ConfigurationError::new(error.to_string()))
}

impl Resolver for HickoryResolver {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended, by a panic in it, is replaced.
        if !worker.as_ref().is_some_and(Worker::is_running) {
            match Worker::start(&self.options, &self.state) {
                Ok(started) => *worker = Some(started),
                Err(error) => return fail(questions, answers, &error),
            }
        }
        if let Some(worker) = &*worker {
            worker.ask(questions, answers);
        }
    }

    fn forget(&self, questions: &[Question]) {
        self.state.with_cache(|cache| questions.iter().for_each(|question| cache.remove(question)));
    }

    fn clear_cache(&self) {
        self.state.with_cache(Cache::clear);
    }
}

fn fail(questions: &[Question], answers: &Answers, error: &dyn fmt::Display) {
    for question in questions {
        let error = LookupError::new(format!("cannot start the thread of the resolver: {error}"));
        let _ = answers.send(question.clone(), Err(error));
    }
}
