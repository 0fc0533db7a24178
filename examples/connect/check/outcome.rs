//! What the checks of one place came to, as plain data. No IO.

use std::io;
use std::time::Duration;

use xmpp_connect::TlsMode;
use xmpp_connect::report::{AttemptError, AttemptErrorKind, RepeatForm, Stage, UntrustedReason};
use xmpp_connect::rustls::{self, AlertDescription};

use super::certificate::Certificate;
use super::features::Features;

/// How a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Direct TLS with ALPN.
    Alpn,
    /// Direct TLS without.
    NoAlpn,
    /// STARTTLS, with `<starttls/>` in the same write as the stream header.
    Pipelined,
    /// STARTTLS, step by step.
    Strict,
}

impl Form {
    /// Returns the name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alpn => "alpn",
            Self::NoAlpn => "no-alpn",
            Self::Pipelined => "pipelined",
            Self::Strict => "strict",
        }
    }

    /// Returns the words for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Alpn => "with ALPN",
            Self::NoAlpn => "without ALPN",
            Self::Pipelined => "pipelined",
            Self::Strict => "step by step",
        }
    }
}

/// The checks of one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceResult {
    pub(crate) checks: Vec<Check>,
    /// The second connect over the first form; `None` if there was none, or if it has failed for another reason.
    pub(crate) resumption: Option<Resumption>,
    /// Whether one form works each time, and the other one never; `None` if that was not tried out.
    pub(crate) depends_on_form: Option<bool>,
    /// The connections that showed whether a failure depends on the form, without the failures that do; and the one to resume,
    /// if it has failed.
    pub(crate) further: Vec<Ended>,
    /// What the other kind of TLS came to, which is tried if this one cannot be spoken.
    pub(crate) other_kind: Option<Ended>,
}

impl PlaceResult {
    /// The certificates that the server has shown, one for each connection.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.checks.iter().filter_map(|check| check.ended.certificate())
    }

    /// Whether the check came to its end: in both forms, or in one that shows that there is no connection.
    pub(crate) fn is_complete(&self) -> bool {
        let is_end = |check: &Check| match &check.ended {
            Ended::Connected(_) => self.checks.len() > 1,
            Ended::Failed(failure) => self.checks.len() > 1 || failure.stage == Stage::Tcp,
            Ended::Stopped => false,
        };
        self.checks.last().is_some_and(is_end)
    }

    /// How all connections of this kind of TLS ended.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.checks.iter().map(|check| &check.ended).chain(&self.further)
    }

    /// Whether it can be used, in any form, by those who are let in: a server that wants to know which server it talks to
    /// is not broken.
    pub(crate) fn works(&self) -> bool {
        let wants_certificate = |failure: &Failure| failure.cause == Cause::ServerNotIdentified;
        self.checks.iter().any(|check| {
            check.ended.facts().is_some() || check.ended.failure().is_some_and(wants_certificate)
        })
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) form: Form,
    pub(crate) took: Duration,
    pub(crate) ended: Ended,
}

/// How a connect ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Connected(Box<Facts>),
    Failed(Failure),
    /// The check was stopped before.
    Stopped,
}

impl Ended {
    pub(crate) fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Connected(facts) => Some(facts),
            Self::Failed(_) | Self::Stopped => None,
        }
    }

    /// The certificate that the server has shown, whether it was accepted or not.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Connected(facts) => facts.certificate.as_ref(),
            Self::Failed(failure) => failure.certificate.as_deref(),
            Self::Stopped => None,
        }
    }

    pub(crate) fn certificate_mut(&mut self) -> Option<&mut Certificate> {
        match self {
            Self::Connected(facts) => facts.certificate.as_mut(),
            Self::Failed(failure) => failure.certificate.as_deref_mut(),
            Self::Stopped => None,
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Connected(_) | Self::Stopped => None,
        }
    }
}

/// Whether the second connect resumed the TLS session of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumption {
    Resumed,
    /// A full handshake: the server gives no sessions, or does not take them back.
    NotResumed,
    /// The handshake failed with the session, and was repeated without.
    Broken,
}

/// What a connection shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) is_tls13: bool,
    pub(crate) suite: String,
    pub(crate) alpn: Option<String>,
    /// The channel bindings that can be used on this connection.
    pub(crate) bindings: Vec<&'static str>,
    pub(crate) features: Option<Features>,
    pub(crate) certificate: Option<Certificate>,
    /// Whether the pipelined negotiation failed and was repeated step by step.
    pub(crate) was_repeated: bool,
    /// Whether the server took `<starttls/>` without having offered it.
    pub(crate) is_offer_missing: bool,
}

