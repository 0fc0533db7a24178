//! The surroundings of a program: a domain with a DNS server, servers, and a certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Element;
use rustls::ServerConfig;

use crate::child::Program;
use crate::server::{DOMAIN, Log, PASSWORD, Rules, Seen, Server, USER};
use crate::support::{Authority, DnsServer, ServerTls, Watched, Zone};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct World {
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) log: Log,
    /// A file with the root certificate.
    root: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let tls = ServerTls::new(authority.issue(&[DOMAIN])).config();
        let root = file("CERTIFICATE", &authority.root_der());
        Self { tls, log: Arc::new(Watched::default()), root }
    }

    pub(crate) fn server(&self, rules: Rules) -> Server {
        Server::start(&self.tls, rules, &self.log)
    }

    /// A DNS server whose records lead to these servers, one after another.
    pub(crate) fn dns(addresses: &[SocketAddr]) -> DnsServer {
        DnsServer::start(Self::zone(addresses))
    }

    pub(crate) fn zone(addresses: &[SocketAddr]) -> Zone {
        let (owner, zone) = (format!("_xmpps-client._tcp.{DOMAIN}"), Zone::new());
        addresses.iter().zip(0_u16..).fold(zone, |zone, (address, number)| {
            let host = format!("host{number}.{DOMAIN}");
            zone.srv(&owner, number, 0, address.port(), &host).address(&host, &address.ip().to_string())
        })
    }

    /// The options that lead to this world.
    pub(crate) fn options(&self, dns: &DnsServer) -> Vec<String> {
        let options = ["--nameserver", &dns.addr().to_string(), "--ca", self.root.to_str().unwrap()];
        options.map(str::to_owned).to_vec()
    }

    /// Starts the bot, with short delays.
    pub(crate) fn bot(&self, dns: &DnsServer, more: &[&str]) -> Program {
        self.bot_with(dns, PASSWORD, more)
    }

    pub(crate) fn bot_with(&self, dns: &DnsServer, password: &str, more: &[&str]) -> Program {
        let mut arguments = self.options(dns);
        if !more.contains(&"--reconnect-delay") {
            arguments.extend(["--reconnect-delay", "0.05"].map(str::to_owned));
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        if !more.iter().any(|argument| argument.contains('@')) {
            arguments.push(format!("{USER}@{DOMAIN}"));
        }
        Program::start("echo_bot", &arguments, Some(password), "")
    }

    /// Waits for the `count`th message with this body that a server has received, and returns it.
    pub(crate) fn wait_message(&self, body: &str, count: usize) -> Element {
        self.log.wait_for(&format!("the message {body:?}, {count} times"), |log| {
            let bodies = log.iter().filter_map(|seen| match seen {
                Seen::Stanza(stanza) if stanza.name() == "message" => Some(stanza),
                _ => None,
            });
            let is_this = |stanza: &&Element| {
                stanza.get_child("body", "jabber:client").is_some_and(|found| found.text() == body)
            };
            bodies.filter(is_this).nth(count - 1).cloned()
        })
    }

    pub(crate) fn wait(&self, what: &str, count: usize, is_it: impl Fn(&Seen) -> bool) {
        self.log.wait_for(&format!("{what}, {count} times"), |log| {
            (log.iter().filter(|seen| is_it(seen)).count() >= count).then_some(())
        });
    }

    pub(crate) fn count(&self, is_it: impl Fn(&Seen) -> bool) -> usize {
        self.log.read(|log| log.iter().filter(|seen| is_it(seen)).count())
    }

    /// The log-ins that were tried: mechanism, treatment of channel binding, success.
    pub(crate) fn log_ins(&self) -> Vec<(String, Option<char>, bool)> {
        self.log.read(|log| {
            let log_in = |seen: &Seen| match seen {
                Seen::Auth { mechanism, flag, accepted } => Some((mechanism.clone(), *flag, *accepted)),
                _ => None,
            };
            log.iter().filter_map(log_in).collect()
        })
    }
}

/// Writes a PEM file, which stays until the target directory is removed.
pub(crate) fn file(label: &str, der: &[u8]) -> PathBuf {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("programs-{}-{number}.pem", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der)))
        .unwrap();
    path
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.root);
    }
}

/// A message of a friend.
pub(crate) fn message(body: &str) -> String {
    format!("<message from='friend@example.net/desk' to='{USER}@{DOMAIN}'><body>{body}</body></message>")
}
