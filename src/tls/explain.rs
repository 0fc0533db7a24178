//! What a TLS error means, in words that help. No IO.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerMisbehaved};

/// Writes what went wrong, and what it usually comes from.
pub(crate) fn explain(error: &Error, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::InvalidCertificate(certificate) => explain_certificate(certificate, formatter),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => formatter.write_str(
            "the server speaks another protocol here: it refused the ALPN name (no_application_protocol)",
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            formatter.write_str("the server does not serve this domain (unrecognized_name)")
        }
        Error::AlertReceived(alert) => {
            write!(formatter, "the server ended the TLS handshake with alert {alert:?}")
        }
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            formatter.write_str("the server selected an ALPN protocol that was not offered")
        }
        Error::InvalidMessage(_) => write!(formatter, "the server does not speak TLS here ({error})"),
        other => write!(formatter, "TLS: {other}"),
    }
}

fn explain_certificate(error: &CertificateError, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        CertificateError::UnknownIssuer => formatter.write_str(
            "the certificate is not from an authority that is trusted here (self-signed, or a private authority)",
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            write!(formatter, "the certificate is not for {}", expected.to_str())?;
            if presented.is_empty() {
                return formatter.write_str("; it names nothing");
            }
            formatter.write_str("; it names ")?;
            for (index, name) in presented.iter().take(MAX_NAMES).enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                formatter.write_str(separator)?;
                let mut characters = bare(name).escape_debug();
                for character in characters.by_ref().take(LONGEST_NAME) {
                    write!(formatter, "{character}")?;
                }
                if characters.next().is_some() {
                    formatter.write_str("…")?;
                }
            }
            if presented.len() > MAX_NAMES { formatter.write_str(", …") } else { Ok(()) }
        }
        CertificateError::ExpiredContext { time, not_after } => write!(
            formatter,
            "the certificate expired {} days ago; or the clock of this machine is wrong",
            time.as_secs().saturating_sub(not_after.as_secs()) / SECONDS_A_DAY
        ),
        CertificateError::Expired => {
            formatter.write_str("the certificate has expired; or the clock of this machine is wrong")
        }
        CertificateError::NotValidYetContext { time, not_before } => write!(
            formatter,
            "the certificate is valid only in {} days; or the clock of this machine is wrong",
            not_before.as_secs().saturating_sub(time.as_secs()) / SECONDS_A_DAY
        ),
        CertificateError::NotValidYet => {
            formatter.write_str("the certificate is not valid yet; or the clock of this machine is wrong")
        }
        other => write!(formatter, "the certificate cannot be trusted: {other}"),
    }
}

/// A DNS name as it is: webpki gives `DnsName("example.org")`.
fn bare(name: &str) -> &str {
    name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")")).unwrap_or(name)
}

/// How many names of a certificate an error lists; a server can send thousands.
const MAX_NAMES: usize = 5;
/// How many characters of one name are shown.
const LONGEST_NAME: usize = 100;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;

    struct Explained(Error);

    impl fmt::Display for Explained {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            explain(&self.0, formatter)
        }
    }

    // spec E4
    #[test]
    fn a_wrong_name_is_told_with_the_names_of_the_certificate_bounded_and_escaped() {
        let error = |presented: Vec<String>| {
            let expected = ServerName::try_from("example.org").unwrap();
            Explained(CertificateError::NotValidForNameContext { expected, presented }.into()).to_string()
        };
        assert_eq!(
            error(vec!["DnsName(\"xmpp.example.org\")".into(), "a\nb".into()]),
            "the certificate is not for example.org; it names xmpp.example.org, a\\nb"
        );
        assert!(error(vec!["x".into(); 1000]).len() < 200);
        assert!(error(vec!["x".repeat(1000); 1000]).len() < 700);
        assert!(error(Vec::new()).ends_with("it names nothing"));
    }

    // spec E3
    #[test]
    fn a_refused_alpn_name_is_told_as_such() {
        let error = Explained(Error::AlertReceived(AlertDescription::NoApplicationProtocol)).to_string();
        assert!(error.contains("ALPN"), "{error}");
    }
}
