//! Tests of the negotiation: every script arrives whole, byte by byte, and cut at every position.

mod answers;
mod bounds;
mod cost;
mod forms;
mod opening;
mod refusals;
mod servers;
mod waiting;

use std::time::Instant;

use super::fuzz::without_bytes;
use super::{Fault, Form, Negotiation, Opening, Progress, Step};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' \
    xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='1'>";
const FEATURES: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// The result of a script, and the step that the negotiation reached.
type Outcome = (Result<Progress, Fault>, Step);

fn negotiation(form: Form) -> Negotiation {
    let opening = Opening {
        to: "example.org",
        from: None,
        lang: None,
        namespace: "jabber:client",
        declares_dialback: false,
    };
    Negotiation::new(&opening, form)
}

/// A time, in tests where it does not matter.
fn now() -> Instant {
    crate::wait::now()
}

/// Passes pieces of the peer's bytes to the negotiation, and takes what we send after each, as the driver does.
fn play<'a>(form: Form, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut negotiation = negotiation(form);
    negotiation.output();
    let mut result = Ok(Progress::More);
    for piece in pieces {
        result = negotiation.handle_bytes(piece, now());
        negotiation.output();
        if let Err(error) = &result {
            assert_eq!(&negotiation.handle_bytes(b"<x/>", now()).unwrap_err(), error, "an error is final");
            assert_eq!(&negotiation.handle_end(), error, "an error is final");
            assert_eq!(error.step(), negotiation.step());
            break;
        }
    }
    (result.map_err(|error| without_bytes(error.fault())), negotiation.step())
}

/// Runs a script in every way, and asserts that the result is the same. What the peer sends only after something of
/// ours is a separate part.
fn outcome(form: Form, parts: &[&[u8]]) -> Outcome {
    let whole = play(form, parts.iter().copied());
    let bytes = parts.iter().flat_map(|part| part.chunks(1));
    assert_eq!(play(form, bytes), whole, "byte by byte");
    let length: usize = parts.iter().map(|part| part.len()).sum();
    for position in 0..=length {
        let mut pieces = Vec::new();
        let mut start = 0;
        for part in parts {
            let (before, behind) = part.split_at(position.saturating_sub(start).min(part.len()));
            pieces.extend([before, behind]);
            start += part.len();
        }
        assert_eq!(play(form, pieces), whole, "cut at {position}");
    }
    whole
}

/// The outcome of a script in the pipelined form.
fn pipelined(script: &str) -> Outcome {
    outcome(Form::Pipelined, &[script.as_bytes()])
}

/// The fault that a script in the pipelined form ends with.
fn fault(script: &str) -> Fault {
    let (result, _) = pipelined(script);
    result.expect_err(script)
}

/// What the negotiation reports as unexpected in a script.
fn unexpected(script: &str) -> String {
    match fault(script) {
        Fault::Unexpected(what) => what,
        other => panic!("{script}: {other:?}"),
    }
}
