//! Certificate revocation lists that the caller gives: how they are used, and what they say (RFC 5280 section 5). No IO.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ServerCertVerifierBuilder, VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::{CertificateError, RootCertStore};

use super::TlsSetupError;
use super::certificate::{Certificate, Fields, Name, date};
use super::date::{Date, days};
use super::der::{BOOLEAN, ENUMERATED, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, Values, dotted};
use super::explain::revocation_list;

/// Certificate revocation lists (CRLs), and how they are used. Given to
/// [`ConnectorBuilder::revocation_lists`](crate::ConnectorBuilder::revocation_lists).
///
/// By default, every certificate of the chain except for the root must be covered by a list of its issuer that has not
/// expired, and must not be on it: a list that is missing or out of date is an error rather than a check that is left
/// out. Of several lists of one issuer, the latest one counts.
///
/// A connector uses its lists as long as it lives, and fetches none. When you have got newer ones, build a new
/// connector; it is best to do so before the old lists expire. A resumed session is not checked again. Each full
/// handshake verifies the signatures of the lists that it uses, which takes 1 to 4 ms for each megabyte of them.
///
/// Of several lists of one issuer, the latest counts. Issuers are told apart by their names: of two authorities with one
/// name, give only the lists of the one that your servers use. An issuer has either a complete list or one for each
/// distribution point; both together are an error of [`build`](crate::ConnectorBuilder::build).
///
/// ```no_run
/// use xmpp_connect::rustls::pki_types::CertificateRevocationListDer;
/// use xmpp_connect::rustls::pki_types::pem::PemObject;
/// use xmpp_connect::{Connector, RevocationLists};
///
/// let lists = CertificateRevocationListDer::pem_file_iter("lists.pem")?.collect::<Result<Vec<_>, _>>()?;
/// let connector = Connector::builder().revocation_lists(RevocationLists::new(lists)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RevocationLists {
    lists: Vec<CertificateRevocationListDer<'static>>,
    only_server: bool,
    allow_unknown: bool,
    allow_expired: bool,
    code: Code,
}

type Prepared = Result<Arc<dyn ServerCertVerifier>, TlsSetupError>;

