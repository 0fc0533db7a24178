//! Reads certificates, for messages and facts; nothing here decides whether one is trusted (RFC 5280). No IO.

use std::fmt;
use std::net::IpAddr;

use super::algorithm;
use super::date::Date;
use super::der::{
    BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, UTC_TIME, Value,
    Values, dotted,
};

/// The parts of a certificate, in their encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// 1 to 3.
    version: u8,
    pub(super) serial_number: &'a [u8],
    /// The content of the sequence.
    pub(super) issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    /// The `SubjectPublicKeyInfo`, with its tag and length.
    pub(super) public_key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Returns `None` if not even the subject and its key can be found.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let certificate = Values(der).next_of(SEQUENCE)?;
        let mut fields = Values(Values(certificate).next_of(SEQUENCE)?);
        let version = match fields.next_of(VERSION) {
            Some(version) => Values(version).next_of(INTEGER)?.last()?.saturating_add(1),
            None => 1,
        };
        let serial_number = fields.next_of(INTEGER)?;
        fields.next_of(SEQUENCE)?;
        let issuer = fields.next_of(SEQUENCE)?;
        let validity = fields.next_of(SEQUENCE)?;
        let subject = fields.next_of(SEQUENCE)?;
        let public_key = fields.next_encoded_of(SEQUENCE)?;
        let extensions = fields.find_map(|field| field.of(EXTENSIONS)).unwrap_or_default();
        Some(Self { version, serial_number, issuer, validity, subject, public_key, extensions })
    }

    /// The alternative names (RFC 5280 section 4.2.1.6).
    pub(super) fn alternative_names(&self) -> Values<'a> {
        let mut extensions =
            self.extensions().filter(|extension| extension.identifier == SUBJECT_ALTERNATIVE_NAME);
        let value = extensions.next().map(|extension| extension.value).unwrap_or_default();
        Values(Values(value).next_of(SEQUENCE).unwrap_or_default())
    }

    fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        Values(Values(self.extensions).next_of(SEQUENCE).unwrap_or_default())
            .filter_map(|extension| Extension::read(extension.content))
    }
}

struct Extension<'a> {
    identifier: String,
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn read(extension: &'a [u8]) -> Option<Self> {
        let mut values = Values(extension);
        let identifier = values.next_of(OBJECT_IDENTIFIER).map(dotted)?;
        let is_critical = values.next_of(BOOLEAN).is_some_and(is_true);
        Some(Self { identifier, is_critical, value: values.next_of(OCTET_STRING).unwrap_or_default() })
    }
}

/// The contents of one certificate. What cannot be read is left out.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// 1 to 3.
    pub(super) version: u8,
    /// In hexadecimal.
    pub(super) serial_number: String,
    pub(super) subject: Name,
    pub(super) issuer: Name,
    pub(super) not_before: Option<Date>,
    pub(super) not_after: Option<Date>,
    /// The number of bits of an RSA key; `None` for another key.
    pub(super) rsa_bits: Option<usize>,
    /// DNS names and addresses, at most [`MAX_KEPT_NAMES`].
    pub(super) names: Vec<String>,
    /// Whether it is the certificate of an authority (CA:TRUE).
    pub(super) is_authority: bool,
    /// Critical extensions that webpki does not know, as object identifiers.
    pub(super) unknown_critical: Vec<String>,
}

/// A distinguished name.
#[derive(Clone, Debug, Default)]
pub(super) struct Name {
    /// As encoded in the certificate: names are compared octet by octet.
    der: Vec<u8>,
    text: String,
    organization: Option<String>,
    country: Option<String>,
}

/// How many names of a certificate a message lists; a server can send thousands.
pub(super) const MAX_NAMES: usize = 5;
/// How many names of a certificate are kept.
const MAX_KEPT_NAMES: usize = 100;
/// How many characters of one name are shown.
const LONGEST_NAME: usize = 100;
/// How many critical extensions are named.
const MAX_EXTENSIONS: usize = 3;

