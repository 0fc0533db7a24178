//! Why an attempt failed: data for programs, and text for people. No IO.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::AlertDescription;

use super::Stage;
use crate::deadline::Seconds;
use crate::proxy::{Proxy, ProxyError, ProxyFailure, TunnelError};
use crate::quoted::Quoted;
use crate::socket;
use crate::starttls::{NegotiationError, Step};
use crate::tls::{self, Evidence, ServerCertificate, UntrustedReason};

#[cfg_attr(not(feature = "starttls"), path = "error/no_negotiation.rs")]
mod negotiation;

/// What is added to an error that a proxy may have caused.
const OR_THE_PROXY: &str = "; the proxy may have sent this, instead of opening a tunnel";
/// What is added to an end that a proxy may have caused: some open the tunnel first, and then connect.
const OR_NOT_REACHED: &str = "; a proxy that cannot reach the server may end like this, too";

/// Why an attempt failed.
///
/// `Display` explains it to people, in one line; [`kind`](Self::kind) is for programs.
#[derive(Clone, Debug)]
pub struct AttemptError {
    /// Shared by the report and its events.
    cause: Arc<Cause>,
    path: Path,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    /// The connection to that proxy has failed.
    ProxyIo(String, io::Error),
    /// The TCP handshake with that proxy took longer than its limit.
    ProxySilent(String, Duration),
    Proxy(ProxyError),
    TimedOut(Stage, Duration, Option<Step>),
    Negotiation(NegotiationError),
    EndInTls,
    /// The error, its explanation, and the certificate if that was refused.
    Tls(rustls::Error, String, Option<ServerCertificate>),
    RefusedByFilter,
    /// With the reason.
    Tlsa(String),
    /// The caller's check has refused the certificate, for this reason.
    CertificateRejected(String, Option<ServerCertificate>),
}

/// Which way the connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Direct,
    /// Through a proxy, which may be what has sent something unexpected.
    Proxy,
}

