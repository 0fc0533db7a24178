//! What a server's certificate is, and what will soon be wrong with it. No IO.

use std::time::{Duration, SystemTime};

use xmpp_connect::report::UntrustedReason;
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{MatchedName, ServerCertificate};

use super::findings::{Finding, Weight, counted, plain};
use super::tlsa::Compared;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// With fewer days left, automatic renewal has probably failed: it usually happens 30 days before the end.
const RENEW: Duration = DAY.saturating_mul(14);
/// With fewer days left, somebody has to act today.
const URGENT: Duration = DAY.saturating_mul(3);
/// Of a certificate that lives for a few days only, less may be left: these parts of its life.
const RENEW_PART: u32 = 3;
const URGENT_PART: u32 = 10;

/// A certificate as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// One line for people.
    pub(crate) text: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    /// The name that is the domain's, and by which rule.
    pub(crate) matched: Option<(String, &'static str)>,
    pub(crate) not_before: Option<SystemTime>,
    pub(crate) not_after: Option<SystemTime>,
    pub(crate) serial: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) key_fingerprint: Option<String>,
    /// CA:TRUE
    pub(crate) is_authority: bool,
    pub(crate) is_self_issued: bool,
    /// The certificates that the server has sent.
    pub(crate) sent: Vec<CertificateDer<'static>>,
    /// The TLSA records of the server's port.
    pub(crate) tlsa: Vec<Compared>,
}

impl Certificate {
    pub(crate) fn of(certificate: &ServerCertificate) -> Self {
        let matched = certificate.matched_name().and_then(|matched| match matched {
            MatchedName::Dns(name) => Some((plain(&name), "dns")),
            MatchedName::Wildcard(name) => Some((plain(&name), "wildcard")),
            MatchedName::Address(address) => Some((address.to_string(), "address")),
            _ => None,
        });
        Self {
            text: plain(&certificate.to_string()),
            subject: plain(certificate.subject()),
            issuer: plain(certificate.issuer()),
            names: certificate.names().iter().map(|name| plain(name)).collect(),
            matched,
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            serial: certificate.serial_number().to_owned(),
            fingerprint: certificate.fingerprint().map(|hash| hash.to_string()),
            key_fingerprint: certificate.key_fingerprint().map(|hash| hash.to_string()),
            is_authority: certificate.is_authority(),
            is_self_issued: certificate.is_self_issued(),
            sent: certificate.chain().to_vec(),
            tlsa: Vec::new(),
        }
    }

    /// Whole days from `now` to its end; 0 if it is over.
    pub(crate) fn days_left(&self, now: SystemTime) -> Option<u64> {
        let left = self.not_after?.duration_since(now).unwrap_or_default();
        Some(left.as_secs() / DAY.as_secs())
    }
}

/// Returns the finding about a certificate that is valid and will soon not be.
pub(crate) fn expiry(certificate: &Certificate, now: SystemTime) -> Option<Finding> {
    let end = certificate.not_after?;
    let left = end.duration_since(now).unwrap_or_default();
    let life =
        certificate.not_before.and_then(|start| end.duration_since(start).ok()).unwrap_or(Duration::MAX);
    let weight = if left < URGENT.min(life / URGENT_PART) {
        Weight::Error
    } else if left < RENEW.min(life / RENEW_PART) {
        Weight::Warning
    } else {
        return None;
    };
    let days = match left.as_secs() / DAY.as_secs() {
        0 => "less than a day".to_owned(),
        days => counted(usize::try_from(days).unwrap_or(usize::MAX), "day", "days"),
    };
    Some(Finding::new(
        weight,
        "certificate-expires-soon",
        format!("the certificate expires in {days}"),
        "renew it, reload the server, and find out why that has not happened by itself",
    ))
}

/// The id and the advice for a certificate that was signed with another key than the root's.
pub(crate) const OTHER_KEY_OF_ROOT: (&str, &str) = (
    "certificate-untrusted",
    "the root that is trusted here has another key than the root of the same name that signed: if the root was created \
     again, give the right one of the two (here: --ca), or let the new one sign the certificate",
);

