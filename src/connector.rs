//! Connector: made once, it holds what lasts over connects, and makes them.

use std::net::TcpStream;
use std::sync::Arc;

use crate::connection::Connection;
use crate::dial::attempt::Dialer;
use crate::discovery::Candidate;
use crate::dns::lookups::Lookups;
use crate::dns::resolver::{self, Resolver};
use crate::dns::stub::Stub;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind};
use crate::limits::LOOKUP_LIMIT;
use crate::plan::{Plan, Route};
use crate::random::Random;
use crate::report::Report;
use crate::run::{Run, no_random_numbers};
use crate::service::TlsMode;
use crate::settings::Settings;
use crate::socket;
use crate::target::{Place, Target};
use crate::tls::Tls;
use crate::wait;

/// Opens connections, all with the same options. Cheap to clone; clones share everything.
///
/// What lasts over connects lives here: the TLS configuration with its session tickets, the DNS cache, and what was learnt
/// about name servers. So make one and keep it.
///
/// ```no_run
/// use std::time::Duration;
/// use xmpp_connect::Connector;
///
/// let connector = Connector::builder().timeout(Duration::from_secs(15)).build()?;
/// let connection = connector.connect("example.org")?;
/// println!("{}", connection.report());
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connector(Arc<ConnectorInner>);

/// What clones share.
#[derive(Debug)]
struct ConnectorInner {
    settings: Arc<Settings>,
    tls: Tls,
    names: Names,
}

/// Who answers questions to the DNS.
#[derive(Debug)]
pub(crate) enum Names {
    Stub(Stub),
    Resolver(Arc<dyn Resolver>),
}

impl Connector {
    pub(crate) fn new(settings: Settings, tls: Tls, names: Names) -> Self {
        Self(Arc::new(ConnectorInner { settings: Arc::new(settings), tls, names }))
    }

