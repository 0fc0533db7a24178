//! The certificate verifier of a server with TLSA records (RFC 7671, RFC 7673 section 4). It trusts what they name.

use std::fmt;
use std::slice::from_ref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::{DANE_EE, DANE_TA, Dane, PKIX_EE, PKIX_TA, TlsaRecord, anchors, of_key, own};
use crate::domain::Host;
use crate::limits::MAX_SESSION_SERVERS;
use crate::service::Service;
use crate::tls::TlsSetupError;
use crate::tls::certificate::Certificate;
use crate::tls::extensions::{KeyUsage, allows};
use crate::tls::identity::Wanted;
use crate::tls::other_names::Accepted;
use crate::tls::pins::Usual;
use crate::tls::server_certificate::ServerCertificate;
use crate::tls::sessions::Endpoint;
use crate::tls::verifier::{MayNotSign, Part, chain, keep, useful};

/// The verifiers of the servers with TLSA records. They are kept, since rustls resumes no session with another verifier
/// than it had at first: a session never crosses a change of the records.
#[derive(Debug)]
pub(in crate::tls) struct Daned {
    dane: Dane,
    basis: Basis,
    kept: Mutex<Vec<Kept>>,
}

/// What all of these verifiers have in common.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) usual: Usual,
    /// The trusted roots.
    pub(super) roots: Arc<RootCertStore>,
    pub(super) service: Service,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    records: Vec<TlsaRecord>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Daned {
    pub(in crate::tls) fn new(
        dane: Dane,
        usual: Usual,
        roots: Result<RootCertStore, TlsSetupError>,
        service: &Service,
    ) -> Self {
        // Without roots, only pins are trusted otherwise.
        let roots = Arc::new(roots.unwrap_or_else(|_| RootCertStore::empty()));
        Self { dane, basis: Basis { usual, roots, service: service.clone() }, kept: Mutex::default() }
    }

    /// The verifier for this server with these records, which becomes the most recently used.
    pub(in crate::tls) fn verifier(
        &self,
        endpoint: &Endpoint,
        records: &[TlsaRecord],
    ) -> Arc<dyn ServerCertVerifier> {
        (self.dane.verifier)(self, endpoint, records)
    }

    pub(super) fn kept_verifier(
        &self,
        endpoint: &Endpoint,
        records: &[TlsaRecord],
    ) -> Arc<dyn ServerCertVerifier> {
        // The list stays consistent even if a thread panics while it holds the lock.
        let mut list = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |kept: &Kept| kept.endpoint == *endpoint && kept.records == records;
        let known = list.iter().position(is_same).map(|index| list.remove(index));
        let kept = known.unwrap_or_else(|| {
            let (endpoint, records) = (endpoint.clone(), records.to_vec());
            let verifier = DaneVerifier::new(self.basis.clone(), &endpoint, records.clone());
            Kept { endpoint, records, verifier: self.basis.usual.with_pins(Arc::new(verifier)) }
        });
        let verifier = Arc::clone(&kept.verifier);
        if list.len() >= MAX_SESSION_SERVERS {
            list.remove(0);
        }
        list.push(kept);
        verifier
    }

    /// The record by which the certificate of a complete handshake was verified; `None` if it was verified without.
    pub(in crate::tls) fn matched(
        &self,
        endpoint: &Endpoint,
        records: &[TlsaRecord],
        shown: Shown<'_, '_>,
    ) -> Option<TlsaRecord> {
        if records.is_empty() || self.basis.usual.trusts_pins_alone(shown.domain) {
            return None;
        }
        (self.dane.matched)(self, endpoint, records, shown)
    }

    pub(super) fn matched_record(
        &self,
        endpoint: &Endpoint,
        records: &[TlsaRecord],
        shown: Shown<'_, '_>,
    ) -> Option<TlsaRecord> {
        DaneVerifier::new(self.basis.clone(), endpoint, records.to_vec()).matched(shown)
    }
}

