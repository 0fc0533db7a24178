//! Tests of the refusals and their messages.

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, fault, negotiation, now, pipelined};
use crate::starttls::error::{Ending, Fault, LooksLike, NegotiationError, StreamError};
use crate::starttls::{Progress, Step};

/// The error of a script that arrives whole, and after which the peer closes the connection.
fn error(script: &[u8]) -> NegotiationError {
    let mut negotiation = negotiation(Form::Pipelined);
    negotiation.output();
    match negotiation.handle_bytes(script, now()) {
        Ok(_) => negotiation.handle_end(),
        Err(error) => error,
    }
}

fn stream_error(content: &str) -> StreamError {
    match fault(&format!("{HEADER}<stream:error>{content}</stream:error>")) {
        Fault::Stream(error) => error,
        other => panic!("{content}: {other:?}"),
    }
}

// rule F2
#[test]
fn features_must_offer_starttls_as_a_direct_child() {
    for features in [
        "<stream:features/>",
        "<stream:features></stream:features>",
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>",
        "<stream:features><starttls/></stream:features>",
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>",
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls '/></stream:features>",
        "<stream:features><STARTTLS xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
        "<stream:features><x><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x></stream:features>",
        "<stream:features>&lt;starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
        "<x><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x><stream:features/>",
    ] {
        let script = format!("{HEADER}{features}{FAILURE}");
        assert_eq!(pipelined(&script), (Err(Fault::NotOffered(None)), Step::Answer), "{features}");
    }
}

// rule F2
#[test]
fn failure_is_a_refusal() {
    for failure in [
        FAILURE,
        "<t:failure xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
    ] {
        assert_eq!(fault(&format!("{HEADER}{FEATURES}{failure}")), Fault::Refused, "{failure}");
    }
}

// rule F2
#[test]
fn the_version_must_be_1_0_or_later() {
    let header = |version: &str| {
        format!("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' {version}>{FEATURES}")
    };
    for version in ["1.0", "1.1", "1.10", "2.0", "01.0", "10.0", "1.00", "99999999999999999999.1"] {
        let script = header(&format!("version='{version}'"));
        assert_eq!(pipelined(&script), (Ok(Progress::More), Step::Answer), "{version}");
    }
    for version in ["0.9", "00.1", "", "1", "1.", ".1", "-1.0", "+1.0", " 1.0", "1.0 ", "1.0.0", "1,0", "x"] {
        let script = header(&format!("version='{version}'"));
        assert_eq!(fault(&script), Fault::Version(Some(version.to_owned())), "{version}");
    }
    assert_eq!(fault(&header("")), Fault::Version(None));
    assert_eq!(fault(&header("stream:version='1.0'")), Fault::Version(None));
}

