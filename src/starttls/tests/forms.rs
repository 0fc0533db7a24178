//! Tests of what we send and when.

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, negotiation, now, pipelined};
use crate::starttls::{Fault, Opening, Progress, Step};

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
    assert_eq!(negotiation.handle_bytes(PROCEED.as_bytes(), now()), Ok(Progress::Complete));
    assert_eq!(negotiation.output(), None);
}

// rule F1, F2
#[test]
fn the_strict_form_asks_for_what_is_not_offered() {
    let mut negotiation = negotiation(Form::Strict);
    negotiation.output();
    negotiation.handle_bytes(format!("{HEADER}<stream:features/>").as_bytes(), now()).unwrap();
    assert_eq!(text(negotiation.output()), Some(OUR_STARTTLS.to_owned()));
    assert_eq!(negotiation.handle_bytes(PROCEED.as_bytes(), now()), Ok(Progress::Complete));
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
    let client = Opening {
        to: "example.org",
        from: None,
        lang: None,
        namespace: "jabber:client",
        declares_dialback: false,
    };
    assert!(!client.header().contains(" from="));
    let server = Opening {
        to: "example.org",
        from: Some("bücher.example"),
        lang: None,
        namespace: "jabber:server",
        declares_dialback: false,
    };
    assert_eq!(
        server.header(),
        "<?xml version='1.0'?><stream:stream to='example.org' from='bücher.example' version='1.0' \
         xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
}

// rule A5, F1
#[test]
fn names_in_the_header_are_escaped() {
    let opening = Opening {
        to: "a'b\"&<>",
        from: Some("'/><x a='"),
        lang: None,
        namespace: "jabber:server",
        declares_dialback: false,
    };
    let header = opening.header();
    assert!(header.contains(" to='a&apos;b&quot;&amp;&lt;&gt;' "), "{header}");
    assert!(header.contains(" from='&apos;/&gt;&lt;x a=&apos;' "), "{header}");
}

// rule F1, F2
#[test]
fn a_failure_before_proceed_may_be_due_to_pipelining_unless_it_is_a_clear_refusal() {
    let open = format!("{HEADER}{FEATURES}");
    let no_offer = format!("{HEADER}<stream:features/>");
    let invalid = "<stream:error><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for (script, expected) in [
        (format!("{open}{FAILURE}"), false),
        (format!("{no_offer}{FAILURE}"), false),
        (format!("{no_offer}{invalid}"), false),
        (format!("{no_offer}</stream:stream>"), false),
        ("<stream xmlns='http://etherx.jabber.org/streams'><features/>".to_owned(), false),
        ("HTTP/1.1 400 Bad Request".to_owned(), false),
        ("220 mail.example ESMTP".to_owned(), false),
        ("\u{15}\u{3}\u{3}".to_owned(), false),
        (format!("{open}{PROCEED}x"), false),
        (format!("{open}<stream:error/>"), true),
        (format!("{open}{invalid}"), true),
        (format!("{HEADER}{invalid}"), true),
        (format!("{HEADER}{PROCEED}"), true),
        (format!("{HEADER}{FAILURE}"), true),
        (format!("{HEADER}x<"), true),
        (format!("{open}x<"), true),
        (format!("{open}{FEATURES}"), true),
        (format!("{open}</stream:stream>"), true),
        (format!("{open}<!-- -->"), true),
        (format!("{open}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), true),
        (format!("{open}{}", " ".repeat(65_536)), true),
        (format!("{open}{}", "<a>".repeat(300)), true),
    ] {
        let mut negotiation = negotiation(Form::Pipelined);
        negotiation.output();
        let error = negotiation.handle_bytes(script.as_bytes(), now()).unwrap_err();
        assert_eq!(error.may_be_due_to_pipelining(), expected, "{script}: {error}");
    }
    for (script, expected) in [("", true), (HEADER, true), (&open, true), (&no_offer, false)] {
        let mut closed = negotiation(Form::Pipelined);
        closed.output();
        closed.handle_bytes(script.as_bytes(), now()).unwrap();
        assert_eq!(closed.handle_end().may_be_due_to_pipelining(), expected, "{script}");
    }
    let mut closed = negotiation(Form::Pipelined);
    closed.output();
    closed.handle_bytes(format!("{open}{PROCEED}").as_bytes(), now()).unwrap();
    assert!(!closed.handle_end().may_be_due_to_pipelining(), "after <proceed/>");
}

// rule F1: the conditions of RFC 6120 section 4.9.3.
#[test]
fn a_stream_error_about_names_the_header_or_the_state_of_the_server_is_a_clear_refusal() {
    let clear = "bad-namespace-prefix conflict connection-timeout host-gone host-unknown improper-addressing \
        invalid-from invalid-namespace remote-connection-failed reset resource-constraint see-other-host \
        system-shutdown unsupported-encoding unsupported-version";
    let doubtful = "bad-format internal-server-error invalid-xml not-authorized not-well-formed policy-violation \
        restricted-xml undefined-condition unsupported-feature unsupported-stanza-type";
    for (conditions, expected) in [(clear, false), (doubtful, true)] {
        for condition in conditions.split_whitespace() {
            let error = format!(
                "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            );
            let mut negotiation = negotiation(Form::Pipelined);
            negotiation.output();
            let error = negotiation.handle_bytes(format!("{HEADER}{error}").as_bytes(), now()).unwrap_err();
            assert_eq!(error.may_be_due_to_pipelining(), expected, "{condition}");
        }
    }
}
