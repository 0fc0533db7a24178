//! Tests of the time limits of reads and writes: the peer cannot extend them, and one direction does not stop the other.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use xmpp_connect::Connection;

use super::support::{End, Latch, PATIENCE, Step};
use super::{LIMIT, ROOM, bytes, connect};

/// Uses the connection. Asserts that this succeeds, or takes its limit and then fails with `TimedOut`.
#[track_caller]
fn within_limit(use_connection: impl FnOnce() -> std::io::Result<usize>) -> Option<usize> {
    let started = Instant::now();
    let result = use_connection();
    let took = started.elapsed();
    let error = match result {
        Ok(length) => return Some(length),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(took >= LIMIT && took < LIMIT + ROOM, "{took:?}");
    None
}

/// Writes from `source` until nothing more can be sent for the time of several limits: a busy kernel enlarges its buffers
/// late, and lets a little through when TCP probes the full window. Returns how much of `source` was taken; some of it is
/// unsent, since a flush has run into its limit.
fn fill(connection: &mut Connection, source: &[u8]) -> usize {
    connection.set_write_timeout(Some(LIMIT)).unwrap();
    let (mut taken, mut timeouts) = (0, 0);
    while timeouts < 3 {
        match within_limit(|| connection.write(source.get(taken..taken + 100_000).unwrap())) {
            Some(written) => (taken, timeouts) = (taken + written, 0),
            None if within_limit(|| connection.flush().map(|()| 0)).is_some() => timeouts = 0,
            None => timeouts += 1,
        }
    }
    taken
}

// rule G1
#[test]
fn a_read_times_out_and_the_connection_lives_on() {
    let speak = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(speak.clone()), Step::send("hello")]);
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    for _ in 0..2 {
        assert_eq!(within_limit(|| connection.read(&mut [0; 16])), None);
    }
    speak.open();
    connection.set_read_timeout(None).unwrap();
    let mut hello = [0; 5];
    connection.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

// rule G1
#[test]
fn a_dripping_peer_does_not_renew_the_limit_of_a_read() {
    let pace = Duration::from_millis(20);
    let text = "a".repeat(40);
    let (mut connection, _server) = connect(&[Step::Drip(pace), Step::send(&*text), Step::send("b")]);
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    // A record with 40 bytes of data has 62 bytes, so it takes more than four times the limit.
    assert_eq!(within_limit(|| connection.read(&mut [0; 100])), None);
    assert_eq!(within_limit(|| connection.read(&mut [0; 100])), None);
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = vec![0; 41];
    connection.read_exact(&mut all).unwrap();
    assert_eq!(all, [&*text, "b"].concat().as_bytes());
}

// rule G1
#[test]
fn a_write_times_out_and_nothing_that_was_taken_is_lost() {
    let read = Latch::new();
    let (mut connection, server) = connect(&[Step::Wait(read.clone())]);
    let source = bytes(64 << 20);
    let taken = fill(&mut connection, &source);
    // What a write took that ran into its limit would come twice.
    read.open();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(b"the end").unwrap();
    connection.close().unwrap();
    let record = server.wait_end(0);
    assert_eq!(record.end, Some(End::CloseNotify));
    assert!(record.secure_bytes() == [&source[..taken], b"the end"].concat());
}

// rule G1, D5
#[test]
fn a_timeout_of_zero_is_refused() {
    let (mut connection, _server) = connect(&[]);
    for error in [
        connection.set_read_timeout(Some(Duration::ZERO)).unwrap_err(),
        connection.set_write_timeout(Some(Duration::ZERO)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    // No limit, and no overflow.
    connection.set_read_timeout(Some(Duration::MAX)).unwrap();
    connection.set_write_timeout(Some(Duration::MAX)).unwrap();
    connection.write_all(b"x").unwrap();
}

// rule G1
#[test]
#[cfg(unix)]
fn a_write_ends_at_its_limit_also_when_the_socket_has_room_for_a_little() {
    let read = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(read.clone())]);
    // A socket that is ready takes some bytes, not a whole record of 16 KiB.
    socket2::SockRef::from(&connection).set_send_buffer_size(4608).unwrap();
    connection.set_write_timeout(Some(LIMIT)).unwrap();
    let bytes = bytes(64 << 10);
    loop {
        let started = Instant::now();
        let result = connection.write(&bytes);
        assert!(started.elapsed() < LIMIT + ROOM, "{:?}", started.elapsed());
        if let Err(error) = result {
            break assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        }
    }
    read.open();
}

