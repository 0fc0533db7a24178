//! The matrix of bad servers, with direct TLS and STARTTLS.
//!
//! Each is refused, with its cause in words, and the next one is tried. Servers that only OpenSSL plays are in
//! `tests/real_servers/certificates.rs`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod forged;
mod protocols;
mod row;

use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
use xmpp_connect::{ConnectorBuilder, ErrorKind, Target, TlsMode};

use given::{DOMAIN, builder, one_by_one, talk, zone};
use row::Row;
use support::{Authority, DnsServer, Script, XmppServer, Zone};

/// What an error must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Untrusted(UntrustedReason),
    /// The handshake fails for another reason.
    Tls,
    /// It is no XMPP server, before TLS.
    NotXmpp,
}

/// Asserts that the text is the row's, and fit for people.
#[track_caller]
fn assert_words(row: &Row, tls: TlsMode, text: &str) {
    let case = format!("{}, {tls}", row.name);
    for words in row.words {
        assert!(text.contains(words), "{case}: {words:?} is not in {text:?}");
    }
    // The certificate is described, unless it cannot be read.
    if matches!(row.refusal, Refusal::Untrusted(_)) && !text.contains("malformed") {
        assert!(text.contains("(the certificate is ") && text.contains(", valid from "), "{case}: {text:?}");
    }
    for wrong in ["{", "}", "::", "Some(", "Other", "Context", "Unsupported", "[6", "\\", "\n"] {
        assert!(!text.contains(wrong), "{case}: {wrong:?} in {text:?}");
    }
}

#[track_caller]
fn assert_kind(row: &Row, kind: AttemptErrorKind<'_>) {
    let refusal = match kind {
        AttemptErrorKind::Untrusted(reason) => Refusal::Untrusted(reason),
        AttemptErrorKind::Tls(_) => Refusal::Tls,
        AttemptErrorKind::NotXmpp => Refusal::NotXmpp,
        other => panic!("{}: {other:?}", row.name),
    };
    assert_eq!(refusal, row.refusal, "{}", row.name);
}

/// Plays a row: alone it is an error, and before a good server, that one is reached.
#[track_caller]
fn play(row: &Row, tls: TlsMode) {
    let authority = Authority::new();
    let bad = XmppServer::start((row.script)(&authority, tls));
    let options = |builder: ConnectorBuilder| (row.options)(builder, &authority);

    let dns = DnsServer::start(Zone::new());
    let connector = options(builder(&authority, &dns)).build().unwrap();
    let target = Target::new("127.0.0.1", bad.port(), tls).unwrap();
    let error = match connector.connect_to(row.domain, target) {
        Ok(connection) => panic!("{}, {tls}: it is accepted:\n{}", row.name, connection.report()),
        Err(error) => error,
    };
    let kind = match row.refusal {
        Refusal::Untrusted(_) => ErrorKind::Untrusted,
        Refusal::Tls | Refusal::NotXmpp => ErrorKind::Attempts,
    };
    assert_eq!(error.kind(), kind, "{}, {tls}: {error:?}", row.name);
    assert!(!error.is_permanent(), "{}", row.name);
    assert_words(row, tls, &given::chain(&error));

    let good = XmppServer::start(Script::direct(authority.server(&[row.domain])));
    let owner = |tls| given::owner(tls).replace(DOMAIN, row.domain);
    let servers = [(&*owner(tls), 0, bad.addr()), (&*owner(TlsMode::Direct), 1, good.addr())];
    let dns = DnsServer::start(zone(&servers));
    let connector = one_by_one(options(builder(&authority, &dns))).build().unwrap();
    let mut connection = connector.connect(row.domain).unwrap();
    assert_eq!(connection.peer_addr(), good.addr(), "{}, {tls}", row.name);
    talk(&mut connection);
    let [first, second] = connection.report().attempts() else { panic!("{}", connection.report()) };
    assert!(second.error().is_none());
    let error = first.error().unwrap();
    assert_kind(row, error.kind());
    assert_words(row, tls, &error.to_string());
    // Nothing of the application has reached the bad server.
    assert!(bad.records().iter().all(|record| record.secure_bytes().is_empty()), "{}", row.name);
}

/// Asserts that each row of a part of the matrix is refused.
#[track_caller]
fn assert_refused(rows: Vec<Row>) {
    for row in rows {
        for tls in row.modes {
            play(&row, *tls);
        }
    }
}

// rule E1, E8b, D3
#[test]
fn certificates_that_are_out_of_date_or_of_nobody_that_is_trusted() {
    assert_refused(certificates::chains());
}

// rule E1, E4, E8b, D3
#[test]
fn certificates_for_other_names() {
    assert_refused(certificates::names());
}

// rule E4, E8b, D3
#[test]
fn names_for_xmpp_alone_that_are_wrong() {
    assert_refused(certificates::other_names());
}

// rule E1, E8b, D3
#[test]
fn certificates_that_may_not_be_used_so() {
    assert_refused(certificates::purposes());
}

// rule E8a, E8b, D3
#[test]
fn certificates_that_are_revoked_or_may_be() {
    assert_refused(certificates::revoked());
}

// rule E1, E8b, D3
#[test]
fn keys_and_signatures_that_are_too_weak() {
    assert_refused(protocols::weak());
}

// rule E8b, D3, D5
#[test]
fn certificates_that_are_truncated_or_too_many() {
    assert_refused(protocols::shapes());
}

// rule E3, E5, E8b, D3
#[test]
fn servers_that_do_not_agree_on_tls() {
    assert_refused(protocols::handshakes());
}

// rule F2, E8b, D3
#[test]
fn ports_that_speak_something_else() {
    assert_refused(protocols::ports());
}
