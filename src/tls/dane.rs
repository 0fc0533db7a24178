//! DANE: which certificates TLSA records name (RFC 6698, with RFC 7671). No IO.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::HashAlgorithm;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::server::ParsedCertificate;
use rustls::{Error, RootCertStore};

use super::certificate::Fields;
use super::channel_binding::{KNOWS_SHA_512, hash};
use super::der::{SEQUENCE, Values, encode};
use super::sessions::Endpoint;
use crate::limits::MAX_TLSA_RECORDS;

mod verifier;

pub(crate) use verifier::owner;
pub(super) use verifier::{Daned, NoMatch, Shown};

/// The data of a TLSA record (RFC 6698 section 2.1): a certificate or a public key that a server may present.
///
/// `Display` shows it as in a zone file: `3 1 1 8bd1…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "RFC 6698 fixes these four fields")]
pub struct TlsaRecord {
    /// What the certificate is for: 0 (PKIX-TA) and 2 (DANE-TA) name an authority, 1 (PKIX-EE) and 3 (DANE-EE) the
    /// server's own certificate; 0 and 1 in addition to the usual verification, 2 and 3 in place of it.
    pub usage: u8,
    /// What is compared: 0 the certificate, 1 its public key (`SubjectPublicKeyInfo`).
    pub selector: u8,
    /// How it is compared: 0 as it is, 1 by its SHA-256, 2 by its SHA-512.
    pub matching: u8,
    /// The certificate, the public key, or the hash.
    pub data: Vec<u8>,
}

/// DANE as an option. Only programs that name [`DANE`] link its code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dane {
    verifier: fn(&Daned, &Endpoint, &[TlsaRecord]) -> Arc<dyn ServerCertVerifier>,
    matched: Matched,
}

/// [`Daned::matched_record`].
type Matched = fn(&Daned, &Endpoint, &[TlsaRecord], Shown<'_, '_>) -> Option<TlsaRecord>;

/// TLSA records decide.
pub(crate) const DANE: Dane = Dane { verifier: Daned::kept_verifier, matched: Daned::matched_record };

pub(super) const PKIX_TA: u8 = 0;
pub(super) const PKIX_EE: u8 = 1;
pub(super) const DANE_TA: u8 = 2;
pub(super) const DANE_EE: u8 = 3;

const CERTIFICATE: u8 = 0;
const PUBLIC_KEY: u8 = 1;

const FULL: u8 = 0;
const SHA_256: u8 = 1;
const SHA_512: u8 = 2;

/// How many octets of the data a text shows: a whole hash, but not a whole certificate.
const SHOWN_OCTETS: usize = 64;

impl TlsaRecord {
    /// Returns the place, in the chain that a server has sent (its own certificate first), of the certificate that this
    /// record names; `None` if it names none of them. It verifies nothing: neither signatures nor names nor dates.
    ///
    /// A record of usage 1 or 3 names only the first certificate, one of usage 0 or 2 only the others.
    ///
    /// To compute hashes, it needs a crypto provider: the process default, or that of feature `ring` or `aws-lc-rs`.
    #[must_use]
    pub fn position_in(&self, chain: &[CertificateDer<'_>]) -> Option<usize> {
        self.position(chain, &*super::choose_provider(None)?)
    }

    fn position(&self, chain: &[CertificateDer<'_>], provider: &CryptoProvider) -> Option<usize> {
        if !self.is_usable() {
            return None;
        }
        chain.iter().enumerate().position(|(place, certificate)| {
            let is_own = place == 0;
            if self.is_for_own() != is_own {
                return false;
            }
            let presented =
                if is_own { own(certificate, provider).ok() } else { authority(certificate, provider) };
            presented.is_some_and(|presented| presented.is_named_by(self))
        })
    }

    /// Returns the record of usage 3, selector 1 and matching type 1 for a server's own certificate; `None` if it cannot
    /// be read. It is the one to publish: it stays the same as long as the server keeps its key (RFC 7671 section 5.1).
    #[must_use]
    pub fn of_key(certificate: &CertificateDer<'_>) -> Option<Self> {
        of_key(certificate, &*super::choose_provider(None)?)
    }

    /// Whether it is about the server's own certificate, and not one of an authority.
    fn is_for_own(&self) -> bool {
        matches!(self.usage, PKIX_EE | DANE_EE)
    }

    /// Returns whether all its numbers are known, and its data can be what they say; otherwise it does not count (RFC 6698
    /// section 4.1).
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let is_known = self.usage <= DANE_EE && self.selector <= PUBLIC_KEY;
        let has_form = match self.matching {
            FULL => Values(&self.data).next_of(SEQUENCE).is_some(),
            SHA_256 => self.data.len() == 32,
            SHA_512 => self.data.len() == 64 && KNOWS_SHA_512,
            _ => false,
        };
        is_known && has_form
    }
}

/// `3 1 1 8bd1…`.
impl fmt::Display for TlsaRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().take(SHOWN_OCTETS).try_for_each(|octet| write!(formatter, "{octet:02x}"))?;
        if self.data.len() > SHOWN_OCTETS { formatter.write_str("…") } else { Ok(()) }
    }
}

