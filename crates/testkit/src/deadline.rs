//! Waiting for something to become true: by looking again and again until a deadline, never by sleeping and hoping.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// Pause between two looks. Short against every bound that is tested (the shortest is a second), long against the cost
/// of a look (a request on loopback, well under a millisecond).
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives `Ok`, and says how long that took; after `within` it is [`Error::Deadline`] with the last
/// look's error. There is always one look after the deadline, so a slow look is not taken for a late change.
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