/// Returns the id and the advice for a certificate that was refused.
pub(crate) fn refusal(
    reason: UntrustedReason,
    certificate: Option<&Certificate>,
) -> (&'static str, &'static str) {
    let is = |property: fn(&Certificate) -> bool| certificate.is_some_and(property);
    match reason {
        UntrustedReason::Missing => ("certificate-missing", "give the server a certificate for the domain"),
        UntrustedReason::Expired => (
            "certificate-expired",
            "renew the certificate, reload the server, and find out why that did not happen by itself",
        ),
        UntrustedReason::NotYetValid => {
            ("certificate-not-yet-valid", "check the clock of this machine, and the dates of the certificate")
        }
        UntrustedReason::WrongName => (
            "certificate-wrong-name",
            "get a certificate for the domain itself, which need not be the name of the server, and check that the server \
             shows it for this domain",
        ),
        UntrustedReason::UnknownIssuer if is(|certificate| certificate.is_self_issued) => (
            "certificate-self-signed",
            "get a certificate from an authority that clients trust; if it is meant to be private, give its root to the \
             clients (here: --ca)",
        ),
        UntrustedReason::UnknownIssuer if is(|certificate| certificate.sent.len() == 1) => (
            "certificate-no-intermediate",
            "let the server send the certificates of its intermediate authorities too (a file that is often called \
             fullchain); if the authority is private, give its root to the clients (here: --ca)",
        ),
        UntrustedReason::UnknownIssuer => (
            "certificate-untrusted",
            "get a certificate from an authority that clients trust; if the authority is private, give its root to the \
             clients (here: --ca)",
        ),
        UntrustedReason::Revoked => ("certificate-revoked", "replace the certificate and its key"),
        UntrustedReason::Unacceptable if is(|certificate| certificate.is_authority) => (
            "certificate-of-authority",
            "create one with CA:FALSE; that of an authority (CA:TRUE) can only sign others",
        ),
        _ => ("certificate-unacceptable", "replace the certificate by one that modern programs accept"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn certificate(life: u32, left: u32) -> (Certificate, SystemTime) {
        let now = UNIX_EPOCH + DAY * 20_000;
        let certificate = Certificate {
            text: String::new(),
            subject: String::new(),
            issuer: "An authority".into(),
            names: vec!["example.org".into()],
            matched: None,
            not_before: Some(now + DAY * left - DAY * life),
            not_after: Some(now + DAY * left),
            serial: String::new(),
            fingerprint: None,
            key_fingerprint: None,
            is_authority: false,
            is_self_issued: false,
            sent: vec![CertificateDer::from(&[][..]); 2],
            tlsa: Vec::new(),
        };
        (certificate, now)
    }

    #[test]
    fn the_nearer_the_end_the_more_it_weighs_and_short_lives_may_have_less_left() {
        for (life, left, expected) in [
            (90, 60, None),
            (90, 14, None),
            (90, 13, Some(Weight::Warning)),
            (90, 3, Some(Weight::Warning)),
            (90, 2, Some(Weight::Error)),
            (90, 0, Some(Weight::Error)),
            (6, 3, None),
            (6, 1, Some(Weight::Warning)),
            (6, 0, Some(Weight::Error)),
        ] {
            let (certificate, now) = certificate(life, left);
            let found = expiry(&certificate, now).map(|finding| finding.weight);
            assert_eq!(found, expected, "{left} of {life} days");
            assert_eq!(certificate.days_left(now), Some(left.into()));
        }
    }

    #[test]
    fn an_issuer_that_is_not_known_has_one_of_three_causes() {
        let (other, _) = certificate(90, 60);
        let alone = Certificate { sent: other.sent[..1].to_vec(), ..other.clone() };
        let own = Certificate { is_self_issued: true, ..alone.clone() };
        for (certificate, id) in [
            (Some(&other), "certificate-untrusted"),
            (Some(&alone), "certificate-no-intermediate"),
            (Some(&own), "certificate-self-signed"),
            (None, "certificate-untrusted"),
        ] {
            assert_eq!(refusal(UntrustedReason::UnknownIssuer, certificate).0, id);
        }
    }
}
