//! The events of a plan: answers, events of attempts, failures of this machine, and cancellation. No IO.

use std::time::Instant;

use super::addresses::hints_of;
use super::{Plan, Route};
use crate::dial::{AttemptEvent, AttemptId, Destination};
use crate::dns::{Answer, LookupError, LookupFacts, Question, RecordKind};
use crate::domain::Host;
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::report::{AttemptOutcome, EventKind};
use crate::settings::Family;

impl Plan {
    /// Handles an answer.
    pub(crate) fn handle_answer(
        &mut self,
        question: &Question,
        result: Result<Answer, LookupError>,
        facts: LookupFacts,
        now: Instant,
    ) {
        if !self.questions.answer(question, result, facts, now) {
            return;
        }
        self.record_answer(question, now);
        self.use_answer(question, now);
    }

    pub(super) fn use_answer(&mut self, question: &Question, now: Instant) {
        let Some(result) = self.questions.result(question) else { return };
        match question.kind() {
            RecordKind::Srv => {
                let hints = result.as_ref().map(hints_of).unwrap_or_default();
                let left_out = self.srv.answer(question, result, now);
                if let Some(last) = left_out.last() {
                    logging::warn(format_args!("{last}"));
                }
                for note in &left_out {
                    self.timeline.record(now, EventKind::Noted(note.clone()));
                }
                self.left_out_records.extend(left_out);
                self.hints.extend(hints);
            }
            RecordKind::Ipv6 | RecordKind::Ipv4 => {
                let family = if question.kind() == RecordKind::Ipv6 { Family::Ipv6 } else { Family::Ipv4 };
                let addresses = result.as_ref().ok().map(|answer| answer.addresses().collect::<Vec<_>>());
                let addresses = addresses.map(|addresses| self.ranked(&addresses, family));
                let host = Host::Name(question.name().to_owned());
                self.race.contenders.handle_addresses(&host, family, addresses, now);
            }
            // It is read when it is needed.
            RecordKind::Tlsa => {}
        }
    }

    /// Handles an event of an attempt.
    pub(crate) fn handle_attempt(&mut self, id: AttemptId, event: AttemptEvent, now: Instant) {
        if let AttemptEvent::Failed(error) = &event
            && error.is_exhaustion()
        {
            let message = format!("cannot connect to {}: this machine has run out of sockets", self.domain);
            self.handle_exhaustion(Error::new(ErrorKind::System, message).with_cause(Some(error.clone())));
        }
        if let AttemptEvent::Failed(error) = &event
            && error.is_refusal_of_credentials()
        {
            let message = format!("cannot connect to {} through the proxy", self.domain);
            let error = Error::new(ErrorKind::Configuration, message).with_cause(Some(error.clone()));
            self.handle_exhaustion(error);
        }
        let Some(attempt) = self.race.attempts().nth(id.0) else { return };
        if !matches!(attempt.outcome, AttemptOutcome::InFlight) {
            return;
        }
        let attempt_index = id.0;
        match &event {
            AttemptEvent::Noted(note) => self.note(format!("{}: {note}", attempt.destination), now),
            AttemptEvent::Completed(stage) => {
                let stage = *stage;
                self.timeline.record(now, EventKind::Completed { attempt: attempt_index, stage });
            }
            AttemptEvent::Verified => {
                let stage = attempt.stage;
                self.timeline.record(now, EventKind::Completed { attempt: attempt_index, stage });
            }
            AttemptEvent::Repeated(form, error) => {
                let (form, error) = (*form, error.clone());
                self.timeline.record(now, EventKind::Repeated { attempt: attempt_index, form, error });
            }
            AttemptEvent::Reached(_) | AttemptEvent::Shown(_) | AttemptEvent::Failed(_) => {}
        }
        self.race.handle_attempt(id, event, now);
        self.record_ends(now);
    }

    /// Handles that the caller goes on, since the connection of attempt `id` is of no use. Returns where it went, unless the
    /// caller has connected the stream.
    pub(crate) fn handle_rejection(&mut self, id: AttemptId, why: &str, now: Instant) -> Option<Destination> {
        let outcome = AttemptOutcome::Rejected(why.to_owned());
        self.race.reject(id, outcome.clone());
        self.timeline.record(now, EventKind::Ended { attempt: id.0, outcome });
        let attempt = self.race.attempts().nth(id.0);
        attempt
            .filter(|_| !matches!(self.route, Route::Connected { .. }))
            .map(|attempt| attempt.destination.clone())
    }

    /// Handles that nothing more can be started, since this machine has run out of sockets, or the proxy refuses the
    /// credentials: the attempts in flight decide.
    pub(crate) fn handle_exhaustion(&mut self, error: Error) {
        self.race.stop();
        self.exhaustion.get_or_insert(error);
    }

    /// Handles a failure of this machine that ends the connect.
    pub(crate) fn handle_system_failure(&mut self, error: Error) {
        self.verdict = Some(error);
    }

    /// Handles cancellation by the caller.
    pub(crate) fn handle_cancel(&mut self) {
        if self.verdict.is_none() {
            let message = format!("connecting to {} was cancelled", self.domain);
            self.verdict = Some(Error::new(ErrorKind::Cancelled, message));
        }
    }
}
