//! Tests of the socket options of a connection.

use std::time::Duration;

#[cfg(target_os = "linux")]
use xmpp_connect::Target;
use xmpp_connect::{Connector, ConnectorBuilder, ErrorKind, TlsMode};

#[cfg(target_os = "linux")]
use super::given;
#[cfg(target_os = "linux")]
use super::support::{Authority, Script, XmppServer};
use super::{connect, connect_with};

// rule D11
#[test]
fn the_options_of_the_socket_are_on_it() {
    let (connection, _server) = connect(&[]);
    let socket = socket2::SockRef::from(&connection);
    assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    let (idle, interval) = (Duration::from_secs(77), Duration::from_secs(7));
    let options = |builder: ConnectorBuilder| {
        builder.keep_alive(idle).keep_alive_interval(interval).keep_alive_count(3)
    };
    let (connection, _server) = connect_with(TlsMode::StartTls, &[], |tls| tls, options);
    let socket = socket2::SockRef::from(&connection);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
}

// rule D11, G6: in any order.
#[test]
#[cfg(target_os = "linux")]
fn the_probes_of_keep_alive_and_the_user_timeout_are_on_the_socket() {
    let seconds = Duration::from_secs;
    for is_first in [true, false] {
        let options = |builder: ConnectorBuilder| {
            let builder = if is_first { builder.keep_alive(seconds(60)) } else { builder };
            let builder =
                builder.user_timeout(seconds(30)).keep_alive_count(3).keep_alive_interval(seconds(7));
            if is_first { builder } else { builder.keep_alive(seconds(60)) }
        };
        let (connection, _server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
        let socket = socket2::SockRef::from(&connection);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), seconds(60));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(7));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(seconds(30)));
    }

    // Values that the system would refuse are the nearest that it takes.
    for (given, taken) in [(Duration::from_nanos(1), seconds(1)), (seconds(u64::MAX), seconds(32_767))] {
        let options = |builder: ConnectorBuilder| {
            builder
                .keep_alive(given)
                .keep_alive_interval(given)
                .keep_alive_count(u32::MAX)
                .user_timeout(given)
        };
        let (connection, _server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
        let socket = socket2::SockRef::from(&connection);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), taken);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 127);
        assert!(socket.tcp_user_timeout().unwrap().is_some());
    }
    let options = |builder: ConnectorBuilder| builder.user_timeout(Duration::MAX);
    let (connection, _server) = connect_with(TlsMode::Direct, &[], |tls| tls, options);
    assert_eq!(socket2::SockRef::from(&connection).tcp_user_timeout().unwrap(), None);
}

// rule D11
#[test]
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a caller opens the stream in its own way")]
fn a_stream_of_the_caller_gets_the_same_options() {
    let authority = Authority::new();
    let server = XmppServer::start(Script::direct(authority.server(&[given::DOMAIN])));
    let seconds = Duration::from_secs;
    let builder = Connector::builder().only_roots([authority.root_der()]).user_timeout(seconds(30));
    let connector = builder.keep_alive(seconds(60)).keep_alive_interval(seconds(7)).build().unwrap();
    let stream = std::net::TcpStream::connect(server.addr()).unwrap();
    let connection = connector.secure(given::DOMAIN, stream, TlsMode::Direct).unwrap();
    let socket = socket2::SockRef::from(&connection);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(7));
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(seconds(30)));
}

// rule D11
#[test]
fn options_that_cannot_have_an_effect_are_refused() {
    let second = Duration::from_secs(1);
    for (builder, message) in [
        (Connector::builder().keep_alive_interval(second), "apply to keep_alive, and it is not set"),
        (Connector::builder().keep_alive_count(3), "apply to keep_alive, and it is not set"),
        (Connector::builder().keep_alive(second).keep_alive_count(0), "keep_alive_count is zero"),
        (
            Connector::builder().keep_alive(second).keep_alive_interval(Duration::ZERO),
            "keep_alive_interval is zero",
        ),
        (Connector::builder().user_timeout(Duration::ZERO), "user_timeout is zero"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(message), "{error}");
    }
    // With keep-alive turned off, its details have no effect, as a program that reads them from a file expects.
    Connector::builder().keep_alive(Duration::MAX).keep_alive_count(3).build().unwrap();
}

// rule D11
#[test]
#[cfg(target_os = "linux")]
fn the_source_address_can_be_chosen() {
    let source = crate::support::addresses::own_loopback(81);
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
