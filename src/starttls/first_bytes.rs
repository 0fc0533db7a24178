//! The first bytes of the peer: whether they are XML, or which other protocol they look like. No IO.

use std::mem;

use super::error::{Fault, LooksLike};

/// How answers of other protocols begin, without regard to case. None is a prefix of another. HTML without a doctype is
/// recognised by its root element.
const SIGNATURES: [(&[u8], LooksLike); 5] = [
    (b"HTTP/", LooksLike::Http),
    (b"<!doctype html", LooksLike::Http),
    // A TLS alert: the content type and the major version.
    (b"\x15\x03", LooksLike::Tls),
    // The greetings of SMTP (RFC 5321 section 3.1) and FTP.
    (b"220 ", LooksLike::Smtp),
    (b"220-", LooksLike::Smtp),
];

/// How many bytes of an unknown answer an error shows.
const SHOWN: usize = 32;

/// The first bytes, buffered until it is clear whether they are XML.
#[derive(Debug, Default)]
pub(super) struct Begin {
    /// Without leading white space.
    bytes: Vec<u8>,
    white_space: WhiteSpace,
}

/// Whether white space came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WhiteSpace {
    #[default]
    None,
    Some,
}

enum Guess {
    Open,
    Xml,
    Not(LooksLike),
    Unknown,
}

impl Begin {
    /// Takes bytes until it is clear that they are XML, and then returns the buffered bytes for the parser.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if self.bytes.is_empty() && is_white_space(byte) {
                self.white_space = WhiteSpace::Some;
                continue;
            }
            self.bytes.push(byte);
            match guess(&self.bytes) {
                Guess::Open => {}
                Guess::Xml => return self.xml().map(Some),
                Guess::Not(looks_like) => return Err(Fault::NotXmpp(looks_like)),
                Guess::Unknown => {
                    self.bytes.extend_from_slice(rest);
                    return Err(self.unknown());
                }
            }
        }
        Ok(None)
    }

    /// The fault if nothing more arrives.
    pub(super) fn unfinished(&self) -> Option<Fault> {
        match self.bytes.first() {
            // It might be XML.
            None | Some(b'<') => None,
            Some(_) => Some(self.unknown()),
        }
    }

    /// A document may begin with white space, but only if it has no XML declaration (XML 1.0 section 2.8).
    fn xml(&mut self) -> Result<Vec<u8>, Fault> {
        match self.white_space {
            WhiteSpace::Some if self.bytes.starts_with(b"<?") => {
                Err(Fault::Xml(rxml::Error::InvalidSyntax("white space before the XML declaration")))
            }
            WhiteSpace::Some | WhiteSpace::None => Ok(mem::take(&mut self.bytes)),
        }
    }

    fn unknown(&self) -> Fault {
        let shown = self.bytes.get(..SHOWN).unwrap_or(&self.bytes);
        Fault::NotXmpp(LooksLike::Unknown(shown.escape_ascii().to_string()))
    }
}

/// Decides as early as possible. A byte order mark is not accepted: RFC 6120 section 11.6 treats it as a character, and
/// none is allowed before the root.
fn guess(bytes: &[u8]) -> Guess {
    for (signature, looks_like) in SIGNATURES {
        let common = signature.len().min(bytes.len());
        let same = signature.iter().zip(bytes).all(|(one, other)| one.eq_ignore_ascii_case(other));
        if same {
            return if common == signature.len() { Guess::Not(looks_like) } else { Guess::Open };
        }
    }
    if bytes.first() == Some(&b'<') { Guess::Xml } else { Guess::Unknown }
}

/// XML 1.0 section 2.3, production S.
pub(super) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
