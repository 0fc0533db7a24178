//! Tests that every error of rustls is explained in words.

use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, ContentType};

use super::*;
use samples::{
    INVALID_MESSAGES, MISBEHAVIOURS, Named, certificate_errors, incompatibilities, named, other_errors,
    revocation_list_errors,
};

mod samples;

fn explained(error: impl Into<Error>) -> String {
    explain(&error.into(), &Evidence::NONE)
}

/// Asserts that the text contains no Rust debug text, and has the style of our errors.
#[track_caller]
fn assert_words(text: &str) {
    for wrong in ["{", "}", "::", "[", "]", "\"", "\n", "\\", "  ", "Some(", "Other", "Unknown", "None", "_ "]
    {
        assert!(!text.contains(wrong), "{wrong:?} in {text:?}");
    }
    let is_camel_case = |word: &str| {
        let mut last = ' ';
        word.chars().any(|character| {
            let is_hump = last.is_ascii_lowercase() && character.is_ascii_uppercase();
            last = character;
            is_hump
        })
    };
    // People do write `KiB`.
    for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| *word != "KiB") {
        assert!(!is_camel_case(word), "{word} in {text:?}");
    }
    assert!(text.starts_with(|first: char| first.is_ascii_lowercase()), "{text:?}");
    assert!(!text.ends_with('.') && text.len() > 10, "{text:?}");
}

// rule E8b
#[test]
fn no_error_of_rustls_is_said_in_its_debug_text() {
    let mut errors = other_errors();
    errors.extend(INVALID_MESSAGES.into_iter().map(Error::from));
    errors.extend(MISBEHAVIOURS.into_iter().map(Error::from));
    errors.extend(incompatibilities().into_iter().map(Error::from));
    errors.extend(certificate_errors().into_iter().map(Error::from));
    errors.extend(revocation_list_errors().into_iter().map(Error::from));
    errors.extend((0..=u8::MAX).map(|number| Error::AlertReceived(number.into())));
    for error in &errors {
        for speaks_tls in [false, true] {
            let text = explain(error, &Evidence { speaks_tls, ..Evidence::NONE });
            assert_words(&text);
        }
    }
}

// rule E8b
#[test]
fn alerts_have_the_names_and_numbers_of_the_registry() {
    let alert = |number: u8| explained(Error::AlertReceived(number.into()));
    assert!(alert(40).contains("the fatal alert handshake_failure (40): "), "{}", alert(40));
    assert!(alert(40).contains("in common"));
    assert!(alert(48).contains("alert unknown_ca (48): "));
    assert!(alert(112).contains("alert unrecognized_name (112): the server does not serve this domain"));
    assert!(alert(120).contains("ALPN"));
    assert!(alert(200).ends_with("alert number 200, which has no name"), "{}", alert(200));
    // Our names are those of rustls, apart from the spelling.
    for number in 0..=u8::MAX {
        let known = format!("{:?}", AlertDescription::from(number)).replace("Recognised", "recognized");
        let known = known.replace("UnrecognisedName", "UnrecognizedName").to_lowercase();
        if !known.starts_with("alertdescription(") && number != 121 {
            let ours = alert::name(number.into()).replace('_', "");
            assert_eq!(ours, format!("{known} ({number})"));
        }
    }
}

// rule E8b: a server with TLS 1.2 says so when it requires a client certificate.
#[test]
fn a_handshake_that_fails_behind_the_server_hello_does_not_lack_a_common_cipher() {
    let failure = Error::AlertReceived(AlertDescription::HandshakeFailure);
    let text = explain(&failure, &Evidence { speaks_tls: true, ..Evidence::NONE });
    assert!(text.contains("client certificate") && !text.contains("in common"), "{text}");
    let io = std::io::Error::other(Explained::new(failure));
    assert_eq!(format!("{io:?}"), format!("Custom {{ kind: Other, error: {text:?} }}"));
}

// rule E8b
#[test]
fn only_before_any_valid_message_of_tls_the_server_speaks_another_protocol() {
    let text = |error: InvalidMessage, speaks_tls| {
        explain(&error.into(), &Evidence { speaks_tls, ..Evidence::NONE })
    };
    let other_protocol = "the server does not speak TLS on this port";
    assert_eq!(text(InvalidMessage::InvalidContentType, false), other_protocol);
    for error in INVALID_MESSAGES {
        assert_ne!(text(error, true), other_protocol);
    }
    // A server that speaks TLS incorrectly.
    assert_ne!(text(InvalidMessage::MissingData("ServerHelloPayload"), false), other_protocol);
    assert!(text(InvalidMessage::HandshakePayloadTooLarge, true).contains("larger than 64 KiB"));
}

