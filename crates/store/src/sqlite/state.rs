//! Where the policy stands, and rows of the policy, as SQLite has them.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::fault::Fault;
use management::port::{Kind, State, Version};

/// Reads the state of the policy.
pub async fn read_state(connection: &mut SqliteConnection) -> Result<State, Fault> {
    let row = sqlx::query(
        "SELECT policy_state.*, renewals, renewed_at, is_lost, word FROM policy_state, history \
         JOIN revision_word ON revision_word.revision = policy_state.revision",
    )
    .fetch_one(connection)
    .await?;
    let mut counts = [0; 6];
    for (count, kind) in counts.iter_mut().zip(Kind::ALL) {
        *count = row.try_get(kind.list())?;
    }
    Ok(State {
        epoch: row.try_get("epoch")?,
        revision: row.try_get("revision")?,
        horizon: row.try_get("horizon")?,
        past: row.try_get("past")?,
        word: row.try_get("word")?,
        renewals: row.try_get("renewals")?,
        renewed_at: row.try_get("renewed_at")?,
        is_lost: row.try_get("is_lost")?,
        counts,
    })
}

/// Reads a row of the table `version`.
pub fn read_version(row: &SqliteRow) -> Result<Version, Fault> {
    Ok(Version {
        seq: row.try_get("seq")?,
        kind: Kind::from_number(row.try_get("kind")?)?,
        id: row.try_get("id")?,
        application: row.try_get("application")?,
        api: row.try_get("api")?,
        kept_block: row.try_get("kept_block")?,
        kept_owner: row.try_get("kept_owner")?,
        state_before: row.try_get("state_before")?,
        beside: row.try_get("beside")?,
        due: row.try_get("due")?,
        from_revision: row.try_get("from_revision")?,
        document: row.try_get("document")?,
    })
}
