//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xmpp_connect::{DnsUse, Domain, Fingerprint, Policy, Proxy, Service, TlsMode};

use crate::values::{
    certificates, dns_use, host_and_port, nameserver, policy, private_key, proxy, seconds, text, tls,
};

pub(crate) const HELP: &str = "\
Connects to the XMPP server of a domain and shows what happened.

connect [OPTIONS] [DOMAIN]

Without DOMAIN, it starts a DNS server and three XMPP servers on loopback, and connects to them.

  --service client|server   the service to connect to (default: client)
  --from DOMAIN             the domain of the connecting server (with --service server)
  --policy POLICY           as-published (default), prefer-direct, direct-only,
                            prefer-starttls or starttls-only
  --nameserver ADDR[:PORT]  ask this name server; may be repeated
  --proxy URL               connect through this proxy: socks5://[USER:PASSWORD@]HOST:PORT or http://…;
                            the password can be in the environment: XMPP_CONNECT_PROXY_PASSWORD
  --dns-use USE             with --proxy: what is looked up, through the proxy: srv (default; names are
                            left to the proxy), all (addresses too) or nothing
  --ca FILE                 trust only the root certificates of this file (PEM or DER); may be repeated
  --pin HASH                trust the server with this key or certificate (sha256:...), and no other one, whatever
                            else its certificate says; may be repeated
  --client-cert FILE        show the certificates of this PEM file, its own first, to a server
                            that asks for one (with --client-key)
  --client-key FILE         the private key of that certificate: a PEM file, not encrypted
  --dane                    let TLSA records that DNSSEC proves decide which certificates are accepted;
                            trusts the name servers of --nameserver to validate, or those of
                            resolv.conf if it has the option trust-ad
  --no-alpn                 do not offer ALPN with direct TLS
  --open-stream             also open the XMPP stream over TLS, and pass over what does not answer as XMPP
  --strict-starttls         negotiate STARTTLS step by step, which takes one more round trip
  --to HOST:PORT            connect to this server, without SRV records
  --prefer HOST:PORT        try this server first, and then those of the SRV records
  --tls direct|starttls     how TLS starts there (with --to and --prefer)
  --timeout SECONDS         time limit of the whole connect (default: 30)
  --plan                    find the servers and their order without connecting
  --check                   look for faults: in the records, the name servers, and each server, which is
                            tried at each address and in each way (within --timeout, default: 60)
  --json                    print one JSON object, and nothing else
  --prometheus              with --check: print metrics for Prometheus, and nothing else
  --help, --version         print this help; print the version

Ctrl-C cancels the connect; a second one ends the program immediately.

Exit status: 0 connected or planned, 1 failed or cancelled, 2 wrong usage or invalid domain.
With --check: 0 all is well, 1 it works, with findings, 2 wrong usage or invalid domain, 3 it does not work,
4 the result cannot be written (a reader that closes the pipe changes nothing).
";

/// What to do.
pub(crate) enum Command {
    Help,
    Version,
    Run(Box<Options>),
}

pub(crate) struct Options {
    pub(crate) domain: Option<String>,
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) dns_use: Option<DnsUse>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// The server's keys or certificates, instead of authorities.
    pub(crate) pins: Vec<Fingerprint>,
    pub(crate) client: Option<Client>,
    pub(crate) dane: bool,
    pub(crate) alpn: bool,
    pub(crate) open_stream: bool,
    pub(crate) pipelining: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) way: Way,
    pub(crate) output: Output,
}

pub(crate) enum Way {
    Connect,
    Plan,
    /// Look for faults.
    Check,
    To(Place),
    Prefer(Place),
}

/// A server that the user gives.
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Person,
    Json,
    Prometheus,
}

