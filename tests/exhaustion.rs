//! Tests lack of file descriptors, in a separate binary with a single test, since the whole process then has none.

#![cfg(target_os = "linux")]

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xmpp_connect::{Connector, ErrorKind, Target, TlsMode};

// rule D12
#[test]
fn without_descriptors_the_connect_ends_with_that_error_and_not_with_the_servers_fault() {
    let connector = Connector::builder().nameservers(["127.0.0.1:9".parse().unwrap()]).build().unwrap();
    // It has to read resolv.conf first.
    let by_system = Connector::builder().build().unwrap();
    let limit = Rlimit { current: Some(64), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let looked_up = connector.connect("example.org").unwrap_err();
    let by_system = by_system.connect("example.org").unwrap_err();
    // Only addresses are asked for: the hosts file is read first.
    let [host, dialled] = ["host.example", "127.0.0.1"].map(|host| {
        let target = Target::new(host, 5222, TlsMode::StartTls).unwrap();
        connector.connect_to("example.org", target).unwrap_err()
    });
    drop(taken);
    for error in [looked_up, by_system, host, dialled] {
        assert_eq!(error.kind(), ErrorKind::System, "{error:?}");
        assert!(error.report().is_some() && !error.is_permanent());
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("os error 24"), "{error:?}");
    }
    // With descriptors again, the same connector works as before: the connection is refused.
    let error = connector
        .connect_to("example.org", Target::new("127.0.0.1", 9, TlsMode::StartTls).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts, "{error:?}");
}
