//! The loopback test bench: a scripted DNS server and XMPP server, certificates, and proxies that count round trips or delay.
//!
//! Everything listens on loopback at ports that the kernel chose, runs in threads of its own, and stops and joins them when
//! it is dropped. Nothing here uses `xmpp-connect` itself: the bench is the other side. It serves the integration tests and,
//! included with `#[path]`, the example `connect` when that is run without a domain.
//!
//! ```ignore
//! let authority = Authority::new();
//! let server = XmppServer::start(Script::starttls(authority.server(&["example.org"])));
//! let zone = Zone::new()
//!     .srv("_xmpp-client._tcp.example.org", 0, 5, server.port(), "host.example.org")
//!     .address("host.example.org", "127.0.0.1");
//! let dns = DnsServer::start(zone);
//! // connect, with `dns.addr()` as the name server and `authority.root_der()` as the only root ...
//! let record = server.wait_end(0);
//! assert_eq!(record.hello.unwrap().server_name.as_deref(), Some("example.org"));
//! ```
//!
//! | file | what it gives |
//! |---|---|
//! | `dns/` | [`DnsServer`], [`Zone`], and what goes wrong with single questions: [`Behaviour`] |
//! | `xmpp/` | [`XmppServer`], its [`Script`] of [`Step`]s, and the [`Record`] of each connection |
//! | `certificates.rs`, `server_tls.rs` | [`Authority`], [`Identity`], [`ServerTls`] |
//! | `addresses.rs` | addresses where nobody answers: [`BlackHole`], [`Refused`] |
//! | `proxy.rs` | [`ProxyServer`], SOCKS5 or HTTP, with its [`ProxyScript`] |
//! | `relay/`, `delay.rs` | [`Relay`] counts round trips without a clock; [`DelayProxy`] makes a path long |
//! | `namespaces.rs` | two network namespaces, with servers in the other one (Linux) |
//! | `process.rs` | sockets and threads of this process (Linux) |
//! | `threads.rs`, `wire.rs` | what the others are built from: [`Latch`], [`Workers`], [`Watched`], [`Wire`] |
//!
//! Waiting is always for an event, with [`PATIENCE`] as the limit after which the test fails; nothing sleeps to synchronise.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: it has threads, a clock and blocking sockets, and a bench that cannot work fails its test"
)]
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of the bench")]

pub(crate) mod addresses;
pub(crate) mod certificates;
pub(crate) mod delay;
pub(crate) mod dns;
#[cfg(target_os = "linux")]
pub(crate) mod namespaces;
#[cfg(target_os = "linux")]
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod server_tls;
pub(crate) mod threads;
pub(crate) mod wire;
pub(crate) mod xmpp;

#[cfg(target_os = "linux")]
pub(crate) use addresses::BlackHole;
pub(crate) use addresses::{Refused, closed_udp_port};
pub(crate) use certificates::{Authority, Identity};
pub(crate) use delay::DelayProxy;
pub(crate) use dns::{Behaviour, DnsServer, Junk, OverTcp, Query, Rcode, Rtype, Transport, Zone};
pub(crate) use proxy::{After, ProxyScript, ProxyServer};
pub(crate) use relay::{Crossing, Relay, Turn};
pub(crate) use server_tls::ServerTls;
pub(crate) use threads::{Latch, PATIENCE, Stopped, Watched, Workers};
pub(crate) use wire::Wire;
pub(crate) use xmpp::{End, Event, Hello, Record, Script, Secured, Stage, Step, XmppServer};
