//! Explains TLS errors: what went wrong, the usual cause, and what to do. No IO.

use std::fmt;

use rustls::{
    AlertDescription, CertRevocationListError, Error, InvalidMessage, OtherError, PeerIncompatible,
    PeerMisbehaved,
};

use super::verifier::Evidence;
use super::{alert, refusal};

/// An error of rustls with the text of [`explain`], for errors after the handshake.
pub(crate) struct Explained(Error);

impl Explained {
    pub(crate) fn new(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&explain(&self.0, &Evidence { speaks_tls: true, ..Evidence::NONE }))
    }
}

/// The text as well: it is what `unwrap` and `main` show of an [`io::Error`](std::io::Error).
impl fmt::Debug for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), formatter)
    }
}

/// Without `source`: the text of rustls' error repeats this one, as debug text.
impl std::error::Error for Explained {}

/// Says what went wrong, the usual cause, and what to do: one line, never the debug text of a Rust type.
pub(crate) fn explain(error: &Error, evidence: &Evidence) -> String {
    match error {
        Error::InvalidCertificate(error) => refusal::explain(error, evidence),
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::InvalidCertRevocationList(error) => {
            format!("the revocation list cannot be used: {}", revocation_list(error))
        }
        Error::AlertReceived(received) => alert_received(*received, evidence),
        Error::InvalidMessage(error) => invalid_message(error, evidence),
        Error::PeerIncompatible(error) => peer_incompatible(error),
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            "the server selected an ALPN protocol that was not offered".to_owned()
        }
        Error::PeerMisbehaved(error) => format!("the server violates the TLS protocol: {}", words(error)),
        Error::InappropriateMessage { got_type, .. } => {
            let got = type_name(got_type.as_str(), u8::from(*got_type));
            format!("the server violates the TLS protocol: unexpected message of type {got}")
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            let got = type_name(got_type.as_str(), u8::from(*got_type));
            format!("the server violates the TLS protocol: unexpected handshake message of type {got}")
        }
        Error::InvalidEncryptedClientHello(error) => {
            format!("the encrypted client hello cannot be used: {}", words(error))
        }
        Error::DecryptError => {
            "a message of the server cannot be decrypted: it was damaged or modified in transit".to_owned()
        }
        Error::PeerSentOversizedRecord => "the server sent a longer record than TLS allows".to_owned(),
        Error::NoApplicationProtocol => {
            "the server supports none of the ALPN protocols that were offered".to_owned()
        }
        Error::FailedToGetCurrentTime => "the clock of this machine cannot be read".to_owned(),
        Error::FailedToGetRandomBytes => "this machine provides no random numbers".to_owned(),
        Error::InconsistentKeys(error) => {
            format!("the client certificate and its key cannot be used together: {}", words(error))
        }
        Error::General(text) => format!("a TLS error: {}", line(text)),
        Error::Other(error) => format!("a TLS error: {}", other(error)),
        // The others are about the use of rustls and not about a peer, or are newer than this crate.
        error => format!("a TLS error: {}", words(error)),
    }
}

fn type_name(name: Option<&'static str>, number: u8) -> String {
    name.map_or_else(|| number.to_string(), |name| words(&format_args!("{name}")))
}

fn alert_received(received: AlertDescription, evidence: &Evidence) -> String {
    let name = alert::name(received);
    let meaning = match received {
        // It has agreed to all of that already. TLS 1.2 has no alert of its own for a certificate that is missing: "If the
        // client does not send any certificates, the server MAY at its discretion either continue the handshake without
        // client authentication, or respond with a fatal handshake_failure alert" (RFC 5246 section 7.4.6).
        AlertDescription::HandshakeFailure if evidence.speaks_tls => Some(
            "the server most likely requires a client certificate, or does not accept the one it got: set one with \
                 `client_certificate`",
        ),
        other => alert::meaning(other),
    };
    match meaning {
        Some(meaning) => format!("the server sent the fatal alert {name}: {meaning}"),
        None => format!("the server sent the fatal alert {name}"),
    }
}

