//! What the bench is built from: threads, latches, waiting; addresses where nobody answers; sockets of this process.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::client::{tcp, udp};
use super::support::{Latch, Refused, Watched, Workers, closed_udp_port};

#[test]
fn workers_are_joined_with_those_they_started() {
    let ended = Arc::new(AtomicUsize::new(0));
    let workers = Workers::new();
    let (spawner, outer, inner) = (workers.spawner(), Arc::clone(&ended), Arc::clone(&ended));
    workers.spawn("outer", move |stop| {
        // Starts the other only when it is told to stop itself.
        stop.until_open(&Latch::new()).unwrap_err();
        spawner.spawn("inner", move |stop| {
            stop.pause(Duration::from_secs(3_600)).unwrap_err();
            inner.fetch_add(1, Ordering::SeqCst);
        });
        outer.fetch_add(1, Ordering::SeqCst);
    });
    drop(workers);
    assert_eq!(ended.load(Ordering::SeqCst), 2);
}

#[test]
#[should_panic(expected = "the bench's thread culprit panicked")]
fn a_thread_that_panics_fails_the_test() {
    let workers = Workers::new();
    workers.spawn("culprit", |_| panic!("on purpose"));
    drop(workers);
}

#[test]
fn a_value_is_waited_for_until_it_is_there() {
    let watched = Arc::new(Watched::new(0));
    let other = Arc::clone(&watched);
    let thread = thread::Builder::new()
        .spawn(move || (0..10).for_each(|_| other.change(|value| *value += 1)))
        .unwrap();
    assert_eq!(watched.wait_for("ten", |value| (*value == 10).then_some("ten")), "ten");
    thread.join().unwrap();
    assert_eq!(watched.read(|value| *value), 10);
}

#[test]
fn a_refusing_address_refuses_every_time() {
    let refused = Refused::at("::1".parse().unwrap());
    for _ in 0..3 {
        assert_eq!(TcpStream::connect(refused.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_closed_udp_port_refuses_too() {
    let socket = udp();
    socket.connect(closed_udp_port()).unwrap();
    socket.send(b"question").unwrap();
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::TcpListener;

    use super::super::support::{BlackHole, process};
    use super::*;

    #[test]
    fn a_black_hole_swallows_every_connect_also_when_the_syn_is_sent_again() {
        for address in ["127.0.0.1", "::1"] {
            let hole = BlackHole::at(address.parse().unwrap());
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        // The kernel sends the SYN again after 1 s.
                        let result = TcpStream::connect_timeout(&hole.addr(), Duration::from_millis(1_300));
                        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
                    });
                }
            });
            assert_eq!(hole.connecting(), 0);
            let socket =
                socket2::Socket::new(socket2::Domain::for_address(hole.addr()), socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&hole.addr().into()).unwrap_err();
            assert_eq!(hole.connecting(), 1);
        }
    }

    #[test]
    fn sockets_to_an_address_are_counted_on_the_connecting_side_only() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            assert_eq!(process::sockets_to(address), 0);
            let one = tcp(address);
            let two = tcp(address);
            let _accepted = listener.accept().unwrap();
            assert_eq!(process::sockets_to(address), 2);
            drop(one);
            assert_eq!(process::sockets_to(address), 1);
            drop(two);
            assert_eq!(process::sockets_to(address), 0);
        }
        let server = udp();
        let client = udp();
        client.connect(server.local_addr().unwrap()).unwrap();
        assert_eq!(process::sockets_to(server.local_addr().unwrap()), 1);
        drop(client);
        assert_eq!(process::sockets_to(server.local_addr().unwrap()), 0);
    }

    #[test]
    fn descriptors_and_threads_are_counted() {
        // Other tests run beside this one, so only what is surely there is asked for.
        assert!(process::open_descriptors() >= 3);
        assert!(process::threads() >= 2);
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| while done.load(Ordering::SeqCst) == 0 {});
            let seen = (0..1_000).any(|_| process::busy_threads() > 0);
            done.store(1, Ordering::SeqCst);
            assert!(seen, "the thread that spins is busy");
        });
    }
}
