//! The certificate of a server as facts for the caller (rule E8b). No IO.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::ClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::certificate::{Certificate, Fields};
use super::dane::TlsaRecord;
use super::date::Date;
use super::fingerprint::Fingerprint;
use super::identity::{self, MatchedName, Wanted};

/// A certificate that a server has shown, with the chain that it has sent.
///
/// The certificate of a [`Connection`](crate::Connection) is verified. One in a report whose attempt has failed may be
/// anybody's: it says only what it says. What cannot be read is missing, or empty.
///
/// `Display` is one line: `for example.org, issued by "R11 (Let's Encrypt)", valid from 2026-09-01 to 2026-11-30`.
#[derive(Clone)]
pub struct ServerCertificate(Arc<Shown>);

struct Shown {
    chain: Vec<CertificateDer<'static>>,
    /// The domain; `None` if it is not known.
    wanted: Option<Wanted>,
    /// The record by which it was verified.
    tlsa: Option<TlsaRecord>,
    provider: Arc<CryptoProvider>,
    /// Read when something of it is asked for.
    read: OnceLock<Option<Certificate>>,
}

impl ServerCertificate {
    /// `chain` is the certificates of the server, its own first.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        wanted: Option<Wanted>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self(Arc::new(Shown { chain, wanted, tlsa: None, provider, read: OnceLock::new() }))
    }

    /// The certificate of a complete handshake, or of the one that it resumes; `None` if the server has shown none,
    /// which only a verifier of the caller accepts. `tlsa` is the record by which it was verified.
    pub(super) fn of(
        client: &ClientConnection,
        wanted: Wanted,
        tlsa: Option<TlsaRecord>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Self> {
        let chain = client.peer_certificates().filter(|chain| !chain.is_empty())?.to_vec();
        let (wanted, provider) = (Some(wanted), Arc::clone(provider));
        Some(Self(Arc::new(Shown { chain, wanted, tlsa, provider, read: OnceLock::new() })))
    }

    fn read(&self) -> Option<&Certificate> {
        self.0.read.get_or_init(|| Certificate::read(self.0.chain.first()?)).as_ref()
    }

    /// The hash of what identifies its issuer.
    pub(super) fn issuer_fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of(&self.read()?.issuer.authority(), &self.0.provider)
    }

    /// The start of its validity, in seconds since 1970.
    pub(super) fn begin(&self) -> Option<i64> {
        self.read()?.not_before.map(Date::seconds)
    }

    /// The end of its validity, in seconds since 1970.
    pub(super) fn end(&self) -> Option<i64> {
        self.read()?.not_after.map(Date::seconds)
    }

    /// Returns the certificates that the server has sent (DER), its own first. Of a chain that was refused, there are
    /// at most 8.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// Returns the name of the subject, for people: its common name and organisation, such as
    /// `xmpp.example.org (Example)`. It plays no role in the verification.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.read().map_or("", |read| read.subject.as_str())
    }

    /// Returns the name of the issuer, for people: its common name and organisation, such as `R11 (Let's Encrypt)`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.read().map_or("", |read| read.issuer.as_str())
    }

    /// Returns the DNS names and IP addresses that it is valid for: the first 100. They may have a wildcard, and
    /// internationalised names are in A-label form.
    #[must_use]
    pub fn names(&self) -> &[String] {
        self.read().map_or(&[], |read| &read.names)
    }

    /// Returns the name that is the domain's, and by which rule it is; `None` if there is none, which only a verifier
    /// of the caller, a pin or a TLSA record accepts.
    #[must_use]
    pub fn matched_name(&self) -> Option<MatchedName> {
        identity::matched(self.0.wanted.as_ref()?, self.0.chain.first()?)
    }

    /// Returns the TLSA record that names it or its authority; `None` if it was verified without TLSA records
    /// ([`ConnectorBuilder::dane`](crate::ConnectorBuilder::dane)).
    #[must_use]
    pub fn matched_tlsa(&self) -> Option<&TlsaRecord> {
        self.0.tlsa.as_ref()
    }

    /// Returns from when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.read()?.not_before.map(Date::as_system_time)
    }

    /// Returns until when it is valid.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    ///
    /// # let connection = xmpp_connect::connect("example.org")?;
    /// let end = connection.certificate().and_then(|certificate| certificate.not_after());
    /// let left = end.and_then(|end| end.duration_since(SystemTime::now()).ok());
    /// if left.is_some_and(|left| left < Duration::from_secs(10 * 24 * 60 * 60)) {
    ///     println!("the server's certificate should be renewed");
    /// }
    /// # Ok::<(), xmpp_connect::Error>(())
    /// ```
    #[must_use]
    pub fn not_after(&self) -> Option<SystemTime> {
        self.read()?.not_after.map(Date::as_system_time)
    }

    /// Returns the serial number, in hexadecimal.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        self.read().map_or("", |read| read.serial_number.as_str())
    }

    /// Returns whether it is the certificate of an authority (CA:TRUE), as `openssl req -x509` makes them. The default
    /// verification does not accept one as a server's own.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.read().is_some_and(|read| read.is_authority)
    }

    /// Returns whether its issuer has the name of its subject, as in a self-signed certificate.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.read().is_some_and(Certificate::is_self_issued)
    }

    /// Returns the SHA-256 hash of the certificate; `None` if the crypto provider does not have this function.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of(self.0.chain.first()?, &self.0.provider)
    }

    /// Returns the SHA-256 hash of its public key (`SubjectPublicKeyInfo`), which stays the same when the certificate is
    /// renewed with the same key.
    #[must_use]
    pub fn key_fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of(Fields::read(self.0.chain.first()?)?.public_key, &self.0.provider)
    }
}

