//! Why there is no connection to a server, and what to do about it: failures in, findings out. No IO.

use xmpp_connect::report::Stage;

use super::certificate;
use super::findings::Finding;
use super::outcome::{Cause, Failure};

/// What cannot be checked from here is no finding.
pub(crate) const THIS_MACHINE: &str = "";

/// Returns the finding about a server to which no connection works, for this reason.
pub(crate) fn failed(failure: &Failure) -> Finding {
    let (id, advice) = match &failure.cause {
        Cause::ThisMachine => (THIS_MACHINE, ""),
        Cause::Refused => {
            ("refused", "start the server, let it listen on this address and port, or correct the record")
        }
        Cause::Unreachable => (
            "unreachable",
            "check the address, the routes to it, the firewalls on the way, and that the host is up",
        ),
        Cause::TimedOut | Cause::Reset | Cause::Closed => unanswered(failure),
        Cause::StartTlsNotOffered => (
            "starttls-not-offered",
            "set up TLS in the server: a certificate, its key, and STARTTLS for this port; if it is, something on the way \
             removes the offer",
        ),
        Cause::StreamError(Some(condition)) if condition == "host-unknown" || condition == "host-gone" => {
            ("host-unknown", "add the domain to the configuration of the server, or correct the record")
        }
        Cause::StreamError(Some(condition)) if condition == "see-other-host" => (
            "stream-error",
            "turn the redirection off, or publish the server that it leads to in the SRV records: many programs do not follow \
             it",
        ),
        Cause::StreamError(_) => ("stream-error", "see the log of the server for the reason"),
        Cause::InjectedBytes => (
            "injected-bytes",
            "update the server; if it is current, find out what on the way tampers with connections",
        ),
        Cause::NotXmpp if failure.stage == Stage::Stream => (
            "no-xmpp-over-tls",
            "check which service the port belongs to; if it is shared, that ALPN is told apart",
        ),
        Cause::NotXmpp => ("not-xmpp", "check which service the port belongs to, and correct the record"),
        Cause::Untrusted(reason) => certificate::refusal(*reason, failure.certificate.as_deref()),
        Cause::OtherKeyOfRoot => certificate::OTHER_KEY_OF_ROOT,
        Cause::AlpnRefused => (
            "alpn-refused",
            "let the server accept the ALPN protocol of this service (xmpp-client or xmpp-server, XEP-0368)",
        ),
        Cause::ClientCertificateRequired => (
            "client-certificate-required",
            "if that is meant to be so, give one (here: --client-cert and --client-key); otherwise let the server accept \
             connections without",
        ),
        Cause::ServerNotIdentified => (
            "client-certificate-required",
            "give the certificate of the server to speak for (here: --client-cert and --client-key): without one, this server \
             talks to no other server, and nothing else can be checked",
        ),
        Cause::Tls => (
            "tls-fails",
            "check the TLS settings of the server: it needs TLS 1.2 or 1.3, and a certificate and key that belong together",
        ),
        Cause::Other => ("connect-fails", "see the log of the server for the reason"),
    };
    Finding::error(id, format!("no connection: {}", failure.text), advice)
}

/// What is said about a server that does not answer, or closes the connection.
fn unanswered(failure: &Failure) -> (&'static str, &'static str) {
    match failure.stage {
        Stage::Stream => ("no-xmpp-over-tls", "check which service the port belongs to"),
        _ if failure.cause != Cause::TimedOut => {
            ("closed", "see the log of the server, and of any proxy in front of it, for the reason")
        }
        Stage::Tcp => (
            "no-answer",
            "check the address, and the firewalls on the way: packets to this port are dropped, which costs clients time",
        ),
        _ => ("silent", "restart the server, or the proxy in front of it: it accepts connections and hangs"),
    }
}
