//! The options of a connector about TLS: crypto provider, whom to trust, sessions, client certificate.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ConnectorBuilder;
use crate::domain::Domain;
use crate::plan::Plan;
#[cfg(any(feature = "native-certs", feature = "platform-verifier"))]
use crate::tls::SystemTrust;
use crate::tls::{
    CertificateCheck, ClientCertificate, DANE, Fingerprint, PinRole, Pinned, Pins, RevocationLists,
    ServerCertificate,
};

impl ConnectorBuilder {
    /// Sets whether direct TLS offers the ALPN protocol `xmpp-client` or `xmpp-server` (XEP-0368 section 2, rules 7 to
    /// 9). STARTTLS never does. The default is true.
    pub fn alpn(mut self, alpn: bool) -> Self {
        self.tls.alpn = alpn;
        self
    }

    /// Sets whether TLS sessions are resumed, which saves computation and, with TLS 1.2, a round trip (RFC 8446 section
    /// 2.2). The default is true.
    ///
    /// The server, and with TLS 1.2 any observer, can link connections that resume the same session (RFC 8446 section
    /// C.4): set it to false if that must not happen. Sessions are kept in the connector only, separately for each
    /// domain, server, port and [`TlsMode`](crate::TlsMode). Early data (0-RTT) is never sent.
    pub fn resumption(mut self, resumption: bool) -> Self {
        self.tls.resumption = resumption;
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
    /// reached over a protected network: whoever can forge its answers can forge the certificate. Through a
    /// [`proxy`](Self::proxy), `trust-ad` of resolv.conf does not count, and `trust_ad` trusts the proxy as well.
    ///
    /// - A record of usage 3 names the server's certificate or key. Neither names nor dates are checked, and the
    ///   issuer need not be trusted. A certificate that webpki cannot read is refused all the same, such as one of
    ///   X.509 version 1 or one with an unknown critical extension.
    /// - A record of usage 2 names the authority that has issued it, whether or not that is trusted otherwise. The
    ///   certificate is for the domain or for the server.
    /// - Records of usage 1 and 0 do the same, in addition to the usual verification. The authority for usage 0 is one
    ///   that the server has sent, one that stands in the record in full, or a trusted root by its public key; with
    ///   `platform_verifier`, the roots of the system are not known, and only those that are compiled in or given can be
    ///   named by their key.
    ///
    /// [`build`](Self::build) demands root certificates all the same, for servers without TLSA records.
    ///
    /// One record that matches is enough. Records that cannot be used are ignored; if there is no other, the certificate
    /// is verified as usual. A server whose TLSA records could not be looked up, although DNSSEC proves that it exists,
    /// is not connected to, and the next one is tried: the failure may be an attack. So is the domain itself, where the
    /// lookup of its SRV records has failed. Servers that you name ([`Target`](crate::Target)) have no TLSA records,
    /// unless it is the domain itself.
    ///
    /// Pins ([`require_pins`](Self::require_pins)) count as well: one of them must be of the server, or of an
    /// authority that it sends or that is a known root, and to which its certificate leads. So a pin of an authority
    /// that stands only in a record of usage 2, or that has issued an expired certificate that a record of usage 3
    /// names, matches nothing, and the server is refused. For a domain of
    /// [`trust_pins_alone`](Self::trust_pins_alone), nothing but its pins counts. Revocation lists do not apply to
    /// usages 2 and 3. SNI is always the domain (XEP-0368 section 2, rule 6).
    pub fn dane(mut self, dane: bool) -> Self {
        self.settings.dane = dane;
        self.tls.dane = dane.then_some(DANE);
        self.only_used.update_tlsa = if dane { Some(Plan::update_tlsa) } else { None };
        self
    }

    /// Adds root certificates (DER) to those that are trusted: those that are compiled in, and those of earlier calls.
    pub fn add_roots(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.tls.trust.given.extend(roots);
        self
    }

    /// Trusts these root certificates (DER) and those of [`add_roots`](Self::add_roots), but not those that are
    /// compiled in. Certificates of several calls add up, in any order. By default, the roots of feature `webpki-roots`
    /// are trusted.
    pub fn only_roots(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.tls.trust.only_given = true;
        self.add_roots(roots)
    }

    /// Sets whether SRV-IDs in certificates are accepted (RFC 4985): `_xmpp-client.example.org` or, for service
    /// [`Server`](crate::Service::Server), `_xmpp-server.example.org`, with direct TLS as with STARTTLS (RFC 6120 section
    /// 13.7.1.2.1). There are no wildcards in them. The default is false: the domain must be among the DNS names of the
    /// certificate.
    ///
    /// They are for private authorities, which issue certificates that are of use for XMPP alone: they count only if the
    /// chain leads to a root that was given with [`add_roots`](Self::add_roots) or [`only_roots`](Self::only_roots). They
    /// do not count if an authority in the chain has name constraints, since those on DNS names do not apply to them.
    pub fn srv_ids(mut self, accept: bool) -> Self {
        self.tls.other_names.srv_ids = accept;
        self
    }

    /// Sets whether an XmppAddr in a certificate is accepted (RFC 6120 section 13.7.1.4): the domain as in a JID, with
    /// U-labels, which requires feature `idna`, or A-labels. It identifies a server for every service; prefer
    /// [`srv_ids`](Self::srv_ids), to which all else there applies as well. The default is false.
    pub fn xmpp_addrs(mut self, accept: bool) -> Self {
        self.tls.other_names.xmpp_addrs = accept;
        self
    }

    /// Sets certificate revocation lists, which are then required: see [`RevocationLists`]. By default, revocation is
    /// not checked. Lists that cannot be used are an error of [`build`](Self::build).
    ///
    /// They are for private authorities, and for programs that fetch the lists of public ones. Connections without them
    /// are as most programs other than browsers make them: browsers get condensed lists from their vendors (CRLite,
    /// CRLSets), and OCSP is going away (Let's Encrypt ended it in August 2025), which is why stapled responses are not
    /// used here. What then bounds the harm of a stolen key is the life of a certificate. Public authorities issue them
    /// for 200 days at most since March 2026, and for 47 days from March 2029; those of Let's Encrypt's profile
    /// `shortlived` are valid for six days.
    pub fn revocation_lists(mut self, lists: RevocationLists) -> Self {
        self.tls.revocation = Some(lists);
        self
    }

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
    ///
    /// The system does not show its root certificates. So a root that the server does not send can be named by a pin
    /// ([`require_pins`](Self::require_pins)) or by the hash in a TLSA record of usage 0 ([`dane`](Self::dane)) only if
    /// it is compiled in or given; otherwise, the server is refused.
    #[cfg(feature = "platform-verifier")]
    pub fn platform_verifier(mut self) -> Self {
        self.tls.trust.system = SystemTrust::Verifier;
        self
    }

    /// Requires a pin for `domain`: in addition to the usual verification, the certificate or public key of the server
    /// or of an authority in its chain must have one of these hashes (RFC 7469 section 2.6). Hashes of several calls
    /// add up. By default, nothing is pinned.
    ///
    /// Of authorities whose certificate the server does not send, only the public key can be pinned, and only if they
    /// are roots that are compiled in, given, or read by `native_roots`: with `platform_verifier`, those of the system
    /// are not known. Pin a second key that is not in use yet, or an authority: when a server gets a new key, as with
    /// most renewals, and none of its pins matches, the connector refuses it
    /// ([`NotPinned`](crate::report::UntrustedReason::NotPinned)) until the program is changed.
    ///
    /// A pin applies to connects to this domain, whichever server its DNS names.
    pub fn require_pins(self, domain: Domain, pins: impl IntoIterator<Item = Fingerprint>) -> Self {
        self.pins(domain, PinRole::BesideAuthorities, pins)
    }

    /// Trusts a server of `domain` that has the certificate or public key with one of these hashes, and no other one.
    /// This is for a self-signed certificate of your own: neither are its names checked, nor its dates and issuer, nor
    /// its purpose (CA:TRUE is accepted) nor revocation, as in RFC 7671 section 5.1. The server must still prove, in
    /// each handshake, that it has the private key. A certificate that webpki cannot read is refused, such as one of
    /// X.509 version 1 or one with an unknown critical extension. Hashes of several calls add up. By default, nothing
    /// is trusted in this way.
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

    /// Sets the client certificate, which is sent to servers that ask for one, for SASL EXTERNAL (XEP-0178) and for
    /// server-to-server. `chain` is the client's own certificate and then its intermediate authorities (DER); `key` is
    /// the private key of the first. By default, there is none. One that cannot be used is an error of
    /// [`build`](Self::build).
    ///
    /// Connected does not mean that the server accepts the certificate: under TLS 1.3, the handshake ends on this side
    /// before the server has checked it. If the server refuses it, the first read fails with the server's alert; with
    /// [`open_stream`](Self::open_stream), the connect does. The server's stream features say whether it offers
    /// EXTERNAL.
    ///
    /// With TLS 1.2, the certificate is sent unencrypted, as that version of TLS has it. A resumed session has the
    /// certificate of its first handshake; no other connector resumes it.
    ///
    /// ```no_run
    /// use xmpp_connect::Connector;
    /// use xmpp_connect::rustls::pki_types::pem::PemObject;
    /// use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    ///
    /// let chain = CertificateDer::pem_file_iter("client.crt")?.collect::<Result<Vec<_>, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("client.key")?;
    /// let connector = Connector::builder().client_certificate(chain, key).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_certificate(
        mut self,
        chain: impl IntoIterator<Item = CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        let chain = chain.into_iter().collect();
        self.tls.client_certificate = Some(Arc::new(ClientCertificate { chain, key }));
        self
    }

    /// Sets the TLS configuration, for example to use another verifier. Its ALPN protocols and session store are
    /// replaced, SNI is turned on, and early data is turned off. The compiled-in root certificates are not added to
    /// it. By default, the connector creates one.
    ///
    /// You are then responsible for verification: anything that this configuration does not check is not checked.
    ///
    /// The connector keeps the TLS sessions in a store of its own, separately for each server. To turn them off, use
    /// `Resumption::disabled()` in the configuration, or [`resumption`](Self::resumption). The `Tls12Resumption` of the
    /// configuration applies.
    pub fn tls_config(mut self, config: ClientConfig) -> Self {
        self.tls.config = Some(config);
        self
    }

    fn pins(mut self, domain: Domain, role: PinRole, list: impl IntoIterator<Item = Fingerprint>) -> Self {
        let pins = Pins { domain, role, list: list.into_iter().collect() };
        self.tls.pins.get_or_insert_with(Pinned::new).add(pins);
        self
    }
}
