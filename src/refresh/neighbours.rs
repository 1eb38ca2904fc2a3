//! The other stores of this process: detects stores that no VM uses any more, and clears them.
//!
//! A store counts as abandoned after several rounds in which no VM named it. Rounds are counted, not time. So a store
//! in use is not cleared if a clock jumps ahead or a process was stopped for a while.

use super::budget::Budget;
use crate::{
    shared::{Shared, SharedError, key::StoreId},
    store::{
        clearing::Clearing,
        stores::{self, Named},
    },
};

/// How often the refreshing VM names its store.
const ROUND_MS: u64 = 20_000;
/// Number of rounds in a row without a naming after which a store counts as abandoned: two minutes. Some VM refreshes a
/// policy within 35 s, even if the policy service refuses every VM in turn.
const ROUNDS: u8 = 6;

/// State of the VM that refreshes.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    round_ms: Option<u64>,
    /// For each store, the number of rounds in a row in which it was unchanged.
    unchanged: Vec<(Named, u8)>,
    clearing: Option<(Named, Clearing)>,
}

impl Neighbours {
    /// Does the work of a tick. A failed step is tried again in the next round.
    pub fn tick(&mut self, shared: &impl Shared, own: StoreId, now_ms: u64, budget: &mut Budget) {
        if self.clear(shared, budget).is_err() {
            self.clearing = None;
        }
        if self.round_ms.is_some_and(|last| now_ms.abs_diff(last) < ROUND_MS) {
            return;
        }
        if let Ok(known) = stores::name(shared, own, now_ms) {
            self.round_ms = Some(now_ms);
            self.compare(known, own);
            self.begin(shared, now_ms);
        }
    }

    fn compare(&mut self, known: Vec<Named>, own: StoreId) {
        let before = std::mem::take(&mut self.unchanged);
        let rounds = |store: &Named| {
            let rounds = before.iter().find(|(seen, _)| seen == store).map(|(_, rounds)| *rounds);
            rounds.map_or(0, |rounds| rounds.saturating_add(1))
        };
        let others = known.into_iter().filter(|store| store.id != own);
        self.unchanged = others.map(|store| (store, rounds(&store))).collect();
    }

    /// Begins to clear an abandoned store, one at a time.
    fn begin(&mut self, shared: &impl Shared, now_ms: u64) {
        let left_behind = self.unchanged.iter().find(|(_, rounds)| *rounds >= ROUNDS).map(|(store, _)| *store);
        let Some(store) = left_behind.filter(|_| self.clearing.is_none()) else { return };
        if let Ok(Some(clearing)) = Clearing::begin(shared, store.id, now_ms) {
            self.clearing = Some((store, clearing));
        }
    }

    fn clear(&mut self, shared: &impl Shared, budget: &mut Budget) -> Result<(), SharedError> {
        while let Some((store, clearing)) = &mut self.clearing
            && budget.is_left()
        {
            budget.spend_shard();
            if !clearing.clear_next(shared)? {
                stores::forget(shared, *store)?;
                self.clearing = None;
            }
        }
        Ok(())
    }
}
