//! Tests of the reasons and of their texts.

use std::collections::HashSet;
use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::*;
use crate::tls::certificate::Name;
use crate::tls::der::{OBJECT_IDENTIFIER, SEQUENCE, SET, encode};

/// A distinguished name with this common name.
fn name(text: &str) -> Name {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const UTF8_STRING: u8 = 0x0c;
    let attribute = [encode(OBJECT_IDENTIFIER, COMMON_NAME), encode(UTF8_STRING, text.as_bytes())].concat();
    Name::read(&encode(SET, &encode(SEQUENCE, &attribute)))
}

fn certificate(subject: &str, issuer: &str) -> Certificate {
    Certificate {
        version: 3,
        serial_number: String::new(),
        subject: name(subject),
        issuer: name(issuer),
        not_before: Some(day(100)),
        not_after: Some(day(200)),
        rsa_bits: None,
        names: Vec::new(),
        is_authority: false,
        unknown_critical: Vec::new(),
    }
}

/// The day with this number since 1970.
fn day(number: u64) -> Date {
    Date::from_seconds(number * 86_400)
}

/// The reason, without the description of the certificate.
fn reason_with(error: &CertificateError, chain: &[Certificate]) -> String {
    reason(error, &Evidence { chain: chain.to_vec(), ..Evidence::NONE })
}

// rule E8b
#[test]
fn an_unknown_issuer_is_named_by_where_the_chain_ends() {
    let text = |chain: &[(&str, &str)]| {
        let chain: Vec<_> = chain.iter().map(|(subject, issuer)| certificate(subject, issuer)).collect();
        reason_with(&CertificateError::UnknownIssuer, &chain)
    };
    assert!(text(&[]).starts_with("the certificate was not issued by a trusted authority"));
    assert!(text(&[("S", "S")]).starts_with("the certificate is self-signed"));
    assert!(
        text(&[("S", "A")])
            .starts_with("the certificate was issued by \"A\", which is not trusted and whose")
    );
    let private =
        "the chain ends at the private authority \"R\", which is not trusted; trust its root certificate";
    assert_eq!(text(&[("S", "R"), ("R", "R")]), private);
    // In any order, and beside one that does not belong there.
    assert_eq!(text(&[("S", "A"), ("R", "R"), ("B", "C"), ("A", "R")]), private);
    assert!(
        text(&[("S", "A"), ("A", "R")]).starts_with("the chain ends at \"A\", issued by \"R\", which is not")
    );
    // It may be circular.
    assert!(text(&[("S", "A"), ("A", "B"), ("B", "A")]).starts_with("the chain ends at "));
}

// rule E8b
#[test]
fn the_certificate_whose_dates_are_wrong_is_named() {
    let time = |number: u64| UnixTime::since_unix_epoch(Duration::from_secs(number * 86_400));
    let mut chain = [certificate("S", "A"), certificate("A", "R")];
    let expired = CertificateError::ExpiredContext { time: time(300), not_after: time(200) };
    assert!(reason_with(&expired, &chain).starts_with("the certificate expired on 1970-07-20, 100 days ago"));
    chain[0].not_after = Some(day(400));
    let text = reason_with(&expired, &chain);
    assert!(
        text.starts_with("the certificate of the authority \"A\" expired on 1970-07-20, 100 days ago"),
        "{text}"
    );
    let not_yet = CertificateError::NotValidYetContext { time: time(90), not_before: time(100) };
    assert!(
        reason_with(&not_yet, &chain).starts_with("the certificate is not valid before 1970-04-11, 10 days")
    );
    chain[0].not_before = Some(day(50));
    let text = reason_with(&not_yet, &chain);
    assert!(
        text.starts_with("the certificate of the authority \"A\" is not valid before 1970-04-11"),
        "{text}"
    );
}

