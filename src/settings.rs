//! Settings: what a connector was built with and every part of a connect goes by. No IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dial::address_order::AddressFamily;
use crate::discovery::Policy;
use crate::limits::Limits;
use crate::service::Service;

/// What a connector was built with, but for TLS and the source of DNS answers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) family: AddressFamily,
    pub(crate) limits: Limits,
    /// Whether the stream header and `<starttls/>` leave in one write.
    pub(crate) pipelining: bool,
    pub(crate) socket: SocketOptions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: Service::Client,
            policy: Policy::default(),
            family: AddressFamily::default(),
            limits: Limits::default(),
            pipelining: true,
            socket: SocketOptions::default(),
        }
    }
}

/// The options of sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    /// After how long an idle connection is probed (TCP keep-alive); `None`: never.
    pub(crate) keep_alive: Option<Duration>,
    /// The local address, whose family is then the only one used.
    pub(crate) source: Option<IpAddr>,
    /// The local network interface.
    pub(crate) interface: Option<String>,
}

impl SocketOptions {
    /// Those that hold for a socket to the name server at `server`: "of their family" (spec D14). A name server on this
    /// machine is behind no interface and at no address of a network.
    pub(crate) fn for_name_server(&self, server: SocketAddr) -> Self {
        let is_local = server.ip().is_loopback();
        let has_family = |source: &IpAddr| source.is_ipv4() == server.is_ipv4();
        let source = self.source.filter(has_family).filter(|source| !is_local || source.is_loopback());
        let interface = self.interface.clone().filter(|_| !is_local);
        Self { keep_alive: None, source, interface }
    }
}
