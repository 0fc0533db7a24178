//! The TLS sessions of a connector, kept separately by server, forgotten if a server cannot resume one. No IO.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use crate::domain::{Domain, Host};
use crate::limits::{MAX_SESSION_FAILURES, MAX_SESSION_SERVERS};
use crate::service::TlsMode;

use super::Resume;

/// The size of a rustls cache for one server: rustls keeps up to 8 tickets for each server.
const ONE_SERVER: usize = 8;

/// Where a server listens, and how TLS starts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
}

/// The owner of a session. Other servers cannot use a session, and some fail if one is offered to them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    domain: Domain,
    endpoint: Endpoint,
}

/// The sessions of a connector.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Vec<Kept>>);

/// The sessions of one server.
struct Kept {
    key: Key,
    cache: Arc<ClientSessionMemoryCache>,
    /// How many handshakes that offered a session have failed.
    failures: usize,
}

impl Sessions {
    /// Returns the store for one handshake with one server of `domain`.
    pub(crate) fn of(self: &Arc<Self>, domain: &Domain, endpoint: Endpoint, resume: Resume) -> Arc<Session> {
        let key = Key { domain: domain.clone(), endpoint };
        Arc::new(Session { sessions: Arc::clone(self), key, resume, offered: AtomicBool::new(false) })
    }

    /// Calls `edit` with the entry of a server, which becomes the most recently used.
    fn edit<R>(&self, key: &Key, edit: impl FnOnce(&mut Kept) -> R) -> R {
        let mut list = self.lock();
        let known = list.iter().position(|kept| kept.key == *key).map(|index| list.remove(index));
        let mut kept = known.unwrap_or_else(|| Kept::new(key.clone()));
        let result = edit(&mut kept);
        if list.len() >= MAX_SESSION_SERVERS {
            list.remove(0);
        }
        list.push(kept);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // The list stays consistent even if a thread panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn new(key: Key) -> Self {
        Self { key, cache: Arc::new(ClientSessionMemoryCache::new(ONE_SERVER)), failures: 0 }
    }
}

/// Without the sessions, which are secret.
impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The session store of one handshake, and of the connection that results from it.
#[derive(Debug)]
pub(crate) struct Session {
    sessions: Arc<Sessions>,
    key: Key,
    resume: Resume,
    offered: AtomicBool,
}

impl Session {
    /// Whether the handshake has offered a session to the server.
    pub(crate) fn is_offered(&self) -> bool {
        self.offered.load(Ordering::Relaxed)
    }

    /// Forgets the sessions of this server, if one was offered: "implementations SHOULD discard … any secret values and
    /// keys established in failed connections, with the exception of the PSKs associated with session tickets, which
    /// SHOULD be discarded if possible" (RFC 8446 section 6.2; RFC 5246 section 7.2.2 has MUST NOT resume).
    pub(crate) fn forget_offered(&self) {
        // Counts each handshake once.
        if self.offered.swap(false, Ordering::Relaxed) {
            self.sessions.edit(&self.key, |kept| {
                *kept = Kept { failures: kept.failures.saturating_add(1), ..Kept::new(self.key.clone()) };
            });
        }
    }

    /// Forgets earlier failures: the server has sent data after it resumed a session, so they had other causes.
    pub(crate) fn prove(&self) {
        self.sessions.edit(&self.key, |kept| kept.failures = 0);
    }

    /// The cache of the server; `None` for a server that fails with sessions.
    fn cache(&self) -> Option<Arc<ClientSessionMemoryCache>> {
        self.sessions
            .edit(&self.key, |kept| (kept.failures < MAX_SESSION_FAILURES).then(|| Arc::clone(&kept.cache)))
    }

    /// The session to offer to the server, if `take` finds one.
    fn offer<T>(&self, take: impl FnOnce(&ClientSessionMemoryCache) -> Option<T>) -> Option<T> {
        if self.resume == Resume::Never {
            return None;
        }
        let session = take(&*self.cache()?);
        if session.is_some() {
            self.offered.store(true, Ordering::Relaxed);
        }
        session
    }
}

