//! The TLS of a server in a test: a rustls configuration with the ring provider, which is never installed as the default.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::certificates::Identity;

/// What a server does in TLS. By default: TLS 1.2 and 1.3, no ALPN, sessions resume, no client certificates.
#[derive(Debug)]
pub(crate) struct ServerTls {
    identity: Identity,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    resumption: bool,
    clients: Arc<dyn ClientCertVerifier>,
}

impl ServerTls {
    /// A server that shows `identity`.
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            protocols: Vec::new(),
            versions: vec![&version::TLS13, &version::TLS12],
            resumption: true,
            clients: WebPkiClientVerifier::no_client_auth(),
        }
    }

    /// The ALPN protocols it selects from. A client that offers others only gets the alert `no_application_protocol`; one
    /// that offers none is accepted, see [`Step::SecureWithAlpn`](super::xmpp::Step::SecureWithAlpn).
    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// TLS 1.2 only.
    pub(crate) fn only_tls12(mut self) -> Self {
        self.versions = vec![&version::TLS12];
        self
    }

    /// TLS 1.3 only.
    pub(crate) fn only_tls13(mut self) -> Self {
        self.versions = vec![&version::TLS13];
        self
    }

    /// No tickets, no session identifiers: nothing resumes.
    pub(crate) fn without_resumption(mut self) -> Self {
        self.resumption = false;
        self
    }

    /// Asks for a client certificate that leads to `root`, and takes clients without one too.
    pub(crate) fn client_certificates(self, root: CertificateDer<'static>) -> Self {
        self.clients(root, true)
    }

    /// Refuses clients without a certificate that leads to `root`.
    pub(crate) fn require_client_certificate(self, root: CertificateDer<'static>) -> Self {
        self.clients(root, false)
    }

    fn clients(mut self, root: CertificateDer<'static>, optional: bool) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root can be read");
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        self.clients = builder.build().expect("there is a root");
        self
    }

    /// The configuration. Connections that shall resume each other's sessions share one.
    pub(crate) fn config(self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&self.versions).expect("ring knows these versions");
        let builder = builder.with_client_cert_verifier(self.clients);
        let mut config = builder
            .with_single_cert(self.identity.chain, self.identity.key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = self.protocols;
        if self.resumption {
            config.ticketer = ring::Ticketer::new().expect("ring makes random numbers");
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Arc::new(config)
    }
}

/// The cryptography of the bench's servers, and of clients that tests build by hand.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