/// The kinds of [`AttemptError`], with data that programs can act on.
///
/// Data from before TLS, such as stream errors, is not authenticated: an attacker on the network can forge it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AttemptErrorKind<'a> {
    /// An error of the operating system, such as connection refused, reset, or unreachable.
    Io(&'a io::Error),
    /// This stage took longer than its time limit.
    TimedOut(Stage),
    /// The proxy has failed. Nothing was sent to the server.
    Proxy(ProxyFailure),
    /// The server closed the connection or ended the stream.
    Closed,
    /// The server did not offer STARTTLS, or refused it (`<failure/>`, RFC 6120 section 5.4.2.2).
    StartTlsNotOffered,
    /// The server sent a stream error (RFC 6120 section 4.9).
    #[non_exhaustive]
    StreamError {
        /// Whether it was sent over TLS. Before TLS, anybody could have sent it: do not follow `see-other-host` then.
        is_authenticated: bool,
        /// The defined condition, such as `host-unknown`.
        condition: Option<&'a str>,
        /// The host, optionally with a port, in `see-other-host`.
        see_other_host: Option<&'a str>,
    },
    /// What the server sent is not XMPP, or violates its rules.
    NotXmpp,
    /// Unencrypted bytes followed `<proceed/>`, where TLS has to begin: the server is faulty, or an attacker has injected
    /// them. Nothing of them was used.
    InjectedBytes,
    /// The server's certificate was refused.
    Untrusted(UntrustedReason),
    /// The TLS handshake failed for another reason.
    Tls(&'a rustls::Error),
    /// [`ConnectorBuilder::filter`](crate::ConnectorBuilder::filter) does not allow the address. Nothing was sent to
    /// it.
    RefusedByFilter,
    /// The TLSA records of the server, or what proves that they count, could not be looked up
    /// ([`ConnectorBuilder::dane`](crate::ConnectorBuilder::dane)). Nothing was sent to it.
    TlsaLookup,
}

impl AttemptError {
    fn of(cause: Cause) -> Self {
        Self { cause: Arc::new(cause), path: Path::Direct }
    }

    pub(crate) fn io(error: io::Error) -> Self {
        Self::of(Cause::Io(error))
    }

    /// The stage took longer than its limit. `step` is the step that a STARTTLS negotiation had reached.
    pub(crate) fn timed_out(stage: Stage, limit: Duration, step: Option<Step>) -> Self {
        Self::of(Cause::TimedOut(
            stage,
            limit,
            step.filter(|_| matches!(stage, Stage::StartTls | Stage::Stream)),
        ))
    }

    pub(crate) fn negotiation(error: NegotiationError) -> Self {
        Self::of(Cause::Negotiation(error))
    }

    /// The server closed the connection during the TLS handshake.
    pub(crate) fn end_in_tls() -> Self {
        Self::of(Cause::EndInTls)
    }

    pub(crate) fn tls(error: rustls::Error, evidence: &Evidence) -> Self {
        let text = tls::explain(&error, evidence);
        Self::of(Cause::Tls(error, text, evidence.certificate.clone()))
    }

    /// The caller's filter does not allow the address.
    pub(crate) fn refused_by_filter() -> Self {
        Self::of(Cause::RefusedByFilter)
    }

    /// The connection to the proxy has failed.
    pub(crate) fn proxy_io(proxy: &Proxy, error: io::Error) -> Self {
        Self::of(Cause::ProxyIo(proxy.to_string(), error))
    }

    /// The TCP handshake with the proxy took longer than its limit.
    pub(crate) fn proxy_silent(proxy: &Proxy, limit: Duration) -> Self {
        Self::of(Cause::ProxySilent(proxy.to_string(), limit))
    }

    /// The tunnel through the proxy could not be opened.
    pub(crate) fn tunnel(proxy: &Proxy, error: TunnelError) -> Self {
        match error {
            TunnelError::Io(error) => Self::proxy_io(proxy, error),
            TunnelError::Proxy(error) => Self::of(Cause::Proxy(error)),
        }
    }

    /// The same error of a connection through a proxy.
    pub(crate) fn through_proxy(self) -> Self {
        Self { path: Path::Proxy, ..self }
    }

    /// The TLSA records of the server are not known, for this reason.
    pub(crate) fn refused_by_tlsa(why: String) -> Self {
        Self::of(Cause::Tlsa(why))
    }

    /// The caller's check has refused the certificate.
    pub(crate) fn certificate_rejected(reason: String, certificate: Option<ServerCertificate>) -> Self {
        Self::of(Cause::CertificateRejected(reason, certificate))
    }

    /// Returns the kind of error, with its data.
    #[must_use]
    pub fn kind(&self) -> AttemptErrorKind<'_> {
        match &*self.cause {
            Cause::Io(error) => AttemptErrorKind::Io(error),
            Cause::ProxyIo(..) => AttemptErrorKind::Proxy(ProxyFailure::Unreachable),
            Cause::Proxy(error) => AttemptErrorKind::Proxy(error.failure()),
            Cause::ProxySilent(..) => AttemptErrorKind::TimedOut(Stage::Tcp),
            Cause::TimedOut(stage, ..) => AttemptErrorKind::TimedOut(*stage),
            Cause::EndInTls => AttemptErrorKind::Closed,
            Cause::RefusedByFilter => AttemptErrorKind::RefusedByFilter,
            Cause::Tlsa(_) => AttemptErrorKind::TlsaLookup,
            Cause::CertificateRejected(..) => AttemptErrorKind::Untrusted(UntrustedReason::Rejected),
            Cause::Tls(error, ..) => match UntrustedReason::of(error) {
                Some(reason) => AttemptErrorKind::Untrusted(reason),
                None => AttemptErrorKind::Tls(error),
            },
            Cause::Negotiation(error) => negotiation::kind(error),
        }
    }

    /// Returns the certificate that was refused; `None` if the cause is something else, or the verifier is the
    /// caller's.
    #[must_use]
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        match &*self.cause {
            Cause::Tls(_, _, certificate) | Cause::CertificateRejected(_, certificate) => {
                certificate.as_ref()
            }
            Cause::Io(_)
            | Cause::ProxyIo(..)
            | Cause::ProxySilent(..)
            | Cause::Proxy(_)
            | Cause::TimedOut(..)
            | Cause::Negotiation(_)
            | Cause::EndInTls
            | Cause::RefusedByFilter
            | Cause::Tlsa(_) => None,
        }
    }

    /// Whether the server's certificate was refused.
    pub(crate) fn is_untrusted(&self) -> bool {
        matches!(self.kind(), AttemptErrorKind::Untrusted(_))
    }

    /// Whether the cause is a certificate: we refused the server's, or its alert is about ours.
    pub(crate) fn is_about_a_certificate(&self) -> bool {
        match self.kind() {
            AttemptErrorKind::Untrusted(_) => true,
            AttemptErrorKind::Tls(rustls::Error::AlertReceived(alert)) => matches!(
                alert,
                AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
            ),
            _ => false,
        }
    }

    /// Whether it ended a STARTTLS negotiation in a way that may be due to sending `<starttls/>` together with the
    /// stream header.
    pub(crate) fn may_be_due_to_pipelining(&self) -> bool {
        match &*self.cause {
            Cause::Negotiation(error) => error.may_be_due_to_pipelining(),
            // The peer has reset the connection. Other errors are of this machine or of the network; a broken pipe means that
            // the connection was closed before anything was sent.
            Cause::Io(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
            }
            Cause::RefusedByFilter
            | Cause::ProxyIo(..)
            | Cause::ProxySilent(..)
            | Cause::Proxy(_)
            | Cause::Tlsa(_)
            | Cause::TimedOut(..)
            | Cause::EndInTls
            | Cause::Tls(..)
            | Cause::CertificateRejected(..) => false,
        }
    }

    /// Whether the cause is on this machine or the proxy, or in DNS, so that it says nothing about the server.
    pub(crate) fn is_on_this_side(&self) -> bool {
        match &*self.cause {
            Cause::Io(error) => {
                self.is_exhaustion()
                    || matches!(
                        error.kind(),
                        io::ErrorKind::NetworkUnreachable
                            | io::ErrorKind::NetworkDown
                            | io::ErrorKind::AddrNotAvailable
                            | io::ErrorKind::PermissionDenied
                            | io::ErrorKind::Unsupported
                    )
            }
            Cause::Proxy(error) => error.failure() != ProxyFailure::Refused,
            Cause::RefusedByFilter | Cause::Tlsa(_) | Cause::ProxyIo(..) | Cause::ProxySilent(..) => true,
            Cause::TimedOut(..)
            | Cause::Negotiation(_)
            | Cause::EndInTls
            | Cause::Tls(..)
            | Cause::CertificateRejected(..) => false,
        }
    }

    /// Whether the proxy refuses to work for us, so that trying another server is no use, and may lock the account.
    pub(crate) fn is_refusal_of_credentials(&self) -> bool {
        matches!(&*self.cause, Cause::Proxy(error) if error.is_refusal_of_credentials())
    }

    /// What a proxy may have to do with it: it has sent what the server should have sent, such as a page about an error, or
    /// has given up.
    fn share_of_the_proxy(&self) -> &'static str {
        match self.kind() {
            _ if self.path != Path::Proxy => "",
            AttemptErrorKind::Tls(rustls::Error::AlertReceived(_)) => "",
            AttemptErrorKind::NotXmpp | AttemptErrorKind::Tls(_) => OR_THE_PROXY,
            AttemptErrorKind::Closed => OR_NOT_REACHED,
            AttemptErrorKind::Io(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                OR_NOT_REACHED
            }
            _ => "",
        }
    }

    /// Whether this machine has run out of sockets or memory for them, so that trying another server is no use.
    pub(crate) fn is_exhaustion(&self) -> bool {
        matches!(&*self.cause, Cause::Io(error) | Cause::ProxyIo(_, error) if socket::is_exhaustion(error))
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            Cause::Io(error) => write_io(formatter, error),
            Cause::ProxyIo(proxy, error) => {
                write!(formatter, "the connection to the proxy {proxy} failed: ")?;
                write_io(formatter, error)
            }
            Cause::ProxySilent(proxy, limit) => {
                write!(formatter, "the proxy {proxy} did not respond within {}", Seconds(*limit))
            }
            Cause::Proxy(error) => write!(formatter, "{error}"),
            Cause::TimedOut(Stage::Proxy, limit, _) => {
                write!(formatter, "the proxy did not connect to the server within {}", Seconds(*limit))
            }
            Cause::TimedOut(stage, limit, step) => {
                write!(formatter, "{stage} did not finish within {}", Seconds(*limit))?;
                step.map_or(Ok(()), |step| write!(formatter, ": {}", step.missing()))
            }
            Cause::Negotiation(error) => write!(formatter, "{error}"),
            Cause::EndInTls => {
                formatter.write_str("the server closed the connection during the TLS handshake")
            }
            Cause::Tls(_, text, _) => formatter.write_str(text),
            Cause::RefusedByFilter => formatter.write_str("refused by the filter"),
            Cause::Tlsa(why) => write!(formatter, "not connected to, since {why}"),
            Cause::CertificateRejected(reason, certificate) => {
                write!(
                    formatter,
                    "the certificate was refused by this program: {}",
                    Quoted(reason, SHOWN_REASON)
                )?;
                let certificate = certificate.as_ref();
                certificate
                    .map_or(Ok(()), |certificate| write!(formatter, " (the certificate is {certificate})"))
            }
        }?;
        formatter.write_str(self.share_of_the_proxy())
    }
}

