//! The options of a connector about which servers are trusted: crypto provider, pins, and the caller's check.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::ConnectorBuilder;
use crate::domain::Domain;
use crate::tls::{CertificateCheck, Fingerprint, PinRole, Pins, ServerCertificate, add_pins};

impl ConnectorBuilder {
    /// Sets the crypto provider. By default, it is the process default
    /// ([`CryptoProvider::install_default`](rustls::crypto::CryptoProvider::install_default)) if the program has
    /// installed one; else that of feature `ring`; else that of feature `aws-lc-rs`, which offers the post-quantum key
    /// exchange X25519MLKEM768 first. Without any, [`build`](Self::build) returns an error.
    ///
    /// The library itself never installs a process default.
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.tls.provider = Some(provider);
        self
    }

    /// Requires a pin for `domain`: in addition to the usual verification, the certificate or public key of the server
    /// or of an authority in its chain must have one of these hashes (RFC 7469 section 2.6). Hashes of several calls
    /// add up. By default, nothing is pinned.
    ///
    /// Of authorities whose certificate the server does not send, only the public key can be pinned. Pin a second key
    /// that is not in use yet, or an authority: when a server gets a new key, as with most renewals, and none of its
    /// pins matches, the connector refuses it ([`NotPinned`](crate::report::UntrustedReason::NotPinned)) until the
    /// program is changed.
    ///
    /// A pin applies to connects to this domain, whichever server its DNS names.
    pub fn require_pins(self, domain: Domain, pins: impl IntoIterator<Item = Fingerprint>) -> Self {
        self.pins(domain, PinRole::BesideAuthorities, pins)
    }

    /// Trusts a server of `domain` that has the certificate or public key with one of these hashes, and no other one.
    /// This is for a self-signed certificate of your own: nothing else about it is checked, neither its names, dates and
    /// issuer, nor its purpose (CA:TRUE is accepted) nor revocation, as in RFC 7671 section 5.1. The server must still
    /// prove, in each handshake, that it has the private key. Hashes of several calls add up. By default, nothing is
    /// trusted in this way.
    ///
    /// Take the hash from the server itself, for example with `openssl x509 -pubkey -noout -in CERTIFICATE | openssl
    /// pkey -pubin -outform DER | openssl sha256`, and not from a connection that somebody may have intercepted. Other
    /// domains are verified as usual; if no root certificates are compiled in or given, their servers are not trusted.
    ///
    /// ```
    /// use xmpp_connect::{Connector, Domain};
    ///
    /// let pin = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?;
    /// let connector = Connector::builder().trust_pins_alone(Domain::new("home.example")?, [pin]).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trust_pins_alone(self, domain: Domain, pins: impl IntoIterator<Item = Fingerprint>) -> Self {
        self.pins(domain, PinRole::InsteadOfAuthorities, pins)
    }

    /// Sets a function that sees each server's certificate when it is verified, before anything is sent over TLS, and
    /// may refuse it with a reason. By default, there is none.
    ///
    /// A refusal is a failed attempt ([`Rejected`](crate::report::UntrustedReason::Rejected)), and the next server is
    /// tried. The function is called in the thread of the connect, also when a session is resumed, and should return at
    /// once; a panic in it reaches the caller of the connect. It takes nothing away from the verification. If a given
    /// `ClientConfig` accepts a server without a certificate, that server is refused.
    ///
    /// [`CertificateRecord`](crate::CertificateRecord) shows how to notice changes.
    pub fn check_certificate(
        mut self,
        check: impl Fn(&Domain, &ServerCertificate) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.tls.check = Some(CertificateCheck::new(check));
        self
    }

    fn pins(mut self, domain: Domain, role: PinRole, list: impl IntoIterator<Item = Fingerprint>) -> Self {
        add_pins(&mut self.tls.pins, Pins { domain, role, list: list.into_iter().collect() });
        self
    }
}
