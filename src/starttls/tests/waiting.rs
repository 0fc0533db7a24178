//! Tests of the waits: for the reason of a header without version, and for an answer without an offer.

use std::time::{Duration, Instant};

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, fault, negotiation, now, outcome};
use crate::deadline::Deadline;
use crate::starttls::error::{Ending, Fault, StreamError};
use crate::starttls::{Negotiation, Progress, Step};

const OLD_HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
    id='1' from='a.example'>";
const ERROR: &str =
    "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
const NO_OFFER: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn host_unknown() -> StreamError {
    StreamError { condition: Some("host-unknown".to_owned()), text: None, see_other_host: None }
}

/// A negotiation in which the peer has sent `script` at `at`, and all of our bytes are sent.
fn after(form: Form, script: &str, at: Instant) -> Negotiation {
    let mut negotiation = negotiation(form);
    negotiation.output();
    assert_eq!(negotiation.handle_bytes(script.as_bytes(), at), Ok(Progress::More), "{script}");
    negotiation.output();
    negotiation
}

/// Asserts that the negotiation waits until `deadline`, even if bytes drip in, and then fails with `fault`.
#[track_caller]
fn assert_fails_at(
    mut negotiation: Negotiation,
    start: Instant,
    wait: Duration,
    drip: &[u8],
    expected: &Fault,
) {
    let deadline = start + wait;
    assert_eq!(negotiation.wake_at(), Deadline::from(deadline));
    for (index, byte) in drip.iter().enumerate() {
        let at = start + wait.mul_f64(0.9 * index as f64 / drip.len() as f64);
        assert_eq!(negotiation.handle_bytes(&[*byte], at), Ok(Progress::More));
        assert_eq!(negotiation.poll(at), Ok(()));
        assert_eq!(negotiation.wake_at(), Deadline::from(deadline));
    }
    assert_eq!(negotiation.poll(deadline - NANOSECOND), Ok(()));
    let error = negotiation.poll(deadline).unwrap_err();
    assert_eq!(error.fault(), expected);
    assert_eq!(
        negotiation.handle_bytes(PROCEED.as_bytes(), deadline),
        Err(error.clone()),
        "an error is final"
    );
    assert_eq!(negotiation.handle_end(), error, "an error is final");
}

// rule F2, F5
#[test]
fn a_header_without_version_waits_for_the_stream_error_however_the_bytes_are_cut() {
    for version in ["", " version='0.9'", " version='1'"] {
        let header = OLD_HEADER.replace('>', &format!("{version}>"));
        for between in ["", "\n", " \r\n\t"] {
            for form in [Form::Pipelined, Form::Strict] {
                let script = format!("{header}{between}{ERROR}</stream:stream>");
                let expected = (Err(Fault::Stream(host_unknown())), Step::Features);
                assert_eq!(outcome(form, &[script.as_bytes()]), expected, "{script}");
            }
        }
        // With a pause at every position, up to the last moment.
        let script = format!("{header}{ERROR}");
        for position in header.len()..script.len() {
            let start = now();
            let mut negotiation = after(Form::Pipelined, &script[..position], start);
            let late = start + SECOND - NANOSECOND;
            assert_eq!(negotiation.poll(late), Ok(()));
            let error = negotiation.handle_bytes(&script.as_bytes()[position..], late).unwrap_err();
            assert_eq!(error.fault(), &Fault::Stream(host_unknown()), "cut at {position}");
        }
    }
}

// rule F2
#[test]
fn a_header_without_version_is_the_error_after_a_second() {
    let start = now();
    for drip in
        ["", " ", "   \n\n\n   ", "<stream:error", "<x", "<stream:error><text>abc", "<stream:features><x/>"]
    {
        let negotiation = after(Form::Pipelined, OLD_HEADER, start);
        assert_fails_at(negotiation, start, SECOND, drip.as_bytes(), &Fault::Version(None));
    }
    // The condition of an incomplete stream error is enough.
    let drip = ERROR.strip_suffix("</stream:error>").unwrap();
    let negotiation = after(Form::Pipelined, OLD_HEADER, start);
    assert_fails_at(negotiation, start, SECOND, drip.as_bytes(), &Fault::Stream(host_unknown()));
}

// rule F2
#[test]
fn all_but_a_stream_error_ends_the_wait_for_one() {
    for rest in [
        "<stream:features/>",
        NO_OFFER,
        FEATURES,
        PROCEED,
        FAILURE,
        "<x xmlns='urn:x'>",
        "<stream:stream>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "x<",
        "<!-- -->",
        "<undeclared:x/>",
        "</stream:stream>",
    ] {
        assert_eq!(fault(&format!("{OLD_HEADER}{rest}")), Fault::Version(None), "{rest}");
    }
    let closed = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>";
    assert_eq!(fault(closed), Fault::Version(None));
    for rest in ["", " ", "<stream:error>", "<stream:fea"] {
        let error = after(Form::Pipelined, &format!("{OLD_HEADER}{rest}"), now()).handle_end();
        assert_eq!(error.fault(), &Fault::Version(None), "{rest}");
    }
    let error =
        after(Form::Pipelined, &format!("{OLD_HEADER}{}", &ERROR[..ERROR.len() - 3]), now()).handle_end();
    assert_eq!(error.fault(), &Fault::Stream(host_unknown()));
}

