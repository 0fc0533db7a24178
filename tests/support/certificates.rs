//! A certificate authority for tests: good certificates, and the bad ones that a client must refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server_tls::ServerTls;

/// Object identifier of the subject alternative name, RFC 5280 section 4.2.1.6.
const SUBJECT_ALTERNATIVE_NAME: [u64; 4] = [2, 5, 29, 17];
/// The object identifier id-on-dnsSRV, 1.3.6.1.5.5.7.8.7, as DER: RFC 4985 section 2.
const ID_ON_DNS_SRV: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];
/// The object identifier id-on-xmppAddr, 1.3.6.1.5.5.7.8.5, as DER: RFC 6120 section 13.7.1.4.
const ID_ON_XMPP_ADDR: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];
/// How many roots there have been.
static ROOTS: AtomicUsize = AtomicUsize::new(1);
const IA5_STRING: u8 = 0x16;
const UTF8_STRING: u8 = 0x0c;

/// A certificate chain, end entity first, without the root, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// End entity first; the root is not in it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The end entity's key.
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// A certificate that signed itself, so that no authority stands behind it.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = new_key();
        let certificate = parameters(names).self_signed(&key).expect("rcgen signs");
        Self { chain: vec![certificate.der().clone()], key: private(&key) }
    }
}

/// A root that signs what tests need. Each has a key of its own, so two of them do not trust each other.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new root.
    pub(crate) fn new() -> Self {
        let key = new_key();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Issuers are found by name, so the name is this root's own: a stranger is an unknown issuer, not a bad signature.
        let number = ROOTS.fetch_add(1, Ordering::Relaxed);
        parameters.distinguished_name = common_name(&format!("Root {number} of a test"));
        Self { issuer: CertifiedIssuer::self_signed(parameters, key).expect("rcgen signs") }
    }

    /// The root certificate.
    pub(crate) fn root_der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A good certificate: `names` are DNS names, also `*.example.org`, or IP addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&parameters(names))
    }

    /// A server's TLS with a good certificate and nothing special: see [`ServerTls`] for more.
    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        ServerTls::new(self.issue(names)).config()
    }

    /// A certificate that was good until the end of 2020.
    pub(crate) fn expired(&self, names: &[&str]) -> Identity {
        let mut parameters = parameters(names);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2020, 12, 31);
        self.sign(&parameters)
    }

    /// A certificate that is not good before the year 3000.
    pub(crate) fn not_yet_valid(&self, names: &[&str]) -> Identity {
        let mut parameters = parameters(names);
        parameters.not_before = date_time_ymd(3000, 1, 1);
        self.sign(&parameters)
    }

    /// A certificate that `change` has made a bad one, or a special one.
    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut parameters = parameters(names);
        change(&mut parameters);
        self.sign(&parameters)
    }

    /// A certificate of an intermediate authority, which is in the chain.
    pub(crate) fn issue_by_intermediate(&self, names: &[&str]) -> Identity {
        self.issue_by_intermediate_with(names, |_| {})
    }

    /// The same, with an intermediate authority that `change` has made a bad one, or a special one.
    pub(crate) fn issue_by_intermediate_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name = common_name("Intermediate of a test");
        change(&mut authority);
        let intermediate =
            CertifiedIssuer::signed_by(authority, new_key(), &self.issuer).expect("rcgen signs");
        let key = new_key();
        let certificate = parameters(names).signed_by(&key, &intermediate).expect("rcgen signs");
        Identity { chain: vec![certificate.der().clone(), intermediate.der().clone()], key: private(&key) }
    }

    /// A certificate whose only names are SRV-IDs, such as `_xmpp-client.example.org` (RFC 4985).
    pub(crate) fn issue_srv_ids(&self, names: &[&str]) -> Identity {
        self.issue_other_names(names, ID_ON_DNS_SRV, IA5_STRING)
    }

    /// A certificate whose only names are `XmppAddr`s, such as `example.org` (RFC 6120 section 13.7.1.4).
    pub(crate) fn issue_xmpp_addresses(&self, names: &[&str]) -> Identity {
        self.issue_other_names(names, ID_ON_XMPP_ADDR, UTF8_STRING)
    }

    /// A certificate whose only name is like an SRV-ID, in a string of the wrong type.
    pub(crate) fn issue_srv_id_as_utf8(&self, name: &str) -> Identity {
        self.issue_other_names(&[name], ID_ON_DNS_SRV, UTF8_STRING)
    }

    /// A certificate whose only name is like an `XmppAddr`, in a string of the wrong type.
    pub(crate) fn issue_xmpp_address_as_ia5(&self, name: &str) -> Identity {
        self.issue_other_names(&[name], ID_ON_XMPP_ADDR, IA5_STRING)
    }

    /// A certificate below `count` authorities, all of which are in the chain. Their keys are Ed25519, so that it is short.
    pub(crate) fn issue_below(&self, count: usize, names: &[&str]) -> Identity {
        let mut chain = Vec::new();
        let mut below: Option<CertifiedIssuer<'static, KeyPair>> = None;
        for number in 0..count {
            let mut parameters = CertificateParams::default();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name = common_name(&number.to_string());
            let key = KeyPair::generate_for(&PKCS_ED25519).expect("ring makes keys");
            let issuer = match &below {
                Some(above) => CertifiedIssuer::signed_by(parameters, key, above),
                None => CertifiedIssuer::signed_by(parameters, key, &self.issuer),
            };
            let issuer = issuer.expect("rcgen signs");
            chain.insert(0, issuer.der().clone());
            below = Some(issuer);
        }
        let key = new_key();
        let issuer = below.as_ref().unwrap_or(&self.issuer);
        let certificate = parameters(names).signed_by(&key, issuer).expect("rcgen signs");
        chain.insert(0, certificate.der().clone());
        Identity { chain, key: private(&key) }
    }

    /// A revocation list from 2020 to the start of the year `until`, with these serial numbers.
    pub(crate) fn revocation_list(
        &self,
        until: i32,
        revoked: &[u64],
    ) -> CertificateRevocationListDer<'static> {
        let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 3, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 4, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("rcgen signs").der().clone()
    }

    fn issue_other_names(&self, names: &[&str], identifier: &[u8], string: u8) -> Identity {
        // GeneralName ::= otherName [0] { type-id, value [0] EXPLICIT }, RFC 5280 section 4.2.1.6.
        let other_name = |name: &&str| {
            let value = der(0xa0, &der(string, name.as_bytes()));
            der(0xa0, &[identifier, &value].concat())
        };
        let names = names.iter().flat_map(other_name).collect::<Vec<_>>();
        let mut parameters = parameters(&[]);
        let extension = CustomExtension::from_oid_content(&SUBJECT_ALTERNATIVE_NAME, der(0x30, &names));
        parameters.custom_extensions = vec![extension];
        self.sign(&parameters)
    }

    fn sign(&self, parameters: &CertificateParams) -> Identity {
        let key = new_key();
        let certificate = parameters.signed_by(&key, &self.issuer).expect("rcgen signs");
        Identity { chain: vec![certificate.der().clone()], key: private(&key) }
    }
}

fn parameters(names: &[&str]) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut parameters = CertificateParams::new(names).expect("names are ASCII");
    // The common name is not an identity any more (RFC 9525 section 2), so it is never one that a test looks for.
    parameters.distinguished_name = common_name("Server of a test");
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("ring makes keys")
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// One DER value. DER wants the shortest form of the length.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a short value").to_be_bytes();
    let length = match (high, low) {
        (0, 0..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        (_, _) => vec![0x82, high, low],
    };
    [&[tag], &*length, content].concat()
}
