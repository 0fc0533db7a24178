//! Runs a check from the command line: progress, Ctrl-C, the form of the output, the exit status.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use xmpp_connect::{Domain, Error};

use crate::check::{self, Diagnosis, Settings, Stop, Style, shell};
use crate::options::{Options, Output};
use crate::{USAGE, complain, on_interrupt, write};

/// The time limit of a whole check.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns the exit status.
pub(crate) fn run(options: Options) -> u8 {
    let output = options.output;
    match diagnosis(options) {
        Ok(diagnosis) => {
            let written = write(&match output {
                Output::Person => check::text(&diagnosis, style()),
                Output::Json => format!("{}\n", check::object(&diagnosis)),
                Output::Prometheus => check::metrics(&diagnosis),
            });
            let (status, complaint) = shell::status(diagnosis.verdict.status(), written);
            complaint.iter().for_each(|message| complain(message));
            status
        }
        Err(error) => {
            complain(&format!("{}; see --help", shell::in_options(&format!("{error:?}"))));
            USAGE
        }
    }
}

fn diagnosis(options: Options) -> Result<Diagnosis, Error> {
    let settings = Settings {
        domain: Domain::new(&options.domain.unwrap_or_default())?,
        service: options.service,
        nameservers: options.nameservers,
        roots: options.roots,
        client: options.client,
        limit: options.timeout.unwrap_or(LIMIT),
    };
    let stop = Stop::after(settings.limit);
    let for_interrupt = stop.clone();
    on_interrupt(move || for_interrupt.now());
    let has_progress = shell::has_sequences(io::stderr().is_terminal(), term().as_deref());
    let progress = |done: usize, total: usize| {
        if has_progress {
            let line =
                if total == 0 { "looking up …".to_owned() } else { format!("check {done} of {total} …") };
            // If this fails, nobody reads it.
            let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
        }
    };
    let diagnosis = check::examine(&settings, &stop, &progress);
    if has_progress {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    diagnosis
}

/// The style for standard output: <https://no-color.org> for colours.
fn style() -> Style {
    let is_terminal = io::stdout().is_terminal();
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0);
    let width = terminal_width().filter(|_| is_terminal).or_else(columns).unwrap_or(80);
    let has_colour = shell::has_sequences(is_terminal, term().as_deref()) && !is_set("NO_COLOR");
    Style { has_colour, width }
}

/// The kind of terminal.
fn term() -> Option<OsString> {
    std::env::var_os("TERM")
}

#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    None
}
