//! Tests of the bounds on what is read, and of what a hostile peer can do.

use super::{FEATURES, Form, HEADER, PROCEED, negotiation, now, play};
use crate::fuzzing::Numbers;
use crate::starttls::error::{Fault, LooksLike};
use crate::starttls::{Progress, Step};

const LIMIT: usize = 64 * 1024;

/// Whole, and in segments as they arrive from the network.
fn in_segments(script: &[u8]) -> (Result<Progress, Fault>, Step) {
    let whole = play(Form::Pipelined, [script]);
    for size in [1, 1448, 4096, 65_535] {
        assert_eq!(play(Form::Pipelined, script.chunks(size)), whole, "segments of {size}");
    }
    whole
}

fn padded(before: &str, pad: &str, after: &str, length: usize) -> Vec<u8> {
    let room = length - before.len() - after.len();
    let pad: String = pad.chars().cycle().take(room).collect();
    format!("{before}{pad}{after}").into_bytes()
}

// rule D5, F4
#[test]
fn exactly_64_kib_are_read() {
    let before = format!("{HEADER}{FEATURES}");
    let (expected, step) = in_segments(&padded(&before, " ", PROCEED, LIMIT));
    assert_eq!((expected, step), (Ok(Progress::Complete), Step::Tls));
    let (result, step) = in_segments(&padded(&before, " ", PROCEED, LIMIT + 1));
    assert_eq!((result, step), (Err(Fault::TooLong), Step::Answer));
    assert_eq!(in_segments(&padded(&before, " ", "", LIMIT)).0, Ok(Progress::More));
    assert_eq!(in_segments(&padded(&before, " ", "", LIMIT + 1)).0, Err(Fault::TooLong));
}

// rule F3
#[test]
fn what_follows_proceed_is_an_error_of_its_own_beyond_64_kib() {
    let before = format!("{HEADER}{FEATURES}");
    let mut script = padded(&before, " ", PROCEED, LIMIT);
    script.push(b'x');
    assert_eq!(in_segments(&script).0, Err(Fault::TrailingBytes));
}

// rule D5, F4
#[test]
fn endless_input_of_every_kind_ends_at_64_kib() {
    for (before, pad) in [
        ("", " "),
        ("<stream ", " "),
        (HEADER, " "),
        ("<stream a='", "\r"),
        (HEADER, "<x/>"),
        (&format!("{HEADER}<stream:features>"), "<x/>"),
        (&format!("{HEADER}<stream:features>"), "x"),
        (&format!("{HEADER}<stream:features>"), "&#65;"),
        (&format!("{HEADER}<stream:features><![CDATA["), "é"),
        (&format!("{HEADER}<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>"), "a&amp;"),
        (&format!("{HEADER}{FEATURES}"), "\r\n"),
        (&format!("{HEADER}{FEATURES}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'"), " "),
    ] {
        let length = before.len() + LIMIT;
        let script = padded(before, pad, "", length + pad.len());
        // Whether a name is cut in the middle does not matter here.
        let (result, _) = play(Form::Pipelined, script.chunks(1448));
        assert_eq!(result, Err(Fault::TooLong), "{before}{pad}");
    }
}

// rule F4
#[test]
fn a_name_or_an_attribute_value_has_at_most_8_kib() {
    let features = format!("{HEADER}<stream:features>");
    for (before, pad) in [
        ("<", "a"),
        ("<?xml version='", "1"),
        ("<stream ", "a"),
        ("<stream a='", "b"),
        ("<stream a='", "&amp;"),
        (&format!("{features}<x a='"), "b"),
    ] {
        let result = |length| play(Form::Pipelined, padded(before, pad, "", length).chunks(1448)).0;
        assert_eq!(result(before.len() + 8 * 1024), Ok(Progress::More), "{before}{pad}");
        let longer = result(before.len() + 8 * 1024 * pad.len() + 1448);
        assert_eq!(longer, Err(Fault::TooLongToken), "{before}{pad}");
    }
}

// rule D5, F4
#[test]
fn elements_nest_to_a_bound() {
    let before = format!("{HEADER}<stream:features>");
    let nested = |depth: usize| format!("{before}{}", "<x>".repeat(depth - 2));
    assert_eq!(in_segments(nested(32).as_bytes()).0, Ok(Progress::More));
    assert_eq!(in_segments(nested(33).as_bytes()).0, Err(Fault::TooDeep));
}

// rule F4
#[test]
fn thousands_of_attributes_and_namespaces_are_only_read() {
    for attribute in ["a", "xmlns:a"] {
        let many: String = (0..3000).map(|number| format!(" {attribute}{number}='b'")).collect();
        let features = format!(
            "<stream:features{many}><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
        );
        let script = format!("{HEADER}{features}{PROCEED}");
        assert_eq!(play(Form::Pipelined, [script.as_bytes()]).0, Ok(Progress::Complete));
    }
}

// rule F2, F4
#[test]
fn random_bytes_are_not_xmpp() {
    let mut numbers = Numbers(2);
    for _ in 0..5_000 {
        let script: Vec<u8> = (0..64).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
        let mut negotiation = negotiation(Form::Pipelined);
        let error = match negotiation.handle_bytes(&script, now()) {
            Ok(_) => negotiation.handle_end(),
            Err(error) => error,
        };
        let expected = match error.fault() {
            Fault::NotXmpp(LooksLike::Unknown(_) | LooksLike::Tls) => true,
            Fault::Xml(_) => script.trim_ascii_start().first() == Some(&b'<'),
            _ => false,
        };
        assert!(expected, "{error}");
    }
}
