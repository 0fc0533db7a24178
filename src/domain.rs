//! The XMPP domain part, parsed once (RFC 7622 section 3.2, RFC 5890, UTS 46), and hosts. No IO.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use host::Host;
pub(crate) use host::SpecialUse;
pub use invalid::InvalidDomain;
pub(crate) use invalid::Reason;

mod host;
mod invalid;
#[cfg(test)]
mod tests;

/// "a domainpart MUST NOT be zero octets in length and MUST NOT be more than 1023 octets in length."
/// RFC 7622 section 3.2.
const MAXIMUM_DOMAIN_PART: usize = 1023;

/// A name of 255 octets on the wire (RFC 1035 section 2.3.4) as text, without the trailing dot.
const MAXIMUM_NAME: usize = 253;

/// "labels: 63 octets or less", RFC 1035 section 2.3.4.
const MAXIMUM_LABEL: usize = 63;

/// The prefix of an A-label, before the Punycode (RFC 5890 section 2.3.2.5).
const A_LABEL_PREFIX: &str = "xn--";

/// The domain part of an XMPP address: a DNS name, an IPv4 literal or an IPv6 literal (RFC 7622 section 3.2).
///
/// Letters are folded to lower case, and one trailing dot is removed. With feature `idna`, an internationalised name is
/// converted to A-labels (UTS 46, non-transitional), and A-labels in the input are validated and decoded. Without it,
/// A-labels are taken as they are, and a non-ASCII name is an error; see [`Domain::with_stream_name`].
///
/// ```
/// use xmpp_connect::Domain;
///
/// assert_eq!(Domain::new("Example.ORG.")?.as_ascii(), "example.org");
/// assert_eq!(Domain::new("2001:db8::1")?.as_unicode(), "[2001:db8::1]");
/// assert_eq!(Domain::of_jid("juliet@example.org/balcony")?, Domain::new("example.org")?);
/// # Ok::<(), xmpp_connect::InvalidDomain>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain {
    host: Host,
    /// The `to` of the stream header before XML escaping: U-labels, or an address, IPv6 in brackets.
    unicode: Box<str>,
}

