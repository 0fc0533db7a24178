//! The loops of a connect and a discovery: do what the plan orders, wait, and report events to it. Decides nothing.

use std::net::TcpStream;

use crate::deadline::Deadline;
use crate::dial::AttemptId;
use crate::dial::attempt::{Dialer, Verified};
use crate::dial::attempts::AttemptSet;
use crate::dns::lookups::Lookups;
use crate::dns::stub::Unusable;
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::plan::{DiscoveryOrder, Order, Plan};
use crate::random::Random;
use crate::report::{Event, Report};
use crate::wait::{self, Flag, Ready, Wait, Wakeups};

pub(crate) use self::gateway::{FindProxy, Search};

mod gateway;

/// A function of the caller that is shown every event.
pub(crate) type Observer = dyn FnMut(&Event) + Send;

/// What a connect and a discovery work with.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a mut Plan,
    pub(crate) lookups: Lookups<'a>,
    pub(crate) random: Random,
    /// Wakes the wait when the caller's resolver answers.
    pub(crate) wakeups: Option<&'a Wakeups>,
    /// Raised when the caller cancels.
    pub(crate) cancelled: Option<&'a Flag>,
    pub(crate) observer: Option<&'a mut Observer>,
}

impl Run<'_> {
    /// Connects, over `given` if the caller has connected a stream.
    ///
    /// # Errors
    /// Why no connection was made.
    pub(crate) fn connect(
        mut self,
        dialer: Dialer<'_>,
        given: Option<TcpStream>,
    ) -> Result<(AttemptId, Verified, Report), Error> {
        let mut attempts = AttemptSet::new(dialer, given);
        loop {
            self.check_cancelled();
            // Before the plan goes on: if the observer panics here, a connection that is ready is not taken for one that the
            // caller has had.
            self.show_events();
            let mut now = wait::now();
            while let Some(order) = self.plan.poll(now) {
                self.show_events();
                match order {
                    Order::Ask(questions) => self.lookups.ask(&questions, now),
                    Order::Start { id, candidate, destination } => {
                        let failed = attempts.start(id, candidate, destination, now);
                        // The caller's dial function may have taken long.
                        now = wait::now();
                        if let Some(event) = failed {
                            self.plan.handle_attempt(id, event, now);
                        }
                    }
                    Order::Close(id) => attempts.close(id),
                    Order::Connected(id, report) => {
                        let verified = attempts.into_verified(id);
                        let verified = verified.ok_or_else(|| {
                            Error::new(ErrorKind::System, "the connection was closed before it was returned")
                        });
                        return Ok((id, verified?, report));
                    }
                    Order::Failed(error) => {
                        attempts.give_up();
                        self.lookups.forget_used();
                        return Err(error);
                    }
                }
            }
            self.show_events();
            if self.lacks_something() {
                continue;
            }
            let wake_at = self.plan.wake_at(now).min(attempts.wake_at());
            let Some(ready) = self.wait(wake_at, Some(&attempts)) else { continue };
            for (id, event) in attempts.advance(&ready, wait::now()) {
                self.plan.handle_attempt(id, event, wait::now());
            }
        }
    }

    /// Finds the servers without connecting.
    ///
    /// # Errors
    /// Why they cannot be found.
    pub(crate) fn discover(mut self) -> Result<Box<Report>, Error> {
        loop {
            self.check_cancelled();
            let now = wait::now();
            while let Some(order) = self.plan.poll_discovery(now) {
                self.show_events();
                match order {
                    DiscoveryOrder::Ask(questions) => self.lookups.ask(&questions, now),
                    DiscoveryOrder::Finished(result) => {
                        return result.inspect_err(|_| self.lookups.forget_used());
                    }
                }
            }
            if !self.lacks_something() {
                self.wait(self.plan.total(), None);
            }
        }
    }

    fn show_events(&mut self) {
        show_events(self.plan, self.observer.as_deref_mut());
    }

    fn check_cancelled(&mut self) {
        if self.cancelled.is_some_and(Flag::is_raised) {
            self.plan.handle_cancel();
        }
    }

    /// Whether this machine lacks sockets, name servers or random numbers; if so, informs the plan.
    fn lacks_something(&mut self) -> bool {
        if let Some(error) = self.lookups.take_exhaustion() {
            self.plan.handle_exhaustion(Error::system("this machine has run out of sockets", error));
            return true;
        }
        if let Some(error) = self.lookups.take_unusable() {
            let kind = match error {
                // The system may know others later, for example when it has joined a network.
                Unusable::NoServers(_) => ErrorKind::Lookup,
                Unusable::Refused(_) => ErrorKind::Configuration,
            };
            self.plan.handle_system_failure(Error::new(kind, error.to_string()));
            return true;
        }
        if self.random.has_failed() {
            self.plan.handle_system_failure(no_random_numbers());
            return true;
        }
        false
    }

    /// Waits until `wake_at` or until something has happened, and reports answers to the plan. Returns the sockets that are ready; `None` if waiting fails, which is reported to the plan.
    fn wait(&mut self, wake_at: Deadline, attempts: Option<&AttemptSet<'_>>) -> Option<Ready> {
        let mut wait = Wait::until(wake_at.min(self.lookups.wake_at()));
        if let Some(wakeups) = self.wakeups {
            wakeups.register(&mut wait);
        }
        if let Some(cancelled) = self.cancelled {
            cancelled.register(&mut wait);
        }
        self.lookups.register(&mut wait);
        if let Some(attempts) = attempts {
            attempts.register(&mut wait);
        }
        let ready = match wait.wait() {
            Ok(ready) => ready,
            Err(error) => {
                self.plan.handle_system_failure(Error::system("cannot wait for sockets", error));
                return None;
            }
        };
        // Before the answers are taken: a wake-up that arrives from now on is for the next wait.
        if let Some(wakeups) = self.wakeups {
            wakeups.drain();
        }
        let now = wait::now();
        self.lookups.advance(&ready, now);
        while let Some((question, result, facts)) = self.lookups.take() {
            self.plan.handle_answer(&question, result, facts, now);
        }
        Some(ready)
    }
}

/// Shows the events since the last call to the log and the caller.
pub(crate) fn show_events(plan: &mut Plan, mut observer: Option<&mut Observer>) {
    for event in plan.take_events() {
        logging::debug(format_args!("{event}"));
        if let Some(observer) = &mut observer {
            observer(event);
        }
    }
}

/// Without random numbers, DNS answers cannot be protected from forgery, and the order cannot be drawn.
pub(crate) fn no_random_numbers() -> Error {
    Error::new(ErrorKind::System, "the operating system provides no random numbers")
}
