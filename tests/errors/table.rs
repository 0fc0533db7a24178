//! The table of the two SRV answers, each row as a whole connect over a real DNS server.

use xmpp_connect::{ErrorKind, LookupResult, Origin, Policy, TlsMode};

use crate::assert_in_style;
use crate::given::{self, DOMAIN, XMPP, XMPPS, builder, chain};
use crate::support::{Authority, Behaviour, DnsServer, Rcode, Rtype, Script, XmppServer, Zone};

/// One of the two SRV answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Srv {
    Records,
    None,
    Dot,
    Failed,
}

/// What comes of two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Merged,
    Direct,
    StartTls,
    Fallback,
    NotOffered,
    /// An error that names the failed lookup; no fallback.
    Lookup,
}

use Outcome::{Direct, Fallback, Lookup, Merged, NotOffered, StartTls};
use Srv::{Dot, Failed, None as NoRecords, Records};

const ROWS: [(Srv, Srv, Outcome); 16] = [
    (Records, Records, Merged),
    (Records, NoRecords, Direct),
    (Records, Dot, Direct),
    (Records, Failed, Direct),
    (NoRecords, Records, StartTls),
    (Dot, Records, StartTls),
    (Failed, Records, StartTls),
    (Dot, Dot, NotOffered),
    (Dot, NoRecords, NotOffered),
    (NoRecords, Dot, NotOffered),
    (NoRecords, NoRecords, Fallback),
    (Failed, NoRecords, Fallback),
    (NoRecords, Failed, Fallback),
    (Failed, Failed, Fallback),
    (Dot, Failed, Lookup),
    (Failed, Dot, Lookup),
];

/// Servers for all ways that a connect can go.
struct Site {
    authority: Authority,
    direct: XmppServer,
    starttls: XmppServer,
    fallback: XmppServer,
}

impl Site {
    fn new(fallback: std::net::SocketAddr) -> Self {
        let authority = Authority::new();
        let config = authority.server(&[DOMAIN]);
        Self {
            direct: XmppServer::start(Script::direct(config.clone())),
            starttls: XmppServer::start(Script::starttls(config.clone())),
            fallback: XmppServer::start_at(fallback, vec![Script::starttls(config)]),
            authority,
        }
    }

    fn zone(&self, xmpps: Srv, xmpp: Srv, failure: &Behaviour) -> Zone {
        let fallback = self.fallback.addr().ip().to_string();
        let zone = Zone::new().address(DOMAIN, &fallback).address("host.example.org", "127.0.0.1");
        let zone = with(zone, XMPPS, xmpps, self.direct.port(), failure);
        with(zone, XMPP, xmpp, self.starttls.port(), failure)
    }

