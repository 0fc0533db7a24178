//! `HickoryResolver`: the caller's resolver by hickory-resolver, on a worker thread of its own.

mod lookup;
mod round;
mod servers;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "hickory-tls")]
use rustls::ClientConfig;
#[cfg(feature = "hickory-tls")]
use rustls::pki_types::ServerName;

use self::worker::Worker;
use super::resolver::{Answers, Resolver};
use super::{LookupError, Question};

/// A [`Resolver`] by the hickory-resolver crate (formerly trust-dns-resolver): with DNSSEC, DNS over TLS and DNS over HTTPS,
/// by the features `hickory-dnssec`, `hickory-tls` and `hickory-https`.
///
/// It has one thread, which starts with the first question and ends when the resolver is dropped; whatever hangs then is
/// abandoned. The hosts file goes first, answers are kept as the built-in resolver keeps them, and search lists never apply.
/// Several servers are asked in their order, the next one when one has failed or is silent for a second.
///
/// What cannot be used, an empty list of servers for one, is told by every lookup. An `Arc` of it serves several connectors.
///
/// ```no_run
/// use xmpp_connect::{Connector, HickoryResolver};
///
/// let connector = Connector::builder().resolver(HickoryResolver::from_system()).build()?;
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Debug)]
pub struct HickoryResolver {
    settings: Settings,
    worker: Mutex<Option<Worker>>,
}

/// What the caller wants.
#[derive(Clone, Debug)]
struct Settings {
    source: Source,
    path: Path,
    #[cfg(feature = "hickory-dnssec")]
    dnssec: Dnssec,
    #[cfg(feature = "hickory-tls")]
    tls: Option<Box<ClientConfig>>,
}

/// Whose servers are asked.
#[derive(Clone, Debug)]
enum Source {
    /// Those of resolv.conf.
    System,
    /// The caller's.
    Given(Vec<SocketAddr>),
}

/// How a question gets to a server.
#[derive(Clone, Debug)]
enum Path {
    /// UDP, and TCP for what does not fit.
    Plain,
    /// DNS over TLS (RFC 7858).
    #[cfg(feature = "hickory-tls")]
    Tls(ServerName<'static>),
    /// DNS over HTTPS (RFC 8484).
    #[cfg(feature = "hickory-https")]
    Https(ServerName<'static>),
}

/// Whether answers are validated, and from which keys on (RFC 4035).
#[cfg(feature = "hickory-dnssec")]
#[derive(Clone, Debug)]
enum Dnssec {
    Ignored,
    Validated {
        /// DNSKEY records in zone file form; the root's, compiled in, where there are none.
        anchors: Option<String>,
    },
}

impl HickoryResolver {
    /// Asks the name servers of resolv.conf, which is read with the first question, and again when it has changed. Of its
    /// options `timeout` and `use-vc` apply.
    #[must_use]
    pub fn from_system() -> Self {
        Self::with(Source::System, Path::Plain)
    }

    /// Asks these name servers, over UDP, and over TCP what does not fit.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::with(Source::Given(servers.into_iter().collect()), Path::Plain)
    }

    /// Asks these name servers over TLS (RFC 7858; the usual port is 853). Their certificates are for `name`.
    #[cfg(feature = "hickory-tls")]
    #[must_use]
    pub fn over_tls(servers: impl IntoIterator<Item = SocketAddr>, name: ServerName<'static>) -> Self {
        Self::with(Source::Given(servers.into_iter().collect()), Path::Tls(name))
    }

    /// Asks these name servers over HTTPS at `/dns-query` (RFC 8484; the usual port is 443). Their certificates are for
    /// `name`.
    #[cfg(feature = "hickory-https")]
    #[must_use]
    pub fn over_https(servers: impl IntoIterator<Item = SocketAddr>, name: ServerName<'static>) -> Self {
        Self::with(Source::Given(servers.into_iter().collect()), Path::Https(name))
    }

    fn with(source: Source, path: Path) -> Self {
        let settings = Settings {
            source,
            path,
            #[cfg(feature = "hickory-dnssec")]
            dnssec: Dnssec::Ignored,
            #[cfg(feature = "hickory-tls")]
            tls: None,
        };
        Self { settings, worker: Mutex::new(None) }
    }

    /// Whether answers are validated by DNSSEC (RFC 4035) here, not by the server. A bogus answer is then a failed lookup,
    /// and a proved one is told as [`is_authenticated`](super::Answer::is_authenticated). The servers have to pass on
    /// signatures. Default: false.
    #[cfg(feature = "hickory-dnssec")]
    #[must_use]
    pub fn validate(mut self, validate: bool) -> Self {
        self.settings.dnssec = match (validate, self.settings.dnssec) {
            (false, _) => Dnssec::Ignored,
            (true, Dnssec::Ignored) => Dnssec::Validated { anchors: None },
            (true, validated @ Dnssec::Validated { .. }) => validated,
        };
        self
    }

    /// Validates from these keys on: DNSKEY records, in the form of a zone file. Default: the keys of the root.
    #[cfg(feature = "hickory-dnssec")]
    #[must_use]
    pub fn validate_from(mut self, anchors: impl Into<String>) -> Self {
        self.settings.dnssec = Dnssec::Validated { anchors: Some(anchors.into()) };
        self
    }

    /// Uses the caller's own TLS configuration to reach the name servers. Default: as that of a connector, with the roots
    /// of feature `webpki-roots`.
    #[cfg(feature = "hickory-tls")]
    #[must_use]
    pub fn tls_config(mut self, config: ClientConfig) -> Self {
        self.settings.tls = Some(Box::new(config));
        self
    }
}

impl Resolver for HickoryResolver {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended, by a panic in it, is replaced.
        if !worker.as_ref().is_some_and(Worker::is_running) {
            match Worker::start(&self.settings) {
                Ok(started) => *worker = Some(started),
                Err(error) => return fail(questions, answers, &error),
            }
        }
        if let Some(worker) = &*worker {
            worker.ask(questions, answers);
        }
    }
}

fn fail(questions: &[Question], answers: &Answers, error: &dyn fmt::Display) {
    for question in questions {
        let error = LookupError::new(format!("cannot start the thread of the resolver: {error}"));
        let _ = answers.send(question.clone(), Err(error));
    }
}
