//! Which addresses go first: RFC 6724 section 6. No IO.

use std::net::{IpAddr, Ipv6Addr};

/// The rank of a destination in the order of RFC 6724 section 6; the lesser one goes first.
///
/// Rules 3, 4 and 7 are left out: no portable interface reports deprecated addresses, home addresses and tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(u32);

/// The bit of [`Rank`] for destinations without a route.
const UNUSABLE: u32 = 1 << 31;

impl Rank {
    /// The rank of `destination`, which would be reached from `source`; `None` if there is no route.
    pub(crate) fn new(destination: IpAddr, source: Option<IpAddr>) -> Self {
        let (to, from) = (mapped(destination), source.map(mapped));
        // "Rule 2: Prefer matching scope." and "Rule 5: Prefer matching label."
        let scope_differs = from.is_none_or(|from| scope(from) != scope(to));
        let label_differs = from.is_none_or(|from| policy(from).label != policy(to).label);
        // "Rule 9: Use longest matching prefix." Not for IPv4, where it would defeat the DNS server's round robin and,
        // behind NAT, compare unrelated addresses.
        let common_prefix = match from {
            Some(from) if destination.is_ipv6() => common_prefix(from, to),
            Some(_) | None => 0,
        };
        // "Rule 1: Avoid unusable destinations."
        let unusable = if source.is_none() { UNUSABLE } else { 0 };
        // "Rule 6: Prefer higher precedence." and "Rule 8: Prefer smaller scope."
        let rest = [u8::MAX - policy(to).precedence, scope(to), u8::MAX - common_prefix];
        let [precedence, scope, common_prefix] = rest.map(u32::from);
        Self(
            unusable
                | u32::from(scope_differs) << 30
                | u32::from(label_differs) << 29
                | precedence << 16
                | scope << 8
                | common_prefix,
        )
    }

    /// Whether there is no route.
    pub(crate) fn is_unusable(self) -> bool {
        self.0 & UNUSABLE != 0
    }

    /// The rank as a number.
    pub(crate) fn number(self) -> u64 {
        self.0.into()
    }
}

/// "IPv4 addresses [...] are represented as IPv4-mapped" (RFC 6724 section 2.1).
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A row of the policy table (RFC 6724 section 2.1).
struct PolicyEntry {
    precedence: u8,
    label: u8,
}

/// The default policy table, longest prefixes first.
fn policy(address: Ipv6Addr) -> PolicyEntry {
    let [first, second, ..] = address.segments();
    let (precedence, label) = match address {
        Ipv6Addr::LOCALHOST => (50, 0),
        _ if address.to_ipv4_mapped().is_some() => (35, 4),
        // ::/96
        _ if address.octets().starts_with(&[0; 12]) => (1, 3),
        // 2001::/32, Teredo
        _ if (first, second) == (0x2001, 0) => (5, 5),
        // 2002::/16, 6to4
        _ if first == 0x2002 => (30, 2),
        // 3ffe::/16, 6bone
        _ if first == 0x3ffe => (1, 12),
        // fec0::/10, site-local
        _ if first & 0xffc0 == 0xfec0 => (1, 11),
        // fc00::/7, unique local
        _ if first & 0xfe00 == 0xfc00 => (3, 13),
        _ => (40, 1),
    };
    PolicyEntry { precedence, label }
}

/// The scope, as numbered for multicast (RFC 6724 sections 3.1 and 3.2).
fn scope(address: Ipv6Addr) -> u8 {
    const LINK_LOCAL: u8 = 0x2;
    const SITE_LOCAL: u8 = 0x5;
    const GLOBAL: u8 = 0xe;
    if let Some(address) = address.to_ipv4_mapped() {
        let is_local = address.is_loopback() || address.is_link_local();
        return if is_local { LINK_LOCAL } else { GLOBAL };
    }
    let [first, ..] = address.segments();
    if address.is_multicast() {
        let [_, second, ..] = address.octets();
        second & 0xf
    } else if address.is_loopback() || first & 0xffc0 == 0xfe80 {
        LINK_LOCAL
    } else if first & 0xffc0 == 0xfec0 {
        SITE_LOCAL
    } else {
        GLOBAL
    }
}

