//! The start of a STARTTLS negotiation, and its form.

use super::{AttemptState, Dialer, Repeats};
use crate::dial::{AttemptError, Note, RepeatForm};
use crate::domain::Domain;
use crate::service::TlsMode;
use crate::starttls::{Form, Negotiation, Opening};

/// Whether this kind of TLS is built in: both are.
#[expect(clippy::unnecessary_wraps, reason = "without feature starttls, one is not")]
pub(super) fn check(_: TlsMode) -> Result<(), AttemptError> {
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "without feature starttls, there is none")]
pub(super) fn begin(
    repeats: &Repeats,
    dialer: &Dialer<'_>,
) -> Result<(AttemptState, Option<Note>), AttemptError> {
    let opening = Opening {
        to: dialer.domain.as_unicode(),
        from: dialer.settings.service.own_domain().map(Domain::as_unicode),
        lang: None,
        namespace: dialer.settings.service.namespace(),
        declares_dialback: false,
    };
    let is_asked_for = !dialer.settings.pipelining || repeats.has(RepeatForm::StepByStep);
    let is_remembered = !is_asked_for && dialer.strict.contains(dialer.domain);
    let form = match repeats {
        _ if is_asked_for || is_remembered => Form::Strict,
        Repeats::Impossible => Form::PipelinedOnly,
        Repeats::Made(_) => Form::Pipelined,
    };
    let mut negotiation = Box::new(Negotiation::new(&opening, form));
    let unsent = negotiation.output().unwrap_or_default();
    Ok((AttemptState::Negotiating { negotiation, unsent }, is_remembered.then_some(Note::Remembered)))
}
