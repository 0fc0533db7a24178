//! Tests of revocation lists, with a made-up clock.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, CrlIssuingDistributionPoint, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::Error;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;
use crate::service::Service;
use crate::tls::verifier::verifier;
use crate::tls::{TlsOptions, TlsSetupError, Trust};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root, an intermediate authority, and a server's certificate with serial number 7.
struct Pki {
    root: Issuer,
    intermediate: Issuer,
    server: CertificateDer<'static>,
}

const SERVER: u64 = 7;
const INTERMEDIATE: u64 = 5;
/// 2026-06-15.
const NOW: u64 = 1_781_481_600;

fn authority(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

fn pki() -> Pki {
    let key = || KeyPair::generate().unwrap();
    let root = Issuer::self_signed(authority("Root", 1), key()).unwrap();
    let intermediate = Issuer::signed_by(authority("Sub", INTERMEDIATE), key(), &root).unwrap();
    let mut params = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(SERVER));
    let server = params.signed_by(&key(), &intermediate).unwrap().der().clone();
    Pki { root, intermediate, server }
}

/// A list from the first day of a month of 2026 to that of the next one.
fn list(
    issuer: &Issuer,
    month: u8,
    revoked: &[(u64, Option<RevocationReason>)],
) -> CertificateRevocationListDer<'static> {
    list_for(None, issuer, month, revoked)
}

/// The same, for the certificates with one distribution point.
fn part(
    issuer: &Issuer,
    month: u8,
    revoked: &[(u64, Option<RevocationReason>)],
) -> CertificateRevocationListDer<'static> {
    let distribution_point = CrlDistributionPoint { uris: vec!["http://x.example/7.crl".to_owned()] };
    list_for(Some(CrlIssuingDistributionPoint { distribution_point, scope: None }), issuer, month, revoked)
}

fn list_for(
    issuing_distribution_point: Option<CrlIssuingDistributionPoint>,
    issuer: &Issuer,
    month: u8,
    revoked: &[(u64, Option<RevocationReason>)],
) -> CertificateRevocationListDer<'static> {
    let revoked_certs = revoked.iter().map(|(serial, reason_code)| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 3, 1),
        reason_code: *reason_code,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, month, 1),
        next_update: date_time_ymd(2026, month + 1, 1),
        crl_number: SerialNumber::from(u64::from(month)),
        issuing_distribution_point,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().der().clone()
}

impl Pki {
    fn verifier(&self, lists: RevocationLists) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
        let options = TlsOptions {
            trust: Trust { only_given: true, given: vec![self.root.der().clone()], ..Trust::default() },
            revocation: Some(lists),
            ..TlsOptions::default()
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(verifier(&options, &Service::Client, &provider)?)
    }

    /// Verifies the server's certificate; the text of the lists about it.
    fn verify(&self, lists: RevocationLists) -> Result<(), Option<String>> {
        self.verify_for("example.org", lists).map_err(|(_, text)| text)
    }

