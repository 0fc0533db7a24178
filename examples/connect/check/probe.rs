//! Makes the connections of a check: one for each form, and one that resumes the session of the first.
//!
//! If one kind of TLS cannot be spoken, the other kind is tried too.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use xmpp_connect::report::{AttemptError, AttemptErrorKind, RepeatForm, Stage};
use xmpp_connect::{
    ChannelBinding, Connection, Connector, ConnectorBuilder, Error, ErrorKind, OpenStream, Service, Target,
    TlsMode,
};

use super::certificate::Certificate;
use super::features::{Features, Reader};
use super::outcome::{Cause, Check, Ended, Facts, Failure, Form, PlaceResult, Resumption, has_repeat};
use super::plan::Place;
use super::{Settings, Stop};

/// The number of TLS 1.3 (RFC 8446 section 4.2.1).
const TLS13: u16 = 0x0304;

/// Of a long time limit of the check, a stage of a connection gets this part.
const STAGES: u32 = 12;
/// A stage gets as much of a short one, if so much is left: whoever takes longer is too slow for most programs.
const ENOUGH: Duration = Duration::from_secs(5);
/// The library accepts no limit of zero.
const LEAST: Duration = Duration::from_millis(1);

/// Returns the options that all connectors of a check have.
pub(crate) fn builder(settings: &Settings, stop: &Stop) -> ConnectorBuilder {
    // A silent server must not use up the time of the others, and a slow one must have enough.
    let remaining = stop.remaining();
    let stage = (settings.limit / STAGES).max(ENOUGH.min(remaining)).max(LEAST);
    let limit = stage.saturating_mul(2).min(remaining).max(LEAST);
    let mut builder = Connector::builder()
        .service(settings.service.clone())
        .open_stream(OpenStream::new())
        .timeout(limit)
        .tcp_timeout(stage)
        .handshake_timeout(stage);
    if !settings.nameservers.is_empty() {
        builder = builder.nameservers(settings.nameservers.iter().copied());
    }
    if !settings.roots.is_empty() {
        builder = builder.only_roots(settings.roots.iter().cloned());
    }
    if let Some((chain, key)) = &settings.client {
        builder = builder.client_certificate(chain.iter().cloned(), key.clone_key());
    }
    builder
}

/// Checks one place.
pub(crate) fn probe(place: &Place, settings: &Settings, stop: &Stop) -> PlaceResult {
    let mut result = PlaceResult::default();
    let forms = match place.tls {
        TlsMode::Direct => [Form::Alpn, Form::NoAlpn],
        TlsMode::StartTls => [Form::Pipelined, Form::Strict],
    };
    for form in forms {
        let started = Instant::now();
        let (ended, connector) = connect(place.address, place.tls, form, settings, stop);
        let took = started.elapsed();
        let is_first = result.checks.is_empty();
        let is_over = ended.failure().is_some_and(|failure| failure.stage == Stage::Tcp);
        if is_first && let (Ended::Connected(_), Some(connector)) = (&ended, connector) {
            resume(&connector, place, settings, stop, &mut result);
        }
        result.checks.push(Check { form, took, ended });
        // In another form, it would be the same.
        if is_over || stop.is_set() {
            break;
        }
    }
    try_forms_again(&mut result, place, settings, stop);
    if result.checks.iter().all(|check| check.ended.failure().is_some_and(may_be_the_other_kind)) {
        let (other, form) = match place.tls {
            TlsMode::Direct => (TlsMode::StartTls, Form::Pipelined),
            TlsMode::StartTls => (TlsMode::Direct, Form::Alpn),
        };
        result.other_kind = Some(connect(place.address, other, form, settings, stop).0);
    }
    result
}

