//! Tests of the caller's check of certificates (rule E8c).

use std::sync::{Arc, Mutex};

use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
use xmpp_connect::{CertificateChange, CertificateRecord, Connector, ErrorKind, OpenStream};

use crate::given::{DOMAIN, XMPP, XMPPS, builder, chain, one_by_one, talk, zone};
use crate::support::{Authority, DnsServer, Script, ServerTls, XmppServer};
use crate::{MODES, connect, server};

// rule E8c
#[test]
fn a_refused_certificate_fails_its_candidate_before_anything_is_sent_over_tls() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(&[DOMAIN, "bad.example"]), authority.issue(&[DOMAIN]));
    for open_stream in [false, true] {
        let config = |identity| ServerTls::new(identity).config();
        let refused = XmppServer::start(Script::direct(config(first.clone())));
        let accepted = XmppServer::start(Script::starttls(config(second.clone())));
        let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPP, 1, accepted.addr())]));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&seen);
        let builder = one_by_one(builder(&authority, &dns)).check_certificate(move |domain, certificate| {
            shown.lock().unwrap().push((domain.to_string(), certificate.fingerprint().unwrap()));
            match certificate.names() {
                [_] => Ok(()),
                names => Err(format!("it has the name\n{}", names[1])),
            }
        });
        let builder = if open_stream { builder.open_stream(OpenStream::new()) } else { builder };
        let connection = builder.build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), accepted.addr());
        let [attempt, _] = connection.report().attempts() else { panic!("{}", connection.report()) };
        let error = attempt.error().unwrap();
        assert!(matches!(error.kind(), AttemptErrorKind::Untrusted(UntrustedReason::Rejected)));
        let expected = "the certificate was refused by this program: it has the name\\nbad.example (the certificate is for ";
        assert!(error.to_string().starts_with(expected), "{error}");
        let hash = attempt.certificate.as_ref().unwrap().fingerprint().unwrap();
        let other = connection.certificate().unwrap().fingerprint().unwrap();
        assert_eq!(*seen.lock().unwrap(), [(DOMAIN.to_owned(), hash), (DOMAIN.to_owned(), other)]);
        let record = refused.wait_end(0);
        assert!(record.secured.is_some() && record.secure_bytes().is_empty(), "{record:?}");
    }
}

// rule E8c, B7
#[test]
fn a_refused_certificate_is_an_untrusted_server() {
    let authority = Authority::new();
    let server = server(&authority.server(&[DOMAIN]), MODES[0]);
    let builder = Connector::builder().only_roots([authority.root_der()]);
    let connector = builder.check_certificate(|_, _| Err("x".repeat(1000))).build().unwrap();
    let error = connect(&connector, &server, MODES[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(chain(&error).len() < 700, "{}", chain(&error));
    // It is not called for a certificate that is refused anyway.
    let connector = Connector::builder().check_certificate(|_, _| panic!("called")).build().unwrap();
    let error = connect(&connector, &server, MODES[0]).unwrap_err();
    assert!(chain(&error).contains("not trusted"), "{}", chain(&error));
}

// rule E8c, E8
#[test]
fn the_check_is_called_for_a_resumed_session_and_a_record_notices_a_new_issuer() {
    let authority = Authority::new();
    let other = Authority::new();
    let tls = |authority: &Authority| ServerTls::new(authority.issue(&[DOMAIN])).config();
    for mode in MODES {
        let record = Arc::new(Mutex::new(CertificateRecord::new()));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let (known, noted) = (Arc::clone(&record), Arc::clone(&changes));
        let builder = Connector::builder().only_roots([authority.root_der(), other.root_der()]);
        let connector = builder.check_certificate(move |_, certificate| {
            let change = known.lock().unwrap().compare(certificate);
            noted.lock().unwrap().push(change);
            if change == CertificateChange::Issuer { Err(change.to_string()) } else { Ok(()) }
        });
        let connector = connector.build().unwrap();
        let first = server(&tls(&authority), mode);
        let mut connection = connect(&connector, &first, mode).unwrap();
        record.lock().unwrap().add(connection.certificate().unwrap());
        talk(&mut connection);
        assert!(connect(&connector, &first, mode).unwrap().is_resumed());
        connect(&connector, &server(&tls(&authority), mode), mode).unwrap();
        let error = connect(&connector, &server(&tls(&other), mode), mode).unwrap_err();
        assert!(chain(&error).contains("refused by this program: other issuer (the"), "{}", chain(&error));
        let expected = ["first certificate", "same certificate", "new key, same issuer", "other issuer"];
        assert_eq!(changes.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}
