//! Tests of pins, beside authorities and instead of them (rules E5, E6).

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData, date_time_ymd};
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
use xmpp_connect::{Connector, ConnectorBuilder, Domain, Error, ErrorKind, Fingerprint, Service, TlsMode};

use crate::given::{DOMAIN, XMPPS, builder, chain, one_by_one, talk, zone};
use crate::support::server_tls::provider;
use crate::support::{Authority, DnsServer, Identity, Script, ServerTls, XmppServer};
use crate::{MODES, connect, server};

fn sha256(octets: &[u8]) -> Fingerprint {
    <[u8; 32]>::try_from(digest(&SHA256, octets).as_ref()).unwrap().into()
}

fn domain() -> Domain {
    Domain::new(DOMAIN).unwrap()
}

/// A self-signed certificate as `change` makes it, and the hash of its key.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (Identity, Fingerprint) {
    let mut parameters = CertificateParams::new(vec![DOMAIN.to_owned()]).unwrap();
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let pin = sha256(&key.subject_public_key_info());
    (Identity { chain: vec![certificate], key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }, pin)
}

/// The hash of the key of a certificate.
fn key_of(certificate: &CertificateDer<'_>) -> Fingerprint {
    sha256(&rustls::server::ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info())
}

fn connect_to(builder: ConnectorBuilder, identity: Identity, tls: TlsMode) -> Result<(), Error> {
    let server = server(&ServerTls::new(identity).config(), tls);
    talk(&mut connect(&builder.build().unwrap(), &server, tls)?);
    Ok(())
}

#[track_caller]
fn assert_untrusted(result: Result<(), Error>, reason: UntrustedReason) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    let kind = error.report().unwrap().attempts().first().unwrap().error().unwrap().kind();
    assert!(matches!(kind, AttemptErrorKind::Untrusted(other) if other == reason), "{}", chain(&error));
    chain(&error)
}

// rule E6a
#[test]
fn a_pinned_server_is_trusted_whatever_else_its_certificate_says() {
    let none = || Connector::builder().only_roots([]);
    for tls in MODES {
        for (identity, key) in [
            self_signed(|_| ()),
            // As `openssl req -x509` and Prosody's `prosodyctl cert generate` make them.
            self_signed(|parameters| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            self_signed(|parameters| parameters.subject_alt_names.clear()),
            self_signed(|parameters| {
                parameters.not_before = date_time_ymd(2020, 1, 1);
                parameters.not_after = date_time_ymd(2020, 2, 1);
            }),
        ] {
            let certificate = sha256(&identity.chain[0]);
            let other = sha256(b"other");
            for pins in [vec![key], vec![certificate], vec![other, key]] {
                connect_to(none().trust_pins_alone(domain(), pins.clone()), identity.clone(), tls).unwrap();
                // With authorities for other domains too.
                connect_to(Connector::builder().trust_pins_alone(domain(), pins), identity.clone(), tls)
                    .unwrap();
            }
            let pins =
                || none().trust_pins_alone(domain(), [other]).trust_pins_alone(domain(), [sha256(b"x")]);
            let text =
                assert_untrusted(connect_to(pins(), identity.clone(), tls), UntrustedReason::NotPinned);
            let expected = format!(
                "the server does not have a key or certificate that is pinned for this domain; the server's public key is {key} \
                 (the certificate is "
            );
            assert!(text.contains(&expected), "{text}");
            connect_to(pins().trust_pins_alone(domain(), [key]), identity, tls).unwrap();
        }
    }
}

// rule E6a
#[test]
fn a_pin_instead_of_authorities_outweighs_every_authority() {
    let authority = Authority::new();
    let trusting = || Connector::builder().only_roots([authority.root_der()]);
    let (_, own) = self_signed(|_| ());
    let result =
        connect_to(trusting().trust_pins_alone(domain(), [own]), authority.issue(&[DOMAIN]), MODES[0]);
    assert_untrusted(result, UntrustedReason::NotPinned);
    // An authority that is pinned in this way is no authority.
    let root = key_of(&authority.root_der());
    let result =
        connect_to(trusting().trust_pins_alone(domain(), [root]), authority.issue(&[DOMAIN]), MODES[0]);
    assert_untrusted(result, UntrustedReason::NotPinned);
    // Other domains are verified as usual.
    let (other, key) = (Domain::new("other.example").unwrap(), self_signed(|_| ()));
    connect_to(trusting().trust_pins_alone(other.clone(), [key.1]), authority.issue(&[DOMAIN]), MODES[0])
        .unwrap();
    let result = connect_to(trusting().trust_pins_alone(other.clone(), [key.1]), key.0.clone(), MODES[0]);
    assert_untrusted(result, UntrustedReason::UnknownIssuer);
    // Without authorities, no other server is trusted.
    let alone = Connector::builder().only_roots([]).trust_pins_alone(other, [key.1]);
    assert_untrusted(connect_to(alone, key.0, MODES[0]), UntrustedReason::UnknownIssuer);
}

// rule E6a, E5
#[test]
fn the_server_must_have_the_private_key_of_the_pinned_certificate() {
    let (pinned, key) = self_signed(|_| ());
    let (thief, _) = self_signed(|_| ());
    let thief = provider().key_provider.load_private_key(thief.key).unwrap();
    let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(pinned.chain, thief)));
    for version in [&TLS12, &TLS13] {
        let config =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let config = config.with_no_client_auth().with_cert_resolver(Arc::<SingleCertAndKey>::clone(&shown));
        let server = server(&Arc::new(config), MODES[0]);
        for roots in [vec![], vec![Authority::new().root_der()]] {
            let builder = Connector::builder().only_roots(roots).trust_pins_alone(domain(), [key]);
            let error = connect(&builder.build().unwrap(), &server, MODES[0]).unwrap_err();
            assert!(
                chain(&error).contains("private key does not match the certificate"),
                "{}",
                chain(&error)
            );
        }
    }
}

