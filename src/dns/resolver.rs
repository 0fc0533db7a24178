//! The trait for a caller's own resolver: questions go out at once, answers are pushed back from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use super::{Answer, AnswerSource, Finished, LookupError, LookupFacts, Question};
use crate::deadline::{Deadline, Seconds};
use crate::wait::{self, Waker};

/// A resolver that replaces the built-in one: with another protocol, another cache, or fixed answers.
///
/// Blocking in [`ask`](Self::ask) is allowed, but meanwhile the connect makes no other progress, and its time limits are
/// not enforced. A panic in `ask` reaches the caller of the connect. If a thread of the resolver panics, it drops its
/// [`Answers`], and the questions that are still open fail.
///
/// To wrap a resolver, use [`Answers::intercept`], and pass on [`forget`](Self::forget) and
/// [`clear_cache`](Self::clear_cache) too. To ask one and wait for its answers, use [`Answers::collect`].
/// [`StubResolver`](super::StubResolver) is the built-in resolver, to be wrapped or to fall back to.
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
    /// Starts to answer the questions, which do not depend on each other. It should return immediately.
    ///
    /// Answers are sent to `answers` in any order, now or later, from any thread. When the last clone of `answers` is
    /// dropped, the questions that have no answer yet fail.
    ///
    /// For a kind of record that the resolver does not know, send an error: [`RecordKind`](super::RecordKind) may get more
    /// kinds, and an answer without records would say that there are none.
    fn ask(&self, questions: &[Question], answers: &Answers);

    /// Removes the answers to these questions, of which there may be none, from the cache if the resolver has one. It is
    /// called when a connect has failed, since the answers that it used may be the reason. The default does nothing.
    fn forget(&self, _questions: &[Question]) {}

    /// Clears the cache, if the resolver has one. It is called by
    /// [`Connector::clear_cache`](crate::Connector::clear_cache). The default does nothing.
    fn clear_cache(&self) {}
}

/// An `Arc` shares one resolver, and its cache, among several connectors.
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
struct Desk {
    deadline: Deadline,
    /// Those for whom these ask.
    outer: Option<Answers>,
    open: Mutex<Open>,
}

/// The questions that wait, and where their answers go: no more answers than there were questions, however many are sent.
struct Open {
    questions: Vec<Question>,
    /// It may hold a descriptor, and a resolver may keep its `Answers` for ever: when nothing more can come, it is dropped.
    on_answer: Option<Recipient>,
}

type Recipient = Arc<dyn Fn(Question, Result<Answer, LookupError>, AnswerSource) + Send + Sync>;

impl Answers {
    /// Asks `resolver` and waits for its answers until `deadline`, or without limit: to test a resolver, or to ask one from
    /// another. Returns one result for each question, in the order of the questions; without an answer in time it is an
    /// error.
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
        let on_answer = move |question, result, _| drop(sender.send((question, result)));
        let answers = Self::with(questions, deadline, None, Arc::new(on_answer));
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

    /// Returns new `Answers` for another resolver, which is asked the same `questions` or some of them. Its answers go only
    /// to `on_answer`, in the thread that sends them; to pass one on, `on_answer` sends it to a clone of these `Answers`.
    ///
    /// The new ones have the same [`deadline`](Self::deadline), and are [wanted](Self::is_wanted) no longer than these.
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
    ///             match &result {
    ///                 Ok(answer) => println!("{question}: {} records", answer.records().len()),
    ///                 Err(error) => println!("{question}: {error}"),
    ///             }
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
        let on_answer = move |question, result, _| on_answer(question, result);
        Self::with(questions, self.0.deadline, Some(self.clone()), Arc::new(on_answer))
    }

    fn with(questions: &[Question], deadline: Deadline, outer: Option<Self>, on_answer: Recipient) -> Self {
        let open = Open { questions: questions.to_vec(), on_answer: Some(on_answer) };
        Self(Arc::new(Desk { deadline, outer, open: Mutex::new(open) }))
    }

    /// Sends the answer to a question. An answer without records says that there are none; an error says that the lookup
    /// failed.
    ///
    /// Returns false if nobody waits for the answer: it is late, or the question was not asked or has been answered.
    pub fn send(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        self.is_wanted() && self.0.answer(question, result, AnswerSource::Resolver)
    }

    /// Returns when the lookup or the whole connect reaches its time limit, whichever is first; `None` without a limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.at()
    }

    /// Returns whether any of the answers is still waited for.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let has_open = !lock(&self.0.open).questions.is_empty();
        has_open && self.0.outer.as_ref().is_none_or(Self::is_wanted)
    }
}

