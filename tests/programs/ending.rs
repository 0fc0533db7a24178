//! The bot ends cleanly on a signal, whatever it is doing.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::Program;
use crate::server::{Login, Rules, Seen};
use crate::support::{Behaviour, BlackHole, DnsServer, PATIENCE, Script, Stage, XmppServer};
use crate::world::{World, message};

/// Every limit that could end the bot instead of the signal is longer: those of connects and log-ins are 30 s, the last
/// delay in this test an hour.
const ROOM: Duration = Duration::from_secs(10);

fn assert_ends(case: &str, bot: Program, signal: Signal) {
    let start = Instant::now();
    bot.signal(signal);
    let (status, lines) = bot.wait();
    assert_eq!(status, 0, "{case}: {lines}");
    assert!(start.elapsed() < ROOM, "{case}: {:?}", start.elapsed());
}

/// How many sockets of the machine are connecting to this address of IPv4.
fn connecting_to(address: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // The remote port, and the state SYN_SENT.
    table.matches(&format!(":{:04X} 02 ", address.port())).count()
}

#[test]
fn in_a_session_it_says_goodbye() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::new();
        let server = world.server(Rules::greeting(&message("hello")));
        let dns = World::dns(&[server.address()]);
        let bot = world.bot(&dns, &[]);
        world.wait_message("hello", 1);
        assert_ends("session", bot, signal);
        world.wait("the end", 1, |seen| matches!(seen, Seen::Closed));
        world.wait("unavailable presence", 1, |seen| {
            matches!(seen, Seen::Stanza(stanza) if stanza.name() == "presence" && stanza.attr("type") == Some("unavailable"))
        });
    }
}

#[test]
fn in_every_stage_of_a_connect() {
    let world = World::new();
    let silent_dns = DnsServer::start(World::zone(&[]).on_everything(Behaviour::Silence));
    let bot = world.bot(&silent_dns, &[]);
    silent_dns.wait_queries(2);
    assert_ends("DNS", bot, Signal::TERM);

    let hole = BlackHole::new();
    let dns = World::dns(&[hole.addr()]);
    let before = connecting_to(hole.addr());
    let bot = world.bot(&dns, &[]);
    let start = Instant::now();
    while connecting_to(hole.addr()) == before {
        assert!(start.elapsed() < PATIENCE, "{:?}", bot.lines());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_ends("TCP", bot, Signal::TERM);

    let silent = XmppServer::start(Script::silent());
    let dns = World::dns(&[silent.addr()]);
    let bot = world.bot(&dns, &[]);
    silent.wait_accepted(1);
    assert_ends("TLS", bot, Signal::TERM);

    let script = Script::direct(Arc::clone(&world.tls)).until(Stage::SecureFeatures);
    let unopened = XmppServer::start(script);
    let dns = World::dns(&[unopened.addr()]);
    let bot = world.bot(&dns, &[]);
    unopened.wait_for(0, "the stream header", |record| (!record.headers.is_empty()).then_some(()));
    assert_ends("stream", bot, Signal::TERM);
}

#[test]
fn in_the_log_in() {
    let world = World::new();
    let server = world.server(Rules::login(Login::Hangs));
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &[]);
    world.wait("a log-in", 1, |seen| matches!(seen, Seen::Auth { .. }));
    assert_ends("log-in", bot, Signal::TERM);

    let world = World::new();
    let server = world.server(Rules::login(Login::HangsBefore));
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &[]);
    world.wait("a connection", 1, |seen| matches!(seen, Seen::Connected));
    assert_ends("features", bot, Signal::INT);
}

#[test]
fn while_it_waits_to_connect_again() {
    let world = World::new();
    // Nothing listens there any more.
    let address = world.server(Rules::default()).address();
    let dns = World::dns(&[address]);
    let bot = world.bot(&dns, &["--reconnect-delay", "3600"]);
    bot.wait_for("connecting again", 1);
    assert_ends("delay", bot, Signal::TERM);
}
