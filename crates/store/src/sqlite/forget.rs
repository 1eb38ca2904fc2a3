//! Decides how far back the past is kept, by the number of past versions and by their age. Whole revisions are deleted:
//! all versions that ended at or before the new horizon.

use sqlx::SqliteConnection;

use super::fault::Fault;
use crate::{Settings, entries::SECONDS_OF_A_DAY};
use management::port::State;

/// Maximum number of revisions whose age one change checks. Each change makes one revision, so a backlog shrinks.
const LOOKED_AT: i64 = 1_000;
/// Maximum number of past versions that one change deletes because of their age: 0.2 s at 4 µs each. One revision may
/// have more.
const MAX_DELETED: i64 = 50_000;

/// The oldest revision that can still be read after this change; `None` if nothing is to be deleted.
pub(super) async fn horizon(
    connection: &mut SqliteConnection,
    state: &State,
    settings: Settings,
    now: i64,
) -> Result<Option<i64>, Fault> {
    let surplus = state.past.saturating_sub(settings.history_rows);
    let by_number = match surplus {
        ..=0 => None,
        surplus => end_of(&mut *connection, surplus.saturating_sub(1)).await?,
    };
    let by_age = match settings.history_days {
        0 => None,
        days => by_age(connection, now.saturating_sub(days.saturating_mul(SECONDS_OF_A_DAY))).await?,
    };
    Ok(by_number.max(by_age).filter(|horizon| *horizon > state.horizon))
}

/// The revision at the time `oldest`, or an earlier one if there is much to delete.
async fn by_age(connection: &mut SqliteConnection, oldest: i64) -> Result<Option<i64>, Fault> {
    let held: Option<i64> = sqlx::query_scalar(
        "SELECT max(revision) FROM (SELECT revision, at FROM revision_word ORDER BY revision LIMIT ?) WHERE at <= ?",
    )
    .bind(LOOKED_AT)
    .bind(oldest)
    .fetch_one(&mut *connection)
    .await?;
    let Some(held) = held else { return Ok(None) };
    Ok(Some(end_of(connection, MAX_DELETED).await?.map_or(held, |full| held.min(full))))
}

/// The revision that ended the past version at this position, counted from the oldest.
async fn end_of(connection: &mut SqliteConnection, place: i64) -> Result<Option<i64>, Fault> {
    let ended = sqlx::query_scalar(
        "SELECT until_revision FROM version WHERE until_revision IS NOT NULL ORDER BY until_revision LIMIT 1 OFFSET ?",
    );
    Ok(ended.bind(place).fetch_optional(connection).await?)
}

/// Deletes versions that ended at or before `horizon`. Returns their number.
pub(super) async fn up_to(connection: &mut SqliteConnection, horizon: i64) -> Result<i64, Fault> {
    let deleted = sqlx::query("DELETE FROM version WHERE until_revision <= ?").bind(horizon);
    let deleted = deleted.execute(&mut *connection).await?.rows_affected();
    sqlx::query("DELETE FROM revision_word WHERE revision < ?").bind(horizon).execute(connection).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}
