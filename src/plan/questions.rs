//! The DNS questions of one connect, queued, outstanding and answered. No IO.

use std::time::Instant;

use crate::dns::{Answer, LookupError, LookupFacts, Question};
use crate::limits::MAX_QUESTIONS;

/// One question and its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    /// Whether it waits to be sent, perhaps again.
    is_due: bool,
    /// When it was last sent.
    pub(super) asked: Option<Instant>,
    pub(super) answered: Option<Instant>,
    pub(super) result: Option<Result<Answer, LookupError>>,
    pub(super) facts: Option<LookupFacts>,
}

impl Asked {
    fn is_out(&self) -> bool {
        !self.is_due && self.result.is_none()
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
            let new =
                Asked { question, is_due: true, asked: None, answered: None, result: None, facts: None };
            self.list.push(new);
        }
    }

    /// Returns the questions to send now, all at once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Vec<Question>> {
        let out = self.list.iter().filter(|asked| asked.is_out()).count();
        let waiting = self.list.iter_mut().filter(|asked| asked.is_due);
        let mut questions = Vec::new();
        for asked in waiting.take(MAX_QUESTIONS.saturating_sub(out)) {
            (asked.is_due, asked.asked) = (false, Some(now));
            questions.push(asked.question.clone());
        }
        (!questions.is_empty()).then_some(questions)
    }

    /// Queues again what was asked and not answered.
    pub(super) fn ask_again(&mut self) {
        self.list.iter_mut().filter(|asked| asked.is_out()).for_each(|asked| asked.is_due = true);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordKind;

    // rule D7, D8
    #[test]
    fn what_waits_to_be_asked_again_was_asked_nevertheless() {
        let (mut questions, now) = (Questions::default(), crate::wait::now());
        questions.want(Question::new("a.test", RecordKind::Ipv4));
        assert_eq!(questions.due(now).map(|due| due.len()), Some(1));
        questions.ask_again();
        assert_eq!(questions.list()[0].asked, Some(now));
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(questions.due(later).map(|due| due.len()), Some(1));
        assert_eq!((questions.list()[0].asked, questions.due(later)), (Some(later), None));
    }
}
