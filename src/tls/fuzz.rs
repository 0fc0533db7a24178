//! What holds for every certificate, revocation list and TLSA record, and for every file that should have certificates. No IO.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "code of tests")]

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::certificate::{Certificate, Fields, shown};
use super::der::{INTEGER, OBJECT_IDENTIFIER, SEQUENCE, Values, dotted, encode};
use super::extensions::{KeyUsage, allows, extension};
use super::identity::{self, MatchedName, Wanted};
use super::other_names::{Accepted, other_names};
use super::private_names::{self, Uncounted};
use super::{RevocationLists, ServerCertificate, TlsaRecord, algorithm, choose_provider, pem, usable};
use crate::fuzzing::check_text;
use crate::service::Service;

/// The first byte chooses what the others are: a certificate, a revocation list, a TLSA record, or a file. True: it is one.
pub(crate) fn certificate(input: &[u8]) -> bool {
    let Some((choice, octets)) = input.split_first() else { return false };
    match choice % 4 {
        0 => check_certificate(octets),
        1 => check_revocation_list(octets),
        2 => check_tlsa(octets),
        _ => check_file(octets),
    }
}

fn check_certificate(der: &[u8]) -> bool {
    check_der(der, 0);
    let certificate = CertificateDer::from(der);
    let fields = Fields::read(der);
    let read = Certificate::read(der);
    assert_eq!(read.is_some(), fields.is_some());
    for name in &read.iter().flat_map(|read| &read.names).collect::<Vec<_>>() {
        check_text(name);
    }
    let names = other_names(der);
    for name in names.iter().flatten() {
        check_text(&name.to_string());
    }
    let _ = (allows(der, KeyUsage::DigitalSignature), allows(der, KeyUsage::KeyCertSign));
    let _ = (algorithm::signature(der), algorithm::key(der), algorithm::rsa_bits(der));
    check_text(&shown(&String::from_utf8_lossy(der)));

    // What webpki reads is read here in the same way, since what is shown and pinned must be what is verified.
    let parsed = ParsedCertificate::try_from(&certificate);
    if let Ok(parsed) = &parsed {
        let fields = fields.unwrap();
        assert_eq!(fields.public_key, parsed.subject_public_key_info().as_ref());
        assert!(extension(der, "2.5.29.17").is_ok(), "webpki accepts it");
    }
    for wanted in ["a.example", "b.a.example", "192.0.2.1", "2001:db8::1"] {
        let name = ServerName::try_from(wanted).unwrap();
        let accepted = Accepted { srv_ids: true, xmpp_addrs: true };
        let wanted = Wanted { name: name.to_owned(), service: Service::Client, accepted };
        let matched = identity::matched(&wanted, der);
        if let Some(matched) = &matched {
            check_text(&matched.to_string());
        }
        let is_other = matches!(matched, Some(MatchedName::SrvId(_) | MatchedName::XmppAddr(_)));
        let is_by_webpki = parsed.as_ref().is_ok_and(|parsed| verify_server_name(parsed, &name).is_ok());
        assert!(
            !is_by_webpki || matched.is_some() && !is_other,
            "webpki accepts {name:?}, and here it is {matched:?}"
        );
        if let Some(text) = private_names::explain(&certificate, &name, Uncounted::Off) {
            check_text(&text);
        }
        check_facts(der, wanted);
    }
    check_tlsa_of(&certificate, parsed.is_ok());
    parsed.is_ok()
}

/// The facts for the caller.
fn check_facts(der: &[u8], wanted: Wanted) {
    let Some(provider) = choose_provider(None) else { return };
    let certificate = ServerCertificate::new(vec![der.to_vec().into()], Some(wanted), provider);
    for text in
        [certificate.subject(), certificate.issuer(), certificate.serial_number(), &certificate.to_string()]
    {
        check_text(text);
    }
    let (from, until) = (certificate.not_before(), certificate.not_after());
    assert_eq!(
        (from.is_some(), until.is_some()),
        (certificate.begin().is_some(), certificate.end().is_some())
    );
    let mut record = super::CertificateRecord::new();
    record.add(&certificate);
    let text = record.to_string();
    assert_eq!(text.parse().as_ref(), Ok(&record), "{text}");
    let is_readable = certificate.key_fingerprint().is_some() && until.is_some();
    let expected =
        if is_readable { super::CertificateChange::Same } else { super::CertificateChange::Issuer };
    assert_eq!(record.compare(&certificate), expected);
}

