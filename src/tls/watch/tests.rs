//! Tests of records: renewals as authorities make them, and real changes.

use std::collections::BTreeMap;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;

use super::CertificateChange::{Certificate, First, Issuer, Key, Same};
use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// An authority's certificate that issues others.
fn authority(country: &str, organization: impl Into<DnValue>, name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CountryName, country);
    parameters.distinguished_name.push(DnType::OrganizationName, organization);
    parameters.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A private authority, which has only a common name.
fn private_authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate that is valid for three months from this one of the year 2026 on; `serial` makes two of a month differ.
fn parameters(month: u8, serial: u64) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
    let date = |month: u8| date_time_ymd(2026 + i32::from((month - 1) / 12), (month - 1) % 12 + 1, 1);
    parameters.not_before = date(month);
    parameters.not_after = date(month + 3);
    parameters.serial_number = Some(serial.into());
    parameters
}

fn shown(der: &CertificateDer<'static>) -> ServerCertificate {
    ServerCertificate::new(vec![der.clone()], None, Arc::new(default_provider()))
}

fn issued(by: &Authority, key: &KeyPair, month: u8) -> ServerCertificate {
    shown(parameters(month, 1).signed_by(key, by).unwrap().der())
}

fn keys<const COUNT: usize>() -> [KeyPair; COUNT] {
    std::array::from_fn(|_| KeyPair::generate().unwrap())
}

/// Compares and adds each certificate, and stores the record as text in between.
#[track_caller]
fn assert_changes(steps: &[(&ServerCertificate, CertificateChange)]) -> CertificateRecord {
    let mut stored = CertificateRecord::new().to_string();
    for (number, (certificate, expected)) in steps.iter().enumerate() {
        let mut record: CertificateRecord = stored.parse().unwrap();
        assert_eq!(record.compare(certificate), *expected, "step {number}");
        record.add(certificate);
        assert_eq!(record.compare(certificate), Same, "step {number}");
        stored = record.to_string();
        assert!(stored.is_ascii() && !stored.contains('\n'));
        assert_eq!(stored.parse::<CertificateRecord>().unwrap(), record);
    }
    stored.parse().unwrap()
}

// rule E8c
#[test]
fn twenty_renewals_are_no_other_issuer() {
    // Let's Encrypt changes its intermediate certificates, and uses others for RSA and ECDSA.
    let name = "Let's Encrypt";
    let issuers = ["R10", "R11", "E5", "E6"].map(|number| authority("US", name, number));
    // The same name in another encoding, and with other spaces and letters.
    let printable = DnValue::PrintableString("LET'S  Encrypt ".try_into().unwrap());
    let new_root = authority("US", printable, "YR1");
    let issuers: Vec<_> = issuers.into_iter().chain([new_root]).collect();
    let keys = keys::<10>();
    let (r10, r11, e5, e6, yr1) = (0, 1, 2, 3, 4);
    // The issuer, the key, the month of issue, and what is said of the certificate when it is seen.
    let renewals = [
        // A server that keeps its key.
        (r10, 0, 1, First),
        (r10, 0, 3, Certificate),
        (r11, 0, 5, Certificate),
        (r10, 0, 7, Certificate),
        (r10, 0, 7, Same),
        // One with a new key each time.
        (r11, 1, 9, Key),
        (r10, 2, 11, Key),
        (r11, 3, 13, Key),
        (yr1, 4, 15, Key),
        (r10, 5, 17, Key),
        // Two servers, or two certificates of one, of which either is shown.
        (e5, 6, 17, Key),
        (r10, 5, 17, Same),
        (e5, 6, 17, Same),
        (e6, 6, 19, Certificate),
        (r10, 5, 17, Same),
        (r11, 7, 19, Key),
        (e6, 6, 19, Same),
        (r11, 7, 19, Same),
        (e5, 8, 21, Key),
        (r11, 7, 21, Certificate),
        (e5, 8, 21, Same),
        (r10, 7, 23, Certificate),
        (e6, 8, 23, Certificate),
        (r11, 7, 25, Certificate),
        (e5, 8, 25, Certificate),
        (r10, 7, 27, Certificate),
        (e6, 8, 27, Certificate),
        // After a year without a renewal.
        (yr1, 9, 37, Key),
    ];
    let count = renewals.iter().filter(|(_, _, _, change)| !matches!(change, First | Same)).count();
    assert_eq!(count, 20);
    // A signature differs each time, so each certificate is made once.
    let mut made = BTreeMap::new();
    for (issuer, key, month, _) in renewals {
        made.entry((issuer, key, month)).or_insert_with(|| issued(&issuers[issuer], &keys[key], month));
    }
    let steps = renewals.map(|(issuer, key, month, change)| (&made[&(issuer, key, month)], change));
    let record = assert_changes(&steps);
    // What had expired is gone.
    assert_eq!(record.0.len(), 1);
}

