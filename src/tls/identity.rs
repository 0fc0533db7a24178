//! Which name in a certificate identifies the server (RFC 9525). No IO.
//!
//! The verifier has decided already; this says by which name.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::ServerName;

use super::certificate::{DNS_NAME, Fields, IP_ADDRESS, address};

/// The name in a server's certificate that is the domain's, with the rule by which it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MatchedName {
    /// A DNS name that equals the domain (RFC 9525, DNS-ID).
    Dns(String),
    /// A DNS name whose left-most label is `*`, which stands for one label of the domain.
    Wildcard(String),
    /// The IP address that is the domain.
    Address(IpAddr),
}

/// `example.org (DNS name)`, `*.example.org (wildcard)`, `192.0.2.1 (address)`.
impl fmt::Display for MatchedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(formatter, "{name} (DNS name)"),
            Self::Wildcard(name) => write!(formatter, "{name} (wildcard)"),
            Self::Address(address) => write!(formatter, "{address} (address)"),
        }
    }
}

/// The name in `certificate` (DER) that matches `wanted`, by the rules of webpki: an exact one before a wildcard.
pub(super) fn matched(wanted: &ServerName<'_>, certificate: &[u8]) -> Option<MatchedName> {
    let names = Fields::read(certificate)?.alternative_names();
    match wanted {
        ServerName::DnsName(wanted) => {
            let wanted = wanted.as_ref();
            let mut found = None;
            for name in names.filter_map(|name| str::from_utf8(name.of(DNS_NAME)?).ok()) {
                if name.eq_ignore_ascii_case(wanted) {
                    return Some(MatchedName::Dns(name.to_ascii_lowercase()));
                }
                if found.is_none() && is_wildcard_of(name, wanted) {
                    found = Some(MatchedName::Wildcard(name.to_ascii_lowercase()));
                }
            }
            found
        }
        ServerName::IpAddress(wanted) => {
            let wanted = IpAddr::from(*wanted);
            let mut addresses = names.filter_map(|name| address(name.of(IP_ADDRESS)?));
            addresses.find(|address| *address == wanted).map(MatchedName::Address)
        }
        _ => None,
    }
}

/// Whether `name` is `*` and the domain without its left-most label, which must be of two labels at least.
fn is_wildcard_of(name: &str, wanted: &str) -> bool {
    let (Some(rest), Some((_, parent))) = (name.strip_prefix("*."), wanted.split_once('.')) else {
        return false;
    };
    rest.eq_ignore_ascii_case(parent) && parent.contains('.')
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};
    use rustls::client::verify_server_name;
    use rustls::pki_types::CertificateDer;
    use rustls::server::ParsedCertificate;

    use super::*;

    fn certificate(names: &[&str]) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn dns(name: &str) -> Option<MatchedName> {
        Some(MatchedName::Dns(name.to_owned()))
    }

    fn wildcard(name: &str) -> Option<MatchedName> {
        Some(MatchedName::Wildcard(name.to_owned()))
    }

    // rule E4, E8b
    #[test]
    fn a_name_matches_exactly_when_webpki_accepts_it() {
        let address = |text: &str| Some(MatchedName::Address(text.parse().unwrap()));
        for (names, wanted, expected) in [
            (&["other.test", "Example.ORG"][..], "example.org", dns("example.org")),
            (&["*.example.org", "chat.example.org"], "chat.example.org", dns("chat.example.org")),
            (&["*.example.org"], "chat.example.org", wildcard("*.example.org")),
            (&["*.EXAMPLE.org"], "chat.example.org", wildcard("*.example.org")),
            (&["*.example.org"], "example.org", None),
            (&["*.example.org"], "a.chat.example.org", None),
            (&["c*.example.org", "*t.example.org", "chat.*.org", "*"], "chat.example.org", None),
            (&["*.org"], "example.org", None),
            (&["example.org.evil.test", "anexample.org", "example.or"], "example.org", None),
            (&["192.0.2.1"], "192.0.2.1", address("192.0.2.1")),
            (&["192.0.2.2", "2001:db8::1"], "2001:db8::1", address("2001:db8::1")),
            (&["192.0.2.2", "*.0.2.1"], "192.0.2.1", None),
            (&["xn--strae-oqa.example"], "xn--strae-oqa.example", dns("xn--strae-oqa.example")),
            (&[], "example.org", None),
        ] {
            let der = certificate(names);
            let wanted = ServerName::try_from(wanted).unwrap();
            assert_eq!(matched(&wanted, &der), expected, "{names:?}");
            let parsed = ParsedCertificate::try_from(&der).unwrap();
            assert_eq!(verify_server_name(&parsed, &wanted).is_ok(), expected.is_some(), "{names:?}");
        }
        assert_eq!(matched(&ServerName::try_from("a.test").unwrap(), b"no certificate"), None);
    }

    // rule E8b
    #[test]
    fn the_rule_is_shown_behind_the_name() {
        assert_eq!(dns("example.org").unwrap().to_string(), "example.org (DNS name)");
        assert_eq!(wildcard("*.example.org").unwrap().to_string(), "*.example.org (wildcard)");
        assert_eq!(MatchedName::Address([192, 0, 2, 1].into()).to_string(), "192.0.2.1 (address)");
    }
}
