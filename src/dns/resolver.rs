//! The trait for a caller's own resolver: questions go out at once, answers are pushed back from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::{Answer, AnswerSource, Finished, LookupError, LookupFacts, Question};
use crate::deadline::{Deadline, Seconds};
use crate::wait::{self, Waker};

/// A resolver that replaces the built-in one: with another protocol, another cache, or fixed answers.
///
/// Blocking in [`ask`](Self::ask) is allowed, but nothing else of the connect makes progress meanwhile, and its time limits
/// are not enforced. A panic in `ask` reaches the caller of connect; one in a thread of the resolver drops the `answers` of
/// that thread, which counts as failed.
///
/// [`Answers::intercept`] wraps a resolver, [`Answers::collect`] asks one and waits; [`StubResolver`](super::StubResolver) is
/// the built-in one, to fall back to.
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
    /// For a kind of record that the resolver does not know, send an error. An answer without records would say that there
    /// are none, and [`RecordKind`](super::RecordKind) may get more kinds.
    fn ask(&self, questions: &[Question], answers: &Answers);

    /// Removes the answers to these questions from the cache, if there is one. It is called when a connect has ended without
    /// a connection: the answers that it used may be why, and the next connect had better not use them. Default: does
    /// nothing.
    fn forget(&self, _questions: &[Question]) {}

    /// Empties the cache, if there is one: [`Connector::clear_cache`](crate::Connector::clear_cache) was called. Default: does
    /// nothing.
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
    recipient: Recipient,
    deadline: Deadline,
}

#[derive(Debug)]
enum Recipient {
    Connect(Arc<Mutex<Batch>>),
    Function(Interception),
}

impl Answers {
    /// Asks `resolver` and waits for its answers, up to `deadline`: to test a resolver, or to ask one from within another.
    /// Returns one result for each question, in the order of the questions; what is late is an error.
    ///
    /// ```
    /// use xmpp_connect::dns::{Answer, Answers, Question, RecordKind, Resolver};
    ///
    /// # #[derive(Debug)]
    /// # struct NoRecords;
    /// # impl Resolver for NoRecords {
    /// #     fn ask(&self, questions: &[Question], answers: &Answers) {
    /// #         for question in questions {
    /// #             answers.send(question.clone(), Ok(Answer::new(Vec::new())));
    /// #         }
    /// #     }
    /// # }
    /// let question = Question::new("example.org", RecordKind::Ipv6);
    /// let results = Answers::collect(&NoRecords, &[question.clone()], None);
    /// assert_eq!(results, [(question, Ok(Answer::new(Vec::new())))]);
    /// ```
    #[must_use]
    pub fn collect<R: Resolver + ?Sized>(
        resolver: &R,
        questions: &[Question],
        deadline: Option<Instant>,
    ) -> Vec<(Question, Result<Answer, LookupError>)> {
        let deadline = deadline.map_or(Deadline::NEVER, Deadline::from);
        let (sender, receiver) = mpsc::channel();
        let interception = Interception::new(questions, None, move |question, result| {
            let _ = sender.send((question, result));
        });
        let answers = Self(Arc::new(Desk { recipient: Recipient::Function(interception), deadline }));
        resolver.ask(questions, &answers);
        let desk = Arc::downgrade(&answers.0);
        drop(answers);
        let next = || match deadline.remaining(wait::now()) {
            Some(remaining) => receiver.recv_timeout(remaining).ok(),
            None => receiver.recv().ok(),
        };
        let mut answered: Vec<_> = std::iter::from_fn(next).take(questions.len()).collect();
        if let Some(desk) = desk.upgrade() {
            desk.close();
        }
        let result_of = |question: &Question| {
            let index = answered.iter().position(|(answered, _)| answered == question);
            let late = || (question.clone(), Err(LookupError::new("no answer in time")));
            index.map_or_else(late, |index| answered.swap_remove(index))
        };
        questions.iter().map(result_of).collect()
    }

