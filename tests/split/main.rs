//! Tests of the halves of a connection in two threads.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it has threads and a clock, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
mod peer;
mod records;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::server::ProducesTickets;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use xmpp_connect::{Connection, Connector, ReadHalf, Target, TlsMode, WriteHalf};

use given::{DOMAIN, XMPPS, builder, zone};
use peer::{Exchange, Peer, bytes};
use support::{Authority, DnsServer, End, PATIENCE, Script, ServerTls, Stage, Step, XmppServer};

/// Splits a connection to a server that takes these steps over TLS.
fn split(steps: &[Step]) -> (ReadHalf, WriteHalf, XmppServer) {
    let (connection, server) = connect(steps);
    let (read, write) = connection.split();
    (read, write, server)
}

fn connect(steps: &[Step]) -> (Connection, XmppServer) {
    let authority = Authority::new();
    let script = Script::direct(authority.server(&[DOMAIN])).until(Stage::SecureHeader);
    let server = XmppServer::start(steps.iter().cloned().fold(script, Script::then));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    let mut connection = builder(&authority, &dns).build().unwrap().connect(DOMAIN).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    (connection, server)
}

/// Sends and receives `length` bytes at the same time, with key updates of both sides under TLS 1.3.
fn exchange(length: usize, tls12: bool) {
    let authority = Authority::new();
    let server_tls = ServerTls::new(authority.issue(&[DOMAIN]));
    let (config, key_update) = if tls12 {
        (server_tls.only_tls12().config(), None)
    } else {
        (server_tls.config(), Some(length / 16))
    };
    let peer = Peer::start(config, Exchange { length, key_update });
    let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
    let target = Target::new("127.0.0.1", peer.address.port(), TlsMode::Direct).unwrap();
    let mut connection = connector.connect_to(DOMAIN, target).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    let (mut read, mut write) = connection.split();
    let (read, write) = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for offset in (0..length).step_by(100_000) {
                write.write_all(&bytes(offset, 100_000.min(length - offset))).unwrap();
            }
            write.flush().unwrap();
            write
        });
        let mut buffer = vec![0; 70_000];
        let mut received = 0;
        while received < length {
            let read = read.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the end after {received}");
            assert_eq!(buffer[..read], bytes(received, read), "at {received}");
            received += read;
        }
        (read, writer.join().unwrap())
    });
    peer.join();
    let mut connection = read.reunite(write).unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0, "close_notify");
}

// rule G2
#[test]
fn what_goes_both_ways_at_once_arrives_whole() {
    for tls12 in [false, true] {
        exchange(8 << 20, tls12);
    }
}

// rule G2
#[test]
#[ignore = "takes minutes"]
fn a_gibibyte_goes_each_way_at_once() {
    for tls12 in [false, true] {
        exchange(1 << 30, tls12);
    }
}

/// Session tickets of 16 KB.
#[derive(Debug)]
struct LargeTickets;

impl ProducesTickets for LargeTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        86_400
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![0; 16_000])
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

// rule G2: rustls joins at most 64 KiB of messages that are cut across records, as its server cuts these.
#[test]
fn a_flood_of_large_session_tickets_is_an_error_in_words() {
    let authority = Authority::new();
    let mut config = ServerConfig::clone(&authority.server(&[DOMAIN]));
    config.send_tls13_tickets = 1000;
    config.ticketer = Arc::new(LargeTickets);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, listener.accept().unwrap().0);
        // Both fail when the client closes.
        let _ = stream.write_all(&[7; 1000]);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
    let target = Target::new("127.0.0.1", port, TlsMode::Direct).unwrap();
    let mut connection = connector.connect_to(DOMAIN, target).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut read, write) = connection.split();
    let error = read.read(&mut [0; 1000]).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidData, "message buffer full"));
    drop((read, write));
    server.join().unwrap();
}

