//! The one loop: carries out what the plan orders, waits, and tells the plan what happened. Decides nothing.

use std::net::TcpStream;

use crate::dial::AttemptId;
use crate::dial::attempt::{Attempts, Dialer, Verified};
use crate::dns::lookups::Lookups;
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::plan::{Order, Outcome, Plan};
use crate::random::Random;
use crate::report::Report;
use crate::wait::{self, Wait, Wakeups};

/// What one connect works with.
pub(crate) struct Run<'a> {
    pub(crate) plan: Plan,
    pub(crate) lookups: Lookups<'a>,
    pub(crate) dialer: Dialer<'a>,
    pub(crate) random: Random,
    /// Who may wake or cancel the wait, where anybody may.
    pub(crate) wakeups: Option<&'a Wakeups>,
    /// The stream that the caller has connected, where there is one.
    pub(crate) given: Option<TcpStream>,
}

/// What a connect comes to.
pub(crate) enum Finished {
    Connected(Box<Verified>, Report),
    Discovered(Report),
}

impl Run<'_> {
    /// Goes round until the plan says that it is over.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) fn finish(self) -> Result<Finished, Error> {
        let Run { mut plan, mut lookups, dialer, random, wakeups, given } = self;
        let mut attempts = Attempts::new(dialer, given);
        loop {
            let now = wait::now();
            while let Some(order) = plan.poll(now) {
                match order {
                    Order::Ask(questions) => lookups.ask(&questions, now),
                    Order::Start { id, candidate, address } => {
                        logging::debug(format_args!("attempt {}: {candidate} at {address}", id.0 + 1));
                        if let Some(event) = attempts.start(id, candidate, address) {
                            plan.handle_attempt(id, event, now);
                        }
                    }
                    Order::Close(id) => attempts.close(id),
                    Order::Finished(outcome) => return end(outcome, attempts, &mut lookups),
                }
            }
            if lacks_something(&mut plan, &mut lookups, &random) {
                continue;
            }
            let mut wait = Wait::until(plan.wake_at(now).min(lookups.wake_at()).min(attempts.wake_at()));
            if let Some(wakeups) = wakeups {
                wakeups.register(&mut wait);
            }
            lookups.register(&mut wait);
            attempts.register(&mut wait);
            let ready = match wait.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    plan.handle_system_failure(Error::system("cannot wait for sockets", error));
                    continue;
                }
            };

            // Before the answers are looked at: a wake-up that comes from now on is for the next wait.
            if let Some(wakeups) = wakeups {
                wakeups.drain();
            }
            let now = wait::now();
            lookups.advance(&ready, now);
            while let Some((question, result, facts)) = lookups.take() {
                plan.handle_answer(&question, result, facts, now);
            }
            for (id, event) in attempts.advance(&ready, now) {
                logging::debug(format_args!("attempt {}: {event:?}", id.0 + 1));
                plan.handle_attempt(id, event, now);
            }
            if wakeups.is_some_and(Wakeups::is_cancelled) {
                plan.handle_cancel();
            }
        }
    }
}

/// Whether this machine lacks something that a connect needs; the plan then knows.
fn lacks_something(plan: &mut Plan, lookups: &mut Lookups<'_>, random: &Random) -> bool {
    if let Some(error) = lookups.take_exhaustion() {
        plan.handle_exhaustion(Error::system("this machine has no more sockets", error));
        return true;
    }
    if random.has_failed() {
        plan.handle_system_failure(no_random_numbers());
        return true;
    }
    false
}

/// Without random numbers neither DNS answers can be told from forged ones, nor the order be drawn.
pub(crate) fn no_random_numbers() -> Error {
    Error::new(ErrorKind::System, "the operating system gives no random numbers")
}

fn end(outcome: Outcome, attempts: Attempts<'_>, lookups: &mut Lookups<'_>) -> Result<Finished, Error> {
    match outcome {
        Outcome::Connected(id, report) => connected(id, attempts, report),
        Outcome::Discovered(report) => Ok(Finished::Discovered(report)),
        Outcome::Failed(error) => {
            attempts.forget_sessions();
            lookups.forget_used();
            Err(error)
        }
    }
}

fn connected(id: AttemptId, attempts: Attempts<'_>, report: Report) -> Result<Finished, Error> {
    let verified = attempts.into_verified(id);
    verified.map(|verified| Finished::Connected(Box::new(verified), report)).ok_or_else(|| {
        Error::new(ErrorKind::System, "the attempt that has won has no connection: a fault of this crate")
    })
}
