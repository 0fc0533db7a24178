//! The result of a check as one JSON object. Its names are stable, for scripts. No IO.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use xmpp_connect::{Candidate, TlsMode};

use super::Diagnosis;
use super::certificate::Certificate;
use super::features::Features;
use super::findings::{Finding, plain};
use super::lint::{HostRecords, Published, SrvSet};
use super::message::Srv;
use super::name_servers::{Edns, ServerView, Tcp};
use super::outcome::{Check, Ended, Facts, PlaceResult, Resumption};
use super::plan::Place;
use super::tlsa::{Compared, PortRecords, Proof};

/// Returns the object.
pub(crate) fn object(diagnosis: &Diagnosis) -> Value {
    json!({
        "domain": diagnosis.domain.to_string(),
        "service": diagnosis.service.to_string(),
        "verdict": diagnosis.verdict.name(),
        "complete": !diagnosis.is_cut,
        "ms": milliseconds(diagnosis.elapsed),
        "findings": diagnosis.findings.iter().map(finding).collect::<Vec<_>>(),
        "records": diagnosis.published.as_ref().map(records),
        "candidates": diagnosis.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "checks": diagnosis.checked.iter().map(|checked| place(checked, diagnosis.now)).collect::<Vec<_>>(),
        "name_servers": diagnosis.name_servers.iter().map(name_server).collect::<Vec<_>>(),
        "notes": diagnosis.notes,
    })
}

fn finding(finding: &Finding) -> Value {
    let Finding { id, weight, about, what, advice } = finding;
    json!({ "id": id, "weight": weight.name(), "about": about, "what": what, "advice": advice })
}

fn records(published: &Published) -> Value {
    let srv = |Srv { priority, weight, port, target }: &Srv| json!({ "priority": priority, "weight": weight, "port": port, "target": target });
    let set = |set: &SrvSet| {
        let records = set.records.as_ref().map(|records| records.iter().map(srv).collect::<Vec<_>>());
        json!({ "name": set.owner, "ttl": set.ttl.seconds, "records": records })
    };
    let host = |host: &HostRecords| {
        let HostRecords { name, addresses, alias, .. } = host;
        json!({ "name": name, "ttl": host.ttl.seconds, "addresses": addresses, "alias": alias })
    };
    json!({
        "direct": set(&published.direct),
        "starttls": set(&published.starttls),
        "hosts": published.hosts.iter().map(host).collect::<Vec<_>>(),
        "tlsa": published.tlsa.iter().map(port_records).collect::<Vec<_>>(),
    })
}

fn port_records(port: &PortRecords) -> Value {
    let records = port.records.as_ref().ok();
    json!({
        "name": port.owner,
        "ttl": port.ttl.seconds,
        "records": records.map(|records| records.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "error": port.records.as_ref().err(),
        "proved": port.proof == Proof::Proved,
    })
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "tls": tls(candidate.tls()),
        "target": candidate.host().to_string(),
        "port": candidate.port(),
        "priority": candidate.priority(),
        "weight": candidate.weight(),
        "origin": candidate.origin().to_string(),
    })
}

/// Returns `direct` or `starttls`.
pub(crate) fn tls(tls: TlsMode) -> &'static str {
    match tls {
        TlsMode::Direct => "direct",
        TlsMode::StartTls => "starttls",
    }
}

fn place((place, result): &(Place, PlaceResult), now: SystemTime) -> Value {
    json!({
        "tls": tls(place.tls),
        "address": place.address.to_string(),
        "candidates": place.candidates,
        "connects": result.checks.iter().map(|of| check(of, now)).collect::<Vec<_>>(),
        "resumption": result.resumption.map(resumption),
    })
}

fn check(check: &Check, now: SystemTime) -> Value {
    json!({
        "form": check.form.name(),
        "ms": milliseconds(check.took),
        "connected": check.ended.facts().map(|of| facts(of, now)),
        "error": match &check.ended {
            Ended::Failed(failure) => json!({
                "stage": stage(failure.stage),
                "message": failure.text,
                "certificate": failure.certificate.as_ref().map(|of| certificate(of, now)),
            }),
            Ended::Connected(_) => Value::Null,
            Ended::Stopped => json!({ "stage": Value::Null, "message": "stopped" }),
        },
    })
}

fn facts(facts: &Facts, now: SystemTime) -> Value {
    json!({
        "protocol": facts.version,
        "cipher_suite": facts.suite,
        "alpn": facts.alpn.as_deref().map(plain),
        "channel_bindings": facts.bindings,
        "features": facts.features.as_ref().map(features),
        "certificate": facts.certificate.as_ref().map(|of| certificate(of, now)),
    })
}

fn certificate(certificate: &Certificate, now: SystemTime) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        "matched": certificate.matched.as_ref().map(|(name, rule)| json!({ "name": name, "rule": rule })),
        "not_before": certificate.not_before.and_then(unix_time),
        "not_after": certificate.not_after.and_then(unix_time),
        "days_left": certificate.days_left(now),
        "serial": certificate.serial,
        "fingerprint": certificate.fingerprint,
        "key_fingerprint": certificate.key_fingerprint,
        "authority": certificate.is_authority,
        "self_issued": certificate.is_self_issued,
        "sent": certificate.sent.len(),
        "tlsa": certificate.tlsa.iter().map(compared).collect::<Vec<_>>(),
    })
}

/// `position` is the place in the chain that the server has sent: 0 is its own certificate.
fn compared(Compared { owner, record, counts, position }: &Compared) -> Value {
    json!({ "name": owner, "record": record.to_string(), "counts": counts, "position": position })
}

/// Seconds since 1970.
pub(crate) fn unix_time(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn features(features: &Features) -> Value {
    json!({
        "mechanisms": features.mechanisms,
        "sasl2": features.sasl2,
        "channel_binding_types": features.channel_bindings,
        "others": features.others,
    })
}

/// Returns the name for programs.
fn resumption(resumption: Resumption) -> &'static str {
    match resumption {
        Resumption::Resumed => "resumed",
        Resumption::NotResumed => "not-resumed",
        Resumption::Broken => "broken",
    }
}

fn stage(stage: xmpp_connect::report::Stage) -> &'static str {
    use xmpp_connect::report::Stage;

    match stage {
        Stage::Tcp => "tcp",
        Stage::StartTls => "starttls",
        Stage::Stream => "stream",
        _ => "tls",
    }
}

fn name_server(view: &ServerView) -> Value {
    let edns = match &view.edns {
        Edns::Works => Some(true),
        Edns::Fails(_) => Some(false),
        Edns::Unknown => None,
    };
    let tcp = match &view.tcp {
        Tcp::Works => Some(true),
        Tcp::Fails(_) => Some(false),
        Tcp::Unknown => None,
    };
    json!({
        "address": view.server.to_string(),
        "error": view.failure(),
        "edns": edns,
        "tcp": tcp,
        "ms": view.quickest.map(milliseconds),
    })
}

/// Milliseconds with three decimal places.
fn milliseconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
