//! Sends one message, which it reads from standard input.
//!
//! ```text
//! echo hello | XMPP_PASSWORD=… cargo run --example send_message -- you@example.org friend@example.net
//! ```
//!
//! It ends when the server has taken the message. Exit status: 0 sent, 1 not sent, 2 wrong usage.

use std::io::{self, Read};
use std::process::ExitCode;

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::message::{Id, Lang, Message, MessageType};
use xmpp_parsers::ping::Ping;

#[path = "session/mod.rs"]
mod session;

use session::{ACCOUNT_HELP, Account, Common, FAILURE, HELP, SUCCESS, Stop, say, show_usage, text};

const USAGE: &str = "usage: echo hello | send_message [OPTIONS] YOU@DOMAIN FRIEND@DOMAIN\n\n";
/// Servers take about 256 KiB at most.
const LONGEST_TEXT: u64 = 128 * 1024;
/// The identifiers of the message and of the ping behind it.
const MESSAGE: &str = "message";
const PING: &str = "ping";

fn main() -> ExitCode {
    ExitCode::from(run(lexopt::Parser::from_env()))
}

/// Runs the program with these arguments, and returns the exit status.
pub(crate) fn run(arguments: lexopt::Parser) -> u8 {
    let prepared = Common::parse(arguments, |_, _| Ok(false)).and_then(|(common, [from, to])| {
        let to = Jid::new(&to).map_err(|error| format!("{to:?} is no JID: {error}"))?;
        Ok((common.account(&from)?, common, to, body()?))
    });
    let (account, common, to, body) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return show_usage("send_message", &why, &format!("{USAGE}{ACCOUNT_HELP}{HELP}")),
    };
    match send(&account, &common, to, body) {
        Ok(()) => SUCCESS,
        Err(why) => {
            say(&format!("send_message: not sent: {why}"));
            FAILURE
        }
    }
}

/// Reads the text, without the line end that `echo` adds.
fn body() -> Result<String, String> {
    let mut body = String::new();
    let length = io::stdin().lock().take(LONGEST_TEXT + 1).read_to_string(&mut body).map_err(text)?;
    if length as u64 > LONGEST_TEXT {
        return Err(format!("the text is longer than {} KiB", LONGEST_TEXT / 1024));
    }
    let body = body.strip_suffix('\n').unwrap_or(&body);
    if body.is_empty() {
        return Err("there is no text on standard input".to_owned());
    }
    rxml::strings::validate_cdata(body).map_err(|_| "the text has characters that XML cannot express")?;
    Ok(body.to_owned())
}

fn send(account: &Account, common: &Common, to: Jid, body: String) -> Result<(), String> {
    let connector = common.connector().build().map_err(text)?;
    let stop = Stop::on_signals().map_err(text)?;
    let mut session = session::open(&connector, account, None, &stop).map_err(text)?;
    let mut message = Message::chat(to).with_body(Lang::new(), body);
    message.id = Some(Id(MESSAGE.to_owned()));
    session.stream.send(message).map_err(text)?;
    // The server processes stanzas in the order in which they arrive (RFC 6120 section 10.1): the answer to a ping shows
    // that it has taken the message.
    session.stream.send(Iq::from_get(PING, Ping)).map_err(text)?;
    loop {
        let stanza = session.stream.next().map_err(text)?;
        match (stanza.name(), stanza.attr("id")) {
            ("message", Some(MESSAGE)) => check(&stanza)?,
            // An error is an answer too, of a server that does not know pings.
            ("iq", Some(PING)) => break,
            _ => {}
        }
    }
    session.stream.close().map_err(text)
}

/// Fails if the message has come back with an error.
fn check(stanza: &Element) -> Result<(), String> {
    match Message::try_from(stanza.clone()) {
        Ok(message) if message.type_ == MessageType::Error => {
            let error = stanza.children().find(|child| child.name() == "error");
            let condition = error.and_then(|error| error.children().next()).map_or("error", Element::name);
            Err(format!("the message has come back: {condition}"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
