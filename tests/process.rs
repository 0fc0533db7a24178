//! Counts threads and descriptors during connects (Linux): no thread is started, and no descriptor stays open.
//!
//! It has one test only, since it counts in the whole process.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a thread reads what a child prints, and what cannot be set up fails its test"
)]

mod given;
mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Connector, ErrorKind, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, builder, zone};
use support::process::{open_descriptors, threads};
use support::{
    Authority, Behaviour, BlackHole, DnsServer, Identity, Latch, OverTcp, PATIENCE, Refused, Rtype, Script,
    ServerTls, Stage, Step, XmppServer, Zone,
};

/// In the environment of the child: the address of the DNS server, and the root certificate in hexadecimal.
const NAME_SERVER: &str = "XMPP_CONNECT_TEST_NAME_SERVER";
const ROOT: &str = "XMPP_CONNECT_TEST_ROOT";

// rule D6, D3, D5
#[test]
fn a_connect_starts_no_thread_and_leaves_no_descriptor() {
    match (std::env::var(NAME_SERVER), std::env::var(ROOT)) {
        (Ok(name_server), Ok(root)) => child(&name_server, &root),
        _ => {
            no_thread_is_started_at_any_stage();
            no_descriptor_is_left_behind();
        }
    }
}

/// The child connects by STARTTLS and says so. It has no bench of its own, so all its threads are the test harness's and ours.
fn child(name_server: &str, root: &str) {
    let root = root
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
    let builder = Connector::builder().only_roots([CertificateDer::from(root.collect::<Vec<_>>())]);
    let connector = builder.nameservers([name_server.parse().unwrap()]).build().unwrap();
    println!("\nthreads {}", threads());
    let mut connection = connector.connect(DOMAIN).unwrap();
    given::talk(&mut connection);
    println!("\nconnected {}", threads());
    // Until the parent ends this process: the end of the stream.
    std::io::copy(&mut connection, &mut std::io::sink()).ok();
}

fn no_thread_is_started_at_any_stage() {
    let authority = Authority::new();
    let [in_dns, in_header, in_tls] = [(); 3].map(|()| Latch::new());
    let script = Script::starttls(authority.server(&[DOMAIN]))
        .before(Stage::Features, &[Step::Wait(in_header.clone())])
        .before(Stage::Tls, &[Step::Wait(in_tls.clone())]);
    let server = XmppServer::start(script);
    let zone = zone(&[(XMPP, 0, server.addr())]).on(XMPP, Rtype::SRV, Behaviour::Answer.held(&in_dns));
    let dns = DnsServer::start(zone);

    let hex = authority.root_der().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_connect_starts_no_thread_and_leaves_no_descriptor", "--nocapture"])
        .env(NAME_SERVER, dns.addr().to_string())
        .env(ROOT, hex)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Watched::new(child);
    let before = child.next("threads ");

    dns.wait_queries(4);
    assert_eq!(child.threads(), before, "while the DNS is asked");
    in_dns.open();
    server.wait_for(0, "the header", |record| (!record.headers.is_empty()).then_some(()));
    assert_eq!(child.threads(), before, "in STARTTLS");
    in_header.open();
    let proceed = |record: &support::Record| {
        let wrote = |event: &support::Event| matches!(event, support::Event::Wrote(bytes) if bytes.starts_with(b"<proceed"));
        record.events.iter().any(wrote).then_some(())
    };
    server.wait_for(0, "<proceed/>", proceed);
    assert_eq!(child.threads(), before, "in TLS");
    in_tls.open();
    assert_eq!((child.next("connected "), child.threads()), (before, before), "when connected");
}

/// The child, which is ended with the test.
struct Watched {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watched {
    fn new(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The number after `word` at the beginning of a line.
    fn next(&mut self, word: &str) -> usize {
        let number = self.lines.find_map(|line| line.unwrap().strip_prefix(word)?.parse().ok());
        number.unwrap_or_else(|| panic!("the child has ended before it said {word:?}"))
    }

    fn threads(&self) -> usize {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        std::fs::read_dir(tasks).unwrap().count()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn no_descriptor_is_left_behind() {
    let authority = Authority::new();
    let good = authority.server(&[DOMAIN]);
    let (refused, hole) = (Refused::new(), BlackHole::new());
    let expired = ServerTls::new(authority.expired(&[DOMAIN])).config();
    let self_signed = ServerTls::new(Identity::self_signed(&[DOMAIN])).config();
    let servers = [
        (TlsMode::Direct, Script::silent()),
        (TlsMode::Direct, Script::direct(expired)),
        (TlsMode::Direct, Script::silent().then(Step::Close)),
        (TlsMode::StartTls, Script::starttls(self_signed)),
        (TlsMode::StartTls, Script::starttls(good.clone()).until(Stage::Features)),
        (TlsMode::StartTls, Script::starttls(good.clone()).until(Stage::Tls)),
        (TlsMode::StartTls, Script::silent().then(Step::Reset)),
    ]
    .map(|(tls, script)| (given::owner(tls), XmppServer::start(script)));
    let mut records = vec![(XMPPS, 0, refused.addr()), (XMPPS, 0, hole.addr())];
    records.extend(servers.iter().map(|(owner, server)| (*owner, 0, server.addr())));
    let failing = DnsServer::start(zone(&records));
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let over_tcp = Behaviour::Truncated(OverTcp::Silence);
    let stuck = DnsServer::start(Zone::new().on_everything(over_tcp));
    let server = XmppServer::start(Script::starttls(good));
    let working = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPP, 0, server.addr())]));

    let before = open_descriptors();
    for round in 0..3 {
        let limit = Duration::from_secs(1);
        let quick = |dns| builder(&authority, dns).attempt_delay(Duration::from_millis(1)).timeout(limit);
        for dns in [&failing, &silent] {
            let error = quick(dns).build().unwrap().connect(DOMAIN).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
        }
        let error = quick(&stuck).lookup_timeout(limit / 4).build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup, "{error:?}");
        drop(given::connector(&authority, &working).connect(DOMAIN).unwrap());

        // What the bench has open for these connections is closed when their ends are recorded.
        for (_, server) in &servers {
            server.wait_end(round);
        }
        server.wait_end(round);
        assert_eq!(hole.connecting(), 0);
        let started = Instant::now();
        // The DNS server of the bench closes its TCP connections a moment after the client.
        while open_descriptors() > before {
            assert!(started.elapsed() < PATIENCE, "{} descriptors, {before} before", open_descriptors());
            std::thread::yield_now();
        }
    }
}
