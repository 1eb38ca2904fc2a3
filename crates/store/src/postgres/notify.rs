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

/// The content of a notification of changed tokens or credentials. The number is looked up as well, so a lost
/// notification does no harm.
pub const ACCOUNTS: &str = "accounts";

/// The content of a notification of gateways that were noted or removed. They are looked up as well.
pub const GATEWAYS: &str = "gateways";

/// The first word of a notification that a service waits for gateways. If it is lost, the other services note a little
/// later what they hear.
const WANTED: &str = "wanted";

/// The content of a notification that the service `by` waits for gateways.
pub fn wanted(by: &str, seconds: u32) -> String {
    format!("{WANTED} {by} {seconds}")
}

/// A notification of something beside the policy.
#[derive(Debug, PartialEq, Eq)]
pub enum Beside<'p> {
    /// Tokens or credentials were changed.
    Accounts,
    /// Gateways were noted or removed.
    Gateways,
    /// A service waits for gateways.
    Wanted {
        /// Its run.
        by: &'p str,
        /// For so many seconds.
        seconds: u32,
    },
}

/// Parses a notification of something beside the policy.
pub fn beside(payload: &str) -> Option<Beside<'_>> {
    let mut words = payload.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(ACCOUNTS), None, None) => Some(Beside::Accounts),
        (Some(GATEWAYS), None, None) => Some(Beside::Gateways),
        (Some(WANTED), Some(by), Some(seconds)) => Some(Beside::Wanted { by, seconds: seconds.parse().ok()? }),
        _ => None,
    }
}

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
            assert_eq!(beside(payload), None, "{payload}");
        }
    }

    #[test]
    fn what_is_beside_the_policy_is_told_apart() {
        assert_eq!(beside(ACCOUNTS), Some(Beside::Accounts));
        assert_eq!(beside(GATEWAYS), Some(Beside::Gateways));
        assert_eq!(beside(&wanted("0a1b", 30)), Some(Beside::Wanted { by: "0a1b", seconds: 30 }));
        for payload in ["wanted", "wanted 0a1b", "wanted 0a1b -1", "gateways 1", "accounts 1"] {
            assert_eq!(beside(payload), None, "{payload}");
        }
    }
}
