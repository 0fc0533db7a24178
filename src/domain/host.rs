//! A host: an SRV target, or what a caller names. A name that only DNS has to understand, or an address. No IO.

use std::fmt;
use std::net::IpAddr;

use super::{
    InvalidDomain, MAXIMUM_NAME, Reason, check_name, check_text, convert, ends_in_a_number,
    is_letter_digit_hyphen, last_label, read_ipv4, read_ipv6, without_trailing_dot,
};

/// A host: a DNS name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an SRV record or a caller names a host in one of these two ways"
)]
pub enum Host {
    /// A DNS name: A-labels, lower case, without trailing dot.
    Name(String),
    /// An IP address, which is not looked up.
    Address(IpAddr),
}

impl Host {
    /// Parses a host that the caller gives: an address literal, or a DNS name.
    ///
    /// More is allowed than in a domain: A-labels are not validated, and labels may have `_` and hyphens in any
    /// position ("The DNS itself places only one restriction on the particular labels [...] the length", RFC 2181
    /// section 11).
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidDomain> {
        Self::read(text).map_err(|reason| InvalidDomain::host(text, reason))
    }

    fn read(text: &str) -> Result<Self, Reason> {
        check_text(text)?;
        if text.contains([':', '[', ']']) {
            return read_ipv6(text).map(|address| Self::Address(address.into()));
        }
        let name = match (text.is_ascii(), cfg!(feature = "idna")) {
            (true, _) => text.to_ascii_lowercase(),
            (false, true) => convert(text)?.0,
            (false, false) => return Err(Reason::FeatureOff),
        };
        let name = without_trailing_dot(&name);
        check_name(name, is_host_character)?;
        if ends_in_a_number(name) {
            return read_ipv4(name).map(Self::Address);
        }
        Ok(Self::Name(name.to_owned()))
    }

    /// Parses the target of an SRV record, with or without its trailing dot.
    ///
    /// # Errors
    /// Why it cannot be the name of a host.
    pub(crate) fn of_srv_target(target: &str) -> Result<Self, Reason> {
        let name = without_trailing_dot(target).to_ascii_lowercase();
        check_name(&name, is_host_character)?;
        // "Target: The domain name of the target host", RFC 2782; an address is not one.
        if ends_in_a_number(&name) { Err(Reason::AddressTarget) } else { Ok(Self::Name(name)) }
    }

    /// Which rules of RFC 6761, 6762 and 7686 apply to the name.
    pub(crate) fn special_use(&self) -> SpecialUse {
        match self {
            Self::Name(name) => match last_label(name) {
                "onion" => SpecialUse::Onion,
                "invalid" => SpecialUse::Invalid,
                "localhost" => SpecialUse::Loopback,
                "local" => SpecialUse::MulticastDns,
                _ => SpecialUse::None,
            },
            Self::Address(_) => SpecialUse::None,
        }
    }

    /// The owner name of SRV records: `prefix` and the name. `None` for an address, and if it would be too long.
    pub(crate) fn srv_name(&self, prefix: &str) -> Option<String> {
        match self {
            Self::Name(name) => Some(format!("{prefix}.{name}")).filter(|name| name.len() <= MAXIMUM_NAME),
            Self::Address(_) => None,
        }
    }
}

/// The name, or the address without brackets.
impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.pad(name),
            Self::Address(address) => address.fmt(formatter),
        }
    }
}

/// What RFC 6761 calls a special-use name. A bare top-level label counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecialUse {
    /// None: DNS as usual.
    None,
    /// `.onion`: never reaches DNS (RFC 7686 section 2).
    Onion,
    /// `.invalid`: never reaches DNS (RFC 6761 section 6.4).
    Invalid,
    /// `localhost` and below: loopback addresses (RFC 6761 section 6.3).
    Loopback,
    /// `.local`: belongs to multicast DNS (RFC 6762 section 3), which is not supported.
    MulticastDns,
}

/// The characters of names that DNS serves.
fn is_host_character(character: char) -> bool {
    is_letter_digit_hyphen(character) || character == '_'
}
