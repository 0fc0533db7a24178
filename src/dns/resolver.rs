//! The seam for a caller's own resolver: questions go out at once, answers are pushed back from any thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Instant;

use super::lookups::Finished;
use super::{Answer, AnswerSource, LookupError, LookupFacts, Question};
use crate::deadline::Deadline;
use crate::wait::Waker;

/// A resolver that replaces the built-in one: another protocol, another cache, fixed answers.
///
/// One that blocks in [`ask`](Self::ask) keeps everything correct, but for as long as it blocks nothing else of the
/// connect goes on, its time limits included.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Starts to answer the questions, which do not depend on each other; should return at once.
    ///
    /// Answers go to `answers` in any order, now or later, from any thread. When the last clone of `answers` is dropped,
    /// what is still open counts as failed.
    fn ask(&self, questions: &[Question], answers: &Answers);
}

/// Where a [`Resolver`] sends its answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Answers {
    // The order matters: the channel closes first, then the connect wakes and sees that it is closed.
    sender: Sender<(Question, Result<Answer, LookupError>)>,
    wake: WakeOnDrop,
    deadline: Deadline,
    wanted: Arc<AtomicBool>,
}

impl Answers {
    /// Sends the answer to a question. An answer without records says "none"; an error says that nobody knows.
    ///
    /// False when nobody waits for answers any more. An answer that is late, or to a question that was not asked, is
    /// ignored.
    pub fn send(&self, question: Question, result: Result<Answer, LookupError>) -> bool {
        let sent = self.is_wanted() && self.sender.send((question, result)).is_ok();
        if sent {
            self.wake.0.wake();
        }
        sent
    }

    /// When the answers are needed at the latest; `None`: no limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.at()
    }

    /// Whether anybody still waits.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }
}

#[derive(Clone, Debug)]
struct WakeOnDrop(Waker);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The questions of one connect to a caller's resolver.
#[derive(Debug)]
pub(crate) struct Lookups {
    resolver: Arc<dyn Resolver>,
    waker: Waker,
    deadline: Deadline,
    wanted: Arc<AtomicBool>,
    batches: Vec<Batch>,
    done: VecDeque<Finished>,
}

/// Questions that were asked together.
#[derive(Debug)]
struct Batch {
    open: Vec<Question>,
    receiver: Receiver<(Question, Result<Answer, LookupError>)>,
}

impl Lookups {
    /// No questions yet. `waker` ends the wait of the connect; `deadline` is the end of the connect.
    pub(crate) fn new(resolver: Arc<dyn Resolver>, waker: Waker, deadline: Deadline) -> Self {
        let wanted = Arc::new(AtomicBool::new(true));
        Self { resolver, waker, deadline, wanted, batches: Vec::new(), done: VecDeque::new() }
    }

    pub(crate) fn ask(&mut self, questions: &[Question]) {
        let (sender, receiver) = mpsc::channel();
        self.batches.push(Batch { open: questions.to_vec(), receiver });
        let answers = Answers {
            sender,
            wake: WakeOnDrop(self.waker.clone()),
            deadline: self.deadline,
            wanted: Arc::clone(&self.wanted),
        };
        self.resolver.ask(questions, &answers);
    }

    pub(crate) fn give_up(&mut self, question: &Question) {
        for batch in &mut self.batches {
            batch.open.retain(|open| open != question);
        }
    }

    /// Takes what has come.
    pub(crate) fn advance(&mut self) {
        for batch in &mut self.batches {
            loop {
                match batch.receiver.try_recv() {
                    Ok((question, result)) => {
                        let Some(index) = batch.open.iter().position(|open| *open == question) else {
                            continue;
                        };
                        batch.open.swap_remove(index);
                        self.done.push_back((question, result, FACTS));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        for question in batch.open.drain(..) {
                            let error = LookupError::new("the given resolver did not answer");
                            self.done.push_back((question, Err(error), FACTS));
                        }
                        break;
                    }
                }
            }
        }
        self.batches.retain(|batch| !batch.open.is_empty());
    }

    pub(crate) fn take(&mut self) -> Option<Finished> {
        self.done.pop_front()
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Release);
    }
}

const FACTS: LookupFacts = LookupFacts { source: AnswerSource::Resolver, tries: 1 };