/// The options as given on the command line, before they are checked against each other.
#[derive(Default)]
struct Given {
    domain: Option<String>,
    service: Option<String>,
    from: Option<String>,
    policy: Option<Policy>,
    nameservers: Vec<SocketAddr>,
    proxy: Option<Proxy>,
    dns_use: Option<DnsUse>,
    roots: Vec<CertificateDer<'static>>,
    pins: Vec<Fingerprint>,
    client_chain: Option<Vec<CertificateDer<'static>>>,
    client_key: Option<PrivateKeyDer<'static>>,
    dane: bool,
    no_alpn: bool,
    open_stream: bool,
    strict: bool,
    timeout: Option<Duration>,
    to: Option<(String, u16)>,
    prefer: Option<(String, u16)>,
    tls: Option<TlsMode>,
    plan: bool,
    check: bool,
    json: bool,
    prometheus: bool,
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Result<Command, String> {
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("service") => once(&mut given.service, "--service", value(&mut parser, "--service")?)?,
            Long("from") => once(&mut given.from, "--from", value(&mut parser, "--from")?)?,
            Long("policy") => {
                once(&mut given.policy, "--policy", policy(&value(&mut parser, "--policy")?)?)?;
            }
            Long("nameserver") => given.nameservers.push(nameserver(&value(&mut parser, "--nameserver")?)?),
            Long("proxy") => once(&mut given.proxy, "--proxy", proxy(&secret(&mut parser, "--proxy")?)?)?,
            Long("dns-use") => {
                once(&mut given.dns_use, "--dns-use", dns_use(&value(&mut parser, "--dns-use")?)?)?;
            }
            Long("ca") => given.roots.extend(certificates("--ca", &value(&mut parser, "--ca")?)?),
            Long("pin") => {
                let pin = value(&mut parser, "--pin")?.parse();
                given.pins.push(pin.map_err(|error| format!("--pin: {error}"))?);
            }
            Long("client-cert") => {
                let chain = certificates("--client-cert", &value(&mut parser, "--client-cert")?)?;
                once(&mut given.client_chain, "--client-cert", chain)?;
            }
            Long("client-key") => {
                let key = private_key("--client-key", &value(&mut parser, "--client-key")?)?;
                once(&mut given.client_key, "--client-key", key)?;
            }
            Long("dane") => given.dane = true,
            Long("no-alpn") => given.no_alpn = true,
            Long("open-stream") => given.open_stream = true,
            Long("strict-starttls") => given.strict = true,
            Long("timeout") => {
                once(&mut given.timeout, "--timeout", seconds(&value(&mut parser, "--timeout")?)?)?;
            }
            Long("to") => once(&mut given.to, "--to", host_and_port("--to", &value(&mut parser, "--to")?)?)?,
            Long("prefer") => {
                let value = value(&mut parser, "--prefer")?;
                once(&mut given.prefer, "--prefer", host_and_port("--prefer", &value)?)?;
            }
            Long("tls") => once(&mut given.tls, "--tls", tls(&value(&mut parser, "--tls")?)?)?,
            Long("plan") => given.plan = true,
            Long("check") => given.check = true,
            Long("json") => given.json = true,
            Long("prometheus") => given.prometheus = true,
            Value(domain) => {
                let domain = domain.string().map_err(|error| format!("DOMAIN: {error}"))?;
                once(&mut given.domain, "DOMAIN", domain)?;
            }
            Long(_) | Short(_) => return Err(argument.unexpected().to_string()),
        }
    }
    check(given).map(|options| Command::Run(Box::new(options)))
}

fn value(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    parser.value().map_err(text)?.string().map_err(|error| format!("{option}: {error}"))
}

/// The same for a value that may have a password, which an error must not show.
fn secret(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let value = parser.value().map_err(text)?;
    value.into_string().map_err(|_| format!("{option}: the value is not UTF-8"))
}

/// Refuses an option that is given twice: either value could be the wrong one.
fn once<T>(place: &mut Option<T>, option: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{option} is given twice")),
    }
}

/// The domain in what people paste: a JID, a URL, `xmpp:` and an address, a host with a port.
fn domain_within(text: &str) -> Option<String> {
    let rest = text.trim();
    let rest = rest.split_once("://").map_or(rest, |(_scheme, rest)| rest);
    let has_scheme = rest.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("xmpp:"));
    let rest = if has_scheme { rest.get(5..)? } else { rest };
    let rest = rest.split(['/', '?', '#']).next()?;
    let rest = rest.rsplit('@').next()?;
    let rest = match rest.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => {
            host
        }
        _ => rest,
    };
    (rest != text && Domain::new(rest).is_ok()).then(|| rest.to_owned())
}

/// Refuses what is no domain but holds one.
fn check_domain(text: &str) -> Result<(), String> {
    match domain_within(text).filter(|_| Domain::new(text).is_err()) {
        Some(meant) => Err(format!("{text:?} is not a domain; did you mean {meant}?")),
        None => Ok(()),
    }
}