// rule F2
#[test]
fn features_without_an_offer_do_not_stop_the_negotiation() {
    for features in [NO_OFFER, "<stream:features/>", "<stream:features><starttls/></stream:features>"] {
        let question = format!("{HEADER}{features}");
        let expected = (Ok(Progress::Complete), Step::Tls);
        let whole = format!("{question}{PROCEED}");
        assert_eq!(outcome(Form::Pipelined, &[whole.as_bytes()]), expected, "{whole}");
        assert_eq!(outcome(Form::Strict, &[question.as_bytes(), PROCEED.as_bytes()]), expected, "{whole}");
        for form in [Form::Pipelined, Form::Strict] {
            let start = now();
            let mut negotiation = after(form, &question, start);
            let late = start + 3 * SECOND - NANOSECOND;
            assert_eq!(negotiation.handle_bytes(PROCEED.as_bytes(), late), Ok(Progress::Complete));
            assert!(negotiation.is_unoffered());
            // The handshake has its own limits.
            assert_eq!(negotiation.poll(start + 9 * SECOND), Ok(()));
        }
    }
    for form in [Form::Pipelined, Form::PipelinedOnly, Form::Strict] {
        let mut offered = after(form, &format!("{HEADER}{FEATURES}"), now());
        offered.handle_bytes(PROCEED.as_bytes(), now()).unwrap();
        assert!(!offered.is_unoffered());
    }
}

// rule F1
#[test]
fn an_offer_is_answered_within_3_s_unless_there_is_no_other_form_or_no_other_connection() {
    let question = format!("{HEADER}{FEATURES}");
    let start = now();
    let pipelined = || after(Form::Pipelined, &question, start);
    for drip in ["", "  \n", "<x xmlns='urn:x'/>", &PROCEED[..PROCEED.len() - 1], "<stream:error>"] {
        assert_fails_at(pipelined(), start, 3 * SECOND, drip.as_bytes(), &Fault::Unanswered);
    }
    let drip = ERROR.strip_suffix("</stream:error>").unwrap();
    assert_fails_at(pipelined(), start, 3 * SECOND, drip.as_bytes(), &Fault::Stream(host_unknown()));
    let error = pipelined().poll(start + 3 * SECOND).unwrap_err();
    assert!(error.may_be_due_to_pipelining());
    assert_eq!(
        error.to_string(),
        "the server did not answer <starttls/> within 3 s after its stream features"
    );

    let mut late = pipelined();
    assert_eq!(
        late.handle_bytes(PROCEED.as_bytes(), start + 3 * SECOND - NANOSECOND),
        Ok(Progress::Complete)
    );
    assert_eq!(late.poll(start + 9 * SECOND), Ok(()), "the handshake has its own limits");
    // What the peer says in time is the error, not the silence before it.
    assert_eq!(pipelined().handle_end().fault(), &Fault::Ended(Ending::Connection));
    assert_eq!(pipelined().handle_reset(), None);
    assert_eq!(pipelined().handle_bytes(FAILURE.as_bytes(), start).unwrap_err().fault(), &Fault::Refused);

    for (form, is_unanswered) in [(Form::Pipelined, true), (Form::PipelinedOnly, true), (Form::Strict, false)]
    {
        assert!(!after(form, HEADER, start).is_unanswered());
        assert!(!after(form, &format!("{HEADER}{NO_OFFER}"), start).is_unanswered());
        let mut negotiation = after(form, &question, start);
        assert_eq!(negotiation.is_unanswered(), is_unanswered);
        assert_eq!(negotiation.wake_at() == Deadline::NEVER, form != Form::Pipelined);
        negotiation.handle_bytes(PROCEED.as_bytes(), start).unwrap();
        assert!(!negotiation.is_unanswered());
    }
}

// rule F2
#[test]
fn without_an_offer_a_refusal_the_end_and_silence_say_so() {
    let question = format!("{HEADER}{NO_OFFER}");
    for (answer, stream_error) in [
        (FAILURE, None),
        ("</stream:stream>", None),
        (ERROR, Some(host_unknown())),
        ("<x/>\n</stream:stream>", None),
    ] {
        let expected = (Err(Fault::NotOffered(stream_error)), Step::Answer);
        let whole = format!("{question}{answer}");
        assert_eq!(outcome(Form::Pipelined, &[whole.as_bytes()]), expected, "{whole}");
        assert_eq!(outcome(Form::Strict, &[question.as_bytes(), answer.as_bytes()]), expected, "{whole}");
    }
    for form in [Form::Pipelined, Form::Strict] {
        assert_eq!(after(form, &question, now()).handle_end().fault(), &Fault::NotOffered(None));
        for drip in [
            "",
            "  \n",
            "<x xmlns='urn:x'/><y xmlns='urn:x'/>",
            &PROCEED[..PROCEED.len() - 1],
            "<stream:error>",
        ] {
            let start = now();
            let negotiation = after(form, &question, start);
            assert_fails_at(negotiation, start, 3 * SECOND, drip.as_bytes(), &Fault::NotOffered(None));
        }
    }
    // Other faults keep their own message.
    assert_eq!(fault(&format!("{question}{PROCEED} ")), Fault::TrailingBytes);
    assert!(matches!(fault(&format!("{question}{NO_OFFER}")), Fault::Unexpected(_)));
    assert!(matches!(fault(&format!("{question}<!-- -->")), Fault::Xml(_)));
    let message = after(Form::Pipelined, &question, now()).handle_bytes(ERROR.as_bytes(), now()).unwrap_err();
    assert!(
        message.to_string().ends_with(": stream error host-unknown: the server does not serve this domain")
    );
}