/// A certificate is named by the record that is made for it, and by those that have it in full.
fn check_tlsa_of(certificate: &CertificateDer<'_>, is_accepted: bool) {
    if choose_provider(None).is_none() {
        return;
    }
    let record = TlsaRecord::of_key(certificate);
    assert_eq!(record.is_some(), is_accepted);
    let is_anchor = RootCertStore::empty().add(certificate.clone().into_owned()).is_ok();
    let full = |usage| TlsaRecord { usage, selector: 0, matching: 0, data: certificate.to_vec() };
    let chain = [certificate.clone(), certificate.clone()];
    for (record, position) in [
        (record, is_accepted.then_some(0)),
        (Some(full(3)), is_accepted.then_some(0)),
        (Some(full(2)), is_anchor.then_some(1)),
    ] {
        let Some(record) = record else { continue };
        assert_eq!(record.position_in(&chain), position, "{record}");
        assert!(position.is_none() || record.is_usable());
    }
}

/// Values are encoded in one way only, and identifiers are written in one.
fn check_der(octets: &[u8], depth: usize) {
    let mut values = Values(octets);
    loop {
        let before = values.0;
        let Some(value) = values.next() else { break };
        assert_eq!(encode(value.tag, value.content), before[..before.len() - values.0.len()]);
        if value.tag == OBJECT_IDENTIFIER {
            check_identifier(value.content);
        }
        if value.tag & 0x20 != 0 && depth < 8 {
            check_der(value.content, depth + 1);
        }
    }
}

fn check_identifier(identifier: &[u8]) {
    let text = dotted(identifier);
    if text.is_empty() {
        return;
    }
    let numbers: Vec<u128> = text.split('.').map(|number| number.parse().unwrap()).collect();
    let joined = [&[numbers[0] * 40 + numbers[1]], &numbers[2..]].concat();
    let octets = joined.into_iter().flat_map(|number| {
        let digits: Vec<u128> = (0..18).map(|place| number >> (7 * place) & 0x7f).collect();
        let last = digits.iter().rposition(|digit| *digit != 0).unwrap_or_default();
        (0..=last)
            .rev()
            .map(move |place| u8::try_from(digits[place]).unwrap() | if place == 0 { 0 } else { 0x80 })
    });
    assert_eq!(octets.collect::<Vec<_>>(), identifier, "{text}");
}

/// A list, and the certificate that its first entry is about.
fn check_revocation_list(der: &[u8]) -> bool {
    let lists = RevocationLists::new([CertificateRevocationListDer::from(der.to_vec())]);
    let mut found = false;
    for (issuer, serial) in first_entry(der).into_iter().chain([(&[][..], &[1][..])]) {
        let empty = encode(SEQUENCE, &[]);
        let fields = [
            encode(INTEGER, serial),
            empty.clone(),
            encode(SEQUENCE, issuer),
            empty.clone(),
            empty.clone(),
            empty,
        ];
        let certificate = CertificateDer::from(encode(SEQUENCE, &encode(SEQUENCE, &fields.concat())));
        for error in [CertificateError::Revoked, CertificateError::UnknownRevocationStatus] {
            let text = lists.explain(&error, std::slice::from_ref(&certificate));
            found |= text.as_ref().is_some_and(|text| text.contains("was revoked"));
            check_text(&text.unwrap_or_default());
        }
    }
    found
}

/// The issuer of a list, and the serial number of its first entry.
fn first_entry(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Values(Values(Values(der).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
    let _version = fields.next_of(INTEGER);
    let _algorithm = fields.next_of(SEQUENCE)?;
    let issuer = fields.next_of(SEQUENCE)?;
    let entries = fields.find_map(|field| field.of(SEQUENCE))?;
    Some((issuer, Values(Values(entries).next_of(SEQUENCE)?).next_of(INTEGER)?))
}

fn check_tlsa(octets: &[u8]) -> bool {
    // Records of 35 octets, and a last one of any length.
    let records = octets.chunks(if octets.len() < 400 { 35 } else { octets.len() });
    let records: Vec<TlsaRecord> = records
        .filter_map(|octets| octets.split_first_chunk::<3>())
        .map(|(&[usage, selector, matching], data)| TlsaRecord {
            usage,
            selector,
            matching,
            data: data.to_vec(),
        })
        .collect();
    let kept = usable(&records);
    assert!(kept.iter().all(|record| record.is_usable() && records.contains(record)));
    assert_eq!(kept.is_empty(), !records.iter().any(TlsaRecord::is_usable), "{records:?}");
    assert_eq!(usable(&kept), kept);
    for record in &records {
        check_text(&record.to_string());
        let _ = record.position_in(&[CertificateDer::from(octets)]);
    }
    !kept.is_empty()
}

fn check_file(octets: &[u8]) -> bool {
    match pem::certificates(octets) {
        Ok(certificates) => {
            assert!(!certificates.is_empty());
            for certificate in &certificates {
                assert_eq!(pem::certificates(certificate).as_ref(), Ok(&vec![certificate.clone()]));
            }
            true
        }
        Err(why) => {
            check_text(&why);
            false
        }
    }
}
