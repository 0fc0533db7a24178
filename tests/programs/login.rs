//! How the bot logs in, and what it does when it cannot.

use std::sync::Arc;

use rustix::process::Signal;

use crate::child::Program;
use crate::server::{Login, Rules, Seen};
use crate::support::{Script, Stage, Step, XmppServer};
use crate::world::{World, message};

/// The log-ins with these mechanisms and types of channel binding.
fn log_ins(rules: Rules, more: &[&str]) -> Vec<(String, Option<char>, bool)> {
    let world = World::new();
    let server = world.server(rules);
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, more);
    bot.wait_for("ready as bot@example.org/chosen", 1);
    bot.signal(Signal::TERM);
    assert_eq!(bot.wait().0, 0);
    world.log_ins()
}

#[test]
fn the_strongest_mechanism_is_used_and_channel_binding_stated_truthfully() {
    let all = &["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    for (rules, options, mechanism, flag) in [
        (Rules::mechanisms(all, &["tls-exporter"]), &[][..], "SCRAM-SHA-256-PLUS", Some('p')),
        // No list: TLS 1.3 means tls-exporter.
        (Rules::mechanisms(all, &[]), &[], "SCRAM-SHA-256-PLUS", Some('p')),
        // The server knows only what we do not.
        (Rules::mechanisms(all, &["tls-unique"]), &[], "SCRAM-SHA-256", Some('n')),
        (Rules::mechanisms(all, &["tls-exporter"]), &["--no-channel-binding"], "SCRAM-SHA-256", Some('n')),
        // No channel binding at all: `y`, so that the server would notice if somebody has removed it.
        (Rules::mechanisms(&["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], &[]), &[], "SCRAM-SHA-256", Some('y')),
        (Rules::mechanisms(&["PLAIN", "SCRAM-SHA-1"], &[]), &[], "SCRAM-SHA-1", Some('y')),
        (Rules::mechanisms(&["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], &[]), &[], "SCRAM-SHA-1-PLUS", Some('p')),
        (Rules::mechanisms(&["PLAIN"], &[]), &[], "PLAIN", Some('\0')),
    ] {
        let case = format!("{rules:?}");
        assert_eq!(log_ins(rules, options), [(mechanism.to_owned(), flag, true)], "{case}");
    }
}

#[test]
fn wrong_credentials_end_the_bot_after_one_try() {
    for (rules, arguments, password) in [
        (Rules::default(), &[][..], "wrong"),
        (Rules::default(), &["nobody@example.org"], "secret"),
        (Rules::mechanisms(&["PLAIN"], &[]), &[], "wrong"),
        (Rules::login(Login::Fails("account-disabled")), &[], "secret"),
        (Rules::login(Login::Fails("credentials-expired")), &[], "secret"),
    ] {
        let world = World::new();
        let (server, other) = (world.server(rules), world.server(Rules::default()));
        let dns = World::dns(&[server.address(), other.address()]);
        let (status, lines) = world.bot_with(&dns, password, arguments).wait();
        assert_eq!(status, 1, "{lines}");
        assert!(lines.contains("cannot log in"), "{lines}");
        assert!(!lines.contains(password) || password == "wrong", "{lines}");
        assert_eq!(
            (world.log_ins().len(), world.count(|seen| matches!(seen, Seen::Connected))),
            (1, 1),
            "{lines}"
        );
    }
}

#[test]
fn a_server_that_is_of_no_use_is_passed_over() {
    let unusable = [
        Rules::login(Login::Fails("temporary-auth-failure")),
        Rules::login(Login::Fails("mechanism-too-weak")),
        Rules::login(Login::Fails("an-unknown-condition")),
        Rules::login(Login::Pretends),
        Rules::login(Login::Iterates(u32::MAX)),
        Rules::login(Login::Error(
            "<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".to_owned(),
        )),
        Rules::mechanisms(&["EXTERNAL"], &[]),
    ];
    for rules in unusable {
        let case = format!("{rules:?}");
        let world = World::new();
        let (useless, useful) = (world.server(rules), world.server(Rules::greeting(&message("hello"))));
        let dns = World::dns(&[useless.address(), useful.address()]);
        let bot = world.bot(&dns, &[]);
        world.wait_message("hello", 1);
        assert_eq!((useless.users(), useful.users()), (0, 1), "{case}");
        assert!(!bot.lines().iter().any(|line| line.contains("again")), "{case}: {:?}", bot.lines());
    }
}

#[test]
fn redirections_are_followed() {
    let world = World::new();
    let other = world.server(Rules::greeting(&message("hello")));
    let error = format!(
        "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{}</see-other-host>",
        other.address()
    );
    // During the log-in, in the session, and while the stream is opened.
    let in_session = format!("<stream:error>{error}</stream:error></stream:stream>");
    let first = world.server(Rules::login(Login::Error(error.clone())));
    let second = world.server(Rules::greeting(&in_session));
    let script = Script::direct(Arc::clone(&world.tls));
    let script = script.instead(Stage::SecureFeatures, &[Step::send(&*in_session)]);
    let third = XmppServer::start(script);
    for (number, address) in [first.address(), second.address(), third.addr()].into_iter().enumerate() {
        let dns = World::dns(&[address]);
        let bot = world.bot(&dns, &[]);
        world.wait_message("hello", number + 1);
        bot.signal(Signal::TERM);
        assert_eq!(bot.wait().0, 0);
    }
}

#[test]
fn a_taken_resource_is_given_up_for_another() {
    let world = World::new();
    let server = world.server(Rules { keeps_resources: true, ..Rules::default() });
    let dns = World::dns(&[server.address()]);
    let first = world.bot(&dns, &["bot@example.org/desk"]);
    first.wait_for("ready as bot@example.org/desk", 1);
    let second = world.bot(&dns, &["bot@example.org/desk"]);
    second.wait_for("ready as bot@example.org/chosen", 1);
}

#[test]
fn wrong_usage_shows_the_usage() {
    let start = |name: &str, arguments: &[&str], password| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
        Program::start(name, &arguments, password, "hello").wait()
    };
    for (name, arguments, password, says) in [
        ("echo_bot", &[][..], Some("secret"), "arguments: 1 expected, 0 given"),
        ("echo_bot", &["bot@example.org"], None, "the password is missing"),
        ("echo_bot", &["bot@example.org"], Some(""), "the password is empty"),
        ("echo_bot", &["example.org"], Some("secret"), "no account"),
        ("echo_bot", &["bot@"], Some("secret"), "no JID"),
        ("echo_bot", &["bot@example.org", "--password", "secret"], None, "no option --password"),
        ("echo_bot", &["bot@example.org", "--ca", "/dev/null"], Some("secret"), "a PEM file"),
        ("echo_bot", &["bot@example.org", "--nameserver", "x"], Some("secret"), "--nameserver takes"),
        ("echo_bot", &["bot@example.org", "--password-file", "/nowhere"], None, "cannot read"),
        ("echo_bot", &["bot@example.org", "--ping-after", "0"], Some("secret"), "seconds above 0"),
        ("send_message", &[], Some("secret"), "arguments: 2 expected"),
        ("send_message", &["a@example.org", "@"], Some("secret"), "no JID"),
        ("server_to_server", &["a.example", "b.example"], None, "--client-key are needed"),
    ] {
        let (status, lines) = start(name, arguments, password);
        assert_eq!(status, 2, "{lines}");
        assert!(lines.contains(says) && lines.contains("usage: "), "{lines}");
    }
}
