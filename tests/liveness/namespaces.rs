//! A server in another network namespace, at the other end of a link that can be cut.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connection, Connector, Target, TlsMode};

use super::given::DOMAIN;
pub(crate) use super::support::namespaces::NEAR_ADDRESS;
use super::support::namespaces::{self, FAR, FAR_ADDRESS, Far, NEAR, from_digits, ip, to_digits};
use super::support::{Authority, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

/// The near namespace, in which the test runs.
pub(crate) struct Near {
    far: Far,
    port: u16,
    root: CertificateDer<'static>,
}

/// Runs `scenario` in namespaces. `test` is the name of the test that calls this, with its modules.
pub(crate) fn inside(test: &str, scenario: impl FnOnce(&Near)) {
    namespaces::inside(test, |far| scenario(&Near::set_up(far)), serve);
}

/// A server that echoes.
fn serve() -> XmppServer {
    let authority = Authority::new();
    let script = Script::direct(ServerTls::new(authority.issue(&[DOMAIN])).config());
    let script = script.until(Stage::SecureHeader).then(Step::Echo);
    let server = XmppServer::start_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), vec![script]);
    println!("\nserver {} {}", server.port(), to_digits(&authority.root_der()));
    server
}

impl Near {
    fn set_up(mut far: Far) -> Self {
        let said = far.said("server");
        let (port, root) = said.split_once(' ').unwrap();
        far.link();
        Self { port: port.parse().unwrap(), root: CertificateDer::from(from_digits(root)), far }
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> Connection {
        let connector = Connector::builder().only_roots([self.root.clone()]).build().unwrap();
        let target = Target::new(&FAR_ADDRESS.to_string(), self.port, TlsMode::Direct).unwrap();
        let mut connection = connector.connect_to(DOMAIN, target).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    /// Cuts the link at the other end, or joins it again.
    pub(crate) fn set_far_link(&self, state: &str) {
        self.far.ip(&["link", "set", FAR, state]);
    }

    /// The same at this end.
    pub(crate) fn set_near_link(&self, state: &str) {
        ip(&["link", "set", NEAR, state]);
    }

    pub(crate) fn remove_near_address(&self) {
        ip(&["address", "delete", &format!("{NEAR_ADDRESS}/24"), "dev", NEAR]);
    }

    /// How many packets this namespace has sent.
    pub(crate) fn packets_sent(&self) -> u64 {
        let devices = fs::read_to_string("/proc/self/net/dev").unwrap();
        let line = devices.lines().find_map(|line| line.trim().strip_prefix("near:")).unwrap();
        line.split_whitespace().nth(9).unwrap().parse().unwrap()
    }
}
