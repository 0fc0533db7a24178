//! Where an attempt goes: an address of a host, or the host by its name. No IO.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::discovery::Candidate;

/// Where an attempt goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection is made to an address or to a name")]
pub enum Destination {
    /// An address, and a port.
    Address(SocketAddr),
    /// A name in A-labels, and a port. The proxy or the dial function looks up the name.
    Name(String, u16),
}

impl Destination {
    /// How the host of `candidate` is reached there.
    pub(crate) fn new(reach: Reach, candidate: &Candidate) -> Self {
        match reach {
            Reach::At(address) => Self::Address(SocketAddr::new(address, candidate.port())),
            Reach::ByName => Self::Name(candidate.host().to_string(), candidate.port()),
        }
    }

    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Address(address) => Reach::At(address.ip()),
            Self::Name(..) => Reach::ByName,
        }
    }

    /// Returns the address; `None` if the name is not looked up here.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(..) => None,
        }
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }
}

/// `192.0.2.1:5222`, `[2001:db8::1]:5222` or `xmpp.example.org:5222`.
impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Name(name, port) => write!(formatter, "{name}:{port}"),
        }
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// For comparisons with the address of a server. A name is equal to none.
impl PartialEq<SocketAddr> for Destination {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.address() == Some(*other)
    }
}

/// How a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// At this address.
    At(IpAddr),
    /// By its name, which is not looked up here.
    ByName,
}

impl Reach {
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::ByName => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_equal_to_itself_and_a_name_to_none() {
        let [one, other] = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 5222)));
        let destination = Destination::from(one);
        assert!(destination == one && destination != other);
        assert!(Destination::Name("192.0.2.1".to_owned(), 5222) != one);
    }
}
