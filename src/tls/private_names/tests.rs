//! Tests of SRV-IDs and XmppAddrs below good and bad chains: a name of these kinds never saves a chain.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateRevocationListDer;

use super::*;
use crate::tls::verifier::verifier;
use crate::tls::{RevocationLists, TlsOptions, Trust, UntrustedReason};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// 2026-06-15.
const NOW: u64 = 1_781_481_600;
const SERIAL: u64 = 7;

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn root(edit: impl FnOnce(&mut CertificateParams)) -> Issuer {
    let mut params = authority("Root");
    edit(&mut params);
    Issuer::self_signed(params, key()).unwrap()
}

/// A server's certificate whose only name is the SRV-ID `_xmpp-client.example.org`.
fn server(issuer: &Issuer, edit: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    let mut names = vec![0x30, 0x28, 0xa0, 0x26, 6, 8, 0x2b, 6, 1, 5, 5, 7, 8, 7, 0xa0, 0x1a, 0x16, 0x18];
    names.extend_from_slice(b"_xmpp-client.example.org");
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    params.serial_number = Some(SerialNumber::from(SERIAL));
    edit(&mut params);
    params.signed_by(&key(), issuer).unwrap().der().clone()
}

fn options(root: &Issuer) -> TlsOptions {
    TlsOptions {
        trust: Trust { only_given: true, given: vec![root.der().clone()], ..Trust::default() },
        other_names: Accepted { srv_ids: true, xmpp_addrs: false },
        ..TlsOptions::default()
    }
}

/// Verifies a chain, the server's certificate first; the reason for a refusal.
fn verify(
    options: &TlsOptions,
    chain: &[&CertificateDer<'static>],
    name: &str,
) -> Result<(), UntrustedReason> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(options, &Service::Client, &provider).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let name = ServerName::try_from(name).unwrap();
    let (server, others) = chain.split_first().unwrap();
    let others: Vec<_> = others.iter().map(|other| (*other).clone()).collect();
    match verifier.verify_server_cert(server, &others, &name, &[], now) {
        Ok(_) => Ok(()),
        Err(error) => Err(UntrustedReason::of(&error).unwrap()),
    }
}

fn list(issuer: &Issuer, revoked: &[u64]) -> CertificateRevocationListDer<'static> {
    let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 3, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 6, 1),
        next_update: date_time_ymd(2026, 7, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().der().clone()
}

// rule E4
#[test]
fn an_srv_id_counts_by_option_for_its_domain() {
    let root = root(|_| {});
    let server = server(&root, |_| {});
    assert_eq!(verify(&options(&root), &[&server], "example.org"), Ok(()));
    assert_eq!(verify(&options(&root), &[&server], "EXAMPLE.org"), Ok(()));
    for name in ["other.example", "chat.example.org", "127.0.0.1"] {
        assert_eq!(verify(&options(&root), &[&server], name), Err(UntrustedReason::WrongName));
    }
    for other_names in [Accepted::default(), Accepted { srv_ids: false, xmpp_addrs: true }] {
        let options = TlsOptions { other_names, ..options(&root) };
        assert_eq!(verify(&options, &[&server], "example.org"), Err(UntrustedReason::WrongName));
    }
}

// rule E4, E1: the chain is verified first.
#[test]
fn a_good_name_does_not_save_a_bad_chain() {
    let (root, stranger) = (root(|_| {}), root(|_| {}));
    let options = options(&root);
    let refused = |chain: &[&CertificateDer<'static>], reason| {
        assert_eq!(verify(&options, chain, "example.org"), Err(reason));
    };
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2026, 6, 14);
    refused(&[&server(&root, expired)], UntrustedReason::Expired);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2026, 6, 16);
    refused(&[&server(&root, early)], UntrustedReason::NotYetValid);
    // An authority of the same name with another key.
    refused(&[&server(&stranger, |_| {})], UntrustedReason::Unacceptable);
    let other = Issuer::self_signed(authority("Other"), key()).unwrap();
    refused(&[&server(&other, |_| {})], UntrustedReason::UnknownIssuer);
    let sub = Issuer::signed_by(authority("Sub"), key(), &root).unwrap();
    let below = server(&sub, |_| {});
    refused(&[&below], UntrustedReason::UnknownIssuer);
    assert_eq!(verify(&options, &[&below, sub.der()], "example.org"), Ok(()));
    let purpose = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    refused(&[&server(&root, purpose)], UntrustedReason::Unacceptable);
    let usage = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    refused(&[&server(&root, usage)], UntrustedReason::Unacceptable);
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    refused(&[&server(&root, authority)], UntrustedReason::Unacceptable);
}

// rule E4, E8a
#[test]
fn a_good_name_does_not_save_a_revoked_certificate() {
    let root = root(|_| {});
    let server = server(&root, |_| {});
    let with = |lists: RevocationLists| {
        let options = TlsOptions { revocation: Some(lists), ..options(&root) };
        verify(&options, &[&server], "example.org")
    };
    assert_eq!(with(RevocationLists::new([list(&root, &[])])), Ok(()));
    assert_eq!(with(RevocationLists::new([list(&root, &[SERIAL])])), Err(UntrustedReason::Revoked));
    let other = Issuer::self_signed(authority("Other"), key()).unwrap();
    let unknown = RevocationLists::new([list(&other, &[])]);
    assert_eq!(with(unknown.clone()), Err(UntrustedReason::Revoked));
    assert_eq!(with(unknown.allow_unknown()), Ok(()));
}

