//! The end of a check before its time: Ctrl-C, or the time limit. Everything that waits looks here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use xmpp_connect::Canceller;

/// Ends a check. Clones are of the same check.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    limit: Duration,
    /// What to cancel; `None` once it was stopped.
    in_progress: Mutex<Option<Vec<Canceller>>>,
}

impl Stop {
    /// The time limit begins now.
    pub(crate) fn after(limit: Duration) -> Self {
        let in_progress = Mutex::new(Some(Vec::new()));
        Self(Arc::new(State { started: Instant::now(), limit, in_progress }))
    }

    /// Ends the check at once.
    pub(crate) fn now(&self) {
        let mut in_progress = self.0.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        in_progress.take().into_iter().flatten().for_each(|canceller| canceller.cancel());
    }

    /// Whether the check is to end.
    pub(crate) fn is_set(&self) -> bool {
        let in_progress = self.0.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        in_progress.is_none() || self.0.started.elapsed() >= self.0.limit
    }

    /// Sees to it that `canceller` is used when the check is stopped.
    pub(crate) fn cancels(&self, canceller: Canceller) {
        let mut in_progress = self.0.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *in_progress {
            Some(list) => list.push(canceller),
            None => canceller.cancel(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.0.limit.saturating_sub(self.0.started.elapsed())
    }
}
