//! Tests of what SASL needs from a connection: channel bindings that Prosody accepts, and client certificates.

use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xmpp_connect::{ChannelBinding, Connection, ConnectorBuilder, Domain, Policy, Service};

use super::{KNOT, TestResult, client, open_stream, options, server, variable};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// The account of the bench.
const PASSWORD: &[u8] = b"secret";
const HEADER: &str = "to='prosody.test' xmlns='jabber:client'";

/// The answer of the server: the name of the element, and its content.
fn answer(connection: &mut Connection, request: &str) -> Result<(String, String), Box<dyn Error>> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    connection.write_all(request.as_bytes())?;
    let mut received = String::new();
    loop {
        let mut buffer = [0; 4096];
        let count = connection.read(&mut buffer)?;
        received += std::str::from_utf8(buffer.get(..count).unwrap_or_default())?;
        for name in ["challenge", "success", "failure"] {
            let start = received.find(&format!("<{name}")).and_then(|start| received.get(start..));
            let Some((head, rest)) = start.and_then(|element| element.split_once('>')) else { continue };
            if head.ends_with('/') {
                return Ok((name.to_owned(), String::new()));
            }
            if let Some((content, _)) = rest.split_once(&format!("</{name}>")) {
                return Ok((name.to_owned(), content.to_owned()));
            }
        }
        if count == 0 {
            return Err(format!("the server closed the stream after {received:?}").into());
        }
    }
}

/// The value of an attribute of a SCRAM message (RFC 5802 section 5.1).
fn attribute(message: &str, name: char) -> Result<&str, String> {
    let mut attributes = message.split(',').filter_map(|attribute| attribute.split_once('='));
    let found = attributes.find_map(|(key, value)| (key == name.to_string()).then_some(value));
    found.ok_or_else(|| format!("no {name} in {message:?}"))
}

/// Logs in with SCRAM-SHA-256-PLUS (RFC 5802 section 3) and these data. Whether the server accepts it, and proves that it
/// knows the password.
fn log_in(connection: &mut Connection, name: &str, data: &[u8]) -> Result<bool, Box<dyn Error>> {
    let gs2_header = format!("p={name},,");
    let first_bare = "n=user,r=a-nonce-of-the-client";
    let first = BASE64.encode(format!("{gs2_header}{first_bare}"));
    let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256-PLUS'>{first}</auth>");
    let (element, challenge) = answer(connection, &auth)?;
    assert_eq!(element, "challenge", "{challenge}");
    let server_first = String::from_utf8(BASE64.decode(challenge)?)?;

    let salt = BASE64.decode(attribute(&server_first, 's')?)?;
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    let iterations = attribute(&server_first, 'i')?.parse()?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, PASSWORD, &mut salted);
    let sign = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let client_key = sign(&salted, "Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let binding = BASE64.encode([gs2_header.as_bytes(), data].concat());
    let without_proof = format!("c={binding},r={}", attribute(&server_first, 'r')?);
    let auth_message = format!("{first_bare},{server_first},{without_proof}");
    let signature = sign(stored_key.as_ref(), &auth_message);
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
    let last = BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof)));
    let (element, last) = answer(connection, &format!("<response xmlns='{SASL}'>{last}</response>"))?;
    if element != "success" {
        assert_eq!(element, "failure", "{last}");
        return Ok(false);
    }
    let expected = sign(&sign(&salted, "Server Key"), &auth_message);
    assert_eq!(String::from_utf8(BASE64.decode(last)?)?, format!("v={}", BASE64.encode(expected)));
    Ok(true)
}

/// A stream to Prosody that waits for the log-in, and its channel bindings.
fn stream(policy: Policy) -> Result<(Connection, Vec<ChannelBinding>), Box<dyn Error>> {
    let mut connection = client(policy)?.connect("prosody.test")?;
    assert_eq!(connection.protocol_version().to_string(), "TLS 1.3");
    let features = open_stream(&mut connection, HEADER)?;
    assert!(features.contains("<mechanism>SCRAM-SHA-256-PLUS</mechanism>"), "{features}");
    let bindings = connection.channel_bindings();
    let names = bindings.iter().map(ChannelBinding::name).collect::<Vec<_>>();
    assert_eq!(names, ["tls-exporter", "tls-server-end-point"]);
    Ok((connection, bindings))
}

