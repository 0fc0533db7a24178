//! Why a proxy has not opened a tunnel: data for programs, and text for people. No IO.

use std::error::Error;
use std::fmt;

use crate::quoted::Quoted;

/// How many characters of the proxy's reason an error shows.
const LONGEST_REASON: usize = 100;

/// The kinds of failures of a proxy ([`Proxy`](crate::Proxy)), by what can be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// This machine could not connect to the proxy. Check its address, and whether it runs.
    Unreachable,
    /// The proxy requires credentials, or has refused those that were given.
    Credentials,
    /// The proxy could not connect to the server, or does not allow it.
    Refused,
    /// What the proxy sent is not the expected protocol, or it ended the connection. Check its port and protocol.
    Protocol,
}

/// Why a proxy has not opened a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyError {
    /// The first byte is not one of SOCKS version 5.
    NotSocks(u8),
    /// The answer does not begin with the status line of HTTP/1; its first byte that differs.
    NotHttp(u8),
    /// No method of authentication is acceptable to the proxy (RFC 1928 section 3).
    NoMethod(Sent),
    /// The proxy has chosen a method that was not offered.
    Method(u8),
    /// The proxy has refused user and password (RFC 1929).
    WrongCredentials,
    /// The reply of a SOCKS proxy to the request (RFC 1928 section 6).
    Reply(u8),
    /// A SOCKS reply with an address of a type that does not exist.
    AddressType(u8),
    /// A status other than 2xx (RFC 9110 section 15), and the reason, which is the proxy's own text.
    Status(u16, String),
    /// 407 (RFC 9110 section 15.5.8), or 401, which some proxies send instead; and the schemes of authentication that the
    /// proxy offers.
    Authentication(u16, Sent, Vec<String>),
    /// The answer came before the request was sent.
    Early,
    /// The head of the answer is longer than 16 KiB.
    TooLong,
    /// The proxy has closed the connection.
    Ended,
}

/// Whether credentials were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Credentials,
    Nothing,
}

impl ProxyError {
    /// Whether the proxy refuses to work for us: asking it again is no use, and may lock the account.
    pub(crate) fn is_refusal_of_credentials(&self) -> bool {
        self.failure() == ProxyFailure::Credentials
    }

    pub(crate) fn failure(&self) -> ProxyFailure {
        match self {
            Self::NoMethod(_) | Self::WrongCredentials | Self::Authentication(..) => {
                ProxyFailure::Credentials
            }
            Self::Reply(_) | Self::Status(..) => ProxyFailure::Refused,
            Self::NotSocks(_)
            | Self::NotHttp(_)
            | Self::Method(_)
            | Self::AddressType(_)
            | Self::Early
            | Self::TooLong
            | Self::Ended => ProxyFailure::Protocol,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSocks(first) => {
                write!(formatter, "this is no SOCKS5 proxy: {}", speaks(*first))
            }
            Self::NotHttp(first) => write!(formatter, "this is no HTTP proxy: {}", speaks(*first)),
            Self::NoMethod(Sent::Nothing) => formatter.write_str("the proxy requires credentials"),
            Self::NoMethod(Sent::Credentials) => {
                formatter.write_str("the proxy accepts neither user and password nor none")
            }
            Self::Method(method) => {
                write!(formatter, "the proxy chose authentication method {method}, which was not offered")
            }
            Self::WrongCredentials => formatter.write_str("the proxy refused the user or the password"),
            Self::Reply(reply) => {
                write!(formatter, "the proxy did not connect to the server: ")?;
                match reply_words(*reply) {
                    Some(words) => formatter.write_str(words),
                    None => write!(formatter, "reply {reply}, which has no defined meaning"),
                }
            }
            Self::AddressType(kind) => {
                write!(formatter, "the proxy's reply has an address of type {kind}, which does not exist")
            }
            Self::Status(status, reason) => {
                write!(formatter, "the proxy did not connect to the server: it answered {status}")?;
                if !reason.is_empty() {
                    write!(formatter, " \"{}\"", Quoted(reason, LONGEST_REASON))?;
                }
                formatter.write_str(status_words(*status))
            }
            Self::Authentication(status, sent, schemes) => {
                formatter.write_str(match sent {
                    Sent::Nothing => "the proxy requires credentials",
                    Sent::Credentials => "the proxy refused the user or the password",
                })?;
                write!(formatter, " ({status})")?;
                let is_basic = |scheme: &String| scheme.eq_ignore_ascii_case("Basic");
                if schemes.is_empty() || schemes.iter().any(is_basic) {
                    return Ok(());
                }
                let schemes = schemes.join(", ");
                write!(
                    formatter,
                    "; it offers {}, and only Basic is supported",
                    Quoted(&schemes, LONGEST_REASON)
                )
            }
            Self::Early => formatter.write_str("the proxy answered before it was asked"),
            Self::TooLong => formatter.write_str("the head of the proxy's answer is longer than 16 KiB"),
            Self::Ended => formatter.write_str("the proxy closed the connection before it answered"),
        }
    }
}

