//! Tests of the configurations of a connector.

use super::*;

#[cfg(feature = "ring")]
fn tls(options: TlsOptions) -> Result<Tls, TlsSetupError> {
    Tls::new(&options, &Service::Client)
}

// rule E3
#[test]
#[cfg(all(feature = "ring", feature = "webpki-roots"))]
fn alpn_is_offered_in_direct_tls_only_and_can_be_turned_off() {
    let with = tls(TlsOptions::default()).unwrap();
    assert_eq!(with.direct.alpn_protocols, [b"xmpp-client".to_vec()]);
    assert!(with.starttls.alpn_protocols.is_empty());
    let without = tls(TlsOptions { alpn: false, ..TlsOptions::default() }).unwrap();
    assert!(without.direct.alpn_protocols.is_empty());
    let own = Domain::new("own.example").unwrap();
    let server = Tls::new(&TlsOptions::default(), &Service::server(own)).unwrap();
    assert_eq!(server.direct.alpn_protocols, [b"xmpp-server".to_vec()]);
}

// rule E8
#[test]
#[cfg(all(feature = "ring", feature = "webpki-roots"))]
fn no_early_data_is_sent_and_sessions_can_be_switched_off_in_both_ways() {
    let with = tls(TlsOptions::default()).unwrap();
    assert!(!with.direct.enable_early_data && !with.starttls.enable_early_data);
    assert!(with.sessions.is_some());
    let without = tls(TlsOptions { resumption: false, ..TlsOptions::default() }).unwrap();
    assert!(without.sessions.is_none());
    let (mut config, _) = verifying_config(&TlsOptions::default(), &Service::Client).unwrap();
    let own = TlsOptions { config: Some(config.clone()), ..TlsOptions::default() };
    assert!(tls(own).unwrap().sessions.is_some());
    for disabled in
        [Resumption::disabled(), Resumption::disabled().tls12_resumption(Tls12Resumption::SessionIdOnly)]
    {
        config.resumption = disabled;
        let own = TlsOptions { config: Some(config.clone()), ..TlsOptions::default() };
        assert!(tls(own).unwrap().sessions.is_none());
    }
}

// rule E8
#[test]
#[cfg(all(feature = "ring", feature = "webpki-roots"))]
fn the_callers_choice_for_tls_1_2_is_kept() {
    assert_eq!(tls(TlsOptions::default()).unwrap().tls12, Tls12Resumption::SessionIdOrTickets);
    let (mut config, _) = verifying_config(&TlsOptions::default(), &Service::Client).unwrap();
    for tls12 in
        [Tls12Resumption::Disabled, Tls12Resumption::SessionIdOnly, Tls12Resumption::SessionIdOrTickets]
    {
        config.resumption = Resumption::in_memory_sessions(1).tls12_resumption(tls12);
        let own = tls(TlsOptions { config: Some(config.clone()), ..TlsOptions::default() }).unwrap();
        assert!(own.sessions.is_some());
        assert_eq!(own.tls12, tls12);
    }
}

// rule E4, A4
#[test]
fn the_name_for_tls_is_the_domain_or_its_address() {
    let name = |text: &str| server_name(&Domain::new(text).unwrap()).unwrap();
    assert!(matches!(name("Example.org"), ServerName::DnsName(name) if name.as_ref() == "example.org"));
    assert!(matches!(name("[2001:db8::1]"), ServerName::IpAddress(_)));
    assert!(matches!(name("192.0.2.1"), ServerName::IpAddress(_)));
}

// rule E6
#[test]
#[cfg(feature = "ring")]
fn no_roots_and_bad_roots_are_errors_when_building() {
    let none = TlsOptions {
        trust: Trust { only_given: true, given: Vec::new(), ..Trust::default() },
        ..TlsOptions::default()
    };
    assert_eq!(tls(none).unwrap_err(), TlsSetupError::NoRoots);
    let given = vec![CertificateDer::from(b"not a certificate".to_vec())];
    let bad =
        TlsOptions { trust: Trust { only_given: true, given, ..Trust::default() }, ..TlsOptions::default() };
    assert!(matches!(tls(bad).unwrap_err(), TlsSetupError::BadRoot(_)));
}
