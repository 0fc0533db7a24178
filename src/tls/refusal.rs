//! Explains why a certificate was refused, for the operator of the server. No IO.

use rustls::{CertificateError, ExtendedKeyPurpose, OtherError};

use super::algorithm;
use super::certificate::{Certificate, MAX_NAMES, shown};
use super::dane::NoMatch;
use super::date::{Date, days};
use super::explain::{identifier, other, words};
use super::pins::NotPinned;
use super::verifier::{Evidence, Part};

/// Why a server's certificate was refused.
///
/// The text of the error has the details: which certificate, its issuer and dates, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UntrustedReason {
    /// The server sent no certificate.
    Missing,
    /// The certificate, or one of its authorities', has expired, or this machine's clock is wrong.
    Expired,
    /// The certificate, or one of its authorities', is not valid yet, or this machine's clock is wrong.
    NotYetValid,
    /// The certificate is for other names.
    WrongName,
    /// The certificate does not lead to a trusted root: the server does not send its intermediate certificate, or the
    /// certificate is self-signed or from a private authority.
    UnknownIssuer,
    /// The certificate has been revoked, or its revocation status is unknown.
    Revoked,
    /// The certificate matches none of the server's TLSA records
    /// ([`ConnectorBuilder::dane`](crate::ConnectorBuilder::dane)).
    NoTlsaMatch,
    /// The server does not have a key or certificate that is pinned for the domain.
    NotPinned,
    /// [`ConnectorBuilder::check_certificate`](crate::ConnectorBuilder::check_certificate) has refused the certificate.
    Rejected,
    /// The certificate has a format, purpose, key or signature that is not accepted.
    Unacceptable,
}

impl UntrustedReason {
    /// The reason, if the error is about the server's certificate.
    pub(crate) fn of(error: &rustls::Error) -> Option<Self> {
        let error = match error {
            rustls::Error::NoCertificatesPresented => return Some(Self::Missing),
            rustls::Error::InvalidCertRevocationList(_) => return Some(Self::Revoked),
            rustls::Error::InvalidCertificate(error) => error,
            _ => return None,
        };
        Some(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked
            | CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::Revoked,
            CertificateError::Other(OtherError(error)) if error.is::<NoMatch>() => Self::NoTlsaMatch,
            CertificateError::Other(OtherError(error)) if error.is::<NotPinned>() => Self::NotPinned,
            _ => Self::Unacceptable,
        })
    }
}

/// Says why, followed by a description of the certificate in parentheses.
pub(super) fn explain(error: &CertificateError, evidence: &Evidence) -> String {
    let why = evidence.cause.clone().unwrap_or_else(|| reason(error, evidence));
    match evidence.chain.first() {
        Some(certificate) => format!("{why} (the certificate is {certificate})"),
        None => why,
    }
}

fn reason(error: &CertificateError, evidence: &Evidence) -> String {
    match error {
        CertificateError::UnknownIssuer => unknown_issuer(&evidence.chain),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the certificate is not for {}; {}", expected.to_str(), named(presented))
        }
        CertificateError::NotValidForName => "the certificate is not for this domain".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => expired(
            Date::from_seconds(time.as_secs()),
            Date::from_seconds(not_after.as_secs()),
            &evidence.chain,
        ),
        CertificateError::Expired => never_valid(&evidence.chain).unwrap_or_else(|| {
            "the certificate has expired, or the clock of this machine is wrong".to_owned()
        }),
        CertificateError::NotValidYetContext { time, not_before } => not_yet_valid(
            Date::from_seconds(time.as_secs()),
            Date::from_seconds(not_before.as_secs()),
            &evidence.chain,
        ),
        CertificateError::NotValidYet => {
            "the certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::InvalidPurposeContext { required, presented } => other_purpose(required, presented),
        CertificateError::InvalidPurpose => {
            "the certificate is not for server authentication (extended key usage)".to_owned()
        }
        CertificateError::BadSignature => bad_signature(evidence),
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            unsupported(signature_algorithm_id, None)
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } => unsupported(signature_algorithm_id, Some(public_key_algorithm_id)),
        CertificateError::UnhandledCriticalExtension => unknown_extension(&evidence.chain),
        CertificateError::Revoked => "the certificate was revoked by its issuer".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "the revocation status of the certificate is unknown: no revocation list covers it".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => format!(
            "the revocation list expired on {}; get the current one",
            Date::from_seconds(next_update.as_secs())
        ),
        CertificateError::ExpiredRevocationList => {
            "the revocation list has expired; get the current one".to_owned()
        }
        CertificateError::BadEncoding => "the certificate is malformed".to_owned(),
        CertificateError::ApplicationVerificationFailure => {
            "the certificate was refused by this program's own verifier".to_owned()
        }
        CertificateError::Other(OtherError(error)) if error.is::<NoMatch>() => error.to_string(),
        CertificateError::Other(OtherError(error)) if error.is::<NotPinned>() => error.to_string(),
        CertificateError::Other(error) => by_name(identifier(&error.to_string()), evidence)
            .unwrap_or_else(|| format!("the certificate cannot be trusted: {}", other(error))),
        error => format!("the certificate cannot be trusted: {}", words(error)),
    }
}

