//! One question to the name servers of a `HickoryResolver`, by the schedule of the stub resolver (rule H3).

use std::future::pending;
use std::time::Instant;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout_at;

use super::exchange;
use super::servers::NameServer;
use crate::deadline::Deadline;
use crate::dns::message::{Chain, QueryOutcome};
use crate::dns::stub::schedule::{LookupOrder, Resolved, Rounds, Schedule, Try};
use crate::dns::stub::state::ResolverState;
use crate::dns::{Answer, AnswerSource, LookupError, Question};
use crate::wait;

/// Asks the servers, and again for what CNAMEs lead to.
///
/// # Errors
/// When every server has failed, or `deadline` is over.
pub(super) async fn look_up(
    question: &Question,
    servers: &[NameServer],
    rounds: Rounds,
    deadline: Deadline,
    state: &ResolverState,
) -> Result<Answer, LookupError> {
    let mut chain = Chain::new(question.name());
    loop {
        let order = state
            .with_health(|health| health.order(servers.iter().map(|server| server.address), wait::now()));
        let servers =
            order.iter().filter_map(|address| servers.iter().find(|server| server.address == *address));
        let servers = servers.cloned().collect();
        match follow(chain, question, servers, rounds, deadline, state).await? {
            Followed::Answered(answer) => return Ok(answer),
            Followed::Alias(next) => chain = next,
        }
    }
}

/// A try and what came of it.
type Tried = (Try, QueryOutcome);

enum Followed {
    Answered(Answer),
    Alias(Chain),
}

/// Asks `servers`, in this order, for the end of `chain`.
async fn follow(
    chain: Chain,
    question: &Question,
    servers: Vec<NameServer>,
    rounds: Rounds,
    deadline: Deadline,
    state: &ResolverState,
) -> Result<Followed, LookupError> {
    let mut schedule = Schedule::new(servers.len(), rounds, deadline, wait::now());
    let mut tries = JoinSet::new();
    loop {
        let now = wait::now();
        note_silence(schedule.silent(now), &servers, state, now);
        while let Some(order) = schedule.poll(now) {
            match order {
                LookupOrder::Ask(attempt) => {
                    let Some(server) = servers.get(attempt.server).cloned() else { continue };
                    let (chain, kind) = (chain.clone(), question.kind());
                    tries.spawn(async move { (attempt, exchange::ask(&server, chain, kind).await) });
                }
                LookupOrder::Finished(result) => {
                    return result.map(|resolved| Followed::Answered(resolved.answer));
                }
                LookupOrder::TimedOut => {
                    note_silence(schedule.unanswered(), &servers, state, now);
                    return Err(LookupError::new("no answer in time"));
                }
            }
        }
        let Some(tried) = next_of(&mut tries, schedule.wake_at()).await else { continue };
        // A panic in one is printed where it happens.
        let (attempt, outcome) =
            tried.map_err(|_| LookupError::new("the resolver has failed: a fault of this program"))?;
        let Some(server) = servers.get(attempt.server) else { continue };
        if !matches!(outcome, QueryOutcome::Failure(_)) {
            state.with_health(|health| health.handle_answer(server.address, wait::now()));
        }
        if let Some(why) = outcome.failure() {
            schedule.handle_failure(attempt, format!("{}: {why}", server.address), wait::now());
        }
        match outcome {
            QueryOutcome::Answer(answer) => {
                let source = AnswerSource::Resolver;
                schedule.handle_answer(attempt.server, Resolved { answer, source });
            }
            QueryOutcome::Alias(chain) => return Ok(Followed::Alias(chain)),
            QueryOutcome::Ignored
            | QueryOutcome::Truncated
            | QueryOutcome::NoEdns(_)
            | QueryOutcome::ServerFailure(_)
            | QueryOutcome::Malformed(_)
            | QueryOutcome::Failure(_) => {}
        }
    }
}

/// What comes of the next try that ends; `None` when `until` is over first.
async fn next_of(tries: &mut JoinSet<Tried>, until: Deadline) -> Option<Result<Tried, JoinError>> {
    let next = async {
        match tries.join_next().await {
            Some(tried) => tried,
            None => pending().await,
        }
    };
    match until.at() {
        Some(at) => timeout_at(at.into(), next).await.ok(),
        None => Some(next.await),
    }
}

/// Notes which servers have not answered, so that they are asked last from now on.
fn note_silence(
    silent: impl Iterator<Item = (usize, Instant)>,
    servers: &[NameServer],
    state: &ResolverState,
    now: Instant,
) {
    for (index, asked) in silent {
        if let Some(server) = servers.get(index) {
            state.with_health(|health| health.handle_silence(server.address, asked, now));
        }
    }
}
