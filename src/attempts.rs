//! Attempts: one connect that can be observed, cancelled, and continued with the next server.

use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::canceller::{Cancel, CancelGroup, Canceller};
use crate::connection::Connection;
use crate::dial::AttemptId;
use crate::dial::attempt::Dialer;
use crate::dial::way::Way;
use crate::dns::RandomBits;
use crate::dns::lookups::Lookups;
use crate::dns::resolver::ResolverLookups;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind};
use crate::limits::{LOOKUP_LIMIT, MAX_REDIRECTS};
use crate::open_stream::OpenStream;
use crate::plan::{Plan, Route, Routes};
use crate::proxy::Gateway;
use crate::random::Random;
use crate::report::{Event, Report};
use crate::run::{Observer, Run, Search, no_random_numbers, show_events};
use crate::shared::{Names, Shared};
use crate::socket;
use crate::target::Target;
use crate::wait::{self, Flag};

/// Connects to the servers of a domain one after another, until a connection is good enough for the caller. Created by
/// [`Connector::attempts`](crate::Connector::attempts).
///
/// A server can be connected to and still be of no use: it refuses the stream, or lacks a feature or a mechanism. Then
/// [`reject`](Self::reject) it and call [`connect_next`](Self::connect_next) again. Do not go on when the server has
/// refused the credentials: all servers of a domain have the same accounts, and further tries may lock the account.
///
/// An `Attempts` is for one log-in. To connect again later, create a new one with the same connector.
///
/// ```no_run
/// use xmpp_connect::{Connection, Connector};
///
/// # fn log_in(_: Connection) -> Result<(), String> { Ok(()) }
/// let connector = Connector::builder().build()?;
/// let mut attempts = connector.attempts("example.org")?;
/// let session = loop {
///     let connection = attempts.connect_next()?;
///     match log_in(connection) {
///         Ok(session) => break session,
///         Err(why) => attempts.reject(why),
///     }
/// };
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
pub struct Attempts {
    shared: Arc<Shared>,
    domain: Domain,
    route: Route,
    open_stream: Option<OpenStream>,
    begun: Option<Begun>,
    /// The connect in progress and the connections, if the caller has a canceller for them.
    together: Option<Arc<CancelGroup>>,
    observer: Option<Mutex<Box<Observer>>>,
    /// The attempt that became the latest connection.
    latest: Option<AttemptId>,
    /// The error after which nothing is left to try.
    end: Option<Error>,
    /// How many redirections were followed in a row, and whether the next connect follows one.
    redirects: (usize, bool),
}

/// What has begun with the first connect.
struct Begun {
    plan: Plan,
    random: Random,
    /// How many of its attempts the connector has learned from.
    learned: usize,
}

impl Attempts {
    pub(crate) fn new(shared: &Arc<Shared>, domain: Domain, route: Route) -> Self {
        Self {
            shared: Arc::clone(shared),
            domain,
            route,
            open_stream: None,
            begun: None,
            together: None,
            observer: None,
            latest: None,
            end: None,
            redirects: (0, false),
        }
    }

    /// Connects to the next server, within the [`timeout`](crate::ConnectorBuilder::timeout) of the connector, which
    /// starts anew with each call.
    ///
    /// The first call does what [`Connector::connect`](crate::Connector::connect) does. Each further call tries the
    /// servers that are left, without that of the latest connection, rejected or not. Lookups that were answered are
    /// not repeated, and attempts that were in progress when the latest connection was returned are made again.
    /// Connections that were returned before are not affected.
    ///
    /// # Errors
    /// The same as for [`Connector::connect`](crate::Connector::connect), with a [report](Error::report) that covers
    /// all calls, also if all servers have been tried; and [`ErrorKind::Cancelled`] after [`Canceller::cancel`]. Later
    /// calls return the same error, except after [`ErrorKind::TimedOut`] and [`ErrorKind::System`]: then the next call
    /// goes on with the servers that are left.
    pub fn connect_next(&mut self) -> Result<Connection, Error> {
        self.connect_over(None)
    }

