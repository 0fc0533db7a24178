//! Pins: servers that must have a known key or certificate, beside a trusted authority or instead of one (RFC 7469).
//!
//! No IO.

use std::error;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::der::{SEQUENCE, encode};
use super::fingerprint::Fingerprint;
use super::identity::Wanted;
use super::other_names::Accepted;
use super::roots::roots;
use super::server_certificate::ServerCertificate;
use super::verifier::{self, Part, chain, keep, useful};
use super::{TlsOptions, TlsSetupError, server_name};
use crate::domain::Domain;
use crate::service::Service;

/// What the pins of a domain are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinRole {
    /// The certificate is verified, and its chain must have a pin.
    BesideAuthorities,
    /// The server must have a pin, and nothing else about its certificate counts.
    InsteadOfAuthorities,
}

/// The pins of one domain.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    pub(crate) domain: Domain,
    pub(crate) role: PinRole,
    pub(crate) list: Vec<Fingerprint>,
}

impl Pins {
    fn has(&self, octets: &[u8], provider: &CryptoProvider) -> bool {
        Fingerprint::of(octets, provider).is_some_and(|hash| self.list.contains(&hash))
    }

    /// Whether both are for the same name in TLS: how the domain is written in the stream header does not matter.
    fn is_for(&self, other: &Self) -> bool {
        self.domain.host() == other.domain.host()
    }

    /// Whether the certificate or its key is pinned. The key is what webpki reads, as it is for the signature over the
    /// handshake, so that it cannot be another one.
    fn has_certificate(
        &self,
        certificate: &CertificateDer<'_>,
        provider: &CryptoProvider,
    ) -> Result<bool, Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        Ok(self.has(&key, provider) || self.has(certificate, provider))
    }

    /// Whether the key of a root certificate is pinned.
    fn has_anchor(&self, anchor: &TrustAnchor<'_>, provider: &CryptoProvider) -> bool {
        self.has(&encode(SEQUENCE, &anchor.subject_public_key_info), provider)
    }
}

/// The pins of a connector. Only programs that create one link the code for pins, since nothing else names it.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    all: Vec<Pins>,
    prepare: Prepare,
}

/// [`prepare`].
type Prepare = fn(&[Pins], &TlsOptions, &Service, &Arc<CryptoProvider>) -> Result<PinVerifier, TlsSetupError>;

/// [`over`].
type Over = fn(&PinVerifier, Option<Arc<dyn ServerCertVerifier>>) -> Arc<dyn ServerCertVerifier>;

impl Pinned {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), prepare }
    }

    /// Adds the pins of one more call. The pins of a domain add up if their role is the same.
    pub(crate) fn add(&mut self, pins: Pins) {
        match self.all.iter_mut().find(|other| other.is_for(&pins) && other.role == pins.role) {
            Some(known) => known.list.extend(pins.list),
            None => self.all.push(pins),
        }
    }
}

/// Why the pins of a connector cannot be used.
fn fault(all: &[Pins], provider: &CryptoProvider) -> Option<String> {
    if let Some(Pins { domain, .. }) = all.iter().find(|pins| pins.list.is_empty()) {
        return Some(format!("an empty list of pins is given for {domain}"));
    }
    let is_twice = |pins: &&Pins| all.iter().any(|other| other.is_for(pins) && other.role != pins.role);
    if let Some(Pins { domain, .. }) = all.iter().find(is_twice) {
        return Some(format!("both require_pins and trust_pins_alone are given for {domain}; choose one"));
    }
    let has_hash = Fingerprint::of(&[], provider).is_some();
    (!has_hash).then(|| "the crypto provider does not have SHA-256, which pins need".to_owned())
}

/// Verifies with another verifier, and checks pins.
#[derive(Clone, Debug)]
pub(crate) struct PinVerifier {
    over: Over,
    /// `None`: no authority is trusted.
    inner: Option<Arc<dyn ServerCertVerifier>>,
    pins: Vec<(ServerName<'static>, Pins)>,
    /// The root certificates whose keys are pinned.
    roots: Vec<TrustAnchor<'static>>,
    provider: Arc<CryptoProvider>,
    /// Which names count, for the error.
    service: Service,
    accepted: Accepted,
}

/// How certificates are verified without TLSA records.
#[derive(Clone, Debug)]
pub(crate) enum Usual {
    Authorities(Arc<dyn ServerCertVerifier>, Arc<CryptoProvider>),
    /// Without authorities, only pinned servers are trusted.
    Pins(Option<Arc<dyn ServerCertVerifier>>, PinVerifier),
}

impl Usual {
    /// The verifier.
    pub(super) fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        match self {
            Self::Authorities(authorities, _) => Arc::clone(authorities),
            Self::Pins(authorities, pins) => (pins.over)(pins, authorities.clone()),
        }
    }

