//! HTTP CONNECT (RFC 9110 section 9.3.6) over HTTP/1.1, with Basic authentication (RFC 7617), the client's side. No IO.

use std::fmt;
use std::mem;
use std::net::IpAddr;

use super::error::{ProxyError, Sent};
use super::{Credentials, Progress};
use crate::domain::Host;
use crate::limits::MAX_PROXY_HEAD;

/// How an answer begins: HTTP/1.0 is fine too.
const VERSION: &[u8] = b"HTTP/1.";

/// Which part of the answer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    StatusLine,
    /// The header fields behind this status.
    Fields(u16),
}

/// A request for a tunnel, which takes one round trip.
pub(super) struct HttpConnect {
    due: Due,
    /// What has arrived of the current line.
    line: Vec<u8>,
    /// How many bytes have arrived, of all answers: interim ones may precede the final one.
    received: usize,
    output: Vec<u8>,
    sent: Sent,
    /// The schemes of authentication that the proxy offers.
    schemes: Vec<String>,
}

impl HttpConnect {
    pub(super) fn new(credentials: Option<&Credentials>, host: &Host, port: u16) -> Self {
        Self {
            due: Due::StatusLine,
            line: Vec::new(),
            received: 0,
            output: request(credentials, host, port).into_bytes(),
            sent: if credentials.is_some() { Sent::Credentials } else { Sent::Nothing },
            schemes: Vec::new(),
        }
    }

    /// Returns the bytes to send now, each once.
    pub(super) fn output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Takes the head of the answer from the front of `bytes`, however TCP has cut it. What is left then belongs to the
    /// tunnel: "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a successful
    /// response to CONNECT" (RFC 9110 section 9.3.6).
    pub(super) fn handle_bytes(&mut self, bytes: &mut &[u8]) -> Result<Progress, ProxyError> {
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.received += 1;
            if self.received > MAX_PROXY_HEAD {
                return Err(self.end(ProxyError::TooLong));
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                self.check_version(*byte)?;
            } else if self.handle_line()? == Progress::Complete {
                return Ok(Progress::Complete);
            }
        }
        Ok(Progress::More)
    }

    /// Returns the error if the answer ends here.
    pub(super) fn handle_end(&self) -> ProxyError {
        self.end(ProxyError::Ended)
    }

    /// What is wrong when the answer is cut: the status, if it is known.
    fn end(&self, error: ProxyError) -> ProxyError {
        match self.due {
            Due::Fields(status @ (401 | 407)) => self.unauthenticated(status),
            Due::StatusLine | Due::Fields(_) => error,
        }
    }

    fn unauthenticated(&self, status: u16) -> ProxyError {
        ProxyError::Authentication(status, self.sent, self.schemes.clone())
    }

    /// A peer that speaks another protocol may not send a line feed for long.
    fn check_version(&self, byte: u8) -> Result<(), ProxyError> {
        let expected = VERSION.get(self.line.len() - 1);
        let is_wrong = self.due == Due::StatusLine && expected.is_some_and(|expected| *expected != byte);
        if is_wrong { Err(ProxyError::NotHttp(byte)) } else { Ok(()) }
    }

    /// Handles a line. "A recipient MAY recognize a single LF as a line terminator and ignore any preceding CR" (RFC 9112
    /// section 2.2).
    fn handle_line(&mut self) -> Result<Progress, ProxyError> {
        let line = mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        match self.due {
            Due::StatusLine => {
                let (status, reason) = status_line(line).ok_or(ProxyError::NotHttp(b'\n'))?;
                match status {
                    // Interim answers, and those that need no more. 101 is no answer to CONNECT.
                    100 | 102..=299 | 401 | 407 => self.due = Due::Fields(status),
                    _ => return Err(ProxyError::Status(status, reason)),
                }
            }
            Due::Fields(status @ (401 | 407)) if line.is_empty() => return Err(self.unauthenticated(status)),
            Due::Fields(401 | 407) => self.schemes.extend(schemes(line)),
            // "Any 2xx (Successful) response indicates that the sender (and all inbound proxies) will switch to tunnel
            // mode immediately after the response header section".
            Due::Fields(200..) if line.is_empty() => return Ok(Progress::Complete),
            Due::Fields(_) if line.is_empty() => self.due = Due::StatusLine,
            Due::Fields(_) => {}
        }
        Ok(Progress::More)
    }
}

/// Without user and password.
impl fmt::Debug for HttpConnect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpConnect").field("due", &self.due).finish_non_exhaustive()
    }
}

fn request(credentials: Option<&Credentials>, host: &Host, port: u16) -> String {
    let authority = match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        host @ (Host::Address(_) | Host::Name(_)) => format!("{host}:{port}"),
    };
    let authorization = credentials.map(|Credentials { user, password }| {
        let credentials = base64(format!("{user}:{password}").as_bytes());
        format!("Proxy-Authorization: Basic {credentials}\r\n")
    });
    let authorization = authorization.unwrap_or_default();
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n")
}

/// "status-line = HTTP-version SP status-code SP [ reason-phrase ]" (RFC 9112 section 4); some servers send no second
/// space without a reason.
fn status_line(line: &[u8]) -> Option<(u16, String)> {
    let [minor, b' ', status @ ..] = line.strip_prefix(VERSION)? else { return None };
    let (status, reason) = status.split_at_checked(3)?;
    let is_number = minor.is_ascii_digit() && status.iter().all(u8::is_ascii_digit);
    if !is_number || !matches!(reason, [] | [b' ', ..]) {
        return None;
    }
    let status = std::str::from_utf8(status).ok()?.parse().ok().filter(|status| *status >= 100)?;
    Some((status, String::from_utf8_lossy(reason).trim().to_owned()))
}

/// The schemes of authentication that the field offers, if it is about that. One field may have several challenges, with
/// commas between them and between the parameters of each (RFC 9110 section 11.6.1).
fn schemes(line: &[u8]) -> Vec<String> {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':').unwrap_or_default();
    let mut offers = ["Proxy-Authenticate", "WWW-Authenticate"].into_iter();
    if !offers.any(|offer| name.eq_ignore_ascii_case(offer)) {
        return Vec::new();
    }
    let first_words = value.split(',').filter_map(|part| part.split_whitespace().next());
    // The others are parameters, or what stands in quotes.
    first_words.filter(|word| !word.contains(['=', '"'])).map(str::to_owned).collect()
}

/// Base64 (RFC 4648 section 4).
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let bits =
            (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = ALPHABET.get(bits >> (18 - 6 * at) & 63).copied().unwrap_or_default();
            text.push(if at > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
