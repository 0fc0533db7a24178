//! Soak: many connects through one shared connector, from eight threads, to servers that fail at every stage.
//!
//! Cancels are thrown in. Memory, descriptors and threads stay flat, every limit holds, and every error is explained.
//!
//! ```text
//! cargo test --release --test soak -- --ignored --nocapture                               # 20,000 connects
//! XMPP_CONNECT_SOAK=1000 cargo test --release --test soak -- --ignored --nocapture
//! ```

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: threads and a clock, and what cannot be set up fails the test"
)]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connector, Error, ErrorKind, OpenStream};

use support::process::{open_descriptors, threads};
use support::{
    Authority, Behaviour, BlackHole, DnsServer, Junk, OverTcp, PATIENCE, Rcode, Refused, Rtype, Script,
    ServerTls, Stage, Step, XmppServer, Zone,
};

/// How many connects.
const COUNT: &str = "XMPP_CONNECT_SOAK";
/// Set in the process that runs the servers, so that what they need does not count.
const SERVERS: &str = "XMPP_CONNECT_SOAK_SERVERS";
const THREADS: usize = 8;
const DOMAINS: usize = 96;
/// The time limit of one connect. Many of them run into it, which is why it is short.
const LIMIT: Duration = Duration::from_millis(400);
/// How much later a connect may return. The machine is busy with nine threads and the servers.
const GRACE: Duration = Duration::from_secs(2);
/// How much memory may be in use at the end beyond that after the first tenth: caches and allocator arenas fill slowly.
const GROWTH: usize = 6 << 20;

/// A small generator (xorshift64*), so that a run can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % bound
    }
}

fn domain(index: usize) -> String {
    format!("d{index}.example")
}

// rule D5, D6, D7, D9
#[test]
#[ignore = "takes minutes"]
fn nothing_grows_and_nothing_hangs() {
    if std::env::var(SERVERS).is_ok() {
        serve();
        return;
    }
    let count = std::env::var(COUNT).map_or(20_000, |count| count.parse().unwrap());
    soak(count);
}

