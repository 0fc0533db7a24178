//! Tests of what we send and when.

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, negotiation, now, pipelined};
use crate::starttls::{Fault, Negotiation, Opening, Progress, Step};

const OUR_HEADER: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const OUR_STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn text(output: Option<Vec<u8>>) -> Option<String> {
    output.map(|bytes| String::from_utf8(bytes).unwrap())
}

// rule F1
#[test]
fn the_pipelined_form_sends_everything_in_one_piece() {
    let mut negotiation = negotiation(Form::Pipelined);
    assert_eq!(text(negotiation.output()), Some(format!("{OUR_HEADER}{OUR_STARTTLS}")));
    assert_eq!(negotiation.output(), None);
    for piece in [HEADER, FEATURES, PROCEED] {
        negotiation.handle_bytes(piece.as_bytes(), now()).unwrap();
        assert_eq!(negotiation.output(), None);
    }
    assert_eq!(negotiation.step(), Step::Tls);
}

// rule F1
#[test]
fn the_strict_form_sends_starttls_after_the_features() {
    let mut negotiation = negotiation(Form::Strict);
    assert_eq!(text(negotiation.output()), Some(OUR_HEADER.to_owned()));
    for byte in format!("{HEADER}{FEATURES}").bytes() {
        assert_eq!(negotiation.output(), None);
        assert_eq!(negotiation.handle_bytes(&[byte], now()), Ok(Progress::More));
    }
    assert_eq!(text(negotiation.output()), Some(OUR_STARTTLS.to_owned()));
    assert_eq!(negotiation.output(), None);
    assert_eq!(negotiation.handle_bytes(PROCEED.as_bytes(), now()), Ok(Progress::Proceed));
    assert_eq!(negotiation.output(), None);
}

// rule F1, F2
#[test]
fn the_strict_form_asks_for_what_is_not_offered() {
    let mut negotiation = negotiation(Form::Strict);
    negotiation.output();
    negotiation.handle_bytes(format!("{HEADER}<stream:features/>").as_bytes(), now()).unwrap();
    assert_eq!(text(negotiation.output()), Some(OUR_STARTTLS.to_owned()));
    assert_eq!(negotiation.handle_bytes(PROCEED.as_bytes(), now()), Ok(Progress::Proceed));
}

// rule F1, F3
#[test]
fn an_answer_before_the_question_is_refused() {
    for answer in [PROCEED, FAILURE] {
        let mut negotiation = negotiation(Form::Strict);
        negotiation.output();
        let script = format!("{HEADER}{FEATURES}{answer}");
        let error = negotiation.handle_bytes(script.as_bytes(), now()).unwrap_err();
        assert!(
            matches!(error.fault(), Fault::Unexpected(what) if ["<proceed/>", "<failure/>"].contains(&what.as_str())),
            "{error}"
        );
    }
}

// rule F1
#[test]
fn the_step_tells_what_has_been_seen() {
    let mut negotiation = negotiation(Form::Pipelined);
    negotiation.output();
    assert_eq!(negotiation.step(), Step::Header);
    for (piece, step) in [(HEADER, Step::Features), (FEATURES, Step::Answer), (PROCEED, Step::Tls)] {
        let (last, most) = piece.as_bytes().split_last().unwrap();
        let before = negotiation.step();
        negotiation.handle_bytes(most, now()).unwrap();
        assert_eq!(negotiation.step(), before);
        negotiation.handle_bytes(&[*last], now()).unwrap();
        assert_eq!(negotiation.step(), step);
    }
    assert!(Step::Header < Step::Features && Step::Features < Step::Answer && Step::Answer < Step::Tls);
}

// rule F1
#[test]
fn the_step_stays_after_a_failure() {
    for (script, step) in [
        ("x".to_owned(), Step::Header),
        (format!("{HEADER}x<"), Step::Features),
        (format!("{HEADER}{FEATURES}x<"), Step::Answer),
        (format!("{HEADER}{FEATURES}{PROCEED}x"), Step::Tls),
    ] {
        let (result, at) = pipelined(&script);
        assert!(result.is_err());
        assert_eq!(at, step, "{script}");
    }
}

// rule F1a
#[test]
fn only_a_server_says_who_it_is() {
    let client = Opening { to: "example.org", from: None, namespace: "jabber:client" };
    assert!(!client.header().contains(" from="));
    let server = Opening { to: "example.org", from: Some("bücher.example"), namespace: "jabber:server" };
    assert_eq!(
        server.header(),
        "<?xml version='1.0'?><stream:stream to='example.org' from='bücher.example' version='1.0' \
         xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
}

// rule A5, F1
#[test]
fn names_in_the_header_are_escaped() {
    let opening = Opening { to: "a'b\"&<>", from: Some("'/><x a='"), namespace: "jabber:server" };
    let header = opening.header();
    assert!(header.contains(" to='a&apos;b&quot;&amp;&lt;&gt;' "), "{header}");
    assert!(header.contains(" from='&apos;/&gt;&lt;x a=&apos;' "), "{header}");
}

// rule F1
#[test]
fn only_clear_refusals_rule_out_a_strict_repeat() {
    let open = format!("{HEADER}{FEATURES}");
    for (script, clear) in [
        (format!("{HEADER}<stream:features/>{FAILURE}"), true),
        (format!("{open}{FAILURE}"), true),
        (format!("{open}<stream:error/>"), true),
        ("<stream xmlns='http://etherx.jabber.org/streams'><features/>".to_owned(), true),
        ("HTTP/1.1 400 Bad Request".to_owned(), true),
        (format!("{open}</stream:stream>"), false),
        (format!("{open}<!-- -->"), false),
        (format!("{open}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), false),
        (format!("{open}{}", " ".repeat(65_536)), false),
        (format!("{open}{}", "<a>".repeat(300)), false),
        (format!("{open}{PROCEED}x"), false),
    ] {
        let opening = Opening { to: "example.org", from: None, namespace: "jabber:client" };
        let mut negotiation = Negotiation::new(&opening, true);
        negotiation.output();
        let error = negotiation.handle_bytes(script.as_bytes(), now()).unwrap_err();
        assert_eq!(error.is_clear_refusal(), clear, "{error}");
    }
    let mut closed = negotiation(Form::Pipelined);
    assert!(!closed.handle_end().is_clear_refusal());
}
