//! What all connects of a connector share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::canceller::CancelGroup;
use crate::dial::history::History;
use crate::dial::hook::DialHook;
use crate::dns::resolver::Resolver;
use crate::dns::stub::Stub;
use crate::filter::Filter;
use crate::plan::UpdateTlsa;
use crate::run::FindProxy;
use crate::settings::Settings;
use crate::starttls::StrictDomains;
use crate::tls::Tls;

/// The options and the state of a connector.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) only_used: OnlyUsed,
    pub(crate) tls: Tls,
    pub(crate) names: Names,
    /// Which addresses the caller allows; all if `None`.
    pub(crate) filter: Option<Filter>,
    /// The caller's function that opens connections.
    pub(crate) hook: Option<DialHook>,
    /// Looks up the name of the proxy, and nothing else.
    pub(crate) proxy_names: Stub,
    history: Mutex<History>,
    /// The domains that negotiate STARTTLS step by step.
    pub(crate) strict: StrictDomains,
    /// The connects in progress.
    pub(crate) in_progress: Arc<CancelGroup>,
}

/// The code of options that need much of it. Only programs that set an option name its code, and link it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnlyUsed {
    pub(crate) find_proxy: Option<FindProxy>,
    pub(crate) update_tlsa: Option<UpdateTlsa>,
}

/// Who answers DNS questions.
#[derive(Debug)]
pub(crate) enum Names {
    Stub(Stub),
    Resolver(Arc<dyn Resolver>),
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        only_used: OnlyUsed,
        tls: Tls,
        names: Names,
        proxy_names: Stub,
        filter: Option<Filter>,
        hook: Option<DialHook>,
    ) -> Self {
        Self {
            settings: Arc::new(settings),
            only_used,
            tls,
            names,
            filter,
            hook,
            proxy_names,
            history: Mutex::default(),
            strict: StrictDomains::default(),
            in_progress: Arc::new(CancelGroup::new(false)),
        }
    }

    /// What connects have shown about addresses.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear_cache(&self) {
        self.history().clear();
        self.names.clear_cache();
        self.proxy_names.clear_cache();
    }
}

impl Names {
    fn clear_cache(&self) {
        match self {
            Self::Stub(stub) => stub.clear_cache(),
            Self::Resolver(resolver) => resolver.clear_cache(),
        }
    }
}
