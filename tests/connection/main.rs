//! Tests of the connection: reads and writes, their limits, its end, and its parts.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: it reads the clock, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
mod limits;
mod socket;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use xmpp_connect::{Connection, ConnectorBuilder, Parts, TlsMode};

use given::{DOMAIN, builder, owner, zone};
use support::{Authority, DnsServer, End, Latch, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];
/// A limit of a read or write that is reached.
const LIMIT: Duration = Duration::from_millis(300);
/// How much later it may return on a slow machine.
const ROOM: Duration = Duration::from_secs(5);

/// A connection to a server that takes these steps over TLS.
fn connect(steps: &[Step]) -> (Connection, XmppServer) {
    connect_with(TlsMode::Direct, steps, |tls| tls, |builder| builder)
}

fn connect_with(
    tls: TlsMode,
    steps: &[Step],
    server_tls: impl FnOnce(ServerTls) -> ServerTls,
    options: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
) -> (Connection, XmppServer) {
    let authority = Authority::new();
    let config = server_tls(ServerTls::new(authority.issue(&[DOMAIN]))).config();
    let script = match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    };
    let script = steps.iter().cloned().fold(script.until(Stage::SecureHeader), Script::then);
    let server = XmppServer::start(script);
    let dns = DnsServer::start(zone(&[(owner(tls), 0, server.addr())]));
    let mut connection = options(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    (connection, server)
}

/// Bytes that are nowhere the same for long.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index / 251 + index) % 256).unwrap()).collect()
}

// rule G1, G5
#[test]
fn what_is_written_arrives_and_what_is_sent_is_read() {
    for tls in MODES {
        let (mut connection, server) = connect_with(tls, &[Step::Echo], |tls| tls, |builder| builder);
        connection.write_all(b"hello").unwrap();
        let mut three = [0; 3];
        connection.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"hel");
        assert_eq!(connection.read(&mut []).unwrap(), 0, "nothing is asked for");
        connection.write_all(b" world").unwrap();
        let mut rest = [0; 8];
        connection.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"lo world");
        connection.flush().unwrap();
        let debug = format!("{connection:?}");
        assert!(debug.contains("host0.example.org") && debug.contains("TLSv1_3"), "{debug}");
        connection.close().unwrap();
        assert_eq!(server.wait_end(0).secure_bytes(), b"hello world");
    }
}

// rule G1
#[test]
fn large_transfers_are_whole_both_ways() {
    let sent = bytes(3 << 20);
    let (mut connection, _server) = connect(&[Step::Echo]);
    let mut received = Vec::new();
    for chunk in sent.chunks(100_000) {
        connection.write_all(chunk).unwrap();
        let mut echo = vec![0; chunk.len()];
        connection.read_exact(&mut echo).unwrap();
        received.extend(echo);
    }
    assert!(received == sent);

    let (mut connection, server) = connect(&[]);
    connection.write_all(&sent).unwrap();
    connection.close().unwrap();
    let record = server.wait_end(0);
    assert!(record.secure_bytes() == sent);
    assert_eq!(record.end, Some(End::CloseNotify));

    let steps = [Step::Send(sent.clone()), Step::CloseNotify, Step::Close];
    let (mut connection, _server) = connect(&steps);
    let mut received = Vec::new();
    connection.read_to_end(&mut received).unwrap();
    assert!(received == sent);
}

// rule G4
#[test]
fn a_cut_is_an_error_and_a_goodbye_is_the_end() {
    for old in [true, false] {
        let tls = |tls: ServerTls| if old { tls.only_tls12() } else { tls.only_tls13() };
        let cut = [Step::send("hello"), Step::Close];
        let (mut connection, _server) = connect_with(TlsMode::Direct, &cut, tls, |builder| builder);
        let mut hello = [0; 5];
        connection.read_exact(&mut hello).unwrap();
        for _ in 0..2 {
            let error = connection.read(&mut [0; 9]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert!(error.to_string().starts_with("the server closed the connection without"), "{error}");
        }

        let goodbye = [Step::send("hello"), Step::CloseNotify, Step::Close];
        let (mut connection, _server) = connect_with(TlsMode::Direct, &goodbye, tls, |builder| builder);
        let mut all = Vec::new();
        connection.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"hello");
        assert_eq!(connection.read(&mut [0; 9]).unwrap(), 0);
    }
}

