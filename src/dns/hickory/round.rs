//! One question to several name servers: who is asked when, and whose answer counts (spec H3).

use std::sync::Arc;
use std::time::Instant;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout_at;

use super::lookup;
use super::servers::NameServer;
use crate::deadline::Deadline;
use crate::dns::stub::state::ResolverState;
use crate::dns::{Answer, LookupError, Question};
use crate::limits::{EARLIER_SERVER_DELAY, TRY_DELAY};
use crate::wait;

/// Asks the servers until one has an answer that counts.
///
/// # Errors
/// When every server has failed.
pub(super) async fn look_up(
    question: &Question,
    servers: &[NameServer],
    state: &ResolverState,
) -> Result<Answer, LookupError> {
    let order =
        state.with_health(|health| health.order(servers.iter().map(|server| server.address), wait::now()));
    let ordered = order.iter().filter_map(|address| servers.iter().find(|server| server.address == *address));
    let mut round = Round::new(question, ordered.cloned().collect());
    round.ask_next();
    loop {
        let result = match round.wake_at().at() {
            Some(at) => timeout_at(at.into(), round.running.join_next_with_id()).await,
            None => Ok(round.running.join_next_with_id().await),
        };
        match result {
            Ok(Some(joined)) => round.handle(joined, state),
            // It cannot be that nobody is asked and nothing counts; it would be a loop without an end.
            Ok(None) => return Err(LookupError::new("no name server is left to ask")),
            Err(_) => round.handle_time(),
        }
        if let Some(result) = round.result() {
            round.note_silence(state);
            return result;
        }
    }
}

/// The servers that are asked one question.
struct Round {
    question: Arc<Question>,
    tries: Vec<Try>,
    running: JoinSet<Result<Answer, LookupError>>,
}

/// What became of one server.
struct Try {
    server: NameServer,
    state: State,
}

enum State {
    Waiting,
    Asked { task: Id, at: Instant },
    Answered(Answer),
    Failed(LookupError),
}

impl Round {
    fn new(question: &Question, servers: Vec<NameServer>) -> Self {
        let tries = servers.into_iter().map(|server| Try { server, state: State::Waiting });
        Self { question: Arc::new(question.clone()), tries: tries.collect(), running: JoinSet::new() }
    }

    fn ask_next(&mut self) {
        let waiting = self.tries.iter_mut().find(|one| matches!(one.state, State::Waiting));
        let Some(one) = waiting else { return };
        let (server, question) = (one.server.clone(), Arc::clone(&self.question));
        let task = self.running.spawn(async move { lookup::look_up(&server, &question).await }).id();
        one.state = State::Asked { task, at: wait::now() };
    }

    /// A server is done.
    fn handle(
        &mut self,
        joined: Result<(Id, Result<Answer, LookupError>), JoinError>,
        state: &ResolverState,
    ) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, result),
            Err(error) => {
                (error.id(), Err(LookupError::new("the resolver has failed: a fault of this program")))
            }
        };
        let asked =
            self.tries.iter_mut().find(|one| matches!(one.state, State::Asked { task, .. } if task == id));
        let Some(one) = asked else { return };
        match result {
            Ok(answer) => {
                state.with_health(|health| health.handle_answer(one.server.address, wait::now()));
                one.state = State::Answered(answer);
            }
            Err(error) => {
                let server = one.server.address;
                one.state = State::Failed(LookupError::new(format!("{server}: {error}")));
                self.ask_next();
            }
        }
    }

    /// A second has gone by.
    fn handle_time(&mut self) {
        if self.next_at().is_over(wait::now()) {
            self.ask_next();
        }
    }

    /// When the next server is asked beside those that are silent.
    fn next_at(&self) -> Deadline {
        if !self.tries.iter().any(|one| matches!(one.state, State::Waiting)) {
            return Deadline::NEVER;
        }
        self.asked().max().map_or(Deadline::NEVER, |last| Deadline::after(last, TRY_DELAY))
    }

    fn asked(&self) -> impl Iterator<Item = Instant> {
        self.tries.iter().filter_map(|one| match one.state {
            State::Asked { at, .. } => Some(at),
            State::Waiting | State::Answered(_) | State::Failed(_) => None,
        })
    }

    /// When something is to be done without an answer.
    fn wake_at(&self) -> Deadline {
        let held = self.tries.iter().position(|one| matches!(one.state, State::Answered(_)));
        held.and_then(|index| self.held_until(index)).unwrap_or(Deadline::NEVER).min(self.next_at())
    }

    /// Until when a negative answer of the server at `index` waits for those before it; `None` when it need not.
    fn held_until(&self, index: usize) -> Option<Deadline> {
        let earlier = self.tries.iter().take(index).filter_map(|one| match one.state {
            State::Asked { at, .. } => Some(Deadline::after(at, EARLIER_SERVER_DELAY)),
            State::Waiting | State::Answered(_) | State::Failed(_) => None,
        });
        earlier.max()
    }

    /// The answer that counts, or the failure of all.
    fn result(&mut self) -> Option<Result<Answer, LookupError>> {
        let now = wait::now();
        let counts = |index: usize, one: &Try| match &one.state {
            State::Answered(answer) => {
                !answer.records().is_empty() || self.held_until(index).is_none_or(|until| until.is_over(now))
            }
            State::Waiting | State::Asked { .. } | State::Failed(_) => false,
        };
        let counting = self.tries.iter().enumerate().find(|(index, one)| counts(*index, one));
        if let Some((_, Try { state: State::Answered(answer), .. })) = counting {
            return Some(Ok(answer.clone()));
        }
        let failures = self.tries.iter().map(|one| match &one.state {
            State::Failed(error) => Some(error.message()),
            State::Waiting | State::Asked { .. } | State::Answered(_) => None,
        });
        let failures = failures.collect::<Option<Vec<_>>>()?;
        Some(Err(LookupError::new(failures.join("; "))))
    }

    /// "A server that timed out goes last for 30 s" (spec H3).
    fn note_silence(&self, state: &ResolverState) {
        let now = wait::now();
        for one in &self.tries {
            match one.state {
                State::Asked { at, .. } if Deadline::after(at, TRY_DELAY).is_over(now) => {
                    state.with_health(|health| health.handle_silence(one.server.address, at, now));
                }
                State::Asked { .. } | State::Waiting | State::Answered(_) | State::Failed(_) => {}
            }
        }
    }
}
