//! Accepts SRV-IDs and XmppAddrs in certificates of private authorities (RFC 6120 section 13.7.1.2). No IO.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error};

use super::certificate::{Certificate, Fields, MAX_NAMES};
use super::identity::{Wanted, by_other_name};
use super::other_names::{Accepted, other_names};
use crate::service::Service;

/// Decides about certificates whose chain is good, but which have no DNS name of the domain.
#[derive(Debug)]
pub(super) struct PrivateNames {
    /// Trusts only the roots that the caller has given: a public authority must not issue names of these kinds, so it
    /// has not checked one that is there (CA/Browser Forum, Baseline Requirements, section 7.1.2.7.12).
    ///
    /// `None`: no others are trusted at all, so the chain is verified already.
    webpki: Option<Arc<dyn ServerCertVerifier>>,
    /// The roots that the caller has given.
    anchors: Vec<TrustAnchor<'static>>,
    accepted: Accepted,
    service: Service,
}

/// Why a name of these kinds does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncounted {
    /// The caller does not accept any.
    Off,
    /// The chain does not lead to a root that the caller has given.
    Public,
    /// An authority in the chain has name constraints.
    Constrained,
    /// None of them is the domain's.
    Other,
}

impl PrivateNames {
    pub(super) fn new(
        webpki: Option<Arc<dyn ServerCertVerifier>>,
        anchors: Vec<TrustAnchor<'static>>,
        accepted: Accepted,
        service: Service,
    ) -> Self {
        Self { webpki, anchors, accepted, service }
    }

    /// What a certificate may name.
    pub(super) fn wanted(&self, name: ServerName<'static>) -> Wanted {
        Wanted { name, service: self.service.clone(), accepted: self.accepted }
    }

    /// Looks for a name that is the domain's, in a chain that has been refused for its name only.
    ///
    /// # Errors
    /// Why none counts.
    pub(super) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[Intermediate<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Uncounted> {
        if let Some(webpki) = &self.webpki {
            let sent: Vec<_> =
                intermediates.iter().map(|intermediate| intermediate.certificate.clone()).collect();
            let verified = webpki.verify_server_cert(end_entity, &sent, server_name, &[], now);
            if !verified.is_err_and(|error| is_wrong_name(&error)) {
                return Err(Uncounted::Public);
            }
        }
        if self.may_be_constrained(end_entity, intermediates) {
            return Err(Uncounted::Constrained);
        }
        // Not a DNS name that webpki has not found.
        by_other_name(&self.wanted(server_name.to_owned()), end_entity).map(drop).ok_or(Uncounted::Other)
    }

    /// Whether an authority that may be in the chain has name constraints.
    ///
    /// webpki does not apply constraints on DNS names to names of these kinds, and RFC 4985 section 4 has others for
    /// SRV-IDs. But an authority that may issue certificates for `example.org` only was hardly meant to issue an SRV-ID
    /// of another domain. So neither kind counts below such an authority.
    fn may_be_constrained(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[Intermediate<'_>],
    ) -> bool {
        let sent = intermediates.iter().map(|intermediate| &intermediate.certificate).chain([end_entity]);
        let issuers: Vec<_> =
            sent.map(|certificate| Fields::read(certificate).map(|fields| fields.issuer)).collect();
        let is_used = |anchor: &&TrustAnchor<'_>| {
            // One whose issuer cannot be read may be issued by any of them.
            issuers.iter().any(|issuer| issuer.is_none_or(|issuer| issuer == anchor.subject.as_ref()))
        };
        let anchors = self.anchors.iter().filter(is_used);
        let sent = intermediates.iter().map(|intermediate| &intermediate.anchor);
        anchors.chain(sent).any(|anchor| anchor.name_constraints.is_some())
    }
}

/// An intermediate certificate, and what it says as an authority.
#[derive(Debug)]
pub(super) struct Intermediate<'a> {
    pub(super) certificate: CertificateDer<'a>,
    pub(super) anchor: TrustAnchor<'static>,
}

/// Whether a verification has failed for the name: webpki verifies the chain, its revocation included, before that.
pub(super) fn is_wrong_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

/// Says for which names a certificate is, if it has names of these kinds.
pub(super) fn explain(
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    why: Uncounted,
) -> Option<String> {
    let others = other_names(end_entity).ok().filter(|names| !names.is_empty())?;
    let mut names = Certificate::read(end_entity)?.names;
    names.truncate(MAX_NAMES);
    names.extend(others.iter().take(MAX_NAMES).map(ToString::to_string));
    if others.len() > MAX_NAMES {
        names.push("…".to_owned());
    }
    let why = match why {
        Uncounted::Off => {
            "; SRV-IDs and XmppAddrs are not accepted here (options `srv_ids` and `xmpp_addrs`)"
        }
        Uncounted::Public => {
            "; SRV-IDs and XmppAddrs are accepted only from authorities that this program was given"
        }
        Uncounted::Constrained => {
            "; SRV-IDs and XmppAddrs are not accepted, since an authority in the chain has name constraints"
        }
        Uncounted::Other => "",
    };
    let names = names.join(", ");
    Some(format!("the certificate is not for {}; it is for {names}{why}", server_name.to_str()))
}

#[cfg(test)]
mod tests;
