//! Building a connector: which options are impossible or contradict each other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ConnectorBuilder;
use crate::connector::Connector;
use crate::dns::message::Validation;
use crate::dns::stub::Stub;
use crate::dns::stub::resolv_conf::{ResolverConfig, Transport};
use crate::dns::stub::system::SystemConfig;
use crate::domain::Host;
use crate::error::{Error, ErrorKind};
use crate::quoted::Quoted;
use crate::settings::{AddressFamily, DnsUse, SocketOptions};
use crate::shared::{Names, Shared};
use crate::socket::{CAN_BIND_TO_INTERFACE, CAN_SET_PROBES, HAS_USER_TIMEOUT, MAX_INTERFACE_NAME};
use crate::tls::{SystemTrust, Tls, TlsOptions};

impl ConnectorBuilder {
    /// Builds the connector. It sends nothing, and reads no file but the root certificates of the system, if they are
    /// to be used.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for:
    /// - a limit or delay of zero, or a keep-alive count of zero;
    /// - `keep_alive_interval`, `keep_alive_count` or `user_timeout` on a system that does not support it; the former
    ///   two without `keep_alive`;
    /// - an empty list of name servers, or one at port 0; both name servers and a resolver; `trust_ad` or
    ///   `dns_over_tcp` without name servers;
    /// - both a proxy and a dial function; a proxy at an address of another family than the source address; `dns_use` that
    ///   leaves names to nobody, or whose names a filter cannot judge;
    /// - an interface on a system that does not support it, or with a name that no interface can have; a source address
    ///   of a family that is excluded;
    /// - a crypto provider, pins, root certificates, `srv_ids`, `xmpp_addrs`, revocation lists, `dane` or a client
    ///   certificate beside a `ClientConfig`; `srv_ids` or `xmpp_addrs` without given roots; no root certificates; one that
    ///   cannot be read; no revocation list, or one that cannot be used; a client certificate that cannot be read, or
    ///   whose key does not belong to it or is not supported; no crypto provider;
    /// - an empty list of pins, or both `require_pins` and `trust_pins_alone` for one domain.
    pub fn build(self) -> Result<Connector, Error> {
        self.check_times()?;
        self.check_tls()?;
        let mut settings = self.settings.clone();
        settings.family = self.family_for_source()?;
        settings.dns_use = self.dns_use_of_way()?;
        let names = self.names()?;
        let proxy_names = Stub::new(SystemConfig::new(), self.caching, self.settings.socket.clone());
        check_socket(&self.settings.socket)?;
        let tls = Tls::new(&self.tls, &settings.service).map_err(|error| configuration(error.to_string()))?;
        Ok(Connector::new(Shared::new(
            settings,
            self.only_used,
            tls,
            names,
            proxy_names,
            self.filter,
            self.hook,
        )))
    }

