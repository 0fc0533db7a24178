//! The negotiation of a tunnel, in the protocol that the proxy speaks. No IO.

use super::error::ProxyError;
use super::http::HttpConnect;
use super::socks5::Socks5;
use super::{Progress, Protocol, Proxy};
use crate::domain::Host;

/// The negotiation of one tunnel, on a new connection to the proxy.
#[derive(Debug)]
pub(super) enum Negotiation {
    Socks5(Socks5),
    Http(HttpConnect),
}

impl Negotiation {
    /// Asks `proxy` for a tunnel to `port` of `host`.
    pub(super) fn new(proxy: &Proxy, host: &Host, port: u16) -> Self {
        let credentials = proxy.credentials.as_ref();
        match proxy.protocol {
            Protocol::Socks5 => Self::Socks5(Socks5::new(credentials, host, port)),
            Protocol::Http => Self::Http(HttpConnect::new(credentials, host, port)),
        }
    }

    /// Returns the bytes to send now, each once. Call it at the start and after every [`Self::handle_bytes`].
    pub(super) fn output(&mut self) -> Vec<u8> {
        match self {
            Self::Socks5(negotiation) => negotiation.output(),
            Self::Http(negotiation) => negotiation.output(),
        }
    }

    /// Takes the bytes of the negotiation from the front of `bytes`, however TCP has cut them. After
    /// [`Progress::Complete`], what is left belongs to the tunnel; before, nothing is left.
    ///
    /// # Errors
    /// Why there is no tunnel. It is final.
    pub(super) fn handle_bytes(&mut self, bytes: &mut &[u8]) -> Result<Progress, ProxyError> {
        match self {
            Self::Socks5(negotiation) => negotiation.handle_bytes(bytes),
            Self::Http(negotiation) => negotiation.handle_bytes(bytes),
        }
    }

    /// Handles the end of the connection, and returns the resulting error.
    pub(super) fn handle_end(&self) -> ProxyError {
        match self {
            Self::Socks5(_) => ProxyError::Ended,
            Self::Http(negotiation) => negotiation.handle_end(),
        }
    }
}
