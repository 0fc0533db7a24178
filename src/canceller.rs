//! Canceller: ends connects, and reads and writes of connections, from another thread.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::{Error, ErrorKind};
use crate::wait::Flag;

/// Cancels what is in progress, from any thread: [`Attempts`](crate::Attempts::canceller), the reads and writes of a
/// [`Connection`](crate::Connection::canceller), or all connects of a [`Connector`](crate::Connector::canceller).
///
/// A cancelled call returns an error within 50 ms, at every stage, unless a function of yours blocks: a
/// [`Resolver`](crate::dns::Resolver), filter, observer, `dial` or `check_certificate` function, or a verifier, among them
/// that of the operating system (`platform_verifier`). The error of a connect has kind
/// [`Cancelled`](crate::ErrorKind::Cancelled), or [`TimedOut`](crate::ErrorKind::TimedOut) if the time limit expired while
/// such a function blocked. A canceller does not keep a connection open: when the [`Connection`](crate::Connection) is
/// dropped, the socket is closed.
///
/// ```no_run
/// use xmpp_connect::{Connector, ErrorKind};
///
/// let connector = Connector::builder().build()?;
/// let mut attempts = connector.attempts("example.org")?;
/// let canceller = attempts.canceller();
/// std::thread::spawn(move || {
///     std::io::stdin().read_line(&mut String::new()).ok();
///     canceller.cancel();
/// });
/// match attempts.connect_next() {
///     Err(error) if error.kind() == ErrorKind::Cancelled => println!("cancelled"),
///     result => println!("connected to {}", result?.peer_addr()),
/// }
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Clone)]
pub struct Canceller(Scope);

/// What is cancelled.
#[derive(Clone)]
enum Scope {
    One(Weak<dyn Cancel>),
    Group(Arc<CancelGroup>),
}

/// Something in progress that can be cancelled, more than once and after its end too.
pub(crate) trait Cancel: Send + Sync {
    fn cancel(&self);
}

impl Cancel for Flag {
    fn cancel(&self) {
        self.raise();
    }
}

impl Canceller {
    pub(crate) fn of_one(one: &Arc<dyn Cancel>) -> Self {
        Self(Scope::One(Arc::downgrade(one)))
    }

    pub(crate) fn of_group(group: &Arc<CancelGroup>) -> Self {
        Self(Scope::Group(Arc::clone(group)))
    }

    /// Cancels. For [`Attempts`](crate::Attempts) and a [`Connection`](crate::Connection) it is final; for a connector,
    /// it affects what is in progress now and nothing that starts later. Cancelling what has ended has no effect.
    pub fn cancel(&self) {
        match &self.0 {
            Scope::One(one) => {
                if let Some(one) = one.upgrade() {
                    one.cancel();
                }
            }
            Scope::Group(group) => group.cancel(),
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// What is cancelled together.
pub(crate) struct CancelGroup {
    /// Whether a cancel also affects what is added later.
    is_final: bool,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    is_cancelled: bool,
    list: Vec<Weak<dyn Cancel>>,
}

impl CancelGroup {
    pub(crate) fn new(is_final: bool) -> Self {
        Self { is_final, members: Mutex::default() }
    }

    pub(crate) fn add(&self, member: &Arc<dyn Cancel>) {
        let mut members = self.lock();
        members.list.retain(|member| member.strong_count() > 0);
        members.list.push(Arc::downgrade(member));
        if self.is_final && members.is_cancelled {
            member.cancel();
        }
    }

    fn cancel(&self) {
        let mut members = self.lock();
        members.is_cancelled = true;
        members.list.iter().filter_map(Weak::upgrade).for_each(|member| member.cancel());
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // The list stays consistent even if a thread panics while it holds the lock.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CancelGroup").finish_non_exhaustive()
    }
}

/// The error of reads and writes after the connection was cancelled.
pub(crate) fn cancelled() -> io::Error {
    Error::new(ErrorKind::Cancelled, "the connection was cancelled").into()
}
