//! Tests of client certificates: shown to whom, refused when, and what cannot be built.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::io::{ErrorKind as IoErrorKind, Read, Write};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use xmpp_connect::{
    Connection, Connector, ConnectorBuilder, Error, ErrorKind, OpenStream, Service, Target, TlsMode,
};

use given::{DOMAIN, HEADER, chain, talk};
use support::{Authority, Identity, PATIENCE, Script, ServerTls, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];
/// Of the client.
const CLIENT: &str = "client.example";

fn start(tls: ServerTls, mode: TlsMode) -> XmppServer {
    XmppServer::start(match mode {
        TlsMode::Direct => Script::direct(tls.config()),
        TlsMode::StartTls => Script::starttls(tls.config()),
    })
}

fn builder(authority: &Authority) -> ConnectorBuilder {
    Connector::builder().only_roots([authority.root_der()])
}

fn with(authority: &Authority, client: Identity) -> Connector {
    builder(authority).client_certificate(client.chain, client.key).build().unwrap()
}

fn connect(connector: &Connector, server: &XmppServer, mode: TlsMode) -> Result<Connection, Error> {
    connector.connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap())
}

// rule E6, E8
#[test]
fn the_certificate_is_shown_with_its_chain_and_a_resumed_session_keeps_it() {
    let authority = Authority::new();
    for mode in MODES {
        for old in [true, false] {
            let tls = ServerTls::new(authority.issue(&[DOMAIN]));
            let tls = tls.require_client_certificate(authority.root_der());
            let server = start(if old { tls.only_tls12() } else { tls.only_tls13() }, mode);
            let connector = with(&authority, authority.issue_by_intermediate(&[CLIENT]));
            for index in 0..2 {
                let mut connection = connect(&connector, &server, mode).unwrap();
                talk(&mut connection);
                assert_eq!(connection.is_resumed(), index == 1);
                assert_eq!(server.wait_secured(index).client_certificates, 2);
            }
            // Another connector does not resume its sessions.
            let other = with(&authority, authority.issue(&[CLIENT]));
            let mut connection = connect(&other, &server, mode).unwrap();
            talk(&mut connection);
            assert!(!connection.is_resumed());
            assert_eq!(server.wait_secured(2).client_certificates, 1);
        }
    }
}

// rule E6
#[test]
fn nothing_is_shown_to_a_server_that_does_not_ask_or_by_a_client_that_has_nothing() {
    let authority = Authority::new();
    let client = with(&authority, authority.issue(&[CLIENT]));
    let nobody = builder(&authority).build().unwrap();
    for (connector, asks) in [(&client, false), (&nobody, true)] {
        let tls = ServerTls::new(authority.issue(&[DOMAIN]));
        let tls = if asks { tls.client_certificates(authority.root_der()) } else { tls };
        let server = start(tls, TlsMode::Direct);
        talk(&mut connect(connector, &server, TlsMode::Direct).unwrap());
        assert_eq!(server.wait_secured(0).client_certificates, 0);
    }
}

// rule E6
#[test]
fn a_server_shows_its_certificate_to_another_server() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&[DOMAIN])).alpn(&["xmpp-server"]);
    let server = start(tls.client_certificates(authority.root_der()), TlsMode::Direct);
    let own = authority.issue(&["own.example"]);
    let service = Service::server("own.example".try_into().unwrap());
    let connector = builder(&authority).service(service).client_certificate(own.chain, own.key).build();
    let connection = connect(&connector.unwrap(), &server, TlsMode::Direct).unwrap();
    assert_eq!(connection.alpn(), Some("xmpp-server"));
    assert_eq!(server.wait_secured(0).client_certificates, 1);
}