// rule G4
#[test]
fn a_record_that_is_cut_short_and_a_reset_are_errors() {
    let half = [Step::Allow(10), Step::send("hello"), Step::Close];
    let (mut connection, _server) = connect(&half);
    assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let reset = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(reset.clone()), Step::Reset]);
    reset.open();
    for _ in 0..3 {
        assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

// rule G1a: the peer stays silent after it, so a read that waits would wait forever.
#[test]
fn a_fatal_error_of_tls_is_given_again_at_once_and_what_came_before_it_is_given_first() {
    for old in [true, false] {
        let tls = |tls: ServerTls| if old { tls.only_tls12() } else { tls.only_tls13() };
        let record = [&[23, 3, 3, 0, 64][..], &[7; 64]].concat();
        let connected = Latch::new();
        let steps = [Step::Wait(connected.clone()), Step::send("hello"), Step::SendRaw(record)];
        let (mut connection, server) = connect_with(TlsMode::Direct, &steps, tls, |builder| builder);
        connection.set_read_timeout(None).unwrap();
        connected.open();
        let mut hello = [0; 5];
        connection.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        let first = connection.read(&mut [0; 9]).unwrap_err();
        assert_eq!(first.kind(), ErrorKind::InvalidData);
        // It has received our alert.
        server.wait_end(0);
        for error in [
            connection.read(&mut [0; 9]).unwrap_err(),
            connection.write(b"not sent").unwrap_err(),
            connection.flush().unwrap_err(),
            connection.read(&mut [0; 9]).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.to_string()), (first.kind(), first.to_string()));
        }
    }
}

// rule G4
#[test]
fn close_says_goodbye_and_drop_does_not() {
    for tls in MODES {
        let options = |builder: ConnectorBuilder| builder;
        let (connection, server) = connect_with(tls, &[], |tls| tls, options);
        connection.close().unwrap();
        assert_eq!(server.wait_end(0).end, Some(End::CloseNotify));

        let (connection, server) = connect_with(tls, &[], |tls| tls.without_resumption(), options);
        drop(connection);
        assert_eq!(server.wait_end(0).end, Some(End::Closed));

        // Unread data of the peer does not keep close_notify from being sent.
        let (connection, server) = connect_with(tls, &[Step::send("unread")], |tls| tls, options);
        let said = |record: &support::Record| record.events.last().map(|_| ());
        server.wait_for(0, "what the server says", said);
        connection.close().unwrap();
        assert_eq!(server.wait_end(0).end, Some(End::CloseNotify));
    }
}

// rule G4
#[test]
fn close_waits_for_close_notify_of_the_server_and_no_longer() {
    let never = || Step::Wait(Latch::new());
    let limit = Duration::from_secs(1);
    for (steps, is_awaited) in [(vec![Step::CloseNotify, never()], false), (vec![never()], true)] {
        let (connection, _server) = connect(&steps);
        let start = std::time::Instant::now();
        connection.close().unwrap();
        assert_eq!(start.elapsed() >= limit, is_awaited, "{:?}", start.elapsed());
    }
}

// rule G4
#[test]
fn after_a_shutdown_the_server_can_be_read_to_its_end_and_nothing_written() {
    for tls in MODES {
        let end = Latch::new();
        let steps = [Step::Wait(end.clone()), Step::send("last words"), Step::CloseNotify];
        let (mut connection, server) = connect_with(tls, &steps, |tls| tls, |builder| builder);
        connection.write_all(b"bye").unwrap();
        // A second call is harmless.
        connection.shutdown().unwrap();
        connection.shutdown().unwrap();
        assert_eq!(connection.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        connection.flush().unwrap();
        end.open();
        let mut rest = String::new();
        connection.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "last words");
        let record = server.wait_end(0);
        assert_eq!((record.secure_bytes(), record.end), (b"bye".to_vec(), Some(End::CloseNotify)));
    }
}

// rule G4
#[test]
fn a_shutdown_in_non_blocking_mode_goes_on_when_there_is_room() {
    let reads = Latch::new();
    let (mut connection, server) = connect(&[Step::Wait(reads.clone())]);
    connection.set_nonblocking(true);
    let mut written = 0;
    let chunk = bytes(65_536);
    while let Ok(taken) = connection.write(&chunk) {
        written += taken;
        assert!(written < 1 << 28, "no end");
    }
    assert_eq!(connection.shutdown().unwrap_err().kind(), ErrorKind::WouldBlock);
    reads.open();
    let deadline = std::time::Instant::now() + PATIENCE;
    while let Err(error) = connection.shutdown() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(std::time::Instant::now() < deadline, "it does not leave");
        std::thread::sleep(Duration::from_millis(5));
    }
    let record = server.wait_end(0);
    assert_eq!((record.secure_bytes().len(), record.end), (written, Some(End::CloseNotify)));
}