    /// Returns `Answers` to hand to another resolver with the same `questions`, or some of them. What it sends goes to
    /// `on_answer`, in whatever thread sends it, and not here: `on_answer` sends on what it wants to. Their
    /// [`deadline`](Self::deadline) is the same, and they are wanted as long as these are.
    ///
    /// ```
    /// use xmpp_connect::dns::{Answers, Question, Resolver};
    ///
    /// /// Prints what another resolver answers.
    /// #[derive(Debug)]
    /// struct Printed<R>(R);
    ///
    /// impl<R: Resolver> Resolver for Printed<R> {
    ///     fn ask(&self, questions: &[Question], answers: &Answers) {
    ///         let outer = answers.clone();
    ///         let printed = answers.intercept(questions, move |question, result| {
    ///             println!("{question}: {result:?}");
    ///             outer.send(question, result);
    ///         });
    ///         self.0.ask(questions, &printed);
    ///     }
    ///
    ///     fn forget(&self, questions: &[Question]) {
    ///         self.0.forget(questions);
    ///     }
    ///
    ///     fn clear_cache(&self) {
    ///         self.0.clear_cache();
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn intercept(
        &self,
        questions: &[Question],
        on_answer: impl Fn(Question, Result<Answer, LookupError>) + Send + Sync + 'static,
    ) -> Self {
        let interception = Interception::new(questions, Some(self.clone()), on_answer);
        let recipient = Recipient::Function(interception);
        Self(Arc::new(Desk { recipient, deadline: self.0.deadline }))
    }

    /// Sends the answer to a question. An answer without records says "none"; an error says that the lookup failed.
    ///
    /// Returns false when the answer is not waited for: it is late, or the question was not asked here or has been answered.
    pub fn send(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        match &self.0.recipient {
            Recipient::Connect(batch) => lock(batch).answer(question, result),
            Recipient::Function(interception) => interception.answer(question, result),
        }
    }

    /// Returns when the answers are needed at the latest: the end of the lookup limit or of the connect; `None` for no limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.at()
    }

    /// Returns whether any of the answers is still waited for.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match &self.0.recipient {
            Recipient::Connect(batch) => !lock(batch).open.is_empty(),
            Recipient::Function(interception) => interception.is_wanted(),
        }
    }
}

impl Desk {
    /// Nobody waits for the answers any more.
    fn close(&self) {
        match &self.recipient {
            Recipient::Connect(batch) => lock(batch).close(),
            Recipient::Function(interception) => interception.take_open().clear(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Nobody is left who could answer.
        match &self.recipient {
            Recipient::Connect(batch) => {
                let mut batch = lock(batch);
                batch.fail(NO_ANSWER);
                batch.wake();
            }
            Recipient::Function(interception) => {
                for question in interception.take_open() {
                    (interception.on_answer)(question, Err(LookupError::new(NO_ANSWER)));
                }
            }
        }
    }
}

/// Questions whose answers go to a function.
struct Interception {
    open: Mutex<Vec<Question>>,
    /// Those for whom it asks.
    outer: Option<Answers>,
    on_answer: Box<dyn Fn(Question, Result<Answer, LookupError>) + Send + Sync>,
}

impl Interception {
    fn new(
        questions: &[Question],
        outer: Option<Answers>,
        on_answer: impl Fn(Question, Result<Answer, LookupError>) + Send + Sync + 'static,
    ) -> Self {
        Self { open: Mutex::new(questions.to_vec()), outer, on_answer: Box::new(on_answer) }
    }

    fn answer(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        if !self.is_wanted() || !take(&mut lock(&self.open), &question) {
            return false;
        }
        // Not locked: it may send more answers.
        (self.on_answer)(question, result);
        true
    }

    fn is_wanted(&self) -> bool {
        !lock(&self.open).is_empty() && self.outer.as_ref().is_none_or(Answers::is_wanted)
    }

    fn take_open(&self) -> Vec<Question> {
        std::mem::take(&mut lock(&self.open))
    }
}

impl fmt::Debug for Interception {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Interception").field("open", &self.open).finish_non_exhaustive()
    }
}

/// Takes `question` out of `open`. Returns whether it was there.
fn take(open: &mut Vec<Question>, question: &Question) -> bool {
    let index = open.iter().position(|open| open == question);
    index.map(|index| open.swap_remove(index)).is_some()
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
        if !take(&mut self.open, &question) {
            return false;
        }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let recipient = Recipient::Connect(batch);
        let answers = Answers(Arc::new(Desk { recipient, deadline: self.deadline.min(deadline) }));
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

/// The error of a question whose `answers` were dropped.
const NO_ANSWER: &str = "the given resolver did not answer";

const FACTS: LookupFacts = LookupFacts { source: AnswerSource::Resolver, tries: 1 };
