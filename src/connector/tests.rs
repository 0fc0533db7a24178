//! Tests of whole connects with unusual files in place of the system's, and of cancelled connects.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::*;
use crate::deadline::Deadline;
use crate::dns::cache::Caching;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::stub::system::SystemConfig;
use crate::dns::testing::{TemporaryDirectory, make_fifo};
use crate::settings::SocketOptions;

/// Reading a gigabyte takes longer.
const SOON: Duration = Duration::from_secs(5);

/// Files that must not be read as a whole, or not at all.
fn obstacles(directory: &TemporaryDirectory) -> [PathBuf; 5] {
    let (fifo, zeros, lines) = (directory.path("fifo"), directory.path("zeros"), directory.path("lines"));
    make_fifo(&fifo);
    File::create(&zeros).unwrap().set_len(1 << 30).unwrap();
    let mut file = File::create(&lines).unwrap();
    let piece = "0.0.0.0 tracker.example\n".repeat(100_000);
    (0..10).for_each(|_| file.write_all(piece.as_bytes()).unwrap());
    [fifo, zeros, lines, directory.path(""), "/dev/zero".into()]
}

fn connector(system: SystemConfig, limit: Duration) -> Connector {
    let connector = Connector::builder().timeout(limit).lookup_timeout(limit).build().unwrap();
    let mut shared = Arc::into_inner(connector.0).unwrap();
    shared.names = Names::Stub(Stub::new(system, Caching::On, SocketOptions::default()));
    Connector(Arc::new(shared))
}

// rule D5, H3b
#[test]
fn whatever_is_in_place_of_the_system_files_the_time_limit_holds_in_all_threads() {
    let directory = TemporaryDirectory::new();
    let closed = ResolverConfig::new(vec!["127.0.0.1:9".parse().unwrap()]);
    for obstacle in obstacles(&directory) {
        for system in [
            SystemConfig::at(&obstacle, Path::new("/nonexistent/hosts")),
            SystemConfig::given_with_hosts(closed.clone(), &obstacle),
        ] {
            let connector = connector(system, Duration::from_millis(500));
            let connect = || {
                let start = wait::now();
                connector.connect("example.test").unwrap_err();
                assert!(wait::now() - start < SOON, "{}", obstacle.display());
            };
            thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(connect))));
        }
    }
}

// rule H3, H3b
#[test]
fn a_connect_with_a_hosts_file_of_a_million_lines_finds_the_last() {
    let directory = TemporaryDirectory::new();
    let [_, _, lines, ..] = obstacles(&directory);
    let mut file = fs::OpenOptions::new().append(true).open(&lines).unwrap();
    file.write_all(b"127.0.0.1 host.example.test\n").unwrap();
    let config = ResolverConfig::new(vec!["127.0.0.1:9".parse().unwrap()]);
    let connector = connector(SystemConfig::given_with_hosts(config, &lines), Duration::from_secs(60));
    let target = Target::new("host.example.test", 9, TlsMode::Direct).unwrap();
    let error = connector.connect_to("example.test", target).unwrap_err();
    assert_eq!(error.report().unwrap().attempts().len(), 1, "{error}");
}

/// Cancels `count` connects of `domain` at random times within `within`, and says how late the latest of them returned.
fn cancel_at_random_times(connector: &Connector, route: &Route, count: u64, within: Duration) -> Duration {
    let domain = Domain::new("example.test").unwrap();
    let ConnectorInner { settings, tls, strict, .. } = &*connector.0;
    let lateness = (0..count).map(|number| {
        let (waker, wakeups) = wait::waker().unwrap();
        // Spread evenly, in no order.
        let after = within * u32::try_from(number * 7 % count).unwrap() / u32::try_from(count).unwrap();
        thread::scope(|scope| {
            let canceller = scope.spawn(move || {
                wait::Wait::until(Deadline::after(wait::now(), after)).wait().unwrap();
                let at = wait::now();
                waker.cancel();
                at
            });
            let dialer = Dialer { domain: &domain, settings, tls, strict };
            let connect = |run: Run<'_>| Run { wakeups: Some(&wakeups), ..run }.connect(dialer, None);
            let error = connector.run(&domain, route.clone(), connect).unwrap_err();
            let returned = wait::now();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            returned - canceller.join().unwrap()
        })
    });
    lateness.max().unwrap()
}

/// Each stage with a peer that says nothing in it; and how to get there.
#[expect(clippy::disallowed_methods, reason = "the peers of a test")]
fn silent_stages() -> (Vec<(&'static str, Connector, Route)>, impl Sized) {
    let (names, server) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let to = |address: SocketAddr, tls| {
        let (host, port) = (crate::domain::Host::Address(address.ip()), address.port());
        Route::Explicit(crate::target::Server { host, port, tls })
    };
    let connector = || Connector::builder().nameservers([names.local_addr().unwrap()]).build().unwrap();
    let at = server.local_addr().unwrap();
    let stages = vec![
        ("DNS", connector(), Route::Domain),
        ("STARTTLS", connector(), to(at, TlsMode::StartTls)),
        ("TLS", connector(), to(at, TlsMode::Direct)),
    ];
    (stages, (names, server))
}

// rule D9
#[test]
fn a_cancel_ends_a_connect_in_every_stage() {
    let (stages, _peers) = silent_stages();
    for (stage, connector, route) in stages {
        let latest = cancel_at_random_times(&connector, &route, 3, Duration::from_millis(20));
        assert!(latest < SOON, "{stage}: {latest:?}");
    }
}

// rule D9
#[test]
#[ignore = "prints figures, and needs a release build and a quiet machine"]
fn a_cancelled_connect_returns_within_50_ms() {
    let (stages, _peers) = silent_stages();
    for (stage, connector, route) in stages {
        let latest = cancel_at_random_times(&connector, &route, 200, Duration::from_millis(20));
        println!("{stage}: the latest of 200 cancelled connects returned {latest:?} after it was cancelled");
        assert!(latest < Duration::from_millis(50), "{stage}");
    }
}
