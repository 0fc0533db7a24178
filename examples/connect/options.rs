//! The command line.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::{Domain, Policy, Service, TlsMode};

pub(crate) const HELP: &str = "\
Connects to the XMPP server of a domain and shows how it came about.

connect [OPTIONS] [DOMAIN]

Without DOMAIN it connects to a small server that it starts itself on loopback.

  --service client|server   which service (default: client)
  --from DOMAIN             the own domain of a server (with --service server)
  --policy POLICY           as-published (default), prefer-direct, direct-only,
                            prefer-starttls or starttls-only
  --nameserver ADDR[:PORT]  ask this name server; may be repeated
  --ca FILE                 trust only the root certificates of this PEM file
  --no-alpn                 offer no ALPN name in direct TLS
  --strict-starttls         STARTTLS step by step, a round trip slower
  --to HOST:PORT            connect to this server, without SRV records
  --tls direct|starttls     how (with --to)
  --timeout SECONDS         limit of the whole connect (default: 30)
  --plan                    find the servers and their order, dial nothing
  --json                    one JSON object on standard output, nothing else
  --help                    this text

Exit status: 0 connected or planned, 1 not, 2 wrong usage.
";

/// What to do.
pub(crate) enum Command {
    Help,
    Run(Box<Options>),
}

pub(crate) struct Options {
    pub(crate) domain: Option<String>,
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) alpn: bool,
    pub(crate) pipelining: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) way: Way,
    pub(crate) output: Output,
}

pub(crate) enum Way {
    Connect,
    Plan,
    To { host: String, port: u16, tls: TlsMode },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Person,
    Json,
}

/// The options as they stand on the command line, before they are held against each other.
#[derive(Default)]
struct Given {
    domain: Option<String>,
    service: Option<String>,
    from: Option<String>,
    policy: Policy,
    nameservers: Vec<SocketAddr>,
    roots: Vec<CertificateDer<'static>>,
    no_alpn: bool,
    strict: bool,
    timeout: Option<Duration>,
    to: Option<(String, u16)>,
    tls: Option<TlsMode>,
    plan: bool,
    json: bool,
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Result<Command, String> {
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("service") => given.service = Some(value(&mut parser)?),
            Long("from") => given.from = Some(value(&mut parser)?),
            Long("policy") => given.policy = policy(&value(&mut parser)?)?,
            Long("nameserver") => given.nameservers.push(nameserver(&value(&mut parser)?)?),
            Long("ca") => given.roots = roots(&value(&mut parser)?)?,
            Long("no-alpn") => given.no_alpn = true,
            Long("strict-starttls") => given.strict = true,
            Long("timeout") => given.timeout = Some(seconds(&value(&mut parser)?)?),
            Long("to") => given.to = Some(host_and_port(&value(&mut parser)?)?),
            Long("tls") => given.tls = Some(tls(&value(&mut parser)?)?),
            Long("plan") => given.plan = true,
            Long("json") => given.json = true,
            Value(domain) if given.domain.is_none() => given.domain = Some(domain.string().map_err(text)?),
            Value(_) | Long(_) | Short(_) => return Err(argument.unexpected().to_string()),
        }
    }
    check(given).map(|options| Command::Run(Box::new(options)))
}

fn value(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().map_err(text)?.string().map_err(text)
}

fn check(given: Given) -> Result<Options, String> {
    let service = match (given.service.as_deref().unwrap_or("client"), given.from) {
        ("client", None) => Service::Client,
        ("client", Some(_)) => return Err("--from goes with --service server".to_owned()),
        ("server", Some(from)) => Service::server(Domain::new(&from).map_err(text)?),
        ("server", None) => return Err("--service server needs --from, the own domain".to_owned()),
        (other, _) => return Err(format!("--service is client or server, not {other:?}")),
    };
    let way = match (given.to, given.tls, given.plan) {
        (Some((host, port)), Some(tls), false) => Way::To { host, port, tls },
        (None, None, true) => Way::Plan,
        (None, None, false) => Way::Connect,
        (Some(_), _, true) => return Err("--plan looks for servers, and --to names one".to_owned()),
        (Some(_), None, false) => return Err("--to needs --tls direct or --tls starttls".to_owned()),
        (None, Some(_), _) => return Err("--tls goes with --to".to_owned()),
    };
    if given.domain.is_none()
        && (matches!(way, Way::To { .. }) || !given.nameservers.is_empty() || !given.roots.is_empty())
    {
        return Err("--to, --nameserver and --ca need a DOMAIN".to_owned());
    }
    Ok(Options {
        domain: given.domain,
        service,
        policy: given.policy,
        nameservers: given.nameservers,
        roots: given.roots,
        alpn: !given.no_alpn,
        pipelining: !given.strict,
        timeout: given.timeout,
        way,
        output: if given.json { Output::Json } else { Output::Person },
    })
}

fn policy(value: &str) -> Result<Policy, String> {
    Ok(match value {
        "as-published" => Policy::AsPublished,
        "prefer-direct" => Policy::PreferDirect,
        "direct-only" => Policy::DirectOnly,
        "prefer-starttls" => Policy::PreferStartTls,
        "starttls-only" => Policy::StartTlsOnly,
        other => return Err(format!("there is no policy {other:?}")),
    })
}

fn tls(value: &str) -> Result<TlsMode, String> {
    match value {
        "direct" => Ok(TlsMode::Direct),
        "starttls" => Ok(TlsMode::StartTls),
        other => Err(format!("--tls is direct or starttls, not {other:?}")),
    }
}

/// An address, with or without a port; port 53 without.
fn nameserver(value: &str) -> Result<SocketAddr, String> {
    let bare = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    let without_port = || bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    value
        .parse()
        .or_else(|_| without_port())
        .map_err(|_| format!("--nameserver takes ADDR or ADDR:PORT, not {value:?}"))
}

fn host_and_port(value: &str) -> Result<(String, u16), String> {
    let wrong = || format!("--to takes HOST:PORT, not {value:?}");
    let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || host.contains(':') && !host.starts_with('[') {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let wrong = || format!("--timeout takes a number of seconds above 0, not {value:?}");
    let limit =
        value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(wrong)?;
    if limit.is_zero() { Err(wrong()) } else { Ok(limit) }
}

fn roots(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match roots {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err(format!("{file} holds no certificate")),
        Err(error) => Err(format!("{file} is not a PEM file: {error}")),
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
