//! The name servers of Windows, which has no resolv.conf: those of the network adapters that are up.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipconfig::{Adapter, IfType, OperStatus};

use crate::dns::LookupError;
use crate::dns::stub::resolv_conf::{DNS_PORT, ResolverConfig};
use crate::dns::stub::system::REMEDY;

/// Reads the settings of the adapters: their servers, those of the adapter with the lowest metric first.
///
/// # Errors
/// When the adapters cannot be read, or none of them has a name server.
pub(crate) fn read_config() -> Result<ResolverConfig, LookupError> {
    let adapters = ipconfig::get_adapters().map_err(|error| {
        LookupError::new(format!("cannot read the name servers of the network adapters ({error}); {REMEDY}"))
    })?;
    let mut adapters = adapters.iter().filter(|adapter| is_used(adapter)).collect::<Vec<_>>();
    adapters.sort_by_key(|adapter| adapter.ipv4_metric().min(adapter.ipv6_metric()));
    let mut servers = Vec::new();
    for adapter in adapters {
        for server in adapter.dns_servers().iter().filter_map(|server| address(*server, adapter)) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    if servers.is_empty() {
        return Err(LookupError::new(format!("no network adapter that is up has a name server; {REMEDY}")));
    }
    Ok(ResolverConfig::new(servers))
}

fn is_used(adapter: &Adapter) -> bool {
    adapter.oper_status() == OperStatus::IfOperStatusUp && adapter.if_type() != IfType::SoftwareLoopback
}

/// The address to ask; `None` for one that Windows fills in where nobody has set one.
fn address(server: IpAddr, adapter: &Adapter) -> Option<SocketAddr> {
    match server {
        IpAddr::V4(address) => Some(SocketAddr::new(address.into(), DNS_PORT)),
        IpAddr::V6(address) if is_placeholder(address) => None,
        IpAddr::V6(address) => {
            // A link-local address means nothing without its adapter (RFC 4007 section 6).
            let scope = if address.is_unicast_link_local() { adapter.ipv6_if_index() } else { 0 };
            Some(SocketAddrV6::new(address, DNS_PORT, 0, scope).into())
        }
    }
}

/// `fec0:0:0:ffff::1` to `::3`: site-local addresses of a draft that was given up (RFC 3879), which nobody answers.
fn is_placeholder(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0xfec0, 0, 0, 0xffff, 0, 0, 0, 1..=3])
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule H3
    #[test]
    fn the_adapters_have_name_servers_or_the_error_says_what_to_do() {
        match read_config() {
            Ok(config) => assert!(!config.servers.is_empty()),
            Err(error) => assert!(error.message().ends_with(REMEDY), "{error}"),
        }
    }

    // rule H3
    #[test]
    fn the_servers_that_windows_fills_in_where_there_are_none_are_not_asked() {
        for (address, expected) in [
            ("fec0:0:0:ffff::1", true),
            ("fec0:0:0:ffff::3", true),
            ("fec0:0:0:ffff::4", false),
            ("fec0::1", false),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_placeholder(address.parse().unwrap()), expected, "{address}");
        }
    }
}
