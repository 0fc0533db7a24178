//! The time line of one attempt: its stages, and where it stands. No IO.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::race::Entry;
use super::{AttemptError, Stage};
use crate::discovery::order::Group;
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
    pub(crate) ended: Option<Instant>,
    pub(crate) state: State,
    /// Whether it was abandoned to make room for another.
    pub(super) is_displaced: bool,
    pub(super) group: Group,
    pub(super) host: Host,
    pub(super) tls: TlsMode,
    /// How long it may go without completing a stage before another one starts beside it.
    pub(super) delay: Duration,
}

impl Attempt {
    /// An attempt that starts now, with the TCP stage.
    pub(super) fn start(
        entry: &Entry,
        group: Group,
        address: SocketAddr,
        delay: Duration,
        now: Instant,
    ) -> Self {
        Self {
            candidate: entry.candidate,
            address,
            started: now,
            stage: Stage::Tcp,
            completed: Vec::new(),
            ended: None,
            state: State::InFlight,
            is_displaced: false,
            group,
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
