//! The clock of this machine and its random numbers, and the only place that reads either for what is stored. How long
//! things take is measured where they happen.

use std::time::{SystemTime, UNIX_EPOCH};

use management::port::{Act, Actor};

/// The time, in Unix seconds.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// What `actor` does now.
pub fn act(actor: Actor) -> Act {
    Act { actor, now: unix_seconds(), random: |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()) }
}

/// What the service does now by itself.
pub fn act_of_service() -> Act {
    act(Actor::Service)
}
