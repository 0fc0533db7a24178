//! The seam for a caller's own resolver: questions go out at once, answers are pushed back from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, AnswerSource, Finished, LookupError, LookupFacts, Question};
use crate::deadline::Deadline;
use crate::wait::Waker;

/// A resolver that replaces the built-in one: another protocol, another cache, fixed answers.
///
/// One that blocks in [`ask`](Self::ask) keeps everything correct, but for as long as it blocks nothing else of the
/// connect goes on, its time limits included. A panic in `ask` reaches the caller of connect; one in a thread of the
/// resolver drops the `answers` of that thread, which counts as failed.
///
/// ```
/// use std::net::Ipv4Addr;
/// use xmpp_connect::{Answer, Answers, Question, Record, RecordKind, Resolver};
///
/// /// Everything is at one address.
/// #[derive(Debug)]
/// struct OneAddress(Ipv4Addr);
///
/// impl Resolver for OneAddress {
///     fn ask(&self, questions: &[Question], answers: &Answers) {
///         for question in questions {
///             let records = match question.kind() {
///                 RecordKind::Ipv4 => vec![Record::Address(self.0.into())],
///                 _ => Vec::new(),
///             };
///             answers.send(question.clone(), Ok(Answer::new(records)));
///         }
///     }
/// }
/// ```
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Starts to answer the questions, which do not depend on each other; should return at once.
    ///
    /// Answers go to `answers` in any order, now or later, from any thread. When the last clone of `answers` is dropped,
    /// what is still open counts as failed.
    fn ask(&self, questions: &[Question], answers: &Answers);
}

/// One resolver for several connectors.
impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        (**self).ask(questions, answers);
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
    waker: Waker,
}

impl Answers {
    /// Sends the answer to a question. An answer without records says "none"; an error says that nobody knows.
    ///
    /// False when the answer is not waited for: it is late, or the question was not asked here or has been answered.
    pub fn send(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        let is_taken = lock(&self.0.batch).answer(question, result);
        if is_taken {
            self.0.waker.wake();
        }
        is_taken
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
        lock(&self.batch).fail("the given resolver did not answer");
        self.waker.wake();
    }
}

/// Questions that were asked together. It holds no more answers than there were questions, however many are sent.
#[derive(Debug)]
struct Batch {
    open: Vec<Question>,
    deadline: Deadline,
    done: VecDeque<Finished>,
}

impl Batch {
    fn answer(&mut self, question: Question, result: Result<Answer, LookupError>) -> bool {
        let Some(index) = self.open.iter().position(|open| *open == question) else { return false };
        self.open.swap_remove(index);
        self.done.push_back((question, result, FACTS));
        true
    }

    fn fail(&mut self, why: &str) {
        for question in self.open.drain(..) {
            let facts = LookupFacts { source: AnswerSource::Nobody, tries: 1 };
            self.done.push_back((question, Err(LookupError::new(why)), facts));
        }
    }

    fn wake_at(&self) -> Deadline {
        if self.open.is_empty() { Deadline::NEVER } else { self.deadline }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }

    fn close(&mut self) {
        self.open.clear();
        self.done.clear();
    }
}

fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The questions of one connect to a caller's resolver.
#[derive(Debug)]
pub(crate) struct Lookups {
    resolver: Arc<dyn Resolver>,
    waker: Waker,
    deadline: Deadline,
    lookup_limit: Duration,
    batches: Vec<Arc<Mutex<Batch>>>,
}

impl Lookups {
    /// No questions yet. `waker` ends the wait of the connect; `deadline` is the end of the connect.
    pub(crate) fn new(
        resolver: Arc<dyn Resolver>,
        waker: Waker,
        deadline: Deadline,
        lookup_limit: Duration,
    ) -> Self {
        Self { resolver, waker, deadline, lookup_limit, batches: Vec::new() }
    }

    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        let deadline = Deadline::after(now, self.lookup_limit);
        let batch = Batch { open: questions.to_vec(), deadline, done: VecDeque::new() };
        let batch = Arc::new(Mutex::new(batch));
        self.batches.push(Arc::clone(&batch));
        let deadline = self.deadline.min(deadline);
        let answers = Answers(Arc::new(Desk { batch, deadline, waker: self.waker.clone() }));
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
                batch.fail(&format!("no answer within {:?}", self.lookup_limit));
            }
        }
    }

    /// The next result that has come.
    pub(crate) fn take(&mut self) -> Option<Finished> {
        let finished = self.batches.iter().find_map(|batch| lock(batch).done.pop_front());
        if finished.is_none() {
            self.batches.retain(|batch| !lock(batch).is_over());
        }
        finished
    }
}

/// The resolver learns from its `answers` that nobody waits any more.
impl Drop for Lookups {
    fn drop(&mut self) {
        self.batches.iter().for_each(|batch| lock(batch).close());
    }
}

const FACTS: LookupFacts = LookupFacts { source: AnswerSource::Resolver, tries: 1 };
