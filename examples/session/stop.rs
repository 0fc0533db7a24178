//! The wish of the user or the system to end the program: Ctrl-C (SIGINT) and SIGTERM.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A wish to stop, that all threads see and that wakes what waits.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Default)]
struct State {
    is_raised: bool,
    /// Wakes what is waiting at the moment.
    wake: Option<Box<dyn Fn() + Send>>,
}

impl Stop {
    /// Creates one that is raised by the first SIGINT or SIGTERM. The second signal ends the program at once.
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "the library starts no thread, but a program may")]
    pub(crate) fn on_signals() -> io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};

        let stop = Self::default();
        let raised = stop.clone();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        std::thread::spawn(move || {
            for (index, signal) in signals.forever().enumerate() {
                if index > 0 {
                    std::process::exit(128 + signal);
                }
                raised.raise();
            }
        });
        Ok(stop)
    }

    #[cfg(not(unix))]
    pub(crate) fn on_signals() -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn raise(&self) {
        let state = &mut *self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_raised = true;
        self.0.raised.notify_all();
        if let Some(wake) = &state.wake {
            wake();
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).is_raised
    }

    /// Sets what to call when it is raised, instead of what was set before; it is called at once if that has happened
    /// already.
    pub(crate) fn wake_by(&self, wake: impl Fn() + Send + 'static) {
        let state = &mut *self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_raised {
            wake();
        }
        state.wake = Some(Box::new(wake));
    }

    /// Sleeps until the time is over, or until it is raised.
    pub(crate) fn sleep(&self, time: Duration) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.raised.wait_timeout_while(state, time, |state| !state.is_raised));
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stop").field("is_raised", &self.is_raised()).finish()
    }
}
