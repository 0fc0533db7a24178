//! Connector: made once, it holds what lasts over connects, and makes them.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::dial::attempt::Dialer;
use crate::dial::race::Pace;
use crate::discovery::{Candidate, Policy};
use crate::dns::LOOKUP_LIMIT;
use crate::dns::lookups::Lookups;
use crate::dns::resolver::{self, Resolver};
use crate::dns::stub::Stub;
use crate::domain::{Domain, Host};
use crate::error::{Error, ErrorKind};
use crate::plan::{Goal, Plan, Route, Task};
use crate::random::Random;
use crate::report::Report;
use crate::run::{Finished, Run, no_random_numbers};
use crate::service::{Service, TlsMode};
use crate::socket::{self, SocketOptions};
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
pub struct Connector(Arc<Settings>);

/// What a connector was built with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) total_limit: Duration,
    /// Where the caller has set it.
    pub(crate) lookup_limit: Option<Duration>,
    pub(crate) pace: Pace,
    pub(crate) pipelining: bool,
    pub(crate) socket: SocketOptions,
    pub(crate) tls: Tls,
    pub(crate) names: Names,
}

/// Who answers questions to the DNS.
#[derive(Debug)]
pub(crate) enum Names {
    Stub(Stub),
    Resolver(Arc<dyn Resolver>),
}

impl Connector {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
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

