//! Wire: the socket of a connection. It remembers when data last moved, and acknowledges quickly at first.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::liveness::{Liveness, Signs};
use crate::clocks::Clocks;
use crate::limits::{MAX_QUICK_ACKS, QUICK_ACK_TIME};
use crate::socket::{self, NoSignal};
use crate::wait;

/// A connected socket. Its writes raise no SIGPIPE.
pub(super) struct Wire {
    tcp: TcpStream,
    activity: Mutex<Activity>,
}

struct Activity {
    established: Instant,
    /// How many more reads acknowledge quickly.
    quick_acks: u32,
    last_read: Instant,
    last_written: Instant,
    /// The clocks when data was last read.
    clocks: Clocks,
}

impl Wire {
    /// `quick_ack` is whether the first reads acknowledge quickly.
    pub(super) fn new(tcp: TcpStream, quick_ack: bool) -> Self {
        let (now, wall) = wait::clocks();
        let activity = Activity {
            established: now,
            quick_acks: if quick_ack { MAX_QUICK_ACKS } else { 0 },
            last_read: now,
            last_written: now,
            clocks: Clocks::at(now, wall),
        };
        Self { tcp, activity: Mutex::new(activity) }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.tcp
    }

    /// Prepares a read that has to wait: see rule G3.
    pub(super) fn expect_data(&self) {
        let is_quick = self.activity().takes_quick_ack(wait::now());
        if is_quick {
            socket::acknowledge_quickly(&self.tcp);
        }
    }

    /// Collects what this machine knows of the connection. It sends nothing, and does not wait.
    pub(super) fn liveness(&self) -> Liveness {
        let send_state = socket::send_state(&self.tcp);
        // The address of a socket that was connected stays known. A peer is known only until the connection ends.
        let local = self.tcp.local_addr().ok();
        let is_gone = |local: &std::net::SocketAddr| socket::has_address(*local) == Some(false);
        let has_ended =
            matches!(self.tcp.peer_addr(), Err(error) if error.kind() == io::ErrorKind::NotConnected);
        let (now, wall) = wait::clocks();
        let activity = self.activity();
        Liveness::new(Signs {
            since_read: now.saturating_duration_since(activity.last_read),
            since_written: now.saturating_duration_since(activity.last_written),
            send_state,
            has_ended,
            gone_address: local.filter(is_gone).map(|local| local.ip().to_canonical()),
            has_slept: activity.clocks.clone().have_parted(now, wall),
        })
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_written(&self, written: usize) {
        if written > 0 {
            self.activity().last_written = wait::now();
        }
    }
}

impl Activity {
    /// Whether a read that waits acknowledges quickly. Each call counts as one.
    fn takes_quick_ack(&mut self, now: Instant) -> bool {
        if self.quick_acks == 0 {
            return false;
        }
        let is_early = now.saturating_duration_since(self.established) < QUICK_ACK_TIME;
        self.quick_acks = if is_early { self.quick_acks - 1 } else { 0 };
        is_early
    }

    fn note_read(&mut self, now: Instant, wall: Duration) {
        self.last_read = now;
        self.clocks = Clocks::at(now, wall);
    }
}

impl Deref for Wire {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Read for &Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.tcp).read(buffer)?;
        if read > 0 {
            let (now, wall) = wait::clocks();
            self.activity().note_read(now, wall);
        }
        Ok(read)
    }
}

impl Write for &Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = NoSignal(&self.tcp).write(bytes)?;
        self.note_written(written);
        Ok(written)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = NoSignal(&self.tcp).write_vectored(bytes)?;
        self.note_written(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(now: Instant, quick_acks: u32) -> Activity {
        let clocks = Clocks::at(now, Duration::ZERO);
        Activity { established: now, quick_acks, last_read: now, last_written: now, clocks }
    }

    // rule G3
    #[test]
    fn the_first_reads_acknowledge_quickly_until_they_are_many_or_it_is_late() {
        let now = wait::now();
        let mut many = activity(now, MAX_QUICK_ACKS);
        let quick = (0..100).filter(|_| many.takes_quick_ack(now + Duration::from_millis(1_999))).count();
        assert_eq!(quick, 32);

        let mut late = activity(now, MAX_QUICK_ACKS);
        assert!(late.takes_quick_ack(now + Duration::from_millis(1_999)));
        assert!(!late.takes_quick_ack(now + Duration::from_secs(2)));
        assert!(!late.takes_quick_ack(now), "it is over for good");

        assert!(!activity(now, 0).takes_quick_ack(now), "turned off");
    }
}
