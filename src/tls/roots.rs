//! Which authorities are trusted: those that are compiled in, those of the operating system, and those given.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsSetupError;
use super::explain::explain;
use super::revocation::RevocationLists;
use super::verifier::Evidence;

/// Which certificates are trusted as roots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Leaves out the roots that are compiled in.
    pub(crate) only_given: bool,
    pub(crate) given: Vec<CertificateDer<'static>>,
    pub(crate) system: SystemTrust,
}

/// What of the operating system is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SystemTrust {
    #[default]
    Nothing,
    /// Its root certificates, by webpki.
    #[cfg(feature = "native-certs")]
    Roots,
    /// Its verification, instead of webpki's, with its root certificates and the given ones.
    #[cfg(feature = "platform-verifier")]
    Verifier,
}

impl SystemTrust {
    /// Whether the system verifies, and not webpki.
    pub(crate) fn is_verifier(self) -> bool {
        match self {
            Self::Nothing => false,
            #[cfg(feature = "native-certs")]
            Self::Roots => false,
            #[cfg(feature = "platform-verifier")]
            Self::Verifier => true,
        }
    }
}

/// The verifier of chains: webpki's, or the system's.
pub(super) fn authorities(
    trust: &Trust,
    lists: Option<&RevocationLists>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    #[cfg(feature = "platform-verifier")]
    if trust.system.is_verifier() {
        return platform(&trust.given, provider);
    }
    webpki(roots(trust)?, lists, provider)
}

/// Verification by webpki.
pub(super) fn webpki(
    roots: RootCertStore,
    lists: Option<&RevocationLists>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    match lists {
        Some(lists) => lists.verifier(roots, provider),
        None => Ok(Arc::new(WithoutLists { roots, algorithms: provider.signature_verification_algorithms })),
    }
}

/// Does what `WebPkiServerVerifier` of rustls does without revocation lists, and needs none of its code for them.
#[derive(Debug)]
struct WithoutLists {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for WithoutLists {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The root certificates for webpki.
pub(super) fn roots(trust: &Trust) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    #[cfg(feature = "webpki-roots")]
    if !trust.only_given {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for certificate in &trust.given {
        roots
            .add(certificate.clone())
            .map_err(|error| TlsSetupError::BadRoot(explain(&error, &Evidence::NONE)))?;
    }
    #[cfg(feature = "native-certs")]
    if trust.system == SystemTrust::Roots {
        add_native(&mut roots)?;
    }
    if roots.is_empty() { Err(TlsSetupError::NoRoots) } else { Ok(roots) }
}

/// Adds those of the system. Some in its store cannot be used by webpki, and are left out as any that are missing.
#[cfg(feature = "native-certs")]
fn add_native(roots: &mut RootCertStore) -> Result<(), TlsSetupError> {
    use crate::logging;
    use crate::quoted::Quoted;

    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        logging::warn(format_args!(
            "a root certificate of this system: {}",
            Quoted(&error.to_string(), SHOWN)
        ));
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let why = found.errors.first().map(|error| Quoted(&error.to_string(), SHOWN).to_string());
    Err(TlsSetupError::System(why.unwrap_or_else(|| "there are none".to_owned())))
}

/// How many characters of an error of the system are shown.
#[cfg(feature = "native-certs")]
const SHOWN: usize = 300;

#[cfg(feature = "platform-verifier")]
fn platform(
    given: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    use rustls_platform_verifier::Verifier;

    #[cfg(target_os = "android")]
    let verifier = match given {
        [] => Verifier::new(Arc::clone(provider)),
        _ => {
            let why = "Android verifies with its own root certificates only, and others are given";
            return Err(TlsSetupError::System(why.to_owned()));
        }
    };
    #[cfg(not(target_os = "android"))]
    let verifier = Verifier::new_with_extra_roots(given.iter().cloned(), Arc::clone(provider));
    match verifier {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(error) => Err(TlsSetupError::System(explain(&error, &Evidence::NONE))),
    }
}
