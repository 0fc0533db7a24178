//! Tests of SRV-IDs and XmppAddrs in certificates made by rcgen, well-formed and not.

use rcgen::{CertificateParams, CustomExtension, KeyPair};

use super::*;

const BOTH: Accepted = Accepted { srv_ids: true, xmpp_addrs: true };
const DNS_SRV: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];
const XMPP_ADDR: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
    [&[tag], &*length, content].concat()
}

fn name(kind: &[u8], string: u8, text: &str) -> Vec<u8> {
    der(OTHER_NAME, &[kind, &der(EXPLICIT, &der(string, text.as_bytes()))].concat())
}

fn certificate(alternative_names: Vec<u8>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], alternative_names)];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn of(names: &[Vec<u8>]) -> Vec<u8> {
    certificate(der(SEQUENCE, &names.concat()))
}

fn client(name: OtherName<'_>, domain: &str) -> bool {
    name.is_of(&Domain::new(domain).unwrap(), &Service::Client, BOTH)
}

// rule E4
#[test]
fn an_srv_id_is_of_its_service_and_domain_only() {
    let is_of = |name| client(OtherName::SrvId(name), "example.org");
    for good in ["_xmpp-client.example.org", "_XMPP-Client.Example.ORG"] {
        assert!(is_of(good), "{good}");
    }
    for wrong in [
        "",
        "_xmpp-client",
        "_xmpp-client.",
        "_xmpp-clientexample.org",
        "_xmpp-client..example.org",
        "_xmpp-client.example.org.",
        "_xmpp-client._tcp.example.org",
        "_xmpps-client.example.org",
        "_xmpp-server.example.org",
        "xmpp-client.example.org",
        "example.org",
        "_xmpp-client.*",
        "_xmpp-client.*.org",
        "_xmpp-client.*.example.org",
        "*.example.org",
        "_*.example.org",
        "_xmpp-client.chat.example.org",
        "_xmpp-client.org",
        "_xmpp-client.example.org\0",
        "_xmpp-client.example.org\0.evil.example",
        " _xmpp-client.example.org",
        "_xmpp-clienté.example.org",
    ] {
        assert!(!is_of(wrong), "{wrong:?}");
    }
    // No wildcard, not even below the domain.
    assert!(!client(OtherName::SrvId("_xmpp-client.*.example.org"), "chat.example.org"));
    let server = Service::server(Domain::new("own.example").unwrap());
    let domain = Domain::new("example.org").unwrap();
    assert!(OtherName::SrvId("_xmpp-server.example.org").is_of(&domain, &server, BOTH));
    assert!(!OtherName::SrvId("_xmpp-client.example.org").is_of(&domain, &server, BOTH));
}

// rule E4
#[test]
fn an_xmpp_addr_is_the_domain_and_no_other_jid() {
    let is_of = |name| client(OtherName::XmppAddr(name), "example.org");
    assert!(is_of("example.org") && is_of("Example.ORG"));
    for wrong in [
        "",
        "user@example.org",
        "example.org/resource",
        "*.org",
        "*",
        "_xmpp-client.example.org",
        "example.org.",
        "example.org\0",
        "example.org\0.evil.example",
        "exam\u{ad}ple.org",
        "ｅｘａｍｐｌｅ.org",
        "chat.example.org",
    ] {
        assert!(!is_of(wrong), "{wrong:?}");
    }
}

// rule E4, A2
#[test]
#[cfg(feature = "idna")]
fn an_internationalised_domain_is_in_a_labels_in_one_kind_and_in_u_labels_in_the_other() {
    for domain in ["bücher.example", "xn--bcher-kva.example"] {
        assert!(client(OtherName::SrvId("_xmpp-client.xn--bcher-kva.example"), domain));
        assert!(client(OtherName::XmppAddr("bücher.example"), domain));
        assert!(client(OtherName::XmppAddr("xn--bcher-kva.example"), domain));
        assert!(!client(OtherName::SrvId("_xmpp-client.bücher.example"), domain));
        assert!(!client(OtherName::XmppAddr("bucher.example"), domain));
    }
}

// rule E4
#[test]
fn each_kind_has_its_own_option() {
    let domain = Domain::new("example.org").unwrap();
    let names = [OtherName::SrvId("_xmpp-client.example.org"), OtherName::XmppAddr("example.org")];
    for (srv_ids, xmpp_addrs) in [(false, false), (false, true), (true, false), (true, true)] {
        let accepted = Accepted { srv_ids, xmpp_addrs };
        let found = names.map(|name| name.is_of(&domain, &Service::Client, accepted));
        assert_eq!((found, accepted.is_any()), ([srv_ids, xmpp_addrs], srv_ids || xmpp_addrs));
    }
}