/// What handles lists. Only programs that create a [`RevocationLists`] link it, since nothing else names it.
#[derive(Clone, Copy)]
struct Code {
    verifier: fn(&RevocationLists, RootCertStore, &Arc<CryptoProvider>) -> Prepared,
    explain: fn(&RevocationLists, &CertificateError, &[CertificateDer<'_>]) -> Option<String>,
}

impl RevocationLists {
    /// Takes lists in DER form. To read PEM, use `CertificateRevocationListDer::pem_slice_iter` or `pem_file_iter`.
    pub fn new(lists: impl IntoIterator<Item = CertificateRevocationListDer<'static>>) -> Self {
        Self {
            lists: lists.into_iter().collect(),
            only_server: false,
            allow_unknown: false,
            allow_expired: false,
            code: Code { verifier, explain },
        }
    }

    /// Checks the server's own certificate only, not those of the authorities that have issued it.
    pub fn only_server_certificate(mut self) -> Self {
        self.only_server = true;
        self
    }

    /// Accepts certificates that no list covers.
    pub fn allow_unknown(mut self) -> Self {
        self.allow_unknown = true;
        self
    }

    /// Uses lists after their expiry too: what is on them is still revoked, but what has been revoked since then is
    /// accepted.
    pub fn allow_expired(mut self) -> Self {
        self.allow_expired = true;
        self
    }

    /// A verifier that trusts `roots` and checks these lists.
    ///
    /// # Errors
    /// There is no list, or one that cannot be used.
    pub(super) fn verifier(
        &self,
        roots: RootCertStore,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
        (self.code.verifier)(self, roots, provider)
    }

    /// Says what is wrong with a chain that was refused because of these lists; `None` for other errors.
    pub(super) fn explain(&self, error: &CertificateError, chain: &[CertificateDer<'_>]) -> Option<String> {
        (self.code.explain)(self, error, chain)
    }
}

fn verifier(
    lists: &RevocationLists,
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let configured = configure(lists, builder.clone()).map_err(TlsSetupError::BadRevocationList)?;
    match configured.build() {
        Ok(verifier) => Ok(verifier),
        Err(VerifierBuilderError::InvalidCrl(error)) => {
            let why = revocation_list(&error);
            let which = name_of_refused(lists, &builder);
            Err(TlsSetupError::BadRevocationList(format!("{which}: {why}")))
        }
        Err(error) => Err(TlsSetupError::Rustls(error.to_string())),
    }
}

/// Sets these lists for a verifier.
///
/// # Errors
/// There is no list, or one that is not DER.
fn configure(
    given: &RevocationLists,
    builder: ServerCertVerifierBuilder,
) -> Result<ServerCertVerifierBuilder, String> {
    // webpki checks nothing without a list, and an empty file must not turn the check off.
    if given.lists.is_empty() {
        return Err("there is none".to_owned());
    }
    if let Some(index) = given.lists.iter().position(|list| list.trim_ascii_start().starts_with(b"-----")) {
        return Err(format!(
            "list {} is in PEM form; read it with `CertificateRevocationListDer::pem_slice_iter`",
            index + 1
        ));
    }
    // For a certificate without distribution points, webpki would take a part of the certificates for all of them.
    let read: Vec<_> = given.lists.iter().filter_map(|list| List::read(list)).collect();
    let is_beside_whole = |part: &&List<'_>| {
        part.is_partial && read.iter().any(|other| other.issuer == part.issuer && !other.is_partial)
    };
    if let Some(part) = read.iter().find(is_beside_whole) {
        return Err(format!(
            "there are a complete list of {} and one for a part of its certificates; give the complete one alone, or all parts",
            Name::read(part.issuer)
        ));
    }
    // webpki uses the first list of an issuer.
    let mut lists = given.lists.clone();
    lists.sort_by_key(|list| Reverse(List::read(list).and_then(|list| list.this_update)));
    let mut builder = builder.with_crls(lists);
    if given.only_server {
        builder = builder.only_check_end_entity_revocation();
    }
    if given.allow_unknown {
        builder = builder.allow_unknown_revocation_status();
    }
    if !given.allow_expired {
        builder = builder.enforce_revocation_expiration();
    }
    Ok(builder)
}

/// The first list that a verifier refuses, for an error: `list 2, of "R11 (Let's Encrypt)"`.
fn name_of_refused(given: &RevocationLists, builder: &ServerCertVerifierBuilder) -> String {
    let is_refused = |list: &&CertificateRevocationListDer<'static>| {
        builder.clone().with_crls([CertificateRevocationListDer::clone(list)]).build().is_err()
    };
    let refused = given.lists.iter().enumerate().find(|(_, list)| is_refused(list));
    let Some((index, list)) = refused else { return "one of the lists".to_owned() };
    match List::read(list) {
        Some(list) => format!("list {}, of {}", index + 1, Name::read(list.issuer)),
        None => format!("list {}", index + 1),
    }
}

/// Says what is wrong with a chain that was refused because of these lists; `None` for other errors.
fn explain(
    given: &RevocationLists,
    error: &CertificateError,
    chain: &[CertificateDer<'_>],
) -> Option<String> {
    let lists: Vec<_> = given.lists.iter().filter_map(|list| List::read(list)).collect();
    let mut checked = chain.iter().take(if given.only_server { 1 } else { chain.len() }).enumerate();
    match error {
        CertificateError::Revoked => checked.find_map(|(index, certificate)| {
            let Fields { serial_number, issuer, .. } = Fields::read(certificate)?;
            let entry = lists.iter().filter(|list| list.issuer == issuer).find_map(|list| list.find(serial_number))?;
            Some(format!("{} {}", which(index, certificate), entry.text(&Name::read(issuer))))
        }),
        CertificateError::UnknownRevocationStatus => checked.find_map(|(index, certificate)| {
            let Fields { issuer, .. } = Fields::read(certificate)?;
            let is_missing = !lists.iter().any(|list| list.issuer == issuer)
                && !Certificate::read(certificate)?.is_self_issued();
            is_missing.then(|| {
                format!(
                    "the revocation status of {} is unknown: no revocation list of its issuer, {}, was given; add that \
                     list, or use `allow_unknown`",
                    which(index, certificate),
                    Name::read(issuer)
                )
            })
        }),
        CertificateError::ExpiredRevocationListContext { time, next_update } => {
            let end = Date::from_seconds(next_update.as_secs());
            let today = Date::from_seconds(time.as_secs());
            let list = lists.iter().find(|list| list.next_update == Some(end))?;
            Some(format!(
                "the revocation list of {} expired on {end}, {} ago, or the clock of this machine is wrong (it says \
                 {today}); get the current list",
                Name::read(list.issuer),
                days(today.days_since(end))
            ))
        }
        _ => None,
    }
}

/// Without the lists, which can be megabytes.
impl fmt::Debug for RevocationLists {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RevocationLists")
            .field("lists", &self.lists.len())
            .field("only_server", &self.only_server)
            .field("allow_unknown", &self.allow_unknown)
            .field("allow_expired", &self.allow_expired)
            .finish()
    }
}

fn which(index: usize, certificate: &[u8]) -> String {
    match Certificate::read(certificate).filter(|_| index > 0) {
        Some(authority) => format!("the certificate of the authority {}", authority.subject),
        None => "the certificate".to_owned(),
    }
}

/// The context-specific tags of a list's extensions, and of the name of a distribution point.
const EXTENSIONS: u8 = 0xa0;
const DISTRIBUTION_POINT: u8 = 0xa0;

/// Whether an extension of a list is the issuing distribution point, with a name.
fn is_of_distribution_point(extension: &[u8]) -> bool {
    let mut values = Values(extension);
    let is_wanted = values.next_of(OBJECT_IDENTIFIER).map(dotted).as_deref() == Some("2.5.29.28");
    let _is_critical = values.next_of(BOOLEAN);
    let scope =
        values.next_of(OCTET_STRING).and_then(|value| Values(value).next_of(SEQUENCE)).unwrap_or_default();
    is_wanted && Values(scope).next_of(DISTRIBUTION_POINT).is_some()
}

/// The contents of a list (RFC 5280 section 5.1).
struct List<'a> {
    issuer: &'a [u8],
    this_update: Option<Date>,
    next_update: Option<Date>,
    entries: &'a [u8],
    /// Whether it is only for the certificates with a certain distribution point (RFC 5280 section 5.2.5).
    is_partial: bool,
}

