//! A bot that sends every message back. It stays: it reconnects when the server or the network has gone away.
//!
//! ```text
//! XMPP_PASSWORD=… cargo run --example echo_bot -- bot@example.org
//! ```
//!
//! It ends on Ctrl-C and SIGTERM, when the server refuses the account, and when another program has taken its resource.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use minidom::Element;
use xmpp_connect::{Connector, Target, TlsMode, WriteHalf};
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stream_error::{self, DefinedCondition};

#[path = "echo_bot/answers.rs"]
mod answers;
#[path = "echo_bot/pulse.rs"]
mod pulse;
#[path = "session/mod.rs"]
pub(crate) mod session;

use pulse::{Action, Pulse};
use session::{
    ACCOUNT_HELP, Account, Backoff, CLOSE, Common, FAILURE, Failure, HELP, Item, Reader, SUCCESS, Session,
    Stop, StreamError, chance, say, seconds, show_usage, text,
};

const USAGE: &str = "\
usage: echo_bot [OPTIONS] USER@DOMAIN[/RESOURCE]

  --reconnect-delay SECONDS the longest first delay before it reconnects (default: 60); later ones are at most 10 times
                            as long
  --ping-after SECONDS      the time without any data after which it asks whether the server is still there
                            (default: 300)
";
/// How long the server may take to accept data, to answer a ping, and to close the stream.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(30);
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// How many answers may wait until they are sent. Nothing more is read meanwhile.
const MAX_WAITING: usize = 16;

struct Options {
    common: Common,
    jid: String,
    reconnect_delay: Duration,
    ping_after: Duration,
}

/// How a session ends.
enum End {
    /// The program is to end, and the session was closed.
    Stopped,
    /// The connection is lost. If only this machine is the cause, as after a change of networks, the server has no
    /// other clients that come back at the same time.
    Lost { why: String, is_local: bool },
    /// The server wants us to connect to another one.
    Redirected(Target),
    /// Coming back would do harm.
    Final(String),
}

fn main() -> ExitCode {
    ExitCode::from(run(lexopt::Parser::from_env()))
}

/// Runs the bot with these arguments, and returns the exit status.
pub(crate) fn run(arguments: lexopt::Parser) -> u8 {
    let prepared = options(arguments).and_then(|options| {
        let account = options.common.account(&options.jid)?;
        let connector = options.common.connector().build().map_err(text)?;
        Ok((account, connector, Stop::on_signals().map_err(text)?, options))
    });
    let (account, connector, stop, options) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return show_usage("echo_bot", &why, &format!("{USAGE}{ACCOUNT_HELP}{HELP}")),
    };
    match stay(&connector, &account, &options, &stop) {
        Ok(()) => SUCCESS,
        Err(why) => {
            say(&format!("echo_bot: {why}"));
            FAILURE
        }
    }
}