/// The records that can be used, each once. Of several hashes for the same usage and selector, only those of the strongest
/// function count (RFC 7671 section 9); what stands in full always counts. Of too many, those of the usages that are tried
/// last are dropped first.
pub(crate) fn usable<'a>(records: impl IntoIterator<Item = &'a TlsaRecord>) -> Vec<TlsaRecord> {
    let mut usable: Vec<TlsaRecord> =
        records.into_iter().filter(|record| record.is_usable()).cloned().collect();
    usable.sort();
    usable.dedup();
    let strong = |record: &TlsaRecord| record.matching == SHA_512;
    let purposes: Vec<(u8, u8)> =
        usable.iter().filter(|record| strong(record)).map(|record| (record.usage, record.selector)).collect();
    usable
        .retain(|record| record.matching != SHA_256 || !purposes.contains(&(record.usage, record.selector)));
    // They are sorted by usage, and usage 3 is tried first.
    usable.drain(..usable.len().saturating_sub(MAX_TLSA_RECORDS));
    usable
}

/// A certificate that a server has sent, in all the forms in which a record can name it.
struct Presented {
    /// Selector, matching type and data.
    forms: Vec<(u8, u8, Vec<u8>)>,
}

impl Presented {
    fn new(certificate: Option<&[u8]>, public_key: &[u8], provider: &CryptoProvider) -> Self {
        let mut forms = Vec::new();
        let selected = [(CERTIFICATE, certificate), (PUBLIC_KEY, Some(public_key))];
        for (selector, octets) in
            selected.into_iter().filter_map(|(selector, octets)| Some((selector, octets?)))
        {
            forms.push((selector, FULL, octets.to_vec()));
            for (matching, algorithm) in [(SHA_256, HashAlgorithm::SHA256), (SHA_512, HashAlgorithm::SHA512)]
            {
                forms.extend(hash(algorithm, octets, provider).map(|hash| (selector, matching, hash)));
            }
        }
        Self { forms }
    }

    fn is_named_by(&self, record: &TlsaRecord) -> bool {
        self.forms.iter().any(|(selector, matching, data)| {
            (*selector, *matching, data) == (record.selector, record.matching, &record.data)
        })
    }
}

/// The server's own certificate. Its public key is read as it is for the check of the server's signature, so that no
/// certificate has one key for the comparison and another for the signature.
fn own(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Result<Presented, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Presented::new(Some(certificate), &parsed.subject_public_key_info(), provider))
}

fn of_key(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<TlsaRecord> {
    let own = own(certificate, provider).ok()?;
    let is_it =
        |(selector, matching, _): &&(u8, u8, Vec<u8>)| (*selector, *matching) == (PUBLIC_KEY, SHA_256);
    let (_, _, data) = own.forms.iter().find(is_it)?;
    Some(TlsaRecord { usage: DANE_EE, selector: PUBLIC_KEY, matching: SHA_256, data: data.clone() })
}

/// The certificate of an authority.
fn authority(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<Presented> {
    Some(Presented::new(Some(certificate), &public_key(&anchor(certificate)?), provider))
}

/// The trust anchor that a certificate is, as webpki reads it.
fn anchor(certificate: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add(certificate.clone().into_owned()).ok()?;
    store.roots.pop()
}

/// The `SubjectPublicKeyInfo` of a trust anchor, which has only the content of that sequence.
fn public_key(anchor: &TrustAnchor<'_>) -> Vec<u8> {
    encode(SEQUENCE, &anchor.subject_public_key_info)
}

/// The trust anchors that the records of this usage name: certificates that the server has sent, those of `roots`, and
/// those that stand in full in a record. A bare public key takes the names of the issuers in the chain.
fn anchors(
    records: &[TlsaRecord],
    usage: u8,
    chain: &[&CertificateDer<'_>],
    roots: &RootCertStore,
    provider: &CryptoProvider,
) -> RootCertStore {
    let records: Vec<&TlsaRecord> = records.iter().filter(|record| record.usage == usage).collect();
    let mut found = RootCertStore::empty();
    if records.is_empty() {
        return found;
    }
    let is_named = |presented: &Presented| records.iter().any(|record| presented.is_named_by(record));
    for certificate in chain.iter().skip(1) {
        if authority(certificate, provider).is_some_and(|presented| is_named(&presented)) {
            found.roots.extend(anchor(certificate));
        }
    }
    let of_roots = roots.roots.iter();
    found.roots.extend(
        of_roots.filter(|root| is_named(&Presented::new(None, &public_key(root), provider))).cloned(),
    );
    for record in records.iter().filter(|record| record.matching == FULL) {
        match record.selector {
            CERTIFICATE => found.roots.extend(anchor(&CertificateDer::from(&*record.data))),
            _ => found.roots.extend(chain.iter().filter_map(|certificate| {
                Some(TrustAnchor {
                    subject: Fields::read(certificate)?.issuer.to_vec().into(),
                    subject_public_key_info: Values(&record.data).next_of(SEQUENCE)?.to_vec().into(),
                    name_constraints: None,
                })
            })),
        }
    }
    found
}

#[cfg(test)]
mod tests;