    /// Adds the pins to a verifier, in place of the authorities.
    pub(super) fn with_pins(&self, inner: Arc<dyn ServerCertVerifier>) -> Arc<dyn ServerCertVerifier> {
        match self {
            Self::Authorities(..) => inner,
            Self::Pins(_, pins) => (pins.over)(pins, Some(inner)),
        }
    }

    /// The verification by trusted authorities; `None` if no authority is trusted.
    pub(super) fn authorities(&self) -> Option<&Arc<dyn ServerCertVerifier>> {
        match self {
            Self::Authorities(authorities, _) => Some(authorities),
            Self::Pins(authorities, _) => authorities.as_ref(),
        }
    }

    /// Whether nothing but the pins of this domain counts.
    pub(super) fn trusts_pins_alone(&self, domain: &ServerName<'_>) -> bool {
        match self {
            Self::Authorities(..) => false,
            Self::Pins(_, pins) => pins.trusts_alone(domain),
        }
    }

    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        match self {
            Self::Authorities(_, provider) => provider,
            Self::Pins(_, pins) => &pins.provider,
        }
    }
}

/// How certificates are verified with these options.
pub(super) fn usual(
    options: &TlsOptions,
    service: &Service,
    provider: &Arc<CryptoProvider>,
) -> Result<Usual, TlsSetupError> {
    let pins = options.pins.as_ref();
    let pins = pins.map(|pinned| (pinned.prepare)(&pinned.all, options, service, provider)).transpose()?;
    let authorities: Arc<dyn ServerCertVerifier> =
        match (verifier::verifier(options, service, provider), &pins) {
            (Ok(verifier), _) => verifier,
            (Err(TlsSetupError::NoRoots), Some(pins)) if pins.trusts_any_alone() => {
                return Ok(Usual::Pins(None, pins.clone()));
            }
            (Err(error), _) => return Err(error),
        };
    Ok(match pins {
        Some(pins) => Usual::Pins(Some(authorities), pins),
        None => Usual::Authorities(authorities, Arc::clone(provider)),
    })
}

/// Prepares the check of pins.
fn prepare(
    pins: &[Pins],
    options: &TlsOptions,
    service: &Service,
    provider: &Arc<CryptoProvider>,
) -> Result<PinVerifier, TlsSetupError> {
    fault(pins, provider).map_or(Ok(()), |why| Err(TlsSetupError::BadPins(why)))?;
    let beside = || pins.iter().filter(|pins| pins.role == PinRole::BesideAuthorities);
    let is_pinned = |root: &TrustAnchor<'_>| beside().any(|pins| pins.has_anchor(root, provider));
    // Those of a system that verifies by itself are not known.
    let roots = beside().next().and_then(|_| roots(&options.trust).ok());
    let mut roots = roots.map(|store| store.roots).unwrap_or_default();
    roots.retain(is_pinned);
    let named = pins.iter().map(|pins| Ok((server_name(&pins.domain)?, pins.clone())));
    let named =
        named.collect::<Result<_, Error>>().map_err(|error| TlsSetupError::Rustls(error.to_string()))?;
    Ok(PinVerifier {
        over,
        inner: None,
        pins: named,
        roots,
        provider: Arc::clone(provider),
        service: service.clone(),
        accepted: options.other_names,
    })
}

/// Checks the pins after another verifier.
fn over(pins: &PinVerifier, inner: Option<Arc<dyn ServerCertVerifier>>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(PinVerifier { inner, ..pins.clone() })
}

impl PinVerifier {
    /// "Pin Validation … compute the SPKI Fingerprints for each certificate in the Pinned Host's validated certificate
    /// chain" (RFC 7469 section 2.6). rustls does not say which of the certificates that were sent are in that chain, and
    /// the server can send any. So a pinned authority counts if the server's certificate leads to it as if it was the only
    /// root.
    fn is_pinned(
        &self,
        pins: &Pins,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<bool, Error> {
        if pins.has_certificate(end_entity, &self.provider)? {
            return Ok(true);
        }
        let intermediates: Vec<_> =
            useful(intermediates).into_iter().map(|intermediate| intermediate.certificate).collect();
        let mut authorities = RootCertStore::empty();
        authorities.extend(self.roots.iter().filter(|root| pins.has_anchor(root, &self.provider)).cloned());
        for intermediate in &intermediates {
            // One that cannot be read is not in the chain.
            if pins.has_certificate(intermediate, &self.provider).unwrap_or(false) {
                let _ = authorities.add(intermediate.clone().into_owned());
            }
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        let end_entity = ParsedCertificate::try_from(end_entity)?;
        let leads_there = || {
            verify_server_cert_signed_by_trust_anchor(
                &end_entity,
                &authorities,
                &intermediates,
                now,
                algorithms,
            )
        };
        Ok(!authorities.is_empty() && leads_there().is_ok())
    }

    /// What this verifier itself refuses.
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some((_, pins)) = self.pins.iter().find(|(name, _)| name == server_name) else {
            return if self.inner.is_some() { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) };
        };
        let is_pinned = match pins.role {
            PinRole::BesideAuthorities => self.is_pinned(pins, end_entity, intermediates, now)?,
            PinRole::InsteadOfAuthorities => pins.has_certificate(end_entity, &self.provider)?,
        };
        let key = || {
            Fingerprint::of(
                &ParsedCertificate::try_from(end_entity).ok()?.subject_public_key_info(),
                &self.provider,
            )
        };
        if is_pinned { Ok(()) } else { Err(NotPinned { role: pins.role, key: key() }.into()) }
    }

