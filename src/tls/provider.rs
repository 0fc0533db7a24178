//! Which crypto provider a connector uses.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The given one, else the process default, else ring, else aws-lc-rs. None is ever installed as the process default,
/// which is for the program to choose.
pub(crate) fn choose(given: Option<&Arc<CryptoProvider>>) -> Option<Arc<CryptoProvider>> {
    given.cloned().or_else(|| CryptoProvider::get_default().cloned()).or_else(compiled_in)
}

#[cfg_attr(
    any(feature = "ring", feature = "aws-lc-rs"),
    expect(clippy::unnecessary_wraps, reason = "without a provider feature there is none")
)]
fn compiled_in() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "ring")]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    None
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    fn groups(provider: &CryptoProvider) -> Vec<NamedGroup> {
        provider.kx_groups.iter().map(|group| group.name()).collect()
    }

    // rule E5b
    #[test]
    fn a_given_provider_comes_before_all_others() {
        let mut given = rustls::crypto::ring::default_provider();
        given.kx_groups.truncate(1);
        let given = Arc::new(given);
        assert!(Arc::ptr_eq(&choose(Some(&given)).unwrap(), &given));
    }

    // rule E5b
    #[test]
    #[cfg(feature = "ring")]
    fn ring_is_used_if_it_is_compiled_in() {
        assert_eq!(
            groups(&choose(None).unwrap()),
            [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1]
        );
    }

    // rule E5b
    #[test]
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    fn aws_lc_rs_alone_offers_the_post_quantum_exchange_first() {
        assert_eq!(groups(&choose(None).unwrap()).first(), Some(&NamedGroup::X25519MLKEM768));
    }

    // rule E5b
    #[test]
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    fn without_a_provider_the_error_names_the_features() {
        use super::super::{TlsOptions, TlsSetupError, verifying_config};
        use crate::service::Service;

        assert!(choose(None).is_none());
        let error = verifying_config(&TlsOptions::default(), &Service::Client).unwrap_err();
        assert_eq!(error, TlsSetupError::NoProvider);
        assert!(error.to_string().contains("enable feature `ring` or `aws-lc-rs`"), "{error}");
    }
}