fn invalid_message(error: &InvalidMessage, evidence: &Evidence) -> String {
    match error {
        InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge
            if evidence.speaks_tls =>
        {
            "its certificate chain is larger than 64 KiB, which is not supported: the server needs a certificate with \
             fewer names"
                .to_owned()
        }
        // These three are about the first octets of a record: at the start, they mean another protocol.
        InvalidMessage::InvalidContentType
        | InvalidMessage::UnknownProtocolVersion
        | InvalidMessage::MessageTooLarge
            if !evidence.speaks_tls =>
        {
            "the server does not speak TLS on this port".to_owned()
        }
        error => format!("the server sent a malformed TLS message: {}", words(error)),
    }
}

fn peer_incompatible(error: &PeerIncompatible) -> String {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "the server supports no TLS version that is enabled here (by default TLS 1.2 and TLS 1.3)"
                .to_owned()
        }
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the server does not support the extended master secret (RFC 7627), which is required".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "client and server have no cipher suite in common".to_owned()
        }
        PeerIncompatible::NoKxGroupsInCommon => {
            "client and server have no key exchange group in common".to_owned()
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "client and server have no signature algorithm in common".to_owned()
        }
        PeerIncompatible::ServerRejectedEncryptedClientHello(_) => {
            "the server rejected the encrypted client hello".to_owned()
        }
        error => format!("the server lacks something that is required: {}", words(error)),
    }
}

/// Why a revocation list cannot be used.
pub(super) fn revocation_list(error: &CertRevocationListError) -> String {
    match error {
        CertRevocationListError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            refusal::unsupported(signature_algorithm_id, None)
        }
        CertRevocationListError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } => refusal::unsupported(signature_algorithm_id, Some(public_key_algorithm_id)),
        CertRevocationListError::BadSignature => {
            "it was not signed by the key of the authority that it names".to_owned()
        }
        CertRevocationListError::IssuerInvalidForCrl => {
            "the authority that signed it may not sign revocation lists (key usage)".to_owned()
        }
        CertRevocationListError::Other(error) if identifier(&error.to_string()) != "TrailingData" => {
            other(error)
        }
        CertRevocationListError::ParseError | CertRevocationListError::Other(_) => {
            "it is damaged, or it lacks the date of the next update or the extensions (RFC 5280 section 5)"
                .to_owned()
        }
        CertRevocationListError::UnsupportedDeltaCrl => {
            "it has changes only (a delta CRL); use a complete one".to_owned()
        }
        CertRevocationListError::UnsupportedCrlVersion => "it is not of version 2".to_owned(),
        error => words(error),
    }
}

/// An error of a type that rustls does not define: of its certificate library, whose texts are the names of variants,
/// or of the caller's code.
pub(super) fn other(error: &OtherError) -> String {
    let text = error.to_string();
    if is_debug_text(&text) { words(&format_args!("{text}")) } else { line(&text) }
}

/// Whether the text is the name of a variant, with or without fields.
pub(super) fn is_debug_text(text: &str) -> bool {
    let (name, rest) = text.split_at(identifier(text).len());
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.contains(|character: char| character.is_ascii_lowercase())
        && (rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {"))
}

/// The name of a variant in words: `SelectedUnofferedKxGroup` is `selected unoffered kx group`.
///
/// rustls has about a hundred for what a broken peer can do, does not document them, and adds new ones.
pub(super) fn words(error: &impl fmt::Debug) -> String {
    let text = format!("{error:?}");
    let name = identifier(&text);
    let mut words = String::new();
    let mut last = ' ';
    for (index, character) in name.char_indices() {
        let next = name.get(index + 1..).and_then(|rest| rest.chars().next());
        // A new word; also at the last capital of `UnknownCA`s and `PSKIdentity`.
        let is_start = character.is_ascii_uppercase()
            && (!last.is_ascii_uppercase() || next.is_some_and(|next| next.is_ascii_lowercase()));
        if character == '_' || is_start && index > 0 {
            words.push(' ');
        }
        if character != '_' {
            words.push(character.to_ascii_lowercase());
        }
        last = character;
    }
    if words.is_empty() { "no details".to_owned() } else { words }
}

/// The name of a variant, without its fields.
pub(super) fn identifier(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// Foreign text in our style: one line of bounded length, no full stop.
fn line(text: &str) -> String {
    let text = text.trim().trim_end_matches('.').split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "no details".to_owned() } else { text.chars().take(LONGEST_LINE).collect() }
}

/// How many characters of foreign text are shown.
const LONGEST_LINE: usize = 300;

#[cfg(test)]
mod tests;
