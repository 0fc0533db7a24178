//! The bot stays: it comes back after its server has been away, and after the network has changed.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::server::{Rules, Seen, Server};
use crate::support::PATIENCE;
use crate::world::{World, message};

/// How often the server goes away.
const RESTARTS: usize = 10;
/// How much memory may grow between the third restart and the last, in KiB. A session takes about 300.
const ROOM: usize = 1024;

#[test]
fn the_bot_survives_ten_restarts_and_does_not_grow() {
    let world = World::new();
    let rules = Rules::greeting(&message("hello"));
    let mut server = world.server(rules.clone());
    let address = server.address();
    let dns = World::dns(&[address]);
    let bot = world.bot(&dns, &[]);
    world.wait_message("hello", 1);
    let before = (bot.count("fd"), bot.count("task"));
    let mut measured = Vec::new();
    for restart in 1..=RESTARTS {
        drop(server);
        bot.wait_for("no session", restart);
        server = Server::start_at(address, &world.tls, rules.clone(), &world.log);
        world.wait_message("hello", restart + 1);
        measured.push(bot.memory("VmRSS"));
    }
    let (early, late) = (measured[2], measured[RESTARTS - 1]);
    assert!(late < early + ROOM, "{measured:?}");
    // What a connect has opened may be closed a moment later.
    let start = Instant::now();
    while bot.count("fd") > before.0 || bot.count("task") > before.1 {
        assert!(start.elapsed() < PATIENCE, "more than {before:?} descriptors and threads");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(world.log_ins().iter().all(|(_, _, accepted)| *accepted));
}

#[test]
fn a_server_that_does_not_answer_a_ping_is_left() {
    let world = World::new();
    let silent = world.server(Rules { is_silent: true, ..Rules::greeting(&message("hello")) });
    let dns = World::dns(&[silent.address()]);
    let bot = world.bot(&dns, &["--ping-after", "0.3"]);
    world.wait_message("hello", 2);
    bot.wait_for("no answer to a ping", 1);
}

#[test]
fn a_server_that_answers_pings_is_kept_and_not_asked_while_it_talks() {
    let world = World::new();
    let server = world.server(Rules::greeting(&message("hello")));
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &["--ping-after", "0.2"]);
    let is_ping = |seen: &Seen| matches!(seen, Seen::Stanza(stanza) if stanza.name() == "iq" && stanza.attr("id") == Some("ping"));
    world.wait("a ping", 3, is_ping);
    // The limits are short: a busy machine may have made the bot give up once.
    assert!(!bot.lines().iter().any(|line| line.contains("no session")), "{:?}", bot.lines());
}

/// In the environment: this process is in a namespace of its own.
const INSIDE: &str = "XMPP_CONNECT_TEST_INSIDE";

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

#[test]
#[ignore = "creates a network namespace"]
fn after_a_change_of_networks_the_bot_connects_again_at_once() {
    if std::env::var(INSIDE).is_err() {
        let test = "restarts::after_a_change_of_networks_the_bot_connects_again_at_once";
        let mut again = Command::new("unshare");
        again.args(["--user", "--map-root-user", "--net", "--"]).arg(std::env::current_exe().unwrap());
        let again = again.args(["--exact", test, "--ignored", "--nocapture"]).env(INSIDE, "1");
        let output = again.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    ip("link set lo up");
    ip("address add 192.0.2.1/32 dev lo");
    let world = World::new();
    let server = Server::start_at(
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        &world.tls,
        Rules::greeting(&message("hello")),
        &world.log,
    );
    let port = server.address().port();
    let dns = World::dns(&[([192, 0, 2, 1], port).into(), ([127, 0, 0, 1], port).into()]);
    let bot = world.bot(&dns, &["--ping-after", "1", "--reconnect-delay", "3600"]);
    world.wait_message("hello", 1);
    ip("address delete 192.0.2.1/32 dev lo");
    world.wait_message("hello", 2);
    bot.wait_for("no longer has the address 192.0.2.1; connecting again in 0.0 s", 1);
}
