//! SOCKS version 5 (RFC 1928) with user and password (RFC 1929), the client's side. No IO.

use std::fmt;
use std::mem;
use std::net::IpAddr;

use super::error::{ProxyError, Sent};
use super::{Credentials, Progress};
use crate::domain::Host;

/// RFC 1928 section 3.
const VERSION: u8 = 5;
/// The version of the negotiation of user and password (RFC 1929 section 2).
const AUTHENTICATION_VERSION: u8 = 1;
/// The methods of authentication (RFC 1928 section 3).
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
/// The command, and the types of addresses (RFC 1928 section 4).
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// What a message says that reports success.
const SUCCEEDED: u8 = 0;

/// Which message of the proxy is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Method,
    Authentication,
    Reply,
}

/// A request for a tunnel. It takes one round trip for the method, one for the credentials if the proxy wants them, and
/// one for the request: to send these together is not portable, since some proxies drop what arrives early.
pub(super) struct Socks5 {
    due: Due,
    /// What has arrived of the message that is due.
    received: Vec<u8>,
    output: Vec<u8>,
    /// The message with user and password, until it is sent.
    authentication: Option<Vec<u8>>,
    request: Vec<u8>,
}

impl Socks5 {
    pub(super) fn new(credentials: Option<&Credentials>, host: &Host, port: u16) -> Self {
        Self {
            due: Due::Method,
            received: Vec::new(),
            output: match credentials {
                None => vec![VERSION, 1, NO_AUTHENTICATION],
                Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
            },
            authentication: credentials.map(authentication),
            request: request(host, port),
        }
    }

    /// Returns the bytes to send now, each once.
    pub(super) fn output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Takes the bytes of the negotiation from the front of `bytes`, however TCP has cut them. What is left then belongs
    /// to the tunnel.
    pub(super) fn handle_bytes(&mut self, bytes: &mut &[u8]) -> Result<Progress, ProxyError> {
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.received.push(*byte);
            if self.handle_message()? == Progress::Complete {
                return Ok(Progress::Complete);
            }
        }
        Ok(Progress::More)
    }

    /// Handles the message that is due, one byte more of which has arrived.
    fn handle_message(&mut self) -> Result<Progress, ProxyError> {
        match (self.due, self.received.as_slice()) {
            (Due::Method | Due::Reply, [version]) if *version != VERSION => {
                return Err(ProxyError::NotSocks(*version));
            }
            (Due::Method, [_, method]) => self.handle_method(*method)?,
            // The version is ignored: some proxies send that of SOCKS.
            (Due::Authentication, [_, SUCCEEDED]) => self.ask(),
            (Due::Authentication, [_, _]) => return Err(ProxyError::WrongCredentials),
            (Due::Reply, [_, reply]) if *reply != SUCCEEDED => return Err(ProxyError::Reply(*reply)),
            // Without the reserved byte, which is not always 0.
            (Due::Reply, [_, _, _, kind, rest @ ..]) => {
                let length = match *kind {
                    IPV4 => Some(4),
                    IPV6 => Some(16),
                    // The bound address as a name is unusual, and of no use to us, but allowed.
                    NAME => rest.first().map(|length| 1 + usize::from(*length)),
                    kind => return Err(ProxyError::AddressType(kind)),
                };
                // And the port.
                if length.is_some_and(|length| rest.len() == length + 2) {
                    return Ok(Progress::Complete);
                }
            }
            (Due::Method | Due::Authentication | Due::Reply, _) => {}
        }
        Ok(Progress::More)
    }

    fn handle_method(&mut self, method: u8) -> Result<(), ProxyError> {
        match (method, self.authentication.take()) {
            (NO_AUTHENTICATION, _) => self.ask(),
            (USER_AND_PASSWORD, Some(message)) => {
                self.received.clear();
                self.output.extend(message);
                self.due = Due::Authentication;
            }
            (NO_ACCEPTABLE_METHOD, Some(_)) => return Err(ProxyError::NoMethod(Sent::Credentials)),
            (NO_ACCEPTABLE_METHOD, None) => return Err(ProxyError::NoMethod(Sent::Nothing)),
            (method, _) => return Err(ProxyError::Method(method)),
        }
        Ok(())
    }

    fn ask(&mut self) {
        self.received.clear();
        self.output.append(&mut self.request);
        self.due = Due::Reply;
    }
}

/// Without user and password.
impl fmt::Debug for Socks5 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Socks5").field("due", &self.due).finish_non_exhaustive()
    }
}

/// The message with user and password, which have at most 255 octets each (RFC 1929 section 2).
fn authentication(Credentials { user, password }: &Credentials) -> Vec<u8> {
    let mut message = vec![AUTHENTICATION_VERSION];
    push_text(&mut message, user);
    push_text(&mut message, password);
    message
}

fn request(host: &Host, port: u16) -> Vec<u8> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host {
        Host::Name(name) => {
            request.push(NAME);
            // At most 253 octets.
            push_text(&mut request, name);
        }
        Host::Address(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Host::Address(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
    }
    request.extend(port.to_be_bytes());
    request
}

/// Appends at most 255 octets, behind their number.
fn push_text(message: &mut Vec<u8>, text: &str) {
    let octets = text.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(text.as_bytes());
    message.extend(u8::try_from(octets.len()));
    message.extend(octets);
}
