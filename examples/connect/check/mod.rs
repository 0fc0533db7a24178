//! The doctor, `connect --check DOMAIN`: looks at what a domain publishes, tries each server, and says what is wrong.

#![expect(
    clippy::disallowed_methods,
    reason = "the library starts no thread and asks no clock of its own, but a program may"
)]

mod certificate;
mod diagnose;
mod failures;
mod features;
mod findings;
mod hosts_file;
mod json;
mod lint;
mod message;
mod name_servers;
mod outcome;
mod plan;
mod probe;
mod prometheus;
mod published;
mod query;
pub(crate) mod shell;
mod stop;
mod survey;
mod text;
mod tlsa;
mod workers;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use xmpp_connect::dns::StubResolver;
use xmpp_connect::report::{AttemptReport, Report};
use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xmpp_connect::{Candidate, Domain, Error, ErrorKind, Service};

pub(crate) use findings::{Finding, Verdict};
pub(crate) use json::object;
pub(crate) use prometheus::metrics;
pub(crate) use stop::Stop;
pub(crate) use text::{Style, text};

use lint::Published;
use name_servers::ServerView;
use outcome::PlaceResult;
use plan::Place;
use published::Owners;

/// What to check, and how.
pub(crate) struct Settings {
    pub(crate) domain: Domain,
    pub(crate) service: Service,
    /// The name servers; those of the system if it is empty.
    pub(crate) nameservers: Vec<SocketAddr>,
    /// The only root certificates to trust; those of the library if it is empty.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// The certificates of this side, and the key of the first.
    pub(crate) client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// The limit of the whole check.
    pub(crate) limit: Duration,
}

/// All that a check has found out.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) domain: Domain,
    pub(crate) service: Service,
    /// Ordered by weight.
    pub(crate) findings: Vec<Finding>,
    pub(crate) verdict: Verdict,
    /// Whether it was stopped before its end.
    pub(crate) is_cut: bool,
    pub(crate) elapsed: Duration,
    /// When it ended.
    now: SystemTime,
    candidates: Vec<Candidate>,
    /// `None` if no name server knows.
    published: Option<Published>,
    name_servers: Vec<ServerView>,
    checked: Vec<(Place, PlaceResult)>,
    notes: Vec<String>,
}