// rule F2
#[test]
fn the_end_before_proceed_tells_the_step() {
    for (script, step) in [
        (String::new(), Step::Header),
        ("\r\n".to_owned(), Step::Header),
        ("<".to_owned(), Step::Header),
        (HEADER[..HEADER.len() - 1].to_owned(), Step::Header),
        (HEADER.to_owned(), Step::Features),
        (
            format!("{HEADER}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            Step::Features,
        ),
        (format!("{HEADER}<stream:error>"), Step::Features),
        (format!("{HEADER}{FEATURES}"), Step::Answer),
        (format!("{HEADER}{FEATURES}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'>"), Step::Answer),
    ] {
        let mut negotiation = negotiation(Form::Pipelined);
        negotiation.output();
        assert_eq!(negotiation.handle_bytes(script.as_bytes(), now()), Ok(Progress::More));
        let error = negotiation.handle_end();
        assert_eq!((error.fault(), error.step()), (&Fault::Ended(Ending::Connection), step), "{script}");
    }
    for (before, step) in [(HEADER.to_owned(), Step::Features), (format!("{HEADER}{FEATURES}"), Step::Answer)]
    {
        let script = format!("{before}</stream:stream>");
        assert_eq!(pipelined(&script), (Err(Fault::Ended(Ending::Stream)), step));
    }
}

// rule F2
#[test]
fn an_answer_that_is_no_xml_says_what_it_looks_like() {
    let cases: [(&[u8], LooksLike); 15] = [
        (b"HTTP/1.1 400 Bad Request\r\n", LooksLike::Http),
        (b"HTTP/", LooksLike::Http),
        (b"<html>\r\n<head>", LooksLike::Http),
        (b"\r\n<HTML lang='en'>", LooksLike::Http),
        (b"<!DOCTYPE html>\n<html>", LooksLike::Http),
        (b"<?xml version='1.0'?>\n<html xmlns='http://www.w3.org/1999/xhtml'>", LooksLike::Http),
        (b"\x15\x03\x01\x00\x02\x02\x46", LooksLike::Tls),
        (b"220 mail.example ESMTP\r\n", LooksLike::Smtp),
        (b"220-ftp.example\r\n", LooksLike::Smtp),
        (b"SSH-2.0-OpenSSH_9.2\r\n", LooksLike::Unknown(String::new())),
        (b"x", LooksLike::Unknown(String::new())),
        (b"HTP", LooksLike::Unknown(String::new())),
        (b"221 bye", LooksLike::Unknown(String::new())),
        (b"\0\x01\x02", LooksLike::Unknown(String::new())),
        // A stream must not begin with a byte order mark (RFC 6120 section 11.6).
        (b"\xef\xbb\xbf<?xml version='1.0'?>", LooksLike::Unknown(String::new())),
    ];
    for (script, expected) in cases {
        let (result, step) = super::outcome(Form::Pipelined, &[script]);
        assert_eq!(result, Err(Fault::NotXmpp(expected)), "{}", script.escape_ascii());
        assert_eq!(step, Step::Header);
    }
}

// rule F2
#[test]
fn an_unknown_answer_is_shown_escaped_and_cut() {
    let shown = |script: &[u8]| match error(script).fault() {
        Fault::NotXmpp(LooksLike::Unknown(shown)) => shown.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(b"\x1b[2J\xff ok"), "\\x1b[2J\\xff ok");
    assert_eq!(shown(&[b'y'; 1000]), "y".repeat(32));
    assert_eq!(shown(b"it's \"a\\b\""), "it's \"a\\b\"");
    // Beginnings of known answers.
    assert_eq!(shown(b"22"), "22");
    assert_eq!(error(b"\r\n").fault(), &Fault::Ended(Ending::Connection));
}

// rule F5
#[test]
fn a_stream_error_says_its_condition_and_text() {
    let namespace = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
    for (content, condition, text) in [
        (format!("<host-unknown {namespace}/>"), Some("host-unknown"), None),
        (
            format!("<conflict {namespace}/><text {namespace}> Go &amp; see </text>"),
            Some("conflict"),
            Some("Go & see"),
        ),
        (format!("<text {namespace}>a</text><conflict {namespace}/>"), Some("conflict"), Some("a")),
        (
            format!("\n<reset {namespace}/>\n<text {namespace}>a</text>\n<text {namespace}>b</text>"),
            Some("reset"),
            Some("a"),
        ),
        (format!("<app xmlns='urn:x'>y</app><reset {namespace}/>"), Some("reset"), None),
        (format!("<reset {namespace}><conflict {namespace}/></reset>"), Some("reset"), None),
        (format!("a<reset {namespace}/>b"), Some("reset"), Some("a")),
        (format!("<reset {namespace}/>b"), Some("reset"), None),
        ("<host-unknown/>".to_owned(), None, None),
        ("Invalid XML".to_owned(), None, Some("Invalid XML")),
        (String::new(), None, None),
    ] {
        let error = stream_error(&content);
        assert_eq!((error.condition.as_deref(), error.text.as_deref()), (condition, text), "{content}");
        assert_eq!(error.see_other_host, None);
    }
}

// rule F5
#[test]
fn see_other_host_is_data() {
    let named = |host: &str| {
        stream_error(&format!(
            "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{host}</see-other-host>"
        ))
    };
    for host in ["other.example", "other.example:9222", "[2001:db8::1]:5222"] {
        let error = named(&format!("\n{host} "));
        assert_eq!(error.condition.as_deref(), Some("see-other-host"));
        assert_eq!(error.see_other_host.as_deref(), Some(host));
        for (form, words) in [(Form::Strict, "not followed before TLS"), (Form::OverTls, "it refers to")] {
            let fault = Fault::Stream(error.clone());
            let error = NegotiationError::new(Step::Features, fault, form).to_string();
            assert!(error.contains(host) && error.contains(words), "{error}");
        }
    }
    assert_eq!(named("").see_other_host, None);
    assert_eq!(named(&"a".repeat(262)).see_other_host, None);
}

// rule F2, F5
#[test]
fn text_of_the_peer_is_cut_and_escaped() {
    let text = |content: &str| {
        stream_error(&format!("<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{content}</text>"))
            .text
            .unwrap()
    };
    assert_eq!(text("l'été \"1\"\n\\ \u{7f}\u{202e}\u{9b}"), "l'été \"1\"\\n\\ \\u{7f}\\u{202e}\\u{9b}");
    assert_eq!(text(&"é".repeat(300)), format!("{}…", "é".repeat(200)));
    assert_eq!(text(&"é".repeat(200)), "é".repeat(200));
}

// rule F2, F5
#[test]
fn an_error_is_one_line_that_says_what_it_means() {
    let open = format!("{HEADER}{FEATURES}");
    let streams = "urn:ietf:params:xml:ns:xmpp-streams";
    for (script, words) in [
        (String::new(), "before its stream header"),
        (open.clone(), "closed the connection after its stream features, before <proceed/>"),
        (format!("{HEADER}</stream:stream>"), "ended the stream before its stream features"),
        (
            format!("{HEADER}<stream:features/>"),
            "did not offer STARTTLS on this port, or the offer was removed in transit",
        ),
        (format!("{open}{FAILURE}"), "certificate"),
        (
            format!("{HEADER}<stream:error><host-unknown xmlns='{streams}'/></stream:error>"),
            "host-unknown: the server",
        ),
        (
            format!("{HEADER}<stream:error><text xmlns='{streams}'>a\nb</text></stream:error>"),
            "(unauthenticated text: a\\nb)",
        ),
        (
            "<stream xmlns='http://etherx.jabber.org/streams' version='0.9&#10;'/>".to_owned(),
            "version '0.9\\n'",
        ),
        ("<stream xmlns='http://etherx.jabber.org/streams'/>".to_owned(), "no version"),
        ("HTTP/1.0 400".to_owned(), "an HTTP server"),
        ("\x15\x03\x01".to_owned(), "direct TLS"),
        ("\x1b[2J".to_owned(), "begins with \\x1b[2J"),
        (
            format!("{HEADER}<!-- -->"),
            "before its stream features that is not well-formed or that XMPP forbids: ",
        ),
        (format!("{HEADER}<stream:x/>"), "unexpected element <x> before its stream features"),
        (" ".repeat(65_537), "64 KiB"),
        (format!("{HEADER}{}", "<a>".repeat(32)), "32 deep"),
        (format!("{open}{PROCEED} "), "unencrypted bytes follow <proceed/>"),
    ] {
        let message = error(script.as_bytes()).to_string();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains(['\n', '\x1b']) && !message.ends_with('.'), "{message}");
        assert!(message.starts_with(|first: char| first.is_ascii_lowercase()), "{message}");
    }
}

