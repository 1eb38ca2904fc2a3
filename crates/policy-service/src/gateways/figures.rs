//! What the metrics say about gateways: numbers, no names.

use management::{
    gateways::{Heard, State},
    port::gateways::Holds,
};

use super::Gateways;
use crate::{clock::unix_seconds, metrics::GatewayFigures};

impl Gateways {
    /// The numbers of gateways now.
    pub async fn figures(&self) -> GatewayFigures {
        let (heard, states) = self.all().unwrap_or_default();
        let number = |state| states.iter().filter(|other| **other == state).count();
        let live: Vec<&Heard> =
            heard.iter().zip(&states).filter(|(_, state)| **state == State::Live).map(|(heard, _)| heard).collect();
        let (epoch, latest) = {
            let revisions = self.0.store.revisions();
            let latest = revisions.borrow();
            (latest.epoch.clone(), latest.revision)
        };
        let held = |heard: &&Heard| match &heard.gateway.holds {
            Holds::Proven(proof) if proof.epoch == epoch => Some(proof.revision),
            Holds::Proven(_) | Holds::Nothing | Holds::Unknown => None,
        };
        let slowest = live.iter().filter_map(held).min().filter(|revision| *revision < latest);
        GatewayFigures {
            states: State::ALL.map(|state| (state.word(), number(state))).to_vec(),
            refusing: live.iter().filter(|heard| heard.gateway.refused.is_some()).count(),
            lagging: live.iter().filter(|heard| heard.gateway.lagging != Some(0)).count(),
            behind: slowest.map_or(0, |revision| latest.saturating_sub(revision)),
            behind_seconds: match slowest {
                Some(revision) => self.seconds_since(revision).await,
                None => 0,
            },
        }
    }

    /// Number of seconds since the revision after this one was made; 0 if that is not known.
    async fn seconds_since(&self, revision: i64) -> i64 {
        let made = self.0.store.made(Some(revision), false, 1).await.unwrap_or_default().pop();
        made.and_then(|made| made.at).map_or(0, |at| unix_seconds().saturating_sub(at).max(0))
    }
}
