//! The clock of this machine and its random numbers. Only this file reads them for stored data. Durations are measured
//! where they matter.

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

/// An act of `actor` at the current time.
pub fn act(actor: Actor) -> Act {
    Act { actor, now: unix_seconds(), random: |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()) }
}

/// An act of the service itself at the current time.
pub fn act_of_service() -> Act {
    act(Actor::Service)
}