// rule E6, E8b, G1: with TLS 1.2 in the handshake, with TLS 1.3 at the first read.
#[test]
fn a_refusal_names_the_client_certificate_and_says_what_to_do() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (client, words) in [
        (Some(stranger.issue(&[CLIENT])), "does not trust the authority of the client certificate: use one"),
        (
            Some(authority.expired(&[CLIENT])),
            "the client certificate has expired, or the server's clock is wrong",
        ),
        (None, "requires a client certificate: set one with `client_certificate`"),
    ] {
        for mode in MODES {
            for old in [true, false] {
                let tls = ServerTls::new(authority.issue(&[DOMAIN]));
                let tls = tls.require_client_certificate(authority.root_der());
                let server = start(if old { tls.only_tls12() } else { tls.only_tls13() }, mode);
                let connector = match &client {
                    Some(client) => with(&authority, client.clone()),
                    None => builder(&authority).build().unwrap(),
                };
                match connect(&connector, &server, mode) {
                    Err(error) => {
                        assert!(old, "{error:?}");
                        assert_eq!(error.kind(), ErrorKind::Attempts);
                        assert!(chain(&error).contains(words), "{error:?}");
                    }
                    Ok(mut connection) => {
                        assert!(!old);
                        connection.set_read_timeout(Some(PATIENCE)).unwrap();
                        let error = connection.read(&mut [0; 100]).unwrap_err();
                        assert_eq!(error.kind(), IoErrorKind::InvalidData);
                        assert!(error.to_string().contains(words), "{error}");
                        let error = connection.write(HEADER.as_bytes()).unwrap_err();
                        assert!(error.to_string().contains(words), "{error}");
                        let bindings = connection.channel_bindings();
                        assert!(bindings.iter().all(|binding| binding.name() != "tls-exporter"));
                    }
                }
            }
        }
    }
}

// rule E6, D10
#[test]
fn a_connect_that_opens_the_stream_fails_if_the_certificate_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for mode in MODES {
        let tls = ServerTls::new(authority.issue(&[DOMAIN])).only_tls13();
        let server = start(tls.require_client_certificate(authority.root_der()), mode);
        let client = stranger.issue(&[CLIENT]);
        let builder = builder(&authority).client_certificate(client.chain, client.key);
        let connector = builder.open_stream(OpenStream::new()).build().unwrap();
        let error = connect(&connector, &server, mode).unwrap_err();
        assert!(
            chain(&error).contains("does not trust the authority of the client certificate"),
            "{error:?}"
        );
    }
}

fn refused(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> String {
    let builder = Connector::builder().client_certificate(chain.to_vec(), key.clone_key());
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

// rule E6
#[test]
#[cfg(feature = "webpki-roots")]
fn a_certificate_that_cannot_be_used_is_an_error_of_build() {
    let authority = Authority::new();
    let [one, other] = [authority.issue(&[CLIENT]), authority.issue(&[CLIENT])];
    let start = "the client certificate cannot be used: ";
    assert_eq!(
        refused(&one.chain, &other.key),
        format!("{start}the key does not belong to the first certificate")
    );
    assert_eq!(refused(&[], &one.key), format!("{start}there is only a key"));
    let junk = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(vec![1, 2, 3]));
    assert!(refused(&one.chain, &junk).starts_with(&format!("{start}the key is damaged")));
    let error = refused(&[CertificateDer::from(vec![1, 2, 3])], &one.key);
    assert!(error.starts_with(&format!("{start}the certificate ")), "{error}");
}

// rule E5, E6
#[test]
fn a_client_certificate_beside_a_client_config_is_refused_since_it_would_not_be_shown() {
    let provider = rustls::crypto::ring::default_provider().into();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = Authority::new().issue(&[CLIENT]);
    let builder = Connector::builder().tls_config(config).client_certificate(client.chain, client.key);
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().starts_with("both a client certificate and a ClientConfig"), "{error}");
}

// rule E6
#[test]
fn the_key_is_not_shown() {
    let authority = Authority::new();
    let client = authority.issue(&[CLIENT]);
    let key = format!("{:?}", client.key.secret_der());
    let secret = key.trim_matches(['[', ']']).split(", ").skip(40).take(8).collect::<Vec<_>>().join(", ");
    assert!(key.contains(&secret));
    let builder = builder(&authority).client_certificate(client.chain, client.key);
    for shown in [format!("{builder:?}"), format!("{:?}", builder.clone().build().unwrap())] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}