impl fmt::Display for ServerCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read() {
            Some(read) => read.fmt(formatter),
            None => formatter.write_str("unreadable"),
        }
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerCertificate({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PublicKeyData, SerialNumber,
        date_time_ymd,
    };
    use ring::digest::{SHA256, digest};
    use rustls::crypto::ring::default_provider;

    use rustls::pki_types::ServerName;

    use super::*;
    use crate::service::Service;
    use crate::tls::Accepted;

    fn shown(chain: Vec<CertificateDer<'static>>) -> ServerCertificate {
        let wanted = ServerName::try_from("a.example").unwrap();
        ServerCertificate::new(
            chain,
            Some(Wanted { name: wanted, service: Service::Client, accepted: Accepted::default() }),
            Arc::new(default_provider()),
        )
    }

    fn sha256(octets: &[u8]) -> Fingerprint {
        <[u8; 32]>::try_from(digest(&SHA256, octets).as_ref()).unwrap().into()
    }

    // rule E8b
    #[test]
    fn every_fact_is_read_when_it_is_asked_for() {
        let mut parameters =
            CertificateParams::new(vec!["a.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, "Server");
        parameters.distinguished_name.push(DnType::OrganizationName, "Ours");
        parameters.not_before = date_time_ymd(2026, 1, 31);
        parameters.not_after = date_time_ymd(2026, 2, 1);
        parameters.serial_number = Some(SerialNumber::from(0x01_ab_u64));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = parameters.self_signed(&key).unwrap().der().clone();
        let certificate = shown(vec![der.clone()]);
        assert!(certificate.0.read.get().is_none());
        assert_eq!((certificate.subject(), certificate.issuer()), ("Server (Ours)", "Server (Ours)"));
        assert_eq!(certificate.names(), ["a.example", "192.0.2.1"]);
        assert_eq!(certificate.matched_name(), Some(MatchedName::Dns("a.example".to_owned())));
        // By `date -u -d 2026-01-31 +%s`.
        let start = UNIX_EPOCH + Duration::from_secs(1_769_817_600);
        assert_eq!(certificate.not_before(), Some(start));
        assert_eq!(certificate.not_after(), Some(start + Duration::from_secs(86_400)));
        assert_eq!(certificate.serial_number().trim_start_matches('0'), "1ab");
        assert!(certificate.is_authority() && certificate.is_self_issued());
        assert_eq!(certificate.fingerprint(), Some(sha256(&der)));
        assert_eq!(certificate.key_fingerprint(), Some(sha256(&key.subject_public_key_info())));
        assert_eq!(
            certificate.to_string(),
            "for a.example, 192.0.2.1, self-signed, valid from 2026-01-31 to 2026-02-01"
        );
    }

    // rule E8b
    #[test]
    fn many_names_are_kept_and_few_are_shown() {
        let names: Vec<_> = (0..300).map(|number| format!("{number}.example")).collect();
        let parameters = CertificateParams::new(names).unwrap();
        let certificate =
            shown(vec![parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()]);
        assert_eq!(certificate.names().len(), 100);
        assert!(
            certificate
                .to_string()
                .starts_with("for 0.example, 1.example, 2.example, 3.example, 4.example, …, ")
        );
        assert!(!certificate.is_authority());
    }

    // rule E8b
    #[test]
    fn what_cannot_be_read_is_missing() {
        let certificate = shown(vec![CertificateDer::from(&b"no certificate"[..])]);
        assert_eq!((certificate.subject(), certificate.issuer(), certificate.serial_number()), ("", "", ""));
        assert_eq!((certificate.not_before(), certificate.not_after()), (None, None));
        assert_eq!((certificate.names().len(), certificate.matched_name()), (0, None));
        assert!(!certificate.is_authority() && !certificate.is_self_issued());
        assert_eq!((certificate.to_string().as_str(), certificate.key_fingerprint()), ("unreadable", None));
        assert_eq!(certificate.fingerprint(), Some(sha256(b"no certificate")));
    }
}