impl ClientSessionStore for Session {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        if let Some(cache) = self.cache() {
            cache.set_kx_hint(server_name, group);
        }
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache()?.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(cache) = self.cache() {
            cache.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.offer(|cache| cache.tls12_session(server_name))
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        if let Some(cache) = self.cache() {
            cache.remove_tls12_session(server_name);
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if let Some(cache) = self.cache() {
            cache.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.offer(|cache| cache.take_tls13_ticket(server_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(sessions: &Arc<Sessions>, port: u16, tls: TlsMode) -> Arc<Session> {
        let endpoint = Endpoint { host: Host::parse("a.test").unwrap(), port, tls };
        sessions.of(&Domain::new("example.org").unwrap(), endpoint, Resume::Offer)
    }

    fn name() -> ServerName<'static> {
        ServerName::try_from("example.org").unwrap()
    }

    // rule E8
    #[test]
    fn no_more_servers_are_kept_than_64_and_those_used_last_stay() {
        let sessions = Arc::new(Sessions::default());
        let of = |port| session(&sessions, port, TlsMode::Direct);
        for port in 1..=100 {
            of(port).set_kx_hint(name(), NamedGroup::X25519);
            assert_eq!(of(1).kx_hint(&name()), Some(NamedGroup::X25519));
        }
        assert_eq!(sessions.lock().len(), MAX_SESSION_SERVERS);
        assert_eq!(of(100).kx_hint(&name()), Some(NamedGroup::X25519));
        assert_eq!(of(2).kx_hint(&name()), None);
    }

    // rule E8
    #[test]
    fn what_is_kept_of_one_server_is_not_kept_of_another() {
        let sessions = Arc::new(Sessions::default());
        session(&sessions, 443, TlsMode::Direct).set_kx_hint(name(), NamedGroup::X25519);
        assert_eq!(session(&sessions, 443, TlsMode::StartTls).kx_hint(&name()), None);
        assert_eq!(session(&sessions, 5223, TlsMode::Direct).kx_hint(&name()), None);
        assert_eq!(session(&sessions, 443, TlsMode::Direct).kx_hint(&name()), Some(NamedGroup::X25519));
    }

    // rule E5a
    #[test]
    fn nothing_is_forgotten_of_a_server_that_was_offered_nothing() {
        let sessions = Arc::new(Sessions::default());
        let session = session(&sessions, 443, TlsMode::Direct);
        session.set_kx_hint(name(), NamedGroup::X25519);
        session.forget_offered();
        assert_eq!(session.kx_hint(&name()), Some(NamedGroup::X25519));
        session.offered.store(true, Ordering::Relaxed);
        session.forget_offered();
        assert_eq!(session.kx_hint(&name()), None);
    }

    // rule E5a
    #[test]
    fn only_failures_in_a_row_count() {
        let sessions = Arc::new(Sessions::default());
        let session = session(&sessions, 443, TlsMode::Direct);
        let fail = || {
            session.offered.store(true, Ordering::Relaxed);
            session.forget_offered();
        };
        fail();
        session.prove();
        fail();
        assert!(session.cache().is_some());
        fail();
        assert!(session.cache().is_none());
    }

    #[test]
    fn a_poisoned_lock_is_recovered() {
        let sessions = Arc::new(Sessions::default());
        let session = session(&sessions, 443, TlsMode::Direct);
        let panics = std::panic::AssertUnwindSafe(|| sessions.edit(&session.key, |_| panic!("on purpose")));
        std::panic::catch_unwind(panics).unwrap_err();
        assert!(sessions.0.is_poisoned());
        session.set_kx_hint(name(), NamedGroup::X25519);
        assert_eq!(session.kx_hint(&name()), Some(NamedGroup::X25519));
    }
}
