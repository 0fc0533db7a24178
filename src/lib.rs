//! Blocking XMPP connector: SRV discovery, Happy Eyeballs, direct TLS and STARTTLS.
//!
//! Given the domain of an XMPP account, it looks up the domain's servers in SRV records, both for direct TLS and for
//! STARTTLS ([XEP-0368]), orders them by priority and weight ([RFC 2782]), connects to several at once if the first
//! ones are slow or dead ([RFC 8305]), and returns one TLS stream whose certificate is verified.
//!
//! ```no_run
//! use std::io::{Read, Write};
//!
//! let mut connection = xmpp_connect::connect("example.org")?;
//! connection.write_all(b"<?xml version='1.0'?><stream:stream to='example.org' version='1.0' \
//!     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")?;
//! let mut answer = [0; 4096];
//! let length = connection.read(&mut answer)?;
//! println!("{}", String::from_utf8_lossy(&answer[..length]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It starts no threads and needs no async runtime (except for `dns::HickoryResolver`, behind feature `hickory`), and
//! never returns an unencrypted stream.
//!
//! - [`connect`] connects with the defaults. To set options, or to connect more than once, build a [`Connector`].
//! - A [`Connection`] implements [`Read`](std::io::Read) and [`Write`](std::io::Write); see there for time limits and
//!   for how a connection ends.
//! - With [`OpenStream`], behind feature `starttls`, the connect also opens the XMPP stream. Use it unless you have a
//!   reason not to speak first: a server that does not answer as XMPP is then passed over, and a log-in can begin in the
//!   same write.
//! - [`Connection::channel_bindings`] and [`ConnectorBuilder::client_certificate`] serve SASL.
//! - [`Attempts`] are for programs that may need the next server, show progress, or can be cancelled ([`Canceller`]).
//! - [`ConnectorBuilder::proxy`] connects through SOCKS5 or HTTP; [`ConnectorBuilder::dial`] leaves it to you.
//! - [`Error::kind`] says what can be done about a failed connect.
//! - Module [`report`] describes what happened in a connect, whether it succeeded or not.
//! - Module [`dns`] has the resolvers, and the trait for your own.
//! - Module [`guide`] leads through the examples, from the first connect to a program that stays connected.
//!
//! # Architecture
//!
//! ```text
//! "example.org" -> Domain
//!                    |
//!      +-------------v-------------+  orders: ask, start, close, finished
//!      |  Plan           (core)    | ------------------------------------------+
//!      |   discovery: merge SRV,   |                                           v
//!      |   draw the order          |                              +-------------------------+
//!      |   race: what starts when  | <--------------------------- |  run: the one loop      |
//!      +---------------------------+  facts: answers, stages,     |   waits in one place    |
//!                                     failures, and the time      +-------------------------+
//!      lookups: stub resolver or the caller's           attempts: TCP -> proxy -> STARTTLS -> TLS -> stream
//!                    |
//!                    v
//!               Connection: Read + Write, facts, report, split
//! ```
//!
//! Cores decide and do no IO; drivers do IO and decide nothing.
//!
//! [XEP-0368]: https://xmpp.org/extensions/xep-0368.html
//! [RFC 2782]: https://www.rfc-editor.org/rfc/rfc2782
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305

#![cfg_attr(
    not(feature = "starttls"),
    expect(dead_code, reason = "what only the negotiation of STARTTLS uses has no `cfg` of its own")
)]

mod attempts;
mod builder;
mod canceller;
mod certificates;
mod clocks;
mod connection;
mod connector;
mod deadline;
mod dial;
mod discovery;
pub mod dns;
mod domain;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod laws;
mod limits;
mod logging;
#[cfg_attr(not(feature = "starttls"), path = "open_stream/absent.rs")]
mod open_stream;
mod plan;
mod proxy;
mod quoted;
mod random;
pub mod report;
mod run;
mod service;
mod settings;
mod shared;
mod socket;
mod sorted;
#[cfg_attr(not(feature = "starttls"), path = "starttls/absent.rs")]
mod starttls;
mod target;
mod tls;
mod wait;

pub use rustls;

pub use attempts::Attempts;
pub use builder::{ConnectorBuilder, connect};
pub use canceller::Canceller;
pub use certificates::{parse_certificates, read_certificates};
pub use connection::{Connection, Doubt, Liveness, Parts, ReadHalf, ReuniteError, WriteHalf};
pub use connector::{Connector, Discovery};
pub use dial::Destination;
pub use discovery::{Candidate, Origin};
pub use domain::{Domain, Host, InvalidDomain};
pub use error::{Error, ErrorKind};
pub use filter::public_only;
#[cfg(feature = "starttls")]
pub use open_stream::OpenStream;
pub use proxy::{InvalidProxy, Proxy};
pub use service::{Service, TlsMode};
pub use settings::{AddressFamily, DnsUse, Policy};
pub use target::Target;
pub use tls::{
    CertificateChange, CertificateRecord, ChannelBinding, CipherSuite, Fingerprint, InvalidFingerprint,
    InvalidRecord, MatchedName, ProtocolVersion, RevocationLists, ServerCertificate,
};

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

/// Makes the example of the README a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
