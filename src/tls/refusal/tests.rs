//! Tests of the reasons and of their texts.

use std::collections::HashSet;

use super::*;

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
