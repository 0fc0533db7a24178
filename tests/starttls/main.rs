//! Tests of STARTTLS with servers that do it in unusual ways, and with those that must be refused (RFC 6120 section 5).
//!
//! The bytes themselves are tested in `src/starttls/`, cut at every position. Here the rules hold over real sockets: what is
//! wrong is told, the next candidate is tried, and nothing leaves in clear text after the negotiation.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it opens a stream as a caller does, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod forms;
mod refusals;
mod repeats;

use xmpp_connect::Connection;
use xmpp_connect::report::Stage as Reached;

use given::{DOMAIN, XMPP, builder, failures, one_by_one, talk, zone};
use support::{Authority, DnsServer, Record, Script, Stage, Step, XmppServer};

/// Everything that a client sends before TLS.
const SAID: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// The script of a healthy server, to be changed.
fn healthy(authority: &Authority) -> Script {
    Script::starttls(authority.server(&[DOMAIN]))
}

/// Answers the header with these texts, in one write each. The server would continue with TLS.
fn says(authority: &Authority, words: &[&str]) -> Script {
    let words = words.iter().map(|words| Step::send(*words));
    let steps: Vec<_> = [Step::AwaitHeader].into_iter().chain(words).chain([Step::AwaitStartTls]).collect();
    healthy(authority)
        .instead(Stage::Header, &steps)
        .instead(Stage::Features, &[])
        .instead(Stage::Proceed, &[])
}

/// Connects to a domain whose first server follows `script`, and whose second one is healthy. Gives the connection, and what
/// the first server saw.
fn past(authority: &Authority, script: Script, pipelining: bool) -> (Connection, Record) {
    let bad = XmppServer::start(script);
    let good = XmppServer::start(healthy(authority));
    let dns = DnsServer::start(zone(&[(XMPP, 0, bad.addr()), (XMPP, 1, good.addr())]));
    let options = one_by_one(builder(authority, &dns)).starttls_pipelining(pipelining);
    let mut connection = options.build().unwrap().connect(DOMAIN).unwrap();
    assert_eq!(connection.peer_addr(), good.addr());
    talk(&mut connection);
    (connection, bad.wait_end(0))
}

/// Asserts that a server is given up with these words in the error, by a client of both kinds, and that no more than the
/// opening was said to it.
#[track_caller]
fn assert_refused(case: &str, script: impl Fn(&Authority) -> Script, words: &[&str]) {
    let authority = Authority::new();
    for pipelining in [true, false] {
        let (connection, record) = past(&authority, script(&authority), pipelining);
        let failures = failures(connection.report());
        let Some((stage, why)) = failures.first() else { panic!("{case}: {}", connection.report()) };
        assert_eq!(*stage, Reached::StartTls, "{case}: {why}");
        for word in words {
            assert!(why.contains(word), "{case}: {why:?} without {word:?}");
        }
        assert!(!why.contains('\n'), "{case}: {why:?}");
        assert!(SAID.starts_with(&record.clear_reads().concat()), "{case}: {record:#?}");
        assert_eq!((&record.hello, &record.secured), (&None, &None), "{case}");
    }
}
