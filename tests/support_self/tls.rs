//! Certificates and the TLS of servers: which of them a verifying client accepts, and what the server notes.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{AlertDescription, ClientConfig, Error, ProtocolVersion, ServerConfig};

use super::client::{close, config, handshake, tcp};
use super::support::{Authority, End, Hello, Identity, Script, ServerTls, Stage, Step, XmppServer};

fn echo(config: Arc<ServerConfig>) -> XmppServer {
    XmppServer::start(Script::direct(config).until(Stage::SecureHeader).then(Step::Echo))
}

/// Whether a client that trusts `authority` accepts `identity` as `name`: else the error of rustls.
fn accepts(authority: &Authority, identity: Identity, name: &str) -> Result<(), Error> {
    let server = echo(ServerTls::new(identity).config());
    let result = handshake(tcp(server.addr()), &config(authority.root_der(), &[]), name);
    result.map(drop).map_err(|error| error.into_inner().unwrap().downcast_ref::<Error>().unwrap().clone())
}

#[test]
fn good_certificates_are_accepted_for_their_names_only() {
    let authority = Authority::new();
    let names = ["example.org", "*.example.com", "127.0.0.1", "::1"];
    for name in ["example.org", "host.example.com", "127.0.0.1", "::1"] {
        assert_eq!(accepts(&authority, authority.issue(&names), name), Ok(()));
    }
    for name in ["www.example.org", "example.com", "a.host.example.com", "127.0.0.2"] {
        assert!(accepts(&authority, authority.issue(&names), name).is_err(), "{name}");
    }
    assert_eq!(accepts(&authority, authority.issue_by_intermediate(&["example.org"]), "example.org"), Ok(()));
}

#[test]
fn each_bad_certificate_is_bad_for_its_own_reason() {
    let authority = Authority::new();
    let names = ["example.org"];
    let reason = |identity| format!("{:?}", accepts(&authority, identity, "example.org").unwrap_err());
    assert!(reason(authority.expired(&names)).contains("Expired"));
    assert!(reason(authority.not_yet_valid(&names)).contains("NotValidYet"));
    assert!(reason(Identity::self_signed(&names)).contains("UnknownIssuer"));
    assert!(reason(Authority::new().issue(&names)).contains("UnknownIssuer"));
    assert!(reason(authority.issue_srv_ids(&["_xmpp-client.example.org"])).contains("NotValidForName"));
    assert!(reason(authority.issue_xmpp_addresses(&names)).contains("NotValidForName"));
}

#[test]
fn other_names_are_in_the_certificate_as_the_rfcs_write_them() {
    let authority = Authority::new();
    let contains =
        |identity: &Identity, wanted: &[u8]| identity.chain[0].windows(wanted.len()).any(|w| w == wanted);
    let srv_id = authority.issue_srv_ids(&["_xmpp-client.example.org"]);
    let oid = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08];
    assert!(contains(&srv_id, &[&oid[..], &[7, 0xa0, 26, 0x16, 24], b"_xmpp-client.example.org"].concat()));
    let address = authority.issue_xmpp_addresses(&["example.org", "second.example.org"]);
    assert!(contains(&address, &[&oid[..], &[5, 0xa0, 13, 0x0c, 11], b"example.org"].concat()));
    assert!(contains(&address, &[&oid[..], &[5, 0xa0, 20, 0x0c, 18], b"second.example.org"].concat()));
}

#[test]
fn root_is_given_as_pem_too() {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let authority = Authority::new();
    assert_eq!(
        CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).unwrap(),
        authority.root_der()
    );
}

#[test]
fn the_record_has_names_versions_and_protocols() {
    let authority = Authority::new();
    let identity = authority.issue(&["example.org"]);
    let tls = || ServerTls::new(identity.clone()).alpn(&["xmpp-client", "h2"]);
    let cases = [
        (tls().only_tls12(), ProtocolVersion::TLSv1_2),
        (tls().only_tls13(), ProtocolVersion::TLSv1_3),
        (tls(), ProtocolVersion::TLSv1_3),
    ];
    for (tls, version) in cases {
        let server = echo(tls.config());
        let client = config(authority.root_der(), &["xmpp-client"]);
        let mut stream = handshake(tcp(server.addr()), &client, "example.org").unwrap();
        stream.write_all(b"ping").unwrap();
        let mut pong = [0; 4];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"ping");
        let exporter =
            stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
        close(stream);
        let record = server.wait_end(0);
        let protocols = Some(vec!["xmpp-client".to_owned()]);
        assert_eq!(record.hello, Some(Hello { server_name: Some("example.org".to_owned()), protocols }));
        assert_eq!(record.secure_bytes(), b"ping");
        assert_eq!(record.end, Some(End::CloseNotify));
        let secured = record.secured.unwrap();
        assert_eq!((secured.version, secured.protocol.as_deref()), (version, Some("xmpp-client")));
        assert_eq!(secured.exporter, exporter);
        assert!(!secured.resumed);
        assert_eq!(secured.client_certificates, 0);
    }
}