/// Runs the servers until standard input ends.
fn serve() {
    let authority = Authority::new();
    let names: Vec<String> = (0..DOMAINS).map(domain).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let good = authority.server(&names);
    let direct: Vec<Script> = bad_and_good(&Script::direct(good.clone()), &authority, &names);
    let mut starttls = bad_and_good(&Script::starttls(good.clone()), &authority, &names);
    for stage in [Stage::Header, Stage::Features, Stage::Proceed] {
        for step in [Step::Close, Step::Reset, Step::Silence] {
            starttls.push(Script::starttls(good.clone()).until(stage).then(step));
        }
    }
    let garbage = [Step::send(support::xmpp::HTTP), Step::Close];
    starttls.push(Script::starttls(good.clone()).instead(Stage::Header, &garbage));
    starttls.push(Script::starttls(good).instead(Stage::Proceed, &[Step::send(support::xmpp::FAILURE)]));
    let direct: Vec<XmppServer> = direct.into_iter().map(XmppServer::start).collect();
    let starttls: Vec<XmppServer> = starttls.into_iter().map(XmppServer::start).collect();
    let (refused, hole) = (Refused::new(), BlackHole::new());
    let mut doors: Vec<(&str, SocketAddr)> = vec![("xmpps", refused.addr()), ("xmpp", hole.addr())];
    doors.extend(direct.iter().map(|server| ("xmpps", server.addr())));
    doors.extend(starttls.iter().map(|server| ("xmpp", server.addr())));

    let mut chance = Chance(0x5eed);
    let mut zone = Zone::new().time_to_live(1);
    for index in 0..DOMAINS {
        zone = of_domain(zone, &domain(index), &doors, &mut chance);
    }
    let dns = DnsServer::start(zone);
    let root = authority.root_der().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    println!("\nservers {} {root}", dns.addr());
    // Until the client ends.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// The good course several times, so that it is found often enough, and departures from it in TLS and later.
fn bad_and_good(good: &Script, authority: &Authority, names: &[&str]) -> Vec<Script> {
    let expired = ServerTls::new(authority.expired(names)).config();
    let stranger = ServerTls::new(Authority::new().issue(names)).config();
    let wrong = authority.server(&["other.example"]);
    let mut scripts = vec![good.clone(); 4];
    for config in [expired, stranger, wrong] {
        scripts.push(good.clone().instead(Stage::Tls, &[Step::Secure(config)]));
    }
    for stage in [Stage::Tls, Stage::SecureHeader, Stage::SecureFeatures, Stage::Echo] {
        for step in [Step::Close, Step::Reset, Step::Silence] {
            scripts.push(good.clone().until(stage).then(step));
        }
    }
    scripts.push(good.clone().before(Stage::Tls, &[Step::AwaitHello, Step::SendRaw(vec![0x55; 512])]));
    scripts.push(good.clone().before(Stage::Tls, &[Step::Drip(Duration::from_millis(5))]));
    scripts
}

/// One to six servers at one to three priorities; sometimes the DNS fails instead.
fn of_domain(mut zone: Zone, domain: &str, doors: &[(&str, SocketAddr)], chance: &mut Chance) -> Zone {
    for number in 0..=chance.below(6) {
        let (kind, address) = doors[chance.below(doors.len())];
        let owner = format!("_{kind}-client._tcp.{domain}");
        let target = format!("h{number}.{domain}");
        let priority = u16::try_from(chance.below(3)).unwrap();
        zone = zone.srv(&owner, priority, 1, address.port(), &target);
        zone = zone.address(&target, &address.ip().to_string());
    }
    let failure = match chance.below(16) {
        0 => Behaviour::Silence,
        1 => Behaviour::Code(Rcode::SERVFAIL),
        2 => Behaviour::JunkThenAnswer(vec![Junk::WrongId, Junk::TooShort, Junk::WrongName]),
        3 => Behaviour::Truncated(OverTcp::Half),
        _ => return zone,
    };
    zone.on(&format!("_xmpp-client._tcp.{domain}"), Rtype::SRV, failure)
}

/// The process with the servers.
struct Servers {
    child: Child,
    /// The test harness of that process ends it when it cannot print.
    _output: BufReader<ChildStdout>,
    name_server: SocketAddr,
    root: CertificateDer<'static>,
}

impl Servers {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_grows_and_nothing_hangs", "--ignored", "--nocapture"])
            .env(SERVERS, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.by_ref().lines().map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix("servers ").map(str::to_owned)).unwrap();
        let (name_server, root) = line.split_once(' ').unwrap();
        let digits = root.as_bytes().chunks(2).map(|digits| std::str::from_utf8(digits).unwrap());
        let root: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
        Self { name_server: name_server.parse().unwrap(), root: root.into(), child, _output: output }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory in use (resident), descriptors and threads.
#[derive(Clone, Copy)]
struct Usage {
    memory: usize,
    descriptors: usize,
    threads: usize,
}

impl Usage {
    /// The usage once all threads that have done their work are gone, of which the kernel needs some time to take notice.
    fn settled(threads_before: usize) -> Self {
        let began = Instant::now();
        while threads() > threads_before && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self::now()
    }

    fn now() -> Self {
        Self { memory: status("VmRSS:"), descriptors: open_descriptors(), threads: threads() }
    }

    fn show(self, when: &str) {
        let Self { memory, descriptors, threads } = self;
        println!("{when}: {} KiB, {descriptors} descriptors, {threads} threads", memory >> 10);
    }
}

/// A field of `/proc/self/status`, in bytes.
fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    value.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// What became of the connects: how many of each kind.
type Tally = Mutex<BTreeMap<String, usize>>;

fn soak(count: usize) {
    let servers = Servers::start();
    let connector = Connector::builder()
        .only_roots([servers.root.clone()])
        .nameservers([servers.name_server])
        .timeout(LIMIT)
        .attempt_delay(Duration::from_millis(20))
        .priority_delay(Duration::from_millis(50))
        .build()
        .unwrap();
    let (tally, next) = (Tally::default(), AtomicUsize::new(0));
    let began = Instant::now();
    let round = |until: usize| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (connector, tally, next) = (&connector, &tally, &next);
                scope.spawn(move || {
                    let mut chance = Chance(0xfeed + u64::try_from(thread + until).unwrap());
                    while next.fetch_add(1, Ordering::Relaxed) < until {
                        let result = one(connector, &mut chance);
                        *tally.lock().unwrap().entry(result).or_default() += 1;
                    }
                });
            }
        });
        next.store(until, Ordering::Relaxed);
    };
    let first = Usage::now();
    first.show("at the start");
    round(count / 10);
    let start = Usage::settled(first.threads);
    start.show("after a tenth");
    round(count);
    let end = Usage::settled(first.threads);
    end.show("at the end");
    println!("peak: {} KiB; {:.0} s", status("VmHWM:") >> 10, began.elapsed().as_secs_f64());
    let tally = tally.into_inner().unwrap();
    tally.iter().for_each(|(what, count)| println!("{count:>7} {what}"));
    assert_eq!(tally.values().sum::<usize>(), count);
    assert!(tally.get("connected").is_some_and(|connected| *connected > count / 10), "{tally:?}");
    assert!(tally.contains_key("cancelled"), "{tally:?}");
    // The rest would say little if the servers were not there any more.
    assert!(tally.get("lookup failed").is_none_or(|failed| *failed < count / 5), "{tally:?}");
    assert_eq!((end.descriptors, end.threads), (first.descriptors, first.threads));
    let growth = end.memory.saturating_sub(start.memory);
    assert!(growth <= GROWTH, "{growth} bytes more than after the first tenth");
}

