//! A row of the matrix: a bad server, and what an error about it says.

use std::sync::Arc;

use rustls::{ServerConfig, SignatureScheme};
use xmpp_connect::report::UntrustedReason;
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{ConnectorBuilder, TlsMode};

use super::Refusal;
use crate::forged::shows;
use crate::given::DOMAIN;
use crate::support::{Authority, Identity, Script, ServerTls, Stage, Step};

pub(crate) const BOTH: &[TlsMode] = &[TlsMode::Direct, TlsMode::StartTls];
pub(crate) const DIRECT: &[TlsMode] = &[TlsMode::Direct];
pub(crate) const STARTTLS: &[TlsMode] = &[TlsMode::StartTls];

const ROOT: &[u8] = include_bytes!("fixtures/root.der");
const SHORT_ROOT: &[u8] = include_bytes!("fixtures/short-root.der");

/// What the server does.
pub(crate) type Play = Box<dyn Fn(&Authority, TlsMode) -> Script>;

/// One bad server.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) modes: &'static [TlsMode],
    pub(crate) domain: &'static str,
    pub(crate) script: Play,
    pub(crate) options: fn(ConnectorBuilder, &Authority) -> ConnectorBuilder,
    pub(crate) refusal: Refusal,
    /// What the error contains.
    pub(crate) words: &'static [&'static str],
}

impl Row {
    /// A server that shows a certificate.
    pub(crate) fn identity(
        name: &'static str,
        identity: impl Fn(&Authority) -> Identity + 'static,
        reason: UntrustedReason,
        words: &'static [&'static str],
    ) -> Self {
        let config = move |authority: &Authority| ServerTls::new(identity(authority)).config();
        Self::config(name, config, Refusal::Untrusted(reason), words)
    }

    /// A server that shows certificates from files.
    pub(crate) fn file(
        name: &'static str,
        server: &'static [u8],
        scheme: SignatureScheme,
        words: &'static [&'static str],
    ) -> Self {
        let config = move |_: &Authority| shows(vec![CertificateDer::from(server)], scheme);
        let row = Self::config(name, config, Refusal::Untrusted(UntrustedReason::Unacceptable), words);
        row.options(|builder, _| builder.add_roots([ROOT, SHORT_ROOT].map(CertificateDer::from)))
    }

    pub(crate) fn config(
        name: &'static str,
        config: impl Fn(&Authority) -> Arc<ServerConfig> + 'static,
        refusal: Refusal,
        words: &'static [&'static str],
    ) -> Self {
        let script = move |authority: &Authority, tls| script(config(authority), tls);
        Self {
            name,
            modes: BOTH,
            domain: DOMAIN,
            script: Box::new(script),
            options: |builder, _| builder,
            refusal,
            words,
        }
    }

    /// A server that takes these steps in place of the TLS handshake.
    pub(crate) fn steps(
        name: &'static str,
        steps: &[Step],
        refusal: Refusal,
        words: &'static [&'static str],
    ) -> Self {
        let steps = steps.to_vec();
        let script = move |authority: &Authority, tls| {
            let script = script(authority.server(&[DOMAIN]), tls).until(Stage::Tls);
            steps.iter().cloned().fold(script, Script::then).then(Step::Close)
        };
        let config = |authority: &Authority| authority.server(&[DOMAIN]);
        Self { script: Box::new(script), ..Self::config(name, config, refusal, words) }
    }

    pub(crate) fn options(self, options: fn(ConnectorBuilder, &Authority) -> ConnectorBuilder) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn domain(self, domain: &'static str) -> Self {
        Self { domain, ..self }
    }

    pub(crate) fn modes(self, modes: &'static [TlsMode]) -> Self {
        Self { modes, ..self }
    }
}

fn script(config: Arc<ServerConfig>, tls: TlsMode) -> Script {
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}
