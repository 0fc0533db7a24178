//! What the program tells the shell and the terminal. No IO.

use std::ffi::OsStr;
use std::io;

use super::findings::plain;

/// The exit status if the result could not be written.
pub(crate) const CANNOT_WRITE: u8 = 4;

/// Returns the exit status of a check that ended with `status`, and what to complain about. As in `connect --check DOMAIN |
/// head -2`, the reader may have closed the pipe: that changes nothing. Any other error must not look like a status of the
/// domain.
pub(crate) fn status(status: u8, written: io::Result<()>) -> (u8, Option<String>) {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            (CANNOT_WRITE, Some(format!("cannot write: {error}")))
        }
        Ok(()) | Err(_) => (status, None),
    }
}

/// Returns a message as a line for standard error. It may hold what someone else has put into the arguments.
pub(crate) fn complaint(message: &str) -> String {
    format!("connect: {}\n", plain(message))
}

/// What errors of the library advise programmers to do, and what a user of this program can do instead.
const ADVICE: [(&str, &str); 2] = [
    (
        "set Tor as ConnectorBuilder::proxy and leave names to it (DnsUse::Srv), or pass a stream of your own to \
         Connector::secure",
        "--check connects directly, so it cannot reach one; without it, --proxy with the address of Tor can",
    ),
    (
        "set name servers with `.nameservers(…)` of the builder, or `StubResolver::new`",
        "name one with --nameserver",
    ),
];

/// Returns the text of an error with the options of this program instead of the names of functions.
pub(crate) fn in_options(error: &str) -> String {
    ADVICE.iter().fold(error.to_owned(), |text, (code, option)| text.replace(code, option))
}

/// Whether the terminal, if it is one, understands escape sequences.
pub(crate) fn has_sequences(is_terminal: bool, term: Option<&OsStr>) -> bool {
    is_terminal && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_no_status_of_the_domain() {
        let error = |kind: io::ErrorKind| Err(kind.into());
        for of_domain in [0, 1, 3] {
            assert_eq!(status(of_domain, Ok(())), (of_domain, None));
            assert_eq!(status(of_domain, error(io::ErrorKind::BrokenPipe)), (of_domain, None));
            let (full, complaint) = status(of_domain, error(io::ErrorKind::StorageFull));
            assert_eq!((full, complaint.is_some()), (4, true));
        }
    }

    #[test]
    fn arguments_do_not_reach_the_terminal_as_they_are() {
        assert_eq!(
            complaint("invalid option '--\u{1b}[31mx'\n"),
            "connect: invalid option '--\\u{1b}[31mx'\\n\n"
        );
    }

    #[test]
    fn advice_is_given_in_options() {
        let sources =
            [include_str!("../../../src/plan/outcome.rs"), include_str!("../../../src/dns/stub/system.rs")];
        // Without the line breaks of long literals.
        let joined = |text: &str| text.replace('\\', "").split_whitespace().collect::<Vec<_>>().join(" ");
        for (code, option) in ADVICE {
            assert!(sources.into_iter().any(|source| joined(source).contains(code)), "no error says: {code}");
            assert_eq!(in_options(&format!("a; {code}; b")), format!("a; {option}; b"));
        }
    }

    #[test]
    fn a_dumb_terminal_gets_no_sequences() {
        for (is_terminal, term, has) in [
            (true, Some("xterm"), true),
            (true, None, true),
            (true, Some("dumb"), false),
            (false, Some("xterm"), false),
        ] {
            assert_eq!(has_sequences(is_terminal, term.map(OsStr::new)), has, "{is_terminal} {term:?}");
        }
    }
}