// rule G2, G1a: each kind of flood is bounded by rustls, and ends the connection with an error in words.
#[test]
fn floods_of_records_without_data_end_the_connection_and_a_few_do_not() {
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN]);
    let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
    let user_canceled = (records::ALERT, vec![1, 90]);
    let empty = (records::DATA, Vec::new());
    // One of its extensions is unknown.
    let ticket =
        [&[4, 0, 0, 24, 0, 0, 0, 9, 0, 0, 0, 0, 1, 1, 0, 1, 7, 0, 9, 0xfa, 0xfa, 0, 5][..], &[0; 5]].concat();
    let ticket = (records::HANDSHAKE, ticket);
    for (what, record, is_bounded) in
        [("warnings", user_canceled, true), ("empty records", empty, true), ("tickets", ticket, false)]
    {
        for count in [3, 10_000] {
            let mut sent = vec![record.clone(); count];
            sent.push((records::DATA, b"data".to_vec()));
            let (address, server) = records::serve(&config, sent);
            let target = Target::new("127.0.0.1", address.port(), TlsMode::Direct).unwrap();
            let mut connection = connector.connect_to(DOMAIN, target).unwrap();
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut read, write) = connection.split();
            let mut data = [0; 4];
            let result = read.read(&mut data);
            if is_bounded && count > 100 {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}: {error}");
                assert!(!error.to_string().contains("TooMany"), "debug text: {error}");
            } else {
                assert_eq!((result.unwrap(), &data), (4, b"data"), "{what}");
            }
            drop((read, write));
            server.join().unwrap();
        }
    }
}

// rule G2
#[test]
fn a_reader_that_waits_does_not_block_the_writer() {
    let (mut read, mut write, _server) = split(&[Step::Echo]);
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = read.read(&mut byte) {
            sender.send(byte[0]).unwrap();
        }
    });
    for byte in 0..100 {
        write.write_all(&[byte]).unwrap();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), byte);
    }
    write.canceller().cancel();
    reader.join().unwrap();
}

// rule G2
#[test]
fn a_writer_that_waits_does_not_block_the_reader() {
    let (mut read, mut write, _server) = split(&[Step::SendForEver(vec![7; 65_536])]);
    write.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (waits, is_waiting) = mpsc::channel();
    let writer = thread::spawn(move || {
        loop {
            if let Err(error) = write.write(&[0; 65_536]) {
                return error.kind();
            }
            waits.send(()).unwrap();
        }
    });
    is_waiting.recv_timeout(PATIENCE).unwrap();
    let (mut buffer, mut received) = (vec![0; 65_536], 0);
    while !writer.is_finished() {
        received += read.read(&mut buffer).unwrap();
    }
    assert_eq!(writer.join().unwrap(), ErrorKind::TimedOut);
    assert!(received > 65_536, "{received}");
}

