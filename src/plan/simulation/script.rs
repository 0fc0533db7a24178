//! Parses the lines of a simulated world: see `src/plan/plays/README.md`. No IO.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::World;
use crate::dial::{AttemptError, AttemptEvent, Destination, RepeatForm, Stage};
use crate::dns::{Answer, Record, SrvRecord, TlsaRecord};
use crate::domain::{Domain, Host};
use crate::filter::Filter;
use crate::plan::Route;
use crate::proxy::{Proxy, ProxyError, TunnelError};
use crate::service::{Service, TlsMode};
use crate::settings::{AddressFamily, DnsUse, Policy};
use crate::target::Server;
use crate::tls::Evidence;
use crate::wait;

/// `a.test:5223 direct TLS`.
fn server(text: &str) -> Server {
    let (place, tls) = text.split_once(' ').unwrap();
    let (host, port) = place.rsplit_once(':').unwrap();
    Server { host: Host::parse(host).unwrap(), port: port.parse().unwrap(), tls: tls_mode(tls) }
}

impl World {
    pub(super) fn read_line(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match what {
            "domain" => self.domain = Domain::new(rest).unwrap(),
            "host" => self.route = Route::OtherHost(Host::parse(rest).unwrap()),
            "to" => self.route = Route::Explicit(server(rest)),
            "prefer" => self.route = Route::Prefer(server(rest)),
            "stream" => {
                let (peer, tls) = rest.split_once(' ').unwrap();
                self.route = Route::Connected { peer: peer.parse().unwrap(), tls: tls_mode(tls) };
            }
            "server" => self.settings.service = Service::server(Domain::new(rest).unwrap()),
            "discover" => self.is_discovery = true,
            "cancel" => self.cancelled = Some(milliseconds(rest)),
            "refuse" => {
                let refused: Vec<String> = rest.split(", ").flat_map(expanded).collect();
                self.filter = Some(Filter::new(move |_, address| {
                    let is_refused = |refused: &String| {
                        *refused == address.ip().to_string() || *refused == address.to_string()
                    };
                    !refused.iter().any(is_refused)
                }));
            }
            "next" => {
                let (after, why) = rest.split_once(' ').unwrap_or((rest, ""));
                self.going_on.push((milliseconds(after), why.to_owned()));
            }
            "dane" => self.settings.dane = true,
            "policy" => self.settings.policy = policy(rest),
            "proxy" => {
                self.settings.proxy = Some(proxy());
                self.settings.dns_use = dns_use(rest);
            }
            "family" => self.settings.family = family(rest),
            "limit" => self.read_limit(rest),
            "source" => self.sources = rest.split(", ").map(|source| source.parse().unwrap()).collect(),
            "random" => {
                let mut numbers: Vec<u64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
                numbers.reverse();
                self.chance = Box::new(move |_| numbers.pop().unwrap_or(0));
            }
            "dns" => self.read_answer(rest),
            "rejected" => self.history.reject(&destination(rest), wait::now()),
            // For those who read and compare the log.
            "show" | "again" | "before" => {}
            "peer" => {
                let (address, steps) = rest.split_once(' ').unwrap();
                for address in expanded(address) {
                    self.peers.insert(destination(&address).to_string(), ScriptedStep::read(steps.trim()));
                }
            }
            _ => panic!("no world has: {line}"),
        }
    }

    fn read_limit(&mut self, text: &str) {
        let (which, limit) = text.rsplit_once(' ').unwrap();
        let (number, unit) =
            limit.split_at(limit.find(char::is_alphabetic).unwrap_or_else(|| panic!("no unit: {text}")));
        let limit = match unit {
            "none" => Duration::MAX,
            "s" => Duration::from_secs(number.parse().unwrap()),
            "ms" => milliseconds(number),
            "ns" => Duration::from_nanos(number.parse().unwrap()),
            _ => panic!("no unit: {unit}"),
        };
        let limits = &mut self.settings.limits;
        match which {
            "total" => limits.total = limit,
            "lookup" => self.lookup_limit = limit,
            "tcp" => limits.tcp = limit,
            "handshake" => limits.handshake = limit,
            "attempt delay" => limits.attempt_delay = limit,
            "group delay" => limits.group_delay = limit,
            _ => panic!("no limit: {which}"),
        }
    }