fn write_io(formatter: &mut fmt::Formatter<'_>, error: &io::Error) -> fmt::Result {
    match io_words(error.kind()) {
        Some(words) => formatter.write_str(words),
        None => write!(formatter, "{error}"),
    }
}

/// How many characters of the caller's reason are shown.
const SHOWN_REASON: usize = 200;

/// What the usual errors of a socket mean. The error itself is the source.
fn io_words(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: no server listens there, or a firewall rejects the connection"
        }
        io::ErrorKind::ConnectionReset => "connection reset by the server, or by a firewall in between",
        io::ErrorKind::BrokenPipe => "the server closed the connection while we were sending",
        io::ErrorKind::HostUnreachable => "host unreachable: there is no route to it, or it is down",
        io::ErrorKind::NetworkUnreachable => {
            "network unreachable: this machine, or a router on the way, has no route to it"
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: a firewall on this machine, or a firewall or router on the way, blocks the connection"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no address to connect from: IPv6 is off here, the source address that was set is not its own, \
             or all its ports are in use"
        }
        _ => return None,
    })
}

/// The source is the error of the operating system, unless `Display` shows that error already. An error of rustls is
/// only in [`kind`](AttemptError::kind), since its text repeats that of `Display`, often as debug text.
impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.cause {
            Cause::Io(error) | Cause::ProxyIo(_, error) if io_words(error.kind()).is_some() => Some(error),
            Cause::Io(_)
            | Cause::ProxyIo(..)
            | Cause::ProxySilent(..)
            | Cause::Proxy(_)
            | Cause::Tls(..)
            | Cause::Negotiation(_)
            | Cause::TimedOut(..)
            | Cause::EndInTls
            | Cause::RefusedByFilter
            | Cause::Tlsa(_)
            | Cause::CertificateRejected(..) => None,
        }
    }
}

#[cfg(test)]
mod tests;
