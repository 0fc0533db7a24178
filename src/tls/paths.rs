//! Bounds the search for a path from a server's certificate to a root.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How many certificates of one subject are looked at; cross-signing makes two. webpki tries all paths of up to six
/// certificates, and ten of one subject keep it busy for 200 ms.
const MOST_OF_A_SUBJECT: usize = 2;

/// Verifies as another verifier does, without the intermediate certificates that only multiply the paths.
#[derive(Debug)]
pub(super) struct FewPaths(pub(super) Arc<dyn ServerCertVerifier>);

/// The intermediate certificates without the third and later ones of a subject.
fn few_of_each_subject<'a>(intermediates: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    let mut kept = Vec::new();
    let mut subjects = Vec::new();
    for certificate in intermediates {
        let mut store = RootCertStore::empty();
        // One that cannot be read is on no path.
        let Ok(()) = store.add(certificate.clone().into_owned()) else { continue };
        let Some(read) = store.roots.pop() else { continue };
        if subjects.iter().filter(|subject| **subject == read.subject).count() < MOST_OF_A_SUBJECT {
            subjects.push(read.subject);
            kept.push(certificate.clone());
        }
    }
    kept
}

impl ServerCertVerifier for FewPaths {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let intermediates = few_of_each_subject(intermediates);
        self.0.verify_server_cert(end_entity, &intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
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

    // spec D5
    #[test]
    fn two_of_a_subject_are_kept_in_order() {
        let [one, two, three] = [authority("X"), authority("X"), authority("X")];
        let [other, unreadable] = [authority("Y"), CertificateDer::from(&b"x"[..])];
        let sent = [one.clone(), unreadable, two.clone(), other.clone(), three];
        assert_eq!(few_of_each_subject(&sent), [one, two, other]);
        assert_eq!(few_of_each_subject(&[]), []);
    }
}
