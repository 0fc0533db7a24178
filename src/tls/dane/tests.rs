//! Tests of TLSA records: what they name, and whom the verifier accepts. No IO.

#![cfg(feature = "ring")]

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, PublicKeyData, date_time_ymd,
};
use ring::digest::{SHA256, SHA512, digest};
use rustls::CertificateError;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{ServerName, UnixTime};

use super::verifier::{Basis, DaneVerifier};
use super::*;
use crate::domain::Host;
use crate::service::{Service, TlsMode};
use crate::tls::refusal::UntrustedReason;
use crate::tls::sessions::Endpoint;
use crate::tls::{TlsOptions, Trust, pins};

const DOMAIN: &str = "example.org";
const TARGET: &str = "xmpp.hosting.example";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, in the forms that records have.
#[derive(Clone)]
struct Made {
    certificate: CertificateDer<'static>,
    public_key: Vec<u8>,
}

impl Made {
    /// The record that names it.
    fn record(&self, usage: u8, selector: u8, matching: u8) -> TlsaRecord {
        let selected = if selector == 0 { self.certificate.to_vec() } else { self.public_key.clone() };
        let data = match matching {
            1 => digest(&SHA256, &selected).as_ref().to_vec(),
            2 => digest(&SHA512, &selected).as_ref().to_vec(),
            _ => selected,
        };
        TlsaRecord { usage, selector, matching, data }
    }
}

/// Selector and matching type.
fn forms() -> impl Iterator<Item = (u8, u8)> {
    (0..=1).flat_map(|selector| (0..=2).map(move |matching| (selector, matching)))
}

struct Chain {
    root: Made,
    intermediate: Made,
    leaf: Made,
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn made(issuer: &Issuer) -> Made {
    Made { certificate: issuer.der().clone(), public_key: issuer.key().subject_public_key_info() }
}

impl Chain {
    fn new(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::with_root(authority("Root"), names, change)
    }

    fn with_root(
        root: CertificateParams,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority("Intermediate"), key, &root).unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut parameters = CertificateParams::new(names).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &intermediate).unwrap().der().clone();
        let leaf = Made { certificate, public_key: key.subject_public_key_info() };
        Self { root: made(&root), intermediate: made(&intermediate), leaf }
    }

    /// The reason why a server with these records is refused, if it is. `trusted` is a usual root; the server sends its
    /// intermediate certificate, and its root certificate too if `sends_root`.
    fn refusal(&self, records: &[TlsaRecord], trusted: &Made, sends_root: bool) -> Option<UntrustedReason> {
        let sent = [self.intermediate.certificate.clone(), self.root.certificate.clone()];
        let sent = if sends_root { &sent[..] } else { &sent[..1] };
        verify(records, trusted, &self.leaf.certificate, sent)
            .err()
            .map(|error| UntrustedReason::of(&error).unwrap_or_else(|| panic!("{error:?}")))
    }
}

fn verify(
    records: &[TlsaRecord],
    trusted: &Made,
    leaf: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
) -> Result<(), Error> {
    let name = ServerName::try_from(DOMAIN).unwrap();
    verifier(records, trusted).verify_server_cert(leaf, sent, &name, &[], now()).map(|_| ())
}

fn verifier(records: &[TlsaRecord], trusted: &Made) -> DaneVerifier {
    let records = usable(records);
    assert!(!records.is_empty(), "without usable records there is no such verifier");
    let trust = Trust { only_given: true, given: vec![trusted.certificate.clone()], ..Trust::default() };
    let options = TlsOptions { trust, ..TlsOptions::default() };
    let usual = pins::usual(&options, &Service::Client, &Arc::new(default_provider())).unwrap();
    let roots = Arc::new(crate::tls::roots::roots(&options.trust).unwrap());
    let endpoint = Endpoint { host: Host::Name(TARGET.to_owned()), port: 5223, tls: TlsMode::Direct };
    DaneVerifier::new(Basis { usual, roots, service: Service::Client }, &endpoint, records)
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_790_000_000))
}

