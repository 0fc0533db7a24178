//! The result for people: questions, candidates, a time line with a bar for each attempt, the outcome.

use std::time::Duration;

use xmpp_connect::ServerCertificate;
use xmpp_connect::report::{
    AttemptErrorKind, AttemptOutcome, AttemptReport, LookupReport, Report, Stage, UntrustedReason,
};

use crate::Outcome;
use crate::json::{days_left, message};

/// How wide the time line is, in characters.
const WIDTH: usize = 56;

pub(crate) fn text(domain: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Connected(connection) => {
            let report = connection.report();
            let (version, suite) = (connection.protocol_version(), connection.cipher_suite());
            format!(
                "{}{}Connected to {domain} at {} by {} in {}\n  {}, {}, ALPN {}{}\n{}",
                report_text(report),
                time_line(report),
                connection.peer_addr(),
                connection.tls_mode(),
                milliseconds(report.elapsed()),
                version,
                suite,
                connection.alpn().unwrap_or("not selected"),
                if connection.is_stream_open() { ", stream open" } else { "" },
                connection.certificate().map(certificate_text).unwrap_or_default()
            )
        }
        Outcome::Planned(discovery) => {
            format!("{}{domain} would be tried in this order.\n", report_text(discovery.report()))
        }
        Outcome::Failed(error) => {
            let report = error.report().map(|report| report_text(report) + &time_line(report));
            let advice = error.report().and_then(pin_to_use).unwrap_or_default();
            format!(
                "{}Not connected ({}): {}\n{advice}",
                report.unwrap_or_default(),
                error.kind(),
                message(error)
            )
        }
    }
}

/// What a person wants to know of a certificate.
fn certificate_text(certificate: &ServerCertificate) -> String {
    let mut text = format!("  certificate {certificate}");
    if let Some(end) = certificate.not_after() {
        text += &format!(" ({} days left)", days_left(end));
    }
    if let Some(matched) = certificate.matched_name() {
        text += &format!(", matched by {matched}");
    }
    if let Some(record) = certificate.matched_tlsa() {
        text += &format!(", verified by the TLSA record {record}");
    }
    text += "\n";
    if let Some(key) = certificate.key_fingerprint() {
        text += &format!("  public key {key}\n");
    }
    text
}

/// How to trust a server that no authority has certified, or whose key has changed.
fn pin_to_use(report: &Report) -> Option<String> {
    let refused = report.attempts().iter().rev().find_map(|attempt| {
        let error = attempt.error()?;
        let certificate = error.certificate()?;
        let is_not_pinned = matches!(error.kind(), AttemptErrorKind::Untrusted(UntrustedReason::NotPinned));
        // A pin would set aside what the domain says about its servers.
        let is_by_tlsa = matches!(error.kind(), AttemptErrorKind::Untrusted(UntrustedReason::NoTlsaMatch));
        (is_not_pinned || certificate.is_self_issued() && !is_by_tlsa).then_some(certificate)
    })?;
    let key = refused.key_fingerprint()?;
    Some(format!(
        "To trust exactly this key and no other: --pin {key}\n\
         Only if it is the server's: compare it with what its operator says, by another way than this connection.\n\
         Anybody between here and the server can have shown it.\n"
    ))
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    if !report.lookups().is_empty() {
        let lookups: String = report.lookups().iter().map(|lookup| format!("  {lookup}\n")).collect();
        text += &format!("Questions and answers\n{lookups}\n");
    }
    if !report.candidates().is_empty() {
        text += "Candidates, in order\n";
        for (index, candidate) in report.candidates().iter().enumerate() {
            let (priority, weight, origin) = (candidate.priority(), candidate.weight(), candidate.origin());
            text +=
                &format!("  {:>2}  {candidate}  priority {priority} weight {weight} ({origin})\n", index + 1);
        }
        text += "\n";
    }
    let notes = report.notes().iter().map(|note| format!("Note: {note}\n"));
    text.extend(notes);
    text
}

/// One line for each question and each attempt, all on one axis.
fn time_line(report: &Report) -> String {
    let scale = Scale(report.elapsed().max(Duration::from_micros(1)));
    let has_proxy = report.attempts().iter().any(|attempt| {
        attempt.stage == Stage::Proxy || attempt.completed.iter().any(|(stage, _)| *stage == Stage::Proxy)
    });
    let proxy = if has_proxy { "   o proxy" } else { "" };
    let mut text = format!("Time line   . DNS   - TCP{proxy}   ~ STARTTLS   = TLS   + stream\n");
    for lookup in report.lookups() {
        text += &format!("  |{}|  {}\n", scale.lookup(lookup), lookup.question);
    }
    for attempt in report.attempts() {
        let end = match &attempt.outcome {
            AttemptOutcome::Failed(error) => format!("{} failed: {error}", attempt.stage),
            AttemptOutcome::Abandoned => format!("abandoned in {}", attempt.stage),
            outcome => outcome.to_string(),
        };
        let repeats: String = attempt
            .repeats
            .iter()
            .map(|repeat| format!("repeated {}, since {}; ", repeat.form, repeat.error))
            .collect();
        let (line, number) = (scale.attempt(attempt), attempt.candidate + 1);
        text += &format!("  |{line}|  {number} {}: {repeats}{end}\n", attempt.destination);
    }
    let end = milliseconds(report.elapsed());
    text + &format!("   0{end:>width$}\n\n", width = WIDTH - 1)
}

/// The axis: the time that the whole width stands for.
struct Scale(Duration);

impl Scale {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on a line of 56 characters"
    )]
    fn column(&self, time: Duration) -> usize {
        let share = time.as_secs_f64() / self.0.as_secs_f64();
        ((share * WIDTH as f64) as usize).min(WIDTH)
    }

    fn draw(&self, line: &mut [char], from: Duration, to: Duration, mark: char) {
        let start = self.column(from).min(WIDTH - 1);
        // At least one character.
        let end = self.column(to).max(start + 1);
        for place in line.iter_mut().take(end).skip(start) {
            *place = mark;
        }
    }

    fn lookup(&self, lookup: &LookupReport) -> String {
        let mut line = [' '; WIDTH];
        self.draw(&mut line, lookup.asked, lookup.answered.unwrap_or(self.0), '.');
        line.iter().collect()
    }

    fn attempt(&self, attempt: &AttemptReport) -> String {
        let mut line = [' '; WIDTH];
        let mut from = attempt.started;
        for (stage, at) in &attempt.completed {
            self.draw(&mut line, from, *at, mark(*stage));
            from = *at;
        }
        if !matches!(attempt.outcome, AttemptOutcome::Connected) {
            self.draw(&mut line, from, attempt.ended, mark(attempt.stage));
        }
        if let AttemptOutcome::Failed(_) = attempt.outcome
            && let Some(place) = line.get_mut(self.column(attempt.ended).saturating_sub(1))
        {
            *place = 'x';
        }
        line.iter().collect()
    }
}

fn mark(stage: Stage) -> char {
    match stage {
        Stage::Tcp => '-',
        Stage::Proxy => 'o',
        Stage::StartTls => '~',
        Stage::Stream => '+',
        _ => '=',
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