impl Domain {
    /// Parses a domain part.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] for text that is empty or too long; contains an empty label, white space, or a character other
    /// than letters, digits and hyphens; ends in a number but is not an IPv4 address; has a zone id or a port; is not a
    /// valid internationalised name; or is a full JID.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        Self::read(text).map_err(|reason| InvalidDomain::new(text, reason))
    }

    /// Parses the domain part of a JID (RFC 7622 section 3.2). The other parts are not checked.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] if [`Domain::new`] refuses the domain part.
    pub fn of_jid(jid: &str) -> Result<Self, InvalidDomain> {
        // "1. Remove any portion from the first '/' character to the end of the string (if there is a '/' character
        // present). 2. Remove any portion from the beginning of the string to the first '@' character (if there is an
        // '@' character present)." RFC 7622 section 3.2.
        let bare = jid.split_once('/').map_or(jid, |(bare, _resource)| bare);
        let text = bare.split_once('@').map_or(bare, |(_local, text)| text);
        Self::read(text).map_err(|reason| match reason {
            // A second '@'. The message for `FullJid` would advise to call this function.
            Reason::FullJid => InvalidDomain::new(text, Reason::Character('@')),
            other => InvalidDomain::new(text, other),
        })
    }

    /// Returns the name in A-labels, lower case, without trailing dot; or the address in its canonical form, without
    /// brackets.
    #[must_use]
    pub fn as_ascii(&self) -> &str {
        match &self.host {
            Host::Name(name) => name,
            Host::Address(_) => self.unicode.trim_start_matches('[').trim_end_matches(']'),
        }
    }

    /// Returns the name as the user knows it: U-labels, lower case, without trailing dot; or the address, IPv6 in
    /// brackets.
    ///
    /// Use it as the `to` of your stream header (RFC 6120 section 4.7.2, RFC 7622 section 3.2), after escaping it for
    /// XML. Without feature `idna` it is the A-label form, unless [`Domain::with_stream_name`] was called.
    #[must_use]
    pub fn as_unicode(&self) -> &str {
        &self.unicode
    }

    /// Sets the name for the stream header of a domain in A-labels. It is needed in builds without feature `idna`,
    /// since servers reply `host-unknown` to the A-label form.
    ///
    /// With the feature, the name must convert to the domain's A-labels. Without it, only the ASCII labels are compared
    /// with those of the domain; a non-ASCII label matches any A-label.
    ///
    /// ```
    /// use xmpp_connect::Domain;
    ///
    /// let domain = Domain::new("xn--bcher-kva.example")?.with_stream_name("bücher.example")?;
    /// assert_eq!(domain.as_ascii(), "xn--bcher-kva.example");
    /// assert_eq!(domain.as_unicode(), "bücher.example");
    /// # Ok::<(), xmpp_connect::InvalidDomain>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] for a name of another domain, and for one that [`Domain::new`] refuses.
    pub fn with_stream_name(self, name: &str) -> Result<Self, InvalidDomain> {
        let unicode = match Self::read(name) {
            Ok(named) if named.host == self.host => Ok(named.unicode),
            Ok(_) => Err(Reason::OtherDomain),
            Err(Reason::FeatureOff) => unconverted_stream_name(name, self.as_ascii()),
            Err(reason) => Err(reason),
        };
        let unicode = unicode.map_err(|reason| InvalidDomain::new(name, reason))?;
        Ok(Self { unicode, ..self })
    }

    /// The host that the domain names.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    fn read(text: &str) -> Result<Self, Reason> {
        check_text(text)?;
        if text.contains([':', '[', ']']) {
            let address = read_ipv6(text)?;
            return Ok(Self { host: Host::Address(address.into()), unicode: format!("[{address}]").into() });
        }
        if cfg!(not(feature = "idna")) && !text.is_ascii() {
            return Err(Reason::FeatureOff);
        }
        let (ascii, unicode) = convert(text)?;
        let (name, unicode) = (without_trailing_dot(&ascii), without_trailing_dot(&unicode));
        check_name(name, is_letter_digit_hyphen)?;
        if ends_in_a_number(name) {
            return Ok(Self { host: Host::Address(read_ipv4(name)?), unicode: name.into() });
        }
        // "the hyphen cannot appear at the beginning or end of the string", RFC 5890 section 2.3.1, about LDH labels
        // and U-labels; rustls refuses such names too.
        if unicode.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
            return Err(Reason::Hyphen);
        }
        Ok(Self { host: Host::Name(name.to_owned()), unicode: unicode.into() })
    }
}

/// The name as the user knows it.
impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.unicode)
    }
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl From<&Self> for Domain {
    fn from(domain: &Self) -> Self {
        domain.clone()
    }
}

impl TryFrom<&str> for Domain {
    type Error = InvalidDomain;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = InvalidDomain;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl TryFrom<&String> for Domain {
    type Error = InvalidDomain;

    fn try_from(text: &String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

/// Refuses what no form of a domain part can contain.
fn check_text(text: &str) -> Result<(), Reason> {
    // First, because a resource may contain what the next checks refuse.
    if text.contains(['@', '/']) {
        return Err(Reason::FullJid);
    }
    if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(Reason::WhiteSpace);
    }
    // Before the conversion, to bound its work.
    if text.len() > MAXIMUM_DOMAIN_PART {
        return Err(Reason::NameTooLong);
    }
    Ok(())
}

fn read_ipv4(name: &str) -> Result<IpAddr, Reason> {
    name.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| Reason::NumericLastLabel)
}

fn read_ipv6(text: &str) -> Result<Ipv6Addr, Reason> {
    let text = without_trailing_dot(text);
    let literal = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or(Reason::NotIpv6)?,
        None => text,
    };
    match literal.split_once('%') {
        Some((address, _zone)) if address.parse::<Ipv6Addr>().is_ok() => Err(Reason::ZoneId),
        _ => literal.parse().map_err(|_| Reason::NotIpv6),
    }
}

