//! Tests of what is accepted as XMPP, and as `<proceed/>`.

use super::{FAILURE, FEATURES, Form, HEADER, PROCEED, fault, negotiation, now, pipelined, unexpected};
use crate::starttls::error::Fault;
use crate::starttls::{Progress, Step};

const PROCEEDED: super::Outcome = (Ok(Progress::Complete), Step::Tls);

// rule F4
#[test]
fn prefixes_quotes_declaration_and_white_space_are_the_peers_choice() {
    let streams = "http://etherx.jabber.org/streams";
    let tls = "urn:ietf:params:xml:ns:xmpp-tls";
    let proceeds = [
        format!("<proceed xmlns='{tls}'/>"),
        format!("<proceed xmlns=\"{tls}\"/>"),
        format!("<proceed xmlns='{tls}'></proceed>"),
        format!("<proceed\n\txmlns = '{tls}'\n></proceed\n>"),
        format!("<t:proceed xmlns:t='{tls}' />"),
        format!("<t:proceed xmlns:t='{tls}'></t:proceed>"),
        "<proceed xmlns='&#x75;rn:ietf:params:xml:ns:xmpp-tls' id='1'/>".to_owned(),
    ];
    for proceed in &proceeds {
        assert_eq!(pipelined(&format!("{HEADER}{FEATURES}{proceed}")), PROCEEDED, "{proceed}");
    }
    let openings = [
        format!("<stream:stream xmlns:stream='{streams}' version='1.0'>{FEATURES}"),
        format!("\r\n <stream:stream xmlns:stream='{streams}' version='1.0'>{FEATURES}"),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes'?>\n<stream:stream\n \
             xmlns:stream=\"{streams}\" version=\"1.0\" >\n{FEATURES}\r\n"
        ),
        format!(
            "<?xml version='1.0'?><stream xmlns='{streams}' version='1.0'><features><starttls xmlns='{tls}'>\
             <required/></starttls></features>"
        ),
        format!(
            "<s:stream xmlns:s='{streams}' xmlns:t='{tls}' version='1.0'>\
             <s:features> <t:starttls/> </s:features>\t"
        ),
    ];
    for opening in &openings {
        assert_eq!(pipelined(&format!("{opening}{PROCEED}")), PROCEEDED, "{opening}");
    }
}

// rule F4
#[test]
fn unknown_elements_are_skipped_whole() {
    let offer = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let nested = format!("{}x &amp; <![CDATA[</y>]]>{}", "<y>".repeat(29), "</y>".repeat(29));
    for features in [
        format!("<x xmlns='urn:x'>{nested}</x>{offer}"),
        format!("{offer}<x xmlns='urn:x'>{nested}</x>"),
        // These names have a meaning elsewhere, but not inside the features.
        format!(
            "{offer}<x><stream:error/><stream:features/><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x>"
        ),
    ] {
        let script = format!("{HEADER}<stream:features>{features}</stream:features>{PROCEED}");
        assert_eq!(pipelined(&script), PROCEEDED, "{features}");
    }
    // Between the children of the stream too: only the namespaces of streams and STARTTLS are checked.
    let stranger = "<x xmlns='urn:x'>y<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x>";
    assert_eq!(pipelined(&format!("{HEADER}{stranger}{FEATURES}{stranger}{PROCEED}")), PROCEEDED);
}

// rule F3
#[test]
fn proceed_counts_when_its_last_byte_has_come() {
    for proceed in [PROCEED, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"] {
        let script = format!("{HEADER}{FEATURES}{proceed}");
        let (last, most) = script.as_bytes().split_last().unwrap();
        let mut negotiation = negotiation(Form::Pipelined);
        negotiation.output();
        assert_eq!(negotiation.handle_bytes(most, now()), Ok(Progress::More));
        assert_eq!(negotiation.handle_bytes(&[*last], now()), Ok(Progress::Complete));
        assert_eq!(negotiation.handle_bytes(b"", now()), Ok(Progress::Complete));
    }
}

// rule F3
#[test]
fn nothing_may_follow_proceed() {
    for proceed in [PROCEED, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"] {
        for rest in [" ", "\n", "\0", "x", "<", "</stream:stream>", "<iq/>", "\x16\x03\x03", PROCEED] {
            assert_eq!(
                fault(&format!("{HEADER}{FEATURES}{proceed}{rest}")),
                Fault::TrailingBytes,
                "{rest:?}"
            );
        }
    }
}