/// How many leading bits are equal, up to the 64 of the prefix: "CommonPrefixLen(S, D)" of RFC 6724 section 2.2.
fn common_prefix(one: Ipv6Addr, other: Ipv6Addr) -> u8 {
    let differing = (one.to_bits() ^ other.to_bits()).leading_zeros().min(64);
    u8::try_from(differing).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(routes: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut addresses: Vec<(Rank, IpAddr)> = routes
            .iter()
            .map(|(to, from)| {
                let to: IpAddr = to.parse().unwrap();
                (Rank::new(to, from.map(|from| from.parse().unwrap())), to)
            })
            .collect();
        addresses.sort_by_key(|(rank, _)| *rank);
        addresses.into_iter().map(|(_, address)| address.to_string()).collect()
    }

    // rule D1
    #[test]
    fn the_policy_table_is_that_of_rfc_6724_section_2_1() {
        for (first, last, precedence, label) in [
            ("::1", "::1", 50, 0),
            ("::ffff:0:0", "::ffff:ffff:ffff", 35, 4),
            ("2002::", "2002:ffff::ffff", 30, 2),
            ("2001::", "2001:0:ffff::ffff", 5, 5),
            ("fc00::", "fdff:ffff::ffff", 3, 13),
            ("::", "::", 1, 3),
            ("::2", "::ffff:ffff", 1, 3),
            ("fec0::", "feff:ffff::ffff", 1, 11),
            ("3ffe::", "3ffe:ffff::ffff", 1, 12),
            // "::/0", which is what the others leave.
            ("::1:0:0", "::fffe:ffff:ffff", 40, 1),
            ("::1:0:0:0", "2000:ffff::ffff", 40, 1),
            ("2001:1::", "2001:ffff::ffff", 40, 1),
            ("2003::", "3ffd:ffff::ffff", 40, 1),
            ("3fff::", "fbff:ffff::ffff", 40, 1),
            ("fe00::", "febf:ffff::ffff", 40, 1),
            ("ff00::", "ffff::ffff", 40, 1),
        ] {
            for address in [first, last] {
                let entry = policy(address.parse().unwrap());
                assert_eq!((entry.precedence, entry.label), (precedence, label), "{address}");
            }
        }
    }

    // rule D1
    #[test]
    fn scopes_are_those_of_rfc_6724_section_3() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", 0x2),
            ("::ffff:169.254.0.1", 0x2),
            // "IPv4 private addresses [...] are assigned global scope."
            ("::ffff:10.0.0.1", 0xe),
            ("::1", 0x2),
            ("fe7f:ffff::", 0xe),
            ("fe80::", 0x2),
            ("febf:ffff::", 0x2),
            ("fec0::", 0x5),
            ("feff:ffff::", 0x5),
            ("fc00::1", 0xe),
            ("2001:db8::1", 0xe),
            ("ff01::1", 0x1),
            ("ff02::1", 0x2),
            ("ff38::1", 0x8),
            ("ff0e::1", 0xe),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }

    // rule D1
    #[test]
    fn the_examples_of_rfc_6724_section_10_2_come_out_as_there() {
        for (routes, expected) in [
            // "Prefer matching scope"
            (
                vec![("2001:db8:1::1", Some("2001:db8:1::2")), ("198.51.100.121", Some("169.254.13.78"))],
                ["2001:db8:1::1", "198.51.100.121"],
            ),
            (
                vec![("2001:db8:1::1", Some("fe80::1")), ("198.51.100.121", Some("198.51.100.117"))],
                ["198.51.100.121", "2001:db8:1::1"],
            ),
            // "Prefer higher precedence"
            (
                vec![("10.1.2.3", Some("10.1.2.4")), ("2001:db8:1::1", Some("2001:db8:1::2"))],
                ["2001:db8:1::1", "10.1.2.3"],
            ),
            // "Prefer smaller scope"
            (
                vec![("2001:db8:1::1", Some("2001:db8:1::2")), ("fe80::1", Some("fe80::2"))],
                ["fe80::1", "2001:db8:1::1"],
            ),
            // "Prefer matching label"
            (
                vec![
                    ("2002:c633:6401::1", Some("2002:c633:6401::2")),
                    ("2001:db8:1::1", Some("2002:c633:6401::2")),
                ],
                ["2002:c633:6401::1", "2001:db8:1::1"],
            ),
            (
                vec![
                    ("2002:c633:6401::1", Some("2002:c633:6401::2")),
                    ("2001:db8:1::1", Some("2001:db8:1::2")),
                ],
                ["2001:db8:1::1", "2002:c633:6401::1"],
            ),
        ] {
            assert_eq!(sorted(&routes), expected, "{routes:?}");
        }
    }

    // rule D1
    #[test]
    fn a_destination_without_a_route_goes_last_and_equals_keep_their_order() {
        let routes = [
            ("2001:db8::1", None),
            ("192.0.2.9", Some("192.0.2.77")),
            ("198.51.100.1", Some("192.0.2.77")),
            ("192.0.2.1", Some("192.0.2.77")),
        ];
        assert_eq!(sorted(&routes), ["192.0.2.9", "198.51.100.1", "192.0.2.1", "2001:db8::1"]);
    }

    // rule D1
    #[test]
    fn a_unique_local_source_does_not_prefer_global_ipv6_to_ipv4() {
        let routes = [("2001:db8::1", Some("fd00::1")), ("192.0.2.1", Some("192.0.2.77"))];
        assert_eq!(sorted(&routes), ["192.0.2.1", "2001:db8::1"]);
    }

    // rule D1
    #[test]
    fn the_longer_common_prefix_goes_first_in_ipv6_up_to_64_bits() {
        let source = Some("2001:db8:0:1::7");
        assert_eq!(
            sorted(&[("2001:db8:9::1", source), ("2001:db8:0:1::ffff", source), ("2001:db8:0:1::6", source)]),
            ["2001:db8:0:1::ffff", "2001:db8:0:1::6", "2001:db8:9::1"]
        );
    }
}