impl Certificate {
    /// Reads as much as can be parsed; `None` if not even the subject and its key can be found.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let fields = Fields::read(der)?;
        let mut validity = Values(fields.validity).map(date);
        let (not_before, not_after) = (validity.next().flatten(), validity.next().flatten());
        let names = fields.alternative_names().filter_map(|name| general_name(name.tag, name.content));
        let unknown = fields.extensions().filter(|extension| extension.is_critical);
        let unknown = unknown.map(|extension| extension.identifier);
        let unknown = unknown.filter(|identifier| !KNOWN_EXTENSIONS.contains(&&**identifier));
        let constraints = fields.extensions().find(|extension| extension.identifier == BASIC_CONSTRAINTS);
        Some(Self {
            version: fields.version,
            serial_number: hexadecimal(fields.serial_number),
            subject: Name::read(fields.subject),
            issuer: Name::read(fields.issuer),
            not_before,
            not_after,
            rsa_bits: Values(fields.public_key).next_of(SEQUENCE).and_then(algorithm::rsa_bits),
            names: names.take(MAX_KEPT_NAMES).collect(),
            is_authority: constraints.is_some_and(|constraints| is_of_authority(constraints.value)),
            unknown_critical: unknown.take(MAX_EXTENSIONS).collect(),
        })
    }

    /// Whether subject and issuer are the same.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject.is_same(&self.issuer)
    }
}

/// `for example.org, issued by "R11 (Let's Encrypt)", valid from 2026-09-01 to 2026-11-30`.
impl fmt::Display for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.names {
            [] => write!(formatter, "of {}", self.subject)?,
            names => {
                let shown: Vec<&str> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
                let more = if names.len() > MAX_NAMES { ", …" } else { "" };
                write!(formatter, "for {}{more}", shown.join(", "))?;
            }
        }
        if self.is_self_issued() {
            formatter.write_str(", self-signed")?;
        } else {
            write!(formatter, ", issued by {}", self.issuer)?;
        }
        match (self.not_before, self.not_after) {
            (Some(from), Some(to)) => write!(formatter, ", valid from {from} to {to}"),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

impl Name {
    pub(super) fn read(der: &[u8]) -> Self {
        let mut common_name = None;
        let mut organization = None;
        let mut country = None;
        let mut other = None;
        let attributes = Values(der).filter_map(|set| Values(set.of(SET)?).next()?.of(SEQUENCE));
        for attribute in attributes {
            let mut values = Values(attribute);
            let Some(kind) = values.next_of(OBJECT_IDENTIFIER).map(dotted) else { continue };
            let Some(text) = values.next().map(|value| text(value.tag, value.content)) else { continue };
            match &*kind {
                COMMON_NAME => common_name = Some(text),
                ORGANIZATION => organization = Some(text),
                COUNTRY => country = Some(text),
                _ => other = other.or(Some(text)),
            }
        }
        let text = match (common_name, &organization) {
            (Some(name), Some(organization)) if name != *organization => format!("{name} ({organization})"),
            (Some(name), _) => name,
            (None, Some(name)) => name.clone(),
            (None, None) => other.or_else(|| country.clone()).unwrap_or_default(),
        };
        Self { der: der.to_vec(), text: shown(&text), organization, country }
    }

    /// `R11 (Let's Encrypt)`; empty if there is no name.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What identifies an authority that has many names: its organisation and country, whatever their letter case,
    /// spaces and encoding. Without an organisation, the name as it is encoded.
    pub(super) fn authority(&self) -> Vec<u8> {
        let Some(organization) = &self.organization else { return self.der.clone() };
        let words = organization.split_whitespace().chain(self.country.as_deref());
        words.collect::<Vec<_>>().join(" ").to_lowercase().into_bytes()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

/// In quotation marks: `"R11 (Let's Encrypt)"`.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            formatter.write_str("an authority without a name")
        } else {
            write!(formatter, "\"{}\"", self.text)
        }
    }
}

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `dNSName [2]`.
pub(super) const DNS_NAME: u8 = 0x82;
/// `iPAddress [7]`.
pub(super) const IP_ADDRESS: u8 = 0x87;
const COMMON_NAME: &str = "2.5.4.3";
const COUNTRY: &str = "2.5.4.6";
const ORGANIZATION: &str = "2.5.4.10";
const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
/// Those that webpki reads: key usage, alternative names, basic constraints, name constraints, distribution points,
/// extended key usage.
const KNOWN_EXTENSIONS: [&str; 6] =
    ["2.5.29.15", SUBJECT_ALTERNATIVE_NAME, BASIC_CONSTRAINTS, "2.5.29.30", "2.5.29.31", "2.5.29.37"];
