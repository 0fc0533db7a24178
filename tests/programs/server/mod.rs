//! An XMPP server for the programs: direct TLS, SASL with channel binding, resource binding, and messages between its users.
//!
//! It is of another make than the library: it shares only the cutting of the stream into elements with the programs.

mod line;
mod rules;
mod sasl;
mod session;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minidom::Element;
use rustls::ServerConfig;

use crate::support::addresses::own_loopback;
use crate::support::{Watched, Workers};
pub(crate) use line::Line;
pub(crate) use rules::{Login, Rules};

/// The only user, who has the password of the same name.
pub(crate) const USER: &str = "bot";
pub(crate) const PASSWORD: &str = "secret";
/// The domain of the server.
pub(crate) const DOMAIN: &str = "example.org";

/// What the server has seen, in order.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A TLS handshake is done.
    Connected,
    /// A log-in was tried: the mechanism, the first byte of the message (for SCRAM, how it treats channel binding), and
    /// whether it has succeeded.
    Auth {
        mechanism: String,
        flag: Option<char>,
        accepted: bool,
    },
    /// A resource was bound.
    Bound,
    Stanza(Element),
    /// The client has closed the stream.
    Closed,
    /// The session has ended in another way.
    #[expect(dead_code, reason = "shown when a test fails")]
    Gone(String),
}

pub(crate) type Log = Arc<Watched<Vec<Seen>>>;

/// What the sessions share.
struct Shared {
    rules: Rules,
    tls: Arc<ServerConfig>,
    log: Log,
    /// The bound resources.
    users: Mutex<HashMap<String, Arc<Line>>>,
}

impl Shared {
    fn users(&self) -> MutexGuard<'_, HashMap<String, Arc<Line>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, seen: Seen) {
        self.log.change(|log| log.push(seen));
    }
}

/// The server. It stops when this is dropped, and its connections with it.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _workers: Workers,
}

impl Server {
    /// A server at a port that the kernel chooses.
    pub(crate) fn start(tls: &Arc<ServerConfig>, rules: Rules, log: &Log) -> Self {
        Self::start_at(SocketAddr::from((own_loopback(1), 0)), tls, rules, log)
    }

    /// A server at this address: where another one was before.
    pub(crate) fn start_at(address: SocketAddr, tls: &Arc<ServerConfig>, rules: Rules, log: &Log) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { rules, tls: Arc::clone(tls), log: Arc::clone(log), users: Mutex::default() });
        let workers = Workers::new();
        let (spawner, sessions) = (workers.spawner(), Arc::clone(&shared));
        workers.spawn("server", move |stop| {
            while stop.until_readable(&listener).is_ok() {
                let Ok((socket, _)) = listener.accept() else { continue };
                let shared = Arc::clone(&sessions);
                spawner.spawn("session", move |stop| session::serve(socket, &shared, stop));
            }
        });
        Self { address, shared, _workers: workers }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends bytes to every user.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let lines = self.shared.users().values().cloned().collect::<Vec<_>>();
        assert!(!lines.is_empty(), "nobody is there");
        lines.iter().for_each(|line| line.write(bytes).unwrap());
    }

    /// How many users are there.
    pub(crate) fn users(&self) -> usize {
        self.shared.users().len()
    }
}
