//! Tests of the certificate of a connection, of a report and of an error (rule E8b).

use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};
use xmpp_connect::report::AttemptError;
use xmpp_connect::{Connector, Fingerprint, MatchedName, OpenStream, Service};

use crate::given::{DOMAIN, talk};
use crate::support::{Authority, Identity, ServerTls};
use crate::{MODES, connect, server};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn sha256(octets: &[u8]) -> Fingerprint {
    <[u8; 32]>::try_from(digest(&SHA256, octets).as_ref()).unwrap().into()
}

// rule E8b, G5
#[test]
fn a_connection_has_the_certificate_that_was_verified_and_so_has_its_report() {
    let authority = Authority::new();
    let identity = authority.issue_by_intermediate(&["other.example", "*.org", DOMAIN, "192.0.2.1"]);
    let config = ServerTls::new(identity.clone()).config();
    for tls in MODES {
        for open_stream in [false, true] {
            let server = server(&config, tls);
            let builder = Connector::builder().only_roots([authority.root_der()]);
            let builder = if open_stream { builder.open_stream(OpenStream::new()) } else { builder };
            let connection = connect(&builder.build().unwrap(), &server, tls).unwrap();
            let certificate = connection.certificate().unwrap().clone();
            assert_eq!(certificate.chain(), identity.chain);
            assert_eq!(certificate.names(), ["other.example", "*.org", DOMAIN, "192.0.2.1"]);
            assert_eq!(certificate.matched_name(), Some(MatchedName::Dns(DOMAIN.to_owned())));
            assert_eq!(
                (certificate.subject(), certificate.issuer()),
                ("Server of a test", "Intermediate of a test")
            );
            assert!(certificate.not_before().unwrap() < SystemTime::now());
            assert!(certificate.not_after().unwrap() > SystemTime::now() + DAY);
            assert_eq!(certificate.fingerprint(), Some(sha256(&identity.chain[0])));
            assert_ne!(certificate.key_fingerprint(), certificate.fingerprint());
            assert!(!certificate.is_authority() && !certificate.is_self_issued());
            let report = connection.report();
            let [attempt] = report.attempts() else { panic!("{report}") };
            assert_eq!(attempt.certificate.as_ref().unwrap().chain(), identity.chain);
            let line =
                "  certificate  for other.example, *.org, example.org, 192.0.2.1, issued by \"Intermediate";
            assert_eq!(report.to_string().matches(line).count(), 1, "{report}");
            let (read, _write) = connection.split();
            assert_eq!(read.certificate().unwrap().fingerprint(), certificate.fingerprint());
        }
    }
}

// rule E8b, E8
#[test]
fn a_resumed_session_has_the_certificate_of_its_first_handshake() {
    let authority = Authority::new();
    let tls = || ServerTls::new(authority.issue(&[DOMAIN]));
    for config in [tls().only_tls12().config(), tls().only_tls13().config()] {
        for tls in MODES {
            let server = server(&config, tls);
            let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
            let mut first = connect(&connector, &server, tls).unwrap();
            talk(&mut first);
            let second = connect(&connector, &server, tls).unwrap();
            assert!(!first.is_resumed() && second.is_resumed());
            let (first, second) = (first.certificate().unwrap(), second.certificate().unwrap());
            assert_eq!(first.chain(), second.chain());
            assert_eq!(second.matched_name(), Some(MatchedName::Dns(DOMAIN.to_owned())));
        }
    }
}

// rule E8b, D7
#[test]
fn a_refused_certificate_is_in_the_error_and_in_the_report() {
    let authority = Authority::new();
    let refused = |identity: &Identity| {
        let server = server(&ServerTls::new(identity.clone()).config(), MODES[0]);
        let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
        connect(&connector, &server, MODES[0]).unwrap_err()
    };
    for (identity, matches) in [
        (Identity::self_signed(&[DOMAIN]), true),
        (authority.expired(&[DOMAIN]), true),
        (authority.issue(&["other.example"]), false),
    ] {
        let error = refused(&identity);
        let cause = std::error::Error::source(&error).unwrap().downcast_ref::<AttemptError>().unwrap();
        let certificate = cause.certificate().unwrap();
        assert_eq!(certificate.chain(), identity.chain);
        assert_eq!(certificate.matched_name().is_some(), matches);
        assert_eq!(certificate.fingerprint(), Some(sha256(&identity.chain[0])));
        let report = error.report().unwrap();
        assert_eq!(report.attempts()[0].certificate.as_ref().unwrap().chain(), identity.chain);
        assert!(!report.to_string().contains("\n  certificate"), "{report}");
    }
    // A chain of any length is bounded.
    let other = Authority::new();
    let mut long = other.issue(&[DOMAIN]);
    long.chain.extend((0..30).map(|_| other.root_der()));
    assert_eq!(refused(&long).report().unwrap().attempts()[0].certificate.as_ref().unwrap().chain().len(), 8);
}

// rule E8b, E4
#[test]
fn a_wildcard_and_an_address_say_that_they_are_what_matched() {
    let authority = Authority::new();
    let identity = authority.issue(&["*.example.org", "127.0.0.1"]);
    let server = server(&ServerTls::new(identity).config(), MODES[1]);
    let connector = || Connector::builder().only_roots([authority.root_der()]);
    let target = xmpp_connect::Target::new("127.0.0.1", server.port(), MODES[1]).unwrap();
    let connection = connector().build().unwrap().connect_to("chat.example.org", target.clone()).unwrap();
    let matched = connection.certificate().unwrap().matched_name();
    assert_eq!(matched, Some(MatchedName::Wildcard("*.example.org".to_owned())));
    let own = xmpp_connect::Domain::new("own.example").unwrap();
    let connector = connector().service(Service::server(own)).build().unwrap();
    let connection = connector.connect_to("127.0.0.1", target).unwrap();
    let matched = connection.certificate().unwrap().matched_name();
    assert_eq!(matched, Some(MatchedName::Address([127, 0, 0, 1].into())));
}
