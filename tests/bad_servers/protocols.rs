//! The rows about keys, sizes, handshakes and other protocols.

use rustls::SignatureScheme;
use xmpp_connect::report::UntrustedReason;
use xmpp_connect::rustls::pki_types::CertificateDer;

use super::Refusal;
use crate::forged::{alert, alpn, server_hello, shows};
use crate::given::DOMAIN;
use crate::row::{DIRECT, Row, STARTTLS};
use crate::support::xmpp::{HTTP, SASL_FEATURES, header, stream_error};
use crate::support::{Authority, Script, ServerTls, Step};

pub(crate) fn weak() -> Vec<Row> {
    let (ecdsa, rsa) = (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256);
    vec![
        Row::file(
            "SHA-1",
            include_bytes!("fixtures/sha1.der"),
            ecdsa,
            &["ECDSA with SHA-1, cannot be verified"],
        ),
        Row::file(
            "RSA with 1024 bits",
            include_bytes!("fixtures/short.der"),
            rsa,
            &["the RSA key of \"short\" has 1024 bits, and fewer than 2048 are not secure"],
        ),
        Row::file(
            "authority with RSA and 1024 bits",
            include_bytes!("fixtures/of-short-root.der"),
            ecdsa,
            &["\"short-root\"", "or an RSA key of fewer than 2048 bits"],
        ),
    ]
}

pub(crate) fn shapes() -> Vec<Row> {
    let ecdsa = SignatureScheme::ECDSA_NISTP256_SHA256;
    let malformed = Refusal::Untrusted(UntrustedReason::Unacceptable);
    let cut = |length: fn(usize) -> usize| {
        move |authority: &Authority| {
            let server = authority.issue(&[DOMAIN]).chain[0].to_vec();
            shows(vec![CertificateDer::from(server[..length(server.len())].to_vec())], ecdsa)
        }
    };
    let many = |authority: &Authority, count| {
        let mut parts = authority.issue(&[DOMAIN]);
        let other = Authority::new().issue_by_intermediate(&["other.example"]).chain[1].clone();
        parts.chain.resize(count, other);
        parts
    };
    vec![
        Row::config(
            "cut by an octet",
            cut(|length| length - 1),
            malformed,
            &["the certificate is malformed"],
        ),
        Row::config(
            "cut in the middle",
            cut(|length| length / 2),
            malformed,
            &["the certificate is malformed"],
        ),
        Row::config("one octet", cut(|_| 1), malformed, &["the certificate is malformed"]),
        Row::identity(
            "below 200 authorities",
            |authority| authority.issue_below(200, &[DOMAIN]),
            UntrustedReason::Unacceptable,
            &["the chain has too many intermediate certificates"],
        ),
        Row::config(
            "200 certificates of more than 64 KiB",
            move |authority| ServerTls::new(many(authority, 200)).config(),
            Refusal::Tls,
            &["its certificate chain is larger than 64 KiB, which is not supported"],
        ),
        Row::config(
            "a certificate of 2,600 names",
            move |authority| {
                let names: Vec<_> =
                    (0..2600).map(|number| format!("host-{number:05}.customers.example")).collect();
                let names = names.iter().map(|name| &**name).chain([DOMAIN]).collect::<Vec<_>>();
                shows(authority.issue(&names).chain, ecdsa)
            },
            Refusal::Tls,
            &["its certificate chain is larger than 64 KiB, which is not supported"],
        ),
    ]
}

pub(crate) fn handshakes() -> Vec<Row> {
    let raw = |octets: Vec<u8>| [Step::AwaitHello, Step::SendRaw(octets)];
    let (tls_1_0, tls_1_1, tls_1_2) = ([3, 1], [3, 2], [3, 3]);
    // ECDHE with ECDSA and AES-128-GCM, which is offered; RSA with AES-128-CBC, which is not.
    let (offered, old) = (0xc02b, 0x002f);
    let old_version = &["the server supports no TLS version that is enabled here"];
    vec![
        Row::steps(
            "alert protocol_version",
            &raw(alert(70)),
            Refusal::Tls,
            &["protocol_version (70)", "supports neither TLS 1.2 nor TLS 1.3"],
        ),
        Row::steps("TLS 1.0", &raw(server_hello(tls_1_0, old, &[])), Refusal::Tls, old_version),
        Row::steps("TLS 1.1", &raw(server_hello(tls_1_1, old, &[])), Refusal::Tls, old_version),
        Row::steps(
            "no cipher suite in common",
            &raw(alert(40)),
            Refusal::Tls,
            &[
                "handshake_failure (40)",
                "have no cipher suite, key exchange group or signature algorithm in common",
            ],
        ),
        Row::steps(
            "cipher suite that was not offered",
            &raw(server_hello(tls_1_2, old, &[])),
            Refusal::Tls,
            &["the server violates the TLS protocol", "unoffered cipher suite"],
        ),
        Row::config(
            "alert no_application_protocol",
            |authority| ServerTls::new(authority.issue(&[DOMAIN])).alpn(&["h2", "http/1.1"]).config(),
            Refusal::Tls,
            &["no_application_protocol (120)", "speaks another protocol here: it refused the ALPN name"],
        )
        .modes(DIRECT),
        Row::steps(
            "alert no_application_protocol without ALPN",
            &raw(alert(120)),
            Refusal::Tls,
            &["no_application_protocol (120)"],
        ),
        Row::steps(
            "ALPN protocol that was not offered",
            &raw(server_hello(tls_1_2, offered, &alpn("h2"))),
            Refusal::Tls,
            &["the server selected an ALPN protocol that was not offered"],
        )
        .modes(DIRECT),
        Row::steps(
            "ALPN protocol though none was offered",
            &raw(server_hello(tls_1_2, offered, &alpn("xmpp-client"))),
            Refusal::Tls,
            &["the server violates the TLS protocol", "unsolicited"],
        )
        .modes(STARTTLS),
    ]
}

pub(crate) fn ports() -> Vec<Row> {
    let no_tls = &["the server does not speak TLS on this port"];
    let plain = |name, text: String| {
        Row::steps(name, &[Step::AwaitHello, Step::SendRaw(text.into_bytes())], Refusal::Tls, no_tls)
            .modes(DIRECT)
    };
    vec![
        plain("XMPP on the port of TLS", header("example.org") + SASL_FEATURES),
        plain("XMPP error on the port of TLS", header("example.org") + &stream_error("not-well-formed")),
        plain("HTTP on the port of TLS", HTTP.to_owned()),
        plain("SMTP on the port of TLS", "220 mail.example.org ESMTP\r\n".to_owned()),
        Row {
            script: Box::new(|authority, _| Script::direct(authority.server(&[DOMAIN]))),
            ..Row::steps(
                "TLS on the port of STARTTLS",
                &[],
                Refusal::NotXmpp,
                &["it looks like a TLS alert, so the port may be for direct TLS"],
            )
        }
        .modes(STARTTLS),
    ]
}
