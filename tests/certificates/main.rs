//! Tests of certificates in real handshakes: which are valid for a domain, and the errors for the others (RFC 9525).

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

mod other_names;

use std::io::ErrorKind::ConnectionRefused;

use rcgen::{
    BasicConstraints, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use xmpp_connect::report::{AttemptErrorKind, Stage, UntrustedReason};
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

/// Asserts that a certificate is refused with direct TLS and with STARTTLS, with `why` in the error.
#[track_caller]
fn assert_untrusted(identity: impl Fn(&Authority) -> Identity, why: &str) {
    let authority = Authority::new();
    for tls in MODES {
        let error = connect(&authority, identity(&authority), tls, DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{}", chain(&error));
        assert!(
            error.to_string().starts_with("no server of example.org could be trusted: 1 attempt, to host0.")
        );
        assert!(chain(&error).contains(why), "{}", chain(&error));
        // Every error describes the certificate: its names, issuer and dates.
        let read = ["(the certificate is ", "valid from "];
        assert!(read.iter().all(|part| chain(&error).contains(part)), "{}", chain(&error));
        for wrong in ["{", "}", "::", "Some(", "Other", "Context", "Unsupported", "[6", "\\"] {
            assert!(!chain(&error).contains(wrong), "{}", chain(&error));
        }
        assert!(!error.is_permanent());
        let [(stage, told)] = &*failures(error.report().unwrap()) else { panic!("{error:?}") };
        assert_eq!(*stage, Stage::Tls);
        assert!(told.contains(why) && !told.contains('\n'), "{told}");
        let kind = error.report().unwrap().attempts()[0].error().unwrap().kind();
        assert!(matches!(kind, AttemptErrorKind::Untrusted(_)));
    }
}

// rule E1, E4
#[test]
fn a_certificate_for_another_name_is_refused_and_its_names_are_told() {
    assert_untrusted(
        |authority| authority.issue(&["other.example", "www.example.org"]),
        "the certificate is not for example.org; it is for other.example, www.example.org",
    );
    assert_untrusted(
        |authority| authority.issue(&["127.0.0.1"]),
        "the certificate is not for example.org; it is for 127.0.0.1",
    );
    // Its common name is the domain.
    assert_untrusted(
        |authority| {
            authority.issue_with(&[], |parameters| {
                parameters.distinguished_name.push(DnType::CommonName, DOMAIN);
            })
        },
        "the certificate is not for example.org; it has no alternative names, and its common name is not used",
    );
}

// rule E4
#[test]
fn the_name_of_the_srv_target_is_worth_nothing() {
    assert_untrusted(|authority| authority.issue(&["host0.example.org"]), "it is for host0.example.org");
}

// rule E1, E8b
#[test]
fn expired_and_not_yet_valid_are_told_with_their_dates() {
    assert_untrusted(|authority| authority.expired(&[DOMAIN]), "the certificate expired on 2020-12-31, ");
    assert_untrusted(
        |authority| authority.expired(&[DOMAIN]),
        " days ago, or the clock of this machine is wrong (it says 20",
    );
    assert_untrusted(
        |authority| authority.not_yet_valid(&[DOMAIN]),
        "the certificate is not valid before 3000-01-01, ",
    );
    assert_untrusted(
        |authority| {
            authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                intermediate.not_before = date_time_ymd(2020, 1, 1);
                intermediate.not_after = date_time_ymd(2021, 5, 6);
            })
        },
        "the certificate of the authority \"Intermediate of a test\" expired on 2021-05-06, ",
    );
}

// rule E1, E8b
#[test]
fn whom_a_certificate_comes_from_is_told() {
    assert_untrusted(|_| Identity::self_signed(&[DOMAIN]), "the certificate is self-signed, and not trusted");
    let issued_by = "the certificate was issued by \"Root ";
    assert_untrusted(|_| Authority::new().issue(&[DOMAIN]), issued_by);
    // The server does not send its intermediate certificate: the usual cause, which the error names first.
    assert_untrusted(
        |authority| {
            let Identity { mut chain, key } = authority.issue_by_intermediate(&[DOMAIN]);
            chain.truncate(1);
            Identity { chain, key }
        },
        "the certificate was issued by \"Intermediate of a test\", which is not trusted and whose certificate the server \
         did not send: the server may not send its intermediate certificate, or \"Intermediate of a test\" is a private \
         authority",
    );
    assert_untrusted(
        |_| Authority::new().issue_by_intermediate(&[DOMAIN]),
        "the chain ends at \"Intermediate of a test\", issued by \"Root ",
    );
    assert_untrusted(
        |_| {
            let stranger = Authority::new();
            let Identity { mut chain, key } = stranger.issue_by_intermediate(&[DOMAIN]);
            chain.push(stranger.root_der());
            Identity { chain, key }
        },
        "the chain ends at the private authority \"Root ",
    );
}

// rule E8b
#[test]
fn what_makes_a_certificate_unusable_is_told_in_words() {
    assert_untrusted(
        |authority| {
            authority.issue_with(&[DOMAIN], |parameters| {
                parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            })
        },
        "this is the certificate of an authority (CA:TRUE), which a server cannot present as its own; create one with",
    );
    assert_untrusted(
        |authority| {
            authority.issue_with(&[DOMAIN], |parameters| {
                parameters.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::CodeSigning];
            })
        },
        "the certificate is not for server authentication but for client authentication, code signing",
    );
    assert_untrusted(
        |authority| {
            authority.issue_with(&[DOMAIN], |parameters| {
                parameters.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
            })
        },
        "the key usage of the certificate does not include digital signature, which TLS requires",
    );
    assert_untrusted(
        |authority| {
            authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                intermediate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            })
        },
        "the certificate of the authority \"Intermediate of a test\" may not be used to sign certificates (key usage)",
    );
    assert_untrusted(
        |authority| {
            authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                extension.set_criticality(true);
                intermediate.custom_extensions = vec![extension];
            })
        },
        "the certificate has an unknown critical extension (1.2.3.4)",
    );
    assert_untrusted(
        |authority| {
            authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                let permitted_subtrees = vec![GeneralSubtree::DnsName("other.example".to_owned())];
                intermediate.name_constraints =
                    Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
            })
        },
        "an authority in the chain may not issue certificates for these names (name constraints)",
    );
    assert_untrusted(
        |authority| {
            authority
                .issue_by_intermediate_with(&[DOMAIN], |intermediate| intermediate.is_ca = IsCa::ExplicitNoCa)
        },
        "issued by one that is not an authority's (CA:FALSE)",
    );
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
