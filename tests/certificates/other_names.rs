//! Tests of certificates that name the domain as SRV-ID or XmppAddr (RFC 6120 section 13.7.1).

use xmpp_connect::rustls::{ClientConfig, RootCertStore};
use xmpp_connect::{
    Connector, ConnectorBuilder, Domain, Error, ErrorKind, RevocationLists, Service, Target, TlsMode,
};

use super::{MODES, server};
use crate::given::{DOMAIN, builder, chain, talk};
use crate::support::server_tls::provider;
use crate::support::{Authority, DnsServer, Identity, Zone};

/// Connects to a server of `domain` that shows `identity`, with these options.
fn connect(
    authority: &Authority,
    identity: &Identity,
    domain: &str,
    options: impl Fn(ConnectorBuilder) -> ConnectorBuilder,
) -> [Result<(), Error>; 2] {
    let dns = DnsServer::start(Zone::new());
    MODES.map(|tls| {
        let server = server(identity.clone(), tls);
        let target = Target::new("127.0.0.1", server.port(), tls).unwrap();
        let connector = options(builder(authority, &dns)).build().unwrap();
        let mut connection = connector.connect_to(domain, target)?;
        talk(&mut connection);
        Ok(())
    })
}

/// Asserts that the certificate is refused in both modes, with `why` in the error.
#[track_caller]
fn assert_refused(connected: [Result<(), Error>; 2], why: &str) {
    for result in connected {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(chain(&error).contains(why), "{}", chain(&error));
    }
}

#[track_caller]
fn assert_connected(connected: [Result<(), Error>; 2]) {
    for result in connected {
        result.unwrap();
    }
}

// rule E4
#[test]
fn by_option_an_srv_id_of_the_service_counts_in_both_modes() {
    let authority = Authority::new();
    let client = |builder: ConnectorBuilder| builder.srv_ids(true);
    let server = |builder: ConnectorBuilder| {
        builder.srv_ids(true).service(Service::server(Domain::new("own.example").unwrap()))
    };
    let of_clients = authority.issue_srv_ids(&["_xmpp-client.example.org"]);
    let of_servers = authority.issue_srv_ids(&["_xmpp-server.Example.org"]);
    assert_connected(connect(&authority, &of_clients, DOMAIN, client));
    assert_connected(connect(&authority, &of_servers, DOMAIN, server));
    // That of the other service.
    let names = "the certificate is not for example.org; it is for SRV-ID _xmpp-";
    assert_refused(connect(&authority, &of_servers, DOMAIN, client), names);
    assert_refused(connect(&authority, &of_clients, DOMAIN, server), names);
    for wrong in ["_xmpps-client.example.org", "_xmpp-client.*.org", "_xmpp-client.other.example"] {
        let identity = authority.issue_srv_ids(&[wrong]);
        assert_refused(connect(&authority, &identity, DOMAIN, client), wrong);
    }
    let wildcard = authority.issue_srv_ids(&["_xmpp-client.*.example.org"]);
    assert_refused(connect(&authority, &wildcard, "chat.example.org", client), "not for chat.example.org");
    // A DNS name counts as before.
    assert_connected(connect(&authority, &authority.issue(&[DOMAIN]), DOMAIN, client));
}

// rule E4
#[test]
fn by_option_an_xmpp_addr_counts_in_both_modes() {
    let authority = Authority::new();
    let accept = |builder: ConnectorBuilder| builder.xmpp_addrs(true);
    assert_connected(connect(&authority, &authority.issue_xmpp_addresses(&[DOMAIN]), DOMAIN, accept));
    for wrong in ["user@example.org", "*.org", "other.example"] {
        let identity = authority.issue_xmpp_addresses(&[wrong]);
        assert_refused(connect(&authority, &identity, DOMAIN, accept), wrong);
    }
    // Each kind has its own option.
    let srv_id = authority.issue_srv_ids(&["_xmpp-client.example.org"]);
    assert_refused(connect(&authority, &srv_id, DOMAIN, accept), "SRV-ID _xmpp-client.example.org");
    let xmpp_addr = authority.issue_xmpp_addresses(&[DOMAIN]);
    let only_srv_ids = |builder: ConnectorBuilder| builder.srv_ids(true);
    assert_refused(connect(&authority, &xmpp_addr, DOMAIN, only_srv_ids), "XmppAddr example.org");
}

