//! One attempt of a race. No IO.

use std::time::Duration;

use crate::dial::{Destination, Stage};
use crate::discovery::order::Group;
use crate::report::{AttemptOutcome, AttemptReport};
use crate::starttls::Step;

/// One attempt.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) report: AttemptReport,
    /// The group that it was started in.
    pub(super) group: Group,
    /// The number of its host.
    pub(super) target: usize,
    /// The step of its STARTTLS negotiation, if it is in one.
    pub(super) step: Option<Step>,
    /// How long it may go without completing a stage before another one starts in parallel.
    pub(super) delay: Duration,
    /// Whether its address is known to be dead.
    pub(super) is_known_dead: bool,
    /// Whether it was abandoned to start another.
    pub(super) is_displaced: bool,
}

impl Runner {
    /// An attempt that starts.
    pub(super) fn new(candidate: usize, destination: Destination, started: Duration) -> Self {
        Self {
            report: AttemptReport {
                candidate,
                destination,
                started,
                ended: started,
                completed: Vec::new(),
                repeats: Vec::new(),
                certificate: None,
                is_unoffered: false,
                stage: Stage::Tcp,
                outcome: AttemptOutcome::InFlight,
            },
            group: Group::default(),
            target: 0,
            step: None,
            delay: Duration::ZERO,
            is_known_dead: false,
            is_displaced: false,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.report.outcome, AttemptOutcome::InFlight)
    }

    /// When its latest stage was completed, or when it started; measured from the start of the connect.
    pub(super) fn progress(&self) -> Duration {
        self.report.completed.last().map_or(self.report.started, |(_, at)| *at)
    }

    pub(super) fn end(&mut self, outcome: AttemptOutcome, at: Duration) {
        self.report.outcome = outcome;
        self.report.ended = at;
    }
}