// rule E8b
#[test]
fn a_certificate_that_ends_before_it_begins_is_never_valid() {
    let text = |start, end| {
        let authority = Certificate { not_before: start, not_after: end, ..certificate("A", "R") };
        reason_with(&CertificateError::Expired, &[certificate("S", "A"), authority])
    };
    assert_eq!(
        text(Some(day(1)), Some(day(0))),
        "the certificate of the authority \"A\" is never valid: it ends on 1970-01-01, before it begins on 1970-01-02"
    );
    // One that ends at once was valid for a moment, and nothing is known of one whose dates cannot be read.
    for (start, end) in [(Some(day(1)), Some(day(1))), (Some(day(1)), None), (None, Some(day(1)))] {
        assert!(
            text(start, end).starts_with("the certificate has expired, or the clock"),
            "{start:?}, {end:?}"
        );
    }
}

// rule E8b
#[test]
fn a_bad_signature_is_explained_by_whose_key_is_short() {
    let text = |part, bits: [Option<usize>; 2]| {
        let mut chain = [certificate("S", "A"), certificate("A", "R")];
        for (certificate, bits) in chain.iter_mut().zip(bits) {
            certificate.rsa_bits = bits;
        }
        let evidence = Evidence { chain: chain.to_vec(), part, ..Evidence::NONE };
        reason(&CertificateError::BadSignature, &evidence)
    };
    let short = |name| {
        format!(
            "the RSA key of \"{name}\" has 2047 bits, and fewer than 2048 are not secure; create a longer one"
        )
    };
    // The key of the server signs the handshake only.
    assert_eq!(text(Part::Signature, [Some(2047), None]), short("S"));
    let mismatch = "a signature in the chain is invalid: the trusted certificate of \"R\" has a different key than the one \
                    that signed, or an RSA key of fewer than 2048 bits";
    assert_eq!(text(Part::Chain, [Some(2047), None]), mismatch);
    assert_eq!(text(Part::Chain, [None, Some(2047)]), short("A"));
    assert_eq!(text(Part::Chain, [None, Some(2048)]), mismatch);
    assert_eq!(
        text(Part::Signature, [Some(2048), Some(4096)]),
        "the server's private key does not match the certificate"
    );
    let nothing_known = reason_with(&CertificateError::BadSignature, &[]);
    assert_eq!(nothing_known, "a signature by the server or its authority is invalid");
}

// rule E8b
#[test]
fn what_the_provider_cannot_verify_is_named_with_the_feature_that_can() {
    const ECDSA_WITH_SHA_512: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
    const ED448: &[u8] = &[6, 3, 0x2b, 0x65, 0x71];
    assert_eq!(
        unsupported(ECDSA_WITH_SHA_512, None),
        "the signature of a certificate, ECDSA with SHA-512, cannot be verified by the crypto provider in use; feature \
         `aws-lc-rs` instead of `ring` can"
    );
    assert_eq!(
        unsupported(ED448, Some(ED448)),
        "the signature of a certificate, Ed448 by a key for Ed448, cannot be verified by the crypto provider in use"
    );
}

// rule E8b
#[test]
fn the_certificate_that_webpki_cannot_take_is_described() {
    let critical = |identifiers: &[&str]| Certificate {
        unknown_critical: identifiers.iter().map(|identifier| (*identifier).to_owned()).collect(),
        ..certificate("S", "A")
    };
    let unknown = CertificateError::UnhandledCriticalExtension;
    assert_eq!(
        reason_with(&unknown, &[critical(&["1.2.3"]), critical(&["1.2.4"])]),
        "the certificate has an unknown critical extension (1.2.3, 1.2.4); create one without it, or with it not critical"
    );
    assert!(reason_with(&unknown, &[critical(&[])]).contains("unknown critical extension; create"));
    let evidence =
        Evidence { chain: vec![Certificate { version: 2, ..certificate("S", "A") }], ..Evidence::NONE };
    let old = by_name("UnsupportedCertVersion", &evidence).unwrap();
    assert!(old.starts_with("the certificate has X.509 version 2, and version 3 is required"), "{old}");
}