fn options(arguments: lexopt::Parser) -> Result<Options, String> {
    let (mut reconnect_delay, mut ping_after) = (Duration::from_secs(60), Duration::from_secs(300));
    let (common, [jid]) = Common::parse(arguments, |name, parser| {
        match name {
            "reconnect-delay" => reconnect_delay = seconds(parser)?,
            "ping-after" => ping_after = seconds(parser)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Options { common, jid, reconnect_delay, ping_after })
}

/// Has one session after another, until the program is to end or until coming back is pointless.
#[expect(clippy::disallowed_methods, reason = "outside the library")]
fn stay(connector: &Connector, account: &Account, options: &Options, stop: &Stop) -> Result<(), String> {
    let longest = options.reconnect_delay.saturating_mul(10);
    let mut backoff = Backoff::new(options.reconnect_delay, longest);
    let mut redirected = None;
    loop {
        let (why, at_once) = match session::open(connector, account, redirected.take(), stop) {
            Ok(session) => {
                let began = Instant::now();
                let end = serve(session, options, stop);
                backoff.session_lasted(began.elapsed());
                match end {
                    End::Stopped => return Ok(()),
                    End::Final(why) => return Err(why),
                    End::Lost { why, is_local } => (why, is_local),
                    End::Redirected(target) => {
                        redirected = Some(target);
                        ("the server has redirected us".to_owned(), false)
                    }
                }
            }
            Err(Failure::Stopped) => return Ok(()),
            Err(Failure::Permanent(why)) => return Err(why),
            Err(Failure::Temporary(why)) => (why, false),
        };
        if stop.is_raised() {
            return Ok(());
        }
        let delay = if at_once { Duration::ZERO } else { backoff.next(chance()) };
        say(&format!("no session: {why}; connecting again in {:.1} s", delay.as_secs_f64()));
        stop.sleep(delay);
    }
}

/// Serves one session: a thread reads and finds the answers, this one writes them.
#[expect(clippy::disallowed_methods, reason = "the library starts no thread, but a program may")]
fn serve(session: Session, options: &Options, stop: &Stop) -> End {
    let Session { stream, jid } = session;
    let tls = stream.connection().tls_mode();
    let (reader, mut write) = stream.split();
    let canceller = write.canceller();
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let wake = sender.clone();
    // The message only wakes this thread; if there is no room for it, it is awake.
    stop.wake_by(move || drop(wake.try_send(Order::LookAround)));
    let own = jid.clone();
    let reading = std::thread::spawn(move || read(reader, &sender, &own));
    say(&format!("ready as {jid}"));
    let end = write_answers(&mut write, &receiver, options, stop);
    stop.wake_by(|| {});
    match &end {
        Ok(Some(End::Stopped)) => close(&mut write, &receiver),
        // If the server has ended the stream, the reads show why.
        Err(_) => wait_for_end(&receiver),
        Ok(_) => {}
    }
    if !matches!(end, Ok(None)) {
        // Ends the reads.
        canceller.cancel();
    }
    drop(receiver);
    let ended_by = reading.join().unwrap_or(StreamError::Closed);
    if matches!(end, Ok(None)) {
        close_in_return(&mut write, &ended_by);
    }
    match (end, ended_by) {
        (Ok(Some(end)), _) => end,
        (Err(_), error @ StreamError::Server(_)) | (Ok(None), error) => end_of(&error, tls),
        (Err(error), _) => lost(&error),
    }
}

/// What the reading thread wants of the writing one.
enum Order {
    Send(Element),
    /// The signal, or the end of the reads.
    LookAround,
    Ended,
}

/// Reads until the stream ends, and returns why it does.
fn read(mut reader: Reader, sender: &SyncSender<Order>, own: &xmpp_parsers::jid::FullJid) -> StreamError {
    let error = loop {
        let answer = match reader.next() {
            Ok(Item::Element(element)) => answers::answer(own, &element),
            Ok(Item::TooLarge(beginning)) => answers::refuse(&beginning),
            Ok(Item::Opened) => None,
            Ok(Item::Closed) => break StreamError::Closed,
            Err(error) => break error,
        };
        let Some(answer) = answer else { continue };
        if answer.name() == "message" {
            say(&format!("answering {:?}", answer.attr("to").unwrap_or_default()));
        }
        if sender.send(Order::Send(answer)).is_err() {
            break StreamError::Closed;
        }
    };
    // If nobody receives any more, the session has ended anyway.
    let _ = sender.send(Order::Ended);
    error
}

/// Writes the answers, and sees to it that a dead connection is noticed. Returns `None` when nothing more can be read.
#[expect(clippy::disallowed_methods, reason = "outside the library")]
fn write_answers(
    write: &mut WriteHalf,
    receiver: &Receiver<Order>,
    options: &Options,
    stop: &Stop,
) -> io::Result<Option<End>> {
    let mut pulse = Pulse::new(options.ping_after, PING_LIMIT.min(options.ping_after.saturating_mul(10)));
    write.set_write_timeout(Some(WRITE_LIMIT))?;
    send(write, Presence::available())?;
    loop {
        if stop.is_raised() {
            return Ok(Some(End::Stopped));
        }
        match receiver.recv_timeout(pulse.interval()) {
            Ok(Order::Send(element)) => send(write, element)?,
            Ok(Order::LookAround) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Ended) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
        let liveness = write.liveness();
        match pulse.judge(liveness.since_read, liveness.doubt(), Instant::now()) {
            Action::None => {}
            Action::Ping => send(write, answers::ping())?,
            Action::GiveUp { why, is_local } => return Ok(Some(End::Lost { why, is_local })),
        }
    }
}

fn send(write: &mut WriteHalf, element: impl Into<Element>) -> io::Result<()> {
    write.write_all(String::from(&element.into()).as_bytes())?;
    write.flush()
}

/// Says goodbye, and waits a moment until the server has closed the stream too. What fails here does not matter.
fn close(write: &mut WriteHalf, receiver: &Receiver<Order>) {
    let _ = write.set_write_timeout(Some(CLOSE_LIMIT));
    let farewell = send(write, Presence::new(Type::Unavailable))
        .and_then(|()| write.write_all(CLOSE.as_bytes()))
        .and_then(|()| write.flush());
    if farewell.is_ok() {
        wait_for_end(receiver);
        let _ = write.shutdown();
    }
}

/// Closes a stream of which nothing more can be read, with an error if the server has sent what it must not (RFC 6120
/// sections 4.4 and 4.9.1.1).
fn close_in_return(write: &mut WriteHalf, ended_by: &StreamError) {
    let _ = write.set_write_timeout(Some(CLOSE_LIMIT));
    let farewell = match ended_by {
        StreamError::Malformed(why) => {
            let error =
                stream_error::StreamError::new(DefinedCondition::NotWellFormed, "en", why.to_string());
            send(write, error)
        }
        StreamError::Server(_) | StreamError::Closed => Ok(()),
        StreamError::Io(_) => return,
    };
    let _ = farewell.and_then(|()| write.write_all(CLOSE.as_bytes())).and_then(|()| write.shutdown());
}

/// Waits until nothing more can be read, for a moment at most.
#[expect(clippy::disallowed_methods, reason = "outside the library")]
fn wait_for_end(receiver: &Receiver<Order>) {
    let until = Instant::now() + CLOSE_LIMIT;
    while let Ok(Order::Send(_) | Order::LookAround) =
        receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
    {}
}

fn lost(why: &impl ToString) -> End {
    End::Lost { why: why.to_string(), is_local: false }
}

/// What the end of the stream means (RFC 6120 section 4.9.3).
fn end_of(error: &StreamError, tls: TlsMode) -> End {
    let StreamError::Server(stream_error) = error else { return lost(error) };
    match &stream_error.condition {
        // Whoever has taken the resource would lose it again, and take it again, without end.
        DefinedCondition::Conflict => {
            End::Final(format!("{error}: another program has logged in with this resource"))
        }
        DefinedCondition::SeeOtherHost(host) => match Target::see_other_host(host, tls) {
            Ok(target) => End::Redirected(target),
            Err(why) => lost(&why),
        },
        _ => lost(error),
    }
}
