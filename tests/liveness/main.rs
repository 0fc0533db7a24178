//! Tests of what is known of whether a connection is alive (rule G6): on loopback, and in network namespaces.
//!
//! Those in namespaces need a system that lets this user create them, and the commands `unshare`, `nsenter` and `ip`:
//! `cargo test --test liveness -- --ignored`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: it reads the clock, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[cfg(target_os = "linux")]
mod namespaces;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod vanishing;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use xmpp_connect::{Connection, Connector, ConnectorBuilder, Doubt, Target, TlsMode};

use given::DOMAIN;
use support::{Authority, Latch, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

/// A server on loopback that takes these steps over TLS, and a connection to it.
fn connect(steps: &[Step]) -> (Connection, XmppServer) {
    connect_with(steps, |builder| builder)
}

fn connect_with(
    steps: &[Step],
    options: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
) -> (Connection, XmppServer) {
    let authority = Authority::new();
    let script = Script::direct(ServerTls::new(authority.issue(&[DOMAIN])).config());
    let script = steps.iter().cloned().fold(script.until(Stage::SecureHeader), Script::then);
    let server = XmppServer::start(script);
    let connector = options(Connector::builder().only_roots([authority.root_der()])).build().unwrap();
    let target = Target::new("127.0.0.1", server.port(), TlsMode::Direct).unwrap();
    let mut connection = connector.connect_to(DOMAIN, target).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    (connection, server)
}

/// Sends something to a server that echoes it, and reads the echo.
fn echo(connection: &mut Connection) {
    connection.write_all(b"echo").unwrap();
    let mut echo = [0; 4];
    connection.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"echo");
}

// rule G6
#[test]
fn a_connection_that_works_is_in_no_doubt() {
    let (mut connection, _server) = connect(&[Step::Echo]);
    for _ in 0..3 {
        let started = Instant::now();
        echo(&mut connection);
        let liveness = connection.liveness();
        assert_eq!(liveness.doubt(), None, "{liveness:?}");
        assert!(!liveness.has_ended && !liveness.has_slept && liveness.gone_address.is_none());
        assert!(liveness.since_read <= liveness.since_written, "the echo came last");
        assert!(liveness.since_written <= started.elapsed());
        if cfg!(target_os = "linux") {
            assert_eq!(liveness.unacknowledged, Some(Duration::ZERO));
        }
    }
    let before = connection.liveness();
    let (read, write) = connection.split();
    assert!(read.liveness().since_read >= before.since_read);
    assert!(write.liveness().since_written >= before.since_written);
}

// rule G6
#[test]
fn a_connection_that_was_reset_has_ended_before_it_is_read() {
    let reset = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(reset.clone()), Step::Reset]);
    assert_eq!(connection.liveness().doubt(), None);
    reset.open();
    let started = Instant::now();
    while connection.liveness().doubt() != Some(Doubt::Ended) {
        assert!(started.elapsed() < PATIENCE, "{:?}", connection.liveness());
    }
    // To ask has not consumed the error.
    assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(connection.liveness().doubt(), Some(Doubt::Ended));
}

// rule G6: the peer's system is alive, and acknowledges what it has no room for.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_does_not_read_is_alive() {
    let (mut connection, _server) = connect(&[Step::Wait(Latch::new())]);
    connection.set_nonblocking(true);
    while connection.write(&[b' '; 65_536]).is_ok() {}
    // Longer than the limit after which data is in doubt.
    let until = Instant::now() + Duration::from_millis(3_500);
    while Instant::now() < until {
        let liveness = connection.liveness();
        assert_eq!(liveness.doubt(), None, "{liveness:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
