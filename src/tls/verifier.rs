//! The certificate verifier: webpki's, with a bound on its work. It keeps refused certificates for the error.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConnection, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::server_certificate::ServerCertificate;
use crate::limits::{MAX_CERTIFICATES, MAX_OF_A_SUBJECT};

thread_local! {
    /// The certificates of the latest failed verification on this thread.
    ///
    /// rustls drops the certificates that it refuses, and a verifier is shared by all connections of a configuration.
    /// But it is called within `process_new_packets`, and its error is handled on the same thread before anything else.
    static REFUSED: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// What was refused.
#[derive(Debug)]
struct Refused {
    certificate: ServerCertificate,
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

/// What is known about a failed handshake in addition to the error.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// Whether the server has sent a valid TLS message before.
    pub(super) speaks_tls: bool,
    /// The certificates of the server, its own first; empty if they were not refused.
    pub(super) chain: Vec<Certificate>,
    /// The same, for the caller.
    pub(crate) certificate: Option<ServerCertificate>,
    pub(super) part: Part,
}

impl Evidence {
    /// Nothing is known.
    pub(crate) const NONE: Self =
        Self { speaks_tls: false, chain: Vec::new(), certificate: None, part: Part::Chain };

    /// What is known directly after a failed `process_new_packets`.
    pub(crate) fn of(tls: &ClientConnection) -> Self {
        // The version is known from the ServerHello on.
        let speaks_tls = tls.protocol_version().is_some();
        match REFUSED.take() {
            Some(Refused { certificate, part }) => {
                let chain =
                    certificate.chain().iter().map_while(|certificate| Certificate::read(certificate));
                Self { speaks_tls, chain: chain.collect(), certificate: Some(certificate), part }
            }
            None => Self { speaks_tls, ..Self::NONE },
        }
    }
}

/// Verifies with another verifier, but first removes intermediate certificates that only multiply the paths to a root,
/// and keeps refused certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(inner: Arc<dyn ServerCertVerifier>, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { inner, provider })
    }
}

/// The intermediate certificates without the third and later ones of a subject.
pub(super) fn few_of_each_subject<'a>(intermediates: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    let mut kept = Vec::new();
    let mut subjects = Vec::new();
    for certificate in intermediates {
        let mut store = RootCertStore::empty();
        // One that cannot be parsed is on no path.
        let Ok(()) = store.add(certificate.clone().into_owned()) else { continue };
        let Some(read) = store.roots.pop() else { continue };
        if subjects.iter().filter(|subject| **subject == read.subject).count() < MAX_OF_A_SUBJECT {
            subjects.push(read.subject);
            kept.push(certificate.clone());
        }
    }
    kept
}

/// Keeps the certificates if they were refused. `wanted` is the domain.
pub(super) fn keep<T>(
    verified: Result<T, Error>,
    part: Part,
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    wanted: Option<&ServerName<'_>>,
    provider: &Arc<CryptoProvider>,
) -> Result<T, Error> {
    if verified.is_err() {
        let chain = std::iter::once(end_entity).chain(others).take(MAX_CERTIFICATES);
        let chain = chain.map(|certificate| certificate.clone().into_owned()).collect();
        let certificate =
            ServerCertificate::new(chain, wanted.map(ServerName::to_owned), Arc::clone(provider));
        REFUSED.set(Some(Refused { certificate, part }));
    }
    verified
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let few = few_of_each_subject(intermediates);
        let verified = self.inner.verify_server_cert(end_entity, &few, server_name, ocsp_response, now);
        keep(verified, Part::Chain, end_entity, intermediates, Some(server_name), &self.provider)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls12_signature(message, cert, dss);
        keep(verified, Part::Signature, cert, &[], None, &self.provider)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls13_signature(message, cert, dss);
        keep(verified, Part::Signature, cert, &[], None, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

    use super::*;

    fn authority(subject: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, subject);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    // rule D5
    #[test]
    fn two_of_a_subject_are_kept_in_order() {
        let [one, two, three] = [authority("X"), authority("X"), authority("X")];
        let [other, unreadable] = [authority("Y"), CertificateDer::from(&b"x"[..])];
        let sent = [one.clone(), unreadable, two.clone(), other.clone(), three];
        assert_eq!(few_of_each_subject(&sent), [one, two, other]);
        assert_eq!(few_of_each_subject(&[]), []);
    }
}
