//! The settings in a resolv.conf: name servers, timeout, attempts and options, read as glibc reads them. No IO.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::dns::ConfigurationError;
use crate::dns::message::Validation;
use crate::dns::stub::schedule::Rounds;
use crate::limits::{
    MAX_GIVEN_NAME_SERVERS, MAX_NAME_SERVERS, MAX_SERVER_ATTEMPTS, MAX_SERVER_TIMEOUT, SERVER_ATTEMPTS,
};

/// The port of DNS (RFC 1035 section 4.2).
pub(crate) const DNS_PORT: u16 = 53;

/// In which order the servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerOrder {
    /// As listed.
    AsListed,
    /// Each lookup begins with another server (`options rotate`).
    Rotating,
}

/// How questions travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over UDP, and over TCP what does not fit.
    Udp,
    /// Over TCP only (`options use-vc`).
    Tcp,
}

/// The name server of this machine.
pub(crate) const THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT);

/// The settings of the stub resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolverConfig {
    /// The name servers, in order.
    pub(crate) servers: Vec<SocketAddr>,
    /// How long a server may take before it is asked again, where `timeout` says so.
    pub(crate) timeout: Option<Duration>,
    /// How often each server is asked.
    pub(crate) attempts: u32,
    /// `rotate`.
    pub(crate) order: ServerOrder,
    /// `trust-ad`.
    pub(crate) validation: Validation,
    /// `use-vc`.
    pub(crate) transport: Transport,
}

impl ResolverConfig {
    /// These name servers, and the defaults of resolv.conf.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            timeout: None,
            attempts: SERVER_ATTEMPTS,
            order: ServerOrder::AsListed,
            validation: Validation::Untrusted,
            transport: Transport::Udp,
        }
    }

    /// The name servers that the caller gives, each once, and the defaults of resolv.conf.
    ///
    /// # Errors
    /// The list is empty or too long, or a port is 0.
    pub(crate) fn given(given: impl IntoIterator<Item = SocketAddr>) -> Result<Self, ConfigurationError> {
        let mut servers: Vec<SocketAddr> = Vec::new();
        for (count, server) in given.into_iter().enumerate() {
            if count == MAX_GIVEN_NAME_SERVERS {
                let message = format!("more than {MAX_GIVEN_NAME_SERVERS} name servers are given");
                return Err(ConfigurationError::new(message));
            }
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        if servers.is_empty() {
            return Err(ConfigurationError::new("the list of name servers is empty"));
        }
        match servers.iter().find(|server| server.port() == 0) {
            Some(server) => {
                let message = format!("no name server can be at port 0 of {}", server.ip());
                Err(ConfigurationError::new(message))
            }
            None => Ok(Self::new(servers)),
        }
    }

    /// Reads the text of a resolv.conf as glibc does: a line or option that is not known is passed over. It may name no
    /// server. `interface_index` gives the number of a network interface by its name.
    pub(crate) fn parse(text: &str, interface_index: &dyn Fn(&str) -> Option<u32>) -> Self {
        let mut config = Self::new(Vec::new());
        for line in text.lines() {
            // A NUL ends it too, as it ends a string of C.
            let line = line.split(['#', ';', '\0']).next().unwrap_or_default();
            // resolv.conf(5): "the keyword (e.g., nameserver) must start the line".
            let (keyword, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let mut words = rest.split_whitespace();
            match keyword {
                "nameserver" if config.servers.len() < MAX_NAME_SERVERS => {
                    let server = words.next().and_then(|word| server_address(word, interface_index));
                    config.servers.extend(server);
                }
                "options" => words.for_each(|option| config.read_option(option)),
                _ => {}
            }
        }
        config
    }

    /// How often the servers are asked.
    pub(crate) fn rounds(&self) -> Rounds {
        Rounds { attempts: self.attempts, timeout: self.timeout }
    }

    fn read_option(&mut self, option: &str) {
        match option.split_once(':') {
            Some(("timeout", number)) => {
                if let Some(seconds) = leading_number(number) {
                    self.timeout = Some(Duration::from_secs(seconds.clamp(1, MAX_SERVER_TIMEOUT).into()));
                }
            }
            Some(("attempts", number)) => {
                if let Some(attempts) = leading_number(number) {
                    self.attempts = attempts.clamp(1, MAX_SERVER_ATTEMPTS);
                }
            }
            Some(_) => {}
            // glibc compares no further than its own word.
            None if option.starts_with("rotate") => self.order = ServerOrder::Rotating,
            None if option.starts_with("trust-ad") => self.validation = Validation::Trusted,
            None if option.starts_with("use-vc") => self.transport = Transport::Tcp,
            None => {}
        }
    }
}

/// The digits that `text` begins with, as C's `atoi` reads them; a number beyond 32 bits is the largest.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end).filter(|digits| !digits.is_empty())?;
    Some(digits.parse().unwrap_or(u32::MAX))
}

