//! Cancelling from another thread, at every stage.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use xmpp_connect::{Canceller, Connector, Error, OpenStream};

use super::*;
use support::Behaviour;

/// "It returns within 50 ms" (rule D9).
const LATE: Duration = Duration::from_millis(50);
/// The same on a machine of any speed.
const SOON: Duration = Duration::from_secs(5);

/// A stage in which a connect is silent forever.
struct Silence {
    stage: &'static str,
    connector: Connector,
    /// Connected to in place of the servers of the domain.
    target: Option<Target>,
    _peer: Box<dyn std::any::Any>,
}

impl Silence {
    fn attempts(&self) -> xmpp_connect::Attempts {
        match &self.target {
            Some(target) => self.connector.attempts_to(DOMAIN, target.clone()).unwrap(),
            None => self.connector.attempts(DOMAIN).unwrap(),
        }
    }
}

fn silences() -> Vec<Silence> {
    let authority = Authority::new();
    let mut silences = Vec::new();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connector = Connector::builder()
        .only_roots([authority.root_der()])
        .nameservers([dns.local_addr().unwrap()])
        .open_stream(OpenStream::new())
        .build()
        .unwrap();
    let mut add = |stage, target, peer: Box<dyn std::any::Any>| {
        silences.push(Silence { stage, connector: connector.clone(), target, _peer: peer });
    };
    add("DNS", None, Box::new(dns));
    let target = |port, tls| Some(Target::new("127.0.0.1", port, tls).unwrap());
    #[cfg(target_os = "linux")]
    {
        let hole = support::BlackHole::new();
        add("TCP", target(hole.addr().port(), TlsMode::Direct), Box::new(hole));
    }
    for (stage, tls, until) in [
        ("STARTTLS, before the header", TlsMode::StartTls, Stage::Header),
        ("STARTTLS, before the features", TlsMode::StartTls, Stage::Features),
        ("STARTTLS, before <proceed/>", TlsMode::StartTls, Stage::Proceed),
        ("TLS after STARTTLS", TlsMode::StartTls, Stage::Tls),
        ("TLS", TlsMode::Direct, Stage::Tls),
        ("stream, before the header", TlsMode::Direct, Stage::SecureHeader),
        ("stream, before the features", TlsMode::StartTls, Stage::SecureFeatures),
    ] {
        let server = XmppServer::start(script(&authority, tls).until(until));
        add(stage, target(server.port(), tls), Box::new(server));
    }
    silences
}

/// Cancels after `after`, on another thread, while `block` runs. Returns how much later `block` returned, with its error.
fn cancel<E>(canceller: &Canceller, after: Duration, block: impl FnOnce() -> Result<(), E>) -> (Duration, E) {
    thread::scope(|scope| {
        let cancelled = scope.spawn(|| {
            thread::sleep(after);
            let at = Instant::now();
            canceller.cancel();
            at
        });
        let result = block();
        let returned = Instant::now();
        let Err(error) = result else { panic!("it was not cancelled") };
        (returned.saturating_duration_since(cancelled.join().unwrap()), error)
    })
}

/// Cancels a connect, and returns how late it returned.
fn cancel_connect(silence: &Silence, after: Duration) -> Duration {
    let mut attempts = silence.attempts();
    let canceller = attempts.canceller();
    let (late, error) = cancel(&canceller, after, || attempts.connect_next().map(drop));
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{}: {error}", silence.stage);
    assert!(error.report().is_some());
    // It stays so, without a wait.
    canceller.cancel();
    assert_eq!(attempts.connect_next().unwrap_err().kind(), ErrorKind::Cancelled);
    late
}

// rule D9
#[test]
fn a_connect_is_cancelled_at_every_stage() {
    for silence in silences() {
        for after in [0, 20] {
            let late = cancel_connect(&silence, Duration::from_millis(after));
            assert!(late < SOON, "{}: {late:?}", silence.stage);
        }
    }
}