    /// Connects, and says what came of it.
    fn outcome(&self, dns: &DnsServer, policy: Policy) -> Outcome {
        let connector = builder(&self.authority, dns).policy(policy).build().unwrap();
        match connector.connect(DOMAIN) {
            Ok(connection) => {
                let candidates = connection.report().candidates();
                match (connection.candidate().origin(), connection.tls_mode()) {
                    (Origin::Fallback, _) => {
                        assert_eq!(connection.peer_addr(), self.fallback.addr());
                        Fallback
                    }
                    _ if candidates.len() == 2 => Merged,
                    (_, TlsMode::Direct) => Direct,
                    (_, TlsMode::StartTls) => StartTls,
                }
            }
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
    }
}

fn with(zone: Zone, owner: &str, answer: Srv, port: u16, failure: &Behaviour) -> Zone {
    match answer {
        Records => zone.srv(owner, 0, 5, port, "host.example.org"),
        NoRecords => zone,
        Dot => zone.srv(owner, 0, 0, 0, "."),
        // The record is there, and the server fails to say so.
        Failed => zone.srv(owner, 0, 5, port, "host.example.org").on(owner, Rtype::SRV, failure.clone()),
    }
}

#[cfg(target_os = "linux")]
fn fallback_address(last: u8) -> std::net::SocketAddr {
    (given::own_loopback(last), 5222).into()
}

// spec B5
#[test]
#[cfg(target_os = "linux")]
fn every_row_of_the_table() {
    let site = Site::new(fallback_address(41));
    for (xmpps, xmpp, expected) in ROWS {
        let dns = DnsServer::start(site.zone(xmpps, xmpp, &Behaviour::Code(Rcode::SERVFAIL)));
        assert_eq!(site.outcome(&dns, Policy::AsPublished), expected, "{xmpps:?}, {xmpp:?}");
    }
}

// spec B4, B5
#[test]
#[cfg(target_os = "linux")]
fn under_a_policy_of_one_kind_the_other_column_does_not_exist() {
    let site = Site::new(fallback_address(42));
    let failure = Behaviour::Code(Rcode::REFUSED);
    for (answer, direct_only, starttls_only) in [
        (Records, Direct, StartTls),
        (Dot, NotOffered, NotOffered),
        (NoRecords, NotOffered, Fallback),
        (Failed, Lookup, Fallback),
    ] {
        for other in [Records, Dot, NoRecords, Failed] {
            let dns = DnsServer::start(site.zone(answer, other, &failure));
            assert_eq!(site.outcome(&dns, Policy::DirectOnly), direct_only, "{answer:?}, {other:?}");
            let dns = DnsServer::start(site.zone(other, answer, &failure));
            assert_eq!(site.outcome(&dns, Policy::StartTlsOnly), starttls_only, "{other:?}, {answer:?}");
        }
    }
}

// spec B5, H3, H6
#[test]
#[cfg(target_os = "linux")]
fn every_kind_of_failure_is_one() {
    let site = Site::new(fallback_address(43));
    let failures = [
        Behaviour::Code(Rcode::SERVFAIL),
        Behaviour::Code(Rcode::REFUSED),
        Behaviour::Code(Rcode::NOTIMP),
        Behaviour::Code(Rcode::FORMERR),
        Behaviour::Mangled(|mut bytes| {
            // The OPT record, and half of the answer.
            bytes.truncate(bytes.len() - 11 - 9);
            bytes
        }),
        Behaviour::Truncated(crate::support::OverTcp::Close),
        Behaviour::Truncated(crate::support::OverTcp::Half),
    ];
    for failure in failures {
        for (xmpps, xmpp, expected) in
            [(Failed, Failed, Fallback), (Failed, Dot, Lookup), (Records, Failed, Direct)]
        {
            let dns = DnsServer::start(site.zone(xmpps, xmpp, &failure));
            assert_eq!(site.outcome(&dns, Policy::AsPublished), expected, "{failure:?}: {xmpps:?}, {xmpp:?}");
        }
    }
}

// spec B5
#[test]
#[cfg(target_os = "linux")]
fn silence_is_a_failure_at_the_limit_of_the_lookup() {
    let site = Site::new(fallback_address(44));
    let dns = DnsServer::start(site.zone(Failed, NoRecords, &Behaviour::Silence));
    let limit = std::time::Duration::from_millis(300);
    let connector = builder(&site.authority, &dns).lookup_timeout(limit).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    assert_eq!(connection.candidate().origin(), Origin::Fallback);
    let lookups = connection.report().lookups();
    let silent = lookups.iter().find(|lookup| lookup.question.name() == XMPPS).unwrap();
    assert_eq!(
        silent.result,
        LookupResult::Failed("no answer within 300ms (127.0.0.1: no usable answer)".to_owned())
    );
    assert!(silent.answered.unwrap() >= silent.asked + limit);
}

// spec B5
#[test]
#[cfg(target_os = "linux")]
fn the_failures_before_a_fallback_are_in_the_report() {
    let site = Site::new(fallback_address(45));
    let dns = DnsServer::start(site.zone(Failed, Failed, &Behaviour::Code(Rcode::SERVFAIL)));
    let connection = given::connector(&site.authority, &dns).connect(DOMAIN).unwrap();
    for owner in [XMPPS, XMPP] {
        let lookups = connection.report().lookups();
        let failed = lookups.iter().find(|lookup| lookup.question.name() == owner).unwrap();
        let LookupResult::Failed(why) = &failed.result else { panic!("{failed}") };
        assert!(why.contains("SERVFAIL"), "{why}");
    }
}

// spec B5
#[test]
fn the_error_of_dot_and_failed_names_both_facts() {
    let authority = Authority::new();
    for (dot, failed, words) in [
        (XMPPS, XMPP, ["does not offer direct TLS", "the lookup for STARTTLS failed", "SERVFAIL"]),
        (XMPP, XMPPS, ["does not offer STARTTLS", "the lookup for direct TLS failed", "SERVFAIL"]),
    ] {
        let zone =
            Zone::new().srv(dot, 0, 0, 0, ".").on(failed, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL));
        let dns = DnsServer::start(zone.address(DOMAIN, "127.0.0.1"));
        let error = given::connector(&authority, &dns).connect(DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

// spec B5
#[test]
fn nothing_is_guessed_and_nothing_falls_back_where_the_service_is_not_offered() {
    let authority = Authority::new();
    for (xmpps, xmpp) in [(Dot, Dot), (Dot, NoRecords), (NoRecords, Dot)] {
        let zone = Zone::new().address(DOMAIN, "127.0.0.1");
        let failure = Behaviour::Silence;
        let zone = with(with(zone, XMPPS, xmpps, 1, &failure), XMPP, xmpp, 1, &failure);
        let dns = DnsServer::start(zone);
        let error = given::connector(&authority, &dns).connect(DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotOffered);
        assert!(error.is_permanent());
        let report = error.report().unwrap();
        assert!(report.candidates().is_empty() && report.attempts().is_empty(), "{report}");
        let dots = report.lookups().iter().filter(|lookup| lookup.result == LookupResult::NotOffered).count();
        assert_eq!(dots, usize::from(xmpps == Dot) + usize::from(xmpp == Dot));
    }
}