/// The record by which this chain, the server's own certificate first, was accepted.
fn deciding(
    records: &[TlsaRecord],
    trusted: &Made,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<TlsaRecord> {
    let domain = &ServerName::try_from(DOMAIN).unwrap();
    verifier(records, trusted).matched(Shown { chain, domain, now })
}

fn stranger() -> Made {
    Chain::with_root(authority("Stranger"), &[DOMAIN], |_| {}).root
}

// rule E10
#[test]
fn a_record_of_usage_3_names_the_certificate_whatever_it_says() {
    let expired = |parameters: &mut CertificateParams| parameters.not_after = date_time_ymd(2020, 1, 1);
    for chain in
        [Chain::new(&[DOMAIN], |_| {}), Chain::new(&["other.example"], |_| {}), Chain::new(&[], expired)]
    {
        for (selector, matching) in forms() {
            let right = chain.leaf.record(3, selector, matching);
            assert_eq!(chain.refusal(from_ref(&right), &stranger(), false), None, "{right}");
            // Also beside others.
            let others = [stranger().record(3, 1, 1), right, stranger().record(2, 0, 1)];
            assert_eq!(chain.refusal(&others, &stranger(), false), None);
        }
    }
}

// rule E10
#[test]
fn a_record_that_names_another_certificate_refuses_even_a_trusted_one() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    for usage in 0..=3 {
        for (selector, matching) in forms() {
            let wrong = stranger().record(usage, selector, matching);
            let refusal = chain.refusal(from_ref(&wrong), &chain.root, true);
            assert_eq!(refusal, Some(UntrustedReason::NoTlsaMatch), "{wrong}");
        }
    }
}

// rule E10
#[test]
fn records_of_usages_1_and_3_name_no_authority_and_those_of_0_and_2_no_server() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    for (selector, matching) in forms() {
        for usage in [1, 3] {
            let record = chain.intermediate.record(usage, selector, matching);
            assert_eq!(record.position_in(from_ref(&chain.leaf.certificate)), None);
            assert_eq!(chain.refusal(&[record], &chain.root, true), Some(UntrustedReason::NoTlsaMatch));
        }
        for usage in [0, 2] {
            let record = chain.leaf.record(usage, selector, matching);
            assert!(chain.refusal(from_ref(&record), &chain.root, true).is_some(), "{record}");
        }
    }
}

// rule E10
#[test]
fn a_record_of_usage_2_names_an_authority_that_need_not_be_trusted() {
    for name in [DOMAIN, TARGET] {
        let chain = Chain::new(&[name], |_| {});
        for (selector, matching) in forms() {
            let intermediate = chain.intermediate.record(2, selector, matching);
            let root = chain.root.record(2, selector, matching);
            assert_eq!(chain.refusal(from_ref(&intermediate), &stranger(), false), None, "{intermediate}");
            assert_eq!(chain.refusal(from_ref(&root), &stranger(), true), None, "{root}");
            // A root that the server does not send has to stand in the record (RFC 7671 section 5.2.2).
            let is_in_record = matching == 0;
            let refusal = chain.refusal(from_ref(&root), &stranger(), false);
            assert_eq!(refusal.is_none(), is_in_record, "{root}: {refusal:?}");
        }
    }
}