    /// Finds the servers of `domain`, connects to one, and hands over the secured connection.
    ///
    /// # Errors
    /// Why there is no connection; [`Error::kind`] says what can be done, [`Error::report`] all that happened.
    pub fn connect<D>(&self, domain: D) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        self.dial(domain.try_into()?, Route::Domain, None)
    }

    /// Connects to `target` instead of to the servers that the SRV records of `domain` name. The [`Policy`](crate::Policy)
    /// does not apply to a target with a port. Stream header, SNI and certificate stay those of `domain`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_to<D>(&self, domain: D, target: Target) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let route = match target.0 {
            Place::Server(server) => Route::Explicit(server),
            Place::SrvOf(host) => Route::OtherHost(host),
        };
        self.dial(domain.try_into()?, route, None)
    }

    /// Connects to `target` if it can, and to the servers of `domain` otherwise: for the place where a stream can be resumed
    /// (XEP-0198 section 5, `location`; XEP-0397).
    ///
    /// Discovery begins at once. The target is tried before all servers that it finds, as if it had a priority of its own:
    /// when the target is silent, they start after [`priority_delay`](crate::ConnectorBuilder::priority_delay) beside it.
    /// The [`Policy`](crate::Policy) does not apply to the target. One that cannot be used is noted in the report.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`ErrorKind::Configuration`] for a target without a port.
    pub fn connect_preferring<D>(&self, domain: D, target: Target) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let Place::Server(server) = target.0 else {
            let message = "only a target with a port can be preferred";
            return Err(Error::new(ErrorKind::Configuration, message));
        };
        self.dial(domain.try_into()?, Route::Prefer(server), None)
    }

    /// Finds the servers of `domain` and gives them in the order in which a connect would try them. Nothing is dialled.
    /// Every call draws anew among equals.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn discover<D>(&self, domain: D) -> Result<Discovery, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let domain = domain.try_into()?;
        self.run(&domain, Route::Domain, |run| run.discover()).map(Discovery)
    }

    /// Secures a TCP connection that the caller has opened, through a proxy or a tunnel for instance: the same STARTTLS
    /// negotiation, verification, limits and report, and no question to the DNS. The policy does not apply. The socket is made
    /// non-blocking and gets TCP_NODELAY.
    ///
    /// A TLS handshake that fails because the server cannot resume its session is not repeated, since there is no other
    /// stream; the session is forgotten, so that the next call makes a full handshake.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`ErrorKind::Configuration`] for a stream that is not connected.
    pub fn secure<D>(&self, domain: D, tcp: TcpStream, tls: TlsMode) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let domain = domain.try_into()?;
        let peer = tcp.peer_addr().map_err(|error| {
            Error::caused_by(ErrorKind::Configuration, "the given TCP stream is not connected", error)
        })?;
        self.dial(domain, Route::Connected { peer, tls }, Some(tcp))
    }

    /// Forgets the answers of the DNS, by way of [`Resolver::clear_cache`] also those that the caller's own resolver keeps.
    pub fn clear_cache(&self) {
        match &self.0.names {
            Names::Stub(stub) => stub.clear_cache(),
            Names::Resolver(resolver) => resolver.clear_cache(),
        }
    }

    fn dial(&self, domain: Domain, route: Route, given: Option<TcpStream>) -> Result<Connection, Error> {
        let ConnectorInner { settings, tls, .. } = &*self.0;
        let dialer = Dialer { domain: &domain, settings, tls };
        let (verified, report) = self.run(&domain, route, |run| run.connect(dialer, given))?;
        Ok(Connection::new(verified, report))
    }

    /// Makes what a connect or a discovery works with, and lets `go` work with it.
    fn run<R>(
        &self,
        domain: &Domain,
        route: Route,
        go: impl FnOnce(Run<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let now = wait::now();
        let ConnectorInner { settings, tls, names } = &*self.0;
        let random = Random::new(tls.provider());
        // Tried before anything is sent: a question with a number that can be guessed must not leave.
        random.bits();
        if random.has_failed() {
            return Err(no_random_numbers());
        }
        let (chance, options) = (random.clone(), settings.socket.clone());
        let routes = move |destination| socket::source_of(destination, &options);
        let chance = Box::new(move |bound| chance.below(bound));
        let plan = Plan::new(domain.clone(), route, Arc::clone(settings), chance, Box::new(routes), now);
        let (lookups, wakeups) = match names {
            Names::Stub(stub) => {
                let random = random.clone();
                let (random, limit) = (Arc::new(move || random.bits()), settings.limits.lookup);
                (Lookups::Stub { stub, random, limit, lookups: None }, None)
            }
            Names::Resolver(resolver) => {
                let (waker, wakeups) =
                    wait::waker().map_err(|error| Error::system("cannot open sockets", error))?;
                let limit = settings.limits.lookup.unwrap_or(LOOKUP_LIMIT);
                let lookups =
                    resolver::ResolverLookups::new(Arc::clone(resolver), waker, plan.total(), limit);
                (Lookups::Resolver(lookups), Some(wakeups))
            }
        };
        go(Run { plan, lookups, random, wakeups: wakeups.as_ref() })
    }
}

/// The servers of a domain, in the order in which a connect would try them. `Display` gives a table for a person.
#[derive(Clone, Debug)]
pub struct Discovery(Report);

impl Discovery {
    /// The candidates, in order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        self.0.candidates()
    }

    /// What was asked and answered.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0
    }
}

/// The candidates, in order.
impl<'a> IntoIterator for &'a Discovery {
    type Item = &'a Candidate;
    type IntoIter = std::slice::Iter<'a, Candidate>;

    fn into_iter(self) -> Self::IntoIter {
        self.candidates().iter()
    }
}

impl std::fmt::Display for Discovery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{:<10}  {:>8}  {:>6}  {:>5}  target", "TLS", "priority", "weight", "port")?;
        for candidate in self.candidates() {
            let (tls, priority, weight) = (candidate.tls(), candidate.priority(), candidate.weight());
            let (port, host, origin) = (candidate.port(), candidate.host(), candidate.origin());
            writeln!(formatter, "{tls:<10}  {priority:>8}  {weight:>6}  {port:>5}  {host} ({origin})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(all(feature = "ring", feature = "webpki-roots", target_os = "linux"))]
mod tests;