/// Converts to A-labels and to U-labels, both in lower case.
///
/// Without the optional checks of UTS 46: the caller checks characters, hyphens and lengths, for a more precise error.
/// UTS 46's check of hyphens would also refuse names in use, such as `r3---sn-apo3.googlevideo.com`.
#[cfg(feature = "idna")]
fn convert(text: &str) -> Result<(String, String), Reason> {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

    let (uts46, any_ascii) = (Uts46::new(), AsciiDenyList::EMPTY);
    let ascii = uts46
        .to_ascii(text.as_bytes(), any_ascii, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| Reason::Idna)?;
    let (unicode, validity) = uts46.to_unicode(ascii.as_bytes(), any_ascii, Hyphens::Allow);
    validity.map_err(|_| Reason::Idna)?;
    // A server that receives the U-labels must arrive at the same name. This fails for A-labels inside A-labels.
    let again = uts46.to_ascii(unicode.as_bytes(), any_ascii, Hyphens::Allow, DnsLength::Ignore);
    if again.ok().as_deref() != Some(&*ascii) {
        return Err(Reason::Idna);
    }
    let unicode = unicode.into_owned();
    Ok((ascii.into_owned(), unicode))
}

/// Folds ASCII to lower case: without feature `idna` the two forms are the same.
#[cfg(not(feature = "idna"))]
fn convert(text: &str) -> Result<(String, String), Reason> {
    let ascii = text.to_ascii_lowercase();
    Ok((ascii.clone(), ascii))
}

/// Checks a stream name without converting it, since feature `idna` is off: compares it with the A-labels, label by
/// label.
fn unconverted_stream_name(name: &str, ascii: &str) -> Result<Box<str>, Reason> {
    let name: String = without_trailing_dot(name).chars().flat_map(char::to_lowercase).collect();
    check_text(&name)?;
    if name.split('.').count() != ascii.split('.').count() {
        return Err(Reason::OtherDomain);
    }
    for (label, a_label) in name.split('.').zip(ascii.split('.')) {
        if label != a_label && (label.is_ascii() || !a_label.starts_with(A_LABEL_PREFIX)) {
            return Err(Reason::OtherDomain);
        }
    }
    // XML has no escape for U+FFFE and U+FFFF (XML 1.0 section 2.2).
    let forbidden = |character: &char| match character {
        '.' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_ascii() && !is_letter_digit_hyphen(*other),
    };
    match name.chars().find(forbidden) {
        Some(character) => Err(Reason::Character(character)),
        None => Ok(name.into()),
    }
}

/// Checks lengths and characters of a name in A-labels, without trailing dot.
fn check_name(name: &str, is_allowed: fn(char) -> bool) -> Result<(), Reason> {
    if name.is_empty() {
        return Err(Reason::Empty);
    }
    if name.len() > MAXIMUM_NAME {
        return Err(Reason::NameTooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(Reason::EmptyLabel);
        }
        if label.len() > MAXIMUM_LABEL {
            return Err(Reason::LabelTooLong);
        }
        if let Some(character) = label.chars().find(|character| !is_allowed(*character)) {
            return Err(Reason::Character(character));
        }
    }
    Ok(())
}

/// Whether other software may parse the name as an IPv4 address: its last label is a decimal or hexadecimal number
/// ("ends in a number" of the WHATWG URL Standard, section 3.5). Expects lower case.
fn ends_in_a_number(name: &str) -> bool {
    let last = last_label(name);
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => last.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

fn last_label(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

fn without_trailing_dot(text: &str) -> &str {
    text.strip_suffix('.').unwrap_or(text)
}

fn is_letter_digit_hyphen(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-'
}
