//! Tests of the results of both SRV answers, with a real DNS server. The whole table is proved in `src/discovery/srv.rs`.

use xmpp_connect::{ErrorKind, Origin, TlsMode};

use crate::assert_in_style;
use crate::given::{DOMAIN, XMPP, XMPPS, chain, connector};
use crate::support::{Authority, Behaviour, DnsServer, OverTcp, Rcode, Rtype, Script, XmppServer, Zone};

/// One of the two SRV answers.
#[derive(Clone, Copy, Debug)]
enum Srv {
    Records,
    None,
    Dot,
    Failed,
}

/// The result of two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Direct,
    StartTls,
    Fallback,
    NotOffered,
    /// An error that names the failed lookup; no fallback.
    Lookup,
}

use Outcome::{Direct, Fallback, Lookup, NotOffered, StartTls};
use Srv::{Dot, Failed, None as NoRecords, Records};

fn with(zone: Zone, owner: &str, answer: Srv, port: u16, failure: &Behaviour) -> Zone {
    match answer {
        Records => zone.srv(owner, 0, 5, port, "host.example.org"),
        NoRecords => zone,
        Dot => zone.srv(owner, 0, 0, 0, "."),
        // The record exists, but the server fails to return it.
        Failed => zone.srv(owner, 0, 5, port, "host.example.org").on(owner, Rtype::SRV, failure.clone()),
    }
}

// rule B5, H3, H6
#[test]
fn every_outcome_and_every_kind_of_failure() {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let address = crate::support::addresses::own_loopback(41);
    let direct = XmppServer::start(Script::direct(config.clone()));
    let starttls = XmppServer::start(Script::starttls(config.clone()));
    let at_domain = XmppServer::start_at((address, 5222).into(), vec![Script::starttls(config)]);
    let outcome = |xmpps, xmpp, failure: &Behaviour| {
        let zone = Zone::new().address(DOMAIN, &address.to_string()).address("host.example.org", "127.0.0.1");
        let zone = with(zone, XMPPS, xmpps, direct.port(), failure);
        let dns = DnsServer::start(with(zone, XMPP, xmpp, starttls.port(), failure));
        match connector(&authority, &dns).connect(DOMAIN) {
            Ok(connection) => match (connection.candidate().origin(), connection.tls_mode()) {
                (Origin::Fallback, _) => Fallback,
                (_, TlsMode::Direct) => Direct,
                (_, TlsMode::StartTls) => StartTls,
            },
            Err(error) => {
                assert_in_style(&error);
                assert!(error.report().unwrap().attempts().is_empty(), "{}", chain(&error));
                match error.kind() {
                    ErrorKind::NotOffered => NotOffered,
                    ErrorKind::Lookup => Lookup,
                    other => panic!("{other:?}: {}", chain(&error)),
                }
            }
        }
    };
    let failure = Behaviour::Code(Rcode::SERVFAIL);
    for (xmpps, xmpp, expected) in [
        (Records, NoRecords, Direct),
        (Failed, Records, StartTls),
        (Dot, NoRecords, NotOffered),
        (NoRecords, NoRecords, Fallback),
        (Failed, Failed, Fallback),
    ] {
        assert_eq!(outcome(xmpps, xmpp, &failure), expected, "{xmpps:?}, {xmpp:?}");
    }
    for failure in [
        Behaviour::Code(Rcode::SERVFAIL),
        Behaviour::Code(Rcode::REFUSED),
        Behaviour::Code(Rcode::NOTIMP),
        Behaviour::Code(Rcode::FORMERR),
        Behaviour::Mangled(|mut bytes| {
            // The OPT record, and half of the answer.
            bytes.truncate(bytes.len() - 11 - 9);
            bytes
        }),
        Behaviour::Truncated(OverTcp::Close),
        Behaviour::Truncated(OverTcp::Half),
    ] {
        assert_eq!(outcome(Failed, Dot, &failure), Lookup, "{failure:?}");
    }
    assert_eq!(at_domain.accepted(), 2);
}
