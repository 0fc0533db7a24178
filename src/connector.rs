//! Connector: the state that outlives a single connect, and the entry points.

use std::net::TcpStream;
use std::sync::Arc;

use crate::attempts::Attempts;
use crate::canceller::Canceller;
use crate::connection::Connection;
use crate::discovery::Candidate;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind};
use crate::plan::Route;
use crate::report::{LookupReport, Report};
use crate::service::TlsMode;
use crate::shared::Shared;
use crate::target::{Place, Target};

/// Opens connections, all with the same options. Cheap to clone; clones share all state.
///
/// A connector holds the state that outlives a single connect: the TLS configuration with its session tickets, the DNS
/// cache, and what is known about name servers and about how domains negotiate STARTTLS. Create one and reuse it.
///
/// For 10 minutes, it also remembers which addresses have failed or did not respond, and how long TCP handshakes took,
/// of at most 256 addresses. This changes how soon the next server is tried in parallel
/// ([`attempt_delay`](crate::ConnectorBuilder::attempt_delay) and
/// [`priority_delay`](crate::ConnectorBuilder::priority_delay)), but not the order, except that the address of a server
/// that you have [rejected](Attempts::reject) goes last.
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
pub struct Connector(Arc<Shared>);

impl Connector {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
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
        self.attempts(domain)?.connect_next()
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
        self.attempts_to(domain, target)?.connect_next()
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
        self.attempts_preferring(domain, target)?.connect_next()
    }

    /// Returns [`Attempts`] to connect to the servers of `domain`, for a program that may need the next server, shows
    /// progress, or cancels. Nothing is looked up or sent before [`Attempts::connect_next`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`].
    pub fn attempts<D>(&self, domain: D) -> Result<Attempts, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        Ok(Attempts::new(&self.0, domain.try_into()?, Route::Domain))
    }

    /// Returns [`Attempts`] to connect to `target` only, as for [`connect_to`](Self::connect_to).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`].
    pub fn attempts_to<D>(&self, domain: D, target: Target) -> Result<Attempts, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        Ok(Attempts::new(&self.0, domain.try_into()?, target.into()))
    }

    /// Returns [`Attempts`] to connect to `target`, and otherwise to the servers of `domain`, as for
    /// [`connect_preferring`](Self::connect_preferring).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`], and [`ErrorKind::Configuration`] for a target without a port.
    pub fn attempts_preferring<D>(&self, domain: D, target: Target) -> Result<Attempts, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let Place::Server(server) = target.0 else {
            let message = "only a target with a port can be preferred";
            return Err(Error::new(ErrorKind::Configuration, message));
        };
        Ok(Attempts::new(&self.0, domain.try_into()?, Route::Prefer(server)))
    }

    /// Returns [`Attempts`] to connect to the servers that [`discover`](Self::discover) has found, in the same order:
    /// for example after the user has seen them, or without those that [`Discovery::retain`] has removed.
    #[must_use]
    pub fn attempts_from(&self, discovery: Discovery) -> Attempts {
        let Report { domain, candidates, lookups, .. } = *discovery.0;
        let has_srv_failed = lookups.iter().any(LookupReport::is_failed_srv);
        Attempts::new(&self.0, domain, Route::Given { candidates, has_srv_failed })
    }

    /// Returns the servers of `domain`, in the order in which a connect would try them. It connects to none of them,
    /// and does not look up their addresses: a domain that does not exist has its fallback as the only server.
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
        self.attempts(domain)?.discover().map(Discovery)
    }

    /// Establishes TLS over a TCP connection that you have opened, for example through a proxy or a tunnel.
    ///
    /// STARTTLS negotiation, verification, limits and report are the same as for [`connect`](Self::connect); all times
    /// start with this call. No DNS query is sent, and neither the [`Policy`](crate::Policy) nor the
    /// [`filter`](crate::ConnectorBuilder::filter) applies. The socket is made non-blocking, and TCP_NODELAY is set.
    ///
    /// It does not use the proxy of this connector. For proxies that the crate supports, and for connections that you open
    /// yourself, [`ConnectorBuilder::proxy`](crate::ConnectorBuilder::proxy) and
    /// [`dial`](crate::ConnectorBuilder::dial) also find the servers and race them. The report and
    /// [`Connection::peer_addr`] show the other end of `tcp`, which may be a proxy.
    ///
    /// Nothing is repeated, since there is no second stream. If the server fails to resume a TLS session, the session
    /// is forgotten, so that the next call makes a full handshake. If it fails when `<starttls/>` is sent together with
    /// the stream header, the next call negotiates step by step.
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
        Attempts::new(&self.0, domain, Route::Connected { peer, tls }).connect_over(Some(tcp))
    }

    /// Returns a canceller for all connects, discoveries and calls of [`secure`](Self::secure) of this connector, and
    /// of its clones, that are in progress when it is used: for a program that has to end. It does not cancel
    /// connections that have been returned: they have [their own](Connection::canceller).
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::of_group(&self.0.in_progress)
    }

    /// Clears the DNS cache, and forgets what earlier connects have shown about addresses. For example, call it when
    /// the network has changed. For a resolver of your own, it calls
    /// [`Resolver::clear_cache`](crate::dns::Resolver::clear_cache).
    pub fn clear_cache(&self) {
        self.0.clear_cache();
    }
}

/// The servers of a domain, in the order in which a connect would try them. `Display` shows them as a table.
#[derive(Clone, Debug)]
pub struct Discovery(Box<Report>);

impl Discovery {
    /// Returns the candidates, in order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        self.0.candidates()
    }

    /// Removes the candidates for which `keep` returns false.
    pub fn retain(&mut self, keep: impl FnMut(&Candidate) -> bool) {
        self.0.candidates.retain(keep);
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
