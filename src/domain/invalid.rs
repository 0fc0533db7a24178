//! The error for text that is not an XMPP domain or host: what is wrong, and what to do. No IO.

use std::error::Error;
use std::fmt;

use crate::quoted::Quoted;

/// How many characters of the refused text an error shows.
const MAXIMUM_QUOTED: usize = 64;

/// Why a text is not an XMPP domain, or not a host. `Display` shows the text, what is wrong with it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDomain {
    wanted: Wanted,
    /// The refused text, truncated.
    text: Box<str>,
    pub(super) reason: Reason,
}

/// What the text was parsed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Domain,
    Host,
    Jid,
}

impl InvalidDomain {
    pub(super) fn new(text: &str, reason: Reason) -> Self {
        Self::quoting(text, reason, Wanted::Domain)
    }

    pub(super) fn host(text: &str, reason: Reason) -> Self {
        Self::quoting(text, reason, Wanted::Host)
    }

    /// A JID with a character that XML cannot express.
    pub(crate) fn jid(text: &str) -> Self {
        Self::quoting(text, Reason::Inexpressible, Wanted::Jid)
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
                formatter.write_str("a host: it has an @ sign or a slash; give only the name or address")
            }
            (Wanted::Host, Reason::Character(character)) => write!(
                formatter,
                "a host: '{}' is not a letter, digit, hyphen or underscore; check the spelling",
                Quoted(character.encode_utf8(&mut [0; 4]), 1)
            ),
            (Wanted::Host, reason) => write!(formatter, "a host: {reason}"),
            (Wanted::Jid, reason) => write!(formatter, "a JID: {reason}"),
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
    Inexpressible,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "it is empty; give a name such as example.org or an IP address",
            Self::NameTooLong => "it is longer than 253 octets in A-label form; check the spelling",
            Self::EmptyLabel => "it has an empty label; remove the superfluous dot",
            Self::LabelTooLong => "it has a label longer than 63 octets in A-label form; check the spelling",
            Self::WhiteSpace => "it contains white space or a control character; remove it",
            Self::Character(character) => {
                return write!(
                    formatter,
                    "'{}' is not a letter, digit or hyphen; give a name such as example.org",
                    Quoted(character.encode_utf8(&mut [0; 4]), 1)
                );
            }
            Self::Hyphen => "a label begins or ends with a hyphen; remove the hyphen",
            Self::NumericLastLabel => {
                "its last label is a number, but it is not an IPv4 address: four decimal numbers up to 255, without leading \
                 zeros"
            }
            Self::AddressTarget => "it is an IP address, or its last label is a number",
            Self::NotIpv6 => {
                "it has colons or brackets, but is not an IPv6 address; give the host without a port"
            }
            Self::ZoneId => "an IPv6 address with a zone id is not supported; remove the part from the % sign on",
            Self::FullJid => "it looks like a full JID or a URL; use Domain::of_jid for JIDs",
            Self::Idna => "it is not a valid internationalised domain name (UTS 46); check the spelling",
            Self::FeatureOff => {
                "it has non-ASCII characters, which require feature `idna` of xmpp-connect; or give its A-labels (xn--)"
            }
            Self::Inexpressible => {
                "it contains a control character or another one that XML cannot express; remove it"
            }
            Self::OtherDomain => "a stream name must have the same A-labels as the domain",
        })
    }
}
