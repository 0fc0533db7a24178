//! Tests of input that is refused before anything is sent, and of options that contradict each other.

use std::net::SocketAddr;

use xmpp_connect::{AddressFamily, Connector, Domain, ErrorKind, Policy, Service, Target};

use crate::assert_in_style;
use crate::given::{builder, connector};
use crate::support::{Authority, DnsServer, Zone};

// rule A3
#[test]
fn what_is_no_domain_is_refused_without_a_question() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = connector(&authority, &dns);
    let label = "a".repeat(64);
    let name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
    let cases = [
        ("", "empty"),
        (".", "empty"),
        ("example..org", "an empty label"),
        (".example.org", "an empty label"),
        (&*label, "63 octets"),
        (&*name, "253 octets"),
        ("exa mple.org", "white space"),
        ("example.org\n", "white space"),
        ("exa_mple.org", "'_' is not a letter"),
        ("127.1", "last label is a number"),
        ("1.2.3.256", "last label is a number"),
        ("0x7f.1", "last label is a number"),
        ("example.0x1", "last label is a number"),
        ("fe80::1%eth0", "zone id"),
        ("[::1", "IPv6"),
        ("example.org:5222", "without a port"),
        ("user@example.org", "Domain::of_jid"),
        ("example.org/resource", "Domain::of_jid"),
        ("-example.org", "hyphen"),
    ];
    for (text, why) in cases {
        for error in
            [connector.connect(text).unwrap_err(), connector.discover(text.to_owned()).map(drop).unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::InvalidDomain, "{text:?}");
            assert!(error.to_string().contains(why), "{text:?}: {error}");
            assert!(error.is_permanent() && error.report().is_none());
            assert_in_style(&error);
        }
    }
    assert!(dns.queries().is_empty(), "{:?}", dns.questions());
}

// rule A2
#[test]
#[cfg(not(feature = "idna"))]
fn a_name_outside_ascii_names_the_feature_that_it_needs() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let error = connector(&authority, &dns).connect("bücher.example").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidDomain);
    assert!(error.to_string().contains("feature `idna`"), "{error}");
}

// rule A3
#[test]
fn a_name_too_long_for_the_prefix_has_no_srv_records() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(50)].join(".");
    let error = connector(&authority, &dns).connect(&long).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchDomain);
    let mut questions = dns.questions();
    questions.sort_unstable();
    questions.dedup();
    assert_eq!(questions, [format!("{long} A"), format!("{long} AAAA")]);
}

// rule A7
#[test]
fn onion_and_invalid_never_reach_the_dns() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = connector(&authority, &dns);
    for (domain, words) in [
        ("abcdef.onion", "ConnectorBuilder::proxy"),
        ("abcdef.onion", "Connector::secure"),
        ("x.ABCDEF.Onion.", "Tor"),
        ("onion", "Tor"),
        ("host.invalid", "cannot have DNS records"),
        ("invalid", "cannot have DNS records"),
    ] {
        for error in [
            connector.connect(domain).unwrap_err(),
            connector.discover(domain).map(drop).unwrap_err(),
            connector.connect_to("example.org", Target::srv_of(domain).unwrap()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidDomain, "{domain}");
            assert!(error.to_string().contains(words), "{domain}: {error}");
            assert!(error.is_permanent());
            assert_in_style(&error);
        }
    }
    assert!(dns.queries().is_empty(), "{:?}", dns.questions());
}

// rule E6, D11, H3
#[test]
fn options_that_cannot_be_are_refused_when_building() {
    let authority = Authority::new();
    let none: [SocketAddr; 0] = [];
    let root = || Connector::builder().only_roots([authority.root_der()]);
    let refused = [
        (root().nameservers(none), "name servers"),
        (
            root().source_address([127, 0, 0, 1].into()).address_family(AddressFamily::Ipv6Only),
            "source address",
        ),
        (Connector::builder().only_roots([]), "no root certificates"),
        // Linux would bind to no interface, or to the one with the first 15 letters.
        (root().interface(""), "interface"),
        (root().interface("\0eth0"), "interface"),
        (root().interface("sixteen-letters-"), "interface"),
    ];
    for (builder, words) in refused {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_permanent() && error.report().is_none());
        assert_in_style(&error);
    }
}

// rule D5, F1a
#[test]
fn the_service_and_the_policy_are_in_the_error() {
    let authority = Authority::new();
    let zone =
        Zone::new().srv("_xmpps-server._tcp.example.org", 0, 0, 0, ".").address("example.org", "127.0.0.1");
    let dns = DnsServer::start(zone);
    let service = Service::server(Domain::new("own.example").unwrap());
    let connector = builder(&authority, &dns).service(service).policy(Policy::DirectOnly).build().unwrap();
    let error = connector.connect("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOffered);
    let expected = "according to its SRV records, example.org does not offer the server service over direct TLS, and \
                    the policy allows nothing else";
    assert_eq!(error.to_string(), expected);
}
