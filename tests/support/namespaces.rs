//! Two network namespaces with a link between them: the test runs in one, and servers in the other (Linux).
//!
//! A test runs itself again, by name, in each namespace; a variable in the environment says where it is. A user namespace
//! around them gives it the rights that it needs, without any on the machine.

use std::io::{BufRead, BufReader, Lines, Read};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// In the environment: where this process is.
const PLACE: &str = "XMPP_CONNECT_TEST_PLACE";
/// The two ends of the link, and their addresses.
pub(crate) const NEAR: &str = "near";
pub(crate) const FAR: &str = "far";
pub(crate) const NEAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const FAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The far namespace, as the near one sees it. Its servers end with it.
#[derive(Debug)]
pub(crate) struct Far {
    process: Child,
    /// Kept open, since the servers may print more.
    lines: Lines<BufReader<ChildStdout>>,
}

/// Runs `near` in one namespace, and `serve` in the other. `test` is the name of the test that calls this, with its
/// modules. What `serve` returns lives until `near` has ended; what it prints, [`Far::said`] finds.
pub(crate) fn inside<S>(test: &str, near: impl FnOnce(Far), serve: impl FnOnce() -> S) {
    match std::env::var(PLACE).as_deref() {
        Ok(NEAR) => near(Far::start(test)),
        Ok(FAR) => {
            // The bench needs it to end its threads.
            ip(&["link", "set", "lo", "up"]);
            let _servers = serve();
            std::io::stdin().read_to_end(&mut Vec::new()).expect("the near namespace has a pipe to this one");
        }
        Ok(_) | Err(_) => {
            let mut again = again(test, &["--user", "--map-root-user", "--net", "--mount"], NEAR);
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
    command.args(namespaces).arg("--").arg(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(PLACE, place);
    command
}

impl Far {
    fn start(test: &str) -> Self {
        let mut process = again(test, &["--net"], FAR);
        let process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("the command unshare starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// The rest of the next line that the servers print and that begins with `what` and a space.
    pub(crate) fn said(&mut self, what: &str) -> String {
        let rest = |line: String| Some(line.strip_prefix(what)?.strip_prefix(' ')?.to_owned());
        let said = self.lines.find_map(|line| rest(line.expect("the servers print text")));
        said.expect("the servers have ended")
    }

    /// Links the two namespaces, so that the system itself sends nothing: it has no IPv6, and need not look for the other
    /// end.
    pub(crate) fn link(&self) {
        let (hardware, far_hardware) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        let link = ["link", "add", NEAR, "address", hardware, "type", "veth"];
        let namespace = self.namespace();
        let peer = ["peer", "name", FAR, "address", far_hardware, "netns", &namespace];
        ip(&[&link[..], &peer].concat());
        let (near, far) = (NEAR_ADDRESS.to_string(), FAR_ADDRESS.to_string());
        start_link(NEAR, &near, &far, far_hardware, &ip);
        start_link(FAR, &far, &near, hardware, &|arguments| self.ip(arguments));
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        let namespace = self.namespace();
        let command = ["nsenter", "--net", "--target", &namespace, "ip"];
        run(&[&command[..], arguments].concat());
    }

    fn namespace(&self) -> String {
        self.process.id().to_string()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start_link(device: &str, address: &str, other: &str, hardware: &str, ip: &dyn Fn(&[&str])) {
    ip(&["link", "set", device, "addrgenmode", "none"]);
    ip(&["address", "add", &format!("{address}/24"), "dev", device]);
    ip(&["link", "set", device, "up"]);
    ip(&["neighbour", "replace", other, "lladdr", hardware, "dev", device, "nud", "permanent"]);
}

/// Runs `ip` here.
pub(crate) fn ip(arguments: &[&str]) {
    run(&[&["ip"], arguments].concat());
}

/// Runs a command, which must succeed.
pub(crate) fn run(command: &[&str]) {
    let (program, arguments) = command.split_first().expect("a command");
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Octets as text, for what one namespace tells the other.
pub(crate) fn to_digits(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets in such a text.
pub(crate) fn from_digits(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}