// rule E4, A2
#[test]
#[cfg(feature = "idna")]
fn an_xmpp_addr_has_u_labels() {
    let authority = Authority::new();
    let accept = |builder: ConnectorBuilder| builder.xmpp_addrs(true);
    let identity = authority.issue_xmpp_addresses(&["bücher.example"]);
    assert_connected(connect(&authority, &identity, "Bücher.example", accept));
    assert_connected(connect(&authority, &identity, "xn--bcher-kva.example", accept));
    assert_refused(connect(&authority, &identity, "bucher.example", accept), "XmppAddr bücher.example");
}

// rule E4
#[test]
fn an_address_is_identified_by_an_address_only() {
    let authority = Authority::new();
    let accept = |builder: ConnectorBuilder| builder.srv_ids(true).xmpp_addrs(true);
    for identity in [
        authority.issue_srv_ids(&["_xmpp-client.127.0.0.1"]),
        authority.issue_xmpp_addresses(&["127.0.0.1"]),
        authority.issue(&["*.0.0.1"]),
    ] {
        assert_refused(connect(&authority, &identity, "127.0.0.1", accept), "not for 127.0.0.1");
    }
    assert_connected(connect(&authority, &authority.issue(&["127.0.0.1"]), "127.0.0.1", accept));
}

// rule E4, E5, E8a
#[test]
fn a_client_config_says_alone_what_is_verified() {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let list = Authority::new().revocation_list(3000, &[]);
    for (builder, what) in [
        (Connector::builder().srv_ids(true), "names to accept"),
        (Connector::builder().xmpp_addrs(true), "names to accept"),
        (Connector::builder().revocation_lists(RevocationLists::new([list])), "revocation lists"),
    ] {
        let error = builder.tls_config(config.clone()).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(
            error.to_string().starts_with(&format!("both {what} and a ClientConfig are given")),
            "{error}"
        );
    }
}

// rule E4
#[test]
fn names_of_these_kinds_need_given_roots() {
    let options = |options: fn(ConnectorBuilder) -> ConnectorBuilder| {
        options(Connector::builder()).build().map(drop).map_err(|error| error.to_string())
    };
    for error in [options(|builder| builder.srv_ids(true)), options(|builder| builder.xmpp_addrs(true))] {
        assert!(
            error.unwrap_err().contains("srv_ids and xmpp_addrs apply to given roots, and there are none")
        );
    }
    let authority = Authority::new();
    let builder = || Connector::builder().srv_ids(true).xmpp_addrs(true);
    for builder in [builder().add_roots([authority.root_der()]), builder().only_roots([authority.root_der()])]
    {
        assert!(builder.build().is_ok());
    }
}

// rule E4, E8, E8b: what one connector has verified is worth nothing to another, and a session neither.
#[test]
fn options_of_one_connector_do_not_leak_into_another() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let server = server(authority.issue_srv_ids(&["_xmpp-client.example.org"]), TlsMode::Direct);
    let target = || Target::new("127.0.0.1", server.port(), TlsMode::Direct).unwrap();
    let accepting = builder(&authority, &dns).srv_ids(true).build().unwrap();
    let strict = builder(&authority, &dns).build().unwrap();
    for resumed in [false, true] {
        let mut connection = accepting.connect_to(DOMAIN, target()).unwrap();
        talk(&mut connection);
        assert_eq!(connection.is_resumed(), resumed);
        let name = connection.certificate().unwrap().matched_name().unwrap();
        assert_eq!(name.to_string(), "_xmpp-client.example.org (SRV-ID)");
        let error = strict.connect_to(DOMAIN, target()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
    }
    // Nor to another domain of the same connector.
    let error = accepting.connect_to("other.example", target()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
}