    /// Connects, over `given` if the caller has connected a stream.
    pub(crate) fn connect_over(&mut self, given: Option<TcpStream>) -> Result<Connection, Error> {
        if let Some(error) = &self.end {
            return Err(error.clone());
        }
        self.redirects = if self.redirects.1 { (self.redirects.0, false) } else { (0, false) };
        let (shared, domain) = (Arc::clone(&self.shared), self.domain.clone());
        let Shared { settings, tls, strict, hook, .. } = &*shared;
        let open_stream = self.open_stream.clone().or_else(|| settings.open_stream.clone());
        let result = self.run(|run, gateway| {
            let way = match (gateway, hook) {
                (Some(gateway), _) => Way::Proxy(gateway),
                (None, Some(hook)) => Way::Hook(hook, run.plan.total()),
                (None, None) => Way::Direct,
            };
            let open_stream = open_stream.as_ref();
            run.connect(Dialer { domain: &domain, settings, tls, strict, open_stream, way }, given)
        });
        self.learn(match &result {
            Ok((_, _, report)) => Some(report),
            Err(error) => error.report(),
        });
        match result {
            Ok((id, verified, report)) => {
                self.latest = Some(id);
                let connection = Connection::new(verified, report);
                if let Some(together) = &self.together {
                    together.add(&connection.cancel());
                }
                Ok(connection)
            }
            Err(error) => {
                let can_go_on = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::System);
                self.end = (!can_go_on).then(|| error.clone());
                Err(error)
            }
        }
    }

    /// Remembers for later connects what the attempts of this one have shown. A stream that the caller has connected
    /// can lead anywhere.
    fn learn(&mut self, report: Option<&Report>) {
        let (Some(report), Some(begun)) = (report, &mut self.begun) else { return };
        if !matches!(self.route, Route::Connected { .. }) {
            let attempts = report.attempts.get(begun.learned..).unwrap_or_default();
            begun.learned = report.attempts.len();
            let Shared { settings, .. } = &*self.shared;
            self.shared.history().learn(attempts, report.elapsed, &settings.limits, wait::now());
        }
    }

    /// Finds the servers without connecting.
    pub(crate) fn discover(&mut self) -> Result<Box<Report>, Error> {
        self.run(|run, _| run.discover())
    }

    /// Records in the report why the latest connection is of no use. For 10 minutes, later connects of the same
    /// connector try the address of that server after all others.
    ///
    /// It neither closes the connection nor connects. If there is no connection yet, or the latest one has already been
    /// rejected, it has no effect.
    pub fn reject(&mut self, why: impl fmt::Display) {
        if let (Some(id), Some(begun)) = (self.latest.take(), &mut self.begun) {
            let now = wait::now();
            if let Some(destination) = begun.plan.handle_rejection(id, &why.to_string(), now) {
                self.shared.history().reject(&destination, now);
            }
            show_events(&mut begun.plan, observer(&mut self.observer));
        }
    }

    /// Replaces the servers that are left by `target`, for the next [`connect_next`](Self::connect_next): call it when
    /// the server has redirected the stream over TLS (`see-other-host`, RFC 6120 section 4.9.3.19), with
    /// [`Target::see_other_host`]. The certificate must still be valid for the domain. The report starts anew.
    ///
    /// # Errors
    /// [`ErrorKind::Attempts`] if five connects in a row have followed a redirection.
    pub fn follow(&mut self, target: Target) -> Result<(), Error> {
        if self.redirects.0 >= MAX_REDIRECTS {
            let message = format!("{} has redirected {MAX_REDIRECTS} connects in a row", self.domain);
            return Err(Error::new(ErrorKind::Attempts, message));
        }
        self.redirects = (self.redirects.0 + 1, true);
        self.route = target.into();
        (self.begun, self.latest) = (None, None);
        self.end = self.end.take().filter(|error| error.kind() == ErrorKind::Cancelled);
        Ok(())
    }

    /// Sets that these connects open the XMPP stream, and how. The default is that of the connector
    /// ([`ConnectorBuilder::open_stream`](crate::ConnectorBuilder::open_stream)).
    #[cfg(feature = "starttls")]
    pub fn open_stream(&mut self, open_stream: OpenStream) {
        self.open_stream = Some(open_stream);
    }

    /// Sets a function that is called with every event as it happens, for a user interface. The default is none. It is
    /// called in the thread of [`connect_next`](Self::connect_next) and [`reject`](Self::reject), which wait for it: it
    /// should return at once. The same events are in the [report](Report::events).
    ///
    /// ```no_run
    /// # let connector = xmpp_connect::Connector::builder().build()?;
    /// let mut attempts = connector.attempts("example.org")?;
    /// attempts.observe(|event| eprintln!("{event}"));
    /// let connection = attempts.connect_next()?;
    /// # Ok::<(), xmpp_connect::Error>(())
    /// ```
    pub fn observe(&mut self, observer: impl FnMut(&Event) + Send + 'static) {
        self.observer = Some(Mutex::new(Box::new(observer)));
    }

    /// Returns a canceller for these attempts, and for the connections that they return from now on. It can be created
    /// before the first connect and used from any thread.
    pub fn canceller(&mut self) -> Canceller {
        Canceller::of_group(self.together.get_or_insert_with(|| Arc::new(CancelGroup::new(true))))
    }

    /// Begins or resumes the plan, finds the proxy if there is one, and calls `go` with both.
    fn run<R>(&mut self, go: impl FnOnce(Run<'_>, Option<Gateway>) -> Result<R, Error>) -> Result<R, Error> {
        let now = wait::now();
        let Shared { settings, names, in_progress, .. } = &*self.shared;
        let begun = match self.begun.take() {
            Some(mut begun) => {
                begun.plan.resume(now);
                begun
            }
            None => self.begin()?,
        };
        let Begun { plan, random, .. } = self.begun.insert(begun);
        let history = {
            let mut history = self.shared.history();
            history.refresh(wait::clocks());
            history.clone()
        };
        plan.set_history(history);
        let cancelled: Option<Arc<Flag>> = match (Flag::new(), &self.together) {
            (Ok(flag), _) => Some(Arc::new(flag)),
            (Err(error), Some(_)) => return Err(Error::system("cannot open sockets", error)),
            // Without sockets for it, the connect is still possible; only the connector's canceller does not reach it.
            (Err(_), None) => None,
        };
        if let Some(flag) = &cancelled {
            let flag: Arc<dyn Cancel> = Arc::<Flag>::clone(flag);
            in_progress.add(&flag);
            self.together.iter().for_each(|together| together.add(&flag));
        }
        let (bits, limit) = (random.clone(), settings.limits.lookup);
        let bits: RandomBits = Arc::new(move || bits.bits());
        let gateway = match &self.route {
            Route::Connected { .. } => None,
            _ => find_gateway(&self.shared, plan, &bits, cancelled.as_deref())?,
        };
        let (lookups, wakeups) = match names {
            Names::Stub(stub) => {
                let gateway = gateway.clone();
                (Lookups::Stub { stub, random: bits, limit, gateway, lookups: None }, None)
            }
            Names::Resolver(resolver) => {
                let (waker, wakeups) =
                    wait::waker().map_err(|error| Error::system("cannot open sockets", error))?;
                let limit = settings.limits.lookup.unwrap_or(LOOKUP_LIMIT);
                let lookups = ResolverLookups::new(Arc::clone(resolver), waker, plan.total(), limit);
                (Lookups::Resolver(lookups), Some(wakeups))
            }
        };
        let observer = observer(&mut self.observer);
        let (random, wakeups, cancelled) = (random.clone(), wakeups.as_ref(), cancelled.as_deref());
        go(Run { plan, lookups, random, wakeups, cancelled, observer }, gateway)
    }

    fn begin(&self) -> Result<Begun, Error> {
        let Shared { settings, tls, filter, hook, only_used, .. } = &*self.shared;
        let random = Random::new(tls.provider());
        // Checked before anything is sent: no question with a predictable id may be sent.
        random.bits();
        if random.has_failed() {
            return Err(no_random_numbers());
        }
        let (chance, options) = (random.clone(), settings.socket.clone());
        let goes_elsewhere = settings.proxy.is_some() || hook.is_some();
        let settings = match &self.route {
            Route::Connected { .. } => Arc::new(settings.without_proxy()),
            _ => Arc::clone(settings),
        };
        let routes: Routes = if goes_elsewhere {
            // This machine's routes do not matter, and no socket towards a server is opened.
            Box::new(Some)
        } else {
            Box::new(move |destination| socket::source_of(destination, &options))
        };
        let chance = Box::new(move |bound| chance.below(bound));
        let (domain, route) = (self.domain.clone(), self.route.clone());
        let mut plan = Plan::new(domain, route, settings, chance, routes, only_used.update_tlsa, wait::now());
        if let Some(filter) = filter {
            plan.set_filter(filter.clone());
        }
        Ok(Begun { plan, random, learned: 0 })
    }
}