impl Error for ProxyError {}

/// What a peer speaks that begins like this.
fn speaks(first: u8) -> &'static str {
    match first {
        b'H' => "it answers in HTTP",
        5 => "it answers in SOCKS5",
        4 | 0 => "it answers in SOCKS4",
        // Records of TLS: alert, handshake.
        21 | 22 => "it answers in TLS, which is not supported between this machine and a proxy",
        _ => "it answers in another protocol",
    }
}

/// "Reply field" (RFC 1928 section 6), in words.
fn reply_words(reply: u8) -> Option<&'static str> {
    Some(match reply {
        1 => "it gives no reason (general failure)",
        2 => "its rules do not allow it",
        3 => "it has no route to the network",
        4 => "it has no route to the host, or does not find its name",
        5 => "connection refused",
        6 => "the host did not respond (TTL expired)",
        7 => "it does not support connections (command not supported)",
        8 => "it does not support this type of address",
        _ => return None,
    })
}

/// What usually is the cause of a status.
fn status_words(status: u16) -> &'static str {
    match status {
        403 | 405 => "; many proxies allow few ports, such as 443",
        400 | 501 => "; it may not support CONNECT",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule B13
    #[test]
    fn every_reply_of_socks_has_words_of_its_own() {
        let words: std::collections::HashSet<_> =
            (1..=8).map(|reply| ProxyError::Reply(reply).to_string()).collect();
        assert_eq!(words.len(), 8);
        assert!(words.iter().all(|words| words.starts_with("the proxy did not connect to the server: ")));
        assert!(!words.iter().any(|words| words.contains("no defined meaning")));
        assert!(ProxyError::Reply(0xf0).to_string().ends_with("reply 240, which has no defined meaning"));
    }

    // rule B13
    #[test]
    fn what_a_peer_speaks_and_what_a_status_usually_means_is_said() {
        for (first, words) in [
            (b'H', "HTTP"),
            (5, "SOCKS5"),
            (4, "SOCKS4"),
            (0, "SOCKS4"),
            (21, "TLS"),
            (22, "TLS"),
            (b'X', "another protocol"),
        ] {
            for error in [ProxyError::NotSocks(first), ProxyError::NotHttp(first)] {
                assert!(error.to_string().contains(&format!("it answers in {words}")), "{error}");
            }
        }
        for (status, end) in [
            (403, "; many proxies allow few ports, such as 443"),
            (405, "; many proxies allow few ports, such as 443"),
            (400, "; it may not support CONNECT"),
            (501, "; it may not support CONNECT"),
            (502, "it answered 502"),
        ] {
            let text = ProxyError::Status(status, String::new()).to_string();
            assert!(text.ends_with(end), "{text}");
        }
    }

    // rule B13
    #[test]
    fn only_what_is_about_credentials_is_a_refusal_of_them() {
        use ProxyError::{Authentication, Early, NoMethod, Reply, Status, WrongCredentials};
        for (error, is_refusal) in [
            (NoMethod(Sent::Nothing), true),
            (WrongCredentials, true),
            (Authentication(407, Sent::Credentials, Vec::new()), true),
            (Reply(2), false),
            (Status(403, String::new()), false),
            (Early, false),
        ] {
            assert_eq!(error.is_refusal_of_credentials(), is_refusal, "{error}");
        }
    }

    // rule B13
    #[test]
    fn the_reason_of_a_proxy_is_quoted_and_bounded() {
        let reason = format!("No\u{1b}[31m\u{202e}{}", "x".repeat(10_000));
        let text = ProxyError::Status(503, reason).to_string();
        assert!(text.len() < 200 && text.contains("it answered 503 \"No\\u{1b}[31m\\u{202e}xxx"), "{text}");
        assert!(!text.contains(char::is_control));
        assert!(!ProxyError::Status(503, String::new()).to_string().contains('"'));
    }

    // rule B13
    #[test]
    fn a_proxy_without_basic_says_what_it_offers() {
        let text = |schemes: &[&str]| {
            let schemes = schemes.iter().map(ToString::to_string).collect();
            ProxyError::Authentication(407, Sent::Credentials, schemes).to_string()
        };
        let refused = "the proxy refused the user or the password (407)";
        assert_eq!(text(&[]), refused);
        assert_eq!(text(&["NTLM", "basic"]), refused);
        assert_eq!(
            text(&["NTLM", "Negotiate"]),
            format!("{refused}; it offers NTLM, Negotiate, and only Basic is supported")
        );
    }
}
