//! The result of a check for Prometheus, in its text exposition format. No IO.

use std::fmt::Write;

use super::Diagnosis;
use super::findings::{Verdict, Weight};
use super::json::{tls, unix_time};
use super::outcome::{PlaceResult, Resumption};
use super::tlsa::{self, Proof};

/// Returns the metrics.
pub(crate) fn metrics(diagnosis: &Diagnosis) -> String {
    let mut text = Text::of(diagnosis);
    text.metric("up", "Whether a client can connect to any server of the domain.");
    // Where that is not known, no alert is to go off; `complete` says that the check was stopped.
    if diagnosis.verdict != Verdict::Unknown {
        text.sample("up", &[], f64::from(matches!(diagnosis.verdict, Verdict::Sound | Verdict::Findings)));
    }
    text.metric("complete", "Whether the check came to its end.");
    text.sample("complete", &[], f64::from(!diagnosis.is_cut));
    text.metric("duration_seconds", "How long the check took.");
    text.sample("duration_seconds", &[], diagnosis.elapsed.as_secs_f64());
    text.metric("findings", "The number of findings of each weight.");
    for weight in Weight::ALL {
        let count = diagnosis.findings.iter().filter(|finding| finding.weight == weight).count();
        text.sample("findings", &[("weight", weight.name())], count as f64);
    }
    text.metric(
        "finding",
        "The number of records, servers or addresses that a finding is about, at least 1.",
    );
    for (id, weight, count) in by_id(diagnosis) {
        text.sample("finding", &[("id", id), ("weight", weight.name())], count as f64);
    }
    connects(diagnosis, &mut text);
    servers(diagnosis, &mut text);
    records(diagnosis, &mut text);
    name_servers(diagnosis, &mut text);
    text.text
}

/// There may be several findings of one id, and each sample must have labels of its own.
fn by_id(diagnosis: &Diagnosis) -> Vec<(&'static str, Weight, usize)> {
    let mut counts: Vec<(&'static str, Weight, usize)> = Vec::new();
    for finding in &diagnosis.findings {
        let count = finding.about.len().max(1);
        match counts.iter_mut().find(|(id, weight, _)| (*id, *weight) == (finding.id, finding.weight)) {
            Some((_, _, sum)) => *sum += count,
            None => counts.push((finding.id, finding.weight, count)),
        }
    }
    counts
}

/// The places, each with its labels: target, address, kind of TLS.
fn places(diagnosis: &Diagnosis) -> impl Iterator<Item = (String, String, &'static str, &PlaceResult)> {
    diagnosis.checked.iter().map(|(place, result)| {
        let candidate = place.candidates.first().and_then(|index| diagnosis.candidates.get(*index));
        let target = candidate.map(|candidate| candidate.host().to_string()).unwrap_or_default();
        (target, place.address.to_string(), tls(place.tls), result)
    })
}

fn connects(diagnosis: &Diagnosis, text: &mut Text) {
    let checks = || {
        places(diagnosis).flat_map(|(target, address, tls, result)| {
            result.checks.iter().map(move |check| (target.clone(), address.clone(), tls, check))
        })
    };
    text.metric("connect_up", "Whether this connect succeeded.");
    for (target, address, tls, check) in checks() {
        let labels =
            [("target", &*target), ("address", &*address), ("tls", tls), ("form", check.form.name())];
        text.sample("connect_up", &labels, f64::from(check.ended.facts().is_some()));
    }
    text.metric("connect_seconds", "How long this connect took, until the stream features.");
    for (target, address, tls, check) in checks() {
        let labels =
            [("target", &*target), ("address", &*address), ("tls", tls), ("form", check.form.name())];
        text.sample("connect_seconds", &labels, check.took.as_secs_f64());
    }
    text.metric("tls_info", "The TLS version and cipher suite of a connect.");
    for (target, address, tls, check) in checks() {
        let Some(facts) = check.ended.facts() else { continue };
        let labels = [
            ("target", &*target),
            ("address", &*address),
            ("tls", tls),
            ("form", check.form.name()),
            ("version", &*facts.version),
            ("cipher_suite", &*facts.suite),
        ];
        text.sample("tls_info", &labels, 1.0);
    }
}

fn servers(diagnosis: &Diagnosis, text: &mut Text) {
    text.metric(
        "certificate_not_after_seconds",
        "When the server's certificate expires, in seconds since 1970.",
    );
    for (target, address, tls, result) in places(diagnosis) {
        let Some(end) = result.certificates().next().and_then(|certificate| certificate.not_after) else {
            continue;
        };
        let labels = [("target", &*target), ("address", &*address), ("tls", tls)];
        text.sample("certificate_not_after_seconds", &labels, unix_time(end).unwrap_or_default() as f64);
    }
    text.metric("resumption", "Whether a second connect resumed the TLS session: 1 if it did.");
    for (target, address, tls, result) in places(diagnosis) {
        let Some(of) = result.resumption else { continue };
        let labels = [("target", &*target), ("address", &*address), ("tls", tls)];
        text.sample("resumption", &labels, f64::from(of == Resumption::Resumed));
    }
}

fn records(diagnosis: &Diagnosis, text: &mut Text) {
    let ports = || diagnosis.published.iter().flat_map(|published| &published.tlsa);
    text.metric("tlsa_records", "The number of TLSA records of a port, and whether DNSSEC proves them.");
    for port in ports() {
        let Ok(records) = &port.records else { continue };
        let proved = if port.proof == Proof::Proved { "yes" } else { "no" };
        text.sample("tlsa_records", &[("name", &port.owner), ("proved", proved)], records.len() as f64);
    }
    text.metric(
        "tlsa_match",
        "Whether the TLSA records of a port name each certificate that was shown at this address.",
    );
    for port in ports() {
        for (place, result) in &diagnosis.checked {
            let is_of = tlsa::candidate_at(port, place, &diagnosis.candidates).is_some();
            let Some(does_match) = port.match_all(result).filter(|_| is_of) else { continue };
            let address = place.address.to_string();
            let labels = [("name", &*port.owner), ("address", &address), ("tls", tls(place.tls))];
            text.sample("tlsa_match", &labels, f64::from(does_match));
        }
    }
}

fn name_servers(diagnosis: &Diagnosis, text: &mut Text) {
    text.metric("name_server_up", "Whether this name server answers.");
    for view in &diagnosis.name_servers {
        let address = view.server.to_string();
        text.sample("name_server_up", &[("address", &address)], f64::from(view.failure().is_none()));
    }
    text.metric("name_server_seconds", "The time of the quickest answer of this name server.");
    for view in &diagnosis.name_servers {
        let address = view.server.to_string();
        let Some(quickest) = view.quickest else { continue };
        text.sample("name_server_seconds", &[("address", &address)], quickest.as_secs_f64());
    }
}

/// The text. All samples of a metric follow its help and type.
struct Text {
    text: String,
    domain: String,
    service: String,
}

impl Text {
    fn of(diagnosis: &Diagnosis) -> Self {
        let (domain, service) = (diagnosis.domain.to_string(), diagnosis.service.to_string());
        Self { text: String::new(), domain, service }
    }

    fn metric(&mut self, name: &str, help: &str) {
        self.text += &format!("# HELP xmpp_check_{name} {help}\n# TYPE xmpp_check_{name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let (domain, service) = (escaped(&self.domain), escaped(&self.service));
        self.text += &format!("xmpp_check_{name}{{domain=\"{domain}\",service=\"{service}\"");
        for (label, value) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(value));
        }
        self.text += &format!("}} {value}\n");
    }
}

/// "backslash, double-quote, and line feed" are escaped in the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
