//! What no honest server sends: certificates without their key, and handshake messages written by hand.

use std::sync::Arc;

use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use xmpp_connect::rustls::pki_types::CertificateDer;

use crate::support::server_tls::provider;

/// A key that nobody has: its signatures are wrong.
#[derive(Debug)]
struct NoKey(SignatureScheme);

impl SigningKey for NoKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(Self(self.0)) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RSA,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for NoKey {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![7; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// A server that shows these certificates and signs the handshake with no key.
pub(crate) fn shows(chain: Vec<CertificateDer<'static>>, scheme: SignatureScheme) -> Arc<ServerConfig> {
    let key = CertifiedKey::new(chain, Arc::new(NoKey(scheme)));
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key))))
}

/// A record with a fatal alert.
pub(crate) fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 1, 0, 2, 2, description]
}

/// A record with a `ServerHello` (RFC 5246 section 7.4.1.3).
pub(crate) fn server_hello(version: [u8; 2], suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut hello = version.to_vec();
    // The random number, and no session.
    hello.extend_from_slice(&[7; 32]);
    hello.push(0);
    hello.extend_from_slice(&suite.to_be_bytes());
    hello.push(0);
    if !extensions.is_empty() {
        hello.extend_from_slice(&length(extensions));
        hello.extend_from_slice(extensions);
    }
    let message = [&[2, 0], &length(&hello)[..], &hello].concat();
    [&[22], &version[..], &length(&message), &message].concat()
}

/// The extension ALPN with one protocol (RFC 7301 section 3.1).
pub(crate) fn alpn(protocol: &str) -> Vec<u8> {
    let name = [&[u8::try_from(protocol.len()).unwrap()], protocol.as_bytes()].concat();
    let list = [&length(&name)[..], &name].concat();
    [&[0, 16], &length(&list)[..], &list].concat()
}

fn length(octets: &[u8]) -> [u8; 2] {
    u16::try_from(octets.len()).unwrap().to_be_bytes()
}