// rule E9: Prosody computes its side with OpenSSL.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn prosody_accepts_each_channel_binding_and_no_altered_one() -> TestResult {
    for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
        for index in 0..2 {
            let (mut connection, bindings) = stream(policy)?;
            let binding = bindings.get(index).ok_or("no binding")?;
            assert!(log_in(&mut connection, binding.name(), binding.data())?, "{binding:?}");

            let (mut connection, bindings) = stream(policy)?;
            let binding = bindings.get(index).ok_or("no binding")?;
            let mut altered = binding.data().to_vec();
            *altered.last_mut().ok_or("no data")? ^= 1;
            assert!(!log_in(&mut connection, binding.name(), &altered)?, "{binding:?}");
        }
    }
    Ok(())
}

// rule E9
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_exporter_of_another_connection_is_refused() -> TestResult {
    let (mut connection, _) = stream(Policy::DirectOnly)?;
    let (_other, bindings) = stream(Policy::DirectOnly)?;
    let other = bindings.first().ok_or("no binding")?;
    assert!(!log_in(&mut connection, other.name(), other.data())?);
    Ok(())
}

/// Options of the server `own`, which shows a certificate of the bench.
fn peer(own: &str, policy: Policy) -> Result<ConnectorBuilder, Box<dyn Error>> {
    let folder = PathBuf::from(variable("XMPP_CONNECT_BENCH")?).join("certificates");
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{own}.crt")))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{own}.key")))?;
    let options = options(KNOT, Service::server(Domain::new(own)?), policy)?;
    Ok(options.client_certificate(chain.collect::<Result<Vec<_>, _>>()?, key))
}

/// Whether `domain` authenticates the server `own` by its certificate. Prosody offers EXTERNAL only then; ejabberd always, and
/// then refuses it.
fn is_authenticated(builder: ConnectorBuilder, own: &str, domain: &str) -> Result<bool, Box<dyn Error>> {
    let mut connection = builder.build()?.connect(domain)?;
    let header =
        format!("from='{own}' to='{domain}' xmlns='jabber:server' xmlns:db='jabber:server:dialback'");
    let features = open_stream(&mut connection, &header)?;
    if !features.contains("<mechanism>EXTERNAL</mechanism>") {
        return Ok(false);
    }
    let auth = format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{}</auth>", BASE64.encode(own));
    let (element, content) = answer(&mut connection, &auth)?;
    assert!(element == "success" || content.contains("not-authorized"), "{domain}: {element} {content}");
    Ok(element == "success")
}

// rule E6
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn both_servers_authenticate_another_one_by_its_certificate() -> TestResult {
    for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
        for domain in ["prosody.test", "ejabberd.test"] {
            assert!(
                is_authenticated(peer("peer.test", policy)?, "peer.test", domain)?,
                "{domain} {policy:?}"
            );
        }
    }
    Ok(())
}

// rule E6: names for XMPP alone. The certificate of peer.client.test is for clients. (ejabberd 23 does not look for SRV-IDs,
// and its process of the stream ends with an error when it has found an XmppAddr.)
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn prosody_authenticates_a_server_by_its_srv_id_or_xmpp_addr() -> TestResult {
    for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
        for (own, is_known) in
            [("peer.srvid.test", true), ("peer.xmppaddr.test", true), ("peer.client.test", false)]
        {
            let authenticated = is_authenticated(peer(own, policy)?, own, "prosody.test")?;
            assert_eq!(authenticated, is_known, "{own}, {policy:?}");
        }
    }
    Ok(())
}

// rule E6: no certificate, one of an authority that the servers do not trust, and one of another domain.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn without_a_good_certificate_no_server_is_authenticated() -> TestResult {
    let policy = Policy::DirectOnly;
    for domain in ["prosody.test", "ejabberd.test"] {
        let nothing = options(KNOT, server()?, policy)?;
        assert!(!is_authenticated(nothing, "peer.test", domain)?, "{domain}");
        let own = "peer.stranger.test";
        assert!(!is_authenticated(peer(own, policy)?, own, domain)?, "{domain}");
        assert!(!is_authenticated(peer("peer.test", policy)?, "other.test", domain)?, "{domain}");
    }
    Ok(())
}
