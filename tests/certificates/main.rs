//! Tests of certificates in real handshakes: which are valid for a domain (RFC 9525), and whose roots are trusted.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod other_names;

use std::io::ErrorKind::ConnectionRefused;

use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connection, Connector, Error, ErrorKind, Target, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, builder, chain, failures, one_by_one, owner, talk, zone};
use support::{Authority, DnsServer, End, Identity, Refused, Script, ServerTls, XmppServer, Zone};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn server(identity: Identity, tls: TlsMode) -> XmppServer {
    let config = ServerTls::new(identity).config();
    XmppServer::start(match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    })
}

/// Connects to `domain`, whose only server shows `identity`.
fn connect(
    authority: &Authority,
    identity: Identity,
    tls: TlsMode,
    domain: &str,
) -> Result<Connection, Error> {
    let server = server(identity, tls);
    let zone = zone(&[(&owner(tls).replace(DOMAIN, domain), 0, server.addr())]);
    let dns = DnsServer::start(zone);
    let mut connection = builder(authority, &dns).build().unwrap().connect(domain)?;
    talk(&mut connection);
    Ok(connection)
}

// rule E4
#[test]
fn a_wildcard_stands_for_one_left_most_label() {
    let authority = Authority::new();
    for tls in MODES {
        let good = |name: &str, domain: &str| connect(&authority, authority.issue(&[name]), tls, domain);
        assert!(good("*.example.org", "xmpp.example.org").is_ok());
        assert!(good("*.Example.ORG", "xmpp.example.org").is_ok());
        for (name, domain) in [
            ("*.example.org", "example.org"),
            ("*.example.org", "a.xmpp.example.org"),
            ("xm*.example.org", "xmpp.example.org"),
            ("*.*.example.org", "a.xmpp.example.org"),
            ("xmpp.*.org", "xmpp.example.org"),
            ("*", "example"),
        ] {
            let error = good(name, domain).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{name} for {domain}: {}", chain(&error));
        }
    }
}

// rule E4, A4
#[test]
fn an_address_is_good_only_as_an_address() {
    let authority = Authority::new();
    for tls in MODES {
        for (names, good) in [(&["127.0.0.1"][..], true), (&["127.0.0.2", "localhost"], false)] {
            let server = server(authority.issue(names), tls);
            let dns = DnsServer::start(Zone::new());
            let connector = builder(&authority, &dns).build().unwrap();
            let connected =
                connector.connect_to("127.0.0.1", Target::new("127.0.0.1", server.port(), tls).unwrap());
            assert_eq!(
                connected.map_err(|error| error.kind()).err(),
                (!good).then_some(ErrorKind::Untrusted)
            );
        }
    }
}

// rule A2, E4
#[test]
#[cfg(feature = "idna")]
fn an_internationalised_name_is_compared_in_a_labels() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = builder(&authority, &dns).build().unwrap();
    for (name, good) in [("xn--bcher-kva.example", true), ("xn--bcher-jva.example", false)] {
        let server = server(authority.issue(&[name]), TlsMode::Direct);
        let connected = connector
            .connect_to("Bücher.example", Target::new("127.0.0.1", server.port(), TlsMode::Direct).unwrap());
        assert_eq!(connected.is_ok(), good, "{name}");
    }
}

// rule E1
#[test]
fn a_chain_with_an_intermediate_is_good() {
    let authority = Authority::new();
    for tls in MODES {
        connect(&authority, authority.issue_by_intermediate(&[DOMAIN]), tls, DOMAIN).unwrap();
    }
}

// rule E4, D3
#[test]
fn an_untrusted_candidate_is_followed_by_the_next_one() {
    let authority = Authority::new();
    for tls in MODES {
        let bad = server(authority.expired(&[DOMAIN]), tls);
        let good = server(authority.issue(&[DOMAIN]), TlsMode::Direct);
        let dns = DnsServer::start(zone(&[(owner(tls), 0, bad.addr()), (XMPPS, 1, good.addr())]));
        let mut connection = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), good.addr());
        talk(&mut connection);
        // The refused server receives an alert, and no data of the application.
        let record = bad.wait_end(0);
        assert!(matches!(record.end, Some(End::Failed(_))), "{record:#?}");
        assert!(record.secure_bytes().is_empty());
    }
}

