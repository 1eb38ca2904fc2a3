//! The clock of this machine and its random numbers. Only this file reads them for stored data. Durations are measured
//! where they matter.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::hexadecimal::hexadecimal;
use management::port::{Act, Actor, Origin};

/// The time, in Unix seconds.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// The time, in Unix milliseconds.
pub fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// A random word of 128 bits, as 32 hexadecimal digits. If the system has no random numbers, the time stands in: the word
/// only tells runs of the service apart.
pub fn random_word() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = i128::from(unix_millis()).to_be_bytes();
    }
    hexadecimal(&bytes)
}

/// An act of `actor` at the current time, without a request that asks for it.
pub fn act(actor: Actor) -> Act {
    act_from(actor, Origin::default())
}

/// An act of `actor` at the current time, by the request that comes from `origin`.
pub fn act_from(actor: Actor, origin: Origin) -> Act {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| error.to_string());
    Act { actor, now: unix_seconds(), random, origin }
}

/// An act of the service itself at the current time.
pub fn act_of_service() -> Act {
    act(Actor::Service)
}
