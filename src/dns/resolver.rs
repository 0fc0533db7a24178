//! The seam for a caller's own resolver: questions go out at once, answers are pushed back from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, AnswerSource, Finished, LookupError, LookupFacts, Question};
use crate::deadline::{Deadline, Seconds};
use crate::wait::Waker;

/// A resolver that replaces the built-in one: another protocol, another cache, fixed answers.
///
/// One that blocks in [`ask`](Self::ask) keeps everything correct, but for as long as it blocks nothing else of the
/// connect goes on, its time limits included. A panic in `ask` reaches the caller of connect; one in a thread of the
/// resolver drops the `answers` of that thread, which counts as failed.
///
/// ```
/// use std::net::Ipv4Addr;
/// use xmpp_connect::dns::{Answer, Answers, LookupError, Question, Record, RecordKind, Resolver};
///
/// /// Everything is at one address.
/// #[derive(Debug)]
/// struct OneAddress(Ipv4Addr);
///
/// impl Resolver for OneAddress {
///     fn ask(&self, questions: &[Question], answers: &Answers) {
///         for question in questions {
///             let result = match question.kind() {
///                 RecordKind::Ipv4 => Ok(Answer::new(vec![Record::Address(self.0.into())])),
///                 RecordKind::Ipv6 | RecordKind::Srv => Ok(Answer::new(Vec::new())),
///                 kind => Err(LookupError::new(format!("{kind} records are not supported"))),
///             };
///             answers.send(question.clone(), result);
///         }
///     }
/// }
/// ```
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Starts to answer the questions, which do not depend on each other; should return at once.
    ///
    /// Answers go to `answers` in any order, now or later, from any thread. When the last clone of `answers` is dropped,
    /// what is still open counts as failed.
    ///
    /// A kind of record that the resolver does not know is answered with an error. An answer without records would say
    /// that there are none: [`RecordKind`](super::RecordKind) grows, and "none" means something for every kind.
    fn ask(&self, questions: &[Question], answers: &Answers);

    /// A connect has ended without a connection, and these are the questions whose answers it had: they may be why. A
    /// resolver with a cache removes them from it, so that the next connect does not fail for the same reason. Default:
    /// does nothing.
    fn forget(&self, _questions: &[Question]) {}

    /// [`Connector::clear_cache`](crate::Connector::clear_cache) was called: a resolver with a cache empties it. Default:
    /// does nothing.
    fn clear_cache(&self) {}
}

/// One resolver for several connectors.
impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        (**self).ask(questions, answers);
    }

    fn forget(&self, questions: &[Question]) {
        (**self).forget(questions);
    }

    fn clear_cache(&self) {
        (**self).clear_cache();
    }
}

/// Where a [`Resolver`] sends its answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Answers(Arc<Desk>);

/// What the clones of one [`Answers`] share. Its drop is the drop of the last clone.
#[derive(Debug)]
struct Desk {
    batch: Arc<Mutex<Batch>>,
    deadline: Deadline,
}

impl Answers {
    /// Sends the answer to a question. An answer without records says "none"; an error says that nobody knows.
    ///
    /// False when the answer is not waited for: it is late, or the question was not asked here or has been answered.
    pub fn send(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        lock(&self.0.batch).answer(question, result)
    }

    /// When the answers are needed at the latest: the end of the lookup limit or of the connect; `None`: no limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.at()
    }

    /// Whether any of the answers is still waited for.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !lock(&self.0.batch).open.is_empty()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Nobody is left who could answer.
        let mut batch = lock(&self.batch);
        batch.fail("the given resolver did not answer");
        batch.wake();
    }
}

/// Questions that were asked together. It holds no more answers than there were questions, however many are sent.
#[derive(Debug)]
struct Batch {
    open: Vec<Question>,
    deadline: Deadline,
    done: VecDeque<Finished>,
    /// Ends the wait of the connect. It holds a descriptor, and a resolver may keep its `Answers` for ever: when nothing
    /// more can come, it is taken away.
    waker: Option<Waker>,
}

impl Batch {
    fn answer(&mut self, question: Question, result: Result<Answer, LookupError>) -> bool {
        let Some(index) = self.open.iter().position(|open| *open == question) else { return false };
        self.open.swap_remove(index);
        self.done.push_back((question, result, FACTS));
        self.wake();
        true
    }

    fn fail(&mut self, why: &str) {
        for question in self.open.drain(..) {
            let facts = LookupFacts { source: AnswerSource::Nobody, tries: 1 };
            self.done.push_back((question, Err(LookupError::new(why)), facts));
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    fn wake_at(&self) -> Deadline {
        if self.open.is_empty() { Deadline::NEVER } else { self.deadline }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }

    fn close(&mut self) {
        *self = Self { open: Vec::new(), deadline: self.deadline, done: VecDeque::new(), waker: None };
    }
}

fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The questions of one connect to a caller's resolver.
#[derive(Debug)]
pub(crate) struct ResolverLookups {
    resolver: Arc<dyn Resolver>,
    waker: Waker,
    deadline: Deadline,
    lookup_limit: Duration,
    batches: Vec<Arc<Mutex<Batch>>>,
    /// The questions that were answered.
    used: Vec<Question>,
}

impl ResolverLookups {
    /// No questions yet. `waker` ends the wait of the connect; `deadline` is the end of the connect.
    pub(crate) fn new(
        resolver: Arc<dyn Resolver>,
        waker: Waker,
        deadline: Deadline,
        lookup_limit: Duration,
    ) -> Self {
        Self { resolver, waker, deadline, lookup_limit, batches: Vec::new(), used: Vec::new() }
    }

    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        let deadline = Deadline::after(now, self.lookup_limit);
        let waker = Some(self.waker.clone());
        let batch = Batch { open: questions.to_vec(), deadline, done: VecDeque::new(), waker };
        let batch = Arc::new(Mutex::new(batch));
        self.batches.push(Arc::clone(&batch));
        let answers = Answers(Arc::new(Desk { batch, deadline: self.deadline.min(deadline) }));
        self.resolver.ask(questions, &answers);
    }

    /// When the limit of the next lookup is reached.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.batches.iter().map(|batch| lock(batch).wake_at()).min().unwrap_or(Deadline::NEVER)
    }

    /// Ends the lookups whose limit is reached.
    pub(crate) fn expire(&mut self, now: Instant) {
        for batch in &self.batches {
            let mut batch = lock(batch);
            if batch.deadline.is_over(now) {
                batch.fail(&format!("no answer within {}", Seconds(self.lookup_limit)));
            }
        }
    }

    /// The next result that has come.
    pub(crate) fn take(&mut self) -> Option<Finished> {
        let finished = self.batches.iter().find_map(|batch| lock(batch).done.pop_front());
        match &finished {
            Some((question, Ok(_), _)) => self.used.push(question.clone()),
            Some((_, Err(_), _)) => {}
            None => self.batches.retain(|batch| {
                let mut batch = lock(batch);
                let is_over = batch.is_over();
                if is_over {
                    batch.close();
                }
                !is_over
            }),
        }
        finished
    }

    /// The connect ends without a connection.
    pub(crate) fn forget_used(&mut self) {
        self.resolver.forget(&std::mem::take(&mut self.used));
    }
}

/// The resolver learns from its `answers` that nobody waits any more.
impl Drop for ResolverLookups {
    fn drop(&mut self) {
        self.batches.iter().for_each(|batch| lock(batch).close());
    }
}

const FACTS: LookupFacts = LookupFacts { source: AnswerSource::Resolver, tries: 1 };