/// What a server has shown in a complete handshake.
#[derive(Clone, Copy, Debug)]
pub(in crate::tls) struct Shown<'a, 'b> {
    /// The certificates, its own first.
    pub(in crate::tls) chain: &'a [CertificateDer<'b>],
    pub(in crate::tls) domain: &'a ServerName<'a>,
    pub(in crate::tls) now: UnixTime,
}

/// Verifies the certificates of one server by its TLSA records, all of which are usable.
#[derive(Debug)]
pub(super) struct DaneVerifier {
    basis: Basis,
    records: Vec<TlsaRecord>,
    /// The owner name of the records.
    owner: String,
    /// The name of the server, which its certificate may have instead of the domain (RFC 7673 section 4.1): the domain
    /// names it in its signed zone.
    target: Option<ServerName<'static>>,
}

/// Why a certificate is refused.
enum Refusal {
    /// The verifier of authorities has refused it, and keeps it for the error.
    Usual(Error),
    /// The records have refused it.
    ByRecords(Error),
}

/// A chain, as it is sent.
#[derive(Clone, Copy)]
struct Sent<'a, 'b> {
    end_entity: &'a CertificateDer<'b>,
    others: &'a [CertificateDer<'b>],
    now: UnixTime,
}

impl DaneVerifier {
    pub(super) fn new(basis: Basis, endpoint: &Endpoint, records: Vec<TlsaRecord>) -> Self {
        let target = match &endpoint.host {
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
            Host::Address(_) => None,
        };
        Self { basis, records, owner: owner(&endpoint.host, endpoint.port), target }
    }

    fn provider(&self) -> &Arc<CryptoProvider> {
        self.basis.usual.provider()
    }

    /// `usual` verifies as without records. Returns the usage of the records that have decided.
    fn verify(
        &self,
        sent: Sent<'_, '_>,
        domain: &ServerName<'_>,
        usual: impl Fn() -> Result<(), Error>,
    ) -> Result<u8, Refusal> {
        let presented = own(sent.end_entity, self.provider()).map_err(Refusal::ByRecords)?;
        let is_named = |usage: u8| {
            self.records.iter().any(|record| record.usage == usage && presented.is_named_by(record))
        };
        // "Authentication via certificate usage DANE-EE(3) TLSA records involves simply checking that the server's leaf
        // certificate matches the TLSA record. In particular, the binding of the server public key to its name is based
        // entirely on the TLSA record association" (RFC 7671 section 5.1): name and dates do not count.
        if is_named(DANE_EE) {
            return Ok(DANE_EE);
        }
        let refusal = match self.verify_chain(&self.records, DANE_TA, sent) {
            Some(verified) => match verified.and_then(|()| self.verify_certificate(sent, domain)) {
                Ok(()) => return Ok(DANE_TA),
                Err(error) => Some(error),
            },
            None => None,
        };
        // Usages 0 and 1 narrow down what is trusted anyway.
        if is_named(PKIX_EE) {
            return usual().map(|()| PKIX_EE).map_err(Refusal::Usual);
        }
        match self.verify_chain(&self.records, PKIX_TA, sent) {
            Some(Ok(())) => usual().map(|()| PKIX_TA).map_err(Refusal::Usual),
            Some(Err(error)) => Err(Refusal::ByRecords(error)),
            None => Err(Refusal::ByRecords(refusal.unwrap_or_else(|| self.no_match(sent.end_entity)))),
        }
    }