// rule E8c
#[test]
fn every_change_of_the_issuer_and_of_the_key_is_seen() {
    let encrypt = authority("US", "Let's Encrypt", "R11");
    let others = [
        authority("US", "Google Trust Services", "R11"),
        authority("AT", "ZeroSSL", "R11"),
        // The same organisation in another country.
        authority("XX", "Let's Encrypt", "R11"),
        authority("US", "Lets Encrypt", "R11"),
        private_authority("R11"),
        private_authority("Let's Encrypt US"),
    ];
    let keys = keys::<3>();
    let first = issued(&encrypt, &keys[0], 1);
    for other in &others {
        let changed = issued(other, &keys[1], 2);
        assert_changes(&[(&first, First), (&changed, Issuer), (&issued(other, &keys[2], 3), Key)]);
        // A certificate for the same key shows that it is the same server.
        assert_changes(&[(&first, First), (&issued(other, &keys[0], 2), Certificate)]);
    }
    for [one, other] in [[0, 1], [1, 2], [4, 5]] {
        let (one, other) = (issued(&others[one], &keys[0], 1), issued(&others[other], &keys[1], 2));
        assert_changes(&[(&one, First), (&other, Issuer), (&one, Same)]);
    }
}

// rule E8c
#[test]
fn a_self_signed_certificate_has_no_issuer_but_its_key() {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::OrganizationName, "Let's Encrypt");
    let [own, forged] = keys::<2>();
    let signed = |key: &KeyPair, serial| {
        let mut parameters = parameters(1, serial);
        parameters.distinguished_name = name.clone();
        shown(parameters.self_signed(key).unwrap().der())
    };
    assert_changes(&[
        (&signed(&own, 1), First),
        (&signed(&own, 2), Certificate),
        (&signed(&forged, 3), Issuer),
    ]);
    // Nor does it count as issued by an authority of this name.
    let encrypt = issued(&authority("US", "Let's Encrypt", "R11"), &own, 1);
    assert_changes(&[(&encrypt, First), (&signed(&forged, 3), Issuer)]);
}

// rule E8c
#[test]
fn a_record_is_bounded_and_forgets_what_was_added_longest_ago() {
    let encrypt = authority("US", "Let's Encrypt", "R11");
    let keys = keys::<20>();
    let all: Vec<_> = keys.iter().map(|key| issued(&encrypt, key, 1)).collect();
    let mut record = CertificateRecord::new();
    all.iter().for_each(|certificate| record.add(certificate));
    assert_eq!(record.0.len(), MAX_SEEN);
    assert_eq!(
        (record.compare(&all[19]), record.compare(&all[4]), record.compare(&all[3])),
        (Same, Same, Key)
    );
    // A text that is longer than any record is cut in the same way.
    let line = record.to_string();
    let long = format!("{line} {}", &line[3..]);
    assert_eq!(long.parse::<CertificateRecord>().unwrap(), record);
}

// rule E8c
#[test]
fn what_cannot_be_read_is_another_issuer_and_is_not_added() {
    let damaged = shown(&CertificateDer::from(&b"no certificate"[..]));
    let mut record = CertificateRecord::new();
    record.add(&damaged);
    assert_eq!((record.compare(&damaged), record.to_string().as_str()), (Issuer, "v1"));
}

// rule E8c
#[test]
fn a_damaged_text_is_an_error_and_never_an_empty_record() {
    let [key] = keys();
    let mut record = CertificateRecord::new();
    record.add(&issued(&authority("US", "Let's Encrypt", "R11"), &key, 1));
    let line = record.to_string();
    for wrong in
        ["", "v2", "v1 ", " v1", "v1 a,b,c,1", &line[..line.len() - 12], &line[1..], &format!("{line},1")]
    {
        let error = wrong.parse::<CertificateRecord>().unwrap_err();
        assert!(error.to_string().starts_with("the stored record"), "{wrong}");
    }
    let entry = &line["v1".len()..];
    let whole = format!("v1{}", entry.repeat(16));
    assert_eq!(whole.parse::<CertificateRecord>().unwrap().to_string(), whole);
    for behind in [" garbage", " "] {
        format!("{whole}{behind}").parse::<CertificateRecord>().unwrap_err();
    }
    for end in 3..line.rfind(',').unwrap() {
        line[..end].parse::<CertificateRecord>().unwrap_err();
    }
}

// rule E8c
#[test]
fn every_change_has_words_of_its_own() {
    let words = [First, Same, Certificate, Key, Issuer].map(|change| change.to_string());
    assert_eq!(
        words,
        [
            "first certificate",
            "same certificate",
            "new certificate, same key",
            "new key, same issuer",
            "other issuer"
        ]
    );
}