// rule E10
#[test]
fn names_and_dates_and_constraints_count_with_usage_2() {
    let chain = Chain::new(&["other.example"], |_| {});
    let record = chain.root.record(2, 0, 1);
    assert_eq!(chain.refusal(&[record], &stranger(), true), Some(UntrustedReason::WrongName));
    let chain = Chain::new(&[DOMAIN], |parameters| parameters.not_after = date_time_ymd(2020, 1, 1));
    let record = chain.root.record(2, 0, 1);
    assert_eq!(chain.refusal(from_ref(&record), &chain.root, true), Some(UntrustedReason::Expired));
    // Unless another record names the certificate itself.
    let records = [record, chain.leaf.record(3, 1, 1)];
    assert_eq!(chain.refusal(&records, &stranger(), true), None);
    let mut root = authority("Root");
    root.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let chain = Chain::with_root(root, &[DOMAIN], |_| {});
    let record = chain.root.record(2, 1, 1);
    assert!(chain.refusal(&[record], &stranger(), true).is_some());
}

// rule E10
#[test]
fn key_usage_counts_with_usage_2_and_not_with_usage_3() {
    let may_not_sign =
        |parameters: &mut CertificateParams| parameters.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    let chain = Chain::new(&[DOMAIN], may_not_sign);
    let refusal = chain.refusal(&[chain.root.record(2, 1, 1)], &chain.root, true);
    assert_eq!(refusal, Some(UntrustedReason::Unacceptable));
    assert_eq!(chain.refusal(&[chain.leaf.record(3, 1, 1)], &stranger(), true), None);
    let mut root = authority("Root");
    root.key_usages = vec![KeyUsagePurpose::CrlSign];
    let chain = Chain::with_root(root, &[DOMAIN], |_| {});
    let refusal = chain.refusal(&[chain.root.record(2, 1, 1)], &stranger(), true);
    assert_eq!(refusal, Some(UntrustedReason::NoTlsaMatch), "it may not sign certificates");
}

// rule E10
#[test]
fn records_of_usages_0_and_1_narrow_down_what_is_trusted() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    for (selector, matching) in forms() {
        let own = chain.leaf.record(1, selector, matching);
        assert_eq!(chain.refusal(from_ref(&own), &chain.root, false), None, "{own}");
        assert_eq!(chain.refusal(&[own], &stranger(), false), Some(UntrustedReason::UnknownIssuer));
        let intermediate = chain.intermediate.record(0, selector, matching);
        assert_eq!(chain.refusal(from_ref(&intermediate), &chain.root, false), None, "{intermediate}");
        let refusal = chain.refusal(&[intermediate], &stranger(), false);
        assert_eq!(refusal, Some(UntrustedReason::UnknownIssuer));
        // A root that the server does not send is known by its key.
        let root = chain.root.record(0, selector, matching);
        let refusal = chain.refusal(from_ref(&root), &chain.root, false);
        assert_eq!(refusal.is_none(), selector == 1 || matching == 0, "{root}: {refusal:?}");
    }
    // The name of the server is not one that is trusted usually (rule E4).
    let chain = Chain::new(&[TARGET], |_| {});
    let record = chain.leaf.record(1, 1, 1);
    assert_eq!(chain.refusal(&[record], &chain.root, false), Some(UntrustedReason::WrongName));
}

// rule E10: "CA:TRUE" in a certificate that signed itself, as many tools make it.
#[test]
fn a_self_signed_certificate_needs_no_authority() {
    let key = KeyPair::generate().unwrap();
    let certificate = authority("Server").self_signed(&key).unwrap().der().clone();
    let made = Made { certificate, public_key: key.subject_public_key_info() };
    for (selector, matching) in forms() {
        let record = made.record(3, selector, matching);
        assert_eq!(verify(from_ref(&record), &stranger(), &made.certificate, &[]), Ok(()), "{record}");
        assert_eq!(record.position_in(from_ref(&made.certificate)), Some(0));
    }
}

