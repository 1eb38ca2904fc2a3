//! The clock of this machine and its random numbers, and the only place that reads either for what is stored. How long
//! things take is measured where they happen.

use std::time::{SystemTime, UNIX_EPOCH};

use management::port::{Act, Actor, Origin};

/// The time, in Unix seconds.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// What `actor` does now, without a request that asks for it.
pub fn act(actor: Actor) -> Act {
    act_from(actor, Origin::default())
}

/// What `actor` does now, by the request that comes from `origin`.
pub fn act_from(actor: Actor, origin: Origin) -> Act {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| error.to_string());
    Act { actor, now: unix_seconds(), random, origin }
}

/// What the service does now by itself.
pub fn act_of_service() -> Act {
    act(Actor::Service)
}