/// One connect: the whole course to the stream, or only to TLS; a few are cancelled at a random time.
fn one(connector: &Connector, chance: &mut Chance) -> String {
    let mut attempts = connector.attempts(domain(chance.below(DOMAINS))).unwrap();
    if chance.below(2) == 0 {
        attempts.open_stream(OpenStream::new());
    }
    let canceller = attempts.canceller();
    let cancel_after = (chance.below(10) == 0).then(|| chance.below(60));
    let began = Instant::now();
    let result = std::thread::scope(|scope| {
        if let Some(delay) = cancel_after {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(delay.try_into().unwrap()));
                canceller.cancel();
            });
        }
        attempts.connect_next()
    });
    assert!(began.elapsed() < LIMIT + GRACE, "{:?}", began.elapsed());
    match result {
        Ok(mut connection) => {
            connection.set_read_timeout(Some(LIMIT)).unwrap();
            if connection.is_stream_open() {
                assert_ne!(connection.read(&mut [0; 64]).unwrap_or(1), 0, "the stream was read");
            } else {
                // The server may be one that ends now.
                let _ = connection.write_all(given::HEADER.as_bytes());
                let _ = connection.read(&mut [0; 64]);
            }
            "connected".to_owned()
        }
        Err(error) => explained(&error, cancel_after.is_some()),
    }
}

/// Checks that an error says what happened, and returns its kind.
fn explained(error: &Error, is_cancelled: bool) -> String {
    let text = given::chain(error);
    assert!(!text.is_empty() && text.lines().count() == 1, "{text:?}");
    // The debug text of Rust.
    for debug in ["Some(", "None", "Os {", "Custom {", "Err("] {
        assert!(!text.contains(debug), "{text:?}");
    }
    match error.kind() {
        ErrorKind::Cancelled if is_cancelled => "cancelled".to_owned(),
        ErrorKind::Attempts => "every attempt failed".to_owned(),
        ErrorKind::Untrusted => "untrusted".to_owned(),
        ErrorKind::TimedOut => "timed out".to_owned(),
        ErrorKind::Lookup => "lookup failed".to_owned(),
        ErrorKind::NoSuchDomain => "no such domain".to_owned(),
        kind => panic!("unexpected {kind:?}: {text}"),
    }
}