// rule D9
#[test]
#[ignore = "prints figures, and needs a release build and an idle machine"]
fn of_200_cancels_the_latest_returns_within_50_ms() {
    for silence in silences() {
        let late = |number: u64| cancel_connect(&silence, Duration::from_micros(number * 7919 % 20_000));
        let latest = (0..200).map(late).max().unwrap();
        println!("{}: the latest of 200 cancelled connects returned after {latest:.1?}", silence.stage);
        assert!(latest <= LATE, "{}: {latest:?}", silence.stage);
    }
    for (what, mut block) in blocking() {
        let late = |number: u64| block(Duration::from_micros(number * 7919 % 20_000)).0;
        let latest = (0..200).map(late).max().unwrap();
        println!("{what}: the latest of 200 cancelled calls returned after {latest:.1?}");
        assert!(latest <= LATE, "{what}: {latest:?}");
    }
}

/// A read and a write that block until they are cancelled.
#[expect(clippy::type_complexity, reason = "a list of two")]
fn blocking() -> Vec<(&'static str, Box<dyn FnMut(Duration) -> (Duration, std::io::Error)>)> {
    let authority = Authority::new();
    let latch = support::Latch::new();
    let waits = script(&authority, TlsMode::Direct).until(Stage::SecureHeader).then(Step::Wait(latch));
    let server = XmppServer::start(waits);
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let connector = connector(&authority, &dns);
    let connect = move || {
        let _ = (&server, &dns);
        let connection = connector.connect(DOMAIN).unwrap();
        let canceller = connection.canceller();
        (connection, canceller)
    };
    let connect = std::rc::Rc::new(connect);
    let (reads, writes) = (std::rc::Rc::clone(&connect), connect);
    let read = move |after| {
        let (mut connection, canceller) = reads();
        cancel(&canceller, after, || connection.read(&mut [0]).map(drop))
    };
    let write = move |after| {
        let (mut connection, canceller) = writes();
        cancel(&canceller, after, || {
            loop {
                connection.write_all(&[0; 65_536])?;
            }
        })
    };
    vec![("read", Box::new(read)), ("write", Box::new(write))]
}

/// Whether it is the error of a cancelled connection, and not taken for something else.
fn assert_cancelled(error: &std::io::Error) {
    let inner = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(inner.kind(), ErrorKind::Cancelled, "{error}");
    use std::io::ErrorKind::{Interrupted, TimedOut, UnexpectedEof, WouldBlock};
    assert!(![Interrupted, TimedOut, UnexpectedEof, WouldBlock].contains(&error.kind()), "{error:?}");
}

// rule D9
#[test]
fn reads_and_writes_are_cancelled_with_an_error_of_their_own() {
    for (what, mut block) in blocking() {
        // At once, the cancel comes at any moment of the call.
        for after in std::iter::repeat_n(0, 30).chain([20]) {
            let (late, error) = block(Duration::from_millis(after));
            assert!(late < SOON, "{what}: {late:?}");
            assert_cancelled(&error);
        }
    }
}

// rule D9
#[test]
fn a_cancelled_connection_stays_cancelled_and_in_non_blocking_mode_too() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let mut connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
    talk(&mut connection);
    let canceller = connection.canceller();
    // From two threads, twice, and by a clone.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..2).for_each(|_| canceller.clone().cancel()));
        }
    });
    for nonblocking in [false, true] {
        connection.set_nonblocking(nonblocking);
        assert_cancelled(&connection.read(&mut [0]).unwrap_err());
        assert_cancelled(&connection.write(b" ").unwrap_err());
        assert_cancelled(&connection.flush().unwrap_err());
    }
    // Close does not wait for the server.
    let start = Instant::now();
    let _ = connection.close();
    assert!(start.elapsed() < SOON);
    canceller.cancel();
}

// rule D9
#[cfg(unix)]
#[test]
fn a_cancel_wakes_an_event_loop_and_leaves_the_parts_of_a_connection_alone() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let connector = connector(&authority, &dns);
    let mut connection = connector.connect(DOMAIN).unwrap();
    talk(&mut connection);
    connection.set_nonblocking(true);
    let canceller = connection.canceller();
    let (late, error) = cancel(&canceller, Duration::from_millis(20), || {
        let timeout = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&connection, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_eq!(ready, 1);
        connection.read(&mut [0]).map(drop)
    });
    assert!(late < SOON);
    assert_cancelled(&error);

    let mut connection = connector.connect(DOMAIN).unwrap();
    talk(&mut connection);
    let canceller = connection.canceller();
    let mut stream = connection.into_parts().unwrap().stream;
    canceller.cancel();
    stream.write_all(b"still here").unwrap();
    let mut echo = [0; 10];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"still here");
}

