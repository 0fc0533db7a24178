//! Certificate watch: the caller's check, and what a caller stores to notice changes. No IO.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::server_certificate::ServerCertificate;
use crate::domain::Domain;

/// A function of the caller that sees each verified certificate, and may refuse it with a reason.
#[derive(Clone)]
pub(crate) struct CertificateCheck(Arc<Check>);

type Check = dyn Fn(&Domain, &ServerCertificate) -> Result<(), String> + Send + Sync;

impl CertificateCheck {
    pub(crate) fn new(
        check: impl Fn(&Domain, &ServerCertificate) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(check))
    }

    pub(super) fn call(&self, domain: &Domain, certificate: &ServerCertificate) -> Result<(), String> {
        (self.0)(domain, certificate)
    }
}

impl fmt::Debug for CertificateCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CertificateCheck")
    }
}

/// What a program stores of the certificates of a domain, to notice when they change.
///
/// It holds hashes of the latest certificates, with their keys and issuers: several, since a domain may have several
/// servers, and a server may have a certificate for each kind of key. Keep one for each domain, as text: `Display` and
/// `FromStr` write and read one line of ASCII.
///
/// An issuer is an organisation in a country, since authorities change their intermediate certificates often. If the
/// name of the issuer has no organisation, it is the whole name. A self-signed certificate is its own issuer: with
/// another key it has another one.
///
/// ```no_run
/// use xmpp_connect::{CertificateChange, CertificateRecord, Connector};
///
/// // What was stored, or `CertificateRecord::new()`.
/// let mut record: CertificateRecord = std::fs::read_to_string("example.org.certificates")?.trim().parse()?;
/// let known = record.clone();
/// let connector = Connector::builder()
///     .check_certificate(move |_domain, certificate| match known.compare(certificate) {
///         CertificateChange::Issuer => Err(format!("issued by {}, not as before", certificate.issuer())),
///         _ => Ok(()),
///     })
///     .build()?;
/// let connection = connector.connect("example.org")?;
/// if let Some(certificate) = connection.certificate() {
///     record.add(certificate);
///     std::fs::write("example.org.certificates", record.to_string())?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRecord(Vec<Seen>);

/// What is kept of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    certificate: Fingerprint,
    key: Fingerprint,
    issuer: Fingerprint,
    /// The end of its validity, in seconds since 1970.
    end: i64,
}

/// How a certificate differs from those of a [`CertificateRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateChange {
    /// The record is empty.
    First,
    /// It is in the record.
    Same,
    /// It is new, and its key is in the record: it was renewed with the same key.
    Certificate,
    /// Its key is new, and its issuer is in the record, as with most renewals.
    Key,
    /// Its issuer is not in the record. The operator has gone to another authority, or somebody else has obtained a
    /// certificate for the domain.
    Issuer,
}

/// `new key, same issuer`.
impl fmt::Display for CertificateChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::First => "first certificate",
            Self::Same => "same certificate",
            Self::Certificate => "new certificate, same key",
            Self::Key => "new key, same issuer",
            Self::Issuer => "other issuer",
        })
    }
}

/// How many certificates a record holds. With more, the one that was added longest ago is dropped.
const MAX_SEEN: usize = 16;
/// The first word of a record as text: its version.
const VERSION: &str = "v1";

impl CertificateRecord {
    /// Creates an empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how a certificate differs from the one in the record that is most like it. One that cannot be read has
    /// another issuer.
    #[must_use]
    pub fn compare(&self, certificate: &ServerCertificate) -> CertificateChange {
        let Some(new) = Seen::of(certificate) else { return CertificateChange::Issuer };
        let any = |is_same: fn(&Seen, &Seen) -> bool| self.0.iter().any(|seen| is_same(seen, &new));
        if self.0.is_empty() {
            CertificateChange::First
        } else if any(|seen, new| seen.certificate == new.certificate) {
            CertificateChange::Same
        } else if any(|seen, new| seen.key == new.key) {
            CertificateChange::Certificate
        } else if any(|seen, new| seen.issuer == new.issuer) {
            CertificateChange::Key
        } else {
            CertificateChange::Issuer
        }
    }

    /// Adds a certificate, which replaces one with the same key. Those that had expired before it became valid are
    /// removed, and at most 16 are kept.
    ///
    /// To forget all others, for example because the operator confirms that they are no longer used, add it to a new
    /// record.
    pub fn add(&mut self, certificate: &ServerCertificate) {
        let Some(new) = Seen::of(certificate) else { return };
        let begin = certificate.begin().unwrap_or(i64::MIN);
        self.0.retain(|seen| seen.key != new.key && seen.end >= begin);
        self.0.insert(0, new);
        self.0.truncate(MAX_SEEN);
    }
}

impl Seen {
    fn of(certificate: &ServerCertificate) -> Option<Self> {
        let (whole, key) = (certificate.fingerprint()?, certificate.key_fingerprint()?);
        let issuer = if certificate.is_self_issued() { key } else { certificate.issuer_fingerprint()? };
        Some(Self { certificate: whole, key, issuer, end: certificate.end()? })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        let mut hash = || fields.next()?.parse().ok();
        let (certificate, key, issuer) = (hash()?, hash()?, hash()?);
        let end = fields.next()?.parse().ok()?;
        fields.next().is_none().then_some(Self { certificate, key, issuer, end })
    }
}

/// One line of ASCII: the version, and the certificates.
impl fmt::Display for CertificateRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(VERSION)?;
        self.0.iter().try_for_each(|Seen { certificate, key, issuer, end }| {
            write!(formatter, " {},{},{},{end}", certificate.digits(), key.digits(), issuer.digits())
        })
    }
}

impl FromStr for CertificateRecord {
    type Err = InvalidRecord;

    fn from_str(text: &str) -> Result<Self, InvalidRecord> {
        let mut words = text.split(' ');
        if words.next() != Some(VERSION) {
            return Err(InvalidRecord(()));
        }
        let mut seen = Vec::new();
        for word in words {
            let entry = Seen::parse(word).ok_or(InvalidRecord(()))?;
            // A later version may keep more.
            if seen.len() < MAX_SEEN {
                seen.push(entry);
            }
        }
        Ok(Self(seen))
    }
}

/// A text that is not a [`CertificateRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord(());

impl fmt::Display for InvalidRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the stored record of certificates is damaged, or of a later version")
    }
}

impl Error for InvalidRecord {}

#[cfg(test)]
mod tests;
