//! Which name in a certificate identifies the server (RFC 9525). No IO.
//!
//! The verifier has decided already; this says by which name.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::ServerName;

use super::certificate::{DNS_NAME, Fields, IP_ADDRESS, address};
use super::other_names::{Accepted, OtherName, other_names};
use crate::domain::Domain;
use crate::service::Service;

/// What a certificate has to name.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: ServerName<'static>,
    pub(super) service: Service,
    /// Names that count beside DNS names and addresses.
    pub(super) accepted: Accepted,
}

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
    /// The SRV-ID of the service (RFC 4985), by option [`srv_ids`](crate::ConnectorBuilder::srv_ids).
    SrvId(String),
    /// An XmppAddr that is the domain (RFC 6120 section 13.7.1.4), by option
    /// [`xmpp_addrs`](crate::ConnectorBuilder::xmpp_addrs).
    XmppAddr(String),
}

/// `example.org (DNS name)`, `*.example.org (wildcard)`, `192.0.2.1 (address)`.
impl fmt::Display for MatchedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(formatter, "{name} (DNS name)"),
            Self::Wildcard(name) => write!(formatter, "{name} (wildcard)"),
            Self::Address(address) => write!(formatter, "{address} (address)"),
            Self::SrvId(name) => write!(formatter, "{name} (SRV-ID)"),
            Self::XmppAddr(name) => write!(formatter, "{name} (XmppAddr)"),
        }
    }
}

/// The name in `certificate` (DER) that matches `wanted`: one that webpki accepts before those that private authorities
/// may use.
pub(super) fn matched(wanted: &Wanted, certificate: &[u8]) -> Option<MatchedName> {
    by_webpki(&wanted.name, certificate).or_else(|| by_other_name(wanted, certificate))
}

/// The name of another kind that is the domain's.
pub(super) fn by_other_name(wanted: &Wanted, certificate: &[u8]) -> Option<MatchedName> {
    // An address is identified by an iPAddress only (RFC 9525 section 4.1).
    let Wanted { name: ServerName::DnsName(name), service, accepted } = wanted else { return None };
    let domain = Domain::new(name.as_ref()).ok()?;
    let names = other_names(certificate).ok()?;
    names.into_iter().find(|name| name.is_of(&domain, service, *accepted)).map(|name| match name {
        OtherName::SrvId(name) => MatchedName::SrvId(name.to_ascii_lowercase()),
        OtherName::XmppAddr(name) => MatchedName::XmppAddr(name.to_ascii_lowercase()),
    })
}

/// An exact name before a wildcard.
fn by_webpki(wanted: &ServerName<'_>, certificate: &[u8]) -> Option<MatchedName> {
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
    use rcgen::{CertificateParams, KeyPair, OtherNameValue, SanType};
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

    fn wanted(name: &str) -> Wanted {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Wanted { name, service: Service::Client, accepted: Accepted::default() }
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
            let wanted = self::wanted(wanted);
            assert_eq!(matched(&wanted, &der), expected, "{names:?}");
            let parsed = ParsedCertificate::try_from(&der).unwrap();
            assert_eq!(verify_server_name(&parsed, &wanted.name).is_ok(), expected.is_some(), "{names:?}");
        }
        assert_eq!(matched(&wanted("a.test"), b"no certificate"), None);
    }

    // rule E4, E8b
    #[test]
    fn names_for_xmpp_alone_match_if_they_are_accepted_and_no_other_does() {
        let name = (vec![1, 3, 6, 1, 5, 5, 7, 8, 5], OtherNameValue::Utf8String("Example.org".to_owned()));
        let other_name = |dns: &[&str]| {
            let mut parameters = CertificateParams::default();
            parameters.subject_alt_names = vec![SanType::OtherName(name.clone())];
            let dns = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
            parameters.subject_alt_names.extend(dns);
            parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
        };
        let all = Accepted { srv_ids: true, xmpp_addrs: true };
        let accepting = |name: &str| Wanted { accepted: all, ..wanted(name) };
        let xmpp_addr = Some(MatchedName::XmppAddr("example.org".to_owned()));
        assert_eq!(matched(&accepting("example.org"), &other_name(&[])), xmpp_addr);
        assert_eq!(matched(&accepting("example.org"), &other_name(&["example.org"])), dns("example.org"));
        assert_eq!(matched(&wanted("example.org"), &other_name(&[])), None);
        assert_eq!(matched(&accepting("other.example"), &other_name(&[])), None);
        assert_eq!(matched(&accepting("192.0.2.1"), &other_name(&[])), None);
    }

    // rule E8b
    #[test]
    fn the_rule_is_shown_behind_the_name() {
        assert_eq!(dns("example.org").unwrap().to_string(), "example.org (DNS name)");
        assert_eq!(wildcard("*.example.org").unwrap().to_string(), "*.example.org (wildcard)");
        assert_eq!(MatchedName::Address([192, 0, 2, 1].into()).to_string(), "192.0.2.1 (address)");
        let srv_id = MatchedName::SrvId("_xmpp-client.example.org".to_owned());
        assert_eq!(srv_id.to_string(), "_xmpp-client.example.org (SRV-ID)");
        assert_eq!(MatchedName::XmppAddr("a.example".to_owned()).to_string(), "a.example (XmppAddr)");
    }
}
