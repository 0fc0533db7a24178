//! Threads that stop and join on drop, a latch that can be polled beside sockets, and values that can be waited for.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};

/// How long anything is waited for before its test fails: far more than a slow machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The bench is being dropped; every thread of it returns on this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the test bench stops")
    }
}

impl std::error::Error for Stopped {}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        Self::other(stopped)
    }
}

/// Something that is opened once and stays open: the stop of a bench, or the gate that a test opens for a held answer.
///
/// It is a UDP socket connected to itself, whose datagram is never read, so that it can be polled beside other sockets on
/// every platform.
#[derive(Clone, Debug)]
pub(crate) struct Latch(Arc<UdpSocket>);

impl Latch {
    /// A closed latch.
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP socket on loopback");
        let address = socket.local_addr().expect("a bound socket has an address");
        socket.connect(address).expect("a UDP socket connects to itself");
        socket.set_nonblocking(true).expect("a socket becomes non-blocking");
        Self(Arc::new(socket))
    }

    /// Opens it, for good.
    pub(crate) fn open(&self) {
        // The only error is a full buffer, and then it is open already.
        let _ = self.0.send(b"o");
    }

    /// Waits until one of `sockets` is ready for its flags, or for an error, or until `limit` is over; with `self` as what
    /// stops the wait. Says for each socket whether it was ready: all false after the limit.
    pub(crate) fn wait(
        &self,
        sockets: &[(BorrowedFd<'_>, PollFlags)],
        limit: Option<Duration>,
    ) -> Result<Vec<bool>, Stopped> {
        let limit = limit.map(|limit| Timespec::try_from(limit).expect("a limit of less than centuries"));
        let mut polled = vec![PollFd::new(&*self.0, PollFlags::IN)];
        polled.extend(sockets.iter().map(|(socket, flags)| PollFd::from_borrowed_fd(*socket, *flags)));
        loop {
            match poll(&mut polled, limit.as_ref()) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
        let mut ready = polled.iter().map(|socket| !socket.revents().is_empty());
        if ready.next() == Some(true) { Err(Stopped) } else { Ok(ready.collect()) }
    }

    /// Waits until `socket` can be read, or has an error or its end.
    pub(crate) fn until_readable(&self, socket: &impl AsFd) -> Result<(), Stopped> {
        self.wait(&[(socket.as_fd(), PollFlags::IN)], None).map(drop)
    }

    /// Waits until `socket` can be written, or has an error.
    pub(crate) fn until_writable(&self, socket: &impl AsFd) -> Result<(), Stopped> {
        self.wait(&[(socket.as_fd(), PollFlags::OUT)], None).map(drop)
    }

    /// Waits until `other` is open.
    pub(crate) fn until_open(&self, other: &Self) -> Result<(), Stopped> {
        self.until_readable(&*other.0)
    }

    /// Lets `time` go by. For behaviour that is slow, never to synchronise.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Stopped> {
        self.wait(&[], Some(time)).map(drop)
    }
}

/// Starts threads that are stopped and joined with their [`Workers`].
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    stop: Latch,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Spawner {
    /// Starts a thread, which gets the latch that tells it to stop.
    pub(crate) fn spawn(&self, name: &str, work: impl FnOnce(&Latch) + Send + 'static) {
        let stop = self.stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&stop));
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that has ended needs memory until it is joined. Those that have panicked are for the end.
        for index in (0..threads.len()).rev() {
            if threads.get(index).is_some_and(JoinHandle::is_finished)
                && let Err(panic) = threads.swap_remove(index).join()
            {
                std::panic::resume_unwind(panic);
            }
        }
        threads.push(thread.expect("a thread starts"));
    }
}

/// The threads of one part of the bench: told to stop and joined on drop, those they started included.
#[derive(Debug)]
pub(crate) struct Workers(Spawner);

impl Workers {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Spawner { stop: Latch::new(), threads: Arc::default() })
    }

    /// What starts threads, for threads that start threads.
    pub(crate) fn spawner(&self) -> Spawner {
        self.0.clone()
    }

    /// Starts a thread.
    pub(crate) fn spawn(&self, name: &str, work: impl FnOnce(&Latch) + Send + 'static) {
        self.0.spawn(name, work);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.stop.open();
        loop {
            // One at a time: a thread that is still running may add others.
            let next = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(thread) = next else { break };
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() && !thread::panicking() {
                panic!("the bench's thread {name} panicked");
            }
        }
    }
}

/// A value that threads change and tests wait for.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// Starts with `value`.
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Looks at the value.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the value and wakes those that wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        result
    }
}

impl<T: fmt::Debug> Watched<T> {
    /// Waits until `look` finds what it looks for. After [`PATIENCE`] the test fails and shows the value.
    pub(crate) fn wait_for<R>(&self, what: &str, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut found = None;
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(value, PATIENCE, |value| {
            found = look(value);
            found.is_none()
        });
        let (value, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(found) = found else {
            panic!("waited {PATIENCE:?} for {what}; there is only: {:#?}", *value)
        };
        found
    }
}