/// Why a connect failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
    /// The reason in words.
    pub(crate) text: String,
    /// The certificate that was refused.
    pub(crate) certificate: Option<Box<Certificate>>,
}

/// The kinds of reasons that make a difference here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Refused,
    Reset,
    /// Something on the way has no route to the address, or prohibits connections to it.
    Unreachable,
    /// It is this machine that cannot: no IPv6, no route, a firewall of its own.
    ThisMachine,
    TimedOut,
    Closed,
    StartTlsNotOffered,
    /// With the defined condition.
    StreamError(Option<String>),
    NotXmpp,
    InjectedBytes,
    Untrusted(UntrustedReason),
    /// The certificate was signed with another key than that of the trusted root of the same name.
    OtherKeyOfRoot,
    /// The server wants a certificate of this side.
    ClientCertificateRequired,
    /// The server has a good certificate, and ends the stream of a server that has shown none.
    ServerNotIdentified,
    /// The server knows none of the ALPN protocols.
    AlpnRefused,
    Tls,
    Other,
}

impl Failure {
    /// `has_route` says whether this machine itself has a way to the server.
    pub(crate) fn of(stage: Stage, error: &AttemptError, has_route: impl Fn() -> bool) -> Self {
        let certificate = error.certificate().map(|certificate| Box::new(Certificate::of(certificate)));
        let text = error.to_string();
        Self { stage, cause: cause(error, &text, has_route), text, certificate }
    }
}

impl Failure {
    /// Whether a connection over `tls` in another form may not fail in this way. Without a connection there is no form; and a
    /// certificate is the same for each, unless a port for direct TLS is shared and ALPN decides which service answers.
    pub(crate) fn may_depend_on_form(&self, tls: TlsMode) -> bool {
        match self.cause {
            _ if self.stage == Stage::Tcp => false,
            Cause::Untrusted(UntrustedReason::WrongName) => tls == TlsMode::Direct,
            Cause::Untrusted(_) | Cause::OtherKeyOfRoot => false,
            _ => true,
        }
    }
}

fn cause(error: &AttemptError, text: &str, has_route: impl Fn() -> bool) -> Cause {
    match error.kind() {
        AttemptErrorKind::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Cause::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Cause::Reset
            }
            io::ErrorKind::HostUnreachable => Cause::Unreachable,
            // A router without a route, and one that prohibits the connection, cause the same errors as this machine.
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::PermissionDenied if has_route() => {
                Cause::Unreachable
            }
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => Cause::ThisMachine,
            io::ErrorKind::TimedOut => Cause::TimedOut,
            _ => Cause::Other,
        },
        AttemptErrorKind::TimedOut(_) => Cause::TimedOut,
        AttemptErrorKind::Closed => Cause::Closed,
        AttemptErrorKind::StartTlsNotOffered => Cause::StartTlsNotOffered,
        AttemptErrorKind::StreamError { condition, .. } => Cause::StreamError(condition.map(str::to_owned)),
        AttemptErrorKind::NotXmpp => Cause::NotXmpp,
        AttemptErrorKind::InjectedBytes => Cause::InjectedBytes,
        AttemptErrorKind::Untrusted(UntrustedReason::Unacceptable)
            if text.contains("has a different key than the one that signed") =>
        {
            Cause::OtherKeyOfRoot
        }
        AttemptErrorKind::Untrusted(reason) => Cause::Untrusted(reason),
        AttemptErrorKind::Tls(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            Cause::AlpnRefused
        }
        AttemptErrorKind::Tls(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            Cause::ClientCertificateRequired
        }
        // TLS 1.2 has no alert of its own for that.
        AttemptErrorKind::Tls(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure))
            if text.contains("requires a client certificate") =>
        {
            Cause::ClientCertificateRequired
        }
        AttemptErrorKind::Tls(_) => Cause::Tls,
        _ => Cause::Other,
    }
}

/// Whether an attempt was repeated in this form.
pub(crate) fn has_repeat(repeats: &[xmpp_connect::report::Repeat], form: RepeatForm) -> bool {
    repeats.iter().any(|repeat| repeat.form == form)
}
