//! What the connects of one connector share: the resolver's settings, its cache, and what is known of the servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clocks::Clocks;
use crate::dns::cache::{Cache, Caching};
use crate::dns::stub::health::Health;
use crate::dns::stub::system::SystemConfig;
use crate::settings::SocketOptions;

/// What the connects of a connector share.
#[derive(Debug)]
pub(crate) struct ResolverState {
    pub(crate) system: SystemConfig,
    /// The options of the connector's sockets.
    pub(crate) socket: SocketOptions,
    health: Mutex<Health>,
    cache: Mutex<Cache>,
    clocks: Mutex<Clocks>,
    rotation: AtomicUsize,
}

impl ResolverState {
    pub(crate) fn new(system: SystemConfig, caching: Caching, socket: SocketOptions) -> Self {
        let cache = Mutex::new(Cache::new(caching));
        let clocks = Mutex::default();
        Self { health: Mutex::default(), system, socket, cache, clocks, rotation: AtomicUsize::new(0) }
    }

    /// Forgets what was learnt of the network.
    pub(crate) fn clear(&self) {
        self.with_cache(Cache::clear);
        self.with_health(Health::clear);
    }

    /// "When wall clock and monotonic clock part by more than 5 s, cache and server health are emptied" (rule H4): a
    /// network is seldom the same after a night.
    pub(crate) fn notice_sleep(&self, (now, wall): (Instant, Duration)) {
        if self.clocks.lock().unwrap_or_else(PoisonError::into_inner).have_parted(now, wall) {
            self.clear();
        }
    }

    /// The server that the next lookup begins with under `rotate`: its number, beyond all bounds.
    pub(crate) fn next_rotation(&self) -> usize {
        self.rotation.fetch_add(1, Ordering::Relaxed)
    }

    /// What is known of the name servers.
    pub(crate) fn with_health<T>(&self, use_health: impl FnOnce(&mut Health) -> T) -> T {
        use_health(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_cache<T>(&self, use_cache: impl FnOnce(&mut Cache) -> T) -> T {
        use_cache(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