impl Desk {
    fn answer(&self, question: Question, result: Result<Answer, LookupError>, source: AnswerSource) -> bool {
        let mut open = lock(&self.open);
        let Some(index) = open.questions.iter().position(|open| *open == question) else { return false };
        open.questions.swap_remove(index);
        let on_answer =
            if open.questions.is_empty() { open.on_answer.take() } else { open.on_answer.clone() };
        // Not locked: it may send more answers.
        drop(open);
        if let Some(on_answer) = on_answer {
            on_answer(question, result, source);
        }
        true
    }

    /// Fails the questions that are still open.
    fn fail(&self, why: &str) {
        let open = lock(&self.open).questions.clone();
        for question in open {
            self.answer(question, Err(LookupError::new(why)), AnswerSource::Nobody);
        }
    }

    /// Nobody waits for the answers any more.
    fn close(&self) {
        *lock(&self.open) = Open { questions: Vec::new(), on_answer: None };
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Nobody is left who could answer.
        self.fail("the given resolver did not answer");
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Desk").field("open", &lock(&self.open).questions).finish_non_exhaustive()
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
    /// What was asked together, and the end of its limit.
    asked: Vec<(Weak<Desk>, Deadline)>,
    finished: Arc<Mutex<VecDeque<Finished>>>,
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
        let (asked, finished, used) = (Vec::new(), Arc::default(), Vec::new());
        Self { resolver, waker, deadline, lookup_limit, asked, finished, used }
    }

    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        let deadline = Deadline::after(now, self.lookup_limit);
        let (finished, waker) = (Arc::clone(&self.finished), self.waker.clone());
        let on_answer = move |question, result, source| {
            lock(&finished).push_back((question, result, LookupFacts { source, tries: 1 }));
            waker.wake();
        };
        let answers = Answers::with(questions, self.deadline.min(deadline), None, Arc::new(on_answer));
        self.asked.push((Arc::downgrade(&answers.0), deadline));
        self.resolver.ask(questions, &answers);
    }

    /// When the limit of the next lookup is reached.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.open().map(|(_, deadline)| deadline).min().unwrap_or(Deadline::NEVER)
    }

    /// Ends the lookups whose limit is reached.
    pub(crate) fn expire(&mut self, now: Instant) {
        for (desk, _) in self.open().filter(|(_, deadline)| deadline.is_over(now)) {
            desk.fail(&format!("no answer within {}", Seconds(self.lookup_limit)));
        }
    }

    /// The next result that has come.
    pub(crate) fn take(&mut self) -> Option<Finished> {
        let finished = lock(&self.finished).pop_front()?;
        if finished.1.is_ok() {
            self.used.push(finished.0.clone());
        }
        Some(finished)
    }

    /// What waits for answers.
    fn open(&self) -> impl Iterator<Item = (Arc<Desk>, Deadline)> {
        let desks = self.asked.iter().filter_map(|(desk, deadline)| Some((desk.upgrade()?, *deadline)));
        desks.filter(|(desk, _)| !lock(&desk.open).questions.is_empty())
    }

    /// The connect ends without a connection.
    pub(crate) fn forget_used(&mut self) {
        self.resolver.forget(&std::mem::take(&mut self.used));
    }
}

/// The resolver learns from its `answers` that nobody waits any more.
impl Drop for ResolverLookups {
    fn drop(&mut self) {
        self.open().for_each(|(desk, _)| desk.close());
    }
}
