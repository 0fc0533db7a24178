//! Tests of the domain part: accepted and refused input, the messages, and invariants under random input.

use super::*;

mod internationalised;
mod random;

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn reason(text: &str) -> Reason {
    Domain::new(text).unwrap_err().reason
}

fn name(text: &str) -> Host {
    Host::Name(text.to_owned())
}

// rule A1
#[test]
fn a_name_is_folded_to_lower_case_and_loses_one_trailing_dot() {
    for text in ["example.org", "Example.ORG", "example.org.", "EXAMPLE.org."] {
        assert_eq!(domain(text).host(), &name("example.org"), "{text}");
        assert_eq!(domain(text).as_ascii(), "example.org");
        assert_eq!(domain(text).as_unicode(), "example.org");
    }
    assert_eq!(domain("intranet").as_ascii(), "intranet");
    assert_eq!(domain("9.to.7.example").as_ascii(), "9.to.7.example");
}

// rule A1, A5
#[test]
fn an_ipv4_literal_is_an_address() {
    for text in ["192.0.2.1", "192.0.2.1."] {
        assert_eq!(domain(text).host(), &Host::Address("192.0.2.1".parse().unwrap()));
        assert_eq!((domain(text).as_ascii(), domain(text).as_unicode()), ("192.0.2.1", "192.0.2.1"));
    }
}

// rule A1, A4, A5
#[test]
fn an_ipv6_literal_is_an_address_and_stands_in_brackets_in_the_stream_header() {
    for text in ["2001:db8::1", "[2001:db8::1]", "[2001:DB8:0::0001]", "[2001:db8::1]."] {
        assert_eq!(domain(text).host(), &Host::Address("2001:db8::1".parse().unwrap()), "{text}");
        assert_eq!(domain(text).as_ascii(), "2001:db8::1");
        assert_eq!(domain(text).as_unicode(), "[2001:db8::1]");
        assert_eq!(domain(text).to_string(), "[2001:db8::1]");
        assert_eq!(domain(text).host().to_string(), "2001:db8::1");
    }
}

// rule A1
#[test]
fn a_jid_is_cut_at_the_first_slash_and_then_at_the_first_at_sign() {
    for jid in [
        "example.org",
        "juliet@example.org",
        "juliet@example.org/balcony",
        "example.org/a@b",
        "juliet@example.org/a@b/c d",
    ] {
        assert_eq!(Domain::of_jid(jid).unwrap(), domain("example.org"), "{jid}");
    }
    assert_eq!(Domain::of_jid("a@[2001:db8::1]/b").unwrap().as_ascii(), "2001:db8::1");
    assert_eq!(Domain::of_jid("juliet@").unwrap_err().reason, Reason::Empty);
    assert_eq!(Domain::of_jid("juliet/example.org@").unwrap().as_ascii(), "juliet");
}

// rule A3
#[test]
fn a_second_at_sign_in_a_jid_does_not_send_the_caller_round_in_circles() {
    let error = Domain::of_jid("a@b@example.org").unwrap_err();
    assert_eq!(error.reason, Reason::Character('@'));
    assert!(!error.to_string().contains("of_jid"), "{error}");
}

