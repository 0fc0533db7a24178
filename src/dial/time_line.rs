//! The time line of one attempt: its stages, and where it stands. No IO.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::race::Entry;
use super::{AttemptError, Stage};
use crate::domain::Host;
use crate::service::TlsMode;

/// Where an attempt stands.
#[derive(Clone, Debug)]
pub(crate) enum State {
    InFlight,
    Verified,
    Failed(AttemptError),
    Abandoned,
}

/// One attempt, and its time line.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) candidate: usize,
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) stage: Stage,
    /// When each stage that is complete was complete.
    pub(crate) completed: Vec<(Stage, Instant)>,
    /// When and why the TLS handshake was repeated without a session.
    pub(crate) repeated: Option<(AttemptError, Instant)>,
    pub(crate) ended: Option<Instant>,
    pub(crate) state: State,
    pub(super) host: Host,
    pub(super) tls: TlsMode,
    /// How long it may go without completing a stage before another one starts beside it.
    pub(super) delay: Duration,
}

impl Attempt {
    /// An attempt that starts now, with the TCP stage.
    pub(super) fn start(entry: &Entry, address: SocketAddr, delay: Duration, now: Instant) -> Self {
        Self {
            candidate: entry.candidate,
            address,
            started: now,
            stage: Stage::Tcp,
            completed: Vec::new(),
            repeated: None,
            ended: None,
            state: State::InFlight,
            host: entry.host.clone(),
            tls: entry.tls,
            delay,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight)
    }

    /// When the latest stage was complete; the start, before that.
    pub(super) fn progress_at(&self) -> Instant {
        self.completed.last().map_or(self.started, |(_, at)| *at)
    }

    pub(super) fn end(&mut self, state: State, now: Instant) {
        self.state = state;
        self.ended = Some(now);
    }
}
