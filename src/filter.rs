//! Filter: which addresses the caller allows, and a ready-made choice: public addresses only. No IO.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::discovery::Candidate;

/// Whether a connection to an address of a candidate is allowed.
type Allows = dyn Fn(&Candidate, SocketAddr) -> bool + Send + Sync;

/// The caller's choice of addresses.
#[derive(Clone)]
pub(crate) struct Filter(Arc<Allows>);

impl Filter {
    pub(crate) fn new(allows: impl Fn(&Candidate, SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allows))
    }

    /// Whether a connection to this address of the candidate is allowed.
    pub(crate) fn allows(&self, candidate: &Candidate, address: SocketAddr) -> bool {
        (self.0)(candidate, address)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Filter(..)")
    }
}

/// Returns whether `address` is one of the public Internet. Pass it to
/// [`ConnectorBuilder::filter`](crate::ConnectorBuilder::filter) if domains come from strangers.
///
/// The owner of a domain decides which addresses its servers have. Without a filter, strangers can therefore make the
/// program connect to services that only it can reach: on this machine, in its network, or at the metadata service of a
/// cloud (169.254.169.254). Like any server, those would receive what an XMPP client sends first.
///
/// All addresses are refused that are not globally reachable according to IANA's registries of special addresses for
/// [IPv4] and [IPv6] (RFC 6890): loopback, private, link-local, unique local, shared (100.64.0.0/10), multicast,
/// unspecified, reserved, and those for documentation and benchmarks. An address that contains an IPv4 address is
/// judged by that one: IPv4-mapped, and NAT64 with the prefix `64:ff9b::/96`. The forms of tunnels are refused (6to4,
/// Teredo, IPv4-compatible, and NAT64 with the prefix `64:ff9b:1::/48`), and so are all IPv6 addresses outside of
/// `2000::/3`.
///
/// It judges addresses only: through a proxy, set [`DnsUse::All`](crate::DnsUse::All), so that there are some.
///
/// It cannot recognise public addresses of your own network, such as that of a router, or a NAT64 prefix of your
/// provider. Ports are not restricted either: a domain can point to port 25 of a mail server of someone else. To
/// restrict them, use a filter of your own that calls this one:
///
/// ```
/// use xmpp_connect::{Connector, public_only};
///
/// let is_allowed = |port| port == 443 || port >= 1024;
/// let connector = Connector::builder()
///     .filter(move |candidate, address| public_only(candidate, address) && is_allowed(address.port()))
///     .build()?;
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
///
/// [IPv4]: https://www.iana.org/assignments/iana-ipv4-special-registry/
/// [IPv6]: https://www.iana.org/assignments/iana-ipv6-special-registry/
#[must_use]
pub fn public_only(_candidate: &Candidate, address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(address) => is_public_ipv4(address),
        IpAddr::V6(address) => is_public_ipv6(address),
    }
}

