//! Tests of the example programs that log in.

use std::error::Error;
use std::path::PathBuf;

use xmpp_connect::Connector;
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::presence::Presence;

use super::child::Program;
use super::echo_bot::session::{self, Account, Stop};
use super::own_server::{self, Kind, OwnServer};
use super::support::{DnsServer, Zone};
use super::{KNOT, TestResult, variable};

/// The options that lead to this name server.
fn arguments(name_server: &str, more: &[&str]) -> Result<Vec<String>, String> {
    let own = ["--nameserver", name_server, "--ca", &variable("XMPP_CONNECT_CA")?].map(str::to_owned);
    Ok(own.into_iter().chain(more.iter().map(|argument| (*argument).to_owned())).collect())
}

/// Where the second client connects, and whether it uses channel binding.
struct Friend {
    connector: Connector,
    domain: &'static str,
    channel_binding: bool,
}

impl Friend {
    /// Logs in, sends a message to the bot, and waits for the echo.
    fn talk(&self, text: &str) -> TestResult {
        let account = Account {
            jid: BareJid::new(&format!("friend@{}", self.domain))?,
            resource: None,
            password: "secret".to_owned(),
            channel_binding: self.channel_binding,
        };
        let session = session::open(&self.connector, &account, None, &Stop::default());
        let mut stream = session.map_err(|why| why.to_string())?.stream;
        let to = Jid::new(&format!("user@{}/bot", self.domain))?;
        stream.send(Presence::available())?;
        stream.send(Message::chat(to).with_body(Lang::new(), text.to_owned()))?;
        loop {
            let stanza = stream.next().map_err(|why| why.to_string())?;
            if let Ok(message) = Message::try_from(stanza) {
                let body = message.bodies.values().next().ok_or("no body")?;
                assert_eq!((message.type_, &**body), (MessageType::Chat, text));
                break;
            }
        }
        Ok(stream.close().map_err(|why| why.to_string())?)
    }
}

/// The bot is there, and answers, after each of `restarts`. Returns its memory after each.
fn restart(kind: Kind, restarts: usize, options: &[&str]) -> Result<Vec<usize>, Box<dyn Error>> {
    let mut server = OwnServer::new(kind)?;
    server.start()?;
    let ([direct, starttls], domain) = (server.ports, kind.domain());
    let host = format!("xmpp.{domain}");
    let zone = Zone::new()
        .srv(&format!("_xmpps-client._tcp.{domain}"), 1, 0, direct, &host)
        .srv(&format!("_xmpp-client._tcp.{domain}"), 2, 0, starttls, &host)
        .address(&host, &own_server::address().to_string());
    let dns = DnsServer::start(zone);
    let roots =
        CertificateDer::pem_file_iter(variable("XMPP_CONNECT_CA")?)?.collect::<Result<Vec<_>, _>>()?;
    let builder = Connector::builder().nameservers([dns.addr()]).only_roots(roots);
    let channel_binding = !options.contains(&"--no-channel-binding");
    let friend = Friend { connector: builder.build()?, domain, channel_binding };

    let jid = format!("user@{domain}/bot");
    let own = [&["--reconnect-delay", "0.1", &*jid], options].concat();
    let bot = Program::start("echo_bot", &arguments(&dns.addr().to_string(), &own)?, Some("secret"), "");
    bot.wait_for("ready", 1);
    friend.talk("the first time")?;
    let mut memory = Vec::new();
    for number in 1..=restarts {
        server.stop()?;
        bot.wait_for("no session", number);
        server.start()?;
        bot.wait_for("ready", number + 1);
        friend.talk(&format!("after restart {number}"))?;
        memory.push(bot.memory("VmRSS"));
    }
    bot.signal(rustix::process::Signal::TERM);
    let (status, lines) = bot.wait();
    assert_eq!(status, 0, "{lines}");
    Ok(memory)
}

#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_bot_survives_ten_restarts_of_prosody() -> TestResult {
    let memory = restart(Kind::Prosody, 10, &[])?;
    let (early, late) = (memory.get(2).ok_or("none")?, memory.last().ok_or("none")?);
    assert!(*late < early + 1024, "KiB after each restart: {memory:?}");
    Ok(())
}

// ejabberd 23.01 offers channel binding with TLS 1.3, but has no type for it.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_bot_survives_restarts_of_ejabberd() -> TestResult {
    restart(Kind::Ejabberd, 3, &["--no-channel-binding"])?;
    Ok(())
}

#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_wrong_password_is_refused_once() -> TestResult {
    for (jid, password) in [
        ("user@prosody.test", "wrong"),
        ("nobody@prosody.test", "secret"),
        // Neither lists types of channel binding (XEP-0440).
        ("nobody@ejabberd.test", "secret"),
    ] {
        let arguments = arguments(&variable(KNOT)?, &[jid])?;
        let (status, lines) = Program::start("echo_bot", &arguments, Some(password), "").wait();
        assert_eq!(status, 1, "{lines}");
        assert!(lines.contains("not-authorized") && !lines.contains("again"), "{lines}");
        assert!(lines.contains("--no-channel-binding"), "{lines}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn prosody_takes_a_message_and_returns_one_to_nobody() -> TestResult {
    for (to, expected) in [("user@prosody.test", 0), ("nobody@prosody.test", 1)] {
        let arguments = arguments(&variable(KNOT)?, &["user@prosody.test/sender", to])?;
        let (status, lines) = Program::start("send_message", &arguments, Some("secret"), "hello\n").wait();
        assert_eq!(status, expected, "{lines}");
    }
    Ok(())
}

// rule E6
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn both_servers_take_the_certificate_of_a_server_and_refuse_that_of_a_stranger() -> TestResult {
    let certificates = PathBuf::from(variable("XMPP_CONNECT_BENCH")?).join("certificates");
    let file = |name: &str| certificates.join(name).display().to_string();
    let start = |own: &str, other: &str| -> Result<_, Box<dyn Error>> {
        let [certificate, key] = [file(&format!("{own}.crt")), file(&format!("{own}.key"))];
        let own = ["--client-cert", &*certificate, "--client-key", &*key, "peer.test", other];
        Ok(Program::start("server_to_server", &arguments(&variable(KNOT)?, &own)?, None, "").wait())
    };
    for (other, answer) in
        [("prosody.test", "has answered the ping"), ("ejabberd.test", "has taken the ping")]
    {
        let (status, lines) = start("peer.test", other)?;
        assert_eq!(status, 0, "{lines}");
        assert!(
            lines.contains("has accepted the certificate of peer.test") && lines.contains(answer),
            "{lines}"
        );
        let (status, lines) = start("peer.stranger.test", other)?;
        assert_eq!(status, 1, "{lines}");
        assert!(lines.contains("the certificate of peer.test"), "{lines}");
    }
    Ok(())
}
