//! Test of the process default of rustls, which is used if the program has installed one. It has a process of its own.

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::{CryptoProvider, ring};
use xmpp_connect::{Connector, Target, TlsMode};

use given::DOMAIN;
use support::{Authority, Script, XmppServer};

fn only(suite: CipherSuite) -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|other| other.suite() == suite);
    provider
}

// rule E5b
#[test]
fn the_process_default_comes_before_what_is_compiled_in_and_behind_what_is_given() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
    let target = Target::new("127.0.0.1", server.port(), TlsMode::Direct).unwrap();
    let suite = |given: Option<CipherSuite>| {
        let builder = Connector::builder().only_roots([authority.root_der()]);
        let builder = match given {
            Some(suite) => builder.crypto_provider(Arc::new(only(suite))),
            None => builder,
        };
        let connection = builder.build().unwrap().connect_to(DOMAIN, target.clone()).unwrap();
        connection.cipher_suite().to_string()
    };
    assert_eq!(suite(None), "TLS_AES_256_GCM_SHA384");
    assert!(CryptoProvider::get_default().is_none());
    only(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256).install_default().unwrap();
    assert_eq!(suite(None), "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(suite(Some(CipherSuite::TLS13_AES_128_GCM_SHA256)), "TLS_AES_128_GCM_SHA256");
}