// rule G1
#[test]
fn a_read_does_not_wait_for_what_could_not_be_written() {
    let (write, end) = (Latch::new(), Latch::new());
    let steps = [Step::Wait(write.clone()), Step::send("hello"), Step::Wait(end.clone())];
    let (mut connection, _server) = connect(&steps);
    fill(&mut connection, &bytes(64 << 20));
    write.open();
    let mut hello = [0; 5];
    connection.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    end.open();
}

// rule G4, D5
#[test]
fn close_does_not_wait_for_ever_for_a_peer_that_does_not_read() {
    let read = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(read.clone())]);
    fill(&mut connection, &bytes(64 << 20));
    connection.set_write_timeout(None).unwrap();
    let started = Instant::now();
    assert_eq!(connection.close().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(1) + ROOM, "{:?}", started.elapsed());
    read.open();
}

/// A limit that expires before anything can happen.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// Waits until data of the peer has arrived at the socket.
#[cfg(unix)]
fn wait_for_bytes(connection: &Connection) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut [PollFd::new(connection, PollFlags::IN)], Some(&timeout)).unwrap(), 1);
}

// rule G1a
#[test]
#[cfg(unix)]
fn bytes_that_are_there_are_given_however_short_the_limit_is() {
    for length in [5, 16 << 10] {
        let sent = bytes(length);
        let server_tls = |tls: super::support::ServerTls| tls.without_resumption();
        let steps = [Step::Send(sent.clone())];
        let (mut connection, server) =
            super::connect_with(super::TlsMode::Direct, &steps, server_tls, |builder| builder);
        connection.set_read_timeout(Some(AT_ONCE)).unwrap();
        server.wait_for(0, "what the server says", |record| {
            let wrote = |event: &_| matches!(event, super::support::Event::Wrote(_));
            record.events.iter().any(wrote).then_some(())
        });
        wait_for_bytes(&connection);
        let mut received = Vec::new();
        let mut timed_out = 0;
        while received.len() < length {
            let mut buffer = vec![0; length];
            match connection.read(&mut buffer) {
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                // Only for data that has not arrived yet: a record whose end is in transit.
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                    timed_out += 1;
                    assert!(timed_out <= length / 100, "{length} bytes were not given {timed_out} times");
                    wait_for_bytes(&connection);
                }
            }
        }
        assert!(received == sent);
        // The limit still applies.
        assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

// rule G1a
#[test]
fn a_write_for_which_there_is_room_is_taken_however_short_the_limit_is() {
    let (mut connection, server) = connect(&[]);
    connection.set_write_timeout(Some(AT_ONCE)).unwrap();
    for _ in 0..20 {
        connection.write_all(b"hello").unwrap();
        connection.flush().unwrap();
    }
    connection.set_write_timeout(None).unwrap();
    connection.close().unwrap();
    assert_eq!(server.wait_end(0).secure_bytes(), b"hello".repeat(20));
}

// rule G1a
#[test]
fn limits_have_no_effect_in_non_blocking_mode() {
    let read = Latch::new();
    let (mut connection, _server) = connect(&[Step::Wait(read.clone())]);
    connection.set_read_timeout(Some(AT_ONCE)).unwrap();
    connection.set_write_timeout(Some(AT_ONCE)).unwrap();
    connection.set_nonblocking(true);
    assert_eq!(connection.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let bytes = bytes(64 << 10);
    let error = loop {
        if let Err(error) = connection.write(&bytes) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(connection.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    read.open();
}