/// Checks a domain. `progress` is called with the number of connection checks that are done, and of all of them; with 0 and
/// 0 while their number is not known yet.
///
/// # Errors
/// If the settings cannot be used.
pub(crate) fn examine(
    settings: &Settings,
    stop: &Stop,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Diagnosis, Error> {
    progress(0, 0);
    let mut found = discover(settings, stop)?;
    let servers = name_servers(settings)?;
    let owners = Owners::of(&settings.domain, &settings.service);
    let (hosts, ports) = (found.hosts(), tlsa::owners(&found.candidates));
    let name_servers =
        workers::spread(&servers, |_, server| survey::survey(*server, &owners.both(), &hosts, &ports, stop));
    let mut notes = found.notes.clone();
    notes.extend(hosts_file::set_right(&mut found, &name_servers));
    let published =
        published::published(&name_servers, &owners, &found.candidates, &found.public_addresses());
    notes.extend(published.as_ref().and_then(published::not_asked));
    let mut plan = plan::plan(&found.candidates, &found.addresses, &settings.service);
    if published.as_ref().is_some_and(|published| published.direct.is_not_offered()) {
        plan.unpublished.clear();
    }
    let total = plan.places.len() + plan.unpublished.len();
    let results = workers::spread(&plan.places, |index, place| {
        progress(index, total);
        match stop.is_set() {
            true => PlaceResult::default(),
            false => probe::probe(place, settings, stop),
        }
    });
    let done = plan.places.len();
    let open = workers::spread(&plan.unpublished, |index, address| {
        progress(done + index, total);
        !stop.is_set() && probe::is_open_for_direct_tls(*address, settings, stop)
    });
    progress(total, total);
    let open = plan.unpublished.iter().zip(open).filter_map(|(address, is_open)| is_open.then_some(*address));
    let mut findings: Vec<_> = open.map(|address| diagnose::unpublished(address, &owners.direct)).collect();
    findings.extend(name_servers::judge(&name_servers, &owners.both()));
    if plan.left_out > 0 {
        let count = findings::counted(plan.left_out, "address was", "addresses were");
        notes.push(format!("{count} not checked: at most {} are", plan::MAX_PLACES));
    }
    let checked: Vec<_> = plan.places.into_iter().zip(results).collect();
    notes.extend(diagnose::not_checked(&checked));
    let evidence = Evidence { checked, name_servers, notes };
    Ok(conclude(settings, found, published, evidence, findings, stop))
}

/// What was found out by asking and connecting.
struct Evidence {
    checked: Vec<(Place, PlaceResult)>,
    name_servers: Vec<ServerView>,
    notes: Vec<String>,
}

/// What a connect would try.
#[derive(Debug, Default)]
struct Found {
    candidates: Vec<Candidate>,
    /// Each with the index of its candidate.
    addresses: Vec<(usize, SocketAddr)>,
    /// The names whose addresses are from the hosts file of this machine.
    in_hosts_file: Vec<String>,
    notes: Vec<String>,
    /// Why there is nothing to try.
    error: Option<Error>,
}

impl Found {
    fn of(report: &Report, error: Option<Error>) -> Self {
        let address = |attempt: &AttemptReport| Some((attempt.candidate, attempt.destination.address()?));
        Self {
            candidates: report.candidates().to_vec(),
            addresses: report.attempts().iter().filter_map(address).collect(),
            in_hosts_file: hosts_file::names(report),
            notes: report.notes().to_vec(),
            error,
        }
    }

    /// The names of the hosts.
    fn hosts(&self) -> Vec<String> {
        let name = |candidate: &Candidate| match candidate.host() {
            xmpp_connect::Host::Name(name) => Some(name.to_string()),
            _ => None,
        };
        self.candidates.iter().filter_map(name).collect()
    }
}

/// Finds the candidates and their addresses: by a connect that may connect to none of them.
fn discover(settings: &Settings, stop: &Stop) -> Result<Found, Error> {
    let connector = probe::builder(settings, stop).filter(|_, _| false).build()?;
    let mut attempts = connector.attempts(settings.domain.clone())?;
    stop.cancels(attempts.canceller());
    match attempts.connect_next() {
        // It cannot succeed.
        Ok(connection) => Ok(Found::of(connection.report(), None)),
        Err(error) if matches!(error.kind(), ErrorKind::Configuration | ErrorKind::InvalidDomain) => {
            Err(error)
        }
        Err(error) => Ok(match error.report() {
            Some(report) => Found::of(report, Some(error.clone())),
            None => Found { error: Some(error), ..Found::default() },
        }),
    }
}

/// The name servers to ask, each once.
fn name_servers(settings: &Settings) -> Result<Vec<SocketAddr>, Error> {
    let domain = settings.domain.as_ascii();
    if domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || survey::is_special(domain) {
        return Ok(Vec::new());
    }
    let given = match settings.nameservers.is_empty() {
        true => StubResolver::from_system()?.servers(),
        false => settings.nameservers.clone(),
    };
    // One that is given twice is not two.
    let mut servers = Vec::new();
    for server in given {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(servers)
}

/// Adds what the records and the connections say to the findings, and puts all together.
fn conclude(
    settings: &Settings,
    found: Found,
    mut published: Option<Published>,
    evidence: Evidence,
    mut findings: Vec<Finding>,
    stop: &Stop,
) -> Diagnosis {
    let Evidence { mut checked, name_servers, notes } = evidence;
    let works = checked.iter().any(|(_, result)| result.works());
    let is_up = name_servers.iter().any(|view| !view.answers.is_empty() && view.failure().is_none());
    findings.extend(published::failure(found.error.as_ref(), is_up));
    let exists = found.error.as_ref().is_none_or(|error| error.kind() != ErrorKind::NoSuchDomain);
    if let Some(published) = published.as_mut().filter(|_| exists) {
        published::note_shared_ports(published, &found.candidates, &checked);
        findings.extend(lint::lint(published));
        tlsa::compare(&published.tlsa, &found.candidates, &mut checked);
        findings.extend(tlsa::judge(&published.tlsa, &found.candidates, &checked));
    }
    findings.extend(diagnose::unreachable_from_here(works, &checked));
    let now = SystemTime::now();
    findings.extend(diagnose::diagnose(&found.candidates, &checked, &settings.service, now));
    let is_cut = stop.is_set();
    let is_open = checked.iter().any(|(_, result)| !result.is_complete());
    if is_cut {
        findings.push(Finding::warning(
            "check-cut",
            "the check was stopped, or its time limit passed, before everything was looked at",
            "run it again, with a longer --timeout",
        ));
    }
    let findings = findings::in_order(findings);
    Diagnosis {
        domain: settings.domain.clone(),
        service: settings.service.clone(),
        verdict: Verdict::of(works, is_cut, is_open, &findings),
        findings,
        is_cut,
        elapsed: stop.elapsed(),
        now,
        candidates: found.candidates,
        published,
        name_servers,
        checked,
        notes,
    }
}
