//! Two network namespaces with a link between them: the test runs in one, and a server in the other.
//!
//! A test runs itself again, by name, in each namespace; a variable in the environment says where it is. A user
//! namespace around them gives it the rights that it needs, without any on the machine.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: what cannot be set up fails its test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connection, Connector, Target, TlsMode};

use super::given::DOMAIN;
use super::support::{Authority, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

/// In the environment: where this process is.
const PLACE: &str = "XMPP_CONNECT_TEST_PLACE";
/// The two ends of the link, and their addresses.
const NEAR: &str = "near";
const FAR: &str = "far";
pub(crate) const NEAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The near namespace, in which the test runs.
pub(crate) struct Near {
    server: Child,
    /// Kept open, since the server may print more.
    _server_says: Lines<BufReader<ChildStdout>>,
    port: u16,
    root: CertificateDer<'static>,
}

/// Runs `scenario` in namespaces. `test` is the name of the test that calls this, with its modules.
pub(crate) fn inside(test: &str, scenario: impl FnOnce(&Near)) {
    match std::env::var(PLACE).as_deref() {
        Ok(NEAR) => scenario(&Near::set_up(test)),
        Ok(FAR) => serve(),
        Ok(_) | Err(_) => {
            let mut again = again(test, &["--user", "--map-root-user", "--net"], NEAR);
            let output = again.output().unwrap_or_else(|error| panic!("no command unshare: {error}"));
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            println!("{said}");
            assert!(
                output.status.success() && said.contains("1 passed"),
                "the test has failed in its namespaces, or this user may not create them"
            );
        }
    }
}

/// This test again, in new namespaces.
fn again(test: &str, namespaces: &[&str], place: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(namespaces).arg("--").arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(PLACE, place);
    command
}

/// The far namespace: a server that echoes. It ends with the process that has started this one.
fn serve() {
    // The bench needs it to end its threads.
    ip(&["link", "set", "lo", "up"]);
    let authority = Authority::new();
    let script = Script::direct(ServerTls::new(authority.issue(&[DOMAIN])).config());
    let script = script.until(Stage::SecureHeader).then(Step::Echo);
    let server = XmppServer::start_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), vec![script]);
    let root = authority.root_der().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    println!("\nserver {} {root}", server.port());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

impl Near {
    fn set_up(test: &str) -> Self {
        let mut server =
            again(test, &["--net"], FAR).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| Some(line.unwrap().strip_prefix("server ")?.to_owned()));
        let (port, root) =
            said.as_deref().and_then(|said| said.split_once(' ')).expect("the server has ended");
        let root = root.as_bytes().chunks(2).map(|digits| std::str::from_utf8(digits).unwrap());
        let root = root.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect::<Vec<_>>();
        let (port, root) = (port.parse().unwrap(), CertificateDer::from(root));
        let near = Self { server, _server_says: lines, port, root };

        let far_namespace = near.server.id().to_string();
        let (hardware, far_hardware) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        let link = ["link", "add", NEAR, "address", hardware, "type", "veth"];
        let peer = ["peer", "name", FAR, "address", far_hardware, "netns", &far_namespace];
        ip(&[&link[..], &peer].concat());
        let (near_address, far_address) = (NEAR_ADDRESS.to_string(), FAR_ADDRESS.to_string());
        near.start_link(NEAR, &near_address, &far_address, far_hardware, |_, arguments| ip(arguments));
        near.start_link(FAR, &far_address, &near_address, hardware, Self::ip_far);
        near
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> Connection {
        let connector = Connector::builder().only_roots([self.root.clone()]).build().unwrap();
        let target = Target::new(&FAR_ADDRESS.to_string(), self.port, TlsMode::Direct).unwrap();
        let mut connection = connector.connect_to(DOMAIN, target).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    /// Sets one end of the link up, so that the system itself sends nothing: it has no IPv6, and need not look for the other
    /// end.
    fn start_link(
        &self,
        device: &str,
        address: &str,
        other: &str,
        hardware: &str,
        ip: impl Fn(&Self, &[&str]),
    ) {
        ip(self, &["link", "set", device, "addrgenmode", "none"]);
        ip(self, &["address", "add", &format!("{address}/24"), "dev", device]);
        ip(self, &["link", "set", device, "up"]);
        ip(self, &["neighbour", "replace", other, "lladdr", hardware, "dev", device, "nud", "permanent"]);
    }

    /// Cuts the link at the other end, or joins it again.
    pub(crate) fn set_far_link(&self, state: &str) {
        self.ip_far(&["link", "set", FAR, state]);
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

    fn ip_far(&self, arguments: &[&str]) {
        let namespace = self.server.id().to_string();
        let command = ["nsenter", "--net", "--target", &namespace, "ip"];
        run(&[&command[..], arguments].concat());
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn ip(arguments: &[&str]) {
    run(&[&["ip"], arguments].concat());
}

fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", command[0]));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
