//! The events of a connect, in the order in which they happen. No IO.

use std::time::Instant;

use super::{Plan, outcome};
use crate::discovery::Candidate;
use crate::dns::Question;
use crate::report::{AttemptOutcome, Event, EventKind};

/// All events so far.
#[derive(Debug)]
pub(super) struct Timeline {
    started: Instant,
    events: Vec<Event>,
    /// How many events were taken.
    taken: usize,
    /// Whether the end of each attempt has been recorded.
    ended: Vec<bool>,
}

impl Timeline {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, events: Vec::new(), taken: 0, ended: Vec::new() }
    }

    pub(super) fn record(&mut self, now: Instant, kind: EventKind) {
        self.events.push(Event { at: now.saturating_duration_since(self.started), kind });
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }
}

impl Plan {
    /// Returns the events since the last call.
    pub(crate) fn take_events(&mut self) -> &[Event] {
        let taken = std::mem::replace(&mut self.timeline.taken, self.timeline.events.len());
        self.timeline.events.get(taken..).unwrap_or_default()
    }

    /// Adds a note to the report.
    pub(super) fn note(&mut self, note: String, now: Instant) {
        self.timeline.record(now, EventKind::Noted(note.clone()));
        self.notes.push(note);
    }

    /// The questions to send now, all at once.
    pub(super) fn due_questions(&mut self, now: Instant) -> Option<Vec<Question>> {
        let questions = self.questions.due(now)?;
        for question in &questions {
            self.timeline.record(now, EventKind::Asked(question.clone()));
        }
        Some(questions)
    }

    pub(super) fn record_answer(&mut self, question: &Question, now: Instant) {
        let result = outcome::lookup_result(question.kind(), self.questions.result(question));
        self.timeline.record(now, EventKind::Answered { question: question.clone(), result });
    }

    pub(super) fn record_candidates(&mut self, now: Instant) {
        let candidates: Vec<Candidate> = self.race.contenders.candidates().cloned().collect();
        self.timeline.record(now, EventKind::Ordered(candidates));
    }

    /// Records the ends of attempts that have failed or were abandoned; and the beginning of those that are refused,
    /// which the race does not order to start.
    pub(super) fn record_ends(&mut self, now: Instant) {
        self.timeline.ended.resize(self.race.attempts().len(), false);
        let mut ended = Vec::new();
        for (index, attempt) in self.race.attempts().enumerate() {
            let is_over = matches!(attempt.outcome, AttemptOutcome::Failed(_) | AttemptOutcome::Abandoned);
            let Some(recorded) = self.timeline.ended.get_mut(index) else { continue };
            if is_over && !std::mem::replace(recorded, is_over) {
                let candidate = self.race.contenders.candidate(attempt.candidate);
                if let Some(candidate) = candidate.filter(|_| !attempt.was_connected_to()).cloned() {
                    let destination = attempt.destination.clone();
                    ended.push(EventKind::Started { attempt: index, candidate, destination });
                }
                ended.push(EventKind::Ended { attempt: index, outcome: attempt.outcome.clone() });
            }
        }
        ended.into_iter().for_each(|end| self.timeline.record(now, end));
    }
}