// rule E4
#[test]
fn names_are_read_if_their_string_is_of_the_right_type() {
    let dns = der(0x82, b"a.example");
    let upn = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];
    let found = of(&[
        dns,
        name(DNS_SRV, IA5_STRING, "_xmpp-client.a.example"),
        name(&upn, UTF8_STRING, "user@a.example"),
        name(XMPP_ADDR, UTF8_STRING, "bücher.example"),
    ]);
    let expected = [OtherName::SrvId("_xmpp-client.a.example"), OtherName::XmppAddr("bücher.example")];
    assert_eq!(other_names(&found).unwrap(), expected);
    assert_eq!(
        expected.map(|name| name.to_string()),
        ["SRV-ID _xmpp-client.a.example", "XmppAddr bücher.example"]
    );
    for string in [UTF8_STRING, 0x13, 0x14, 0x1e, 0x04] {
        let wrong = of(&[name(DNS_SRV, string, "_xmpp-client.a.example")]);
        assert_eq!(other_names(&wrong), Ok(vec![]), "{string:#x}");
    }
    for string in [IA5_STRING, 0x13, 0x14, 0x1e, 0x04] {
        let wrong = of(&[name(XMPP_ADDR, string, "a.example")]);
        assert_eq!(other_names(&wrong), Ok(vec![]), "{string:#x}");
    }
    let not_ascii = of(&[name(DNS_SRV, IA5_STRING, "_xmpp-client.bücher.example")]);
    assert_eq!(other_names(&not_ascii), Ok(vec![]));
    let not_utf8 = der(EXPLICIT, &der(UTF8_STRING, b"a.example\xff"));
    assert_eq!(other_names(&of(&[der(OTHER_NAME, &[XMPP_ADDR, &not_utf8].concat())])), Ok(vec![]));
}

// rule E4
#[test]
fn what_is_not_der_has_no_names() {
    let good = name(DNS_SRV, IA5_STRING, "_xmpp-client.a.example");
    let string = der(IA5_STRING, b"_xmpp-client.a.example");
    let value = der(EXPLICIT, &string);
    for (case, names) in [
        ("trailing octet", [der(SEQUENCE, &good), vec![0]].concat()),
        ("trailing octet inside", der(SEQUENCE, &[&*good, &[0]].concat())),
        ("no sequence", good.clone()),
        ("two sequences", [der(SEQUENCE, &good), der(SEQUENCE, &good)].concat()),
        ("empty name", der(SEQUENCE, &der(OTHER_NAME, &[]))),
        ("no value", der(SEQUENCE, &der(OTHER_NAME, DNS_SRV))),
        ("value not tagged", der(SEQUENCE, &der(OTHER_NAME, &[DNS_SRV, &string].concat()))),
        ("two values", der(SEQUENCE, &der(OTHER_NAME, &[DNS_SRV, &value, &value].concat()))),
        ("two strings", {
            let value = der(EXPLICIT, &[&*string, &string].concat());
            der(SEQUENCE, &der(OTHER_NAME, &[DNS_SRV, &value].concat()))
        }),
        ("no string", der(SEQUENCE, &der(OTHER_NAME, &[DNS_SRV, &der(EXPLICIT, &[])].concat()))),
        ("indefinite length", [&[SEQUENCE, 0x80], &*good, &[0, 0]].concat()),
    ] {
        assert_eq!(other_names(&certificate(names)), Err(Malformed), "{case}");
    }
    assert_eq!(other_names(b"garbage"), Err(Malformed));
    let mut params = CertificateParams::default();
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], der(SEQUENCE, &good)); 2];
    let twice = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    assert_eq!(other_names(&twice), Err(Malformed));
}

// rule E4: no octet that is changed, and no cut, makes a name of the domain out of another one's.
#[test]
fn mutated_certificates_have_no_name_of_the_domain() {
    let good = of(&[
        name(DNS_SRV, IA5_STRING, "_xmpp-client.exbmple.org"),
        name(XMPP_ADDR, UTF8_STRING, "exbmple.org"),
    ]);
    let has_it = |der: &[u8]| {
        let names = other_names(der).unwrap_or_default();
        names.into_iter().any(|name| client(name, "example.org"))
    };
    let at_b = |position: usize| good[position] == b'b' && &good[position - 2..position] == b"ex";
    for position in 0..good.len() {
        assert!(!has_it(&good[..position]));
        for octet in 0..=u8::MAX {
            let mut mutated = good.clone();
            mutated[position] = octet;
            let is_made = octet.eq_ignore_ascii_case(&b'a') && position > 1 && at_b(position);
            assert_eq!(has_it(&mutated), is_made, "octet {position} is {octet:#x}");
        }
    }
}
