//! DANE: TLSA records from a trusted name server decide which certificates are accepted.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: what cannot be set up fails its test")]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;

use ring::digest::{SHA256, digest};
use xmpp_connect::dns::TlsaRecord;
use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Domain, Error, ErrorKind, Fingerprint, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, chain, one_by_one, owner, talk, zone};
use support::{Authority, Behaviour, DnsServer, Identity, Rcode, Rtype, Script, ServerTls, XmppServer, Zone};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

/// A server that shows `identity`.
fn server(identity: Identity, mode: TlsMode) -> XmppServer {
    let config = ServerTls::new(identity).config();
    XmppServer::start(match mode {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    })
}

/// Where the TLSA records of the server at `address` are, which is the one with this number in its zone.
fn place(number: usize, address: SocketAddr) -> String {
    format!("_{}._tcp.host{number}.{DOMAIN}", address.port())
}

/// The zone of one server, which says that DNSSEC proves its answers. With the records, of the certificate with SHA-256.
fn signed(server: &XmppServer, mode: TlsMode, records: &[(u8, &CertificateDer<'_>)]) -> Zone {
    let zone = zone(&[(owner(mode), 0, server.addr())]).authenticated();
    records.iter().fold(zone, |zone, (usage, certificate)| {
        let hash = digest(&SHA256, certificate);
        zone.tlsa(&place(0, server.addr()), [*usage, 0, 1], hash.as_ref())
    })
}

/// Trusts `authority` and, in what DNSSEC proves, `dns`.
fn builder(authority: &Authority, dns: &DnsServer) -> ConnectorBuilder {
    given::builder(authority, dns).trust_ad(true).dane(true)
}

fn connect(authority: &Authority, dns: &DnsServer) -> Result<Connection, Error> {
    builder(authority, dns).build().unwrap().connect(DOMAIN)
}

fn notes(connection: &Connection) -> String {
    connection.report().notes().join("; ")
}

/// Why the only attempt was refused.
fn untrusted(error: &Error) -> UntrustedReason {
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    let report = error.report().unwrap();
    let [attempt] = report.attempts() else { panic!("{report}") };
    match attempt.error().map(xmpp_connect::report::AttemptError::kind) {
        Some(AttemptErrorKind::Untrusted(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

// rule E10, E1, E2
#[test]
fn a_self_signed_certificate_for_other_names_is_accepted_if_a_record_names_it() {
    for mode in MODES {
        let identity = Identity::self_signed(&["other.example"]);
        let certificate = identity.chain[0].clone();
        let server = server(identity, mode);
        let dns = DnsServer::start(signed(&server, mode, &[(3, &certificate)]));
        let mut connection = connect(&Authority::new(), &dns).unwrap();
        talk(&mut connection);
        let [record] = connection.candidate().tlsa() else { panic!("{:?}", connection.candidate()) };
        assert_eq!(record.position_in(&[certificate]), Some(0));
        assert_eq!(connection.certificate().unwrap().matched_tlsa(), Some(record));
        let matches = format!("the certificate matches the TLSA record {record} of ");
        assert!(notes(&connection).contains(&matches), "{}", connection.report());
        drop(connection);
        let hello = server.wait_end(0).hello.unwrap();
        assert_eq!(hello.server_name.as_deref(), Some(DOMAIN), "never the target");
    }
}

// rule E10
#[test]
fn a_certificate_that_no_record_names_is_refused_though_its_authority_is_trusted() {
    for mode in MODES {
        let authority = Authority::new();
        let server = server(authority.issue(&[DOMAIN]), mode);
        let other = authority.issue(&[DOMAIN]).chain;
        for usage in 0..=3 {
            let dns = DnsServer::start(signed(&server, mode, &[(usage, &other[0])]));
            let error = connect(&authority, &dns).unwrap_err();
            assert_eq!(untrusted(&error), UntrustedReason::NoTlsaMatch);
            let text = chain(&error);
            let record = format!("{usage} 0 1 ");
            assert!(text.contains("does not match the TLSA record of _") && text.contains(&record), "{text}");
        }
    }
}

// rule E10
#[test]
fn the_authority_of_usage_2_need_not_be_trusted_and_the_name_is_that_of_domain_or_server() {
    for mode in MODES {
        for (name, is_accepted) in [(DOMAIN, true), ("host0.example.org", true), ("host1.example.org", false)]
        {
            let identity = Authority::new().issue_by_intermediate(&[name]);
            let intermediate = identity.chain[1].clone();
            let server = server(identity, mode);
            let dns = DnsServer::start(signed(&server, mode, &[(2, &intermediate)]));
            match connect(&Authority::new(), &dns) {
                Ok(mut connection) => {
                    assert!(is_accepted, "{name}");
                    talk(&mut connection);
                }
                Err(error) => {
                    assert!(!is_accepted, "{name}: {}", chain(&error));
                    assert_eq!(untrusted(&error), UntrustedReason::WrongName);
                }
            }
        }
    }
}

// rule E10
#[test]
fn usage_1_needs_a_trusted_authority_as_well() {
    for mode in MODES {
        let authority = Authority::new();
        let identity = authority.issue(&[DOMAIN]);
        let certificate = identity.chain[0].clone();
        let server = server(identity, mode);
        let dns = DnsServer::start(signed(&server, mode, &[(1, &certificate)]));
        talk(&mut connect(&authority, &dns).unwrap());
        let error = connect(&Authority::new(), &dns).unwrap_err();
        assert_eq!(untrusted(&error), UntrustedReason::UnknownIssuer);
    }
}

// rule E10: right record or wrong, nobody has proved it.
#[test]
fn records_that_dnssec_does_not_prove_change_nothing_and_a_note_says_so() {
    for mode in MODES {
        let authority = Authority::new();
        let identity = Identity::self_signed(&[DOMAIN]);
        let certificate = identity.chain[0].clone();
        let (private, public) = (server(identity, mode), server(authority.issue(&[DOMAIN]), mode));
        for trusts in [true, false] {
            let zone = |server: &XmppServer| {
                let signed = signed(server, mode, &[(3, &certificate)]);
                if trusts { signed.unauthenticated() } else { signed }
            };
            // Neither a bit that is not there counts, nor that of a name server that is not trusted.
            let connect = |server: &XmppServer| {
                let dns = DnsServer::start(zone(server));
                builder(&authority, &dns).trust_ad(trusts).build().unwrap().connect(DOMAIN)
            };
            let error = connect(&private).unwrap_err();
            assert_eq!(untrusted(&error), UntrustedReason::UnknownIssuer);
            assert!(error.report().unwrap().to_string().contains("do not count: DNSSEC does not prove"));
            let connection = connect(&public).unwrap();
            assert!(
                notes(&connection).contains("do not count: DNSSEC does not prove"),
                "{}",
                notes(&connection)
            );
            assert_eq!(connection.candidate().tlsa(), []);
        }
    }
}

// rule E10
#[test]
fn without_records_and_without_the_option_nothing_changes() {
    let authority = Authority::new();
    let server = server(authority.issue(&[DOMAIN]), TlsMode::Direct);
    let without = DnsServer::start(signed(&server, TlsMode::Direct, &[]));
    talk(&mut connect(&authority, &without).unwrap());
    assert!(without.queries().iter().any(|query| query.kind == Rtype::TLSA));
    let other = authority.issue(&[DOMAIN]).chain;
    let wrong = DnsServer::start(signed(&server, TlsMode::Direct, &[(3, &other[0])]));
    talk(&mut given::builder(&authority, &wrong).trust_ad(true).build().unwrap().connect(DOMAIN).unwrap());
    assert!(wrong.queries().iter().all(|query| query.kind != Rtype::TLSA));
}

// rule E10: a downgrade would need no more than to drop an answer.
#[test]
fn a_server_whose_records_cannot_be_looked_up_is_left_out() {
    let authority = Authority::new();
    let (first, second) = (
        server(authority.issue(&[DOMAIN]), TlsMode::Direct),
        server(authority.issue(&[DOMAIN]), TlsMode::StartTls),
    );
    let servers = [(XMPPS, 0, first.addr()), (XMPP, 1, second.addr())];
    let cut = |mut octets: Vec<u8>| {
        octets.truncate(octets.len() - 20);
        octets
    };
    for wrong in [Behaviour::Code(Rcode::SERVFAIL), Behaviour::Mangled(cut), Behaviour::Silence] {
        let zone = zone(&servers).authenticated().tlsa(&place(0, first.addr()), [3, 1, 1], &[7; 32]);
        let zone = zone.on(&place(0, first.addr()), Rtype::TLSA, wrong);
        let dns = DnsServer::start(zone);
        let builder =
            one_by_one(builder(&authority, &dns)).lookup_timeout(std::time::Duration::from_millis(500));
        let connection = builder.build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), second.addr(), "{}", connection.report());
        let left_out = connection.report().attempts()[0].error().unwrap();
        assert!(matches!(left_out.kind(), AttemptErrorKind::TlsaLookup));
        assert!(left_out.to_string().contains("the lookup of its TLSA records failed"), "{left_out}");
    }
    assert_eq!(first.accepted(), 0, "nothing was sent to it");
}

// rule E10
#[test]
fn what_a_discovery_found_after_a_failed_lookup_is_no_more_trusted_than_in_a_connect() {
    let authority = Authority::new();
    let failed = |zone: Zone, name: &str| zone.on(name, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL));
    for is_signed in [true, false] {
        let zone = failed(failed(Zone::new(), XMPPS), XMPP).address(DOMAIN, "127.0.0.1");
        let zone = if is_signed { zone.authenticated() } else { zone };
        let dns = DnsServer::start(zone);
        let builder = builder(&authority, &dns).lookup_timeout(std::time::Duration::from_millis(500));
        let connector = builder.build().unwrap();
        let discovery = connector.discover(DOMAIN).unwrap();
        let error = connector.attempts_from(discovery).connect_next().unwrap_err();
        let attempt = error.report().unwrap().attempts()[0].error().unwrap();
        assert_eq!(matches!(attempt.kind(), AttemptErrorKind::TlsaLookup), is_signed, "{attempt}");
    }
}

// rule E10, E8
#[test]
fn sessions_resume_with_the_same_records_and_never_with_others() {
    for mode in MODES {
        let authority = Authority::new();
        let identity = authority.issue(&[DOMAIN]);
        let (certificate, other) = (identity.chain[0].clone(), authority.issue(&[DOMAIN]).chain);
        let server = server(identity, mode);
        let dns = DnsServer::start(signed(&server, mode, &[(3, &certificate)]).time_to_live(0));
        let connector = builder(&authority, &dns).build().unwrap();
        let mut resumed = Vec::new();
        for _ in 0..2 {
            let mut connection = connector.connect(DOMAIN).unwrap();
            talk(&mut connection);
            assert!(notes(&connection).contains("matches the TLSA record"), "also of a resumed session");
            resumed.push(connection.is_resumed());
        }
        assert_eq!(resumed, [false, true], "{mode}");
        dns.change(|_| signed(&server, mode, &[(3, &other[0])]));
        connector.clear_cache();
        let error = connector.connect(DOMAIN).unwrap_err();
        assert_eq!(untrusted(&error), UntrustedReason::NoTlsaMatch);
        dns.change(|_| signed(&server, mode, &[(3, &certificate), (3, &other[0])]));
        connector.clear_cache();
        let mut connection = connector.connect(DOMAIN).unwrap();
        talk(&mut connection);
        assert!(!connection.is_resumed(), "{mode}: other records");
    }
}

// rule E10
#[test]
fn the_domain_itself_has_records_at_its_default_port() {
    // Nobody listens there, so that only the questions can be seen.
    let zone = Zone::new().address(DOMAIN, "127.0.0.1").authenticated();
    let zone = zone.tlsa("_5222._tcp.example.org", [3, 1, 1], &[7; 32]);
    let dns = DnsServer::start(zone);
    let _ = connect(&Authority::new(), &dns);
    assert_eq!(dns.queries().iter().filter(|query| query.name == "_5222._tcp.example.org").count(), 1);
}

// rule E10, E6a: what the caller pins counts in any case.
#[test]
fn pins_count_whatever_the_records_say() {
    let domain = || Domain::new(DOMAIN).unwrap();
    let pin_of = |certificate: &CertificateDer<'_>| {
        Fingerprint::from(<[u8; 32]>::try_from(digest(&SHA256, certificate).as_ref()).unwrap())
    };
    for mode in MODES {
        let authority = Authority::new();
        let identity = Identity::self_signed(&["other.example"]);
        let (certificate, other) = (identity.chain[0].clone(), authority.issue(&[DOMAIN]).chain);
        let server = server(identity, mode);
        let [right, wrong] =
            [&certificate, &other[0]].map(|named| DnsServer::start(signed(&server, mode, &[(3, named)])));
        let [pin, other_pin] = [pin_of(&certificate), pin_of(&other[0])];
        let beside = builder(&authority, &right).require_pins(domain(), [pin]);
        talk(&mut beside.build().unwrap().connect(DOMAIN).unwrap());
        let beside = builder(&authority, &right).require_pins(domain(), [other_pin]);
        let error = beside.build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!(untrusted(&error), UntrustedReason::NotPinned);
        // Nothing else counts, the records neither.
        let alone = builder(&authority, &wrong).trust_pins_alone(domain(), [pin]);
        talk(&mut alone.build().unwrap().connect(DOMAIN).unwrap());
        let alone = builder(&authority, &right).trust_pins_alone(domain(), [other_pin]);
        let error = alone.build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!(untrusted(&error), UntrustedReason::NotPinned);
    }
}

// rule E10, E5
#[test]
fn a_configuration_of_the_callers_own_decides_alone() {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let error = Connector::builder().tls_config(config).dane(true).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("dane"), "{error}");
}

// rule E10, H5: the caller's resolver says what is proved.
#[test]
fn the_word_of_a_given_resolver_counts() {
    use xmpp_connect::dns::{Answer, Answers, Question, Record, RecordKind, Resolver, SrvRecord};

    #[derive(Debug)]
    struct Fixed(u16, TlsaRecord, bool);
    impl Resolver for Fixed {
        fn ask(&self, questions: &[Question], answers: &Answers) {
            for question in questions {
                let records = match (question.kind(), question.name()) {
                    (RecordKind::Srv, XMPPS) => {
                        let target = "a.example".to_owned();
                        vec![Record::Srv(SrvRecord { priority: 0, weight: 0, port: self.0, target })]
                    }
                    (RecordKind::Ipv4, "a.example") => vec![Record::Address([127, 0, 0, 1].into())],
                    (RecordKind::Tlsa, name) if name == format!("_{}._tcp.a.example", self.0) => {
                        vec![Record::Tlsa(self.1.clone())]
                    }
                    _ => Vec::new(),
                };
                answers.send(question.clone(), Ok(Answer::new(records).with_authenticated(self.2)));
            }
        }
    }

    let identity = Identity::self_signed(&[DOMAIN]);
    let record = TlsaRecord::of_key(&identity.chain[0]).unwrap();
    let server = server(identity, TlsMode::Direct);
    for is_proved in [true, false] {
        let resolver = Fixed(server.addr().port(), record.clone(), is_proved);
        let connector = Connector::builder().resolver(resolver).dane(true).build().unwrap();
        assert_eq!(connector.connect(DOMAIN).is_ok(), is_proved);
    }
}