    /// A `ClientConfig` says alone what is trusted and shown.
    fn check_tls(&self) -> Result<(), Error> {
        let TlsOptions {
            provider,
            trust,
            pins,
            revocation,
            other_names,
            dane,
            client_certificate,
            config,
            ..
        } = &self.tls;
        let given = [
            ("a crypto provider", provider.is_some()),
            ("root certificates", trust.only_given || !trust.given.is_empty()),
            ("those of the system", trust.system != SystemTrust::Nothing),
            ("pins", pins.is_some()),
            ("names to accept", other_names.is_any()),
            ("revocation lists", revocation.is_some()),
            ("TLSA records (dane)", dane.is_some()),
            ("a client certificate", client_certificate.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given && config.is_some()) {
            Some((what, _)) => Err(configuration(format!(
                "both {what} and a ClientConfig are given; a ClientConfig has to have them itself"
            ))),
            None if other_names.is_any() && trust.given.is_empty() => Err(configuration(
                "srv_ids and xmpp_addrs apply to given roots, and there are none; give them with add_roots or only_roots",
            )),
            None if trust.system.is_verifier() && trust.only_given => Err(configuration(
                "both only_roots and platform_verifier are given; the system always uses its own root certificates",
            )),
            None if trust.system.is_verifier() && revocation.is_some() => Err(configuration(
                "both revocation lists and platform_verifier are given; the system has its own way to check revocation",
            )),
            None => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), Error> {
        let times = [
            ("timeout", Some(self.settings.limits.total)),
            ("lookup_timeout", self.settings.limits.lookup),
            ("tcp_timeout", Some(self.settings.limits.tcp)),
            ("handshake_timeout", Some(self.settings.limits.handshake)),
            ("attempt_delay", Some(self.settings.limits.attempt_delay)),
            ("priority_delay", Some(self.settings.limits.group_delay)),
            ("keep_alive", self.settings.socket.keep_alive),
            ("keep_alive_interval", self.settings.socket.keep_alive_interval),
            ("user_timeout", self.settings.socket.user_timeout),
        ];
        match times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            Some((name, _)) => Err(configuration(format!("{name} is zero; use Duration::MAX for no limit"))),
            None => Ok(()),
        }
    }

    /// What is looked up, given who opens connections.
    fn dns_use_of_way(&self) -> Result<DnsUse, Error> {
        let dns_use = match (&self.settings.proxy, &self.hook, self.dns_use) {
            (Some(_), Some(_), _) => {
                return Err(configuration("both a proxy and a dial function are given; choose one"));
            }
            (None, None, Some(DnsUse::Srv | DnsUse::Nothing)) => {
                return Err(configuration(
                    "dns_use leaves names to a proxy or a dial function, and there is none",
                ));
            }
            (None, None, Some(DnsUse::All) | None) => DnsUse::All,
            (_, _, Some(dns_use)) => dns_use,
            (_, _, None) => DnsUse::Srv,
        };
        if dns_use == DnsUse::Nothing && self.settings.dane {
            return Err(configuration("DANE needs TLSA records, and dns_use(DnsUse::Nothing) looks up none"));
        }
        if dns_use.leaves_names() && self.filter.is_some() {
            return Err(configuration(
                "the filter judges addresses, and names are left to the proxy or the dial function; set \
                 dns_use(DnsUse::All), or leave out the filter",
            ));
        }
        Ok(dns_use)
    }

    /// A socket that is bound to an address of one family cannot connect to the other. Through a proxy, it does not
    /// connect to the server.
    fn family_for_source(&self) -> Result<AddressFamily, Error> {
        if let Some(proxy) = &self.settings.proxy {
            return match (self.settings.socket.source, proxy.host()) {
                (Some(source), Host::Address(address))
                    if source.is_ipv4() != address.to_canonical().is_ipv4() =>
                {
                    Err(configuration(format!("the proxy {proxy} cannot be reached from {source}")))
                }
                (Some(_) | None, _) => Ok(self.settings.family),
            };
        }
        if self.hook.is_some() {
            return Ok(self.settings.family);
        }
        Ok(match (self.settings.socket.source, self.settings.family) {
            (None, family) => family,
            (
                Some(IpAddr::V4(_)),
                AddressFamily::Any | AddressFamily::Ipv4First | AddressFamily::Ipv4Only,
            ) => AddressFamily::Ipv4Only,
            (
                Some(IpAddr::V6(_)),
                AddressFamily::Any | AddressFamily::Ipv4First | AddressFamily::Ipv6Only,
            ) => AddressFamily::Ipv6Only,
            (Some(address), AddressFamily::Ipv4Only | AddressFamily::Ipv6Only) => {
                return Err(configuration(format!(
                    "the source address {address} is of an address family that is excluded"
                )));
            }
        })
    }

    fn names(&self) -> Result<Names, Error> {
        let has_options = self.validation != Validation::Untrusted || self.transport != Transport::Udp;
        if has_options && self.servers.is_none() {
            return Err(configuration("trust_ad and dns_over_tcp apply to nameservers, and none are given"));
        }
        match (&self.resolver, &self.servers) {
            (Some(_), Some(_)) => {
                Err(configuration("both name servers and a resolver are given; choose one"))
            }
            (Some(resolver), None) => Ok(Names::Resolver(Arc::clone(resolver))),
            (None, Some(servers)) => {
                let mut config = ResolverConfig::given(servers.iter().copied())?;
                config.validation = self.validation;
                config.transport = self.transport;
                Ok(Names::Stub(Stub::new(
                    SystemConfig::given(config),
                    self.caching,
                    self.settings.socket.clone(),
                )))
            }
            (None, None) => {
                Ok(Names::Stub(Stub::new(SystemConfig::new(), self.caching, self.settings.socket.clone())))
            }
        }
    }
}

fn check_socket(options: &SocketOptions) -> Result<(), Error> {
    if let Some(interface) = &options.interface {
        check_interface(interface)?;
    }
    if options.user_timeout.is_some() && !HAS_USER_TIMEOUT {
        return Err(configuration("user_timeout can only be set on Linux and Android"));
    }
    if options.keep_alive_interval.is_none() && options.keep_alive_count.is_none() {
        return Ok(());
    }
    if options.keep_alive_count == Some(0) {
        return Err(configuration("keep_alive_count is zero; to turn keep-alive off, leave out keep_alive"));
    }
    if options.keep_alive.is_none() {
        return Err(configuration(
            "keep_alive_interval and keep_alive_count apply to keep_alive, and it is not set",
        ));
    }
    if !CAN_SET_PROBES {
        return Err(configuration("the interval and count of keep-alive cannot be set on this system"));
    }
    Ok(())
}

/// Linux takes an empty name for "any interface", and only looks at the first 15 bytes of a longer one: connections
/// would leave by another interface than the caller has set.
fn check_interface(name: &str) -> Result<(), Error> {
    if !CAN_BIND_TO_INTERFACE {
        return Err(configuration("an interface can only be set on Linux and Android"));
    }
    if name.is_empty() || name.len() > MAX_INTERFACE_NAME || name.contains('\0') {
        let name = Quoted(name, MAX_INTERFACE_NAME);
        return Err(configuration(format!("no interface can have the name \"{name}\"")));
    }
    Ok(())
}

fn configuration(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