// rule G2, G1
#[test]
fn limits_of_reads_and_writes_lose_nothing() {
    let sent = bytes(0, 3000);
    let (mut read, mut write, server) =
        split(&[Step::Drip(Duration::from_micros(100)), Step::send(sent.clone()), Step::Echo]);
    read.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    write.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
    assert_eq!(
        (read.read_timeout(), write.write_timeout()),
        (Some(Duration::from_millis(1)), Some(Duration::from_millis(1)))
    );
    assert_eq!(read.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(write.set_write_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    let (mut received, mut expired) = (Vec::new(), 0);
    while received.len() < sent.len() {
        let mut buffer = [0; 100];
        match read.read(&mut buffer) {
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::TimedOut => expired += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(received, sent);
    assert!(expired > 0);
    write.write_all(b"done").unwrap();
    assert!(server.wait_for(0, "the text", |record| (record.secure_bytes() == b"done").then_some(true)));
}

// rule G2, G4
#[test]
fn dropping_the_writing_half_ends_its_direction_and_the_other_goes_on() {
    let (mut read, mut write, server) = split(&[Step::Echo]);
    write.write_all(b"last words").unwrap();
    drop(write);
    let mut said = Vec::new();
    let end = read.read_to_end(&mut said);
    assert_eq!(said, b"last words");
    // The server closes when it has seen the end; whether it sends close_notify is its choice.
    assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::UnexpectedEof);
    drop(read);
    assert_eq!(server.wait_end(0).end, Some(End::CloseNotify));
}

// rule G2
#[test]
fn dropping_the_reading_half_does_not_stop_the_writer() {
    let (read, mut write, server) = split(&[]);
    drop(read);
    for _ in 0..10 {
        write.write_all(b"more ").unwrap();
    }
    write.shutdown().unwrap();
    assert_eq!(write.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(write);
    assert_eq!(server.wait_end(0).secure_bytes(), b"more ".repeat(10));
}

// rule G4
#[test]
fn a_connection_that_was_reunited_says_nothing_when_it_is_dropped() {
    let (read, write, server) = split(&[]);
    drop(read.reunite(write).unwrap());
    assert_ne!(server.wait_end(0).end, Some(End::CloseNotify));
}

// rule G2
#[test]
fn halves_of_different_connections_are_not_joined() {
    let (read, write, _server) = split(&[Step::Echo]);
    let (other_read, other_write, _other_server) = split(&[Step::Echo]);
    let error = read.reunite(other_write).unwrap_err();
    assert_eq!(error.to_string(), "the two halves are of different connections");
    let mut connection = error.read.reunite(write).unwrap();
    connection.write_all(b"a").unwrap();
    connection.read_exact(&mut [0]).unwrap();
    drop((error.write, other_read));
}

// rule G2, D9
#[test]
fn one_thread_ends_the_halves_of_two_others() {
    let (mut read, mut write, _server) = split(&[Step::SendForEver(vec![7; 1000])]);
    let canceller = read.canceller();
    thread::scope(|scope| {
        let halves = [
            scope.spawn(move || {
                loop {
                    if let Err(error) = read.read(&mut [0; 1000]) {
                        return error;
                    }
                }
            }),
            scope.spawn(move || {
                loop {
                    if let Err(error) = write.write(&[0; 1000]) {
                        return error;
                    }
                }
            }),
        ];
        thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        canceller.cancel();
        for half in halves {
            let error = half.join().unwrap();
            assert!(error.to_string().contains("cancelled"), "{error}");
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

// rule G2, G4
#[test]
fn a_cut_is_an_unexpected_end_for_the_reader_and_an_error_for_the_writer() {
    for end in [Step::Close, Step::Reset] {
        let sent = vec![7; 10_000];
        // In the middle of a record, and between records.
        for allowed in [5000, usize::MAX] {
            let (mut read, mut write, server) =
                split(&[Step::Allow(allowed), Step::send(sent.clone()), end.clone()]);
            let mut said = Vec::new();
            let error = read.read_to_end(&mut said).unwrap_err();
            let is_cut =
                error.kind() == ErrorKind::UnexpectedEof && error.to_string().contains("close_notify");
            assert!(is_cut || error.kind() == ErrorKind::ConnectionReset, "{error}");
            // The error stays.
            assert_eq!(read.read(&mut [0]).unwrap_err().kind(), error.kind());
            // With a FIN alone, the server may still read.
            if matches!(end, Step::Reset) {
                while write.write(&[0; 1000]).is_ok() && write.flush().is_ok() {}
            }
            drop(server);
        }
    }
}

// rule G2
#[test]
fn a_panic_in_the_thread_of_one_half_does_not_stop_the_other() {
    let (read, mut write, server) = split(&[Step::Echo]);
    thread::spawn(move || {
        let _read = read;
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    write.write_all(b"still here").unwrap();
    assert!(
        server.wait_for(0, "the text", |record| (record.secure_bytes() == b"still here").then_some(true))
    );
}

#[test]
fn halves_can_be_sent_to_other_threads() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<ReadHalf>();
    is_send_and_sync::<WriteHalf>();
}
