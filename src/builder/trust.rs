//! The options of a connector about which servers are trusted: crypto provider, TLSA records, pins, and the caller's check.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::ConnectorBuilder;
use crate::domain::Domain;
#[cfg(any(feature = "native-certs", feature = "platform-verifier"))]
use crate::tls::SystemTrust;
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

    /// Adds the root certificates of the operating system to those that are trusted; behind feature `native-certs`. To
    /// trust them but not those that are compiled in, also call `only_roots([])`. By default, they are not used.
    ///
    /// [`build`](Self::build) reads them: from the system's store, or on any system from the PEM file and the
    /// directories that the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Those that cannot be used are
    /// left out, with a warning in the log. If there are none, it returns an error.
    #[cfg(feature = "native-certs")]
    pub fn native_roots(mut self) -> Self {
        if self.tls.trust.system == SystemTrust::Nothing {
            self.tls.trust.system = SystemTrust::Roots;
        }
        self
    }

    /// Lets the operating system verify certificates, with its root certificates and those of
    /// [`add_roots`](Self::add_roots), and as its administrator has configured it; behind feature `platform-verifier`.
    /// The roots that are compiled in are not used. By default, webpki verifies.
    ///
    /// The system decides on Windows, macOS, iOS and Android, by its own rules on algorithms, dates and revocation. On
    /// other systems, it is webpki with the system's root certificates, which [`build`](Self::build) reads. Everything
    /// that the connector checks itself is checked in addition. The system may block for some time when it downloads
    /// intermediate certificates or revocation data, during which the time limits of the connect have no effect.
    #[cfg(feature = "platform-verifier")]
    pub fn platform_verifier(mut self) -> Self {
        self.tls.trust.system = SystemTrust::Verifier;
        self
    }

    /// Sets whether TLSA records decide which certificates are accepted (DANE, RFC 6698, RFC 7671, RFC 7673). The default
    /// is false.
    ///
    /// TLSA records count if DNSSEC proves them, the SRV record that has named the server, and its addresses; otherwise
    /// the certificate is verified as usual, and a note in the [report](crate::report::Report) says why. Whoever answers
    /// the queries says what DNSSEC proves: a name server that is trusted ([`trust_ad`](Self::trust_ad), or `trust-ad`
    /// in resolv.conf), or a resolver ([`Answer::with_authenticated`](crate::dns::Answer::with_authenticated),
    /// `HickoryResolver` with feature `hickory-dnssec`). Trust only a name server on this machine, or one that is
    /// reached over a protected network: whoever can forge its answers can forge the certificate.
    ///
    /// - A record of usage 3 names the server's certificate or key. Nothing else is checked: neither names nor dates,
    ///   and no root certificate is needed.
    /// - A record of usage 2 names the authority that has issued it, whether or not that is trusted otherwise. The
    ///   certificate is for the domain or for the server.
    /// - Records of usage 1 and 0 do the same, in addition to the usual verification. The authority for usage 0 is one
    ///   that the server has sent, or a trusted root by its public key.
    ///
    /// One record that matches is enough. Records that cannot be used are ignored; if there is no other, the certificate
    /// is verified as usual. A server whose TLSA records could not be looked up, although DNSSEC proves that it exists,
    /// is not connected to, and the next one is tried: the failure may be an attack. So is the domain itself, where the
    /// lookup of its SRV records has failed. Servers that you name ([`Target`](crate::Target)) have no TLSA records,
    /// unless it is the domain itself.
    ///
    /// Pins ([`require_pins`](Self::require_pins)) count as well, and for a domain of
    /// [`trust_pins_alone`](Self::trust_pins_alone) nothing else does. Revocation lists do not apply to usages 2 and 3.
    /// SNI is always the domain (XEP-0368 section 2, rule 6).
    pub fn dane(mut self, dane: bool) -> Self {
        (self.settings.dane, self.tls.dane) = (dane, dane);
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
