//! TLS: the client configurations of a connector, for direct TLS and STARTTLS.

use std::fmt;
use std::sync::Arc;

use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Error, InconsistentKeys};

use crate::domain::{Domain, Host};
use crate::service::{Service, TlsMode};

mod alert;
mod algorithm;
mod certificate;
mod channel_binding;
mod dane;
mod date;
mod der;
mod explain;
mod extensions;
mod facts;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod identity;
mod other_names;
mod pem;
mod pins;
mod private_names;
mod provider;
mod refusal;
mod revocation;
mod roots;
mod server_certificate;
mod sessions;
mod verifier;
mod watch;

pub(crate) use channel_binding::Binder;
pub use channel_binding::ChannelBinding;
pub use dane::TlsaRecord;
pub(crate) use dane::{DANE, Dane, owner, usable};
pub(crate) use facts::Agreed;
pub use facts::{CipherSuite, ProtocolVersion};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use identity::MatchedName;
pub use refusal::UntrustedReason;
pub use revocation::RevocationLists;
pub use server_certificate::ServerCertificate;
pub use watch::{CertificateChange, CertificateRecord, InvalidRecord};

pub(crate) use explain::{Explained, explain};
pub(crate) use other_names::Accepted;
pub(crate) use pem::certificates;
pub(crate) use pins::{PinRole, Pinned, Pins};
pub(crate) use provider::choose as choose_provider;
pub(crate) use roots::{SystemTrust, Trust};
pub(crate) use sessions::{Endpoint, Session};
pub(crate) use verifier::Evidence;
pub(crate) use watch::CertificateCheck;

use channel_binding::Ems;
use dane::{Daned, Shown};
use identity::Wanted;
use pins::Usual;
use sessions::Sessions;

/// What a client shows to a server that asks for a certificate. `Debug` does not show the key.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// The client's own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The options of TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    /// `None`: the process default, or the one that is compiled in.
    pub(crate) provider: Option<Arc<CryptoProvider>>,
    pub(crate) trust: Trust,
    /// `None`: nothing is pinned.
    pub(crate) pins: Option<Pinned>,
    pub(crate) check: Option<CertificateCheck>,
    /// `None`: revocation is not checked.
    pub(crate) revocation: Option<RevocationLists>,
    /// Names beside DNS names.
    pub(crate) other_names: Accepted,
    /// Shared, since keys cannot be cloned.
    pub(crate) client_certificate: Option<Arc<ClientCertificate>>,
    /// `None`: TLSA records do not count.
    pub(crate) dane: Option<Dane>,
    pub(crate) alpn: bool,
    pub(crate) resumption: bool,
    /// The caller's own configuration, which replaces trust, client certificate, provider and versions.
    pub(crate) config: Option<ClientConfig>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            provider: None,
            trust: Trust::default(),
            pins: None,
            check: None,
            revocation: None,
            other_names: Accepted::default(),
            client_certificate: None,
            dane: None,
            alpn: true,
            resumption: true,
            config: None,
        }
    }
}

/// Why a TLS configuration cannot be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSetupError {
    NoProvider,
    NoRoots,
    BadRoot(String),
    #[cfg(any(feature = "native-certs", feature = "platform-verifier"))]
    System(String),
    BadPins(String),
    BadRevocationList(String),
    BadClientCertificate(String),
    Rustls(String),
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProvider => formatter.write_str(
                "no crypto provider: enable feature `ring` or `aws-lc-rs`, or give one with crypto_provider",
            ),
            Self::NoRoots => formatter.write_str(
                "no root certificates: enable feature `webpki-roots`, or give some with add_roots or only_roots",
            ),
            Self::BadRoot(why) => write!(formatter, "a root certificate cannot be used: {why}"),
            #[cfg(any(feature = "native-certs", feature = "platform-verifier"))]
            Self::System(why) => {
                write!(formatter, "the root certificates of this system cannot be used: {why}")
            }
            Self::BadPins(why) => formatter.write_str(why),
            Self::BadRevocationList(why) => write!(formatter, "the revocation lists cannot be used: {why}"),
            Self::BadClientCertificate(why) => write!(formatter, "the client certificate cannot be used: {why}"),
            Self::Rustls(why) => write!(formatter, "the TLS configuration cannot be used: {why}"),
        }
    }
}

/// The configurations of a connector, cloned from one so that they verify in the same way, and its sessions.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    direct: Arc<ClientConfig>,
    starttls: Arc<ClientConfig>,
    /// `None`: sessions are not resumed.
    sessions: Option<Arc<Sessions>>,
    tls12: Tls12Resumption,
    /// `None`: TLSA records do not count.
    daned: Option<Arc<Daned>>,
    check: Option<CertificateCheck>,
    /// What a certificate may name beside the domain.
    other_names: Accepted,
    service: Service,
}

