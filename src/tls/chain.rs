//! Keeps the certificates that a verification refused, so that the error can say what they were.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConnection, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::certificate::Certificate;

thread_local! {
    /// What the latest failed verification on this thread had before it.
    ///
    /// rustls drops the certificates that it refuses, and a verifier belongs to all connections of a configuration. But it
    /// is called within `process_new_packets`, whose error is looked at on the same thread before anything else.
    static REFUSED: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// What was refused.
#[derive(Debug)]
struct Refused {
    chain: Vec<CertificateDer<'static>>,
    part: Part,
}

/// Which part of the verification failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The certificates.
    Chain,
    /// The signature over the handshake, by the key of the first certificate.
    Signature,
}

/// What is known of a handshake that failed, beside the error.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// Whether the server has sent a valid message of TLS before.
    pub(super) speaks_tls: bool,
    /// The certificates of the server, its own first; empty when they were not refused.
    pub(super) chain: Vec<Certificate>,
    pub(super) part: Part,
}

impl Evidence {
    /// Nothing is known.
    pub(crate) const NONE: Self = Self { speaks_tls: false, chain: Vec::new(), part: Part::Chain };

    /// What is known right behind a failed `process_new_packets`.
    pub(crate) fn of(tls: &ClientConnection) -> Self {
        // The version is known from the ServerHello on.
        let speaks_tls = tls.protocol_version().is_some();
        match REFUSED.take() {
            Some(Refused { chain, part }) => Self {
                speaks_tls,
                chain: chain.iter().map_while(|certificate| Certificate::read(certificate)).collect(),
                part,
            },
            None => Self { speaks_tls, ..Self::NONE },
        }
    }
}

/// Verifies as another verifier does, and keeps what that refuses.
#[derive(Debug)]
pub(super) struct Witness(Arc<dyn ServerCertVerifier>);

impl Witness {
    pub(super) fn new(verifier: Arc<dyn ServerCertVerifier>) -> Arc<Self> {
        Arc::new(Self(verifier))
    }
}

fn keep<T>(
    verified: Result<T, Error>,
    part: Part,
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<T, Error> {
    if verified.is_err() {
        let chain = std::iter::once(end_entity).chain(others).take(MAX_CERTIFICATES);
        let chain = chain.map(|certificate| certificate.clone().into_owned()).collect();
        REFUSED.set(Some(Refused { chain, part }));
    }
    verified
}

/// How many certificates of a chain are kept. webpki follows six intermediate ones.
const MAX_CERTIFICATES: usize = 8;

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        keep(verified, Part::Chain, end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        keep(self.0.verify_tls12_signature(message, cert, dss), Part::Signature, cert, &[])
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        keep(self.0.verify_tls13_signature(message, cert, dss), Part::Signature, cert, &[])
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}
