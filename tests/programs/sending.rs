//! The programs `send_message` and `server_to_server`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::child::Program;
use crate::server::{PASSWORD, Rules, Seen};
use crate::support::DnsServer;
use crate::world::{World, message};

/// Sends a text from one resource of the account to `to`.
fn send(world: &World, dns: &DnsServer, to: &str, text: &str) -> (i32, String) {
    let mut arguments = world.options(dns);
    arguments.extend(["bot@example.org/sender", to].map(str::to_owned));
    Program::start("send_message", &arguments, Some(PASSWORD), text).wait()
}

#[test]
fn the_message_has_arrived_when_the_program_ends() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    for (number, (input, body)) in
        [("hello\n", "hello"), ("two\nlines\n\n", "two\nlines\n"), ("1 < 2 & ä", "1 < 2 & ä")]
            .into_iter()
            .enumerate()
    {
        assert_eq!(send(&world, &dns, "friend@example.net", input), (0, String::new()));
        let messages = world.log.read(|log| {
            let text = |seen: &Seen| match seen {
                Seen::Stanza(stanza) if stanza.name() == "message" => {
                    Some(stanza.get_child("body", "jabber:client").unwrap().text())
                }
                _ => None,
            };
            log.iter().filter_map(text).collect::<Vec<_>>()
        });
        assert_eq!((messages.len(), &**messages.last().unwrap()), (number + 1, body));
    }
    assert_eq!(server.users(), 0);
    world.wait("closed streams", 3, |seen| matches!(seen, Seen::Closed));
}

#[test]
fn a_message_that_comes_back_is_a_failure() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let (status, lines) = send(&world, &dns, "nobody@example.org", "hello");
    assert_eq!(status, 1, "{lines}");
    assert!(lines.contains("service-unavailable"), "{lines}");
}

#[test]
fn a_text_that_cannot_be_sent_is_refused_before_the_connect() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    for (text, says) in
        [("", "no text"), ("\n", "no text"), ("a\u{1}b", "cannot express"), (&*"x".repeat(200_000), "longer")]
    {
        let (status, lines) = send(&world, &dns, "friend@example.net", text);
        assert_eq!(status, 2, "{lines}");
        assert!(lines.contains(says), "{lines}");
    }
    assert_eq!(world.count(|_| true), 0);
}

#[test]
fn a_server_that_goes_away_is_a_failure() {
    let world = World::new();
    let address = world.server(Rules::default()).address();
    let dns = World::dns(&[address]);
    let (status, lines) = send(&world, &dns, "friend@example.net", "hello");
    assert_eq!(status, 1, "{lines}");
    assert!(lines.starts_with("send_message: not sent: "), "{lines}");
}

#[test]
fn the_bot_answers_a_second_client() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &["bot@example.org/desk"]);
    bot.wait_for("ready", 1);
    server.send(message("hello").as_bytes());
    let echo = world.wait_message("hello", 1);
    assert_eq!(echo.attr("to"), Some("friend@example.net/desk"));
    // It does not answer its own account, which would be an endless conversation.
    assert_eq!(send(&world, &dns, "bot@example.org/desk", "to myself").0, 0);
    world.wait_message("to myself", 1);
    server.send(message("still there").as_bytes());
    world.wait_message("still there", 1);
    let own =
        |seen: &Seen| matches!(seen, Seen::Stanza(stanza) if String::from(stanza).contains("to myself"));
    assert_eq!(world.count(own), 1);
}

#[test]
fn the_password_may_be_in_a_file() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("password-{}", std::process::id()));
    fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    for (mode, warns) in [(0o600, false), (0o644, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mut arguments = world.options(&dns);
        let own = ["--password-file", path.to_str().unwrap(), "bot@example.org", "friend@example.net"];
        arguments.extend(own.map(str::to_owned));
        let (status, lines) = Program::start("send_message", &arguments, None, "hello").wait();
        assert_eq!((status, lines.contains("warning")), (0, warns), "{lines}");
    }
    fs::remove_file(&path).unwrap();
}