#[test]
fn alpn_is_refused_when_nothing_fits_or_when_a_multiplexer_gets_none() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&["example.org"])).alpn(&["h2"]).config();
    let refusal = |server: &XmppServer, client: &Arc<ClientConfig>| {
        let error = handshake(tcp(server.addr()), client, "example.org").unwrap_err();
        error.into_inner().unwrap().downcast_ref::<Error>().unwrap().clone()
    };
    let refused = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    let server = echo(Arc::clone(&tls));
    assert_eq!(refusal(&server, &config(authority.root_der(), &["xmpp-client"])), refused);
    assert!(handshake(tcp(server.addr()), &config(authority.root_der(), &[]), "example.org").is_ok());
    let server = XmppServer::start(Script::silent().then(Step::SecureWithAlpn(tls)));
    assert_eq!(refusal(&server, &config(authority.root_der(), &[])), refused);
    assert_eq!(server.wait_end(0).end, Some(End::ByServer));
    assert!(handshake(tcp(server.addr()), &config(authority.root_der(), &["h2"]), "example.org").is_ok());
}

#[test]
fn sessions_resume_unless_the_server_says_no() {
    let authority = Authority::new();
    let identity = authority.issue(&["example.org"]);
    let tls = || ServerTls::new(identity.clone());
    let cases = [
        (tls().only_tls12(), true),
        (tls().only_tls13(), true),
        (tls().only_tls12().without_resumption(), false),
        (tls().only_tls13().without_resumption(), false),
    ];
    for (tls, resumes) in cases {
        let server = echo(tls.config());
        let client = config(authority.root_der(), &[]);
        for index in 0..2 {
            let mut stream = handshake(tcp(server.addr()), &client, "example.org").unwrap();
            // The ticket comes before the echo.
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            assert_eq!(server.wait_secured(index).resumed, resumes && index == 1);
        }
    }
}

#[test]
fn client_certificates_are_asked_for_and_required() {
    let authority = Authority::new();
    let identity = authority.issue(&["example.org"]);
    let tls = || ServerTls::new(identity.clone()).only_tls12();
    let plain = config(authority.root_der(), &[]);
    let asking = echo(tls().asks_client_certificate(&authority).config());
    assert!(handshake(tcp(asking.addr()), &plain, "example.org").is_ok());
    assert_eq!(asking.wait_secured(0).client_certificates, 0);
    let requiring = echo(tls().requires_client_certificate(&authority).config());
    assert!(handshake(tcp(requiring.addr()), &plain, "example.org").is_err());
    assert!(matches!(requiring.wait_end(0).end, Some(End::Failed(_))));

    let own = authority.issue(&["client.example"]);
    let builder = ClientConfig::builder_with_provider(super::support::server_tls::provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.root_der()).unwrap();
    let client = builder.with_root_certificates(roots).with_client_auth_cert(own.chain, own.key).unwrap();
    assert!(handshake(tcp(requiring.addr()), &Arc::new(client), "example.org").is_ok());
    assert_eq!(requiring.wait_secured(1).client_certificates, 1);
}

#[test]
fn keys_are_refreshed_without_the_peer_noticing() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&["example.org"])).only_tls13().config();
    let steps = [Step::send("one"), Step::RefreshKeys, Step::send("two"), Step::CloseNotify, Step::Close];
    let script = steps.into_iter().fold(Script::direct(tls).until(Stage::SecureHeader), Script::then);
    let server = XmppServer::start(script);
    let mut stream =
        handshake(tcp(server.addr()), &config(authority.root_der(), &[]), "example.org").unwrap();
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    assert_eq!(read, "onetwo");
    drop(stream);
    assert_eq!(server.wait_end(0).end, Some(End::ByServer));
}