    fn verify_for(
        &self,
        name: &str,
        lists: RevocationLists,
    ) -> Result<(), (CertificateError, Option<String>)> {
        let verifier = self.verifier(lists.clone()).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let intermediate = self.intermediate.der().clone();
        match verifier.verify_server_cert(&self.server, std::slice::from_ref(&intermediate), &name, &[], now)
        {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => {
                let text = lists.explain(&error, &[self.server.clone(), intermediate]);
                Err((error, text))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn both(&self, month: u8) -> [CertificateRevocationListDer<'static>; 2] {
        [list(&self.root, month, &[]), list(&self.intermediate, month, &[])]
    }
}

/// The text of a refusal.
#[track_caller]
fn assert_refused(verified: Result<(), Option<String>>, expected: &str) {
    assert_eq!(verified, Err(Some(expected.to_owned())));
}

// rule E8a
#[test]
fn a_chain_that_is_on_no_list_is_accepted() {
    let pki = pki();
    assert_eq!(pki.verify(RevocationLists::new(pki.both(6))), Ok(()));
    // Those of others do no harm.
    let others = [list(&pki.root, 6, &[(SERVER, None)]), list(&pki.intermediate, 6, &[(INTERMEDIATE, None)])];
    assert_eq!(pki.verify(RevocationLists::new(others)), Ok(()));
}

// rule E8a, E8b
#[test]
fn a_revoked_server_is_refused_with_date_issuer_and_reason() {
    let pki = pki();
    let [root, _] = pki.both(6);
    for (reason, text) in [
        (None, ""),
        (Some(RevocationReason::KeyCompromise), " (reason: the key is compromised)"),
        (Some(RevocationReason::CertificateHold), " (reason: on hold)"),
        (Some(RevocationReason::Unspecified), ""),
    ] {
        let revoked = [(3, None), (SERVER, reason), (9, Some(RevocationReason::Superseded))];
        let lists = RevocationLists::new([root.clone(), list(&pki.intermediate, 6, &revoked)]);
        let expected =
            format!("the certificate was revoked on 2026-03-01 by \"Sub\"{text}; the server needs a new one");
        assert_refused(pki.verify(lists.clone()), &expected);
        assert_refused(pki.verify(lists.clone().only_server_certificate()), &expected);
        assert_refused(pki.verify(lists.allow_unknown().allow_expired()), &expected);
    }
}

// rule E8a, E8b
#[test]
fn a_revoked_authority_is_refused_unless_only_the_server_is_checked() {
    let pki = pki();
    let [_, intermediate] = pki.both(6);
    let revoked = list(&pki.root, 6, &[(INTERMEDIATE, Some(RevocationReason::CessationOfOperation))]);
    let lists = RevocationLists::new([revoked, intermediate]);
    assert_refused(
        pki.verify(lists.clone()),
        "the certificate of the authority \"Sub\" was revoked on 2026-03-01 by \"Root\" (reason: no longer needed); the \
         server needs a new one",
    );
    assert_eq!(pki.verify(lists.only_server_certificate()), Ok(()));
}

// rule E8a, E8b
#[test]
fn a_missing_list_is_refused_unless_it_is_allowed() {
    let pki = pki();
    let [root, intermediate] = pki.both(6);
    let unknown = |which: &str, issuer: &str| {
        format!(
            "the revocation status of {which} is unknown: no revocation list of its issuer, {issuer}, was given; add that \
             list, or use `allow_unknown`"
        )
    };
    let only_root = RevocationLists::new([root]);
    assert_refused(pki.verify(only_root.clone()), &unknown("the certificate", "\"Sub\""));
    assert_eq!(pki.verify(only_root.allow_unknown()), Ok(()));
    let only_intermediate = RevocationLists::new([intermediate]);
    let expected = unknown("the certificate of the authority \"Sub\"", "\"Root\"");
    assert_refused(pki.verify(only_intermediate.clone()), &expected);
    assert_eq!(pki.verify(only_intermediate.clone().allow_unknown()), Ok(()));
    assert_eq!(pki.verify(only_intermediate.only_server_certificate()), Ok(()));
}

// rule E8a, E8b
#[test]
fn an_expired_list_is_refused_unless_it_is_allowed() {
    let pki = pki();
    let [root, _] = pki.both(6);
    let lists = RevocationLists::new([root.clone(), list(&pki.intermediate, 4, &[])]);
    assert_refused(
        pki.verify(lists.clone()),
        "the revocation list of \"Sub\" expired on 2026-05-01, 45 days ago, or the clock of this machine is wrong (it says \
         2026-06-15); get the current list",
    );
    assert_eq!(pki.verify(lists.allow_expired()), Ok(()));
    let revoked = RevocationLists::new([root, list(&pki.intermediate, 4, &[(SERVER, None)])]);
    let expected = "the certificate was revoked on 2026-03-01 by \"Sub\"; the server needs a new one";
    assert_refused(pki.verify(revoked.allow_expired()), expected);
}

// rule E8a: webpki would use the first one.
#[test]
fn of_several_lists_of_an_issuer_the_latest_one_counts() {
    let pki = pki();
    let root = list(&pki.root, 6, &[]);
    let old = list(&pki.intermediate, 5, &[]);
    let new = list(&pki.intermediate, 6, &[(SERVER, None)]);
    for lists in [[root.clone(), old.clone(), new.clone()], [new, old, root]] {
        for lists in [RevocationLists::new(lists.clone()), RevocationLists::new(lists).allow_expired()] {
            assert!(pki.verify(lists).unwrap_err().unwrap().contains("was revoked on 2026-03-01"));
        }
    }
}

// rule E8a: webpki would take the part for all, and the server for not revoked.
#[test]
fn a_complete_list_and_a_part_of_one_issuer_are_not_mixed() {
    let pki = pki();
    let [root, part] = [&pki.root, &pki.intermediate].map(|issuer| part(issuer, 6, &[]));
    let whole = list(&pki.intermediate, 5, &[(SERVER, None)]);
    for lists in [[whole.clone(), part.clone()], [part.clone(), whole]] {
        let refused = pki.verifier(RevocationLists::new(lists)).unwrap_err().to_string();
        assert!(refused.contains("a complete list of \"Sub\" and one for a part"), "{refused}");
    }
    // Of different issuers, both may be there, and so may several parts.
    pki.verifier(RevocationLists::new([list(&pki.root, 6, &[]), part.clone()])).unwrap();
    pki.verifier(RevocationLists::new([root, part.clone(), part])).unwrap();
}

// rule E8a, E4: that a name is refused implies that the chain and its revocation status are fine.
#[test]
fn revocation_is_checked_before_the_name() {
    let pki = pki();
    let [root, good] = pki.both(6);
    let lists = RevocationLists::new([root.clone(), good]);
    let (error, text) = pki.verify_for("other.example", lists).unwrap_err();
    assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{error}");
    assert_eq!(text, None);
    let revoked = RevocationLists::new([root.clone(), list(&pki.intermediate, 6, &[(SERVER, None)])]);
    assert_eq!(pki.verify_for("other.example", revoked).unwrap_err().0, CertificateError::Revoked);
    let unknown = RevocationLists::new([root.clone()]);
    let (error, _) = pki.verify_for("other.example", unknown).unwrap_err();
    assert_eq!(error, CertificateError::UnknownRevocationStatus);
    let expired = RevocationLists::new([root, list(&pki.intermediate, 4, &[])]);
    let (error, _) = pki.verify_for("other.example", expired).unwrap_err();
    assert!(matches!(error, CertificateError::ExpiredRevocationListContext { .. }), "{error}");
}

// rule E8a
#[test]
fn a_list_that_its_issuer_has_not_signed_proves_nothing() {
    let (pki, stranger) = (pki(), pki());
    let lists = RevocationLists::new([list(&pki.root, 6, &[]), list(&stranger.intermediate, 6, &[])]);
    let verifier = pki.verifier(lists).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let name = ServerName::try_from("example.org").unwrap();
    let intermediates = [pki.intermediate.der().clone()];
    let error = verifier.verify_server_cert(&pki.server, &intermediates, &name, &[], now).unwrap_err();
    assert_eq!(
        crate::tls::explain(&error, &crate::tls::Evidence::NONE),
        "the revocation list cannot be used: it was not signed by the key of the authority that it names"
    );
}

// rule E8a
#[test]
fn lists_that_cannot_be_used_are_errors_when_building() {
    let pki = pki();
    let [root, good] = pki.both(6);
    let error = |lists: Vec<CertificateRevocationListDer<'static>>| {
        pki.verifier(RevocationLists::new(lists)).unwrap_err().to_string()
    };
    assert_eq!(error(Vec::new()), "the revocation lists cannot be used: there is none");
    let pem = CertificateRevocationListDer::from(b"\n-----BEGIN X509 CRL-----\n".to_vec());
    assert_eq!(
        error(vec![root.clone(), pem]),
        "the revocation lists cannot be used: list 2 is in PEM form; read it with \
         `CertificateRevocationListDer::pem_slice_iter`"
    );
    let damaged =
        "it is damaged, or it lacks the date of the next update or the extensions (RFC 5280 section 5)";
    for garbage in [&b""[..], b"garbage", &[0x30, 0x80, 0, 0]] {
        let garbage = CertificateRevocationListDer::from(garbage.to_vec());
        let text = error(vec![root.clone(), garbage, good.clone()]);
        assert_eq!(text, format!("the revocation lists cannot be used: list 2: {damaged}"));
    }
    // Cut at every position: an error, and in words.
    for length in 0..root.len() {
        let cut = CertificateRevocationListDer::from(root[..length].to_vec());
        let text = error(vec![good.clone(), cut]);
        assert!(text.starts_with("the revocation lists cannot be used: list 2"), "{length}: {text}");
    }
}

// rule H6: what a peer or a caller gives never causes a panic.
#[test]
fn mutated_lists_and_certificates_are_read_or_refused() {
    let pki = pki();
    let list = list(&pki.intermediate, 6, &[(SERVER, Some(RevocationReason::KeyCompromise))]);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let expired = CertificateError::ExpiredRevocationListContext { time, next_update: time };
    let errors = [CertificateError::Revoked, CertificateError::UnknownRevocationStatus, expired];
    for position in 0..list.len().max(pki.server.len()) {
        for octet in [0, 1, 0x7f, 0x80, 0x84, 0xff] {
            let mutate = |der: &[u8]| {
                let mut der = der.to_vec();
                der.iter_mut().skip(position).take(1).for_each(|old| *old = octet);
                der
            };
            let lists = RevocationLists::new([CertificateRevocationListDer::from(mutate(&list))]);
            let server = CertificateDer::from(mutate(&pki.server));
            for error in &errors {
                let _ = lists.explain(error, &[server.clone(), pki.intermediate.der().clone()]);
            }
        }
    }
}

// rule E8a
#[test]
fn every_reason_of_rfc_5280_has_words_of_its_own() {
    let words: Vec<&str> = (0..=11).map(|code| reason_text(&[code])).collect();
    // 0 is "unspecified", 7 is not used, and 8 takes a certificate off the list.
    let without: Vec<usize> = (0..words.len()).filter(|code| words[*code].is_empty()).collect();
    assert_eq!(without, [0, 7, 8, 11]);
    let distinct: std::collections::HashSet<&str> = words.into_iter().collect();
    assert_eq!(distinct.len(), 9);
}
