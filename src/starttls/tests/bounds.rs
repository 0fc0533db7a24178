//! Tests of the bounds on what is read, and of what a hostile peer can do.

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, negotiation, now, play};
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

/// A fixed-seed generator (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((number ^ (number >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

const PIECES: [&[u8]; 22] = [
    b"<",
    b">",
    b"/",
    b"&",
    b";",
    b"'",
    b"\"",
    b"=",
    b" ",
    b"\r",
    b"\n",
    b"]]>",
    b"<!--",
    b"<![CDATA[",
    b"<?",
    b"&#x",
    b"\xc3",
    b"\xff",
    b"\0",
    b"</stream:stream>",
    b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    b"<stream:error>",
];

fn mutate(script: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(3) {
        let position = numbers.below(script.len() + 1);
        let end = (position + numbers.below(12)).min(script.len());
        match numbers.below(5) {
            0 => drop(script.drain(position..end)),
            1 => {
                let copy = script[position..end].to_vec();
                let target = numbers.below(script.len() + 1);
                script.splice(target..target, copy);
            }
            2 if position < script.len() => script[position] ^= 1 << numbers.below(8),
            3 => script.truncate(position),
            _ => drop(script.splice(position..position, PIECES[numbers.below(PIECES.len())].iter().copied())),
        }
    }
}

// rule F2, F3, F4
#[test]
fn mutated_answers_neither_panic_nor_pass() {
    let scripts = [
        format!("{HEADER}{FEATURES}{PROCEED}"),
        format!("{HEADER}<stream:features><x a='&lt;'>é</x></stream:features>{FAILURE}"),
        format!(
            "{HEADER}<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>a</see-other-host>\
             </stream:error>"
        ),
        " <s:stream xmlns:s='http://etherx.jabber.org/streams' version='1.0'><s:features>\r\n<t:starttls \
             xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'><![CDATA[x]]>&#x41;</t:starttls></s:features>\
             <t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:proceed>"
            .to_owned(),
        "HTTP/1.1 400 Bad Request\r\n\r\n<html>".to_owned(),
    ];
    let mut numbers = Numbers(1);
    let mut passed = 0;
    for round in 0..40_000 {
        let mut script = scripts[round % scripts.len()].clone().into_bytes();
        mutate(&mut script, &mut numbers);
        let shown = script.escape_ascii();
        let (result, _) = play(Form::Pipelined, [&script[..]]);
        if round % 4 == 0 {
            let size = 1 + numbers.below(40);
            let pieces = play(Form::Pipelined, script.chunks(size)).0;
            assert_eq!(pieces, result, "in pieces of {size}, and whole: {shown}");
        }
        if result != Ok(Progress::Complete) {
            continue;
        }
        passed += 1;
        // It is accepted at the last byte and not earlier, and nothing may follow.
        let (last, most) = script.split_last().unwrap();
        assert_eq!(*last, b'>', "{shown}");
        assert_eq!(play(Form::Pipelined, [most]).0, Ok(Progress::More), "{shown}");
        assert_eq!(play(Form::Pipelined, [&script[..], b"\n"]).0, Err(Fault::TrailingBytes), "{shown}");
        let text = String::from_utf8(script.clone()).unwrap();
        assert!(text.contains("features") && text.contains("proceed") && text.contains("version"), "{text}");
    }
    assert!(passed > 100, "the mutations leave too little: {passed}");
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
