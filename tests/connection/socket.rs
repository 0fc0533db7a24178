//! Tests of the socket options of a connection.

use std::time::Duration;

use xmpp_connect::{Connector, ConnectorBuilder, ErrorKind, Target, TlsMode};

use super::{connect, connect_with, given};

// rule D11
#[test]
#[cfg(unix)]
fn the_options_of_the_socket_are_on_it() {
    let (connection, _server) = connect(&[]);
    let socket = socket2::SockRef::from(&connection);
    assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    let idle = Duration::from_secs(77);
    let options = |builder: ConnectorBuilder| builder.keep_alive(idle);
    let (connection, _server) = connect_with(TlsMode::StartTls, &[], |tls| tls, options);
    let socket = socket2::SockRef::from(&connection);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
}

// rule D11
#[test]
#[cfg(target_os = "linux")]
fn the_source_address_can_be_chosen() {
    let source = given::own_loopback(81);
    let options = |builder: ConnectorBuilder| builder.source_address(source.into());
    let (_connection, server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
    assert_eq!(server.records()[0].peer.ip(), source);
}

// rule D11, D5
#[test]
fn every_keep_alive_time_is_one_that_the_system_takes() {
    for idle in
        [Duration::from_nanos(1), Duration::from_millis(500), Duration::from_secs(40_000), Duration::MAX]
    {
        let options = |builder: ConnectorBuilder| builder.keep_alive(idle);
        let (connection, _server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
        #[cfg(unix)]
        assert_eq!(socket2::SockRef::from(&connection).keepalive().unwrap(), idle != Duration::MAX);
        drop(connection);
    }
}

// rule D11
#[test]
#[cfg(target_os = "linux")]
fn the_interface_can_be_chosen_and_one_that_is_not_there_fails_the_attempts() {
    let options = |builder: ConnectorBuilder| builder.interface("lo");
    let (connection, _server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
    assert_eq!(socket2::SockRef::from(&connection).device().unwrap().as_deref(), Some(b"lo".as_slice()));

    let connector = Connector::builder().interface("no-such-if").build().unwrap();
    let error = connector
        .connect_to("example.org", Target::new("127.0.0.1", 5223, TlsMode::Direct).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    assert!(given::chain(&error).contains("No such device"), "{error:?}");
}
