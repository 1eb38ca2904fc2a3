//! Waits until a condition is true: by checking it again and again until a deadline, never by sleeping alone.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// The pause between two checks. It is short against every tested bound (the shortest is a second) and long against the
/// cost of a check (a request on loopback, well under a millisecond).
const PAUSE: Duration = Duration::from_millis(20);

/// Checks until `look` returns `Ok`, and returns how long that took. After `within` it returns [`Error::Deadline`] with
/// the last error of `look`. There is always one check after the deadline, so that a slow check is not taken for a late
/// change.
pub async fn eventually<T, E, F>(what: impl Into<String>, within: Duration, mut look: F) -> Result<(T, Duration)>
where
    E: fmt::Display,
    F: AsyncFnMut() -> std::result::Result<T, E>,
{
    let begun = Instant::now();
    loop {
        let late = begun.elapsed() >= within;
        match look().await {
            Ok(value) => return Ok((value, begun.elapsed())),
            Err(last) if late => {
                return Err(Error::Deadline { what: what.into(), waited: within, last: last.to_string() });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
