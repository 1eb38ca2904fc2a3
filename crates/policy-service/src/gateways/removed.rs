//! Gateways that were removed from the list and may still decide. Who calls with the name and the process of one is that
//! gateway, whatever its credentials: the process is a random word that only the gateway and the service know.

use std::{collections::HashMap, sync::Arc};

use management::port::gateways::{Gateway, Holds};

/// Removed gateways that are remembered, at some 1 KB each: 10 MB. Beyond it the ones that were heard of longest ago go.
const MAX_REMOVED: usize = 10_000;

/// The removed gateways, by instance and process.
#[derive(Debug, Default)]
pub struct Removed(HashMap<(String, String), (Arc<str>, Arc<Gateway>)>);

impl Removed {
    /// A gateway was removed.
    pub fn add(&mut self, id: Arc<str>, gateway: Arc<Gateway>) {
        let Some(instance) = gateway.instance.clone() else { return };
        if self.0.len() >= MAX_REMOVED
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, (_, gateway))| gateway.heard_at).map(|(name, _)| name.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert((instance, gateway.process.clone()), (id, gateway));
    }

    /// The gateway called again with good credentials.
    pub fn forget(&mut self, instance: &str, process: &str) {
        if !self.0.is_empty() {
            self.0.remove(&(instance.to_owned(), process.to_owned()));
        }
    }

    /// The gateway of that name calls at `now`, Unix milliseconds. `None` if none was removed, or if it cannot allow anything
    /// any more. What it decides by is unknown.
    pub fn take(&mut self, instance: String, process: String, now: i64) -> Option<(Arc<str>, Gateway)> {
        let (id, gateway) = self.0.remove(&(instance, process))?;
        let silent = now.saturating_sub(gateway.heard_at);
        let has_expired = gateway.expires_after.is_some_and(|after| after > 0 && silent > after.saturating_mul(1_000));
        (!has_expired).then(|| (id, Gateway { holds: Holds::Unknown, heard_at: now, ..Gateway::clone(&gateway) }))
    }
}