    /// Keeps what is refused, for the error.
    fn keep(
        &self,
        part: Part,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        server_name: Option<&ServerName<'_>>,
    ) {
        let chain = chain(end_entity, others).map(|certificate| certificate.clone().into_owned()).collect();
        let wanted = server_name.map(|name| Wanted {
            name: name.to_owned(),
            service: self.service.clone(),
            accepted: self.accepted,
        });
        keep(ServerCertificate::new(chain, wanted, Arc::clone(&self.provider)), part, None);
    }

    /// Whether the servers of a domain need no authority.
    fn trusts_any_alone(&self) -> bool {
        self.pins.iter().any(|(_, pins)| pins.role == PinRole::InsteadOfAuthorities)
    }

    fn trusts_alone(&self, server_name: &ServerName<'_>) -> bool {
        let is_alone = |pins: &Pins| pins.role == PinRole::InsteadOfAuthorities;
        self.pins.iter().any(|(name, pins)| name == server_name && is_alone(pins))
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(inner) = self.inner.as_ref().filter(|_| !self.trusts_alone(server_name)) {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        match self.check(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                self.keep(Part::Chain, end_entity, intermediates, Some(server_name));
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(inner) = &self.inner else {
            let algorithms = &self.provider.signature_verification_algorithms;
            let verified = verify_tls12_signature(message, cert, dss, algorithms);
            return verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None));
        };
        inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(inner) = &self.inner else {
            let algorithms = &self.provider.signature_verification_algorithms;
            let verified = verify_tls13_signature(message, cert, dss, algorithms);
            return verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None));
        };
        inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match &self.inner {
            Some(inner) => inner.supported_verify_schemes(),
            None => self.provider.signature_verification_algorithms.supported_schemes(),
        }
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.as_ref()?.root_hint_subjects()
    }
}

/// No pin of the domain matches.
#[derive(Debug)]
pub(super) struct NotPinned {
    role: PinRole,
    /// The key of the server.
    key: Option<Fingerprint>,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.role {
            PinRole::BesideAuthorities => {
                "neither the server nor an authority of its chain has a key or certificate that is pinned for this domain"
            }
            PinRole::InsteadOfAuthorities => "the server does not have a key or certificate that is pinned for this domain",
        })?;
        self.key.map_or(Ok(()), |key| write!(formatter, "; the server's public key is {key}"))
    }
}

impl error::Error for NotPinned {}

impl From<NotPinned> for Error {
    fn from(error: NotPinned) -> Self {
        CertificateError::Other(OtherError(Arc::new(error))).into()
    }
}

#[cfg(all(test, feature = "ring", not(feature = "idna")))]
mod tests {
    use super::*;

    // rule E6a
    #[test]
    fn pins_are_of_one_domain_however_its_stream_name_is_written() {
        let plain = Domain::new("xn--bcher-kva.example").unwrap();
        let named = plain.clone().with_stream_name("bücher.example").unwrap();
        let [one, other] = [[1; 32], [2; 32]].map(Fingerprint::from);
        let pins = |domain: &Domain, role, pin| Pins { domain: domain.clone(), role, list: vec![pin] };
        for [first, second] in [[&plain, &named], [&named, &plain]] {
            let mut pinned = Pinned::new();
            pinned.add(pins(first, PinRole::BesideAuthorities, one));
            pinned.add(pins(second, PinRole::BesideAuthorities, other));
            assert_eq!((pinned.all.len(), &*pinned.all[0].list), (1, &[one, other][..]));
            let provider = rustls::crypto::ring::default_provider();
            assert_eq!(fault(&pinned.all, &provider), None);
            pinned.add(pins(second, PinRole::InsteadOfAuthorities, other));
            let fault = fault(&pinned.all, &provider).unwrap();
            assert!(fault.starts_with("both require_pins and trust_pins_alone are given"), "{fault}");
        }
    }
}