/// Refuses what does not go with `--check`, which tries everything, and what goes with nothing else.
fn check_doctor(given: &Given) -> Result<(), String> {
    if given.json && given.prometheus {
        return Err("--json and --prometheus exclude each other".to_owned());
    }
    if !given.check {
        return if given.prometheus { Err("--prometheus goes with --check".to_owned()) } else { Ok(()) };
    }
    let is_chosen = given.policy.is_some() || given.no_alpn || given.open_stream || given.strict;
    let is_placed = given.to.is_some() || given.prefer.is_some() || given.tls.is_some() || given.plan;
    // It asks and connects directly, and trusts what a client trusts.
    let is_special = given.proxy.is_some() || given.dane || !given.pins.is_empty();
    if is_chosen || is_placed || is_special {
        return Err(
            "--check tries all servers in all ways; it goes with --service, --from, --nameserver, --ca, \
                    --client-cert, --client-key, --timeout, --json and --prometheus only"
                .to_owned(),
        );
    }
    if given.domain.is_none() {
        return Err("--check needs a DOMAIN".to_owned());
    }
    Ok(())
}

fn check(given: Given) -> Result<Options, String> {
    check_doctor(&given)?;
    let service = match (given.service.as_deref().unwrap_or("client"), given.from) {
        ("client", None) => Service::Client,
        ("client", Some(_)) => return Err("--from goes with --service server".to_owned()),
        ("server", Some(from)) => {
            check_domain(&from)?;
            Service::server(Domain::new(&from).map_err(|error| format!("--from: {error}"))?)
        }
        ("server", None) => return Err("--service server needs --from, the own domain".to_owned()),
        (other, _) => return Err(format!("--service is client or server, not {other:?}")),
    };
    let way = match (given.to, given.prefer, given.tls, given.plan) {
        (None, None, None, false) if given.check => Way::Check,
        (Some((host, port)), None, Some(tls), false) => Way::To(Place { host, port, tls }),
        (None, Some((host, port)), Some(tls), false) => Way::Prefer(Place { host, port, tls }),
        (None, None, None, true) => Way::Plan,
        (None, None, None, false) => Way::Connect,
        (Some(_), Some(_), _, _) => return Err("--to and --prefer exclude each other".to_owned()),
        (Some(_), _, _, true) => return Err("--plan looks for servers, and --to gives one".to_owned()),
        (_, Some(_), _, true) => {
            return Err("--plan does not connect, and --prefer says where to connect".to_owned());
        }
        (Some(_), None, None, _) => return Err("--to needs --tls direct or --tls starttls".to_owned()),
        (None, Some(_), None, _) => return Err("--prefer needs --tls direct or --tls starttls".to_owned()),
        (None, None, Some(_), _) => return Err("--tls goes with --to or --prefer".to_owned()),
    };
    let needs_domain = matches!(way, Way::To(_) | Way::Prefer(_));
    let has_trust = !given.roots.is_empty() || !given.pins.is_empty();
    if given.domain.is_none() && (needs_domain || !given.nameservers.is_empty() || has_trust) {
        return Err("--to, --prefer, --nameserver, --ca and --pin need a DOMAIN".to_owned());
    }
    if given.dns_use.is_some() && given.proxy.is_none() {
        return Err("--dns-use goes with --proxy".to_owned());
    }
    if let Some(domain) = &given.domain {
        check_domain(domain)?;
    }
    let client = client(given.client_chain, given.client_key)?;
    Ok(Options {
        domain: given.domain,
        service,
        policy: given.policy.unwrap_or_default(),
        nameservers: given.nameservers,
        proxy: given.proxy,
        dns_use: given.dns_use,
        roots: given.roots,
        pins: given.pins,
        client,
        dane: given.dane,
        alpn: !given.no_alpn,
        open_stream: given.open_stream,
        pipelining: !given.strict,
        timeout: given.timeout,
        way,
        output: output(given.json, given.prometheus),
    })
}

/// The client's certificates, and the key of the first.
pub(crate) type Client = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client(
    chain: Option<Vec<CertificateDer<'static>>>,
    key: Option<PrivateKeyDer<'static>>,
) -> Result<Option<Client>, String> {
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some((chain, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("--client-cert needs --client-key, the private key".to_owned()),
        (None, Some(_)) => Err("--client-key needs --client-cert, the certificate".to_owned()),
    }
}

fn output(json: bool, prometheus: bool) -> Output {
    match (json, prometheus) {
        (false, false) => Output::Person,
        (true, _) => Output::Json,
        (false, true) => Output::Prometheus,
    }
}