// rule E4
#[test]
fn a_wrong_name_is_told_with_the_names_of_the_certificate_bounded_and_escaped() {
    let error = |presented: Vec<String>| {
        let expected = ServerName::try_from("example.org").unwrap();
        explained(CertificateError::NotValidForNameContext { expected, presented })
    };
    assert_eq!(
        error(vec!["DnsName(\"xmpp.example.org\")".into(), "DnsName(\"a\n\u{202e}b\")".into()]),
        "the certificate is not for example.org; it is for xmpp.example.org, a\u{fffd}\u{fffd}b"
    );
    assert_eq!(
        error(vec!["IpAddress(2001:db8::1)".into(), "Unsupported(0x00)".into()]),
        "the certificate is not for example.org; it is for 2001:db8::1"
    );
    assert!(
        error(vec!["Unsupported(0x00)".into(); 2]).ends_with("its names are all of a kind that is not used")
    );
    assert!(error(vec!["x".into(); 1000]).len() < 200);
    assert!(error(vec!["x".repeat(1000); 1000]).len() < 700);
    assert!(error(Vec::new()).contains("no alternative names"));
}

// rule E8b
#[test]
fn times_are_told_as_dates_and_as_days() {
    const DAY: u64 = 86_400;
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let end = 18_628 * DAY - 1;
    let expired =
        |seconds| explained(CertificateError::ExpiredContext { time: at(end + seconds), not_after: at(end) });
    assert_eq!(
        expired(3 * DAY),
        "the certificate expired on 2020-12-31, 3 days ago, or the clock of this machine is wrong (it says 2021-01-03)"
    );
    assert!(expired(3 * DAY - 1).contains(", 2 days ago,"));
    assert!(expired(2 * DAY - 1).contains(", 1 day ago,"));
    assert!(expired(DAY - 1).contains(", less than a day ago,"));
    let not_yet = CertificateError::NotValidYetContext { time: at(end - 2 * DAY), not_before: at(end) };
    assert_eq!(
        explained(not_yet),
        "the certificate is not valid before 2020-12-31, 2 days from now, or the clock of this machine is wrong (it says \
         2020-12-29)"
    );
}

// rule E8b
#[test]
fn names_of_variants_become_words() {
    assert_eq!(words(&PeerMisbehaved::SelectedUnofferedKxGroup), "selected unoffered kx group");
    assert_eq!(words(&Named("UnknownPSKIdentity")), "unknown psk identity");
    assert_eq!(words(&Named("UnknownCA")), "unknown ca");
    assert_eq!(words(&Named("A(1)")), "a");
    assert_eq!(words(&Named("snake_case")), "snake case");
    assert_eq!(words(&Named("")), "no details");
    assert!(is_debug_text("Name") && is_debug_text("Name(1)") && is_debug_text("Name { a: 1 }"));
    assert!(!is_debug_text("A text of words") && !is_debug_text("Name: why") && !is_debug_text("TLS"));
}

// rule E8b
#[test]
fn foreign_texts_are_told_in_one_line_and_names_of_variants_in_words() {
    let inappropriate = |got_type| Error::InappropriateMessage { expect_types: Vec::new(), got_type };
    assert!(explained(inappropriate(ContentType::ApplicationData)).ends_with(" of type application data"));
    assert!(explained(inappropriate(ContentType::from(99))).ends_with(" of type 99"));
    assert_eq!(
        explained(Error::General("The provider says:\n  No. ".to_owned())),
        "a TLS error: The provider says: No"
    );
    assert_eq!(explained(Error::General(" ".to_owned())), "a TLS error: no details");
    assert_eq!(explained(Error::General("a".repeat(1000))).len(), "a TLS error: ".len() + LONGEST_LINE);
    assert_eq!(explained(Error::Other(named("SomeError { code: 7 }"))), "a TLS error: some error");
    assert_eq!(explained(Error::Other(named("No such key"))), "a TLS error: No such key");
}

// rule E8b
#[test]
fn a_revocation_list_that_cannot_be_read_is_damaged() {
    let text = |error: CertRevocationListError| revocation_list(&error);
    let damaged = text(CertRevocationListError::ParseError);
    assert!(damaged.starts_with("it is damaged, or it lacks"), "{damaged}");
    assert_eq!(text(CertRevocationListError::Other(named("TrailingData(CertList)"))), damaged);
    assert_eq!(text(CertRevocationListError::Other(named("NoSuchPoint"))), "no such point");
    assert_eq!(text(CertRevocationListError::InvalidCrlNumber), "invalid crl number");
}

// rule E8b: errors after the handshake.
#[test]
fn a_server_that_was_understood_before_speaks_tls() {
    let text = Explained::new(InvalidMessage::InvalidContentType.into()).to_string();
    assert_eq!(text, "the server sent a malformed TLS message: invalid content type");
}