    /// The record by which a chain was accepted. It is found by verifying once more: rustls does not call the verifier when
    /// it resumes a session, and the certificates alone do not say which of those that they match has decided.
    pub(super) fn matched(&self, shown: Shown<'_, '_>) -> Option<TlsaRecord> {
        let (end_entity, others) = shown.chain.split_first()?;
        // Since then, a certificate may have expired whose session is resumed.
        let now = valid_until(end_entity).map_or(shown.now, |end| shown.now.min(end));
        let sent = Sent { end_entity, others, now };
        let usage = self.verify(sent, shown.domain, || Ok(())).ok()?;
        let presented = own(end_entity, self.provider()).ok()?;
        let has_decided = |record: &&TlsaRecord| {
            record.usage == usage
                && if record.is_for_own() {
                    presented.is_named_by(record)
                } else {
                    matches!(self.verify_chain(from_ref(*record), usage, sent), Some(Ok(())))
                }
        };
        self.records.iter().find(has_decided).cloned()
    }

    /// Verifies that the chain leads to a trust anchor that those of `records` with this usage name. `None` if it leads to
    /// none.
    fn verify_chain(
        &self,
        records: &[TlsaRecord],
        usage: u8,
        sent: Sent<'_, '_>,
    ) -> Option<Result<(), Error>> {
        if records.iter().all(|record| record.usage != usage) {
            return None;
        }
        let others: Vec<_> = useful(sent.others).into_iter().map(|other| other.certificate).collect();
        let chain: Vec<&CertificateDer<'_>> = std::iter::once(sent.end_entity).chain(&others).collect();
        let anchors = anchors(records, usage, &chain, &self.basis.roots, self.provider());
        if anchors.is_empty() {
            return None;
        }
        let algorithms = self.provider().signature_verification_algorithms.all;
        let verified = ParsedCertificate::try_from(sent.end_entity).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(&parsed, &anchors, &others, sent.now, algorithms)
        });
        match verified {
            // A bare key has the name of every issuer, so that a chain to another key seems to be forged.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => None,
            verified => Some(verified),
        }
    }

    /// Verifies that the certificate is for `domain` or for the server, and that its key may sign.
    fn verify_certificate(&self, sent: Sent<'_, '_>, domain: &ServerName<'_>) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(sent.end_entity)?;
        verify_server_name(&parsed, domain).or_else(|error| match &self.target {
            Some(target) => verify_server_name(&parsed, target).map_err(|_| error),
            None => Err(error),
        })?;
        if allows(sent.end_entity, KeyUsage::DigitalSignature) {
            Ok(())
        } else {
            Err(CertificateError::Other(OtherError(Arc::new(MayNotSign))).into())
        }
    }

    fn no_match(&self, end_entity: &CertificateDer<'_>) -> Error {
        let error = NoMatch {
            owner: self.owner.clone(),
            records: self.records.iter().map(ToString::to_string).collect(),
            right: of_key(end_entity, self.provider()).map(|record| record.to_string()),
        };
        CertificateError::Other(OtherError(Arc::new(error))).into()
    }

    /// Keeps what is refused, for the error.
    fn keep(
        &self,
        part: Part,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
    ) {
        let chain = chain(end_entity, others).map(|certificate| certificate.clone().into_owned()).collect();
        let wanted = name.map(|name| Wanted {
            name: name.to_owned(),
            service: self.basis.service.clone(),
            accepted: Accepted::default(),
        });
        keep(ServerCertificate::new(chain, wanted, Arc::clone(self.provider())), part, None);
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
        let usual = || match self.basis.usual.authorities() {
            Some(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map(|_| ()),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match self.verify(Sent { end_entity, others: intermediates, now }, server_name, usual) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(Refusal::Usual(error)) => Err(error),
            Err(Refusal::ByRecords(error)) => {
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
        let algorithms = &self.provider().signature_verification_algorithms;
        let verified = verify_tls12_signature(message, cert, dss, algorithms);
        verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider().signature_verification_algorithms;
        let verified = verify_tls13_signature(message, cert, dss, algorithms);
        verified.inspect_err(|_| self.keep(Part::Signature, cert, &[], None))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The last second in which a certificate is valid.
fn valid_until(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let seconds = Certificate::read(certificate)?.not_after?.seconds();
    Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).ok()?)))
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
