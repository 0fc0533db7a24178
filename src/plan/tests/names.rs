//! Tests of the questions for long names, and for non-ASCII names.

use super::World;

/// A name with this many octets, whose labels all have a valid length.
fn name_of(length: usize) -> String {
    let labels = "abcdefghi.".repeat(26);
    format!("{}x", &labels[labels.len() + 1 - length..])
}

// rule A3
#[test]
fn a_name_too_long_for_the_srv_prefix_has_no_srv_records() {
    let name = name_of(245);
    let played = World::read(&format!("domain {name}\ndns {name} A 10: 192.0.2.1")).play();
    assert_eq!(played.log[..2], [format!("0 ask {name} AAAA, {name} A"), "10 start 0 192.0.2.1:5222".into()]);
    assert_eq!(played.report().candidates[0].origin().to_string(), "fallback");
}

// rule A3
#[test]
fn a_name_too_long_for_one_prefix_only_is_asked_for_with_the_other() {
    // "_xmpps-client._tcp." has 19 octets, "_xmpp-client._tcp." has 18; 253 is the limit.
    let name = name_of(235);
    let world = format!("domain {name}\ndns xmpp 10: 5 0 5222 a.test\ndns a.test A 10: 192.0.2.1");
    let played = World::read(&world).play();
    assert_eq!(played.log[0], format!("0 ask _xmpp-client._tcp.{name} SRV, {name} AAAA, {name} A"));
    assert_eq!(played.log[2], "20 start 0 192.0.2.1:5222");
}

// rule A3, B4
#[test]
fn a_name_too_long_for_the_srv_prefix_has_nothing_for_direct_tls_only() {
    let played = World::read(&format!("domain {}\npolicy only direct TLS", name_of(245))).play();
    assert_eq!(played.log, ["0 failed NotOffered"]);
}

// rule A2
#[test]
#[cfg(feature = "idna")]
fn questions_are_in_a_labels() {
    let played = World::read("domain bücher.example").play();
    assert!(played.log[0].starts_with("0 ask _xmpps-client._tcp.xn--bcher-kva.example SRV, "), "{played:?}");
}