impl<'a> List<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = Values(Values(Values(der).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
        let _version = fields.next_of(INTEGER);
        let _algorithm = fields.next_of(SEQUENCE)?;
        let issuer = fields.next_of(SEQUENCE)?;
        let this_update = fields.next().and_then(date);
        let mut fields = fields.peekable();
        let next_update = fields.next_if(|field| field.tag != SEQUENCE).and_then(date);
        let entries =
            fields.next_if(|field| field.tag == SEQUENCE).map(|field| field.content).unwrap_or_default();
        let extensions = fields.next().and_then(|field| field.of(EXTENSIONS)).unwrap_or_default();
        let extensions = Values(extensions).next_of(SEQUENCE).unwrap_or_default();
        let is_partial = Values(extensions).any(|extension| is_of_distribution_point(extension.content));
        Some(Self { issuer, this_update, next_update, entries, is_partial })
    }

    /// The entry of a certificate, by its serial number.
    fn find(&self, serial: &[u8]) -> Option<Entry> {
        Values(self.entries).find_map(|entry| {
            let mut fields = Values(entry.of(SEQUENCE)?);
            (fields.next_of(INTEGER)? == serial).then(|| Entry::read(fields))
        })
    }
}

/// An entry of a list, without the serial number.
struct Entry {
    date: Option<Date>,
    /// Empty if there is none.
    reason: &'static str,
}

impl Entry {
    fn read(mut fields: Values<'_>) -> Self {
        let date = fields.next().and_then(date);
        let extensions = Values(fields.next_of(SEQUENCE).unwrap_or_default());
        let reason = extensions.filter_map(|extension| {
            let mut fields = Values(extension.of(SEQUENCE)?);
            let is_reason = fields.next_of(OBJECT_IDENTIFIER).map(dotted)? == REASON_CODE;
            Values(fields.find_map(|field| field.of(OCTET_STRING)).filter(|_| is_reason)?).next_of(ENUMERATED)
        });
        Self { date, reason: reason.map(reason_text).next().unwrap_or_default() }
    }

    fn text(&self, issuer: &Name) -> String {
        let on = self.date.map(|date| format!(" on {date}")).unwrap_or_default();
        let reason =
            if self.reason.is_empty() { String::new() } else { format!(" (reason: {})", self.reason) };
        format!("was revoked{on} by {issuer}{reason}; the server needs a new one")
    }
}

/// RFC 5280 section 5.3.1.
fn reason_text(code: &[u8]) -> &'static str {
    match code {
        [1] => "the key is compromised",
        [2] => "the authority is compromised",
        [3] => "the names have changed",
        [4] => "superseded",
        [5] => "no longer needed",
        [6] => "on hold",
        [9] => "privilege withdrawn",
        [10] => "the attribute authority is compromised",
        _ => "",
    }
}

/// id-ce-cRLReasons.
const REASON_CODE: &str = "2.5.29.21";

#[cfg(test)]
mod tests;