// rule G5
#[test]
fn its_facts_are_those_of_the_socket_and_of_the_handshake() {
    let (mut connection, server) = connect(&[]);
    assert!(connection.local_addr().unwrap().ip().is_loopback());
    assert_eq!(
        server.wait_for(0, "the client", |record| Some(record.peer)),
        connection.local_addr().unwrap()
    );
    assert_eq!(connection.protocol_version().to_string(), "TLS 1.3");
    assert!(connection.cipher_suite().to_string().starts_with("TLS_"));
    assert_eq!(connection.certificate().unwrap().chain().len(), 1);
    assert_eq!((connection.read_timeout(), connection.write_timeout()), (Some(PATIENCE), Some(PATIENCE)));
    connection.set_read_timeout(None).unwrap();
    assert_eq!(connection.read_timeout(), None);
    #[cfg(unix)]
    {
        use std::os::fd::{AsFd, AsRawFd};
        assert_eq!(connection.as_raw_fd(), connection.as_fd().as_raw_fd());
    }
}

// rule G4
#[test]
fn after_the_goodbye_of_the_far_end_it_can_still_be_written_to() {
    let (mut connection, server) = connect(&[Step::CloseNotify]);
    assert_eq!(connection.read(&mut [0; 9]).unwrap(), 0);
    connection.write_all(b"one thing more").unwrap();
    connection.close().unwrap();
    let record = server.wait_end(0);
    assert_eq!((record.secure_bytes(), record.end), (b"one thing more".to_vec(), Some(End::CloseNotify)));
}

// rule G1
#[test]
fn the_parts_are_a_stream_that_works_and_the_report() {
    for tls in MODES {
        let (connection, server) = connect_with(tls, &[Step::Echo], |tls| tls, |builder| builder);
        let Parts { mut stream, read_ahead, report, .. } = connection.into_parts().unwrap();
        assert_eq!((read_ahead.len(), report.attempts().len()), (0, 1));
        assert_eq!(stream.sock.peer_addr().unwrap(), server.addr());
        stream.write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        drop(stream);
        assert_eq!(server.wait_end(0).end, Some(End::CloseNotify));
    }
}

// rule G1
#[test]
#[cfg(unix)]
fn a_loop_of_the_callers_own_gets_would_block_and_a_descriptor_to_wait_for() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::AsFd;

    let speak = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(speak.clone()), Step::send("hello"), Step::Echo]);
    connection.set_nonblocking(true);
    // The limits only apply to calls that wait.
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
    speak.open();
    let mut received = Vec::new();
    while received.len() < 5 {
        let timeout = Timespec::try_from(PATIENCE).unwrap();
        let descriptor = connection.as_fd();
        assert_eq!(poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)).unwrap(), 1);
        let mut buffer = [0; 9];
        match connection.read(&mut buffer) {
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(received, b"hello");
    connection.set_nonblocking(false);
    connection.write_all(b"again").unwrap();
    connection.read_exact(&mut received).unwrap();
    assert_eq!(received, b"again");
}

// rule G1
#[test]
fn a_full_buffer_gives_would_block_and_what_was_taken_leaves_with_the_next_flush() {
    let read = Latch::new();
    let (mut connection, server) = connect(&[Step::Wait(read.clone())]);
    connection.set_nonblocking(true);
    let source = bytes(64 << 20);
    let mut taken = 0;
    let error = loop {
        match connection.write(&source[taken..taken + 100_000]) {
            Ok(written) => taken += written,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(connection.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    read.open();
    connection.set_nonblocking(false);
    connection.close().unwrap();
    assert!(server.wait_end(0).secure_bytes() == source[..taken]);
}

// rule G2, G1
#[test]
fn new_keys_of_the_far_end_are_taken_and_answered() {
    let steps = [
        Step::send("one"),
        Step::RefreshKeys,
        Step::send("two"),
        Step::RefreshKeys,
        Step::RefreshKeys,
        Step::send("three"),
        Step::Echo,
    ];
    let only_tls13 = |tls: ServerTls| tls.only_tls13();
    let (mut connection, server) = connect_with(TlsMode::Direct, &steps, only_tls13, |builder| builder);
    let mut read = [0; 11];
    connection.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"onetwothree");
    connection.write_all(b"four").unwrap();
    connection.read_exact(&mut read[..4]).unwrap();
    assert_eq!(&read[..4], b"four");
    connection.close().unwrap();
    assert_eq!(server.wait_end(0).secure_bytes(), b"four");
}

// rule G1
#[test]
fn a_connection_goes_to_another_thread() {
    fn crosses<T: Send + Sync>(value: T) -> T {
        value
    }
    let (connection, _server) = connect(&[Step::Echo]);
    let mut connection = crosses(connection);
    std::thread::scope(|scope| scope.spawn(|| connection.write_all(b"hello").unwrap()).join().unwrap());
    let mut hello = [0; 5];
    connection.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}
