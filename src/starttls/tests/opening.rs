//! The opening of the stream over TLS.

use super::super::{Ending, NegotiationError};
use super::*;
use crate::domain::Domain;

const OPENED: Result<Progress, NegotiationError> = Ok(Progress::Complete);
/// Features over TLS.
const SASL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism></mechanisms></stream:features>";

fn opening(domain: &str) -> Negotiation {
    let domain = Domain::new(domain).unwrap();
    let header = Opening {
        to: domain.as_unicode(),
        from: None,
        lang: None,
        namespace: "jabber:client",
        declares_dialback: false,
    };
    Negotiation::over_tls(&header, b"<first/>", &domain)
}

/// The result of these bytes of the peer, which arrive whole and byte by byte with the same result.
fn result(script: &str) -> Result<Progress, NegotiationError> {
    let whole = opening("example.org").handle_bytes(script.as_bytes(), now());
    let mut one_by_one = opening("example.org");
    let mut last = Ok(Progress::More);
    for byte in script.as_bytes() {
        last = one_by_one.handle_bytes(&[*byte], now());
        if last != Ok(Progress::More) {
            break;
        }
    }
    let without_bytes =
        |result: Result<Progress, NegotiationError>| result.map_err(|error| without_bytes(error.fault()));
    assert_eq!(without_bytes(whole.clone()), without_bytes(last), "{script}");
    whole
}

fn header_from(from: &str) -> String {
    HEADER.replace("from='example.org'", from)
}

// rule D10
#[test]
fn the_stream_is_open_once_the_features_are_complete_and_what_follows_is_for_the_caller() {
    let mut negotiation = opening("example.org");
    let sent = String::from_utf8(negotiation.output().unwrap()).unwrap();
    assert!(sent.starts_with("<?xml") && sent.ends_with("<first/>") && !sent.contains("starttls"), "{sent}");
    assert_eq!(negotiation.handle_bytes(HEADER.as_bytes(), now()), Ok(Progress::More));
    assert_eq!(negotiation.step(), Step::Features);
    let rest = format!("{SASL}<success xmlns='urn:xmpp:sasl:2'/><not well-formed");
    assert_eq!(negotiation.handle_bytes(rest.as_bytes(), now()), OPENED);
    assert_eq!(negotiation.step(), Step::Open);
    assert_eq!(negotiation.output(), None);
    // STARTTLS is not looked for, and empty features are features.
    assert_eq!(result(&format!("{HEADER}{FEATURES}")), OPENED);
    assert_eq!(result(&format!("{HEADER}<stream:features/>")), OPENED);
}

// rule D10
#[test]
fn the_header_must_be_from_the_domain_if_it_is_from_any() {
    for from in ["", "from='example.org'", "from='EXAMPLE.org'", "from='example.org.'"] {
        assert_eq!(result(&format!("{}{SASL}", header_from(from))), OPENED, "{from}");
    }
    for from in ["other.example", "xexample.org", "", "juliet@example.org", "[::1]"] {
        let error = result(&format!("{}{SASL}", header_from(&format!("from='{from}'")))).unwrap_err();
        assert!(matches!(error.fault(), Fault::OtherDomain { .. }), "{error}");
        let words = format!("from '{from}' and not from 'example.org'");
        assert!(error.to_string().contains(&words), "{error}");
    }
    // Before TLS it proves nothing.
    let script = [header_from("from='other.example'"), FEATURES.to_owned(), PROCEED.to_owned()].concat();
    assert_eq!(play(Form::Pipelined, [script.as_bytes()]).0, Ok(Progress::Complete));
}

// rule D10
#[cfg(feature = "idna")]
#[test]
fn the_header_may_be_from_the_domain_in_any_form() {
    for from in ["straße.example", "STRASSE.example", "xn--strae-oqa.example"] {
        let header = header_from(&format!("from='{from}'"));
        let result = opening("straße.example").handle_bytes(format!("{header}{SASL}").as_bytes(), now());
        assert_eq!(result.is_ok(), !from.starts_with("STRASSE"), "{from}");
    }
}

// rule D10, F4, F5
#[test]
fn whatever_else_the_peer_sends_is_an_error_in_words() {
    let error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>gone</text></stream:error>";
    for (script, words) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(), "it looks like an HTTP server"),
        ("220 mail.example ESMTP\r\n".to_owned(), "mail server"),
        (
            format!("{HEADER}{error}"),
            "stream error host-unknown: the server does not serve this domain (gone)",
        ),
        (format!("{HEADER}</stream:stream>"), "ended the stream before its stream features"),
        (format!("{HEADER}{PROCEED}"), "unexpected <proceed/> before its stream features"),
        (format!("{HEADER}{FAILURE}"), "unexpected <failure/>"),
        (format!("{HEADER}<stream:features><!DOCTYPE x>"), "not well-formed"),
        (format!("{HEADER}<stream:features>{}", "<x>".repeat(64)), "more than 32 deep"),
        (format!("{HEADER}{}", " ".repeat(65_536)), "more than 64 KiB"),
        (" ".repeat(65_537), "more than 64 KiB"),
        (format!("{}{SASL}", HEADER.replace(" version='1.0'", "").replace("<?xml?>", "")), "version"),
    ] {
        let error = result(&script).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_over_tls());
    }
    let error = opening("example.org").handle_end();
    assert_eq!(*error.fault(), Fault::Ended(Ending::Connection));
    assert!(error.to_string().contains("such as HTTPS"), "{error}");
}
