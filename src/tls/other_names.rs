//! SRV-IDs and XmppAddrs: names of a certificate for XMPP alone (RFC 6120 section 13.7.1, RFC 4985). No IO.

use std::fmt;

use super::certificate::shown;
use super::der::{OBJECT_IDENTIFIER, SEQUENCE, Value, Values, dotted};
use super::extensions::{Malformed, extension, only, values};
use crate::domain::Domain;
use crate::service::Service;

/// Which of these names identify a server. By default none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) srv_ids: bool,
    pub(crate) xmpp_addrs: bool,
}

impl Accepted {
    pub(crate) fn is_any(self) -> bool {
        self.srv_ids || self.xmpp_addrs
    }
}

/// A name of one of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherName<'a> {
    /// `_xmpp-client.example.org` (RFC 4985 section 2).
    SrvId(&'a str),
    /// `example.org`, or any other JID (RFC 6120 section 13.7.1.4).
    XmppAddr(&'a str),
}

/// `SRV-ID _xmpp-client.example.org`
impl fmt::Display for OtherName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SrvId(name) => write!(formatter, "SRV-ID {}", shown(name)),
            Self::XmppAddr(name) => write!(formatter, "XmppAddr {}", shown(name)),
        }
    }
}

impl OtherName<'_> {
    /// Whether the name is that of `service` at `domain`. There are no wildcards in names of these kinds.
    ///
    /// The name of the service is that of the SRV record for STARTTLS, for direct TLS too: RFC 6120 section 13.7.1.2
    /// has no others, and XEP-0368 adds none, so that one certificate serves both.
    pub(super) fn is_of(&self, domain: &Domain, service: &Service, accepted: Accepted) -> bool {
        match self {
            // "The comparison of the "Name" … MUST be case-insensitive", and it has A-labels (RFC 4985 section 3).
            Self::SrvId(name) if accepted.srv_ids => {
                let rest = name.split_at_checked(service.srv_id().len());
                rest.is_some_and(|(prefix, rest)| {
                    prefix.eq_ignore_ascii_case(service.srv_id())
                        && rest
                            .strip_prefix('.')
                            .is_some_and(|name| name.eq_ignore_ascii_case(domain.as_ascii()))
                })
            }
            // A JID has U-labels (RFC 7622 section 3.2.1); some authorities write A-labels, which say the same.
            Self::XmppAddr(name) if accepted.xmpp_addrs => [domain.as_unicode(), domain.as_ascii()]
                .iter()
                .any(|domain| name.eq_ignore_ascii_case(domain)),
            Self::SrvId(_) | Self::XmppAddr(_) => false,
        }
    }
}

/// Returns the names of these kinds in a certificate. One whose string is of another type than its RFC says is left
/// out.
///
/// # Errors
/// The certificate or one of these names is malformed.
pub(super) fn other_names(certificate: &[u8]) -> Result<Vec<OtherName<'_>>, Malformed> {
    let Some(names) = extension(certificate, SUBJECT_ALTERNATIVE_NAME)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for name in values(only(names, SEQUENCE)?)? {
        if let Some(content) = name.of(OTHER_NAME) {
            found.extend(other_name(content)?);
        }
    }
    Ok(found)
}

/// `OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }`, RFC 5280 section 4.2.1.6.
fn other_name(content: &[u8]) -> Result<Option<OtherName<'_>>, Malformed> {
    let mut fields = Values(content);
    let kind = fields.next_of(OBJECT_IDENTIFIER).map(dotted).ok_or(Malformed)?;
    let value = fields.next_of(EXPLICIT).filter(|_| fields.is_empty()).ok_or(Malformed)?;
    let [Value { tag, content }] = *values(value)? else { return Err(Malformed) };
    Ok(match (&*kind, tag) {
        (ON_DNS_SRV, IA5_STRING) => ascii(content).map(OtherName::SrvId),
        (ON_XMPP_ADDR, UTF8_STRING) => str::from_utf8(content).ok().map(OtherName::XmppAddr),
        (_, _) => None,
    })
}

fn ascii(content: &[u8]) -> Option<&str> {
    str::from_utf8(content).ok().filter(|text| text.is_ascii())
}

const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
/// id-on-dnsSRV, RFC 4985 section 2.
const ON_DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";
/// id-on-xmppAddr, RFC 6120 section 13.7.1.4.
const ON_XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
/// The tag of a general name.
const OTHER_NAME: u8 = 0xa0;
/// The tag around its value.
const EXPLICIT: u8 = 0xa0;
const IA5_STRING: u8 = 0x16;
const UTF8_STRING: u8 = 0x0c;

#[cfg(test)]
mod tests;
