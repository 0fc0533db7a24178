//! The DNS questions of one connect, queued, outstanding and answered. No IO.

use std::time::Instant;

use crate::dns::{Answer, LookupError, LookupFacts, Question};
use crate::limits::MAX_QUESTIONS;

/// One question and its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) asked: Option<Instant>,
    pub(super) answered: Option<Instant>,
    pub(super) result: Option<Result<Answer, LookupError>>,
    pub(super) facts: Option<LookupFacts>,
}

impl Asked {
    fn is_out(&self) -> bool {
        self.asked.is_some() && self.result.is_none()
    }
}

/// All questions of one connect. None is asked twice.
#[derive(Debug, Default)]
pub(super) struct Questions {
    list: Vec<Asked>,
}

impl Questions {
    /// All, in the order in which they were queued.
    pub(super) fn list(&self) -> &[Asked] {
        &self.list
    }

    /// Queues a question, if it is new.
    pub(super) fn want(&mut self, question: Question) {
        if self.list.iter().all(|asked| asked.question != question) {
            self.list.push(Asked { question, asked: None, answered: None, result: None, facts: None });
        }
    }

    /// Returns the questions to send now, all at once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Vec<Question>> {
        let out = self.list.iter().filter(|asked| asked.is_out()).count();
        let waiting = self.list.iter_mut().filter(|asked| asked.asked.is_none());
        let mut questions = Vec::new();
        for asked in waiting.take(MAX_QUESTIONS.saturating_sub(out)) {
            asked.asked = Some(now);
            questions.push(asked.question.clone());
        }
        (!questions.is_empty()).then_some(questions)
    }

    /// Queues again what was asked and not answered.
    pub(super) fn ask_again(&mut self) {
        self.list.iter_mut().filter(|asked| asked.is_out()).for_each(|asked| asked.asked = None);
    }

    /// Stores an answer. Returns false if it is not awaited.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        result: Result<Answer, LookupError>,
        facts: LookupFacts,
        now: Instant,
    ) -> bool {
        let Some(asked) = self.list.iter_mut().find(|asked| asked.is_out() && asked.question == *question)
        else {
            return false;
        };
        asked.answered = Some(now);
        asked.result = Some(result);
        asked.facts = Some(facts);
        true
    }

    /// The answer to a question, if there is one.
    pub(super) fn result(&self, question: &Question) -> Option<&Result<Answer, LookupError>> {
        self.list.iter().find(|asked| asked.question == *question)?.result.as_ref()
    }
}
