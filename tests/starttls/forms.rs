//! The form of what is said: that of ours, what is the server's choice, and what XMPP forbids.

use std::time::Duration;

use xmpp_connect::TlsMode;

use crate::given::{self, DOMAIN, XMPP, builder, failures, zone};
use crate::support::xmpp::{PROCEED, STARTTLS_FEATURES, header};
use crate::support::{Authority, DnsServer, Event, Stage, Step, XmppServer};
use crate::{SAID, assert_refused, healthy, past, says};

// spec F3
#[test]
fn bytes_behind_proceed_reach_neither_tls_nor_the_application() {
    for behind in ["<message/>", " ", "\n", "\u{16}\u{3}", "</stream:stream>"] {
        let proceed = [PROCEED, behind].concat();
        assert_refused(
            behind,
            |authority| {
                healthy(authority).instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(&*proceed)])
            },
            &["follow <proceed/>"],
        );
    }
    // All at once, without having waited for the question.
    let all = [&header(DOMAIN), STARTTLS_FEATURES, PROCEED, "<message/>"].concat();
    let authority = Authority::new();
    let (connection, record) = past(&authority, says(&authority, &[&all]), true);
    assert!(failures(connection.report())[0].1.contains("follow <proceed/>"));
    assert_eq!(record.hello, None);
}

// spec F4
#[test]
fn what_xmpp_forbids_in_xml_is_the_end_of_the_candidate() {
    let to = header(DOMAIN);
    let plain = to.replace("<?xml version='1.0'?>", "");
    let cases = [
        ("DTD", format!("<?xml version='1.0'?><!DOCTYPE stream [<!ENTITY a 'b'>]>{plain}")),
        ("processing instruction", format!("{to}<?php echo ?>{STARTTLS_FEATURES}")),
        ("comment", format!("{to}<!-- hello -->{STARTTLS_FEATURES}")),
        ("entity", format!("{to}<stream:features>&nbsp;</stream:features>")),
        ("not well-formed", format!("{to}<stream:features></stream:error>")),
        ("prefix that is not bound", format!("{to}<other:features/>")),
        ("root", "<?xml version='1.0'?><stream xmlns='jabber:client' version='1.0'>".to_owned()),
        ("root's namespace", plain.replace("etherx.jabber.org", "other.example")),
        ("child of the streams namespace", format!("{to}<stream:other/>")),
        ("proceed before the features", format!("{to}{PROCEED}")),
        ("TLS element", format!("{to}{STARTTLS_FEATURES}<other xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")),
        ("features twice", format!("{to}{STARTTLS_FEATURES}{STARTTLS_FEATURES}")),
        ("text", format!("{to}hello{STARTTLS_FEATURES}")),
    ];
    for (case, words) in cases {
        assert_refused(case, |authority| says(authority, &[&words]), &["the server sent"]);
    }
}

// spec F4
#[test]
fn an_endless_answer_is_bounded() {
    let to = header(DOMAIN);
    let cases: [(&str, String, &str); 6] = [
        ("white space first", String::new(), " "),
        ("attribute", "<stream:stream a='".to_owned(), "x"),
        ("white space between elements", to.clone(), "\n"),
        ("features", format!("{to}<stream:features>"), "<a xmlns='b'/>"),
        ("text in the features", format!("{to}<stream:features><a>"), "x"),
        ("white space before proceed", format!("{to}{STARTTLS_FEATURES}"), " "),
    ];
    for (case, beginning, endless) in cases {
        assert_refused(
            case,
            |authority| {
                let mut steps = vec![Step::AwaitHeader];
                steps.extend((!beginning.is_empty()).then(|| Step::send(&*beginning)));
                steps.push(Step::SendForEver(endless.into()));
                healthy(authority).instead(Stage::Header, &steps)
            },
            &["more than 64 KiB"],
        );
    }
    assert_refused(
        "elements in elements",
        |authority| {
            let steps = [Step::AwaitHeader, Step::send(&*to), Step::SendForEver(b"<a xmlns='b'>".to_vec())];
            healthy(authority).instead(Stage::Header, &steps)
        },
        &["more than 32 deep"],
    );
}

// spec F4
#[test]
fn the_form_of_what_is_right_is_the_servers_choice() {
    let to = header(DOMAIN);
    let other_prefix = to.replace("stream:", "x:").replace("xmlns:stream", "xmlns:x");
    let features = |prefix: &str| STARTTLS_FEATURES.replace("stream:", prefix);
    let default = "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>".to_owned();
    let long = "<proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"></proceed>";
    let forms: [(&str, [String; 3]); 7] = [
        ("other quotes", [to.replace('\'', "\""), features("stream:").replace('\'', "\""), long.to_owned()]),
        (
            "other prefix",
            [
                other_prefix,
                features("x:"),
                "<t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
            ],
        ),
        ("no prefix", [default, features(""), PROCEED.to_owned()]),
        (
            "no declaration",
            [to.replace("<?xml version='1.0'?>", ""), features("stream:"), PROCEED.to_owned()],
        ),
        (
            "white space",
            [format!("{to}\n"), format!("{}\r\n  ", features("stream:")), format!(" \n{PROCEED}")],
        ),
        (
            "version 1.1",
            [
                to.replace("version='1.0' xml:lang", "version='1.10' xml:lang"),
                features("stream:"),
                PROCEED.to_owned(),
            ],
        ),
        (
            "more features",
            [
                to.clone(),
                features("stream:")
                    .replace("<stream:features>", "<stream:features><a xmlns='b'><starttls/></a>"),
                PROCEED.to_owned(),
            ],
        ),
    ];
    let authority = Authority::new();
    for (form, [header, features, proceed]) in forms {
        for drip in [None, Some(Step::Drip(Duration::from_micros(100)))] {
            let script = healthy(&authority)
                .instead(Stage::Header, &[Step::AwaitHeader, Step::send(&*header)])
                .instead(Stage::Features, &[Step::send(&*features)])
                .instead(Stage::Proceed, &[Step::AwaitStartTls, Step::send(&*proceed)]);
            let script = drip.into_iter().fold(script, |script, drip| script.before(Stage::Header, &[drip]));
            let server = XmppServer::start(script);
            let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
            for pipelining in [true, false] {
                let options = builder(&authority, &dns).starttls_pipelining(pipelining);
                let connected = options.build().unwrap().connect(DOMAIN);
                let connection = connected.unwrap_or_else(|error| panic!("{form}: {}", given::chain(&error)));
                assert_eq!(connection.tls_mode(), TlsMode::StartTls);
            }
        }
    }
}

// spec F1, F1a
#[test]
fn header_and_starttls_leave_in_one_write_or_step_by_step() {
    let authority = Authority::new();
    let server = XmppServer::start(healthy(&authority));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    drop(builder(&authority, &dns).build().unwrap().connect(DOMAIN).unwrap());
    drop(builder(&authority, &dns).starttls_pipelining(false).build().unwrap().connect(DOMAIN).unwrap());
    assert_eq!(server.wait_end(0).clear_reads(), [SAID]);
    let (header, starttls) = SAID.split_at(SAID.find("<starttls").unwrap());
    assert_eq!(server.wait_end(1).clear_reads(), [header, starttls]);
    let events = server.wait_end(1).events;
    let place = |bytes: &str| {
        events.iter().position(|event| match event {
            Event::Read(read) | Event::Wrote(read) => read == bytes.as_bytes(),
            Event::Secured => false,
        })
    };
    assert!(place(STARTTLS_FEATURES).unwrap() < place(starttls).unwrap(), "{events:#?}");
}