const PRINTABLE_OR_OTHER_ASCII: [u8; 3] = [0x13, 0x16, 0x12];
const UTF8_STRING: u8 = 0x0c;
const BMP_STRING: u8 = 0x1e;

/// Makes the peer's text safe to show: bounded, in one line, and without terminal control characters.
pub(super) fn shown(text: &str) -> String {
    let mut characters = text.chars().map(|character| {
        let is_plain = character == '\'' || character.escape_debug().count() == 1;
        if is_plain { character } else { char::REPLACEMENT_CHARACTER }
    });
    let mut shown: String = characters.by_ref().take(LONGEST_NAME).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn text(tag: u8, content: &[u8]) -> String {
    // Truncated here to bound the work, and again where it is shown.
    let content = content.get(..4 * LONGEST_NAME + 4).unwrap_or(content);
    match tag {
        UTF8_STRING => String::from_utf8_lossy(content).into_owned(),
        tag if PRINTABLE_OR_OTHER_ASCII.contains(&tag) => String::from_utf8_lossy(content).into_owned(),
        BMP_STRING => {
            let units = content
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |unit, octet| unit << 8 | u16::from(*octet)));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // T61String and others: mostly used for Latin-1.
        _ => content.iter().map(|octet| char::from(*octet)).collect(),
    }
}

fn general_name(tag: u8, content: &[u8]) -> Option<String> {
    match (tag, content) {
        (DNS_NAME, name) => Some(shown(&text(UTF8_STRING, name))),
        (IP_ADDRESS, octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    }
}

/// A time in one of the two forms of certificates (RFC 5280 section 4.1.2.5).
pub(super) fn date(time: Value<'_>) -> Option<Date> {
    match time.tag {
        UTC_TIME => utc_time(time.content),
        GENERALIZED_TIME => generalized_time(time.content),
        _ => None,
    }
}

/// An address from its 4 or 16 octets.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    let address = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    address.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// The basic constraints of an authority (RFC 5280 section 4.2.1.9).
fn is_of_authority(constraints: &[u8]) -> bool {
    Values(constraints)
        .next_of(SEQUENCE)
        .and_then(|content| Values(content).next_of(BOOLEAN))
        .is_some_and(is_true)
}

fn is_true(boolean: &[u8]) -> bool {
    boolean != [0]
}

/// Octets in hexadecimal; at most 32 of them, since a serial number has at most 20 (RFC 5280 section 4.1.2.2).
fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().take(32).map(|octet| format!("{octet:02x}")).collect()
}

/// `YYMMDDHHMMSSZ`; years from 50 on are in the 20th century (RFC 5280 section 4.1.2.5.1).
fn utc_time(text: &[u8]) -> Option<Date> {
    let (year, rest) = text.split_at_checked(2)?;
    let year = number(year)?;
    time(if year >= 50 { 1900 + year } else { 2000 + year }, rest)
}

/// `YYYYMMDDHHMMSSZ`.
fn generalized_time(text: &[u8]) -> Option<Date> {
    let (year, rest) = text.split_at_checked(4)?;
    time(number(year)?, rest)
}

fn time(year: i64, rest: &[u8]) -> Option<Date> {
    let mut numbers = rest.strip_suffix(b"Z")?.chunks(2).map(number);
    let mut next = || numbers.next().flatten();
    Date::new((year, next()?, next()?), (next()?, next()?, next()?))
}

fn number(digits: &[u8]) -> Option<i64> {
    let digits =
        str::from_utf8(digits).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