/// If one form works and the other one does not, tries both again: the reason may be a limit of connections, or one of several
/// servers behind the address.
fn try_forms_again(result: &mut PlaceResult, place: &Place, settings: &Settings, stop: &Stop) {
    let [first, second] = &*result.checks else { return };
    let (failed, works) = match (&first.ended, &second.ended) {
        (Ended::Failed(_), Ended::Connected(_)) => (first, second),
        (Ended::Connected(_), Ended::Failed(_)) => (second, first),
        _ => return,
    };
    if !failed.ended.failure().is_some_and(|failure| failure.may_depend_on_form(place.tls)) {
        return;
    }
    let (failed, works) = (failed.form, works.form);
    let mut connected = Vec::new();
    for (form, works) in [(failed, false), (works, true)] {
        let (ended, _) = connect(place.address, place.tls, form, settings, stop);
        match &ended {
            Ended::Connected(_) if works => connected.push(ended),
            Ended::Failed(failure) if !works && failure.may_depend_on_form(place.tls) => {}
            Ended::Stopped => return,
            Ended::Connected(_) | Ended::Failed(_) => {
                result.depends_on_form = Some(false);
                result.further.push(ended);
                return;
            }
        }
    }
    result.depends_on_form = Some(true);
    result.further.extend(connected);
}

/// Whether a port that speaks the other kind of TLS fails in this way.
fn may_be_the_other_kind(failure: &Failure) -> bool {
    let is_early = matches!(failure.stage, Stage::StartTls | Stage::Tls);
    let is_possible = matches!(
        failure.cause,
        Cause::NotXmpp | Cause::Closed | Cause::Reset | Cause::TimedOut | Cause::Tls | Cause::StreamError(_)
    );
    is_early && is_possible
}

/// Returns whether something that speaks direct TLS and XMPP answers at a port that is not published.
pub(crate) fn is_open_for_direct_tls(address: SocketAddr, settings: &Settings, stop: &Stop) -> bool {
    connect(address, TlsMode::Direct, Form::Alpn, settings, stop).0.facts().is_some()
}

fn connect(
    address: SocketAddr,
    tls: TlsMode,
    form: Form,
    settings: &Settings,
    stop: &Stop,
) -> (Ended, Option<Connector>) {
    let builder =
        builder(settings, stop).alpn(form != Form::NoAlpn).starttls_pipelining(form != Form::Strict);
    let connector = match builder.build() {
        Ok(connector) => connector,
        Err(error) => return (failed(&error, address, settings, stop), None),
    };
    let ended = match connect_with(&connector, address, tls, settings, stop) {
        Ok(connection) => Ended::Connected(Box::new(facts_of(connection, stop))),
        Err(error) => failed(&error, address, settings, stop),
    };
    (ended, Some(connector))
}

fn connect_with(
    connector: &Connector,
    address: SocketAddr,
    tls: TlsMode,
    settings: &Settings,
    stop: &Stop,
) -> Result<Connection, Error> {
    let target = Target::new(&address.ip().to_string(), address.port(), tls)?;
    let mut attempts = connector.attempts_to(settings.domain.clone(), target)?;
    stop.cancels(attempts.canceller());
    attempts.connect_next()
}

/// Connects once more with the same connector, which has the session.
fn resume(connector: &Connector, place: &Place, settings: &Settings, stop: &Stop, result: &mut PlaceResult) {
    if stop.is_set() {
        return;
    }
    match connect_with(connector, place.address, place.tls, settings, stop) {
        Ok(connection) => {
            let report = connection.report();
            let is_broken = report
                .attempts()
                .iter()
                .any(|attempt| has_repeat(&attempt.repeats, RepeatForm::WithoutSession));
            result.resumption = Some(match (is_broken, connection.is_resumed()) {
                (true, _) => Resumption::Broken,
                (false, true) => Resumption::Resumed,
                (false, false) => Resumption::NotResumed,
            });
            leave(connection);
        }
        // If a session has failed and was the reason, the library has connected without it.
        Err(error) => result.further.push(failed(&error, place.address, settings, stop)),
    }
}

