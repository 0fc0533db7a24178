//! The error for a text that is not an XMPP domain or host: what is wrong with it and what to do. No IO.

use std::error::Error;
use std::fmt;

use crate::quoted::Quoted;

/// How many characters of a refused text an error repeats.
const MAXIMUM_QUOTED: usize = 64;

/// Why a text is not an XMPP domain, or not a host to connect to. Its message names the text and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDomain {
    wanted: Wanted,
    /// The refused text, cut.
    text: Box<str>,
    pub(super) reason: Reason,
}

/// What the text was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Domain,
    Host,
}

impl InvalidDomain {
    pub(super) fn new(text: &str, reason: Reason) -> Self {
        Self::quoting(text, reason, Wanted::Domain)
    }

    pub(super) fn host(text: &str, reason: Reason) -> Self {
        Self::quoting(text, reason, Wanted::Host)
    }

    fn quoting(text: &str, reason: Reason, wanted: Wanted) -> Self {
        Self { wanted, text: Quoted(text, MAXIMUM_QUOTED).to_string().into(), reason }
    }
}

impl fmt::Display for InvalidDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\" is not ", self.text)?;
        match (self.wanted, self.reason) {
            (Wanted::Host, Reason::FullJid) => {
                formatter.write_str("a host: it has an @ sign or a slash, give the name or address alone")
            }
            (Wanted::Host, Reason::Character(character)) => write!(
                formatter,
                "a host: '{}' is not a letter, digit, hyphen or underscore, check the spelling",
                Quoted(character.encode_utf8(&mut [0; 4]), 1)
            ),
            (Wanted::Host, reason) => write!(formatter, "a host: {reason}"),
            (Wanted::Domain, reason) => write!(formatter, "an XMPP domain: {reason}"),
        }
    }
}

impl Error for InvalidDomain {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Empty,
    NameTooLong,
    EmptyLabel,
    LabelTooLong,
    WhiteSpace,
    Character(char),
    Hyphen,
    NumericLastLabel,
    AddressTarget,
    NotIpv6,
    ZoneId,
    FullJid,
    #[cfg_attr(not(feature = "idna"), expect(dead_code, reason = "only the conversion finds it"))]
    Idna,
    FeatureOff,
    OtherDomain,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "it is empty, give a name such as example.org or an IP address",
            Self::NameTooLong => "a name has at most 253 octets in A-label form, check the spelling",
            Self::EmptyLabel => "a label is empty, take the superfluous dot out",
            Self::LabelTooLong => "a label has at most 63 octets in A-label form, check the spelling",
            Self::WhiteSpace => "it holds white space or a control character, take that out",
            Self::Character(character) => {
                return write!(
                    formatter,
                    "'{}' is not a letter, digit or hyphen, give a host name such as example.org",
                    Quoted(character.encode_utf8(&mut [0; 4]), 1)
                );
            }
            Self::Hyphen => "a label begins or ends with a hyphen, take that out",
            Self::NumericLastLabel => {
                "its last label is a number, an IPv4 address is four decimal numbers up to 255 without leading zeros"
            }
            Self::AddressTarget => "it is an IP address, or ends in a number as only those do",
            Self::NotIpv6 => {
                "colons and brackets belong to IPv6 addresses only and this is none, give the host without a port"
            }
            Self::ZoneId => "an IPv6 address cannot have a zone id here, leave out what begins with the % sign",
            Self::FullJid => "it looks like a full JID or an address with a path, use Domain::of_jid for JIDs",
            Self::Idna => "it is not a valid internationalised domain name (UTS 46), check the spelling",
            Self::FeatureOff => {
                "it has characters outside ASCII, which needs feature `idna` of xmpp-connect; or give its A-labels (xn--)"
            }
            Self::OtherDomain => "as a stream name it must stand for the same A-labels as the domain",
        })
    }
}
