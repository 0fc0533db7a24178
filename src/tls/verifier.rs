//! The certificate verifier: webpki's, with a bound on its work, and key usage. It keeps what is refused for the error.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::extensions::{KeyUsage, allows};
use super::identity::Wanted;
use super::other_names::Accepted;
use super::private_names::{self, Intermediate, PrivateNames, Uncounted, is_wrong_name};
use super::revocation::RevocationLists;
use super::roots::{SystemTrust, Trust, authorities, roots, webpki};
use super::server_certificate::ServerCertificate;
use super::{TlsOptions, TlsSetupError};
use crate::limits::{MAX_CERTIFICATES, MAX_OF_A_SUBJECT};
use crate::service::Service;

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
    /// The cause, if more is known about it than the error has.
    cause: Option<String>,
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
    /// The cause, if more is known about it than the error has.
    pub(super) cause: Option<String>,
}

impl Evidence {
    /// Nothing is known.
    pub(crate) const NONE: Self =
        Self { speaks_tls: false, chain: Vec::new(), certificate: None, part: Part::Chain, cause: None };

    /// What is known directly after a failed `process_new_packets`.
    pub(crate) fn of(tls: &ClientConnection) -> Self {
        // The version is known from the ServerHello on.
        let speaks_tls = tls.protocol_version().is_some();
        match REFUSED.take() {
            Some(Refused { certificate, part, cause }) => {
                let chain =
                    certificate.chain().iter().map_while(|certificate| Certificate::read(certificate));
                Self { speaks_tls, chain: chain.collect(), certificate: Some(certificate), part, cause }
            }
            None => Self { speaks_tls, ..Self::NONE },
        }
    }
}

/// Creates the verifier for these options.
pub(super) fn verifier(
    options: &TlsOptions,
    service: &Service,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<Verifier>, TlsSetupError> {
    let TlsOptions { trust, revocation, other_names, .. } = options;
    let private_names = if other_names.is_any() {
        let given = roots(&Trust { only_given: true, given: trust.given.clone(), ..Trust::default() })?;
        let anchors = given.roots.clone();
        // Otherwise the usual verification has trusted others too, such as those of the system.
        let webpki = match trust.only_given && trust.system == SystemTrust::Nothing {
            true => None,
            false => Some(webpki(given, revocation.as_ref(), provider)?),
        };
        Some(PrivateNames::new(webpki, anchors, *other_names, service.clone()))
    } else {
        None
    };
    let authorities = authorities(trust, revocation.as_ref(), provider)?;
    Ok(Arc::new(Verifier::new(authorities, Arc::clone(provider), revocation.clone(), private_names)))
}

/// Verifies as webpki does, but
/// - first removes intermediate certificates that only multiply the paths to a root, and those whose key may not sign
///   certificates, since webpki does not look at key usage;
/// - accepts other names than DNS names, if the caller does;
/// - refuses a server whose key may not sign: "if the Key Usage extension is present, then the digitalSignature bit
///   MUST be set" (RFC 8446 section 4.4.2.2; in TLS 1.2, the same for ECDHE, RFC 5246 section 7.4.2);
/// - keeps what is refused.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
    /// Those that webpki's verifier has, for the error.
    lists: Option<RevocationLists>,
    /// `None`: only DNS names and addresses are accepted.
    private_names: Option<PrivateNames>,
}

impl Verifier {
    pub(super) fn new(
        webpki: Arc<dyn ServerCertVerifier>,
        provider: Arc<CryptoProvider>,
        lists: Option<RevocationLists>,
        private_names: Option<PrivateNames>,
    ) -> Self {
        Self { webpki, provider, lists, private_names }
    }

    /// The error comes with its cause, if more is known about it than the error has.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, (Error, Option<String>)> {
        let useful = useful(intermediates);
        let sent: Vec<_> = useful.iter().map(|intermediate| intermediate.certificate.clone()).collect();
        match self.webpki.verify_server_cert(end_entity, &sent, server_name, ocsp_response, now) {
            Ok(_) => {}
            Err(error) if is_wrong_name(&error) => {
                let names = self.private_names.as_ref().ok_or(Uncounted::Off);
                let verified = names.and_then(|names| names.verify(end_entity, &useful, server_name, now));
                verified.map_err(|why| (error, private_names::explain(end_entity, server_name, why)))?;
            }
            Err(error) => {
                let cause = self.cause(&error, end_entity, intermediates);
                return Err((error, cause));
            }
        }
        if allows(end_entity, KeyUsage::DigitalSignature) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err((CertificateError::Other(OtherError(Arc::new(MayNotSign))).into(), None))
        }
    }

    /// What counts as the name of the domain, after a verification that has failed.
    fn wanted(&self, server_name: &ServerName<'_>, error: &Error) -> Wanted {
        let name = server_name.to_owned();
        match self.private_names.as_ref().filter(|_| !is_wrong_name(error)) {
            Some(names) => names.wanted(name),
            None => Wanted { name, service: Service::default(), accepted: Accepted::default() },
        }
    }

    /// Keeps what is refused.
    fn keep(
        &self,
        part: Part,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        wanted: Option<Wanted>,
        cause: Option<String>,
    ) {
        let chain = chain(end_entity, others).map(|certificate| certificate.clone().into_owned()).collect();
        keep(ServerCertificate::new(chain, wanted, Arc::clone(&self.provider)), part, cause);
    }

    /// What is known about the cause beyond the error.
    fn cause(
        &self,
        error: &Error,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Option<String> {
        let Error::InvalidCertificate(error) = error else { return None };
        let chain: Vec<_> = chain(end_entity, others).cloned().collect();
        match (error, &self.lists) {
            (CertificateError::UnknownIssuer, _) => issuer_without_key_usage(&chain),
            (error, Some(lists)) => lists.explain(error, &chain),
            (_, None) => None,
        }
    }
}