// rule F3, F4
#[test]
fn proceed_must_be_empty() {
    for content in [" ", "x", "<![CDATA[x]]>", "&#32;"] {
        let script =
            format!("{HEADER}{FEATURES}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'>{content}</proceed>");
        assert_eq!(unexpected(&script), "text inside <proceed/>", "{content:?}");
    }
    let script = format!("{HEADER}{FEATURES}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'><x/></proceed>");
    assert_eq!(unexpected(&script), "element <x> inside <proceed/>");
}

// rule F4
#[test]
fn answers_out_of_turn_are_refused() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    for (script, what) in [
        (format!("{HEADER}{PROCEED}"), "<proceed/>"),
        (format!("{HEADER}{FAILURE}"), "<failure/>"),
        (format!("{HEADER}{starttls}"), "element <starttls>"),
        (format!("{HEADER}{FEATURES}{FEATURES}"), "second <stream:features/>"),
        (format!("{HEADER}{FEATURES}{starttls}"), "element <starttls>"),
        (format!("{HEADER}{FEATURES}<x xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "element <x>"),
        (format!("{HEADER}<stream:stream>"), "element <stream>"),
        (format!("{HEADER}<stream:x/>"), "element <x>"),
        (format!("{HEADER}{FEATURES}<stream:x/>"), "element <x>"),
        (format!("{HEADER}x<stream:features/>"), "text between elements"),
        (format!("{HEADER}{FEATURES}&lt;{PROCEED}"), "text between elements"),
    ] {
        assert_eq!(unexpected(&script), what, "{script}");
    }
}

// rule F4
#[test]
fn the_root_must_be_a_stream_in_the_streams_namespace() {
    for root in [
        "<stream:stream xmlns:stream='jabber:client' version='1.0'>",
        "<stream version='1.0'>",
        "<stream xmlns='jabber:client' version='1.0'>",
        "<stream xmlns='http://etherx.jabber.org/streams/' version='1.0'>",
        "<stream xmlns='HTTP://ETHERX.JABBER.ORG/STREAMS' version='1.0'>",
    ] {
        assert_eq!(unexpected(root), "element <stream> as the root of its stream", "{root}");
    }
    let other = "<?xml version='1.0'?><features xmlns='http://etherx.jabber.org/streams' version='1.0'/>";
    assert_eq!(unexpected(other), "element <features> as the root of its stream");
}

// rule F4
#[test]
fn forbidden_and_malformed_xml_is_refused() {
    let beginnings = [
        "<!DOCTYPE stream>",
        "<?xml version='1.0'?><!DOCTYPE stream [<!ENTITY a 'b'>]>",
        "<?xml version='1.1'?>",
        "<?xml version='1.0' encoding='utf-16'?>",
        "<?xml version='1.0'?><?xml version='1.0'?>",
        " <?xml version='1.0'?>",
        "<?php echo 1 ?>",
        "<!-- comment --><stream>",
        "<?xml version='1.0'?><!-- comment -->",
        "<stream:stream xmlns='http://etherx.jabber.org/streams' version='1.0'>",
        "<stream xmlns='http://etherx.jabber.org/streams' version='1.0' version='1.0'>",
        "<stream xmlns='http://etherx.jabber.org/streams' version='&one;'>",
        "<stream xmlns='http://etherx.jabber.org/streams' version='<'>",
        "<stream xmlns=http>",
        "< stream>",
    ];
    for script in beginnings {
        assert!(matches!(fault(script), Fault::Xml(_)), "{script}");
    }
    let contents: [&[u8]; 13] = [
        b"<!-- comment -->",
        b"<stream:features><x><!-- comment --></x>",
        b"<?target data?>",
        b"<stream:features><?target data?>",
        b"<?xml version='1.0'?>",
        b"<!DOCTYPE x>",
        b"&entity;",
        b"<stream:features>&nbsp;",
        b"<stream:features></features>",
        b"<undeclared:x/>",
        b"<stream:features>]]>",
        b"<stream:features>\xff\xfe<",
        b"<stream:features>\0",
    ];
    for content in contents {
        let script = [HEADER.as_bytes(), content].concat();
        let (result, step) = super::outcome(Form::Pipelined, &[&script]);
        assert!(matches!(result, Err(Fault::Xml(_))), "{} {result:?}", content.escape_ascii());
        assert_eq!(step, Step::Features);
    }
}