// rule E10
#[test]
fn unusable_records_are_ignored_and_the_stronger_hash_counts() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    let [leaf, other] = [chain.leaf, stranger()];
    let unknown = [(4, 1, 1), (255, 0, 1), (3, 2, 1), (3, 1, 3)]
        .map(|(usage, selector, matching)| TlsaRecord { usage, selector, matching, ..leaf.record(3, 1, 1) });
    let damaged = [
        TlsaRecord { data: Vec::new(), ..leaf.record(3, 1, 1) },
        TlsaRecord { data: vec![0; 31], ..leaf.record(3, 1, 1) },
        TlsaRecord { data: vec![0; 32], ..leaf.record(3, 1, 2) },
        TlsaRecord { data: Vec::new(), ..leaf.record(3, 0, 0) },
        TlsaRecord { data: vec![1, 2, 3], ..leaf.record(2, 1, 0) },
    ];
    for record in unknown.iter().chain(&damaged) {
        assert_eq!(usable([record]), [], "{record}");
        assert_eq!(record.position_in(from_ref(&leaf.certificate)), None);
    }
    let good = leaf.record(3, 1, 1);
    assert_eq!(usable(unknown.iter().chain(&damaged).chain([&good, &good])), *from_ref(&good));
    // For one usage and selector only the strongest hash counts, and what stands in full.
    let [strong, full] = [other.record(3, 1, 2), other.record(3, 1, 0)];
    assert_eq!(usable([&good, &strong, &full]), [full, strong.clone()]);
    let others = [leaf.record(3, 0, 1), leaf.record(1, 1, 1)];
    assert_eq!(usable([&others[0], &others[1], &strong]).len(), 3);
    let many: Vec<TlsaRecord> =
        (0..=255).map(|octet| TlsaRecord { data: vec![octet; 32], ..good.clone() }).collect();
    assert_eq!(usable(&many).len(), MAX_TLSA_RECORDS);
}

// rule E10
#[test]
fn of_too_many_records_those_that_are_tried_first_are_kept() {
    let right = stranger().record(3, 1, 1);
    let many = (0..=255).map(|octet| TlsaRecord { usage: 0, data: vec![octet; 32], ..right.clone() });
    let records: Vec<TlsaRecord> = many.chain([right.clone()]).collect();
    let kept = usable(&records);
    assert_eq!(kept.len(), MAX_TLSA_RECORDS);
    assert!(kept.contains(&right));
}

// rule E10
#[test]
fn the_record_that_matches_is_found() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    let sent = [chain.leaf.certificate.clone(), chain.intermediate.certificate.clone()];
    let of = |made: &Made, usage: u8| made.record(usage, 1, 1);
    for (made, usage, place) in [(&chain.leaf, 3, 0), (&chain.leaf, 1, 0), (&chain.intermediate, 2, 1)] {
        assert_eq!(of(made, usage).position_in(&sent), Some(place));
    }
    assert_eq!(of(&chain.root, 2).position_in(&sent), None);
    let matched = |records: &[TlsaRecord]| deciding(records, &chain.root, &sent, now());
    let records = [of(&stranger(), 3), of(&chain.leaf, 3), of(&chain.intermediate, 2)];
    assert_eq!(matched(&records), Some(records[1].clone()));
    assert_eq!(matched(&records[..1]), None);
    assert_eq!(matched(&[stranger().record(3, 0, 0), of(&stranger(), 2)]), None);
    let root = chain.root.record(2, 0, 0);
    assert_eq!(matched(from_ref(&root)), Some(root));
    assert_eq!(TlsaRecord::of_key(&sent[0]), Some(of(&chain.leaf, 3)));
    assert_eq!(TlsaRecord::of_key(&CertificateDer::from(&b"none"[..])), None);
}