/// Keeps what is refused, for the error.
pub(super) fn keep(certificate: ServerCertificate, part: Part, cause: Option<String>) {
    REFUSED.set(Some(Refused { certificate, part, cause }));
}

/// As much of a chain as an error can need.
pub(super) fn chain<'a, 'b>(
    end_entity: &'a CertificateDer<'b>,
    others: &'a [CertificateDer<'b>],
) -> impl Iterator<Item = &'a CertificateDer<'b>> {
    std::iter::once(end_entity).chain(others).take(MAX_CERTIFICATES)
}

/// The server's key may not sign.
#[derive(Debug)]
pub(super) struct MayNotSign;

impl fmt::Display for MayNotSign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "the key usage of the certificate does not include digital signature, which TLS requires; create one that \
             does, or that has no key usage",
        )
    }
}

impl std::error::Error for MayNotSign {}

/// Names an authority in the chain that may not sign certificates.
fn issuer_without_key_usage(chain: &[CertificateDer<'_>]) -> Option<String> {
    let read: Vec<_> = chain.iter().filter_map(|der| Some((der, Certificate::read(der)?))).collect();
    let has_signed = |issuer: &Certificate| {
        !issuer.is_self_issued() && read.iter().any(|(_, other)| other.issuer.is_same(&issuer.subject))
    };
    let (_, issuer) =
        read.iter().find(|(der, issuer)| has_signed(issuer) && !allows(der, KeyUsage::KeyCertSign))?;
    Some(format!(
        "the certificate of the authority {} may not be used to sign certificates (key usage)",
        issuer.subject
    ))
}

/// The intermediate certificates whose key may sign certificates, without the third and later ones of a subject.
pub(super) fn useful<'a>(intermediates: &[CertificateDer<'a>]) -> Vec<Intermediate<'a>> {
    let mut kept: Vec<Intermediate<'a>> = Vec::new();
    for certificate in intermediates {
        let mut store = RootCertStore::empty();
        // One that cannot be parsed is on no path.
        let Ok(()) = store.add(certificate.clone().into_owned()) else { continue };
        let Some(anchor) = store.roots.pop() else { continue };
        let has_subject = |other: &&Intermediate<'_>| other.anchor.subject == anchor.subject;
        if allows(certificate, KeyUsage::KeyCertSign)
            && kept.iter().filter(has_subject).count() < MAX_OF_A_SUBJECT
        {
            kept.push(Intermediate { certificate: certificate.clone(), anchor });
        }
    }
    kept
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
        self.verify(end_entity, intermediates, server_name, ocsp_response, now).map_err(|(error, cause)| {
            let wanted = self.wanted(server_name, &error);
            self.keep(Part::Chain, end_entity, intermediates, Some(wanted), cause);
            error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.webpki.verify_tls12_signature(message, cert, dss);
        verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None, None))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.webpki.verify_tls13_signature(message, cert, dss);
        verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None, None))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.webpki.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.webpki.root_hint_subjects()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;

    fn authority(subject: &str, usages: &[KeyUsagePurpose]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, subject);
        params.key_usages = usages.to_vec();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn certificates(kept: Vec<Intermediate<'_>>) -> Vec<CertificateDer<'_>> {
        kept.into_iter().map(|intermediate| intermediate.certificate).collect()
    }

    // rule D5
    #[test]
    fn two_of_a_subject_are_kept_in_order() {
        let [one, two, three] = [(); 3].map(|()| authority("X", &[]));
        let [other, unreadable] = [authority("Y", &[]), CertificateDer::from(&b"x"[..])];
        let sent = [one.clone(), unreadable, two.clone(), other.clone(), three];
        assert_eq!(certificates(useful(&sent)), [one, two, other]);
        assert_eq!(certificates(useful(&[])), []);
    }

    // rule E1
    #[test]
    fn authorities_that_may_not_sign_certificates_are_not_used() {
        let good = authority("X", &[KeyUsagePurpose::KeyCertSign]);
        let bad = authority("X", &[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign]);
        // Nor do they displace others.
        let sent = [bad.clone(), bad.clone(), good.clone(), bad];
        assert_eq!(certificates(useful(&sent)), [good]);
    }
}