/// The networks of IPv4 that are not public, with the lengths of their prefixes: those of the registry that are not
/// "Globally Reachable", and multicast.
const NOT_PUBLIC_IPV4: [(Ipv4Addr, u32); 15] = [
    // "This network"
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private use
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared address space
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private use
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // IETF protocol assignments. Its two anycast addresses that are globally reachable are no servers of XMPP.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // Relays of 6to4, deprecated
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private use
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarking
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and limited broadcast
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public_ipv4(address: Ipv4Addr) -> bool {
    let is_in = |(network, length): &(Ipv4Addr, u32)| {
        (network.to_bits() ^ address.to_bits()).leading_zeros() >= *length
    };
    !NOT_PUBLIC_IPV4.iter().any(is_in)
}

/// The prefix of NAT64 for the public Internet (RFC 6052): the last 32 bits are an IPv4 address.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The only addresses that are assigned for global unicast.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is not public of them.
const NOT_PUBLIC_IPV6: [(Ipv6Addr, u32); 4] = [
    // IETF protocol assignments, among them Teredo, benchmarking, and ORCHID
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public_ipv6(address: Ipv6Addr) -> bool {
    let is_in = |(network, length): &(Ipv6Addr, u32)| {
        (network.to_bits() ^ address.to_bits()).leading_zeros() >= *length
    };
    if address.to_ipv4_mapped().is_some() || is_in(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_ipv4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(&GLOBAL_UNICAST) && !NOT_PUBLIC_IPV6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Origin;
    use crate::domain::Host;
    use crate::service::TlsMode;

    fn is_allowed(address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let candidate = Candidate::single(TlsMode::Direct, Host::Name("a.test".into()), 5223, Origin::Srv);
        public_only(&candidate, SocketAddr::new(address, 5223))
    }

    /// The first and the last address of each network, and its neighbours if they are public.
    const IPV4: &str = "
        0.0.0.0 0.255.255.255 | 1.0.0.0
        10.0.0.0 10.255.255.255 | 9.255.255.255 11.0.0.0
        100.64.0.0 100.127.255.255 | 100.63.255.255 100.128.0.0
        127.0.0.0 127.0.0.1 127.255.255.255 | 126.255.255.255 128.0.0.0
        169.254.0.0 169.254.169.254 169.254.255.255 | 169.253.255.255 169.255.0.0
        172.16.0.0 172.31.255.255 | 172.15.255.255 172.32.0.0
        192.0.0.0 192.0.0.9 192.0.0.255 | 191.255.255.255 192.0.1.0
        192.0.2.0 192.0.2.255 | 192.0.1.255 192.0.3.0
        192.88.99.0 192.88.99.255 | 192.88.98.255 192.88.100.0
        192.168.0.0 192.168.255.255 | 192.167.255.255 192.169.0.0
        198.18.0.0 198.19.255.255 | 198.17.255.255 198.20.0.0
        198.51.100.0 198.51.100.255 | 198.51.99.255 198.51.101.0
        203.0.113.0 203.0.113.255 | 203.0.112.255 203.0.114.0
        224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255 | 223.255.255.255 8.8.8.8
    ";

    const IPV6: &str = "
        :: ::1 ::2 ::7f00:1 ::8.8.8.8 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8 | 2000::
        64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff 64:ff9b::1:0:0 64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:808:808 64:ff9b:2:: | 2000::1
        100:: 100::ffff:ffff:ffff:ffff 100:0:0:1:: | 2400::
        1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 4000:: | 3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff
        2001:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2:: 2001:10:: 2001:20:: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff | 2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:200::
        2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff | 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::
        2002:: 2002:7f00:1:: 2002:808:808::1 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2003::
        3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff | 3fff:1000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
        5f00:: 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2a01:4f8::1
        fc00:: fd00::1 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2600::
        fe80:: fe80::1 febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff ff00:: ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff | 2c00::
    ";

    /// The refused and the allowed addresses of a table.
    fn parts(table: &str) -> impl Iterator<Item = (Vec<&str>, Vec<&str>)> {
        let rows = table.lines().filter_map(|row| row.split_once(" | "));
        rows.map(|(refused, allowed)| (refused.split_whitespace().collect(), allowed.split(' ').collect()))
    }

    // rule D13
    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for (refused, allowed) in parts(IPV4).chain(parts(IPV6)) {
            for address in refused {
                assert!(!is_allowed(address), "{address}");
            }
            for address in allowed {
                assert!(is_allowed(address), "{address}");
            }
        }
    }

    // rule D13
    #[test]
    fn an_ipv6_address_that_contains_an_ipv4_address_is_judged_by_that() {
        for (refused, allowed) in parts(IPV4) {
            for (addresses, expected) in [(refused, false), (allowed, true)] {
                for address in addresses {
                    for prefix in ["::ffff:", "64:ff9b::"] {
                        let address = format!("{prefix}{address}");
                        assert_eq!(is_allowed(&address), expected, "{address}");
                    }
                }
            }
        }
    }
}
