//! The negotiated parameters of TLS, with the numbers and names of the IANA registry.

use std::fmt;

use rustls::ClientConnection;

/// The negotiated parameters of a handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) version: ProtocolVersion,
    pub(crate) suite: CipherSuite,
}

impl Agreed {
    /// Returns the parameters of a complete handshake.
    ///
    /// # Errors
    /// The handshake is not complete.
    pub(crate) fn of(client: &ClientConnection) -> Result<Self, rustls::Error> {
        match (client.protocol_version(), client.negotiated_cipher_suite()) {
            (Some(version), Some(suite)) => {
                Ok(Self { version: ProtocolVersion(version), suite: CipherSuite(suite.suite()) })
            }
            (None, _) | (_, None) => Err(rustls::Error::HandshakeNotComplete),
        }
    }
}

/// A TLS version. `Display` is its name, such as `TLS 1.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolVersion(rustls::ProtocolVersion);

impl ProtocolVersion {
    /// Returns the number of the version: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3 (RFC 8446 section 4.2.1).
    #[must_use]
    pub fn number(self) -> u16 {
        self.0.into()
    }
}

/// `TLS 1.3`.
impl fmt::Display for ProtocolVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rustls::ProtocolVersion::TLSv1_3 => formatter.write_str("TLS 1.3"),
            rustls::ProtocolVersion::TLSv1_2 => formatter.write_str("TLS 1.2"),
            other => write!(formatter, "{:#06x}", u16::from(other)),
        }
    }
}

/// A TLS cipher suite. `Display` is its name in IANA's registry "TLS Cipher Suites", such as `TLS_AES_128_GCM_SHA256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite(rustls::CipherSuite);

impl CipherSuite {
    /// Returns the number in IANA's registry "TLS Cipher Suites".
    #[must_use]
    pub fn number(self) -> u16 {
        self.0.into()
    }
}

/// The name in IANA's registry: `TLS_AES_128_GCM_SHA256`.
impl fmt::Display for CipherSuite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            // rustls has its own prefix for the suites of TLS 1.3.
            Some(name) => formatter.write_str(&name.replacen("TLS13_", "TLS_", 1)),
            None => write!(formatter, "{:#06x}", self.number()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule G5
    #[test]
    fn versions_and_suites_have_the_names_and_numbers_of_the_registry() {
        let version = ProtocolVersion(rustls::ProtocolVersion::TLSv1_3);
        assert_eq!((version.to_string().as_str(), version.number()), ("TLS 1.3", 0x0304));
        let suite = CipherSuite(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!((suite.to_string().as_str(), suite.number()), ("TLS_AES_128_GCM_SHA256", 0x1301));
        let suite = CipherSuite(rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
        assert_eq!(suite.to_string(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    }
}
