//! Canceller: ends connects, and reads and writes of connections, from another thread.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::{Error, ErrorKind};
use crate::wait::Flag;

/// Cancels something in progress, from any thread: an [`Attempts`](crate::Attempts::canceller), a
/// [`Connection`](crate::Connection::canceller), or all connects of a [`Connector`](crate::Connector::canceller).
///
/// What is cancelled returns within 50 ms, at every stage, unless a [`Resolver`](crate::dns::Resolver) of your own
/// blocks. A canceller does not keep a connection open: when the [`Connection`](crate::Connection) is dropped, the socket
/// is closed.
///
/// ```no_run
/// use xmpp_connect::{Connector, ErrorKind};
///
/// let connector = Connector::builder().build()?;
/// let mut attempts = connector.attempts("example.org")?;
/// let canceller = attempts.canceller()?;
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
    One(Arc<Flag>),
    All(Arc<InProgress>),
}

impl Canceller {
    pub(crate) fn of(flag: &Arc<Flag>) -> Self {
        Self(Scope::One(Arc::clone(flag)))
    }

    pub(crate) fn of_all(in_progress: &Arc<InProgress>) -> Self {
        Self(Scope::All(Arc::clone(in_progress)))
    }

    /// Cancels. For an [`Attempts`](crate::Attempts) or a [`Connection`](crate::Connection) it is final; for a connector,
    /// it affects what is in progress now and nothing that starts later. Cancelling what has ended has no effect.
    pub fn cancel(&self) {
        match &self.0 {
            Scope::One(flag) => flag.raise(),
            Scope::All(in_progress) => in_progress.cancel(),
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// The connects and discoveries of a connector that are in progress.
#[derive(Debug, Default)]
pub(crate) struct InProgress(Mutex<Vec<Weak<Flag>>>);

impl InProgress {
    /// Adds one, until the result is dropped.
    pub(crate) fn add<'a>(&'a self, flag: &'a Arc<Flag>) -> Entry<'a> {
        self.lock().push(Arc::downgrade(flag));
        Entry(self, flag)
    }

    fn cancel(&self) {
        self.lock().iter().filter_map(Weak::upgrade).for_each(|flag| flag.raise());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Flag>>> {
        // The list stays consistent even if a thread panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connect in the list.
pub(crate) struct Entry<'a>(&'a InProgress, &'a Arc<Flag>);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let own = Arc::as_ptr(self.1);
        let mut list = self.0.lock();
        if let Some(index) = list.iter().position(|flag| std::ptr::eq(flag.as_ptr(), own)) {
            list.swap_remove(index);
        }
    }
}

/// The error of reads and writes after the connection was cancelled.
pub(crate) fn cancelled() -> io::Error {
    Error::new(ErrorKind::Cancelled, "the connection was cancelled").into()
}
