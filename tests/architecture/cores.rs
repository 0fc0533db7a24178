//! What the cores must not name: sockets, files, threads, the clock, and those who use them.

use crate::source::{Named, Source, paths};

/// The files that decide. Those below a folder, and those of a folder that is added later, are among them.
const CORES: &[&str] = &[
    "src/deadline.rs",
    "src/dial/addresses.rs",
    "src/dial/race",
    "src/discovery/",
    "src/dns/cache.rs",
    "src/dns/config.rs",
    "src/dns/health.rs",
    "src/dns/hosts.rs",
    "src/dns/message",
    "src/dns/schedule",
    "src/dns/sleep.rs",
    "src/domain.rs",
    "src/domain/",
    "src/error.rs",
    "src/plan.rs",
    "src/plan/",
    "src/report.rs",
    "src/service.rs",
    "src/starttls.rs",
    "src/starttls/",
    "src/tls/explain.rs",
];

/// How line 1 of a core ends.
const MARK: &str = "No IO.";

/// Paths that mean IO, with all that is below them.
const IO: &[&str] = &[
    "std::env",
    "std::fs",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "crate::random",
    "crate::wait",
    "hickory_resolver",
    "rustix",
    "socket2",
    "tokio",
];

/// Words that mean IO, however they came to be known.
const IO_WORDS: &[&str] =
    &["SystemTime", "TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket", "UnixDatagram", "UnixStream"];

/// All that a core may take from `std::io`: what an error is made of.
const IO_ERRORS: &[&str] = &["Error", "ErrorKind", "Result"];

/// The only file that reads the clock.
const CLOCK: &str = "src/wait.rs";

/// IO in a core, and a core that does not say that it is one.
pub(crate) fn violations(source: &Source) -> Vec<String> {
    let says_so = source.text.lines().next().is_some_and(|line| line.ends_with(MARK));
    let listed = CORES.iter().any(|core| source.path.starts_with(core));
    if source.production.trim().is_empty() || !(listed || says_so) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    if listed && !says_so {
        violations.push(format!("{}:1: it is a core, and line 1 does not end with \"{MARK}\"", source.path));
    }
    for named in paths(&source.production) {
        if is_io(&named) {
            violations.push(format!("{}: a core names {}", source.at(named.offset), named.parts.join("::")));
        }
    }
    violations.extend(clock(source));
    violations
}

/// A look at the clock in another file than the one for it.
pub(crate) fn clock_violations(source: &Source) -> Vec<String> {
    if source.path == CLOCK { Vec::new() } else { clock(source) }
}

fn is_io(named: &Named) -> bool {
    let path = named.parts.join("::");
    let below =
        |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let from_io = named.parts.iter().zip(named.parts.iter().skip(1)).find(|(module, _)| *module == "io");
    IO.iter().any(below)
        || named.parts.iter().any(|part| IO_WORDS.contains(&&**part))
        || from_io.is_some_and(|(_, name)| !IO_ERRORS.contains(&&**name))
}

fn clock(source: &Source) -> Vec<String> {
    // `Instant::elapsed` reads it too, but text cannot tell it from `Report::elapsed`: clippy.toml bans it by its type.
    let is_now = |named: &Named| match &*named.parts {
        [.., clock, now] => now == "now" && (clock == "Instant" || clock == "SystemTime"),
        _ => false,
    };
    let reads = paths(&source.production).into_iter().filter(is_now);
    reads.map(|named| format!("{}: reads the clock", source.at(named.offset))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "//! A core. No IO.\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        violations(&Source::new(path, text, false))
    }

    #[test]
    fn io_in_a_core_is_found_with_its_line() {
        let cases = [
            "use std::net::TcpStream;",
            "use std::net::{IpAddr, UdpSocket};",
            "use std::{fmt, net::{self, TcpListener}};",
            "use std::io::Read;",
            "use std::io::{self, Write};",
            "fn f(source: &mut impl io::Read) {}",
            "use std::fs;",
            "fn f() { std::env::var(a) }",
            "use std::thread::sleep;",
            "use std::time::{Duration, SystemTime};",
            "use crate::wait::Wait;",
            "use crate::wait;",
            "use socket2::Socket;",
            "fn f() { Instant::now() }",
            "fn f() { std::time::Instant::now() }",
        ];
        for case in cases {
            let found = found("src/anything.rs", &format!("{CORE}\n{case}\n"));
            assert!(found.iter().any(|one| one.starts_with("src/anything.rs:3: ")), "{case}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_io_passes() {
        let text = "use std::io::{self, ErrorKind};\nuse std::net::{IpAddr, SocketAddr};\nuse std::time::{Duration, Instant};\n\
                    use crate::waiting::A;\nfn f(now: Instant) -> io::Result<()> { Err(io::Error::other(a)) }\n\
                    // std::fs, TcpStream\n#[cfg(test)]\nmod tests { use crate::wait; use std::net::TcpStream; }\n";
        assert_eq!(found("src/error.rs", &format!("{CORE}{text}")), [""; 0]);
        assert_eq!(found("src/run.rs", "//! A driver.\nuse std::net::TcpStream;"), [""; 0]);
    }

    #[test]
    fn a_core_that_does_not_say_so_is_found() {
        for path in ["src/plan.rs", "src/plan/new.rs", "src/dial/race/new.rs", "src/dns/cache.rs"] {
            let expected = format!("{path}:1: it is a core, and line 1 does not end with \"No IO.\"");
            assert_eq!(found(path, "//! What it is.\nfn f() {}"), [expected]);
        }
    }

    #[test]
    fn the_clock_is_read_in_one_file() {
        let clock = |path: &str, text: &str| clock_violations(&Source::new(path, text, false));
        assert_eq!(clock("src/run.rs", "\nlet a = Instant::now();"), ["src/run.rs:2: reads the clock"]);
        assert_eq!(clock("src/run.rs", "SystemTime::now()"), ["src/run.rs:1: reads the clock"]);
        assert_eq!(clock("src/run.rs", "wait::now(); self.report.now()"), [""; 0]);
        assert_eq!(clock("src/wait.rs", "Instant::now()"), [""; 0]);
    }
}