// rule A3
#[test]
fn a_full_jid_is_refused_and_the_message_names_of_jid() {
    for text in ["user@example.org", "example.org/resource", "user@example.org/a b", "xmpp://example.org"] {
        let error = Domain::new(text).unwrap_err();
        assert_eq!(error.reason, Reason::FullJid, "{text}");
        assert!(error.to_string().contains("Domain::of_jid"), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

// rule A3
#[test]
fn names_that_cannot_be_host_names_are_refused() {
    let label63 = "a".repeat(63);
    assert_eq!(domain(&format!("{label63}.example")).as_ascii().len(), 71);
    assert_eq!(reason(&format!("a{label63}.example")), Reason::LabelTooLong);
    let name253 = format!("{label63}.{label63}.{label63}.{}", "a".repeat(61));
    assert_eq!(domain(&name253).as_ascii().len(), 253);
    assert_eq!(domain(&format!("{name253}.")).as_ascii().len(), 253);
    assert_eq!(reason(&format!("{name253}a")), Reason::NameTooLong);
    assert_eq!(reason(&"a.".repeat(1_000_000)), Reason::NameTooLong);
    for text in ["", "."] {
        assert_eq!(reason(text), Reason::Empty, "{text}");
    }
    for text in ["..", "example..org", ".example.org", "example.org.."] {
        assert_eq!(reason(text), Reason::EmptyLabel, "{text}");
    }
    for text in [" example.org", "example.org ", "exam ple.org", "example.org\n", "\u{3000}a", "a\0"] {
        assert_eq!(reason(text), Reason::WhiteSpace, "{text:?}");
    }
    for (text, character) in [
        ("_xmpp-client._tcp.example.org", '_'),
        ("a*.example", '*'),
        ("a%b", '%'),
        ("a\\046b", '\\'),
        ("a&b", '&'),
    ] {
        assert_eq!(reason(text), Reason::Character(character));
    }
}

// rule A3
#[test]
fn a_hyphen_may_stand_anywhere_but_at_the_ends_of_a_label() {
    for text in ["r3---sn-apo3qvuoxuxbt-j5pe.googlevideo.com", "a-b.example", "ab--c.example"] {
        assert_eq!(domain(text).as_ascii(), text);
        assert_eq!(domain(text).as_unicode(), text);
    }
    for text in ["-a.example", "a-.example", "example.-", "-"] {
        assert_eq!(reason(text), Reason::Hyphen, "{text}");
    }
}

// rule A3
#[test]
fn a_numeric_last_label_is_refused_unless_it_ends_an_ipv4_address() {
    for text in [
        "127.1",
        "1.2.3.256",
        "0x7f.1",
        "1",
        "0x7f",
        "0X7F",
        "0x",
        "example.0xab",
        "example.1",
        "1.2.3.4.5",
        "192.0.2.01",
        "192.0.02.1",
        "0x7f.0.0.1",
        "127.1.",
        "4294967295",
    ] {
        assert_eq!(reason(text), Reason::NumericLastLabel, "{text}");
    }
    for text in ["1.example", "0x7f.example", "example.0xg", "example.1a", "x0x"] {
        assert_eq!(domain(text).as_ascii(), text);
    }
}

// rule A3
#[test]
fn zone_ids_ports_and_wrong_brackets_are_refused() {
    for text in ["fe80::1%eth0", "[fe80::1%eth0]", "[fe80::1%25eth0]", "fe80::1%"] {
        assert_eq!(reason(text), Reason::ZoneId, "{text}");
        assert!(Domain::new(text).unwrap_err().to_string().contains("zone"));
    }
    for text in [
        "example.org:5222",
        "192.0.2.1:5222",
        "[::1]:5222",
        "[192.0.2.1]",
        "[example.org]",
        "[::1",
        "::1]",
        "[]",
        "[[::1]]",
        "1::2::3",
        ":",
        "xmpp:example.org",
        "[::1]..",
    ] {
        assert_eq!(reason(text), Reason::NotIpv6, "{text}");
    }
}

// rule A3
#[test]
fn every_message_is_one_line_without_full_stop_and_names_the_text_escaped_and_cut() {
    let long = "a".repeat(300);
    for text in [
        "",
        "a..b",
        "a b",
        "a\nb\u{202e}",
        "a_b",
        "-a",
        "1.1",
        "fe80::1%1",
        "a:1",
        "a@b",
        long.as_str(),
        "xn--a-",
        &long[..64],
        "ü",
    ] {
        let Err(error) = Domain::new(text) else { continue };
        let message = error.to_string();
        assert!(!message.contains(['\n', '\u{202e}']), "{message}");
        assert!(!message.ends_with('.') && message.chars().count() < 240, "{message}");
        assert!(message.starts_with('"'), "{message}");
    }
    assert!(Domain::new("a\nb").unwrap_err().to_string().starts_with("\"a\\nb\" "));
    assert!(Domain::new(&long).unwrap_err().to_string().starts_with(&format!("\"{}…\" ", &long[..64])));
    assert!(Domain::new(&long[..64]).unwrap_err().to_string().starts_with(&format!("\"{}\" ", &long[..64])));
}

// rule A1
#[test]
fn a_domain_is_made_of_the_usual_kinds_of_text() {
    let expected = domain("example.org");
    assert_eq!("example.org".parse::<Domain>().unwrap(), expected);
    assert_eq!(Domain::try_from("example.org").unwrap(), expected);
    assert_eq!(Domain::try_from(&"example.org".to_owned()).unwrap(), expected);
    assert_eq!(Domain::try_from("example.org".to_owned()).unwrap(), expected);
    assert_eq!(format!("{expected:>13}|"), "  example.org|");
}

// rule A5
#[test]
fn a_stream_name_of_another_domain_is_refused() {
    let domain = domain("xn--bcher-kva.example");
    assert_eq!(domain.host(), &name("xn--bcher-kva.example"));
    for (text, why) in [
        ("", Reason::Empty),
        ("bücher.example\n", Reason::WhiteSpace),
        ("bücher .example", Reason::WhiteSpace),
        ("user@bücher.example", Reason::FullJid),
        ("bücher.example/a", Reason::FullJid),
        ("bücher.example.org", Reason::OtherDomain),
        ("bücher.examplé", Reason::OtherDomain),
        ("bücher", Reason::OtherDomain),
        ("buecher.example", Reason::OtherDomain),
        ("192.0.2.1", Reason::OtherDomain),
        (&format!("bücher.example.{}", "ü".repeat(505)), Reason::NameTooLong),
    ] {
        assert_eq!(domain.clone().with_stream_name(text).unwrap_err().reason, why, "{text:?}");
    }
}

// rule A5
#[test]
fn a_stream_name_goes_beside_the_a_labels_with_or_without_the_feature() {
    let named = domain("xn--bcher-kva.example").with_stream_name("BÜCHER.Example.").unwrap();
    assert_eq!(named.as_ascii(), "xn--bcher-kva.example");
    assert_eq!(named.as_unicode(), "bücher.example");
    assert_eq!(named.to_string(), "bücher.example");
    let named = domain("example.org").with_stream_name("Example.ORG").unwrap();
    assert_eq!(named, domain("example.org"));
    let named = domain("::1").with_stream_name("[0::1]").unwrap();
    assert_eq!(named, domain("::1"));
    assert_eq!(
        domain("example.org").with_stream_name("éxample.org").unwrap_err().reason,
        Reason::OtherDomain
    );
    assert_eq!(domain("192.0.2.1").with_stream_name("é.0.2.org").unwrap_err().reason, Reason::OtherDomain);
}

// rule A3a
#[test]
fn a_host_that_the_caller_names_is_what_dns_serves_or_an_address_and_errors_say_host() {
    for host in ["xmpp_1.example.org", "_a.b_", "-a-.example", "xn--a.example"] {
        assert_eq!(Host::parse(host), Ok(name(host)));
    }
    assert_eq!(Host::parse("XMPP_1.Example."), Ok(name("xmpp_1.example")));
    for address in ["192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
        assert!(matches!(Host::parse(address), Ok(Host::Address(_))), "{address}");
    }
    for host in
        ["", "a b", "a..b", "a@b", "a/b", "127.1", "fe80::1%eth0", "host:5222", "a,b", &"a".repeat(64)]
    {
        let error = Host::parse(host).unwrap_err().to_string();
        assert!(error.contains("is not a host: ") && !error.contains("domain"), "{error}");
        assert!(!error.contains("Domain::"), "{error}");
    }
    for domain in ["xmpp_1.example.org", "_a.b", "-a.example"] {
        assert!(Domain::new(domain).unwrap_err().to_string().contains("is not an XMPP domain: "));
    }
}

// rule A3a
#[test]
#[cfg(feature = "idna")]
fn an_internationalised_host_is_converted() {
    assert_eq!(Host::parse("Bücher.example"), Ok(name("xn--bcher-kva.example")));
}

// rule A3, A7, B5
#[test]
fn a_target_of_a_srv_record_is_a_host_name_or_nothing() {
    for target in ["xmpp.example.org", "XMPP.Example.Org.", "xmpp.example.org."] {
        assert_eq!(Host::of_srv_target(target), Ok(name("xmpp.example.org")));
    }
    for target in [
        "a-.example",
        "-a.example",
        "a_b.example",
        "_a.example",
        "xn--a.example",
        "r3---sn.example",
        "localhost",
        "1.example",
    ] {
        assert_eq!(Host::of_srv_target(target), Ok(name(target)));
    }
    let label64 = "a".repeat(64);
    let name254 = format!("{}.{}", vec!["a".repeat(63); 3].join("."), "a".repeat(62));
    for target in [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "192.0.2.1",
        "192.0.2.1.",
        "1",
        "0x7f.1",
        "example.0x1",
        "a b.example",
        "a\\046b",
        "ü.example",
        "::1",
        "[::1]",
        &label64,
        &name254,
    ] {
        assert!(Host::of_srv_target(target).is_err(), "{target}");
    }
    assert!(Host::of_srv_target(&name254[1..]).is_ok());
}

// rule A7, B11
#[test]
fn names_of_special_use_are_told_by_their_last_label() {
    for (text, expected) in [
        ("abc.onion", SpecialUse::Onion),
        ("ONION.", SpecialUse::Onion),
        ("a.b.invalid", SpecialUse::Invalid),
        ("invalid", SpecialUse::Invalid),
        ("localhost", SpecialUse::Loopback),
        ("xmpp.LocalHost.", SpecialUse::Loopback),
        ("printer.local", SpecialUse::MulticastDns),
        ("local", SpecialUse::MulticastDns),
        ("onion.example", SpecialUse::None),
        ("notlocalhost", SpecialUse::None),
        ("my-local", SpecialUse::None),
        ("localhost.example", SpecialUse::None),
        ("127.0.0.1", SpecialUse::None),
        ("::1", SpecialUse::None),
    ] {
        assert_eq!(Host::parse(text).unwrap().special_use(), expected, "{text}");
    }
    assert_eq!(Host::of_srv_target("a.Onion.").unwrap().special_use(), SpecialUse::Onion);
}

// rule A3, A4, B1
#[test]
fn a_name_has_a_srv_name_unless_it_would_be_too_long() {
    let prefix = "_xmpps-client._tcp";
    let host = Host::parse("Example.org").unwrap();
    assert_eq!(host.srv_name(prefix).as_deref(), Some("_xmpps-client._tcp.example.org"));
    let name234 = format!("{}.{}", vec!["a".repeat(63); 3].join("."), "a".repeat(42));
    assert_eq!(Host::parse(&name234).unwrap().srv_name(prefix).map(|name| name.len()), Some(253));
    assert_eq!(Host::parse(&format!("{name234}a")).unwrap().srv_name(prefix), None);
    assert_eq!(Host::parse("192.0.2.1").unwrap().srv_name(prefix), None);
    assert_eq!(Host::parse("[::1]").unwrap().srv_name(prefix), None);
}

// rule A3
#[test]
fn what_is_longer_than_any_domain_part_is_refused_before_it_is_converted() {
    for (length, expected) in
        [(1023, Ok(())), (1024, Err(Reason::NameTooLong)), (5000, Err(Reason::NameTooLong))]
    {
        assert_eq!(check_text(&"a".repeat(length)), expected, "{length}");
    }
}

// rule A3
#[test]
fn only_an_ipv6_address_has_a_zone() {
    assert_eq!(reason("fe80::1%eth0"), Reason::ZoneId);
    assert_eq!(reason("fe80::1::2%eth0"), Reason::NotIpv6);
}