// rule E8b
#[test]
fn what_a_certificate_is_for_instead_is_named() {
    let text = |presented| {
        let required = ExtendedKeyPurpose::ServerAuth;
        reason_with(&CertificateError::InvalidPurposeContext { required, presented }, &[])
    };
    assert_eq!(
        text(vec![ExtendedKeyPurpose::ClientAuth, ExtendedKeyPurpose::Other(vec![1, 2])]),
        "the certificate is not for server authentication but for client authentication, purpose 1.2 (extended key usage)"
    );
    assert!(text(Vec::new()).contains(" but for nothing "));
    assert_eq!(text(vec![ExtendedKeyPurpose::ClientAuth; 9]).matches("client").count(), MAX_NAMES);
}

// rule E8b
#[test]
fn every_error_that_is_known_by_its_name_has_words_of_its_own() {
    let own = [
        "CaUsedAsEndEntity",
        "EndEntityUsedAsCa",
        "UnsupportedCertVersion",
        "UnsupportedCriticalExtension",
        "NameConstraintViolation",
        "PathLenConstraintViolated",
        "MaximumPathDepthExceeded",
        "EmptyEkuExtension",
        "CertDistrusted",
        "SignatureAlgorithmMismatch",
        "BadDer",
    ];
    let words: HashSet<String> = own.iter().filter_map(|name| by_name(name, &Evidence::NONE)).collect();
    assert_eq!(words.len(), own.len());
    for name in ["MalformedExtensions", "ExtensionValueInvalid", "BadDerTime", "TrailingData"] {
        assert_eq!(by_name(name, &Evidence::NONE).unwrap(), "the certificate is malformed");
    }
    assert_eq!(by_name("InvalidSerialNumber", &Evidence::NONE), None);
}

// rule E8b
#[test]
fn at_most_five_names_are_shown() {
    let names =
        |count| -> Vec<String> { (1..=count).map(|number| format!("DnsName(\"h{number}\")")).collect() };
    assert_eq!(named(&names(5)), "it is for h1, h2, h3, h4, h5");
    for count in [6, 7] {
        assert_eq!(named(&names(count)), "it is for h1, h2, h3, h4, h5, …");
    }
    let kinds = ["Unsupported(0x00)", "DirectoryName", "IpAddress(192.0.2.1)", "plain"].map(String::from);
    assert_eq!(named(&kinds), "it is for 192.0.2.1, plain");
}

// rule E8b
#[test]
fn a_purpose_has_the_name_that_people_use() {
    let other = |numbers: &[usize]| purpose(&ExtendedKeyPurpose::Other(numbers.to_vec()));
    assert_eq!(purpose(&ExtendedKeyPurpose::ServerAuth), "server authentication");
    assert_eq!(purpose(&ExtendedKeyPurpose::ClientAuth), "client authentication");
    for (last, name) in
        [(3, "code signing"), (4, "e-mail protection"), (8, "time stamping"), (9, "OCSP signing")]
    {
        assert_eq!(other(&[1, 3, 6, 1, 5, 5, 7, 3, last]), name);
    }
    assert_eq!(other(&[2, 5, 29, 37, 0]), "any purpose");
    assert_eq!(other(&[1, 2, 3]), "purpose 1.2.3");
}

// rule B7
#[test]
fn the_reason_is_that_of_the_error() {
    use rustls::CertRevocationListError;
    for (error, expected) in [
        (rustls::Error::NoCertificatesPresented, Some(UntrustedReason::Missing)),
        (CertRevocationListError::BadSignature.into(), Some(UntrustedReason::Revoked)),
        (CertificateError::Expired.into(), Some(UntrustedReason::Expired)),
        (CertificateError::NotValidYet.into(), Some(UntrustedReason::NotYetValid)),
        (CertificateError::NotValidForName.into(), Some(UntrustedReason::WrongName)),
        (CertificateError::UnknownIssuer.into(), Some(UntrustedReason::UnknownIssuer)),
        (CertificateError::UnknownRevocationStatus.into(), Some(UntrustedReason::Revoked)),
        (CertificateError::BadEncoding.into(), Some(UntrustedReason::Unacceptable)),
        (rustls::Error::DecryptError, None),
    ] {
        assert_eq!(UntrustedReason::of(&error), expected, "{error}");
    }
}
