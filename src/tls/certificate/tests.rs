//! Tests of reading certificates made by rcgen, and damaged ones.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, DnValue, IsCa, KeyPair,
    date_time_ymd,
};

use super::*;

fn parameters(name: &str) -> CertificateParams {
    let mut parameters =
        CertificateParams::new(vec!["a.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.distinguished_name.push(DnType::OrganizationName, "Ours");
    parameters.not_before = date_time_ymd(2026, 1, 31);
    parameters.not_after = date_time_ymd(2050, 2, 28);
    parameters
}

fn issued(parameters: &CertificateParams) -> Vec<u8> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, DnValue::BmpString("Würzel".try_into().unwrap()));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    parameters.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap().der().to_vec()
}

// rule E8b
#[test]
fn names_issuer_and_dates_are_read() {
    let certificate = Certificate::read(&issued(&parameters("Server"))).unwrap();
    assert_eq!(
        certificate.to_string(),
        "for a.example, 192.0.2.1, issued by \"Würzel\", valid from 2026-01-31 to 2050-02-28"
    );
    assert_eq!(certificate.subject.to_string(), "\"Server (Ours)\"");
    assert!(!certificate.is_self_issued() && certificate.unknown_critical.is_empty());
    assert_eq!((certificate.version, certificate.rsa_bits), (3, None));
    let itself = parameters("Server").self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert!(Certificate::read(itself.der()).unwrap().to_string().contains("self-signed"));
}

// rule E8b
#[test]
fn critical_extensions_are_named() {
    let mut parameters = parameters("Server");
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    parameters.custom_extensions = vec![extension; 9];
    let certificate = Certificate::read(&issued(&parameters)).unwrap();
    assert_eq!(certificate.unknown_critical, ["1.2.3.4"; MAX_EXTENSIONS]);
}

// rule E8b
#[test]
fn names_of_a_hostile_certificate_are_bounded_and_harmless() {
    let mut parameters = parameters(&"\u{1b}[2J\n\u{202e}x".repeat(1000));
    parameters.subject_alt_names =
        vec![rcgen::SanType::DnsName("a".repeat(1000).as_str().try_into().unwrap()); 1000];
    let certificate = Certificate::read(&issued(&parameters)).unwrap();
    let text = format!("{certificate} {}", certificate.subject);
    assert!(text.len() < 1200, "{}", text.len());
    assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text:?}");
}

// rule E8b
#[test]
fn times_of_both_forms_are_read_and_nothing_else() {
    let text = |date: Option<Date>| date.map(|date| date.to_string());
    assert_eq!(text(utc_time(b"491231235959Z")).unwrap(), "2049-12-31");
    assert_eq!(text(utc_time(b"500101000000Z")).unwrap(), "1950-01-01");
    assert_eq!(text(generalized_time(b"99991231235959Z")).unwrap(), "9999-12-31");
    for wrong in [&b""[..], b"Z", b"4912312359Z", b"491331235959Z", b"49+1-1235959Z", b"\xff\xff1231235959Z"]
    {
        assert_eq!(utc_time(wrong), None);
        assert_eq!(generalized_time(wrong), None);
    }
}

// rule E8b
#[test]
fn no_octets_can_stop_the_reading() {
    let good = issued(&parameters("Server"));
    for length in 0..good.len() {
        let _ = Certificate::read(&good[..length]);
    }
    for place in 0..good.len() {
        for octet in [0x00, 0x01, 0x1e, 0x30, 0x7f, 0x80, 0x81, 0x83, 0xff, good[place] ^ 0x20] {
            let mut octets = good.clone();
            octets[place] = octet;
            if let Some(certificate) = Certificate::read(&octets) {
                assert!(certificate.to_string().len() < 4000);
            }
        }
    }
}

// rule E8b
#[test]
fn text_is_read_in_the_encoding_of_its_kind() {
    assert_eq!(text(UTF8_STRING, "Zoë".as_bytes()), "Zoë");
    assert_eq!(text(BMP_STRING, &[0x04, 0x16, 0, b'a']), "Жa");
    assert_eq!(text(0x14, &[b'Z', 0xeb]), "Zë");
    for kind in PRINTABLE_OR_OTHER_ASCII {
        assert_eq!(text(kind, &[b'Z', 0xeb]), "Z\u{fffd}");
    }
    // Four octets each, so many that one more is known to follow.
    let long = text(UTF8_STRING, "𝄞".repeat(LONGEST_NAME + 9).as_bytes());
    assert_eq!(shown(&long), format!("{}…", "𝄞".repeat(LONGEST_NAME)));
}

// rule E8b
#[test]
fn up_to_five_names_are_shown_and_a_name_is_not_said_twice() {
    let names = |count: u8| (1..=count).map(|number| format!("h{number}.test")).collect::<Vec<_>>();
    for (count, start) in [
        (5, "for h1.test, h2.test, h3.test, h4.test, h5.test, issued"),
        (6, "for h1.test, h2.test, h3.test, h4.test, h5.test, …, issued"),
    ] {
        let certificate = Certificate::read(&issued(&CertificateParams::new(names(count)).unwrap())).unwrap();
        assert!(certificate.to_string().starts_with(start), "{certificate}");
    }
    let certificate = Certificate::read(&issued(&parameters("Ours"))).unwrap();
    assert_eq!(certificate.subject.as_str(), "Ours");
}

// rule E8b
#[test]
fn an_authority_is_what_says_so() {
    for (constraints, is_authority) in
        [(&[0x30, 0][..], false), (&[0x30, 3, 1, 1, 0], false), (&[0x30, 3, 1, 1, 0xff], true), (&[], false)]
    {
        assert_eq!(is_of_authority(constraints), is_authority, "{constraints:?}");
    }
}
