//! The thread of a `HickoryResolver`: takes questions, answers each in a task of its own, and ends when it is dropped.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::servers::{Servers, View};
use super::{Settings, round};
use crate::dns::cache::{Cache, Caching};
use crate::dns::health::Health;
use crate::dns::resolver::Answers;
use crate::dns::{Answer, LookupError, Question};
use crate::wait;

/// How often a lookup looks whether it is still wanted.
const WANTED_INTERVAL: Duration = Duration::from_millis(250);

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
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (jobs, receiver) = unbounded_channel();
        let servers = Servers::new(settings.clone());
        let thread = thread::Builder::new().name("xmpp-connect-dns".to_owned()).spawn(move || {
            runtime.block_on(serve(servers, receiver));
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
            // A panic in it has been told to those who asked.
            let _ = thread.join();
        }
    }
}

/// What the lookups of one resolver share.
#[derive(Debug)]
pub(super) struct Shared {
    cache: Mutex<Cache>,
    health: Mutex<Health>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { cache: Mutex::new(Cache::new(Caching::On)), health: Mutex::default() }
    }
}

impl Shared {
    /// The answers that are kept.
    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which servers have been silent.
    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(mut servers: Servers, mut jobs: UnboundedReceiver<Job>) {
    let shared = Arc::new(Shared::default());
    while let Some((questions, answers)) = jobs.recv().await {
        let view = servers.current(&shared);
        for question in questions {
            let (view, shared, answers) = (view.clone(), Arc::clone(&shared), answers.clone());
            // A panic in a task of tokio ends the task: the question counts as failed.
            drop(tokio::spawn(answer(question, view, shared, answers)));
        }
    }
}

async fn answer(question: Question, view: View, shared: Arc<Shared>, answers: Answers) {
    if let Some(known) = view.hosts.answer(&question) {
        let _ = answers.send(question, Ok(known));
        return;
    }
    let known = shared.cache().answer(&question, wait::now());
    if let Some(known) = known {
        let _ = answers.send(question, Ok(known));
        return;
    }
    let generation = shared.cache().generation();
    let Some(result) = while_wanted(&question, &view, &shared, &answers).await else { return };
    if let Ok(found) = &result {
        shared.cache().store(generation, &question, found, wait::now());
    }
    let _ = answers.send(question, result);
}

/// Looks up as long as somebody waits: the drop of a lookup ends all that it has begun.
async fn while_wanted(
    question: &Question,
    view: &View,
    shared: &Shared,
    answers: &Answers,
) -> Option<Result<Answer, LookupError>> {
    let servers = match &view.servers {
        Ok(servers) => servers,
        Err(error) => return Some(Err(error.clone())),
    };
    let mut lookup = pin!(round::look_up(question, servers, shared));
    loop {
        match timeout(WANTED_INTERVAL, lookup.as_mut()).await {
            Ok(result) => return Some(result),
            Err(_) if answers.is_wanted() => {}
            Err(_) => return None,
        }
    }
}
