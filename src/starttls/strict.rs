//! The domains with which a connector negotiates STARTTLS step by step, because pipelining has failed there. No IO.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Domain;
use crate::limits::MAX_STRICT_DOMAINS;

/// The domains, the most recently used one last.
#[derive(Debug, Default)]
pub(crate) struct StrictDomains(Mutex<Vec<Domain>>);

impl StrictDomains {
    /// Adds a domain.
    pub(crate) fn remember(&self, domain: &Domain) {
        let mut list = self.lock();
        list.retain(|known| known != domain);
        if list.len() >= MAX_STRICT_DOMAINS {
            list.remove(0);
        }
        list.push(domain.clone());
    }

    /// Whether the domain is known. If so, it becomes the most recently used one.
    pub(crate) fn contains(&self, domain: &Domain) -> bool {
        let mut list = self.lock();
        let Some(index) = list.iter().position(|known| known == domain) else { return false };
        let known = list.remove(index);
        list.push(known);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Domain>> {
        // The list stays consistent even if a thread panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule F1
    #[test]
    fn no_more_domains_are_kept_than_64_and_those_used_last_stay() {
        let domains = StrictDomains::default();
        let domain = |number| Domain::new(&format!("d{number}.example")).unwrap();
        for number in 1..=100 {
            assert!(!domains.contains(&domain(number)));
            domains.remember(&domain(number));
            domains.remember(&domain(number));
            assert!(domains.contains(&domain(1)));
        }
        assert_eq!(domains.lock().len(), MAX_STRICT_DOMAINS);
        assert!(!domains.contains(&domain(37)));
        assert!((38..=100).all(|number| domains.contains(&domain(number))));
    }

    // rule F1
    #[test]
    fn a_poisoned_lock_is_recovered() {
        let domains = StrictDomains::default();
        let domain = Domain::new("example.org").unwrap();
        let panics = std::panic::AssertUnwindSafe(|| {
            let _list = domains.lock();
            panic!("on purpose")
        });
        std::panic::catch_unwind(panics).unwrap_err();
        domains.remember(&domain);
        assert!(domains.contains(&domain));
    }
}
