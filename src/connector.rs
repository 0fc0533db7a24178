//! Connector: the state that outlives a single connect, and the entry points.

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
use crate::starttls::StrictDomains;
use crate::target::{Place, Target};
use crate::tls::Tls;
use crate::wait;

/// Opens connections, all with the same options. Cheap to clone; clones share all state.
///
/// A connector holds the state that outlives a single connect: the TLS configuration with its session tickets, the DNS
/// cache, and what is known about name servers and about how domains negotiate STARTTLS. Create one and reuse it.
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
    strict: StrictDomains,
    names: Names,
}

/// Who answers DNS questions.
#[derive(Debug)]
pub(crate) enum Names {
    Stub(Stub),
    Resolver(Arc<dyn Resolver>),
}

impl Connector {
    pub(crate) fn new(settings: Settings, tls: Tls, names: Names) -> Self {
        let strict = StrictDomains::default();
        Self(Arc::new(ConnectorInner { settings: Arc::new(settings), tls, strict, names }))
    }

    /// Connects to a server of `domain`.
    ///
    /// # Errors
    /// Returns why no connection was made: [`Error::kind`] says how to react, and [`Error::report`] what happened.
    pub fn connect<D>(&self, domain: D) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        self.dial(domain.try_into()?, Route::Domain, None)
    }

    /// Connects to `target` instead of the servers in the SRV records of `domain`.
    ///
    /// The stream header, SNI and the certificate check still use `domain`. The [`Policy`](crate::Policy) does not
    /// apply to a target with a port.
    ///
    /// # Errors
    /// The same as for [`connect`](Self::connect).
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

    /// Connects to `target` if possible, and otherwise to the servers of `domain`. Use it to resume a stream on the
    /// server that holds it (XEP-0198 section 5, `location`; XEP-0397).
    ///
    /// Discovery starts immediately. The target is tried before the servers that discovery finds, as if it had a
    /// priority of its own: if it does not respond, they start after
    /// [`priority_delay`](crate::ConnectorBuilder::priority_delay), in parallel. The [`Policy`](crate::Policy) does not
    /// apply to the target. A target that cannot be used is noted in the report.
    ///
    /// # Errors
    /// The same as for [`connect`](Self::connect), and [`ErrorKind::Configuration`] for a target without a port.
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

    /// Returns the servers of `domain`, in the order in which a connect would try them. It connects to none of them, and
    /// does not look up their addresses: a domain that does not exist has its fallback as the only server.
    ///
    /// Each call makes a new weighted random draw within a priority (RFC 2782).
    ///
    /// # Errors
    /// The same as for [`connect`](Self::connect).
    pub fn discover<D>(&self, domain: D) -> Result<Discovery, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let domain = domain.try_into()?;
        self.run(&domain, Route::Domain, |run| run.discover()).map(Discovery)
    }

    /// Establishes TLS over a TCP connection that you have opened, for example through a proxy or a tunnel.
    ///
    /// STARTTLS negotiation, verification, limits and report are the same as for [`connect`](Self::connect); all times
    /// start with this call. No DNS query is sent, and the [`Policy`](crate::Policy) does not apply. The socket is made
    /// non-blocking, and TCP_NODELAY is set.
    ///
    /// [`discover`](Self::discover) finds the hosts and ports to ask a proxy for; its DNS queries do not go through the
    /// proxy. The report and [`Connection::peer_addr`] show the other end of `tcp`, which is then the proxy.
    ///
    /// Nothing is repeated, since there is no second stream. If the server fails to resume a TLS session, the session is
    /// forgotten, so that the next call makes a full handshake. If it fails when `<starttls/>` is sent together with the
    /// stream header, the next call negotiates step by step.
    ///
    /// # Errors
    /// The same as for [`connect`](Self::connect), and [`ErrorKind::Configuration`] for a stream that is not connected.
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

    /// Clears the DNS cache. For a resolver of your own, it calls [`Resolver::clear_cache`].
    pub fn clear_cache(&self) {
        match &self.0.names {
            Names::Stub(stub) => stub.clear_cache(),
            Names::Resolver(resolver) => resolver.clear_cache(),
        }
    }

    fn dial(&self, domain: Domain, route: Route, given: Option<TcpStream>) -> Result<Connection, Error> {
        let ConnectorInner { settings, tls, strict, .. } = &*self.0;
        let dialer = Dialer { domain: &domain, settings, tls, strict };
        let (verified, report) = self.run(&domain, route, |run| run.connect(dialer, given))?;
        Ok(Connection::new(verified, report))
    }

    /// Prepares a [`Run`] and calls `go` with it.
    fn run<R>(
        &self,
        domain: &Domain,
        route: Route,
        go: impl FnOnce(Run<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let now = wait::now();
        let ConnectorInner { settings, tls, names, .. } = &*self.0;
        let random = Random::new(tls.provider());
        // Checked before anything is sent: no question with a predictable id may be sent.
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

/// The servers of a domain, in the order in which a connect would try them. `Display` shows them as a table.
#[derive(Clone, Debug)]
pub struct Discovery(Report);

impl Discovery {
    /// Returns the candidates, in order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        self.0.candidates()
    }

    /// Returns the report of the discovery.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0
    }
}

/// Iterates over the candidates, in order.
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