/// A handshake that is about to start.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) client: ClientConnection,
    /// The store of its sessions; `None` if sessions are not resumed.
    pub(crate) session: Option<Arc<Session>>,
}

/// Whether a handshake may resume a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It offers one if the connector has one.
    Offer,
    /// It is a full handshake; its session is kept.
    Never,
}

impl Tls {
    /// # Errors
    /// If there is no provider or no root certificate, or if a certificate or key cannot be used.
    pub(crate) fn new(options: &TlsOptions, service: &Service) -> Result<Self, TlsSetupError> {
        let (mut starttls, usual) = match &options.config {
            Some(config) => (config.clone(), None),
            None => {
                let (config, usual) = verifying_config(options, service)?;
                (config, Some(usual))
            }
        };
        let daned = usual
            .zip(options.dane)
            .map(|(usual, dane)| Arc::new(Daned::new(dane, usual, roots::roots(&options.trust), service)));
        let sessions = (options.resumption && !is_disabled(&starttls.resumption)).then(Arc::default);
        let tls12 = tls12_resumption(&starttls.resumption);
        // Each handshake gets the store of its server. The store of a caller's configuration is not used.
        starttls.resumption = Resumption::disabled();
        // XEP-0368 section 2, rules 7 to 9: ALPN is for direct TLS only.
        starttls.alpn_protocols = Vec::new();
        // XEP-0368 section 2, rule 6.
        starttls.enable_sni = true;
        // 0-RTT data can be replayed, and nothing may be sent before the server is verified.
        starttls.enable_early_data = false;
        let mut direct = starttls.clone();
        if options.alpn {
            direct.alpn_protocols = vec![service.alpn().as_bytes().to_vec()];
        }
        Ok(Self {
            direct: Arc::new(direct),
            starttls: Arc::new(starttls),
            sessions,
            tls12,
            daned,
            check: options.check.clone(),
            other_names: options.other_names,
            service: service.clone(),
        })
    }

    /// Creates a TLS client that uses `domain` for SNI and the certificate check, never the host of `endpoint`, which
    /// only selects the sessions that can be resumed. With TLSA records, they say which certificates it accepts.
    ///
    /// # Errors
    /// Errors of rustls about its configuration.
    pub(crate) fn client(
        &self,
        domain: &Domain,
        endpoint: Endpoint,
        tlsa: &[TlsaRecord],
        resume: Resume,
    ) -> Result<Handshake, Error> {
        let config = match endpoint.tls {
            TlsMode::Direct => &self.direct,
            TlsMode::StartTls => &self.starttls,
        };
        let config = &self.with_tlsa(config, &endpoint, tlsa);
        let Some(sessions) = &self.sessions else {
            let client = ClientConnection::new(Arc::clone(config), server_name(domain)?)?;
            return Ok(Handshake { client, session: None });
        };
        let session = sessions.of(domain, endpoint, resume);
        let mut config = ClientConfig::clone(config);
        config.resumption = Resumption::store(Arc::<Session>::clone(&session)).tls12_resumption(self.tls12);
        let client = ClientConnection::new(Arc::new(config), server_name(domain)?)?;
        Ok(Handshake { client, session: Some(session) })
    }

    /// The configuration that accepts the certificates that `tlsa` names, if there are any such records.
    fn with_tlsa(
        &self,
        config: &Arc<ClientConfig>,
        endpoint: &Endpoint,
        tlsa: &[TlsaRecord],
    ) -> Arc<ClientConfig> {
        let Some(daned) = self.daned.as_ref().filter(|_| !tlsa.is_empty()) else {
            return Arc::clone(config);
        };
        let mut config = ClientConfig::clone(config);
        // "Dangerous" because a verifier could accept anything; this one accepts what the records name.
        config.dangerous().set_certificate_verifier(daned.verifier(endpoint, tlsa));
        Arc::new(config)
    }

    /// Returns what computes the channel bindings of its connections.
    pub(crate) fn binder(&self) -> Binder {
        Binder { provider: Arc::clone(self.provider()), ems: ems(&self.direct) }
    }

