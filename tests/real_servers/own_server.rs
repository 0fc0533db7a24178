//! A Prosody or ejabberd of a test's own, so that the test can stop and start it while others use those of the bench.

#![expect(clippy::disallowed_methods, reason = "test code: it waits until a server listens")]

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::addresses::own_loopback;
use super::{TestResult, variable};

/// How long a server may take to start and to stop. ejabberd takes some seconds.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Prosody,
    Ejabberd,
}

impl Kind {
    pub(crate) fn domain(self) -> &'static str {
        match self {
            Self::Prosody => "prosody.test",
            Self::Ejabberd => "ejabberd.test",
        }
    }
}

/// Where no client can take its port while it is stopped.
pub(crate) fn address() -> Ipv4Addr {
    own_loopback(1)
}

/// The server, with the accounts `user` and `friend`, whose password is `secret`. It is stopped when this is dropped.
pub(crate) struct OwnServer {
    kind: Kind,
    directory: PathBuf,
    /// For direct TLS and for STARTTLS.
    pub(crate) ports: [u16; 2],
    child: Option<Child>,
}

impl OwnServer {
    pub(crate) fn new(kind: Kind) -> Result<Self, Box<dyn Error>> {
        let bench = variable("XMPP_CONNECT_BENCH")?;
        let directory = PathBuf::from(&bench).join(format!("own-{}", kind.domain()));
        fs::create_dir(&directory)?;
        // They are free when this ends, and nobody else asks for ports by number.
        let listeners = [TcpListener::bind((address(), 0))?, TcpListener::bind((address(), 0))?];
        let [direct, starttls] = &listeners;
        let ports = [direct.local_addr()?.port(), starttls.local_addr()?.port()];
        let own = Self { kind, directory, ports, child: None };
        own.configure(&bench)?;
        if rustix::process::getuid().is_root() {
            let status = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&own.directory).status()?;
            assert!(status.success());
        }
        Ok(own)
    }

    fn configure(&self, bench: &str) -> TestResult {
        let (directory, [direct, starttls], address) = (self.directory.display(), self.ports, address());
        match self.kind {
            Kind::Prosody => {
                // File names have dots escaped.
                let accounts = self.directory.join("data/prosody%2etest/accounts");
                fs::create_dir_all(&accounts)?;
                for user in ["user", "friend"] {
                    fs::write(accounts.join(format!("{user}.dat")), "return { password = \"secret\" }")?;
                }
                let config = format!(
                    r#"interfaces = {{ "{address}" }}
c2s_ports = {{ {starttls} }}
c2s_direct_tls_ports = {{ {direct} }}
s2s_ports = {{}}
modules_enabled = {{ "disco", "ping", "roster", "saslauth", "tls" }}
modules_disabled = {{ "posix", "s2s" }}
authentication = "internal_hashed"
password_hash = "SHA-256"
storage = "internal"
data_path = "{directory}/data"
certificates = "{bench}/certificates"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
VirtualHost "prosody.test"
"#
                );
                fs::write(self.directory.join("prosody.cfg.lua"), config)?;
            }
            Kind::Ejabberd => {
                let config = format!(
                    r#"loglevel: warning
hosts: [ejabberd.test]
certfiles: ["{bench}/certificates/ejabberd.test.pem"]
listen:
  - {{ port: {starttls}, ip: "{address}", module: ejabberd_c2s, starttls_required: true }}
  - {{ port: {direct}, ip: "{address}", module: ejabberd_c2s, tls: true }}
modules: {{ mod_disco: {{}}, mod_ping: {{}}, mod_roster: {{}} }}
"#
                );
                fs::write(self.directory.join("config.yml"), config)?;
            }
        }
        Ok(())
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&mut self) -> TestResult {
        let mut command = Command::new("setpriv");
        if rustix::process::getuid().is_root() {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs"]);
        }
        command.args(["--pdeathsig", "KILL", "--"]);
        match self.kind {
            Kind::Prosody => {
                command.args(["prosody", "-F", "--config"]).arg(self.directory.join("prosody.cfg.lua"));
            }
            Kind::Ejabberd => {
                let register = "{ok, _} = application:ensure_all_started(ejabberd), \
                    [ejabberd_auth:try_register(User, <<\"ejabberd.test\">>, <<\"secret\">>) \
                    || User <- [<<\"user\">>, <<\"friend\">>]].";
                let data = format!("\"{}/data\"", self.directory.display());
                command
                    .args(["erl", "-noinput", "-mnesia", "dir", &data, "-eval", register])
                    .env("HOME", &self.directory)
                    .env("ERL_LIBS", ejabberd_libraries()?)
                    .env("ERL_CRASH_DUMP_BYTES", "0")
                    .env("EJABBERD_CONFIG_PATH", self.directory.join("config.yml"))
                    .env("EJABBERD_LOG_PATH", self.directory.join("ejabberd.log"));
            }
        }
        let log = fs::File::options().create(true).append(true).open(self.directory.join("output"))?;
        let child = command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let start = Instant::now();
        for port in self.ports {
            while TcpStream::connect(SocketAddr::from((address(), port))).is_err() {
                assert!(start.elapsed() < LIMIT, "it does not start: {}", self.output());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    fn output(&self) -> String {
        fs::read_to_string(self.directory.join("output")).unwrap_or_default()
    }

    /// Stops it, and waits until it has ended.
    pub(crate) fn stop(&mut self) -> TestResult {
        let mut child = self.child.take().ok_or("it does not run")?;
        kill_process(Pid::from_raw(child.id().try_into()?).ok_or("no pid")?, Signal::TERM)?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > LIMIT {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian has them beside its Erlang.
fn ejabberd_libraries() -> Result<PathBuf, Box<dyn Error>> {
    for libraries in fs::read_dir("/usr/lib")? {
        let libraries = libraries?.path();
        let Ok(entries) = fs::read_dir(&libraries) else { continue };
        if entries.flatten().any(|entry| entry.path().join("ebin/ejabberd.beam").exists()) {
            return Ok(libraries);
        }
    }
    Err("ejabberd is not installed".into())
}
