//! Tests of the caller's filter in whole connects: what it refuses is not connected to, wherever the address comes from.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;

use xmpp_connect::report::AttemptErrorKind;
use xmpp_connect::{Connection, Connector, Error, ErrorKind, Target, TlsMode, public_only};

use given::{DOMAIN, XMPPS, builder, one_by_one, zone};
use support::{Authority, DnsServer, Script, XmppServer, Zone};

/// Asserts that nothing was tried, and that the error says why. Returns how many addresses were refused.
#[track_caller]
fn assert_all_refused(error: &Error) -> usize {
    assert_eq!(error.kind(), ErrorKind::Attempts, "{error}");
    assert!(error.to_string().contains("refused by the filter"), "{error}");
    let report = error.report().unwrap();
    for attempt in report.attempts() {
        let kind = attempt.error().unwrap().kind();
        assert!(matches!(kind, AttemptErrorKind::RefusedByFilter), "{report}");
        assert!(attempt.completed.is_empty() && attempt.started == attempt.ended, "{report}");
    }
    report.attempts().len()
}

/// A server that only the filter keeps from being connected to.
struct Guarded {
    authority: Authority,
    server: XmppServer,
    unfiltered: usize,
}

impl Guarded {
    fn new(names: &[&str]) -> Self {
        let authority = Authority::new();
        let server = XmppServer::start(Script::direct(authority.server(names)));
        Self { authority, server, unfiltered: 0 }
    }

    /// Asserts that a connect fails with `public_only`, and succeeds without it, so that the server has seen one
    /// connection.
    #[track_caller]
    fn assert_guarded(&mut self, zone: Zone, connect: impl Fn(&Connector) -> Result<Connection, Error>) {
        let dns = DnsServer::start(zone);
        let filtered = builder(&self.authority, &dns).filter(public_only).build().unwrap();
        assert_ne!(assert_all_refused(&connect(&filtered).unwrap_err()), 0);
        let unfiltered = builder(&self.authority, &dns).build().unwrap();
        assert_eq!(connect(&unfiltered).unwrap().peer_addr().port(), self.server.port());
        // Connections are accepted in their order, so an earlier one would have been counted.
        self.unfiltered += 1;
        self.server.wait_accepted(self.unfiltered);
        assert_eq!(self.server.accepted(), self.unfiltered);
    }
}

// rule B8, B9, D13
#[test]
fn a_target_on_this_machine_is_refused_as_it_is_as_a_hint_and_behind_aliases() {
    let mut guarded = Guarded::new(&[DOMAIN]);
    let port = guarded.server.port();
    for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
        if address != "127.0.0.1" && !given::has_ipv6() {
            continue;
        }
        let host = Zone::new().address("host.example", address);
        let direct = host.clone().srv(XMPPS, 0, 0, port, "host.example");
        let behind_alias =
            host.clone().cname("alias.example", "host.example").srv(XMPPS, 0, 0, port, "alias.example");
        let owner_is_alias = host.cname(XMPPS, "srv.example").srv("srv.example", 0, 0, port, "host.example");
        for zone in [
            direct.clone(),
            direct.with_additional(),
            behind_alias.clone().without_following(),
            behind_alias,
            owner_is_alias,
        ] {
            guarded.assert_guarded(zone, |connector| connector.connect(DOMAIN));
        }
    }
    let zone = Zone::new().srv(XMPPS, 0, 0, port, "localhost");
    guarded.assert_guarded(zone, |connector| connector.connect(DOMAIN));
}

// rule A7, B11, D8, D13, F5
#[test]
fn a_server_on_this_machine_is_refused_whoever_names_it() {
    let mut guarded = Guarded::new(&[DOMAIN, "127.0.0.1"]);
    let port = guarded.server.port();
    let to = |domain: &'static str, host: &'static str| {
        move |connector: &Connector| {
            let target = Target::new(host, port, TlsMode::Direct).unwrap();
            connector.connect_to(domain, target)
        }
    };
    let zone = Zone::new().address("host.example", "127.0.0.1");
    guarded.assert_guarded(zone.clone(), to(DOMAIN, "127.0.0.1"));
    guarded.assert_guarded(zone.clone(), to(DOMAIN, "host.example"));
    guarded.assert_guarded(zone.clone(), to(DOMAIN, "server.localhost"));
    guarded.assert_guarded(zone.clone(), to("127.0.0.1", "127.0.0.1"));
    let zone = zone.srv("_xmpps-client._tcp.other.example", 0, 0, port, "host.example");
    guarded.assert_guarded(zone.clone(), |connector| {
        connector.connect_to(DOMAIN, Target::srv_of("other.example").unwrap())
    });
    let zone = zone.srv(XMPPS, 0, 0, port, "host.example");
    guarded.assert_guarded(zone.clone(), |connector| {
        connector.attempts_from(connector.discover(DOMAIN)?).connect_next()
    });
    let target = || Target::new("127.0.0.1", port, TlsMode::Direct).unwrap();
    guarded.assert_guarded(zone.clone(), |connector| {
        let mut attempts = connector.attempts(DOMAIN)?;
        attempts.follow(target())?;
        attempts.connect_next()
    });
    guarded.assert_guarded(zone, |connector| connector.connect_preferring(DOMAIN, target()));
}

