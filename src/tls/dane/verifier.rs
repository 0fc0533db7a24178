//! The certificate verifier of a server with TLSA records (RFC 7671, RFC 7673 section 4). It trusts what they name.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::{DANE_EE, DANE_TA, PKIX_EE, PKIX_TA, TlsaRecord, anchors, of_key, own};
use crate::domain::Host;
use crate::limits::MAX_SESSION_SERVERS;
use crate::tls::sessions::Endpoint;
use crate::tls::verifier::Verifier;

/// How certificates are verified without TLSA records.
#[derive(Clone, Debug)]
pub(crate) struct Usual {
    pub(in crate::tls) verifier: Arc<dyn ServerCertVerifier>,
    pub(in crate::tls) roots: Arc<RootCertStore>,
    pub(in crate::tls) provider: Arc<CryptoProvider>,
}

/// The verifiers of the servers with TLSA records. They are kept, since rustls resumes no session with another verifier
/// than it had at first: a session never crosses a change of the records.
#[derive(Debug)]
pub(in crate::tls) struct Daned {
    usual: Usual,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    records: Vec<TlsaRecord>,
    verifier: Arc<Verifier>,
}

impl Daned {
    pub(in crate::tls) fn new(usual: Usual) -> Self {
        Self { usual, kept: Mutex::default() }
    }

    /// The verifier for this server with these records, which becomes the most recently used.
    pub(in crate::tls) fn verifier(&self, endpoint: &Endpoint, records: &[TlsaRecord]) -> Arc<Verifier> {
        // The list stays consistent even if a thread panics while it holds the lock.
        let mut list = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |kept: &Kept| kept.endpoint == *endpoint && kept.records == records;
        let known = list.iter().position(is_same).map(|index| list.remove(index));
        let kept = known.unwrap_or_else(|| {
            let (endpoint, records) = (endpoint.clone(), records.to_vec());
            let verifier = DaneVerifier::new(self.usual.clone(), &endpoint, records.clone());
            let provider = Arc::clone(&self.usual.provider);
            let verifier = Arc::new(Verifier::new(Arc::new(verifier), provider, None, None));
            Kept { endpoint, records, verifier }
        });
        let verifier = Arc::clone(&kept.verifier);
        if list.len() >= MAX_SESSION_SERVERS {
            list.remove(0);
        }
        list.push(kept);
        verifier
    }
}

/// Verifies the certificates of one server by its TLSA records, all of which are usable.
#[derive(Debug)]
pub(super) struct DaneVerifier {
    usual: Usual,
    records: Vec<TlsaRecord>,
    /// The owner name of the records.
    owner: String,
    /// The name of the server, which its certificate may have instead of the domain (RFC 7673 section 4.1): the domain
    /// names it in its signed zone.
    target: Option<ServerName<'static>>,
}

impl DaneVerifier {
    pub(super) fn new(usual: Usual, endpoint: &Endpoint, records: Vec<TlsaRecord>) -> Self {
        let target = match &endpoint.host {
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
            Host::Address(_) => None,
        };
        Self { usual, records, owner: owner(&endpoint.host, endpoint.port), target }
    }

    /// Verifies that the chain leads to a trust anchor that the records of this usage name. `None` if it leads to none.
    fn verify_chain(
        &self,
        usage: u8,
        parsed: &ParsedCertificate<'_>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<Result<(), Error>> {
        let Usual { roots, provider, .. } = &self.usual;
        let chain: Vec<&CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).collect();
        let anchors = anchors(&self.records, usage, &chain, roots, provider);
        let algorithms = provider.signature_verification_algorithms.all;
        if anchors.is_empty() {
            return None;
        }
        match verify_server_cert_signed_by_trust_anchor(parsed, &anchors, intermediates, now, algorithms) {
            // A bare key has the name of every issuer, so that a chain to another key seems to be forged.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => None,
            verified => Some(verified),
        }
    }

    /// Verifies that the certificate is for `domain` or for the server.
    fn verify_name(&self, parsed: &ParsedCertificate<'_>, domain: &ServerName<'_>) -> Result<(), Error> {
        verify_server_name(parsed, domain).or_else(|error| match &self.target {
            Some(target) => verify_server_name(parsed, target).map_err(|_| error),
            None => Err(error),
        })
    }

    fn no_match(&self, end_entity: &CertificateDer<'_>) -> Error {
        let error = NoMatch {
            owner: self.owner.clone(),
            records: self.records.iter().map(ToString::to_string).collect(),
            right: of_key(end_entity, &self.usual.provider).map(|record| record.to_string()),
        };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let presented = own(end_entity, &self.usual.provider)?;
        let is_named = |usage: u8| {
            self.records.iter().any(|record| record.usage == usage && presented.is_named_by(record))
        };
        // "Authentication via certificate usage DANE-EE(3) TLSA records involves simply checking that the server's leaf
        // certificate matches the TLSA record. In particular, the binding of the server public key to its name is based
        // entirely on the TLSA record association" (RFC 7671 section 5.1): name and dates do not count.
        if is_named(DANE_EE) {
            return Ok(ServerCertVerified::assertion());
        }
        let verify_chain = |usage| self.verify_chain(usage, &parsed, end_entity, intermediates, now);
        let by_authority = verify_chain(DANE_TA)
            .map(|verified| verified.and_then(|()| self.verify_name(&parsed, server_name)));
        let refusal = match by_authority {
            Some(Ok(())) => return Ok(ServerCertVerified::assertion()),
            Some(Err(error)) => Some(error),
            None => None,
        };
        // Usages 0 and 1 narrow down what is trusted anyway.
        let usual = || {
            let Usual { verifier, .. } = &self.usual;
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        if is_named(PKIX_EE) {
            return usual();
        }
        if let Some(verified) = verify_chain(PKIX_TA) {
            return verified.and_then(|()| usual());
        }
        Err(refusal.unwrap_or_else(|| self.no_match(end_entity)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.verifier.supported_verify_schemes()
    }
}

/// The name at which a server's TLSA records are (RFC 6698 section 3).
pub(crate) fn owner(host: &Host, port: u16) -> String {
    format!("_{port}._tcp.{host}")
}

/// How many records the error names.
const SHOWN_RECORDS: usize = 3;

/// No TLSA record names the certificate, nor an authority that has issued it.
#[derive(Debug)]
pub(in crate::tls) struct NoMatch {
    owner: String,
    records: Vec<String>,
    /// The record that would name it.
    right: Option<String>,
}

impl fmt::Display for NoMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, records, right } = self;
        let more = if records.len() > SHOWN_RECORDS { ", …" } else { "" };
        let shown: Vec<&str> = records.iter().take(SHOWN_RECORDS).map(String::as_str).collect();
        let which = if records.len() == 1 { "the TLSA record" } else { "any TLSA record" };
        write!(formatter, "the certificate does not match {which} of {owner} ({}{more})", shown.join(", "))?;
        formatter.write_str(
            ", so that it is not the server's, or the records were not changed together with the certificate",
        )?;
        match right {
            Some(right) => write!(formatter, "; the record for its key is {right}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoMatch {}
