//! Tests of whole connects with unusual files in place of the system's.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::*;
use crate::dns::cache::Caching;
use crate::dns::stub::Stub;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::stub::system::SystemConfig;
use crate::dns::testing::{TemporaryDirectory, make_fifo};
use crate::settings::SocketOptions;
use crate::shared::Names;
use crate::wait;

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
    let connector = connector(SystemConfig::given_with_hosts(config, &lines), Duration::from_secs(600));
    let target = Target::new("host.example.test", 9, TlsMode::Direct).unwrap();
    let error = connector.connect_to("example.test", target).unwrap_err();
    assert_eq!(error.report().unwrap().attempts().len(), 1, "{error}");
}

// rule B12, D15
#[test]
#[expect(clippy::disallowed_methods, reason = "the caller and the server of a test")]
fn a_connector_remembers_addresses_that_it_has_connected_to_until_its_cache_is_cleared() {
    // Nobody answers: TLS fails at its limit.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let limit = Duration::from_millis(20);
    let connector = Connector::builder().handshake_timeout(limit).build().unwrap();
    let knows = |connector: &Connector| format!("{:?}", connector.0.history()).contains(&address.to_string());

    let given = TcpStream::connect(address).unwrap();
    connector.secure("example.test", given, TlsMode::Direct).unwrap_err();
    assert!(!knows(&connector), "a stream of the caller may lead anywhere");

    let target = Target::new("127.0.0.1", address.port(), TlsMode::Direct).unwrap();
    connector.clone().connect_to("example.test", target).unwrap_err();
    assert!(knows(&connector));
    let holds_the_lock = || {
        panic::catch_unwind(AssertUnwindSafe(|| {
            let _history = connector.0.history();
            panic::resume_unwind(Box::new("a panic"));
        }))
    };
    holds_the_lock().unwrap_err();
    assert!(knows(&connector));
    connector.clear_cache();
    assert!(!knows(&connector));
}