/// An address of a `nameserver` line, `fe80::1%eth0` and `fe80::1%2` (RFC 4007 section 11) included.
fn server_address(word: &str, interface_index: &dyn Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((address, zone)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse::<IpAddr>().ok()?, DNS_PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    // An interface that is not there leaves 0: to ask that server fails at once, and the error names it.
    let scope = zone.parse().ok().or_else(|| interface_index(zone)).unwrap_or(0);
    Some(SocketAddrV6::new(address, DNS_PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn parse(text: &str) -> ResolverConfig {
        ResolverConfig::parse(text, &|name| (name == "eth0").then_some(7))
    }

    fn servers(text: &str) -> Vec<String> {
        parse(text).servers.iter().map(ToString::to_string).collect()
    }

    // rule H3
    #[test]
    fn an_ordinary_file_is_read() {
        let config = parse(
            "# made by hand\nsearch example.org\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\n\
             options timeout:2 attempts:3 rotate trust-ad use-vc\n",
        );
        let expected = ResolverConfig {
            servers: vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()],
            timeout: Some(Duration::from_secs(2)),
            attempts: 3,
            order: ServerOrder::Rotating,
            validation: Validation::Trusted,
            transport: Transport::Tcp,
        };
        assert_eq!(config, expected);
    }

    // rule H3, D5
    #[test]
    fn the_callers_list_has_each_server_once_and_an_end() {
        let server = |number: u16| SocketAddr::from(([192, 0, 2, 1], number));
        let config = ResolverConfig::given([53, 54, 53].map(server)).unwrap();
        assert_eq!(config, ResolverConfig::new([53, 54].map(server).to_vec()));
        let most = u16::try_from(MAX_GIVEN_NAME_SERVERS).unwrap();
        assert_eq!(
            ResolverConfig::given((1..=most).map(server)).unwrap().servers.len(),
            MAX_GIVEN_NAME_SERVERS
        );
        for long in [
            ResolverConfig::given((1..most + 2).map(server)),
            ResolverConfig::given(iter::repeat(server(53))),
        ] {
            assert_eq!(long.unwrap_err().to_string(), "more than 32 name servers are given");
        }
    }

    // rule H3
    #[test]
    fn an_unknown_or_broken_line_never_fails_the_file() {
        let text = "nameserver\nnameserver not-an-address\nnameserver 192.0.2.999\noptions\noptions edns0 ndots:x \
                    timeout: attempts:many timeout:-4 no-such-option:1 :\n\u{fffd}\n%%\nlookup file bind\n  \n\
                    nameserver 192.0.2.1\r\n;nameserver 192.0.2.8\n nameserver 192.0.2.9";
        assert_eq!(parse(text), ResolverConfig::new(vec!["192.0.2.1:53".parse().unwrap()]));
    }

    // rule H3
    #[test]
    fn without_a_name_server_the_options_count() {
        let config = parse("options rotate");
        assert_eq!((config.servers, config.order), (Vec::new(), ServerOrder::Rotating));
    }

    // rule H3
    #[test]
    fn only_the_first_three_name_servers_count() {
        let text = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver x\nnameserver 192.0.2.3\nnameserver 192.0.2.4";
        assert_eq!(servers(text), ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    }

    // rule H3
    #[test]
    fn a_comment_ends_the_line() {
        let config =
            parse("nameserver 192.0.2.1# first\nnameserver 192.0.2.2 ; second\noptions attempts:4 # rotate");
        assert_eq!(config.servers.len(), 2);
        assert_eq!((config.attempts, config.order), (4, ServerOrder::AsListed));
    }

    // rule H3
    #[test]
    fn the_zone_of_a_link_local_server_becomes_its_scope() {
        let scopes = |text| match parse(text).servers.as_slice() {
            [SocketAddr::V6(server)] => (*server.ip(), server.scope_id()),
            other => panic!("{other:?}"),
        };
        let address = "fe80::1".parse().unwrap();
        assert_eq!(scopes("nameserver fe80::1%eth0"), (address, 7));
        assert_eq!(scopes("nameserver fe80::1%12"), (address, 12));
        assert_eq!(scopes("nameserver fe80::1%gone"), (address, 0));
        assert_eq!(scopes("nameserver fe80::1"), (address, 0));
        assert!(servers("nameserver 192.0.2.1%eth0").is_empty());
    }

    // rule H3
    #[test]
    fn timeout_and_attempts_have_caps() {
        let cases = [
            ("timeout:0 attempts:0", 1, 1),
            ("timeout:30 attempts:5", 30, 5),
            ("timeout:31 attempts:6", 30, 5),
            ("timeout:99999999999 attempts:99999999999", 30, 5),
            ("timeout:3s attempts:2x", 3, 2),
            ("timeout:9 timeout:4", 4, 2),
        ];
        for (options, timeout, attempts) in cases {
            let config = parse(&format!("options {options}"));
            assert_eq!(config.timeout, Some(Duration::from_secs(timeout)), "{options}");
            assert_eq!(config.attempts, attempts, "{options}");
        }
    }
}