fn expired(today: Date, end: Date, chain: &[Certificate]) -> String {
    let which = which(chain, |certificate| certificate.not_after == Some(end));
    let ago = days(today.days_since(end));
    format!("{which} expired on {end}, {ago} ago, or the clock of this machine is wrong (it says {today})")
}

/// Names a certificate that ends before it begins, which webpki calls expired.
fn never_valid(chain: &[Certificate]) -> Option<String> {
    let is_never = |certificate: &Certificate| certificate.not_after < certificate.not_before;
    let Certificate { not_before: Some(start), not_after: Some(end), .. } =
        chain.iter().find(|certificate| is_never(certificate))?
    else {
        return None;
    };
    let which = which(chain, is_never);
    Some(format!("{which} is never valid: it ends on {end}, before it begins on {start}"))
}

fn not_yet_valid(today: Date, start: Date, chain: &[Certificate]) -> String {
    let which = which(chain, |certificate| certificate.not_before == Some(start));
    let until = days(start.days_since(today));
    format!(
        "{which} is not valid before {start}, {until} from now, or the clock of this machine is wrong (it says {today})"
    )
}

fn other_purpose(required: &ExtendedKeyPurpose, presented: &[ExtendedKeyPurpose]) -> String {
    let presented: Vec<_> = presented.iter().take(MAX_NAMES).map(purpose).collect();
    let presented = if presented.is_empty() { "nothing".to_owned() } else { presented.join(", ") };
    let required = purpose(required);
    format!("the certificate is not for {required} but for {presented} (extended key usage)")
}

