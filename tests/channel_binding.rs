//! Tests of channel bindings: client and server have the same, in each version and kind of TLS, resumed or not.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: what cannot be set up fails its test"
)]

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::sync::Arc;

use ring::digest;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use xmpp_connect::{ChannelBinding, Connection, Connector, Target, TlsMode};

use given::{DOMAIN, talk};
use support::{Authority, Identity, Script, ServerTls, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn start(tls: ServerTls, mode: TlsMode) -> XmppServer {
    XmppServer::start(match mode {
        TlsMode::Direct => Script::direct(tls.config()),
        TlsMode::StartTls => Script::starttls(tls.config()),
    })
}

fn connect(connector: &Connector, server: &XmppServer, mode: TlsMode) -> Connection {
    let mut connection =
        connector.connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), mode).unwrap()).unwrap();
    talk(&mut connection);
    connection
}

fn names(connection: &Connection) -> Vec<&'static str> {
    connection.channel_bindings().iter().map(ChannelBinding::name).collect()
}

fn data(connection: &Connection, name: &str) -> Vec<u8> {
    let bindings = connection.channel_bindings();
    bindings.iter().find(|binding| binding.name() == name).unwrap().data().to_vec()
}

/// Certificates of this authority are signed with ECDSA and SHA-256.
fn end_point(identity: &Identity) -> Vec<u8> {
    digest::digest(&digest::SHA256, &identity.chain[0]).as_ref().to_vec()
}

/// A configuration of the caller's that requires the extended master secret.
fn requires_ems(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root_der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.require_ems = true;
    config
}

// rule E9, E8
#[test]
fn client_and_server_have_the_same_bindings_and_after_resumption_too() {
    let authority = Authority::new();
    for mode in MODES {
        let identity = authority.issue_by_intermediate(&[DOMAIN]);
        let server = start(ServerTls::new(identity.clone()).only_tls13(), mode);
        let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
        let connections = [0, 1].map(|index| {
            let connection = connect(&connector, &server, mode);
            assert_eq!(connection.is_resumed(), index == 1);
            assert_eq!(names(&connection), ["tls-exporter", "tls-server-end-point"]);
            assert_eq!(data(&connection, "tls-exporter"), server.wait_secured(index).exporter);
            assert_eq!(data(&connection, "tls-server-end-point"), end_point(&identity));
            connection
        });
        let [first, second] = connections.each_ref().map(|connection| data(connection, "tls-exporter"));
        assert_ne!(first, second, "each connection has its own");
    }
}

// rule E9, E8
#[test]
#[cfg(feature = "tls12")]
fn tls_1_2_has_an_exporter_only_if_the_extended_master_secret_is_required() {
    let authority = Authority::new();
    for mode in MODES {
        let identity = authority.issue(&[DOMAIN]);
        let server = start(ServerTls::new(identity.clone()).only_tls12(), mode);
        let by_default = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
        let required = Connector::builder().tls_config(requires_ems(&authority)).build().unwrap();
        for index in 0..4 {
            let is_required = index >= 2;
            let connector = if is_required { &required } else { &by_default };
            let connection = connect(connector, &server, mode);
            assert_eq!(connection.is_resumed(), index % 2 == 1);
            assert_eq!(data(&connection, "tls-server-end-point"), end_point(&identity));
            if is_required {
                assert_eq!(names(&connection), ["tls-exporter", "tls-server-end-point"]);
                assert_eq!(data(&connection, "tls-exporter"), server.wait_secured(index).exporter);
            } else {
                assert_eq!(names(&connection), ["tls-server-end-point"]);
            }
        }
    }
}

// rule E9
#[test]
fn halves_have_the_same_bindings_and_those_taken_outlive_the_connection() {
    let authority = Authority::new();
    let server = start(ServerTls::new(authority.issue(&[DOMAIN])).only_tls13(), TlsMode::Direct);
    let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
    let connection = connect(&connector, &server, TlsMode::Direct);
    let bindings = connection.channel_bindings();
    let (read, write) = connection.split();
    assert_eq!(read.channel_bindings(), bindings);
    let mut parts = read.reunite(write).unwrap().into_parts().unwrap();
    parts.stream.write_all(b"</stream:stream>").unwrap();
    let label = b"EXPORTER-Channel-Binding";
    let exported = parts.stream.conn.export_keying_material([0; 32], label, Some(&[])).unwrap();
    assert_eq!(bindings[0].data(), exported);
}
