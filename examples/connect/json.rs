//! The result as one JSON object. Its names are stable, for scripts.

use std::error::Error as _;
use std::time::Duration;

use serde_json::{Value, json};
use xmpp_connect::dns::{AnswerSource, TlsaRecord};
use xmpp_connect::report::{AttemptOutcome, AttemptReport, LookupReport, RepeatForm, Report, Stage};
use xmpp_connect::{Candidate, ChannelBinding, Connection, Error, ErrorKind, Service, TlsMode};

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
        "address": attempt.address.to_string(),
        "started_ms": milliseconds(attempt.started),
        "ended_ms": milliseconds(attempt.ended),
        "stage": stage(attempt.stage),
        "outcome": attempt.outcome.to_string(),
        "error": attempt.error().map(ToString::to_string),
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
        "tlsa": connection.candidate().tlsa().iter().map(TlsaRecord::to_string).collect::<Vec<_>>(),
        "channel_bindings": connection.channel_bindings().iter().map(ChannelBinding::name).collect::<Vec<_>>(),
        "resumed": connection.is_resumed(),
        "stream_open": connection.is_stream_open(),
        "ms": milliseconds(report.elapsed()),
    })
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
        Stage::StartTls => "starttls",
        Stage::Stream => "stream",
        _ => "tls",
    }
}

/// Milliseconds with three decimal places.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
