//! Decides how far back the past is kept, by the number of past versions and by their age. Whole revisions are deleted:
//! all versions that ended at or before the new horizon. One change deletes a bounded number, so that others do not wait
//! for it; what is left goes with the next changes.

use crate::{Settings, entries::SECONDS_OF_A_DAY};
use management::port::State;

/// Maximum number of past versions that one change deletes because there are too many, apart from completing a
/// revision. It is more than changes add.
const FORGOTTEN_AT_ONCE: i64 = 10_000;
/// Maximum number of revisions whose age one change checks. Each change makes one revision, so a backlog shrinks.
const LOOKED_AT: i64 = 1_000;
/// Maximum number of past versions that one change deletes because of their age: 0.2 s at 4 µs each. One revision may
/// have more.
const MAX_DELETED: i64 = 50_000;

/// Questions to a database about its past versions.
pub trait Past {
    type Fault;

    /// The revision that ended the past version at this position, counted from the oldest.
    async fn end_of(&mut self, place: i64) -> Result<Option<i64>, Self::Fault>;

    /// The last of the oldest `looked_at` revisions that was made at the time `oldest` or before.
    async fn made_by(&mut self, oldest: i64, looked_at: i64) -> Result<Option<i64>, Self::Fault>;
}

/// The oldest revision that can still be read after this change; `None` if nothing is to be deleted.
pub async fn horizon<P: Past>(
    past: &mut P,
    state: &State,
    settings: Settings,
    now: i64,
) -> Result<Option<i64>, P::Fault> {
    let surplus = state.past.saturating_sub(settings.history_rows).min(FORGOTTEN_AT_ONCE);
    let by_number = match surplus {
        ..=0 => None,
        surplus => past.end_of(surplus.saturating_sub(1)).await?,
    };
    let by_age = match settings.history_days {
        0 => None,
        days => by_age(past, now.saturating_sub(days.saturating_mul(SECONDS_OF_A_DAY))).await?,
    };
    Ok(by_number.max(by_age).filter(|horizon| *horizon > state.horizon))
}

/// The revision at the time `oldest`, or an earlier one if there is much to delete.
async fn by_age<P: Past>(past: &mut P, oldest: i64) -> Result<Option<i64>, P::Fault> {
    let Some(held) = past.made_by(oldest, LOOKED_AT).await? else { return Ok(None) };
    Ok(Some(past.end_of(MAX_DELETED).await?.map_or(held, |full| held.min(full))))
}
