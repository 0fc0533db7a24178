//! What holds for everything that a server sends before TLS, and in answer to the stream header over TLS. No IO.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "code of tests")]

use std::time::{Duration, Instant};

use super::error::LooksLike;
use super::{Fault, Form, Negotiation, NegotiationError, Opening, Progress, STARTTLS, Step};
use crate::domain::Domain;
use crate::fuzzing::{arrivals, check_text};
use crate::limits::MAX_NEGOTIATION;
use crate::wait;

const FORMS: [Form; 4] = [Form::Pipelined, Form::PipelinedOnly, Form::Strict, Form::OverTls];

/// Divides what the server sends: it pauses here, and sees what we have sent meanwhile. XML does not allow this character.
const PAUSE: u8 = b'\x0c';

/// The first byte chooses the form, the others are what the server sends. True: TLS can start, or the stream is open.
pub(crate) fn negotiation(input: &[u8]) -> bool {
    let Some((choice, script)) = input.split_first() else { return false };
    let form = FORMS[usize::from(choice % 4)];
    let parts: Vec<&[u8]> = script.split(|byte| *byte == PAUSE).collect();
    let start = wait::now();
    let [whole, bytes, pieces] = [0, 1, 2].map(|way| {
        let parts = parts.iter().map(|part| std::mem::take(&mut arrivals(part)[way]));
        play(form, parts, start)
    });
    assert_eq!(bytes, whole, "it depends on how the bytes arrive");
    assert_eq!(pieces, whole, "it depends on how the bytes arrive");
    check(form, &parts, &whole, start);
    whole.result == Ok(Progress::Complete)
}

/// How a negotiation went.
#[derive(Debug, PartialEq)]
struct Played {
    result: Result<Progress, Fault>,
    step: Step,
    sent: String,
    may_be_due_to_pipelining: bool,
}

/// Plays parts, each in pieces, with a second after each part.
fn play<'a>(form: Form, parts: impl Iterator<Item = Vec<&'a [u8]>>, start: Instant) -> Played {
    let mut now = start;
    let mut negotiation = new(form);
    let mut sent = negotiation.output().unwrap_or_default();
    let mut result = Ok(Progress::More);
    'parts: for part in parts {
        for piece in part {
            if result == Ok(Progress::Complete) && piece.is_empty() {
                continue;
            }
            result = negotiation.handle_bytes(piece, now);
            if result.is_err() {
                break 'parts;
            }
        }
        sent.extend(negotiation.output().unwrap_or_default());
        now += Duration::from_secs(1);
        if result == Ok(Progress::More)
            && let Err(error) = negotiation.poll(now)
        {
            result = Err(error);
            break;
        }
        let wake = negotiation.wake_at();
        assert!(result == Ok(Progress::Complete) || !wake.is_over(now), "a busy loop");
    }
    // Then the server closes the connection.
    if result == Ok(Progress::More) {
        result = Err(negotiation.handle_end());
    }
    if let Err(error) = &result {
        check_text(&error.to_string());
        assert_eq!(negotiation.handle_bytes(b"<x/>", now).as_ref(), Err(error), "an error is final");
        assert_eq!(&negotiation.handle_end(), error, "an error is final");
    }
    Played {
        may_be_due_to_pipelining: result.as_ref().is_err_and(NegotiationError::may_be_due_to_pipelining),
        result: result.map_err(|error| without_bytes(error.fault())),
        step: negotiation.step(),
        sent: String::from_utf8(sent).unwrap(),
    }
}

fn new(form: Form) -> Negotiation {
    let opening = Opening {
        to: "example.org",
        from: None,
        lang: None,
        namespace: "jabber:client",
        declares_dialback: false,
    };
    match form {
        Form::OverTls => Negotiation::over_tls(&opening, b"<first/>", &Domain::new("example.org").unwrap()),
        Form::Pipelined | Form::PipelinedOnly | Form::Strict => Negotiation::new(&opening, form),
    }
}

/// Removes the only thing that may depend on how the bytes arrive: how many of them an error shows.
pub(super) fn without_bytes(fault: &Fault) -> Fault {
    match fault {
        Fault::NotXmpp(LooksLike::Unknown(_)) => Fault::NotXmpp(LooksLike::Unknown(String::new())),
        other => other.clone(),
    }
}

fn check(form: Form, parts: &[&[u8]], played: &Played, start: Instant) {
    let asked = played.sent.matches(STARTTLS).count();
    match form {
        Form::Pipelined | Form::PipelinedOnly => assert_eq!(asked, 1),
        Form::Strict => assert!(asked <= 1 && (asked == 1 || played.step < Step::Tls)),
        Form::OverTls => assert!(asked == 0 && played.sent.ends_with("<first/>")),
    }
    let length: usize = parts.iter().map(|part| part.len()).sum();
    match (&played.result, form) {
        (Ok(Progress::More), _) => panic!("the connection has ended"),
        (Ok(Progress::Complete), Form::OverTls) => assert_eq!(played.step, Step::Open),
        (Ok(Progress::Complete), _) => {
            assert_eq!(played.step, Step::Tls);
            assert!(length <= MAX_NEGOTIATION);
            check_proceed(form, parts, start);
        }
        (Err(Fault::TooLong), _) => assert!(length > MAX_NEGOTIATION),
        (Err(_), _) => {}
    }
    assert!(form == Form::OverTls || played.step < Step::Open);
    // "Before the features" and the like: without them there is no answer.
    let has = |text: &str| parts.concat().windows(text.len()).any(|window| window == text.as_bytes());
    assert!(played.step < Step::Features || has("stream") && has("etherx"));
    assert!(played.step < Step::Answer || has("features") && has("version"));
    assert!(played.step != Step::Tls || has("proceed") && has("urn:ietf:params:xml:ns:xmpp-tls"));
}

/// TLS starts at the last byte and not earlier, and nothing may follow.
fn check_proceed(form: Form, parts: &[&[u8]], start: Instant) {
    let mut parts: Vec<&[u8]> = parts.to_vec();
    while parts.pop_if(|part| part.is_empty()).is_some() {}
    let Some((last, earlier)) = parts.split_last() else { panic!("nothing was sent") };
    let (end, most) = last.split_last().unwrap();
    assert_eq!(*end, b'>');
    let with = |last: &[u8]| {
        let parts = earlier.iter().copied().chain([last]).map(|part| vec![part]);
        // It owns what the pieces refer to.
        play(form, parts.collect::<Vec<_>>().into_iter(), start)
    };
    assert!(with(most).step < Step::Tls);
    for behind in [&b"\n"[..], b"<", b"\x16\x03\x01", b"\0"] {
        assert_eq!(with(&[last, behind].concat()).result, Err(Fault::TrailingBytes));
    }
}
