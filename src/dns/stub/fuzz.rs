//! What holds for every resolv.conf and hosts file. No IO.

use std::net::{IpAddr, SocketAddr};

use super::hosts_file::scan::Scan;
use super::resolv_conf::{DNS_PORT, ResolverConfig};
use crate::fuzzing::arrivals;
use crate::limits::{
    MAX_ATTEMPTS, MAX_HOSTS_WORD, MAX_NAME_SERVERS, MAX_SERVER_ATTEMPTS, MAX_SERVER_TIMEOUT,
};

const NAMES: [&str; 5] = ["chat.example.org", "chat", "six.example.org", "server", "n"];

/// The first byte chooses which file the others are. True: it says something.
pub(crate) fn system_file(input: &[u8]) -> bool {
    match input.split_first() {
        Some((choice, text)) if choice % 2 == 0 => hosts(text),
        Some((_, text)) => resolv_conf(&String::from_utf8_lossy(text)),
        None => false,
    }
}

fn hosts(text: &[u8]) -> bool {
    let [whole, bytes, pieces] = arrivals(text).map(|pieces| {
        let mut scan = Scan::new(NAMES.map(str::to_owned));
        pieces.into_iter().for_each(|piece| scan.feed(piece));
        scan.finish()
    });
    assert_eq!(bytes, whole, "it depends on how the file is read");
    assert_eq!(pieces, whole, "it depends on how the file is read");
    assert_eq!(whole, whole_lines(text), "of the whole text");
    whole.iter().any(|(_, addresses)| !addresses.is_empty())
}

/// The same, read from the whole text.
fn whole_lines(text: &[u8]) -> Vec<(String, Vec<IpAddr>)> {
    let mut found = NAMES.map(|name| (name.to_owned(), Vec::new())).to_vec();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| matches!(byte, b'#' | b'\0')).next().unwrap_or_default();
        let words = line.split(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b');
        let mut words = words.filter(|word| !word.is_empty());
        let address = words.next().filter(|word| word.len() <= MAX_HOSTS_WORD);
        let address = address.and_then(|word| str::from_utf8(word).ok()?.parse::<IpAddr>().ok());
        for word in words {
            let name = found.iter_mut().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
            if let (Some((_, addresses)), Some(address)) =
                (name, address.map(|address| address.to_canonical()))
                && !addresses.contains(&address)
                && addresses.len() < MAX_ATTEMPTS
            {
                addresses.push(address);
            }
        }
    }
    found
}

fn resolv_conf(text: &str) -> bool {
    let config = ResolverConfig::parse(text, &|name| (name == "eth0").then_some(7));
    assert!(config.servers.len() <= MAX_NAME_SERVERS);
    assert!(config.servers.iter().all(|server| server.port() == DNS_PORT));
    assert!((1..=MAX_SERVER_ATTEMPTS).contains(&config.attempts));
    let seconds = config.timeout.map(|timeout| timeout.as_secs());
    assert!(seconds.is_none_or(|seconds| (1..=u64::from(MAX_SERVER_TIMEOUT)).contains(&seconds)));
    // Written in the plain form, the same is read.
    let mut plain = String::new();
    for server in &config.servers {
        match server {
            SocketAddr::V6(server) if server.scope_id() != 0 => {
                plain += &format!("nameserver {}%{}\n", server.ip(), server.scope_id());
            }
            server => plain += &format!("nameserver {}\n", server.ip()),
        }
    }
    let timeout = seconds.map(|seconds| format!(" timeout:{seconds}")).unwrap_or_default();
    plain += &format!("options attempts:{}{timeout}", config.attempts);
    let again = ResolverConfig::parse(&plain, &|_| None);
    assert_eq!(
        (&again.servers, again.attempts, again.timeout),
        (&config.servers, config.attempts, config.timeout)
    );
    config != ResolverConfig::parse("", &|_| None)
}
