//! What the connects of one connector share: the resolver's settings, its cache, and which servers have been silent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::dns::cache::{Cache, Caching};
use crate::dns::health::Health;
use crate::dns::system::SystemConfig;

/// What the connects of a connector share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Which servers have been silent.
    pub(crate) health: Mutex<Health>,
    pub(crate) system: SystemConfig,
    cache: Mutex<Cache>,
    rotation: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(system: SystemConfig, caching: Caching) -> Self {
        let cache = Mutex::new(Cache::new(caching));
        Self { health: Mutex::default(), system, cache, rotation: AtomicUsize::new(0) }
    }

    /// The server that the next lookup begins with under `rotate`: its number, beyond all bounds.
    pub(crate) fn next_rotation(&self) -> usize {
        self.rotation.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn with_cache<T>(&self, use_cache: impl FnOnce(&mut Cache) -> T) -> T {
        use_cache(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
