//! The result as one JSON object. Its names are stable, for scripts.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::{AttemptOutcome, AttemptReport, LookupReport, RepeatForm, Report, Stage};
use xmpp_connect::{
    Candidate, ChannelBinding, Connection, Error, ErrorKind, MatchedName, ServerCertificate, Service, TlsMode,
};

use crate::Outcome;

pub(crate) fn object(domain: &str, service: &Service, outcome: &Outcome) -> Value {
    let report = match outcome {
        Outcome::Connected(connection) => Some(connection.report()),
        Outcome::Planned(discovery) => Some(discovery.report()),
        Outcome::Failed(error) => error.report(),
    };
    let list = |of: fn(&Report) -> Vec<Value>| report.map(of).unwrap_or_default();
    json!({
        "domain": domain,
        "service": service.to_string(),
        "lookups": list(|report| report.lookups().iter().map(|lookup| lookup_of(report, lookup)).collect()),
        "candidates": list(|report| report.candidates().iter().map(candidate).collect()),
        "attempts": list(|report| report.attempts().iter().map(attempt).collect()),
        "notes": report.map(|report| report.notes().to_vec()).unwrap_or_default(),
        "connected": match outcome {
            Outcome::Connected(connection) => connected(connection),
            Outcome::Planned(_) | Outcome::Failed(_) => Value::Null,
        },
        "error": match outcome {
            Outcome::Failed(error) => failed(error),
            Outcome::Connected(_) | Outcome::Planned(_) => Value::Null,
        },
    })
}

fn lookup_of(report: &Report, lookup: &LookupReport) -> Value {
    let source = lookup.facts.as_ref().map(|facts| match facts.source {
        AnswerSource::Udp(server) => json!({ "server": server, "transport": "udp" }),
        AnswerSource::Tcp(server) => json!({ "server": server, "transport": "tcp" }),
        AnswerSource::HostsFile => json!("hosts file"),
        AnswerSource::Cache => json!("cache"),
        AnswerSource::Resolver => json!("resolver"),
        _ => Value::Null,
    });
    json!({
        "question": lookup.question.to_string(),
        "result": lookup.result.to_string(),
        "ms": milliseconds(lookup.answered.unwrap_or_else(|| report.elapsed())),
        "asked_ms": milliseconds(lookup.asked),
        "source": source,
        "tries": lookup.facts.as_ref().map(|facts| facts.tries),
        "authenticated": lookup.authenticated,
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
        "authenticated": candidate.is_authenticated(),
    })
}

fn attempt(attempt: &AttemptReport) -> Value {
    json!({
        "candidate": attempt.candidate,
        "address": attempt.destination.to_string(),
        "started_ms": milliseconds(attempt.started),
        "ended_ms": milliseconds(attempt.ended),
        "stage": stage(attempt.stage),
        "outcome": attempt.outcome.to_string(),
        "error": attempt.error().map(ToString::to_string),
        "certificate": attempt.certificate.as_ref().map(certificate),
        "stages": attempt.completed.iter().map(|(completed, at)| json!({
            "stage": stage(*completed),
            "ms": milliseconds(*at),
        })).collect::<Vec<_>>(),
        "repeats": attempt.repeats.iter().map(|repeat| json!({
            "form": match repeat.form {
                RepeatForm::StepByStep => "step-by-step",
                _ => "without-session",
            },
            "error": repeat.error.to_string(),
            "ms": milliseconds(repeat.at),
        })).collect::<Vec<_>>(),
    })
}

fn connected(connection: &Connection) -> Value {
    let report = connection.report();
    let winner =
        report.attempts().iter().find(|attempt| matches!(attempt.outcome, AttemptOutcome::Connected));
    json!({
        "candidate": winner.map(|attempt| attempt.candidate),
        "address": connection.peer_addr().to_string(),
        "tls": tls(connection.tls_mode()),
        "protocol": connection.protocol_version().to_string(),
        "cipher_suite": connection.cipher_suite().to_string(),
        "alpn": connection.alpn(),
        "certificate": connection.certificate().map(certificate),
        "channel_bindings": connection.channel_bindings().iter().map(ChannelBinding::name).collect::<Vec<_>>(),
        "resumed": connection.is_resumed(),
        "stream_open": connection.is_stream_open(),
        "ms": milliseconds(report.elapsed()),
    })
}

fn certificate(certificate: &ServerCertificate) -> Value {
    let matched = certificate.matched_name().map(|matched| match matched {
        MatchedName::Dns(name) => json!({ "name": name, "rule": "dns" }),
        MatchedName::Wildcard(name) => json!({ "name": name, "rule": "wildcard" }),
        MatchedName::Address(address) => json!({ "name": address.to_string(), "rule": "address" }),
        MatchedName::SrvId(name) => json!({ "name": name, "rule": "srv-id" }),
        MatchedName::XmppAddr(name) => json!({ "name": name, "rule": "xmpp-addr" }),
        _ => Value::Null,
    });
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "names": certificate.names(),
        "matched": matched,
        "tlsa": certificate.matched_tlsa().map(ToString::to_string),
        "not_before": certificate.not_before().and_then(unix_time),
        "not_after": certificate.not_after().and_then(unix_time),
        "days_left": certificate.not_after().map(days_left),
        "serial": certificate.serial_number(),
        "fingerprint": certificate.fingerprint().map(|hash| hash.to_string()),
        "key_fingerprint": certificate.key_fingerprint().map(|hash| hash.to_string()),
        "authority": certificate.is_authority(),
        "self_issued": certificate.is_self_issued(),
        "sent": certificate.chain().len(),
    })
}

/// Seconds since 1970.
fn unix_time(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Whole days from now on; 0 if it is over.
pub(crate) fn days_left(end: SystemTime) -> u64 {
    end.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs() / (24 * 60 * 60))
}

fn failed(error: &Error) -> Value {
    let kind = match error.kind() {
        ErrorKind::InvalidDomain => "invalid-domain",
        ErrorKind::NoSuchDomain => "no-such-domain",
        ErrorKind::NotOffered => "not-offered",
        ErrorKind::Lookup => "lookup",
        ErrorKind::Attempts => "attempts",
        ErrorKind::Untrusted => "untrusted",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Configuration => "configuration",
        _ => "system",
    };
    json!({ "kind": kind, "message": message(error) })
}

/// An error with its causes, in one line.
pub(crate) fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message += &format!(": {cause}");
        source = cause.source();
    }
    message
}

fn tls(tls: TlsMode) -> &'static str {
    match tls {
        TlsMode::Direct => "direct",
        TlsMode::StartTls => "starttls",
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Tcp => "tcp",
        Stage::Proxy => "proxy",
        Stage::StartTls => "starttls",
        Stage::Stream => "stream",
        _ => "tls",
    }
}

/// Milliseconds with three decimal places.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