// rule E6a
#[test]
fn a_pin_beside_authorities_is_one_of_the_verified_chain() {
    let authority = Authority::new();
    let identity = authority.issue_by_intermediate(&[DOMAIN]);
    let requiring = |pins: &[Fingerprint]| {
        let builder = Connector::builder().only_roots([authority.root_der()]);
        builder.require_pins(domain(), pins.iter().copied())
    };
    let other = sha256(b"other");
    for tls in MODES {
        for pin in [
            key_of(&identity.chain[0]),
            sha256(&identity.chain[0]),
            key_of(&identity.chain[1]),
            sha256(&identity.chain[1]),
            // The root is not sent.
            key_of(&authority.root_der()),
        ] {
            connect_to(requiring(&[other, pin]), identity.clone(), tls).unwrap();
        }
        let text = assert_untrusted(
            connect_to(requiring(&[other]), identity.clone(), tls),
            UntrustedReason::NotPinned,
        );
        assert!(
            text.contains("neither the server nor an authority of its chain has a key or certificate"),
            "{text}"
        );
        // The server can send any certificate: only those that lead from its own to a root count.
        let stranger = Authority::new();
        let pin = key_of(&stranger.root_der());
        for place in [1, 2] {
            let mut padded = identity.clone();
            padded.chain.insert(place, stranger.root_der());
            assert_untrusted(connect_to(requiring(&[pin]), padded, tls), UntrustedReason::NotPinned);
        }
        // All else is checked as usual.
        let expired = authority.expired(&[DOMAIN]);
        let pin = key_of(&expired.chain[0]);
        assert_untrusted(connect_to(requiring(&[pin]), expired, tls), UntrustedReason::Expired);
        let (untrusted, pin) = self_signed(|_| ());
        assert_untrusted(connect_to(requiring(&[pin]), untrusted, tls), UntrustedReason::UnknownIssuer);
    }
}

// rule E6a, D1
#[test]
fn the_next_candidate_is_tried_when_a_server_is_not_pinned() {
    let authority = Authority::new();
    let [wrong, right] = [authority.issue(&[DOMAIN]), authority.issue(&[DOMAIN])];
    let pin = key_of(&right.chain[0]);
    let [wrong, right] =
        [wrong, right].map(|identity| XmppServer::start(Script::direct(ServerTls::new(identity).config())));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, wrong.addr()), (XMPPS, 1, right.addr())]));
    let connector = one_by_one(builder(&authority, &dns)).require_pins(domain(), [pin]).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    assert_eq!(connection.peer_addr(), right.addr());
    assert_eq!(connection.certificate().unwrap().key_fingerprint(), Some(pin));
}

// rule E6a, E8
#[test]
fn a_session_is_resumed_with_pins_but_never_with_other_ones() {
    let (identity, key) = self_signed(|_| ());
    let server = server(&ServerTls::new(identity).config(), MODES[0]);
    let builder = || Connector::builder().only_roots([]);
    let connector = builder().trust_pins_alone(domain(), [key]).build().unwrap();
    let mut first = connect(&connector, &server, MODES[0]).unwrap();
    talk(&mut first);
    assert!(connect(&connector, &server, MODES[0]).unwrap().is_resumed());
    let other = builder().trust_pins_alone(domain(), [sha256(b"other")]).build().unwrap();
    assert_eq!(connect(&other, &server, MODES[0]).unwrap_err().kind(), ErrorKind::Untrusted);
    let same = builder().trust_pins_alone(domain(), [key]).build().unwrap();
    assert!(!connect(&same, &server, MODES[0]).unwrap().is_resumed());
}

// rule E6a
#[test]
fn pins_are_of_a_domain_also_between_servers_and_for_an_address() {
    let (identity, key) = self_signed(|_| ());
    let server = server(&ServerTls::new(identity).config(), MODES[1]);
    let own = Domain::new("own.example").unwrap();
    let target = xmpp_connect::Target::new("127.0.0.1", server.port(), MODES[1]).unwrap();
    for pinned in ["Example.ORG.", "127.0.0.1"] {
        let pinned = Domain::new(pinned).unwrap();
        let builder = Connector::builder().only_roots([]).service(Service::server(own.clone()));
        let connector = builder.trust_pins_alone(pinned.clone(), [key]).build().unwrap();
        connector.connect_to(pinned, target.clone()).unwrap();
        connector.connect_to("third.example", target.clone()).unwrap_err();
    }
}

// rule E6a
#[test]
fn pins_that_cannot_be_meant_are_errors_when_building() {
    let authority = Authority::new();
    let builder = || Connector::builder().only_roots([authority.root_der()]);
    let pin = sha256(b"pin");
    for (builder, expected) in [
        (builder().require_pins(domain(), []), "an empty list of pins is given for example.org"),
        (builder().trust_pins_alone(domain(), []), "an empty list of pins is given for example.org"),
        (
            builder().trust_pins_alone(domain(), [pin]).require_pins(domain(), [pin]),
            "both require_pins and trust_pins_alone are given for example.org; choose one",
        ),
        (Connector::builder().only_roots([]).require_pins(domain(), [pin]), "no root certificates: "),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let config =
        rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let error = Connector::builder().tls_config(config).require_pins(domain(), [pin]).build().unwrap_err();
    assert!(error.to_string().starts_with("both pins and a ClientConfig are given; "), "{error}");
}