// rule E4
#[test]
fn no_name_is_carried_from_one_candidate_to_the_next() {
    let authority = Authority::new();
    // Each is valid for the other's target, but not for the domain.
    let one = server(authority.issue(&["host1.example.org"]), TlsMode::Direct);
    let two = server(authority.issue(&["host0.example.org"]), TlsMode::StartTls);
    let dns = DnsServer::start(zone(&[(XMPPS, 0, one.addr()), (XMPP, 1, two.addr())]));
    let error = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    for server in [&one, &two] {
        assert_eq!(server.wait_end(0).hello.unwrap().server_name.as_deref(), Some(DOMAIN));
    }
    let told = failures(error.report().unwrap());
    assert!(told.iter().all(|(_, why)| why.contains("not for example.org")), "{told:?}");

    // One connector, two domains: the certificate of one is not valid for the other.
    let server = server(authority.issue(&[DOMAIN]), TlsMode::Direct);
    let dns = DnsServer::start(zone(&[
        (XMPPS, 0, server.addr()),
        ("_xmpps-client._tcp.other.example", 0, server.addr()),
    ]));
    let connector = builder(&authority, &dns).build().unwrap();
    for (domain, good) in [(DOMAIN, true), ("other.example", false), (DOMAIN, true), ("other.example", false)]
    {
        let connected = connector.connect(domain).map(|mut connection| drop(talk(&mut connection)));
        assert_eq!(
            connected.map_err(|error| error.kind()),
            if good { Ok(()) } else { Err(ErrorKind::Untrusted) }
        );
    }
}

// rule B7
#[test]
fn untrusted_is_said_when_the_attempt_that_came_furthest_failed_so() {
    let authority = Authority::new();
    let [one, two] =
        [TlsMode::Direct, TlsMode::StartTls].map(|tls| server(Identity::self_signed(&[DOMAIN]), tls));
    let refused = Refused::new();
    let mut records = vec![(XMPPS, 0, one.addr()), (XMPP, 1, two.addr())];
    let kind_of = |records: &[(&str, u16, std::net::SocketAddr)]| {
        let dns = DnsServer::start(zone(records));
        one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap_err()
    };
    assert_eq!(kind_of(&records).kind(), ErrorKind::Untrusted);
    records.push((XMPPS, 2, refused.addr()));
    let error = kind_of(&records);
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    let furthest =
        format!("3 attempts; the one that got furthest, to host1.example.org:{} STARTTLS", two.port());
    assert!(error.to_string().contains(&furthest), "{error}");
    assert!(chain(&error).contains("self-signed"), "{}", chain(&error));
    let report = error.report().unwrap();
    assert_eq!(report.attempts().len(), 3);
    let last = report.attempts()[2].error().unwrap();
    let AttemptErrorKind::Io(cause) = last.kind() else { panic!("{last}") };
    assert_eq!(cause.kind(), ConnectionRefused);
    let first = report.attempts()[0].error().unwrap();
    assert!(matches!(first.kind(), AttemptErrorKind::Untrusted(UntrustedReason::UnknownIssuer)));
}

// rule E6
#[test]
fn given_roots_add_to_those_compiled_in_or_replace_them() {
    let authority = Authority::new();
    let server = server(authority.issue(&[DOMAIN]), TlsMode::Direct);
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    let builder = || Connector::builder().nameservers([dns.addr()]);
    let kind = |connector: Connector| connector.connect(DOMAIN).map(drop).map_err(|error| error.kind());
    let other = Authority::new().root_der();
    assert_eq!(kind(builder().only_roots([other.clone(), authority.root_der()]).build().unwrap()), Ok(()));
    assert_eq!(kind(builder().only_roots([other.clone()]).build().unwrap()), Err(ErrorKind::Untrusted));
    assert_eq!(kind(builder().add_roots([authority.root_der()]).build().unwrap()), Ok(()));
    // The order of the calls does not matter.
    let ours = authority.root_der();
    for builder in [
        builder().add_roots([ours.clone()]).only_roots([other.clone()]),
        builder().only_roots([other.clone()]).add_roots([ours.clone()]),
        builder().only_roots([ours.clone()]).only_roots([other.clone()]),
    ] {
        assert_eq!(kind(builder.build().unwrap()), Ok(()));
    }
    #[cfg(feature = "webpki-roots")]
    assert_eq!(kind(builder().build().unwrap()), Err(ErrorKind::Untrusted));
    let none: [CertificateDer<'static>; 0] = [];
    assert_eq!(builder().only_roots(none).build().unwrap_err().kind(), ErrorKind::Configuration);
    let garbage = CertificateDer::from(b"not a certificate".to_vec());
    assert_eq!(builder().add_roots([garbage]).build().unwrap_err().kind(), ErrorKind::Configuration);
}