    fn read_answer(&mut self, text: &str) {
        let (asked, reply) = text.split_once(": ").unwrap_or((text, "never"));
        let (question, delay) = asked.rsplit_once(' ').unwrap();
        let delay = if delay == "never" { Duration::ZERO } else { milliseconds(delay) };
        let mut answer = |question: String, reply| self.answers.insert(question, (delay, reply));
        match question.trim() {
            prefix @ ("xmpps" | "xmpp") => {
                let domain = self.domain.as_ascii();
                answer(format!("_{prefix}-client._tcp.{domain} SRV"), ScriptedAnswer::read(reply));
            }
            question if question.contains(' ') => {
                answer(question.to_owned(), ScriptedAnswer::read(reply));
            }
            host => {
                answer(format!("{host} AAAA"), ScriptedAnswer::read(reply).of_family(IpAddr::is_ipv6));
                answer(format!("{host} A"), ScriptedAnswer::read(reply).of_family(IpAddr::is_ipv4));
            }
        }
    }
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

fn tls_mode(text: &str) -> TlsMode {
    [TlsMode::Direct, TlsMode::StartTls].into_iter().find(|tls| tls.to_string() == text).unwrap()
}

fn policy(text: &str) -> Policy {
    match text {
        "as published" => Policy::AsPublished,
        "prefer direct TLS" => Policy::PreferDirect,
        "prefer STARTTLS" => Policy::PreferStartTls,
        "only direct TLS" => Policy::DirectOnly,
        "only STARTTLS" => Policy::StartTlsOnly,
        _ => panic!("no policy: {text}"),
    }
}

fn proxy() -> Proxy {
    "socks5://192.0.2.80:1080".parse().unwrap()
}

fn dns_use(text: &str) -> DnsUse {
    match text {
        "all" => DnsUse::All,
        "srv" => DnsUse::Srv,
        "nothing" => DnsUse::Nothing,
        _ => panic!("no use of DNS: {text}"),
    }
}

/// `192.0.2.1:5223` or `a.test:5223`.
fn destination(text: &str) -> Destination {
    match (text.parse(), text.rsplit_once(':')) {
        (Ok(address), _) => Destination::Address(address),
        (Err(_), Some((name, port))) => Destination::Name(name.to_owned(), port.parse().unwrap()),
        (Err(_), None) => panic!("neither an address nor a name with a port: {text}"),
    }
}

fn family(text: &str) -> AddressFamily {
    match text {
        "any" => AddressFamily::Any,
        "IPv4 first" => AddressFamily::Ipv4First,
        "only IPv4" => AddressFamily::Ipv4Only,
        "only IPv6" => AddressFamily::Ipv6Only,
        _ => panic!("no family: {text}"),
    }
}

/// `h{1..3}.test` is `h1.test`, `h2.test` and `h3.test`.
fn expanded(text: &str) -> Vec<String> {
    let Some((before, (range, behind))) =
        text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![text.to_owned()];
    };
    let (first, last) = range.split_once("..").unwrap();
    let numbers = first.parse::<u32>().unwrap()..=last.parse().unwrap();
    numbers.flat_map(|number| expanded(&format!("{before}{number}{behind}"))).collect()
}

/// How a question is answered.
#[derive(Clone, Debug)]
pub(super) enum ScriptedAnswer {
    Answer(Answer),
    Failed,
    Never,
}