// rule E4: webpki applies no constraint to names of these kinds.
#[test]
fn below_an_authority_with_name_constraints_no_such_name_counts() {
    let constrain = |names: &[&str]| {
        let permitted_subtrees =
            names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
        move |params: &mut CertificateParams| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        }
    };
    let wrong = Err(UntrustedReason::WrongName);
    for names in [&["other.example"][..], &["example.org"]] {
        // The root.
        let constrained = root(constrain(names));
        let sub = Issuer::signed_by(authority("Sub"), key(), &constrained).unwrap();
        let options = options(&constrained);
        assert_eq!(verify(&options, &[&server(&constrained, |_| {})], "example.org"), wrong);
        assert_eq!(verify(&options, &[&server(&sub, |_| {}), sub.der()], "example.org"), wrong);
    }
    // An intermediate authority, the nearest or not, sent first or last.
    let free = root(|_| {});
    let mut params = authority("Constrained");
    constrain(&["example.org"])(&mut params);
    let constrained = Issuer::signed_by(params, key(), &free).unwrap();
    let sub = Issuer::signed_by(authority("Sub"), key(), &constrained).unwrap();
    let (near, far) = (server(&constrained, |_| {}), server(&sub, |_| {}));
    for chain in [
        &[&near, constrained.der()][..],
        &[&far, sub.der(), constrained.der()],
        &[&far, constrained.der(), sub.der()],
    ] {
        assert_eq!(verify(&options(&free), chain, "example.org"), wrong);
    }
    // A constrained root beside the one that is used does not matter.
    let mut params = authority("Beside");
    constrain(&["example.org"])(&mut params);
    let beside = Issuer::self_signed(params, key()).unwrap();
    let mut options = options(&free);
    options.trust.given.push(beside.der().clone());
    assert_eq!(verify(&options, &[&server(&free, |_| {})], "example.org"), Ok(()));
}

// rule E4
#[test]
fn below_a_public_authority_no_such_name_counts() {
    let (public, private) = (root(|_| {}), Issuer::self_signed(authority("Private"), key()).unwrap());
    let options = options(&private);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // What compiled-in roots would be, beside a given one.
    let webpki = |roots: &[&Issuer]| {
        let given = roots.iter().map(|root| root.der().clone()).collect();
        let roots = crate::tls::roots::roots(&Trust { only_given: true, given, ..Trust::default() }).unwrap();
        (roots.roots.clone(), crate::tls::roots::webpki(roots, None, &provider).unwrap())
    };
    let (anchors, only_private) = webpki(&[&private]);
    let names = PrivateNames::new(Some(only_private), anchors, options.other_names, Service::Client);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let name = ServerName::try_from("example.org").unwrap();
    assert_eq!(names.verify(&server(&private, |_| {}), &[], &name, now), Ok(()));
    assert_eq!(names.verify(&server(&public, |_| {}), &[], &name, now), Err(Uncounted::Public));
    let verifier = crate::tls::verifier::Verifier::new(
        webpki(&[&private, &public]).1,
        provider.clone(),
        None,
        Some(names),
    );
    assert!(verifier.verify_server_cert(&server(&private, |_| {}), &[], &name, &[], now).is_ok());
    let error = verifier.verify_server_cert(&server(&public, |_| {}), &[], &name, &[], now).unwrap_err();
    assert!(is_wrong_name(&error), "{error}");
}

// rule E8b
#[test]
fn the_error_has_the_names_and_why_they_do_not_count() {
    let root = root(|_| {});
    let server = server(&root, |_| {});
    let name = ServerName::try_from("example.org").unwrap();
    let start = "the certificate is not for example.org; it is for SRV-ID _xmpp-client.example.org";
    for (why, end) in [
        (
            Uncounted::Off,
            "; SRV-IDs and XmppAddrs are not accepted here (options `srv_ids` and `xmpp_addrs`)",
        ),
        (
            Uncounted::Public,
            "; SRV-IDs and XmppAddrs are accepted only from authorities that this program was given",
        ),
        (
            Uncounted::Constrained,
            "; SRV-IDs and XmppAddrs are not accepted, since an authority in the chain has name constraints",
        ),
        (Uncounted::Other, ""),
    ] {
        assert_eq!(explain(&server, &name, why).unwrap(), format!("{start}{end}"));
    }
    // At most five of each kind are shown.
    for (count, ends_in_more) in [(5_u8, false), (6, true)] {
        let one = &[
            &[0xa0, 0x26, 6, 8, 0x2b, 6, 1, 5, 5, 7, 8, 7, 0xa0, 0x1a, 0x16, 0x18],
            &b"_xmpp-client.example.org"[..],
        ];
        let names = [&[0x30, 0x81, 40 * count], one.concat().repeat(count.into()).as_slice()].concat();
        let many = self::server(&root, |params| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
        });
        let text = explain(&many, &name, Uncounted::Other).unwrap();
        assert_eq!((text.matches("SRV-ID").count(), text.ends_with(", …")), (5, ends_in_more), "{text}");
    }
    // Without a name of these kinds, it is not about them.
    let dns = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let dns = dns.signed_by(&key(), &root).unwrap().der().clone();
    assert_eq!(explain(&dns, &name, Uncounted::Off), None);
}
