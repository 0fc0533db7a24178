//! What all connects of a connector share.

use std::sync::Arc;

use crate::canceller::CancelGroup;
use crate::dns::resolver::Resolver;
use crate::dns::stub::Stub;
use crate::settings::Settings;
use crate::tls::Tls;

/// The options and the state of a connector.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Tls,
    pub(crate) names: Names,
    /// The connects in progress.
    pub(crate) in_progress: Arc<CancelGroup>,
}

/// Who answers DNS questions.
#[derive(Debug)]
pub(crate) enum Names {
    Stub(Stub),
    Resolver(Arc<dyn Resolver>),
}

impl Shared {
    pub(crate) fn new(settings: Settings, tls: Tls, names: Names) -> Self {
        Self { settings: Arc::new(settings), tls, names, in_progress: Arc::new(CancelGroup::new(false)) }
    }
}

impl Names {
    pub(crate) fn clear_cache(&self) {
        match self {
            Self::Stub(stub) => stub.clear_cache(),
            Self::Resolver(resolver) => resolver.clear_cache(),
        }
    }
}