fn failed(error: &Error, address: SocketAddr, settings: &Settings, stop: &Stop) -> Ended {
    let attempt = error.report().and_then(|report| report.attempts().last());
    match (error.kind(), attempt) {
        (ErrorKind::Cancelled, _) => Ended::Stopped,
        // The time of the check has passed, and perhaps not enough for this server.
        (ErrorKind::TimedOut, _) if stop.is_set() => Ended::Stopped,
        (_, Some(attempt)) if stop.is_set() && attempt.error().is_some_and(is_timeout) => Ended::Stopped,
        (_, Some(attempt)) => Ended::Failed(match attempt.error() {
            Some(error) => {
                let mut failure = Failure::of(attempt.stage, error, || has_route(address));
                if is_not_identified(&failure, settings) {
                    failure.cause = Cause::ServerNotIdentified;
                }
                failure
            }
            None => {
                let text = format!("{} did not finish in time", attempt.stage);
                Failure { stage: attempt.stage, cause: Cause::TimedOut, text, certificate: None }
            }
        }),
        (_, None) => Ended::Failed(Failure {
            stage: Stage::Tcp,
            cause: Cause::Other,
            text: error.to_string(),
            certificate: None,
        }),
    }
}

fn is_timeout(error: &AttemptError) -> bool {
    matches!(error.kind(), AttemptErrorKind::TimedOut(_))
}

/// Whether a server refuses this one since it has shown no certificate, and may have no other proof to ask for (dialback).
///
/// Prosody ends the stream of such a server with `not-authorized`, or, if it would have no features to offer, with
/// `undefined-condition`. Only over TLS does that come from the server.
fn is_not_identified(failure: &Failure, settings: &Settings) -> bool {
    let Cause::StreamError(Some(condition)) = &failure.cause else { return false };
    matches!(settings.service, Service::Server { .. })
        && settings.client.is_none()
        && failure.stage == Stage::Stream
        && ["not-authorized", "undefined-condition"].contains(&condition.as_str())
}

/// Whether this machine has a route to `address`, and an address to connect from. Connecting a UDP socket looks for both, and
/// sends nothing, so that no router or firewall on the way has a say.
fn has_route(address: SocketAddr) -> bool {
    let own = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(own).and_then(|socket| socket.connect(address)).is_ok()
}

fn facts_of(mut connection: Connection, stop: &Stop) -> Facts {
    let report = connection.report();
    let facts = Facts {
        version: connection.protocol_version().to_string(),
        is_tls13: connection.protocol_version().number() >= TLS13,
        suite: connection.cipher_suite().to_string(),
        alpn: connection.alpn().map(str::to_owned),
        bindings: connection.channel_bindings().iter().map(ChannelBinding::name).collect(),
        features: None,
        certificate: connection.certificate().map(Certificate::of),
        was_repeated: report
            .attempts()
            .iter()
            .any(|attempt| has_repeat(&attempt.repeats, RepeatForm::StepByStep)),
        is_offer_missing: report.attempts().iter().any(|attempt| attempt.is_unoffered),
    };
    stop.cancels(connection.canceller());
    let features = read_features(&mut connection);
    leave(connection);
    Facts { features, ..facts }
}

/// The connect has waited for the features, so they are there.
fn read_features(connection: &mut Connection) -> Option<Features> {
    connection.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut reader = Reader::new();
    let mut buffer = [0; 4096];
    loop {
        let length = connection.read(&mut buffer).ok().filter(|length| *length > 0)?;
        if let Some(features) = reader.read(buffer.get(..length)?).ok()? {
            return Some(features);
        }
    }
}

/// Ends the stream and the connection. That this may fail is of no interest here.
fn leave(mut connection: Connection) {
    let _ = connection.set_write_timeout(Some(Duration::from_secs(1)));
    let _ = connection.write_all(b"</stream:stream>");
    let _ = connection.close();
}
