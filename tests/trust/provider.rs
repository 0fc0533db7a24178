//! Tests of crypto providers, and of a given configuration (rules E5b, E1).

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use xmpp_connect::{Connector, ErrorKind};

use crate::given::DOMAIN;
use crate::support::{Authority, ServerTls, server_tls};
use crate::{MODES, connect, server};

fn only(suite: CipherSuite) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|other| other.suite() == suite);
    Arc::new(provider)
}

// rule E5b
#[test]
fn a_given_provider_is_used_and_none_is_installed() {
    let authority = Authority::new();
    for tls in MODES {
        for suite in [
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ] {
            let server = server(&authority.server(&[DOMAIN]), tls);
            let builder = Connector::builder().only_roots([authority.root_der()]);
            let connection =
                connect(&builder.crypto_provider(only(suite)).build().unwrap(), &server, tls).unwrap();
            assert_eq!(connection.cipher_suite().number(), u16::from(suite));
            // SHA-256 for fingerprints does not depend on the cipher suites.
            assert!(connection.certificate().unwrap().fingerprint().is_some());
        }
    }
    assert!(CryptoProvider::get_default().is_none());
}

// rule E5b
#[test]
fn a_provider_that_cannot_be_used_is_an_error_when_building() {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.clear();
    let error = Connector::builder().crypto_provider(Arc::new(provider)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().starts_with("the TLS configuration cannot be used: "), "{error}");
    let config =
        ClientConfig::builder_with_provider(server_tls::provider()).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let provider = server_tls::provider();
    let error = Connector::builder().tls_config(config).crypto_provider(provider).build().unwrap_err();
    assert!(error.to_string().starts_with("both a crypto provider and a ClientConfig are given"), "{error}");
}

// rule E1, E2, E3
#[test]
fn alpn_and_sni_stay_ours_with_a_given_configuration() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(authority.root_der()).unwrap();
    let config =
        ClientConfig::builder_with_provider(server_tls::provider()).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.enable_sni = false;
    let connector = Connector::builder().tls_config(config).build().unwrap();
    let identity = ServerTls::new(authority.issue(&[DOMAIN])).alpn(&["h2", "xmpp-client"]);
    let direct = server(&identity.config(), MODES[0]);
    let connection = connect(&connector, &direct, MODES[0]).unwrap();
    assert_eq!(connection.alpn(), Some("xmpp-client"));
    let starttls = server(&authority.server(&[DOMAIN]), MODES[1]);
    assert_eq!(connect(&connector, &starttls, MODES[1]).unwrap().alpn(), None);
    for server in [&direct, &starttls] {
        let name =
            server.wait_for(0, "TLS", |record| record.hello.as_ref().map(|hello| hello.server_name.clone()));
        assert_eq!(name.as_deref(), Some(DOMAIN));
    }
}

// rule E5b
#[test]
#[cfg(feature = "aws-lc-rs")]
fn aws_lc_rs_agrees_on_the_post_quantum_exchange() {
    use rustls::crypto::aws_lc_rs;
    use rustls::{NamedGroup, ServerConfig};

    let authority = Authority::new();
    let identity = authority.issue(&[DOMAIN]);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(identity.chain, identity.key).unwrap());
    for tls in MODES {
        let server = server(&config, tls);
        let builder = Connector::builder().only_roots([authority.root_der()]);
        let builder = builder.crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        let connection = connect(&builder.build().unwrap(), &server, tls).unwrap();
        let parts = connection.into_parts().unwrap();
        let group = parts.stream.conn.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    }
}