/// Finds the proxy, if the settings have one.
fn find_gateway(
    shared: &Shared,
    plan: &mut Plan,
    random: &RandomBits,
    cancelled: Option<&Flag>,
) -> Result<Option<Gateway>, Error> {
    let settings = &shared.settings;
    let (proxy, find) = match (&settings.proxy, shared.only_used.find_proxy) {
        (None, _) => return Ok(None),
        (Some(proxy), Some(find)) => (proxy, find),
        // The builder sets both together. Without the proxy that was asked for, nothing is sent.
        (Some(_), None) => return Err(Error::new(ErrorKind::Configuration, "the proxy cannot be used")),
    };
    let search = Search {
        proxy,
        stub: &shared.proxy_names,
        random: RandomBits::clone(random),
        socket: &settings.socket,
        limit: settings.limits.lookup,
        total: (plan.total(), settings.limits.total),
        cancelled,
    };
    find(&search).map(Some).map_err(|error| plan.fail(error, wait::now()))
}

fn observer(observer: &mut Option<Mutex<Box<Observer>>>) -> Option<&mut Observer> {
    let observer = observer.as_mut()?.get_mut();
    Some(&mut **observer.unwrap_or_else(PoisonError::into_inner))
}

impl fmt::Debug for Attempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Attempts").field("domain", &self.domain).finish_non_exhaustive()
    }
}
