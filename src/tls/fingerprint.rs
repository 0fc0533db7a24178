//! Fingerprints: SHA-256 hashes of certificates and public keys, and how people write them. No IO.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::HashAlgorithm;

use super::channel_binding::hash;
use crate::quoted::Quoted;

/// The SHA-256 hash of a public key (`SubjectPublicKeyInfo`, RFC 5280 section 4.1.2.7) or of a whole certificate.
///
/// The hash of the key stays the same when the certificate is renewed with the same key. `Display` is `sha256:` and the
/// hash in hexadecimal. `FromStr` also accepts what other programs print: base64, as in `pin-sha256` of RFC 7469 and
/// curl's `sha256//`, and pairs of hexadecimal digits with colons, as `openssl x509 -fingerprint -sha256` prints them after
/// the `=` of its line, without what is before.
///
/// ```
/// use xmpp_connect::Fingerprint;
///
/// let fingerprint: Fingerprint = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?;
/// assert_eq!(
///     fingerprint.to_string(),
///     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; LENGTH]);

const LENGTH: usize = 32;

impl Fingerprint {
    /// Returns `None` if the provider has no SHA-256.
    pub(super) fn of(octets: &[u8], provider: &CryptoProvider) -> Option<Self> {
        hash(HashAlgorithm::SHA256, octets, provider)?.try_into().ok().map(Self)
    }

    /// The hash in hexadecimal.
    pub(super) fn digits(&self) -> impl fmt::Display {
        self.0.iter().map(|octet| format!("{octet:02x}")).collect::<String>()
    }

    /// Returns the octets of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl From<[u8; LENGTH]> for Fingerprint {
    fn from(hash: [u8; LENGTH]) -> Self {
        Self(hash)
    }
}

/// `sha256:e3b0c44298fc…`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.digits())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let wrong = || InvalidFingerprint(Quoted(text, SHOWN).to_string());
        let digits = without_name(text.trim());
        let octets = hexadecimal(digits).or_else(|| base64(digits)).ok_or_else(wrong)?;
        octets.try_into().map(Self).map_err(|_| wrong())
    }
}

/// The hash without the name of its function.
fn without_name(text: &str) -> &str {
    match text.get(..6).zip(text.get(6..)) {
        Some((name, rest)) if name.eq_ignore_ascii_case("sha256") => {
            rest.strip_prefix("//").or_else(|| rest.strip_prefix(':')).unwrap_or(text)
        }
        Some(_) | None => text,
    }
}

/// Pairs of digits, with or without colons between them.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let octet =
        |pair: &str| u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+') && pair.len() == 2);
    if text.contains(':') {
        return text.split(':').map(octet).collect();
    }
    (0..text.len().div_ceil(2)).map(|index| octet(text.get(2 * index..2 * index + 2)?)).collect()
}

/// RFC 4648 section 4, with or without its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.strip_suffix('=').unwrap_or(text).bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    // The bits that are left over must be zero, so that each hash is written in one way.
    (bits & ((1 << count) - 1) == 0).then_some(octets)
}

/// How many characters of an invalid fingerprint the error shows.
const SHOWN: usize = 100;

/// A text that is not a [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFingerprint(String);

impl fmt::Display for InvalidFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "\"{}\" is not a SHA-256 hash: sha256: and 64 hexadecimal digits, or 44 characters of base64",
            self.0
        )
    }
}

impl Error for InvalidFingerprint {}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    // rule E8b
    #[test]
    fn the_name_of_another_function_is_refused_and_the_error_says_what_is_expected() {
        for text in [EMPTY.replace("sha256", "sha512"), EMPTY.replace("sha256:", "sha512//")] {
            let error = text.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(error.contains("is not a SHA-256 hash") && error.contains(&text), "{error}");
        }
    }

    // rule E8b
    #[test]
    fn every_usual_form_is_read_and_one_is_written() {
        let digits = &EMPTY[7..];
        let pairs: Vec<_> = (0..32).map(|index| &digits[2 * index..2 * index + 2]).collect();
        let colons = pairs.join(":");
        for text in [
            EMPTY.to_owned(),
            digits.to_owned(),
            EMPTY.to_uppercase(),
            colons.to_uppercase(),
            format!(" sha256:{colons}\n"),
            "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
        ] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), EMPTY, "{text}");
        }
        assert_eq!(Fingerprint::from([0xab; 32]).to_string(), format!("sha256:{}", "ab".repeat(32)));
        assert_eq!(EMPTY.parse::<Fingerprint>().unwrap().as_bytes()[..3], [0xe3, 0xb0, 0xc4]);
    }

    // rule E8b
    #[test]
    fn anything_else_is_an_error_that_shows_it() {
        let digits = &EMPTY[7..];
        for text in [
            "",
            "sha256:",
            "sha256",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            // SHA-1, and other lengths.
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
            &digits[1..],
            &digits[2..],
            &format!("{digits}00"),
            &format!("{}+0", &digits[2..]),
            &format!("{}zz", &digits[2..]),
            &format!("{}ä", &digits[2..]),
            // Bits that are not part of the hash; another alphabet; too much padding.
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU==",
            &"ä".repeat(1000),
            "a\u{1b}[2Jb\nc",
        ] {
            let error = text.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(error.len() < 400 && !error.contains(['\n', '\u{1b}']), "{error:?}");
        }
    }

    // rule E8b
    #[test]
    fn the_hash_is_that_of_the_provider() {
        let provider = rustls::crypto::ring::default_provider();
        assert_eq!(Fingerprint::of(b"", &provider).unwrap().to_string(), EMPTY);
    }
}
