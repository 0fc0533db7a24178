//! `StubResolver`: the stub resolver behind the trait for a caller's own, to be wrapped and to fall back to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::dns::cache::{Cache, Caching};
use crate::dns::resolver::{Answers, Resolver};
use crate::dns::stub::Stub;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::stub::system::SystemConfig;
use crate::dns::{ConfigurationError, LookupError, Question};
use crate::random::Random;
use crate::settings::SocketOptions;
use crate::tls;
use crate::wait::{self, Wait};

/// The built-in stub resolver as a [`Resolver`], to be wrapped, or to be asked when another resolver fails.
///
/// It has no thread: [`ask`](Resolver::ask) blocks until every question is answered or the [`deadline`](Answers::deadline)
/// has passed. Meanwhile, the attempts of the connect make no progress: for about one round trip if the name servers
/// answer. A connector without a resolver of yours does not have this cost, since it waits for answers and attempts at the
/// same time.
///
/// It has a cache of its own. Its sockets have no options: the connector's
/// [`source_address`](crate::ConnectorBuilder::source_address), [`interface`](crate::ConnectorBuilder::interface) and
/// [`dns_cache`](crate::ConnectorBuilder::dns_cache) do not apply to it.
///
/// ```no_run
/// use xmpp_connect::Connector;
/// use xmpp_connect::dns::{Answers, Question, Resolver, StubResolver};
///
/// /// Asks another resolver first, and the name servers of the system if that fails.
/// #[derive(Debug)]
/// struct OrElseSystem<R>(R, StubResolver);
///
/// impl<R: Resolver> Resolver for OrElseSystem<R> {
///     fn ask(&self, questions: &[Question], answers: &Answers) {
///         // Leaves half of the time to the second.
///         let now = std::time::Instant::now();
///         let half = answers.deadline().map(|deadline| now + deadline.saturating_duration_since(now) / 2);
///         let mut failed = Vec::new();
///         for (question, result) in Answers::collect(&self.0, questions, half) {
///             match result {
///                 Ok(answer) => drop(answers.send(question, Ok(answer))),
///                 Err(_) => failed.push(question),
///             }
///         }
///         self.1.ask(&failed, answers);
///     }
///
///     fn forget(&self, questions: &[Question]) {
///         self.0.forget(questions);
///         self.1.forget(questions);
///     }
///
///     fn clear_cache(&self) {
///         self.0.clear_cache();
///         self.1.clear_cache();
///     }
/// }
///
/// # let first = StubResolver::new(["192.0.2.53:53".parse()?])?;
/// // With feature `hickory-https`, `first` may be HickoryResolver::over_https(…).
/// let resolver = OrElseSystem(first, StubResolver::from_system()?);
/// let connector = Connector::builder().resolver(resolver).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StubResolver {
    stub: Stub,
    random: Random,
}

impl StubResolver {
    /// Creates a resolver that asks the name servers of the system, as a connector does by default.
    ///
    /// # Errors
    /// No crypto provider to take random numbers from: enable feature `ring` or `aws-lc-rs`.
    pub fn from_system() -> Result<Self, ConfigurationError> {
        Self::with(SystemConfig::new())
    }

    /// Creates a resolver that asks these name servers, in this order. The hosts file still takes precedence for addresses.
    ///
    /// # Errors
    /// An empty list, more than 32, port 0, or no crypto provider, as for [`from_system`](Self::from_system).
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Result<Self, ConfigurationError> {
        Self::with(SystemConfig::given(ResolverConfig::given(servers)?))
    }

    /// Returns the name servers that are asked, in order. Those of the system are read again when they have changed; if they
    /// cannot be read, the list is empty.
    #[must_use]
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.stub.servers()
    }

    fn with(system: SystemConfig) -> Result<Self, ConfigurationError> {
        let provider = tls::choose_provider(None).ok_or_else(|| {
            ConfigurationError::new("no source of random numbers: enable feature `ring` or `aws-lc-rs`")
        })?;
        let stub = Stub::new(system, Caching::On, SocketOptions::default());
        Ok(Self { stub, random: Random::new(&provider) })
    }

    /// Waits for the answers.
    ///
    /// # Errors
    /// When that is not possible.
    fn answer(&self, questions: &[Question], answers: &Answers, now: Instant) -> Result<(), LookupError> {
        let random = self.random.clone();
        // Tried before anything is sent: a question with a number that can be guessed must not leave.
        random.bits();
        self.check_random()?;
        let limit = answers.deadline().map(|deadline| in_milliseconds(deadline, now));
        let mut lookups = self.stub.lookups(Arc::new(move || random.bits()), limit);
        lookups.ask(questions, now);
        loop {
            while let Some((question, result, _)) = lookups.take() {
                let _ = answers.send(question, result);
            }
            if lookups.is_idle() || !answers.is_wanted() {
                return Ok(());
            }
            self.check_random()?;
            let mut wait = Wait::until(lookups.wake_at());
            lookups.register(&mut wait);
            let ready = wait.wait().map_err(|error| {
                LookupError::new(format!("cannot wait for sockets ({error})")).with_source(error)
            })?;
            lookups.advance(&ready, wait::now());
        }
    }

    fn check_random(&self) -> Result<(), LookupError> {
        match self.random.has_failed() {
            true => Err(LookupError::new("the operating system gives no random numbers")),
            false => Ok(()),
        }
    }
}

/// The time until `deadline`, in whole milliseconds, as it is written in errors.
fn in_milliseconds(deadline: Instant, now: Instant) -> Duration {
    let remaining = Deadline::from(deadline).remaining(now).unwrap_or_default();
    Duration::from_millis(u64::try_from(remaining.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
}

impl Resolver for StubResolver {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        if let Err(error) = self.answer(questions, answers, wait::now()) {
            for question in questions {
                let _ = answers.send(question.clone(), Err(error.clone()));
            }
        }
    }

    fn forget(&self, questions: &[Question]) {
        self.stub.state.with_cache(|cache| questions.iter().for_each(|question| cache.remove(question)));
    }

    fn clear_cache(&self) {
        self.stub.state.with_cache(Cache::clear);
    }
}