    /// Connects to a server that the caller names instead of the SRV records: a configured override, or the host and port
    /// of `see-other-host` (RFC 6120 section 4.9.3.19). Host is a name or an address literal. Stream header, SNI and
    /// certificate stay those of `domain`. The [`Policy`] does not apply.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`ErrorKind::InvalidDomain`] also for a host that is neither a name nor an address,
    /// [`ErrorKind::Configuration`] for port 0.
    pub fn connect_to<D>(&self, domain: D, host: &str, port: u16, tls: TlsMode) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let (domain, host) = (domain.try_into()?, Host::parse(host)?);
        if port == 0 {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("no server can be at port 0 of {host}"),
            ));
        }
        self.dial(domain, Route::Explicit { host, port, tls }, None)
    }

    /// Connects to a server of `domain` that is found by the SRV records of another host: `see-other-host` without a port
    /// (RFC 6120 section 4.9.3.19). Stream header, SNI and certificate stay those of `domain`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`ErrorKind::InvalidDomain`] also for a host that is neither a name nor an address.
    pub fn connect_by<D>(&self, domain: D, host: &str) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let (domain, host) = (domain.try_into()?, Host::parse(host)?);
        self.dial(domain, Route::OtherHost(host), None)
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
        match self.run(domain, Route::Domain, Goal::Discover, None)? {
            Finished::Discovered(report) => Ok(Discovery(report)),
            Finished::Connected(..) => Err(unexpected()),
        }
    }

    /// Secures a TCP connection that the caller has opened, through a proxy or a tunnel for instance: the same STARTTLS
    /// negotiation, verification, limits and report, and no question to the DNS. The policy does not apply. The socket is made
    /// non-blocking and gets TCP_NODELAY.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn secure<D>(&self, tcp: TcpStream, domain: D, tls: TlsMode) -> Result<Connection, Error>
    where
        D: TryInto<Domain>,
        Error: From<D::Error>,
    {
        let domain = domain.try_into()?;
        let peer = tcp.peer_addr().map_err(|error| {
            Error::caused_by(ErrorKind::Attempts, "the given TCP stream is not connected", error)
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
        match self.run(domain, route, Goal::Connect, given)? {
            Finished::Connected(verified, report) => Ok(Connection::new(*verified, report)),
            Finished::Discovered(_) => Err(unexpected()),
        }
    }

    fn run(
        &self,
        domain: Domain,
        route: Route,
        goal: Goal,
        given: Option<TcpStream>,
    ) -> Result<Finished, Error> {
        let now = wait::now();
        let settings = &*self.0;
        let random = Random::new(settings.tls.provider());
        // Tried before anything is sent: a question with a number that can be guessed must not leave.
        random.bits();
        if random.has_failed() {
            return Err(no_random_numbers());
        }
        let (lookups, wakeups) = match &settings.names {
            Names::Stub(stub) => {
                let random = random.clone();
                let (random, limit) = (Arc::new(move || random.bits()), settings.lookup_limit);
                (Lookups::Stub { stub, random, limit, lookups: None }, None)
            }
            Names::Resolver(resolver) => {
                let (waker, wakeups) =
                    wait::waker().map_err(|error| Error::system("cannot open sockets", error))?;
                let deadline = Deadline::after(now, settings.total_limit);
                let limit = settings.lookup_limit.unwrap_or(LOOKUP_LIMIT);
                let lookups = resolver::Lookups::new(Arc::clone(resolver), waker, deadline, limit);
                (Lookups::Resolver(lookups), Some(wakeups))
            }
        };
        let task = Task {
            domain: domain.clone(),
            service: settings.service.clone(),
            policy: settings.policy,
            route,
            goal,
            total_limit: settings.total_limit,
            pace: settings.pace.clone(),
        };
        let dialer = Dialer {
            domain: &domain,
            service: &settings.service,
            tls: &settings.tls,
            socket: &settings.socket,
            pipelining: settings.pipelining,
        };
        let (chance, options) = (random.clone(), settings.socket.clone());
        let routes = move |destination| socket::source_of(destination, &options);
        let plan = Plan::new(task, Box::new(move |bound| chance.below(bound)), Box::new(routes), now);
        Run { plan, lookups, dialer, random, wakeups: wakeups.as_ref(), given }.finish()
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

impl std::fmt::Display for Discovery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{:<10}  {:>8}  {:>6}  {:>5}  target", "TLS", "priority", "weight", "port")?;
        for candidate in self.candidates() {
            let (tls, priority, weight) = (candidate.tls(), candidate.priority(), candidate.weight());
            let (port, target, origin) = (candidate.port(), candidate.target(), candidate.origin());
            writeln!(formatter, "{tls:<10}  {priority:>8}  {weight:>6}  {port:>5}  {target} ({origin})")?;
        }
        Ok(())
    }
}

fn unexpected() -> Error {
    Error::new(
        ErrorKind::System,
        "the connect came to another end than it was made for: a fault of this crate",
    )
}

#[cfg(test)]
#[cfg(all(feature = "ring", target_os = "linux"))]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::thread;

    use super::*;
    use crate::dns::cache::Caching;
    use crate::dns::config::ResolverConfig;
    use crate::dns::system::SystemConfig;
    use crate::dns::testing::{TemporaryDirectory, make_fifo};

    /// Reading a gigabyte takes longer.
    const SOON: Duration = Duration::from_secs(5);

    /// What is not to be read as a whole, or not at all.
    fn obstacles(directory: &TemporaryDirectory) -> [PathBuf; 5] {
        let (fifo, zeros, lines) = (directory.path("fifo"), directory.path("zeros"), directory.path("lines"));
        make_fifo(&fifo);
        File::create(&zeros).unwrap().set_len(1 << 30).unwrap();
        let mut file = File::create(&lines).unwrap();
        let piece = "0.0.0.0 tracker.example\n".repeat(100_000);
        (0..10).for_each(|_| file.write_all(piece.as_bytes()).unwrap());
        [fifo, zeros, lines, directory.path(""), "/dev/zero".into()]
    }

    fn connector(system: SystemConfig, limit: Duration) -> Connector {
        let connector = Connector::builder().timeout(limit).lookup_timeout(limit).build().unwrap();
        let mut settings = Arc::into_inner(connector.0).unwrap();
        settings.names = Names::Stub(Stub::new(system, Caching::On, SocketOptions::default()));
        Connector::new(settings)
    }

    // rule D5, H3b
    #[test]
    fn whatever_is_in_place_of_the_system_files_the_time_limit_holds_in_all_threads() {
        let directory = TemporaryDirectory::new();
        let closed = ResolverConfig::new(vec!["127.0.0.1:9".parse().unwrap()]);
        for obstacle in obstacles(&directory) {
            for system in [
                SystemConfig::at(&obstacle, Path::new("/nonexistent/hosts")),
                SystemConfig::given_with_hosts(closed.clone(), &obstacle),
            ] {
                let connector = connector(system, Duration::from_millis(500));
                let connect = || {
                    let start = wait::now();
                    connector.connect("example.test").unwrap_err();
                    assert!(wait::now() - start < SOON, "{}", obstacle.display());
                };
                thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(connect))));
            }
        }
    }

    // rule H3, H3b
    #[test]
    fn a_connect_with_a_hosts_file_of_a_million_lines_finds_the_last() {
        let directory = TemporaryDirectory::new();
        let [_, _, lines, ..] = obstacles(&directory);
        let mut file = fs::OpenOptions::new().append(true).open(&lines).unwrap();
        file.write_all(b"127.0.0.1 host.example.test\n").unwrap();
        let config = ResolverConfig::new(vec!["127.0.0.1:9".parse().unwrap()]);
        let connector = connector(SystemConfig::given_with_hosts(config, &lines), Duration::from_secs(60));
        let error =
            connector.connect_to("example.test", "host.example.test", 9, TlsMode::Direct).unwrap_err();
        assert_eq!(error.report().unwrap().attempts().len(), 1, "{error}");
    }
}
