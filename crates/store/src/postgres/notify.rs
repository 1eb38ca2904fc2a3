//! Tells the other services on this database of a new revision, and hears of theirs.
//!
//! A notification is sent in the transaction of the change, so PostgreSQL delivers it when the change can be read, or never.
//! One may still get lost, while a connection is down. So the revision is also looked up at every tick of
//! [`super::upkeep`].

use sqlx::{PgConnection, PgPool, postgres::PgListener};

use super::fault::Fault;
use management::port::{Latest, State};

/// The name under which services of one database and schema tell each other.
pub async fn channel(connection: &mut PgConnection) -> Result<String, Fault> {
    Ok(sqlx::query_scalar("SELECT 'keygate_' || md5(current_schema())").fetch_one(connection).await?)
}

/// Tells of `state` when the transaction commits.
pub async fn tell(connection: &mut PgConnection, channel: &str, state: &State) -> Result<(), Fault> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(payload(state)).execute(connection).await?;
    Ok(())
}

/// What a notification says of the state: how often the epoch was renewed, and the revision.
pub fn payload(state: &State) -> String {
    format!("{} {}", state.renewals, state.revision)
}

/// Whether a notification tells of something that is not held yet. If it cannot be read, it may.
pub fn is_news(payload: &str, held: &Latest) -> bool {
    let told = payload
        .split_once(' ')
        .and_then(|(renewals, revision)| Some((renewals.parse::<i64>().ok()?, revision.parse::<i64>().ok()?)));
    told.is_none_or(|told| told > (held.renewals, held.revision))
}

/// A connection that hears notifications of `channel`, from now on.
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