    /// The certificate of a complete handshake with a server of `domain` at `endpoint` that has these TLSA records.
    pub(crate) fn certificate(
        &self,
        client: &ClientConnection,
        domain: &Domain,
        endpoint: &Endpoint,
        tlsa: &[TlsaRecord],
    ) -> Option<ServerCertificate> {
        let name = server_name(domain).ok()?;
        let tlsa = self.matched(client, &name, endpoint, tlsa);
        let wanted = Wanted { name, service: self.service.clone(), accepted: self.other_names };
        ServerCertificate::of(client, wanted, tlsa, self.provider())
    }

    /// The TLSA record by which the certificate of a complete handshake was verified.
    fn matched(
        &self,
        client: &ClientConnection,
        domain: &ServerName<'_>,
        endpoint: &Endpoint,
        tlsa: &[TlsaRecord],
    ) -> Option<TlsaRecord> {
        let daned = self.daned.as_ref()?;
        let (chain, now) = (client.peer_certificates()?, self.direct.time_provider.current_time()?);
        daned.matched(endpoint, tlsa, Shown { chain, domain, now })
    }

    /// Calls the caller's check with the certificate of a complete handshake.
    ///
    /// # Errors
    /// The reason to refuse the certificate.
    pub(crate) fn check(
        &self,
        domain: &Domain,
        certificate: Option<&ServerCertificate>,
    ) -> Result<(), String> {
        match (&self.check, certificate) {
            (Some(check), Some(certificate)) => check.call(domain, certificate),
            (Some(_), None) => Err("the server has shown no certificate".to_owned()),
            (None, _) => Ok(()),
        }
    }

    /// The provider, for its random numbers and hash functions.
    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.direct.crypto_provider()
    }
}

#[cfg(feature = "tls12")]
fn ems(config: &ClientConfig) -> Ems {
    if config.require_ems { Ems::Required } else { Ems::Optional }
}

/// TLS 1.2 is not spoken.
#[cfg(not(feature = "tls12"))]
fn ems(_: &ClientConfig) -> Ems {
    Ems::Optional
}

/// Whether a caller's configuration turns resumption off. rustls shows this only in `Debug`, which has the kind of
/// store.
fn is_disabled(resumption: &Resumption) -> bool {
    let without_tls12 = resumption.clone().tls12_resumption(Tls12Resumption::Disabled);
    format!("{without_tls12:?}") == format!("{:?}", Resumption::disabled())
}

/// How a caller's configuration resumes sessions of TLS 1.2. rustls shows this, too, only in `Debug`.
fn tls12_resumption(resumption: &Resumption) -> Tls12Resumption {
    let is = |tls12: &Tls12Resumption| {
        format!("{resumption:?}") == format!("{:?}", resumption.clone().tls12_resumption(*tls12))
    };
    let possible = [Tls12Resumption::SessionIdOrTickets, Tls12Resumption::SessionIdOnly];
    possible.into_iter().find(is).unwrap_or(Tls12Resumption::Disabled)
}

/// The name for SNI and the certificate check. For an address, rustls sends no SNI (RFC 6066 section 3).
fn server_name(domain: &Domain) -> Result<ServerName<'static>, Error> {
    match domain.host() {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|error| Error::General(error.to_string()))
        }
    }
}

/// Creates a configuration with webpki's verification. It does not use `ClientConfig::builder()`, which panics if two
/// providers are compiled in.
pub(crate) fn verifying_config(
    options: &TlsOptions,
    service: &Service,
) -> Result<(ClientConfig, Usual), TlsSetupError> {
    let provider = choose_provider(options.provider.as_ref()).ok_or(TlsSetupError::NoProvider)?;
    let usual = pins::usual(options, service, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsSetupError::Rustls(error.to_string()))?;
    // "Dangerous" because a verifier could accept anything; this one accepts nothing that webpki's refuses.
    let verifier = usual.verifier();
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some(ClientCertificate { chain, key }) = options.client_certificate.as_deref() else {
        return Ok((builder.with_no_client_auth(), usual));
    };
    if chain.is_empty() {
        return Err(TlsSetupError::BadClientCertificate("there is only a key".to_owned()));
    }
    builder
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map(|config| (config, usual))
        .map_err(|error| TlsSetupError::BadClientCertificate(no_client_certificate(&error)))
}

/// Why a client certificate and its key cannot be used.
fn no_client_certificate(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key does not belong to the first certificate".to_owned()
        }
        // What rustls says of every key that it cannot load.
        Error::General(_) => {
            "the key is damaged, encrypted, or of a kind that is not supported (by ring: RSA with 2048 to 4096 bits, P-256, \
             P-384, Ed25519)"
                .to_owned()
        }
        error => explain(error, &Evidence::NONE),
    }
}

#[cfg(test)]
mod tests;
