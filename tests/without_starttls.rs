//! Tests of feature `starttls` where it is off: servers with STARTTLS are reported, and not connected to.

#![cfg(not(feature = "starttls"))]
#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use std::io;
use std::net::TcpStream;

use xmpp_connect::report::AttemptErrorKind;
use xmpp_connect::{Error, ErrorKind, Target, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, builder, chain, zone};
use support::{Authority, DnsServer, Script, XmppServer};

/// Asserts that the only attempt has failed for want of the feature, and that the error says so.
#[track_caller]
fn assert_left_out(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Attempts, "{error}");
    let text = chain(error);
    assert!(text.contains("built without STARTTLS (feature `starttls` of xmpp-connect)"), "{text}");
    let report = error.report().unwrap();
    let [attempt] = report.attempts() else { unreachable!("{report}") };
    assert!(attempt.completed.is_empty(), "{report}");
    let kind = attempt.error().unwrap().kind();
    let is_unsupported =
        matches!(kind, AttemptErrorKind::Io(error) if error.kind() == io::ErrorKind::Unsupported);
    assert!(is_unsupported, "{report}");
}

// rule F6
#[test]
fn servers_with_starttls_are_passed_over() {
    let authority = Authority::new();
    let script = || Script::starttls(authority.server(&[DOMAIN]));
    let starttls = XmppServer::start(script());
    let direct = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPP, 0, starttls.addr()), (XMPPS, 1, direct.addr())]));
    let connector = builder(&authority, &dns).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    let report = connection.report();
    assert_eq!(report.candidates().len(), 2, "{report}");
    let [passed_over, connected] = report.attempts() else { unreachable!("{report}") };
    assert!(passed_over.error().unwrap().to_string().contains("without STARTTLS"), "{report}");
    assert_eq!(connected.candidate, 1, "{report}");
    assert_eq!(starttls.accepted(), 0);
}

// rule F6
#[test]
fn nothing_is_sent_to_a_server_with_starttls() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::starttls(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    let connector = builder(&authority, &dns).build().unwrap();
    assert_left_out(&connector.connect(DOMAIN).unwrap_err());
    let target = Target::new(&server.addr().ip().to_string(), server.port(), TlsMode::StartTls).unwrap();
    assert_left_out(&connector.connect_to(DOMAIN, target).unwrap_err());
    assert_eq!(server.accepted(), 0);
    let tcp = TcpStream::connect(server.addr()).unwrap();
    assert_left_out(&connector.secure(DOMAIN, tcp, TlsMode::StartTls).unwrap_err());
    assert!(server.wait_end(0).clear_reads().is_empty());
}
