//! Gateways: which of them are live, and which have a change ([`receipt`]).
//!
//! Everything here is computed from values. Nothing that is unknown counts as "has". A process of an Envoy that
//! restarted cannot be told from one that lost its network, because both are silent. It stays silent until it can allow
//! nothing any more.

mod receipt;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use crate::{
    error::{Error, Thing},
    port::{
        Transaction,
        audit::{Action, Deed, Subject},
        gateways::Gateway,
    },
};

pub use receipt::{Change, Named, Receipt, names, receipt};

/// Maximum number of gateways of one client id. Further ones are counted as one without a name. At about 1 KB each,
/// 10 MB.
pub const MAX_GATEWAYS_OF_CLIENT: usize = 10_000;
/// Gateways that are gone for longer are forgotten: a month of 31 days, so that an operator finds them.
pub const GONE_KEPT_MS: i64 = 31 * 86_400 * MS;
/// An unknown gateway is expected to call within so many seconds, or within the longest time that a known one names. Filters
/// with the default configuration name it: a wait of 25 s, a time-out of 5 s, the longest pause of 30 s, and 3 s.
const UNKNOWN_HEARD_WITHIN: i64 = 63;
/// Milliseconds of a second.
const MS: i64 = 1_000;

/// Whether a gateway was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It was heard of within the time that it named.
    Live,
    /// It was not, and may still decide by the policy that it holds.
    Silent,
    /// It was silent for so long that it does not count any more.
    Gone,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Live, Self::Silent, Self::Gone];

    /// Its word in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

/// A gateway, and how this service hears of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its id.
    pub id: Arc<str>,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Whether its poll is held now.
    pub is_held: bool,
    /// Whether it was heard of since this service started. What the database says of earlier times is no sign of life.
    pub is_heard: bool,
    /// Milliseconds by which a word of it may be late, because another replica hears it.
    pub grace: i64,
}

/// The states of all gateways, in their order. `gone_after`: milliseconds after which a silent gateway is gone, if it can
/// allow nothing any more.
pub fn states(heard: &[Heard], gone_after: i64, now: i64) -> Vec<State> {
    let latest = latest_processes(heard);
    heard.iter().map(|heard| state(heard, is_replaced(heard, &latest), gone_after, now)).collect()
}

fn state(heard: &Heard, is_replaced: bool, gone_after: i64, now: i64) -> State {
    let gateway = &*heard.gateway;
    let within = gateway.heard_within.saturating_add(gateway.retry_after).saturating_mul(MS);
    let until = gateway.heard_at.saturating_add(within).saturating_add(heard.grace);
    if heard.is_held || (heard.is_heard && now < until) {
        return State::Live;
    }
    // Without this time, or with 0, its policy never expires: it may go on for ever.
    let Some(expires_after) = gateway.expires_after.filter(|seconds| *seconds > 0) else { return State::Silent };
    let expires_after = expires_after.saturating_mul(MS);
    let needed = if is_replaced { expires_after } else { expires_after.max(gone_after) };
    if now < until.saturating_add(needed) { State::Silent } else { State::Gone }
}

/// The latest process of each instance, by client id and instance.
type Latest<'h> = HashMap<(&'h str, &'h str), &'h Gateway>;

fn latest_processes(heard: &[Heard]) -> Latest<'_> {
    let mut latest = Latest::new();
    for Heard { gateway, .. } in heard {
        let Some(instance) = &gateway.instance else { continue };
        let known = latest.entry((&gateway.client_id, instance)).or_insert(gateway);
        if gateway.first_at > known.first_at {
            *known = gateway;
        }
    }
    latest
}

/// Whether a later process has taken the place of this one: it was first heard of after the last word of this one. In a
/// hot restart, and with two Envoys of one name, both are heard of in turn. A replaced process may still serve, if only
/// its way to this service is cut. So it is not gone before its policy has expired, but then at once.
fn is_replaced(heard: &Heard, latest: &Latest<'_>) -> bool {
    let Gateway { client_id, instance: Some(instance), process, heard_at, .. } = &*heard.gateway else { return false };
    let later = |other: &&Gateway| other.process != *process && other.first_at > *heard_at;
    !heard.is_held && latest.get(&(client_id.as_str(), instance.as_str())).is_some_and(later)
}

/// Whether a gateway is gone for so long that it is forgotten.
pub fn is_forgotten(heard: &Heard, state: State, now: i64) -> bool {
    state == State::Gone && now.saturating_sub(heard.gateway.heard_at) > GONE_KEPT_MS
}

/// Whether there may be gateways that this service does not know: it started at `started`, on a database that lost a part of
/// its history at `lost_at`, and not every gateway had the time to call since. These times are Unix milliseconds.
/// `heard_within` is the longest time that a known gateway names, in seconds.
pub fn may_miss_some(heard_within: i64, started: i64, lost_at: i64, now: i64) -> bool {
    let within = heard_within.max(UNKNOWN_HEARD_WITHIN).saturating_mul(MS);
    [started, lost_at].iter().all(|since| now.saturating_sub(*since) < within)
}

/// Removes a gateway from the list at `now`, Unix milliseconds. It comes back as soon as it is heard of.
pub async fn remove(change: &mut dyn Transaction, id: &str, now: i64) -> Result<(), Error> {
    let removed = change.remove_gateway(id, now).await?.ok_or_else(|| Error::no_such(Thing::Gateway, id))?;
    let before = Some(removed.document);
    change.record(Deed::beside_policy(Action::Delete, Subject::Gateway, id, before, None));
    change.commit_without_revision();
    Ok(())
}
