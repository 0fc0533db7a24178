//! Tests of what direct TLS and STARTTLS have in common, by the `ClientHello` that a server gets (RFC 8446 section 4.1.2).

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use xmpp_connect::rustls::{ClientConfig, RootCertStore, version};
use xmpp_connect::{Connector, ConnectorBuilder, Domain, Service, Target, TlsMode};

use given::{DOMAIN, builder};
use support::server_tls::provider;
use support::{Authority, DnsServer, Script, Stage, Step, XmppServer, Zone};

/// The fatal alert `handshake_failure`.
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

// The numbers of extensions.
const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

/// A `ClientHello` without what is random.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClientHello {
    record_version: u16,
    version: u16,
    session_id: usize,
    cipher_suites: Vec<u16>,
    compression: Vec<u8>,
    /// Sorted, since rustls shuffles them; of the key shares, the groups and lengths.
    extensions: Vec<(u16, Vec<u8>)>,
}

/// Reads values of TLS from octets.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at_checked(length).unwrap();
        self.0 = rest;
        taken
    }

    fn number(&mut self, octets: usize) -> usize {
        self.take(octets).iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.number(2)).unwrap()
    }

    /// A vector whose length has so many octets.
    fn vector(&mut self, octets: usize) -> Self {
        let length = self.number(octets);
        Reader(self.take(length))
    }

    fn u16s(mut self) -> Vec<u16> {
        std::iter::from_fn(|| (!self.0.is_empty()).then(|| self.u16())).collect()
    }
}

impl ClientHello {
    fn read(record: &[u8]) -> Self {
        let mut record = Reader(record);
        assert_eq!(record.number(1), 22, "a handshake record");
        let record_version = record.u16();
        let mut message = record.vector(2);
        assert!(record.0.is_empty());
        assert_eq!(message.number(1), 1, "a ClientHello");
        let mut hello = message.vector(3);
        assert!(message.0.is_empty());
        let version = hello.u16();
        let _random = hello.take(32);
        let session_id = hello.vector(1).0.len();
        let cipher_suites = hello.vector(2).u16s();
        let compression = hello.vector(1).0.to_vec();
        let mut list = hello.vector(2);
        assert!(hello.0.is_empty());
        let mut extensions = Vec::new();
        while !list.0.is_empty() {
            let (number, content) = (list.u16(), list.vector(2).0);
            extensions
                .push((number, if number == KEY_SHARE { groups_of(content) } else { content.to_vec() }));
        }
        extensions.sort();
        Self { record_version, version, session_id, cipher_suites, compression, extensions }
    }

    fn extension(&self, number: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(of, _)| *of == number).map(|(_, content)| &**content)
    }

    fn without_alpn(mut self) -> Self {
        self.extensions.retain(|(number, _)| *number != ALPN);
        self
    }
}

/// The groups of the key shares, each with the length of its key.
fn groups_of(content: &[u8]) -> Vec<u8> {
    let mut shares = Reader(content).vector(2);
    let mut groups = Vec::new();
    while !shares.0.is_empty() {
        groups.extend_from_slice(shares.take(2));
        groups.extend_from_slice(&shares.vector(2).0.len().to_be_bytes());
    }
    groups
}

/// What a server gets from connectors with these options, by direct TLS and by STARTTLS.
fn hellos(domain: &str, options: impl Fn(ConnectorBuilder) -> ConnectorBuilder) -> [ClientHello; 2] {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let dns = DnsServer::start(Zone::new());
    let connector = options(builder(&authority, &dns)).build().unwrap();
    [Script::direct(config.clone()), Script::starttls(config)]
        .map(|script| {
            script
                .until(Stage::Tls)
                .then(Step::AwaitHello)
                .then(Step::SendRaw(ALERT.to_vec()))
                .then(Step::Close)
        })
        .into_iter()
        .zip([TlsMode::Direct, TlsMode::StartTls])
        .map(|(script, tls)| {
            let server = XmppServer::start(script);
            let target = Target::new("127.0.0.1", server.port(), tls).unwrap();
            assert!(connector.connect_to(domain, target).is_err());
            let hello = server.wait_end(0).client_hello().map(ClientHello::read);
            hello.unwrap()
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

// rule E1, E2, E3
#[test]
fn direct_tls_and_starttls_differ_in_nothing_but_alpn() {
    let own = Domain::new("own.example").unwrap();
    for (service, protocol) in
        [(Service::Client, &b"xmpp-client"[..]), (Service::server(own), &b"xmpp-server"[..])]
    {
        let [direct, starttls] = hellos(DOMAIN, |builder| builder.service(service.clone()));
        let list = [&[0, 12, 11], protocol].concat();
        assert_eq!(direct.extension(ALPN), Some(&*list));
        assert_eq!(starttls.extension(ALPN), None);
        assert_eq!(direct.clone().without_alpn(), starttls);
        // So that equal is not just empty.
        let name = [&[0, 14, 0, 0, 11], DOMAIN.as_bytes()].concat();
        assert_eq!(starttls.extension(SERVER_NAME), Some(&*name));
        for number in [GROUPS, SIGNATURE_ALGORITHMS, KEY_SHARE] {
            assert!(starttls.extension(number).is_some_and(|content| content.len() >= 4), "{starttls:?}");
        }
        assert!(starttls.cipher_suites.len() >= 3, "{starttls:?}");
    }
}

// rule E5
#[test]
#[cfg(feature = "tls12")]
fn both_offer_tls_1_3_and_1_2_and_nothing_older() {
    for hello in hellos(DOMAIN, |builder| builder) {
        assert_eq!(hello.extension(VERSIONS), Some(&[4, 3, 4, 3, 3][..]));
        assert_eq!(hello.version, 0x0303);
        assert_eq!(hello.compression, [0]);
        // ECDHE with AEAD only (RFC 7525), and the signal for safe renegotiation.
        let is_good =
            |suite: &u16| matches!(suite, 0x1301..=0x1303 | 0xc02b..=0xc030 | 0xcca8 | 0xcca9 | 0x00ff);
        assert!(hello.cipher_suites.iter().all(is_good), "{:x?}", hello.cipher_suites);
    }
}

// rule E1, E3: also with what a caller chooses.
#[test]
fn options_apply_to_both() {
    let [direct, starttls] = hellos(DOMAIN, |builder| builder.alpn(false));
    assert_eq!(direct, starttls);
    assert_eq!(direct.extension(ALPN), None);

    let [direct, starttls] = hellos("127.0.0.1", |builder| builder);
    assert_eq!(direct.extension(SERVER_NAME), None);
    assert_eq!(direct.without_alpn(), starttls);

    let only_tls13 = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let [direct, starttls] = hellos(DOMAIN, |_| Connector::builder().tls_config(only_tls13.clone()));
    assert_eq!(direct.extension(VERSIONS), Some(&[2, 3, 4][..]));
    assert_eq!(direct.without_alpn(), starttls);
}
