//! A program that runs in a process of its own.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: a thread reads what the program writes, and what cannot be set up fails its test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, Watched};

/// In the environment of the child: the name of the program, and its arguments, one in a line.
const PROGRAM: &str = "XMPP_CONNECT_TEST_PROGRAM";
const ARGUMENTS: &str = "XMPP_CONNECT_TEST_ARGUMENTS";

/// The program that this process is to be, and its arguments.
pub(crate) fn asked_for() -> Option<(String, lexopt::Parser)> {
    let arguments = std::env::var(ARGUMENTS).ok()?;
    let arguments = arguments.lines().map(str::to_owned).collect::<Vec<_>>();
    Some((std::env::var(PROGRAM).ok()?, lexopt::Parser::from_args(arguments)))
}

/// The process. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// What it has written to standard error.
    lines: Arc<Watched<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(name: &str, arguments: &[String], password: Option<&str>, input: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program", "--nocapture"]).env(PROGRAM, name);
        command.env(ARGUMENTS, arguments.join("\n")).env_remove("XMPP_PASSWORD");
        if let Some(password) = password {
            command.env("XMPP_PASSWORD", password);
        }
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // It may end without reading it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let lines = Arc::new(Watched::new(Vec::new()));
        let (seen, errors) = (Arc::clone(&lines), BufReader::new(child.stderr.take().unwrap()));
        let reader = std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| seen.change(|lines| lines.push(line)));
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// Waits until it has written `count` lines that contain `text`.
    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        self.lines.wait_for(&format!("{text:?}, {count} times"), |lines| {
            (lines.iter().filter(|line| line.contains(text)).count() >= count).then_some(())
        });
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.read(Vec::clone)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it ends. Returns its exit status and what it has written.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.reader.take().unwrap().join().unwrap();
                return (status.code().unwrap_or(-1), self.lines().join("\n"));
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many entries a directory of the process has in `/proc`: `fd`, `task`.
    pub(crate) fn count(&self, directory: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{directory}", self.child.id())).unwrap().count()
    }

    /// Its memory in KiB: what is resident now, or at most (`VmHWM`).
    pub(crate) fn memory(&self, field: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
