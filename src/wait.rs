//! The only file that waits and reads the clock: poll over sockets, a deadline, and a waker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;

use crate::deadline::Deadline;

/// The longest single poll: some platforms refuse a longer one, and the caller's loop waits again.
#[cfg(not(windows))]
const LONGEST_POLL: Duration = Duration::from_secs(24 * 60 * 60);
/// Windows before version 2004 does not report that a connect has failed, so this is looked for from time to time.
#[cfg(windows)]
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// The current time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The current time of both clocks: the monotonic one, and the wall clock (since 1970), which also runs while the
/// machine sleeps.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn clocks() -> (Instant, Duration) {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    (Instant::now(), wall.unwrap_or_default())
}

/// What a wait is for on one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes, a new peer, or the end can be read.
    Read,
    /// A connect has ended, or bytes can be written.
    Write,
    /// Either.
    Both,
}

/// Identifies a socket that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The waker: an answer of the caller's resolver.
    Waker,
    /// A flag: the caller has cancelled.
    Flag,
    /// A DNS socket, by a number that the resolver chose.
    Lookup(usize),
    /// An attempt, by its number.
    Attempt(usize),
}

/// One wait: filled with sockets, then waited on once.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    until: Deadline,
    tokens: Vec<(Token, Interest)>,
    sockets: Vec<PollFd<'a>>,
}

impl<'a> Wait<'a> {
    /// Creates a wait that ends at `until` at the latest.
    pub(crate) fn until(until: Deadline) -> Self {
        Self { until, tokens: Vec::new(), sockets: Vec::new() }
    }

    /// Ends the wait when `socket` is ready.
    pub(crate) fn add(&mut self, token: Token, socket: &'a impl AsFd, interest: Interest) {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
            Interest::Both => PollFlags::IN | PollFlags::OUT,
        };
        self.tokens.push((token, interest));
        self.sockets.push(PollFd::new(socket, flags));
    }

    /// Waits. A signal ends the wait early with nothing ready, as does [`LONGEST_POLL`]; on Windows, sockets that connect
    /// are ready whenever a wait ends.
    ///
    /// # Errors
    /// Errors of `poll`, such as lack of memory.
    pub(crate) fn wait(mut self) -> io::Result<Ready> {
        let timeout = self.until.remaining(now()).unwrap_or(LONGEST_POLL).min(LONGEST_POLL);
        #[cfg(windows)]
        if self.sockets.is_empty() {
            sleep(timeout);
            return Ok(Ready(Vec::new()));
        }
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut self.sockets, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready(Vec::new())),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |socket: &PollFd<'_>, interest| !socket.revents().is_empty() || is_looked_at(interest);
        let ready = self.sockets.iter().zip(&self.tokens);
        let ready = ready.filter(|(socket, (_, interest))| is_ready(socket, *interest));
        Ok(Ready(ready.map(|(_, (token, _))| *token).collect()))
    }
}

/// Whether the socket counts as ready whenever a wait ends: on Windows one that connects, since poll may not report that it
/// has failed.
fn is_looked_at(interest: Interest) -> bool {
    cfg!(windows) && interest == Interest::Write
}

/// `WSAPoll` refuses an empty list.
#[cfg(windows)]
#[expect(clippy::disallowed_methods, reason = "only time is waited for")]
fn sleep(timeout: Duration) {
    std::thread::sleep(timeout);
}

/// What was ready when the wait ended.
#[derive(Debug)]
pub(crate) struct Ready(Vec<Token>);

impl Ready {
    /// Whether the socket of `token` was ready.
    pub(crate) fn contains(&self, token: Token) -> bool {
        self.0.contains(&token)
    }
}

/// Wakes a wait from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<Datagram>);

/// The waiting end of a [`Waker`].
#[derive(Debug)]
pub(crate) struct Wakeups(Datagram);

/// A flag that any thread can raise, once and for all, and that any number of threads can wait for.
#[derive(Debug)]
pub(crate) struct Flag {
    is_raised: AtomicBool,
    sender: Datagram,
    /// Receives one byte when the flag is raised. It is never read, so that every wait ends from then on.
    receiver: Datagram,
}

/// A socket rather than a pipe, which Windows cannot poll. A pair of loopback UDP sockets would fail on Unix if the
/// loopback interface is down; Windows has no local datagram sockets.
#[cfg(unix)]
type Datagram = std::os::unix::net::UnixDatagram;
#[cfg(not(unix))]
type Datagram = std::net::UdpSocket;

/// Creates a waker and its waiting end.
///
/// # Errors
/// Errors of opening two sockets.
pub(crate) fn waker() -> io::Result<(Waker, Wakeups)> {
    let (sender, receiver) = pair()?;
    sender.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    Ok((Waker(Arc::new(sender)), Wakeups(receiver)))
}