// rule D10, F2, F5
#[test]
fn over_tls_nothing_is_said_of_starttls() {
    let stream_error =
        StreamError { condition: None, text: Some("a".to_owned()), see_other_host: Some("b".to_owned()) };
    for (step, fault, before, over) in [
        (Step::Header, Fault::Version(None), "introduced STARTTLS", "predates XMPP 1.0"),
        (Step::Header, Fault::Version(Some("0.9".to_owned())), "STARTTLS requires", "predates XMPP 1.0"),
        (
            Step::Header,
            Fault::Ended(Ending::Connection),
            "or for direct TLS",
            "after TLS, before its stream header",
        ),
        (Step::Features, Fault::Ended(Ending::Connection), "closed the connection", "closed the connection"),
        (Step::Header, Fault::Ended(Ending::Stream), "ended the stream", "ended the stream"),
        (Step::Features, Fault::Stream(stream_error.clone()), "followed before TLS", "refers to b (a)"),
        (Step::Features, Fault::Stream(stream_error), "(unauthenticated text: a)", "refers to b (a)"),
    ] {
        for (form, words) in [(Form::Pipelined, before), (Form::OverTls, over)] {
            let error = NegotiationError::new(step, fault.clone(), form);
            assert_eq!(error.is_over_tls(), form == Form::OverTls);
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            let says = ["STARTTLS", "before TLS", "direct TLS", "unauthenticated"];
            assert!(!error.is_over_tls() || !says.iter().any(|says| text.contains(says)), "{text}");
        }
    }
}

// rule F2, F5
#[test]
fn what_was_wrong_before_a_reset_says_more_than_the_reset() {
    let reset = |script: &str| {
        let mut negotiation = negotiation(Form::Strict);
        negotiation.output();
        negotiation.handle_bytes(script.as_bytes(), now()).unwrap();
        negotiation.handle_reset().map(|error| error.fault().clone())
    };
    let old = HEADER.replace("client' version='1.0'", "client'");
    let broken_off = format!("{HEADER}<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    assert_eq!(reset(""), None);
    assert_eq!(reset(&format!("{HEADER}{FEATURES}")), None);
    assert_eq!(reset(&old), Some(Fault::Version(None)));
    assert_eq!(reset(&format!("{HEADER}<stream:features/>")), Some(Fault::NotOffered(None)));
    assert!(matches!(reset(&broken_off), Some(Fault::Stream(_))));
    assert!(matches!(reset("22"), Some(Fault::NotXmpp(_))));
}