impl ScriptedAnswer {
    fn read(text: &str) -> Self {
        match text {
            "none" => return Self::Answer(Answer::default()),
            "nxdomain" => return Self::Answer(Answer::no_such_name()),
            "failed" => return Self::Failed,
            "never" => return Self::Never,
            _ => {}
        }
        if let Some(signed) = text.strip_prefix("signed ") {
            return match Self::read(signed) {
                Self::Answer(answer) => Self::Answer(answer.with_authenticated(true)),
                other => other,
            };
        }
        let (records, additional) = text.split_once(" + ").unwrap_or((text, ""));
        let additional = additional.split(", ").filter_map(|hint| hint.split_once(' '));
        let additional = additional.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        let records = records.split(", ").flat_map(expanded).map(|text| record(&text));
        let answer = Answer::new(records.collect());
        Self::Answer(answer.with_additional(additional.collect()))
    }

    /// Without the addresses of the other family.
    fn of_family(self, is_of_family: fn(&IpAddr) -> bool) -> Self {
        let Self::Answer(answer) = self else { return self };
        if answer.records().is_empty() {
            return Self::Answer(answer);
        }
        let is_kept = |record: &&Record| matches!(record, Record::Address(address) if is_of_family(address));
        let kept = Answer::new(answer.records().iter().filter(is_kept).cloned().collect());
        Self::Answer(kept.with_authenticated(answer.is_authenticated()))
    }
}

fn record(text: &str) -> Record {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Record::Address(address);
    }
    if let Some(tlsa) = text.strip_prefix("TLSA ") {
        let numbers: Vec<u8> = tlsa.split(' ').map(|number| number.parse().unwrap()).collect();
        let [usage, selector, matching, octet] = *numbers.as_slice() else { panic!("no record: {text}") };
        return Record::Tlsa(TlsaRecord { usage, selector, matching, data: vec![octet; 32] });
    }
    let fields: Vec<&str> = text.split(' ').collect();
    let [priority, weight, port, target] = *fields.as_slice() else { panic!("no record: {text}") };
    let [priority, weight, port] = [priority, weight, port].map(|number| number.parse().unwrap());
    Record::Srv(SrvRecord { priority, weight, port, target: target.to_owned() })
}

/// What a peer does next, and how long after the previous step. `None`: while the attempt is being started.
#[derive(Clone, Debug)]
pub(super) struct ScriptedStep {
    pub(super) delay: Option<Duration>,
    pub(super) event: AttemptEvent,
}

impl ScriptedStep {
    fn read(text: &str) -> Vec<Self> {
        text.split(", ").filter(|step| *step != "silent").map(Self::read_one).collect()
    }

    fn read_one(text: &str) -> Self {
        let (what, delay) = text.split_once(' ').unwrap();
        let delay = if delay == "now" { None } else { Some(milliseconds(delay)) };
        let io = |error: io::Error| AttemptEvent::Failed(AttemptError::io(error));
        let event = match what {
            "tcp" => AttemptEvent::Completed(Stage::Tcp),
            "proxy" => AttemptEvent::Completed(Stage::Proxy),
            "starttls" => AttemptEvent::Completed(Stage::StartTls),
            "tls" => AttemptEvent::Verified,
            "repeated" => {
                let error = AttemptError::io(io::ErrorKind::ConnectionReset.into());
                AttemptEvent::Repeated(RepeatForm::StepByStep, error)
            }
            "refused" => io(io::ErrorKind::ConnectionRefused.into()),
            "reset" => io(io::ErrorKind::ConnectionReset.into()),
            "denied" => {
                let error = TunnelError::Proxy(ProxyError::WrongCredentials);
                AttemptEvent::Failed(AttemptError::tunnel(&proxy(), error))
            }
            "down" => {
                let error = io::ErrorKind::ConnectionRefused.into();
                AttemptEvent::Failed(AttemptError::proxy_io(&proxy(), error))
            }
            "emfile" => io(rustix::io::Errno::MFILE.into()),
            "enobufs" => io(rustix::io::Errno::NOBUFS.into()),
            "untrusted" => {
                let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
                AttemptEvent::Failed(AttemptError::tls(error, &Evidence::NONE))
            }
            _ => panic!("no step: {text}"),
        };
        Self { delay, event }
    }
}
