//! What the bot gets to read in a session, and what it makes of it.

use rustix::process::Signal;

use crate::server::{Rules, Seen};
use crate::world::{World, message};

/// What memory a 1 MiB message may cost at most, in KiB.
const ROOM: usize = 4096;

/// Whether the bot has sent back a stanza with this error.
fn is_error(seen: &Seen, condition: &str) -> bool {
    let Seen::Stanza(stanza) = seen else { return false };
    let error = stanza.get_child("error", "jabber:client");
    error.is_some_and(|error| error.has_child(condition, "urn:ietf:params:xml:ns:xmpp-stanzas"))
}

#[test]
fn a_stanza_may_be_cut_anywhere() {
    let text = message("1 &lt; 2 ä");
    for length in [1, 2, 3, text.len() / 2] {
        let world = World::new();
        let server = world.server(Rules::greeting_in_pieces(&text, length));
        let dns = World::dns(&[server.address()]);
        let _bot = world.bot(&dns, &[]);
        let echo = world.wait_message("1 < 2 ä", 1);
        assert_eq!(echo.attr("to"), Some("friend@example.net/desk"), "{length}");
    }
}

#[test]
fn a_message_of_1_mib_is_refused_without_being_kept() {
    let world = World::new();
    let long = "x".repeat(1 << 20);
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &[]);
    bot.wait_for("ready", 1);
    server.send(message("first").as_bytes());
    world.wait_message("first", 1);
    let before = bot.memory("VmHWM");
    for number in 1..=3 {
        server.send(message(&long).as_bytes());
        world.wait("a refusal", number, |seen| is_error(seen, "policy-violation"));
    }
    // The session goes on.
    server.send(message("last").as_bytes());
    world.wait_message("last", 1);
    assert_eq!(world.log_ins().len(), 1);
    let after = bot.memory("VmHWM");
    assert!(after < before + ROOM, "{before} KiB before, {after} KiB after");
}

#[test]
fn an_entity_bomb_and_other_bad_xml_cost_the_session_and_no_memory() {
    let bomb = "<!DOCTYPE bomb [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>";
    for bad in [bomb, "<message><body>&bomb;</body></message>", "</message>", "<x:y/>", "\u{0}"] {
        let world = World::new();
        let server = world.server(Rules::default());
        let dns = World::dns(&[server.address()]);
        let bot = world.bot(&dns, &[]);
        bot.wait_for("ready", 1);
        server.send(bad.as_bytes());
        bot.wait_for("not the XML of XMPP", 1);
        world.wait("a stream error", 1, |seen| {
            matches!(seen, Seen::Stanza(stanza) if stanza.has_child("not-well-formed", "urn:ietf:params:xml:ns:xmpp-streams"))
        });
        bot.wait_for("ready", 2);
        server.send(message("hello").as_bytes());
        world.wait_message("hello", 1);
        assert!(bot.memory("VmHWM") < 64 * 1024);
    }
}

#[test]
fn stream_errors_are_shown_and_the_bot_comes_back() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &[]);
    for (number, condition) in ["system-shutdown", "policy-violation", "reset"].into_iter().enumerate() {
        bot.wait_for("ready", number + 1);
        let error = format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        );
        server.send(error.as_bytes());
        bot.wait_for(condition, 1);
    }
    bot.wait_for("ready", 4);
}

#[test]
fn a_conflict_of_resources_ends_the_bot_that_has_lost_it() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let first = world.bot(&dns, &["bot@example.org/desk"]);
    first.wait_for("ready", 1);
    let second = world.bot(&dns, &["bot@example.org/desk"]);
    let (status, lines) = first.wait();
    assert_eq!(status, 1);
    assert!(lines.contains("another program has logged in with this resource"), "{lines}");
    server.send(message("hello").as_bytes());
    world.wait_message("hello", 1);
    second.signal(Signal::TERM);
    assert_eq!(second.wait().0, 0);
}

#[test]
fn requests_are_answered() {
    let world = World::new();
    let server = world.server(Rules::default());
    let dns = World::dns(&[server.address()]);
    let bot = world.bot(&dns, &[]);
    bot.wait_for("ready", 1);
    server.send(b"<iq from='a@example.net' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
    server.send(b"<iq from='a@example.net' id='2' type='get'><query xmlns='jabber:iq:version'/></iq>");
    world.wait("the answer to a ping", 1, |seen| {
        matches!(seen, Seen::Stanza(stanza) if stanza.attr("id") == Some("1") && stanza.attr("type") == Some("result"))
    });
    world.wait("a refusal", 1, |seen| is_error(seen, "service-unavailable"));
}
