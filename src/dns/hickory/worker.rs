//! The thread of a `HickoryResolver`: takes questions, answers each in a task of its own, and ends when it is dropped.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::servers::{Servers, View};
use super::{HickoryOptions, lookup};
use crate::deadline::Deadline;
use crate::dns::resolver::Answers;
use crate::dns::stub::hosts_file::{HostsFile, Said};
use crate::dns::stub::state::ResolverState;
use crate::dns::{Answer, LookupError, Question, RecordKind};
use crate::limits::WANTED_INTERVAL;
use crate::wait;

/// How much of the hosts file is read before others have their turn.
const PIECE: usize = 8 * 1024;

/// Questions that were asked together.
type Job = (Vec<Question>, Answers);

/// The thread. Dropping it ends it, whatever it is doing.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// # Errors
    /// What the operating system says.
    pub(super) fn start(options: &HickoryOptions, state: &Arc<ResolverState>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (jobs, receiver) = unbounded_channel();
        let state = Arc::clone(state);
        let servers = Servers::new(options.clone(), Arc::clone(&state));
        let thread = thread::Builder::new().name("xmpp-connect-dns".to_owned()).spawn(move || {
            runtime.block_on(serve(servers, &state, receiver));
            // The tasks that still run are dropped with the runtime.
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Whether the thread still takes questions.
    pub(super) fn is_running(&self) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| !jobs.is_closed())
    }

    /// Hands the questions over. When the thread is ending, the drop of `answers` says so.
    pub(super) fn ask(&self, questions: &[Question], answers: &Answers) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send((questions.to_vec(), answers.clone()));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Those who asked know of a panic in it.
            let _ = thread.join();
        }
    }
}

async fn serve(mut servers: Servers, state: &Arc<ResolverState>, mut jobs: UnboundedReceiver<Job>) {
    while let Some((questions, answers)) = jobs.recv().await {
        let view = servers.current();
        for question in questions {
            let (view, state, answers) = (view.clone(), Arc::clone(state), answers.clone());
            // A panic in a task of tokio ends the task: the question counts as failed.
            drop(tokio::spawn(answer(question, view, state, answers)));
        }
    }
}

async fn answer(question: Question, view: View, state: Arc<ResolverState>, answers: Answers) {
    if let Some(result) = result(&question, &view, &state, &answers).await {
        let _ = answers.send(question, result);
    }
}

/// The result; `None` when nobody waits for it any longer.
async fn result(
    question: &Question,
    view: &View,
    state: &ResolverState,
    answers: &Answers,
) -> Option<Result<Answer, LookupError>> {
    let mut hosts = HostsFile::new(state.system.hosts().map(Path::to_owned));
    loop {
        match hosts.answer(question) {
            Said::Answer(known) => return Some(Ok(known)),
            Said::Nothing => break,
            Said::NotYet if !answers.is_wanted() => return None,
            Said::NotYet => {}
        }
        if let Err(error) = hosts.advance(&mut vec![0; PIECE]) {
            return Some(Err(LookupError::new(format!("cannot read the hosts file ({error})"))));
        }
        yield_now().await;
    }
    let (known, generation) =
        state.with_cache(|cache| (cache.answer(question, wait::now()), cache.generation()));
    if let Some(known) = known {
        return Some(Ok(known));
    }
    let result = while_wanted(question, view, state, answers).await?;
    Some(match result {
        Ok(mut found) => {
            if question.kind() == RecordKind::Srv {
                hosts.check_hints(&mut found, &mut vec![0; PIECE]);
            }
            state.with_cache(|cache| cache.store(generation, question, &found, wait::now()));
            Ok(found)
        }
        Err(error) => Err(match &view.problem {
            Some(problem) => LookupError::new(format!("{error}; {problem}")),
            None => error,
        }),
    })
}

/// Looks up as long as somebody waits: the drop of a lookup ends all that it has begun.
async fn while_wanted(
    question: &Question,
    view: &View,
    state: &ResolverState,
    answers: &Answers,
) -> Option<Result<Answer, LookupError>> {
    let servers = match &view.servers {
        Ok(servers) => servers,
        Err(error) => return Some(Err(error.clone())),
    };
    let deadline = answers.deadline().map_or(Deadline::NEVER, Deadline::from);
    let mut result = pin!(lookup::look_up(question, servers, view.rounds, deadline, state));
    loop {
        match timeout(WANTED_INTERVAL, result.as_mut()).await {
            Ok(result) => return Some(result),
            Err(_) if answers.is_wanted() => {}
            Err(_) => return None,
        }
    }
}
