//! Notifies the other services on this database of a new revision, and receives their notifications.
//!
//! A notification is sent in the transaction of the change. So PostgreSQL delivers it only when the change can be read.
//! A notification may be lost while a connection is down. So [`super::upkeep`] also looks up the revision at every
//! tick.

use sqlx::{PgConnection, PgPool, postgres::PgListener};

use super::fault::Fault;
use management::port::{Latest, State};

/// The channel for the services of one database and schema.
pub async fn channel(connection: &mut PgConnection) -> Result<String, Fault> {
    Ok(sqlx::query_scalar("SELECT 'keygate_' || md5(current_schema())").fetch_one(connection).await?)
}

/// Notifies the other services of `state` when the transaction commits.
pub async fn tell(connection: &mut PgConnection, channel: &str, state: &State) -> Result<(), Fault> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(payload(state)).execute(connection).await?;
    Ok(())
}

/// The content of a notification: how many times the epoch was renewed, and the revision.
pub fn payload(state: &State) -> String {
    format!("{} {}", state.renewals, state.revision)
}

/// The content of a notification of changed tokens or credentials. What it says is looked up, so a lost one does no harm.
pub const ACCOUNTS: &str = "accounts";

/// Whether a notification announces a state that is newer than the current one. An unreadable notification counts as
/// newer.
pub fn is_news(payload: &str, held: &Latest) -> bool {
    let told = payload
        .split_once(' ')
        .and_then(|(renewals, revision)| Some((renewals.parse::<i64>().ok()?, revision.parse::<i64>().ok()?)));
    told.is_none_or(|told| told > (held.renewals, held.revision))
}

/// A connection that receives notifications of `channel` from now on.
pub async fn listen(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_already_is_no_news() {
        let held = Latest { epoch: "e".to_owned(), revision: 7, word: 0, renewals: 2 };
        for (payload, expected) in
            [("2 7", false), ("2 8", true), ("2 6", false), ("3 1", true), ("1 9", false), ("", true), ("2", true)]
        {
            assert_eq!(is_news(payload, &held), expected, "{payload}");
        }
    }
}