/// The errors of rustls-webpki that rustls passes on as they are. They are recognised by their names: a dependency on
/// the type would break silently whenever rustls uses another version of it.
fn by_name(name: &str, evidence: &Evidence) -> Option<String> {
    let text = match name {
        "CaUsedAsEndEntity" => {
            "this is the certificate of an authority (CA:TRUE), which a server cannot present as its own; create one with \
             CA:FALSE, sign one with it, or pin its key"
        }
        "EndEntityUsedAsCa" => {
            "a certificate in the chain was issued by one that is not an authority's (CA:FALSE); have it issued by an authority"
        }
        "UnsupportedCertVersion" => return Some(old_version(&evidence.chain)),
        "UnsupportedCriticalExtension" => return Some(unknown_extension(&evidence.chain)),
        "NameConstraintViolation" => {
            "an authority in the chain may not issue certificates for these names (name constraints)"
        }
        "PathLenConstraintViolated" => {
            "the chain is longer than an authority in it allows (path length constraint)"
        }
        "MaximumPathDepthExceeded" => "the chain has too many intermediate certificates",
        "EmptyEkuExtension" => "the certificate allows no purpose (extended key usage)",
        "CertDistrusted" => "the key of the certificate is distrusted",
        "SignatureAlgorithmMismatch" => {
            "the certificate is malformed: it names two different signature algorithms"
        }
        "MalformedExtensions" | "ExtensionValueInvalid" | "BadDer" | "BadDerTime" | "TrailingData" => {
            "the certificate is malformed"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Names the usual cause first: a server that does not send its intermediate certificate (RFC 8446 section 4.4.2).
fn unknown_issuer(chain: &[Certificate]) -> String {
    let Some(leaf) = chain.first() else {
        return "the certificate was not issued by a trusted authority: the server may not send its intermediate certificate, \
                or the certificate is self-signed or from a private authority"
            .to_owned();
    };
    if leaf.is_self_issued() {
        return "the certificate is self-signed, and not trusted; install one from a trusted authority, trust this one as a root \
                certificate, or pin its key"
            .to_owned();
    }
    let mut last = leaf;
    // Bounded, since a chain may be circular.
    for _ in chain {
        match chain.iter().find(|other| last.issuer.is_same(&other.subject)) {
            Some(issuer) => last = issuer,
            None => break,
        }
    }
    let issuer = &last.issuer;
    if last.is_self_issued() {
        format!(
            "the chain ends at the private authority {issuer}, which is not trusted; trust its root certificate"
        )
    } else if last.subject.is_same(&leaf.subject) {
        format!(
            "the certificate was issued by {issuer}, which is not trusted and whose certificate the server did not send: the \
             server may not send its intermediate certificate, or {issuer} is a private authority"
        )
    } else {
        format!(
            "the chain ends at {}, issued by {issuer}, which is not trusted: the server may not send all of its intermediate \
             certificates, or {issuer} is a private authority",
            last.subject
        )
    }
}

fn bad_signature(evidence: &Evidence) -> String {
    let short = |certificate: &&Certificate| {
        certificate.rsa_bits.is_some_and(|bits| bits < algorithm::SHORTEST_RSA_KEY)
    };
    // The key of the first certificate signs the handshake, those of the others sign certificates.
    let signs_handshake = evidence.part == Part::Signature;
    let mut signers = evidence.chain.iter().skip(usize::from(!signs_handshake));
    if let Some(Certificate { rsa_bits: Some(bits), subject, .. }) = signers.find(short) {
        return format!(
            "the RSA key of {subject} has {bits} bits, and fewer than {} are not secure; create a longer one",
            algorithm::SHORTEST_RSA_KEY
        );
    }
    if signs_handshake {
        return "the server's private key does not match the certificate".to_owned();
    }
    match evidence.chain.last() {
        Some(last) => format!(
            "a signature in the chain is invalid: the trusted certificate of {} has a different key than the one that signed, \
             or an RSA key of fewer than {} bits",
            last.issuer,
            algorithm::SHORTEST_RSA_KEY
        ),
        None => "a signature by the server or its authority is invalid".to_owned(),
    }
}

/// A signature algorithm, or the key it is for, that the crypto provider in use cannot verify.
pub(super) fn unsupported(signature: &[u8], key: Option<&[u8]>) -> String {
    let by = key.map(|key| format!(" by {}", algorithm::key(key))).unwrap_or_default();
    let mut text = format!(
        "the signature of a certificate, {}{by}, cannot be verified by the crypto provider in use",
        algorithm::signature(signature)
    );
    if algorithm::is_known_to_aws_lc_rs(signature, key) {
        text += "; feature `aws-lc-rs` instead of `ring` can";
    }
    text
}

fn unknown_extension(chain: &[Certificate]) -> String {
    let unknown: Vec<_> =
        chain.iter().flat_map(|certificate| &certificate.unknown_critical).take(MAX_NAMES).cloned().collect();
    let which = if unknown.is_empty() { String::new() } else { format!(" ({})", unknown.join(", ")) };
    format!(
        "the certificate has an unknown critical extension{which}; create one without it, or with it not critical"
    )
}

fn old_version(chain: &[Certificate]) -> String {
    let version = chain.first().map_or(1, |certificate| certificate.version);
    format!(
        "the certificate has X.509 version {version}, and version 3 is required; create one with alternative names"
    )
}

/// The names of a certificate, as webpki gives them: `DnsName("example.org")`, `IpAddress(192.0.2.1)`,
/// `Unsupported(0x00)`.
fn named(presented: &[String]) -> String {
    let bare = |name: &String| {
        let dns = name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
        let address = || name.strip_prefix("IpAddress(").and_then(|name| name.strip_suffix(')'));
        // A verifier of the caller may return them without a type.
        let is_plain = !name.contains('(') && name != "DirectoryName";
        dns.or_else(address).or_else(|| is_plain.then_some(name)).map(shown)
    };
    let usable: Vec<_> = presented.iter().filter_map(bare).take(MAX_NAMES + 1).collect();
    match &*usable {
        [] if presented.is_empty() => {
            "it has no alternative names, and its common name is not used (RFC 9525)".to_owned()
        }
        [] => "its names are all of a kind that is not used".to_owned(),
        all => {
            let more = if all.len() > MAX_NAMES { ", …" } else { "" };
            format!("it is for {}{more}", all.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", "))
        }
    }
}

/// Which certificate of the chain it is.
fn which(chain: &[Certificate], is_it: impl Fn(&Certificate) -> bool) -> String {
    match chain.iter().position(is_it).and_then(|index| chain.get(index).filter(|_| index > 0)) {
        Some(certificate) => format!("the certificate of the authority {}", certificate.subject),
        None => "the certificate".to_owned(),
    }
}

fn purpose(purpose: &ExtendedKeyPurpose) -> String {
    let numbers = match purpose {
        ExtendedKeyPurpose::ServerAuth => return "server authentication".to_owned(),
        ExtendedKeyPurpose::ClientAuth => return "client authentication".to_owned(),
        ExtendedKeyPurpose::Other(numbers) => numbers,
    };
    // RFC 5280 section 4.2.1.12.
    match &**numbers {
        [1, 3, 6, 1, 5, 5, 7, 3, 3] => "code signing".to_owned(),
        [1, 3, 6, 1, 5, 5, 7, 3, 4] => "e-mail protection".to_owned(),
        [1, 3, 6, 1, 5, 5, 7, 3, 8] => "time stamping".to_owned(),
        [1, 3, 6, 1, 5, 5, 7, 3, 9] => "OCSP signing".to_owned(),
        [2, 5, 29, 37, 0] => "any purpose".to_owned(),
        numbers => {
            let numbers: Vec<_> = numbers.iter().take(20).map(usize::to_string).collect();
            format!("purpose {}", numbers.join("."))
        }
    }
}

#[cfg(test)]
mod tests;