// rule A4, A7, D13
#[test]
fn a_domain_on_this_machine_is_refused() {
    let authority = Authority::new();
    for domain in ["127.0.0.1", "::1", "localhost", "server.localhost", "fallback.example"] {
        let dns = DnsServer::start(Zone::new().address("fallback.example", "127.0.0.1"));
        let connector = builder(&authority, &dns).filter(public_only).build().unwrap();
        assert_ne!(assert_all_refused(&connector.connect(domain).unwrap_err()), 0, "{domain}");
    }
}

// rule D13
#[test]
fn addresses_inside_of_other_addresses_and_foreign_services_are_refused() {
    let addresses = [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "::127.0.0.1",
        "::",
        "::1",
        "0.0.0.0",
        "127.0.0.1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fd00::1",
        "10.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
    ];
    let hosts = addresses.iter().fold(Zone::new(), |zone, address| zone.address("host.example", address));
    let direct = hosts.clone().srv(XMPPS, 0, 0, 25, "host.example").srv(XMPPS, 1, 0, 80, "host.example");
    let alias = hosts.cname("alias.example", "host.example").srv(XMPPS, 0, 0, 25, "alias.example");
    let authority = Authority::new();
    for (zone, ports) in [(direct.clone(), 2), (direct.with_additional(), 2), (alias, 1)] {
        let dns = DnsServer::start(zone);
        let connector = builder(&authority, &dns).filter(public_only).build().unwrap();
        let error = connector.connect(DOMAIN).unwrap_err();
        assert_eq!(assert_all_refused(&error), ports * addresses.len(), "{error:?}");
    }
}

// rule D13
#[test]
fn what_the_filter_allows_is_connected_to_and_what_it_sees_is_that_address() {
    let authority = Authority::new();
    let [refused, allowed] = [(); 2].map(|()| XmppServer::start(Script::direct(authority.server(&[DOMAIN]))));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPPS, 1, allowed.addr())]));
    let seen: Arc<Mutex<Vec<(String, SocketAddr)>>> = Arc::default();
    let (log, caller, port) = (Arc::clone(&seen), thread::current().id(), refused.port());
    let builder = builder(&authority, &dns).filter(move |candidate, address| {
        assert_eq!(thread::current().id(), caller);
        log.lock().unwrap().push((candidate.host().to_string(), address));
        address.port() != port
    });
    // Nothing but the refusal starts the next one.
    let connector = one_by_one(builder).build().unwrap();
    let connection = connector.clone().connect(DOMAIN).unwrap();
    assert_eq!(connection.peer_addr(), allowed.addr());
    let expected =
        [("host0.example.org".to_owned(), refused.addr()), ("host1.example.org".to_owned(), allowed.addr())];
    assert_eq!(*seen.lock().unwrap(), expected);
    let report = connection.report();
    assert_eq!(given::failures(report).len(), 1, "{report}");
    let events: Vec<String> = report.events().iter().map(ToString::to_string).collect();
    let words = [
        format!("attempt 1: {} at {}", report.candidates()[0], refused.addr()),
        "attempt 1: failed: refused by the filter".to_owned(),
        format!("attempt 2: {} at {}", report.candidates()[1], allowed.addr()),
    ];
    let places = words.map(|words| events.iter().position(|event| *event == words));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}\n{}", events.join("\n"));
    assert_eq!(refused.accepted(), 0);
}

// rule D13
#[test]
fn a_panic_in_the_filter_reaches_the_caller_and_the_connector_still_works() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    let panics = Arc::new(Mutex::new(vec!["the first time"]));
    let filter = move |_: &_, _| {
        let panics = panics.lock().unwrap().pop();
        panics.is_none_or(|when| panic::resume_unwind(Box::new(when)))
    };
    let connector = builder(&authority, &dns).filter(filter).build().unwrap();
    let caught = panic::catch_unwind(AssertUnwindSafe(|| connector.connect(DOMAIN))).unwrap_err();
    assert_eq!(caught.downcast_ref(), Some(&"the first time"));
    connector.connect(DOMAIN).unwrap();
    assert_eq!(server.accepted(), 1);
}

// rule B12, D13
#[test]
fn neither_a_given_stream_nor_a_name_server_is_subject_to_the_filter() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    assert!(dns.addr().ip().is_loopback());
    let connector = builder(&authority, &dns).filter(public_only).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert_eq!(assert_all_refused(&error), 1);
    let refused = error.report().unwrap().attempts()[0].destination.address().unwrap();
    assert_eq!((refused.ip(), refused), (IpAddr::from([127, 0, 0, 1]), server.addr()));
    #[expect(clippy::disallowed_methods, reason = "a caller opens the stream in its own way")]
    let tcp = TcpStream::connect(server.addr()).unwrap();
    connector.secure(DOMAIN, tcp, TlsMode::Direct).unwrap();
}
