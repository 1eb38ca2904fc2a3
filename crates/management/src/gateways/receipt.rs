//! Receipts: which gateways decide by a change.
//!
//! A gateway has a change if it is live, all of its workers decide by one revision, and its cursor proves that revision
//! with a mark of this history. A gateway that does not see the change is not waited for, if it is known what it holds.

use std::sync::Arc;

use super::{Heard, State};
use crate::port::gateways::{Gateway, Holds, Proof};

/// Maximum number of names in each list of a receipt. At 600 bytes each, 6 MB. The numbers are always complete.
const MAX_NAMED: usize = 10_000;

/// A change of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The epoch of the database.
    pub epoch: String,
    /// The revision.
    pub revision: i64,
}

/// A gateway, as receipts name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The name in its credentials.
    pub client_id: String,
    /// The name of its Envoy.
    pub instance: Option<String>,
}

/// Which gateways decide by a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The revision.
    pub revision: i64,
    /// Number of live gateways that the change concerns.
    pub live: usize,
    /// Number of those that decide by it.
    pub have: usize,
    /// Those that do not, or not with all workers.
    pub missing: Vec<Arc<Gateway>>,
    /// Silent gateways that the change concerns.
    pub silent: Vec<Arc<Gateway>>,
    /// Whether a silent gateway was not heard of since this service started.
    pub has_unheard: bool,
    /// The proofs of those that decide by it, each once.
    pub proofs: Vec<Proof>,
}

impl Receipt {
    /// Whether every live gateway has the change.
    pub fn is_answered(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether every gateway has it that may still decide by an older policy.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.silent.is_empty()
    }
}

/// The receipt of `change`. `sees` says whether a gateway sees what was changed; `None` if that is unknown.
pub fn receipt(heard: &[Heard], states: &[State], change: &Change, sees: impl Fn(&Gateway) -> Option<bool>) -> Receipt {
    let mut receipt = Receipt { revision: change.revision, ..Receipt::default() };
    for (heard, state) in heard.iter().zip(states) {
        let gateway = &*heard.gateway;
        if *state == State::Gone || !concerns(gateway, change, &sees) {
            continue;
        }
        if *state == State::Silent {
            receipt.has_unheard |= !heard.is_heard;
            receipt.silent.push(Arc::clone(&heard.gateway));
            continue;
        }
        receipt.live = receipt.live.saturating_add(1);
        match proof(gateway, change) {
            Some(proof) => {
                receipt.have = receipt.have.saturating_add(1);
                if !receipt.proofs.contains(proof) {
                    receipt.proofs.push(proof.clone());
                }
            }
            None => receipt.missing.push(Arc::clone(&heard.gateway)),
        }
    }
    receipt
}

/// The names of gateways, in order; not all if there are very many.
pub fn names(gateways: &[Arc<Gateway>]) -> Vec<Named> {
    let named =
        |gateway: &Arc<Gateway>| Named { client_id: gateway.client_id.clone(), instance: gateway.instance.clone() };
    let mut names: Vec<Named> = gateways.iter().map(named).collect();
    names.sort();
    names.truncate(MAX_NAMED);
    names
}

/// Whether a gateway may decide otherwise because of the change.
fn concerns(gateway: &Gateway, change: &Change, sees: impl Fn(&Gateway) -> Option<bool>) -> bool {
    let is_known = match &gateway.holds {
        Holds::Nothing => true,
        Holds::Unknown => false,
        Holds::Proven(proof) => proof.epoch == change.epoch,
    };
    // Several filters may be behind one without a name.
    if gateway.instance.is_none() || !is_known {
        return true;
    }
    sees(gateway).unwrap_or(true)
}

/// The proof that a live gateway has the change.
fn proof<'g>(gateway: &'g Gateway, change: &Change) -> Option<&'g Proof> {
    let Holds::Proven(proof) = &gateway.holds else { return None };
    let has = gateway.instance.is_some()
        && gateway.lagging == Some(0)
        && proof.epoch == change.epoch
        && proof.revision >= change.revision;
    has.then_some(proof)
}