// rule E10
#[test]
fn the_record_that_has_decided_is_found_beside_others_that_match() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    let stray = stranger();
    let sent = [&chain.leaf, &chain.intermediate, &stray].map(|made| made.certificate.clone());
    let deciding = |records: &[TlsaRecord]| deciding(records, &chain.root, &sent, now());
    // A root that the server does not send.
    let root = chain.root.record(0, 1, 1);
    assert_eq!(deciding(from_ref(&root)), Some(root.clone()));
    // A record that has another authority in full.
    assert_eq!(deciding(&[root.clone(), stranger().record(2, 0, 0)]), Some(root.clone()));
    assert_eq!(deciding(&[stranger().record(0, 0, 0), root.clone()]), Some(root));
    // A certificate that the server sends, and that has issued nothing.
    let own = chain.leaf.record(1, 0, 1);
    assert_eq!(deciding(&[stray.record(2, 0, 1), own.clone()]), Some(own));
    let above = chain.intermediate.record(2, 0, 1);
    for other in [stray.record(2, 0, 1), stray.record(2, 1, 0)] {
        assert_eq!(deciding(&[other, above.clone()]), Some(above.clone()));
    }
}

// rule E10, E8: a session outlives the certificate with which it began.
#[test]
fn the_record_that_has_decided_is_found_after_the_certificate_has_expired() {
    let chain = Chain::new(&[DOMAIN], |parameters| parameters.not_after = date_time_ymd(2026, 12, 1));
    let sent = [&chain.leaf, &chain.intermediate].map(|made| made.certificate.clone());
    let later = UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000));
    for record in [chain.intermediate.record(2, 1, 1), chain.leaf.record(1, 1, 1), chain.root.record(0, 1, 1)]
    {
        assert_eq!(deciding(from_ref(&record), &chain.root, &sent, later), Some(record));
    }
}

// rule E10, D7
#[test]
fn the_error_names_the_records_and_the_right_one() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    let records: Vec<TlsaRecord> = (0..4).map(|_| stranger().record(3, 1, 1)).collect();
    for count in [1, 4] {
        let records = &records[..count];
        let error = verify(records, &chain.root, &chain.leaf.certificate, &[]).unwrap_err();
        let Error::InvalidCertificate(CertificateError::Other(error)) = error else { panic!("{error:?}") };
        let text = error.to_string();
        let which = if count == 1 { "the TLSA record of" } else { "any TLSA record of" };
        assert!(text.contains(&format!("{which} _5223._tcp.{TARGET} (3 1 1 ")), "{text}");
        assert!(
            text.contains(&format!("the record for its key is {}", chain.leaf.record(3, 1, 1))),
            "{text}"
        );
        assert_eq!(text.contains('…'), count == 4, "{text}");
    }
    let full = chain.leaf.record(3, 0, 0).to_string();
    assert!(full.starts_with("3 0 0 3082") && full.ends_with('…') && full.len() < 200, "{full}");
}

// rule E10: no octets of a server or of DNS cause a panic.
#[test]
fn damaged_certificates_and_records_are_refused() {
    let chain = Chain::new(&[DOMAIN], |_| {});
    let leaf = chain.leaf.certificate.to_vec();
    let records: Vec<TlsaRecord> = forms()
        .flat_map(|(selector, matching)| {
            [chain.root.record(2, selector, matching), chain.leaf.record(1, selector, matching)]
        })
        .collect();
    for length in 0..leaf.len() {
        let cut = CertificateDer::from(&leaf[..length]);
        assert!(verify(&records, &chain.root, &cut, from_ref(&cut)).is_err());
    }
    let full = chain.root.record(2, 0, 0);
    for length in 0..full.data.len() {
        let cut = TlsaRecord { data: full.data[..length].to_vec(), ..full.clone() };
        let records = [cut, stranger().record(3, 1, 1)];
        assert!(verify(&records, &stranger(), &chain.leaf.certificate, &[]).is_err());
    }
}

// rule E10
#[test]
fn a_record_is_shown_in_numbers_and_at_most_64_octets() {
    let shown =
        |length| TlsaRecord { usage: 3, selector: 1, matching: 0, data: vec![0xab; length] }.to_string();
    assert_eq!(shown(2), "3 1 0 abab");
    assert_eq!(shown(64), format!("3 1 0 {}", "ab".repeat(64)));
    assert_eq!(shown(65), format!("3 1 0 {}…", "ab".repeat(64)));
}