// rule D9
#[test]
fn a_canceller_that_is_kept_keeps_no_connection_open() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    let of_attempts = attempts.canceller();
    let connection = attempts.connect_next().unwrap();
    let of_connection = connection.canceller();
    drop(connection);
    server.wait_end(0);
    of_attempts.cancel();
    of_connection.cancel();
}

// rule D9
#[test]
fn the_canceller_of_attempts_also_cancels_the_connections_that_they_have_returned() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let connector = connector(&authority, &dns);
    let mut attempts = connector.attempts(DOMAIN).unwrap();
    let canceller = attempts.canceller();
    let mut connection = attempts.connect_next().unwrap();
    talk(&mut connection);
    let (late, error) = cancel(&canceller, Duration::from_millis(20), || connection.read(&mut [0]).map(drop));
    assert!(late < SOON);
    assert_cancelled(&error);
    assert_eq!(attempts.connect_next().unwrap_err().kind(), ErrorKind::Cancelled);
    // Others of the same connector go on.
    talk(&mut connector.connect(DOMAIN).unwrap());
}

// rule D9
#[test]
fn the_canceller_of_a_connector_cancels_all_that_is_in_progress_and_nothing_else() {
    let authority = Authority::new();
    let (server, silent) = (
        XmppServer::start(script(&authority, TlsMode::Direct)),
        XmppServer::start(script(&authority, TlsMode::Direct).until(Stage::Tls)),
    );
    let silent_zone = Zone::new()
        .on("silent.example", Rtype::SRV, Behaviour::Silence)
        .srv(XMPPS, 1, 1, server.port(), "a.example.org")
        .address("a.example.org", "127.0.0.1");
    let silent_zone = [Rtype::A, Rtype::AAAA]
        .into_iter()
        .fold(silent_zone, |zone, kind| zone.on("silent.example", kind, Behaviour::Silence));
    let silent_zone = ["_xmpps-client._tcp.silent.example", "_xmpp-client._tcp.silent.example"]
        .into_iter()
        .fold(silent_zone, |zone, owner| zone.on(owner, Rtype::SRV, Behaviour::Silence));
    let dns = DnsServer::start(silent_zone);
    let connector = connector(&authority, &dns);
    let canceller = connector.canceller();
    // Nothing is in progress.
    canceller.cancel();
    let mut connection = connector.connect(DOMAIN).unwrap();
    let target = || Target::new("127.0.0.1", silent.port(), TlsMode::Direct).unwrap();
    let given = std::net::TcpStream::connect(silent.addr()).unwrap();
    let (queries, accepted) = (dns.queries().len(), silent.accepted());
    thread::scope(|scope| {
        let clone = connector.clone();
        let calls: Vec<thread::ScopedJoinHandle<'_, ErrorKind>> = vec![
            scope.spawn(|| connector.connect("silent.example").unwrap_err().kind()),
            scope.spawn(move || clone.connect_to(DOMAIN, target()).unwrap_err().kind()),
            scope.spawn(|| connector.discover("silent.example").unwrap_err().kind()),
            scope.spawn(|| connector.secure(DOMAIN, given, TlsMode::Direct).unwrap_err().kind()),
        ];
        dns.wait_queries(queries + 6);
        silent.wait_accepted(accepted + 1);
        // The last of them may only be about to begin.
        while calls.iter().any(|call| !call.is_finished()) {
            canceller.cancel();
            thread::yield_now();
        }
        for call in calls {
            assert_eq!(call.join().unwrap(), ErrorKind::Cancelled);
        }
    });
    // The established connection is not in progress, and what starts later is not cancelled.
    talk(&mut connection);
    talk(&mut connector.connect(DOMAIN).unwrap());
}
