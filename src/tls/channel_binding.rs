//! Channel bindings: data that ties a SASL exchange to one TLS connection (RFC 5056, RFC 5929, RFC 9266). No IO.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::HashAlgorithm;
use rustls::{ClientConnection, ProtocolVersion, SupportedCipherSuite};

use super::algorithm::object_identifier;
use super::der::{OBJECT_IDENTIFIER, SEQUENCE, Values, dotted};

/// Data that ties an authentication to one TLS connection, for SASL mechanisms with channel binding such as
/// `SCRAM-SHA-256-PLUS` (RFC 5802 section 6).
///
/// With it, a server notices if somebody else has ended the TLS connection in between, even with a certificate that the
/// client accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    name: &'static str,
    data: Vec<u8>,
}

impl ChannelBinding {
    /// Returns the name in IANA's registry "Channel-Binding Types", by which servers say what they support (XEP-0440):
    /// `tls-exporter` or `tls-server-end-point`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the data: 32 octets for `tls-exporter`, a hash of 32, 48 or 64 octets for `tls-server-end-point`.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Without the data, which is meant for the server alone.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ChannelBinding").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Computes the channel bindings of a connection, when they are asked for.
#[derive(Debug)]
pub(crate) struct Binder {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) ems: Ems,
}

/// Whether TLS 1.2 requires the extended master secret (RFC 7627). rustls does not say whether it was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ems {
    #[cfg(feature = "tls12")]
    Required,
    Optional,
}

impl Binder {
    /// Returns the channel bindings of a complete handshake, the strongest first.
    pub(crate) fn bindings(&self, client: &ClientConnection) -> Vec<ChannelBinding> {
        let end_point = || end_point(client.peer_certificates()?.first()?, &self.provider);
        let both = [("tls-exporter", exporter(client, self.ems)), ("tls-server-end-point", end_point())];
        both.into_iter().filter_map(|(name, data)| Some(ChannelBinding { name, data: data? })).collect()
    }
}

/// The value of RFC 9266 section 2. In TLS 1.2 without the extended master secret, an attacker in between can give two
/// connections the same one (RFC 7627 section 1), so there is none then.
fn exporter(client: &ClientConnection, ems: Ems) -> Option<Vec<u8>> {
    match (client.protocol_version()?, ems) {
        (ProtocolVersion::TLSv1_3, _) => {}
        #[cfg(feature = "tls12")]
        (ProtocolVersion::TLSv1_2, Ems::Required) => {}
        _ => return None,
    }
    client.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok()
}

/// The hash of the certificate as the server has sent it (RFC 5929 section 4.1).
fn end_point(certificate: &[u8], provider: &CryptoProvider) -> Option<Vec<u8>> {
    let mut fields = Values(Values(certificate).next_of(SEQUENCE)?);
    let _signed = fields.next_of(SEQUENCE)?;
    hash(hash_of_signature(fields.next_of(SEQUENCE)?)?, certificate, provider)
}

/// The hash function for a certificate with this signature algorithm, from the content of its `AlgorithmIdentifier`.
///
/// "If the certificate's signatureAlgorithm uses a single hash function, and that hash function is either MD5 or SHA-1,
/// then use SHA-256" (RFC 5929 section 4.1). Any other single one is used itself. Without one, as for Ed25519, or with
/// several, the binding is undefined.
fn hash_of_signature(identifier: &[u8]) -> Option<HashAlgorithm> {
    Some(match &*object_identifier(identifier) {
        // MD5 or SHA-1 with RSA, DSA and ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.3.14.3.2.29"
        | "1.2.840.10040.4.3"
        | "1.2.840.10045.4.1" => HashAlgorithm::SHA256,
        "1.2.840.113549.1.1.11" | "2.16.840.1.101.3.4.3.2" | "1.2.840.10045.4.3.2" => HashAlgorithm::SHA256,
        "1.2.840.113549.1.1.12" | "2.16.840.1.101.3.4.3.3" | "1.2.840.10045.4.3.3" => HashAlgorithm::SHA384,
        "1.2.840.113549.1.1.13" | "2.16.840.1.101.3.4.3.4" | "1.2.840.10045.4.3.4" => HashAlgorithm::SHA512,
        "1.2.840.113549.1.1.10" => hash_of_pss(identifier)?,
        _ => return None,
    })
}

/// The hash function of RSASSA-PSS, from its parameters (RFC 4055 section 3.1); `None` if its mask uses another one.
fn hash_of_pss(identifier: &[u8]) -> Option<HashAlgorithm> {
    let mut values = Values(identifier);
    values.next_of(OBJECT_IDENTIFIER)?;
    let mut parameters = Values(values.next_of(SEQUENCE)?);
    let hash = match parameters.next_of(HASH) {
        Some(identifier) => object_identifier(Values(identifier).next_of(SEQUENCE)?),
        None => SHA_1.to_owned(),
    };
    let mask_hash = match parameters.next_of(MASK) {
        Some(mask) => {
            let mut mask = Values(Values(mask).next_of(SEQUENCE)?);
            let is_mgf1 = dotted(mask.next_of(OBJECT_IDENTIFIER)?) == "1.2.840.113549.1.1.8";
            object_identifier(mask.next_of(SEQUENCE).filter(|_| is_mgf1)?)
        }
        None => SHA_1.to_owned(),
    };
    if hash != mask_hash {
        return None;
    }
    Some(match &*hash {
        SHA_1 | "2.16.840.1.101.3.4.2.1" => HashAlgorithm::SHA256,
        "2.16.840.1.101.3.4.2.2" => HashAlgorithm::SHA384,
        "2.16.840.1.101.3.4.2.3" => HashAlgorithm::SHA512,
        _ => return None,
    })
}

/// `hashAlgorithm [0]`, and `maskGenAlgorithm [1]`. The default of both uses SHA-1.
const HASH: u8 = 0xa0;
const MASK: u8 = 0xa1;
const SHA_1: &str = "1.3.14.3.2.26";

/// No cipher suite has SHA-512, so rustls has no general way to it: it comes from the provider that is compiled in. So
/// does a hash whose cipher suites the provider leaves out.
pub(super) fn hash(algorithm: HashAlgorithm, octets: &[u8], provider: &CryptoProvider) -> Option<Vec<u8>> {
    let suites = provider.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13);
    let mut hashes = suites.map(|suite| suite.common.hash_provider);
    match hashes.find(|hash| hash.algorithm() == algorithm) {
        Some(hash) => Some(hash.hash(octets).as_ref().to_vec()),
        None => compiled_in(algorithm, octets),
    }
}

/// Whether [`hash`] computes SHA-512.
pub(super) const KNOWS_SHA_512: bool = cfg!(any(feature = "ring", feature = "aws-lc-rs"));

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn compiled_in(algorithm: HashAlgorithm, octets: &[u8]) -> Option<Vec<u8>> {
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    use aws_lc_rs::digest;
    #[cfg(feature = "ring")]
    use ring::digest;

    let algorithm = match algorithm {
        HashAlgorithm::SHA256 => &digest::SHA256,
        HashAlgorithm::SHA384 => &digest::SHA384,
        HashAlgorithm::SHA512 => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, octets).as_ref().to_vec())
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn compiled_in(_: HashAlgorithm, _: &[u8]) -> Option<Vec<u8>> {
    None
}

#[cfg(test)]
mod tests;