#[cfg(unix)]
fn pair() -> io::Result<(Datagram, Datagram)> {
    Datagram::pair()
}

#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "loopback sockets that connect to each other at once")]
fn pair() -> io::Result<(Datagram, Datagram)> {
    let (one, two) = (Datagram::bind("127.0.0.1:0")?, Datagram::bind("127.0.0.1:0")?);
    one.connect(two.local_addr()?)?;
    two.connect(one.local_addr()?)?;
    Ok((one, two))
}

impl Waker {
    /// Ends the current wait, or the next one.
    pub(crate) fn wake(&self) {
        // If the socket is full, the wait has been woken already.
        let _ = self.0.send(&[1]);
    }
}

impl Wakeups {
    /// Adds itself to a wait.
    pub(crate) fn register<'w>(&'w self, wait: &mut Wait<'w>) {
        wait.add(Token::Waker, &self.0, Interest::Read);
    }

    /// Consumes all wake-ups that have arrived.
    pub(crate) fn drain(&self) {
        while self.0.recv(&mut [0; 8]).is_ok() {}
    }
}

impl Flag {
    /// # Errors
    /// Errors of opening two sockets.
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = pair()?;
        Ok(Self { is_raised: AtomicBool::new(false), sender, receiver })
    }

    /// Raises the flag, and ends all waits for it.
    pub(crate) fn raise(&self) {
        if !self.is_raised.swap(true, Ordering::AcqRel) {
            // One byte always fits into the empty socket. On Windows another program could fill it; then the flag is
            // seen at the end of LONGEST_POLL.
            let _ = self.sender.send(&[1]);
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Acquire)
    }

    /// Adds itself to a wait.
    pub(crate) fn register<'w>(&'w self, wait: &mut Wait<'w>) {
        wait.add(Token::Flag, &self.receiver, Interest::Read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "another thread is what a waker is for")]
    fn on_another_thread(act: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
        std::thread::spawn(act)
    }

    // rule D5
    #[test]
    fn a_wait_with_nothing_to_wait_for_ends_at_its_deadline() {
        let deadline = Deadline::after(now(), Duration::from_millis(20));
        while !deadline.is_over(now()) {
            assert!(!Wait::until(deadline).wait().unwrap().contains(Token::Waker));
        }
        // A deadline in the past does not wait at all.
        assert!(!Wait::until(deadline).wait().unwrap().contains(Token::Waker));
    }

    #[test]
    fn a_waker_ends_the_wait_of_another_thread_once() {
        let (waker, wakeups) = waker().unwrap();
        let other = on_another_thread(move || waker.wake());
        let mut wait = Wait::until(Deadline::NEVER);
        wakeups.register(&mut wait);
        assert!(wait.wait().unwrap().contains(Token::Waker));
        other.join().unwrap();
        wakeups.drain();
        let mut wait = Wait::until(Deadline::from(now()));
        wakeups.register(&mut wait);
        assert!(!wait.wait().unwrap().contains(Token::Waker));
    }

    // rule D9
    #[test]
    fn a_flag_ends_every_wait_once_it_is_raised() {
        let flag = Arc::new(Flag::new().unwrap());
        let raised = Arc::clone(&flag);
        let other = on_another_thread(move || (0..3).for_each(|_| raised.raise()));
        for _ in 0..2 {
            let mut wait = Wait::until(Deadline::NEVER);
            flag.register(&mut wait);
            assert!(wait.wait().unwrap().contains(Token::Flag));
            assert!(flag.is_raised());
        }
        other.join().unwrap();
    }

    // rule D3
    #[cfg(windows)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a connection of a test to itself")]
    fn a_socket_that_connects_is_looked_at_whenever_a_wait_ends() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // It has no room, as one that connects has none.
        socket.set_nonblocking(true).unwrap();
        while socket.write(&[0; 65_536]).is_ok() {}
        let is_ready = |interest| {
            let mut wait = Wait::until(Deadline::after(now(), Duration::from_millis(20)));
            wait.add(Token::Lookup(1), &socket, interest);
            wait.wait().unwrap().contains(Token::Lookup(1))
        };
        assert!(is_ready(Interest::Write));
        assert!(!is_ready(Interest::Both) && !is_ready(Interest::Read));
    }

    #[test]
    fn a_thousand_wake_ups_that_nobody_takes_block_nobody() {
        let (waker, wakeups) = waker().unwrap();
        for _ in 0..1000 {
            waker.wake();
        }
        wakeups.drain();
    }
}
