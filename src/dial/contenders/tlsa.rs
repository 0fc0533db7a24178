//! The TLSA records of the candidates of a race: which are waited for, and which forbid to connect. No IO.

use std::sync::Arc;

use super::Contenders;
use crate::dial::Destination;
use crate::discovery::order::Group;
use crate::tls::TlsaRecord;

/// What is known of the TLSA records of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tlsa {
    /// They do not count: its certificate is verified as usual.
    Unused,
    /// Nothing yet. It does not start before.
    Awaited,
    /// They decide which certificates it may present.
    Used(Arc<[TlsaRecord]>),
    /// It must not be connected to, for this reason.
    Failed(String),
}

impl Tlsa {
    /// The records that decide.
    pub(super) fn records(&self) -> Option<Arc<[TlsaRecord]>> {
        match self {
            Self::Used(records) => Some(Arc::clone(records)),
            Self::Unused | Self::Awaited | Self::Failed(_) => None,
        }
    }
}

impl Contenders {
    /// Sets what is known of the TLSA records of each candidate.
    pub(crate) fn set_tlsa(&mut self, known: Vec<Tlsa>) {
        for (contender, tlsa) in self.list.iter_mut().zip(known) {
            contender.tlsa = tlsa;
        }
    }

    /// Finishes the candidates of group `present` and those before it that must not be connected to, as soon as they have
    /// an address. Returns where each would have been reached first, and why it is not.
    pub(in crate::dial) fn refuse_by_tlsa(&mut self, present: Group) -> Vec<(usize, Destination, String)> {
        let mut refused = Vec::new();
        for (place, contender) in self.list.iter_mut().enumerate() {
            let Tlsa::Failed(why) = &contender.tlsa else { continue };
            if contender.is_finished || Group::of(&contender.candidate, self.policy) > present {
                continue;
            }
            let Some(reach) = self.targets.first_reach(contender.target) else { continue };
            (contender.is_tried, contender.is_finished) = (true, true);
            // Started once more, they would be verified without the records.
            contender.displaced.clear();
            refused.push((place, Destination::new(reach, &contender.candidate), why.clone()));
        }
        refused
    }
}
