//! Sessions of people: how long they last, how many there may be, and what ends them.
//!
//! A session exists in clear only in the cookie of one browser. This file knows no cookie; the database stores the
//! digest of the secret, so every replica knows every session.

use super::{
    accounts::{Secret, is_good},
    error::Error,
};
use crate::port::{
    Act, Principal, Transaction,
    accounts::SecretHash,
    sessions::{Session, Source},
};

/// A session lasts at most one working day with overtime: 12 hours.
pub const LIFE_SECONDS: i64 = 12 * 3_600;
/// A session that is not used ends after half an hour.
pub const IDLE_SECONDS: i64 = 30 * 60;
/// A use is noted at most once in this time, a sixth of [`IDLE_SECONDS`]. So an unused session ends 25 to 30 minutes
/// after its last use, and 1,000 sessions in use cost some three small writes a second.
pub const NOTED_SECONDS: i64 = 5 * 60;
/// Maximum number of sessions of one subject: some browsers on some machines. A further sign-in ends the oldest one.
pub const MAX_SESSIONS_OF_SUBJECT: i64 = 16;
/// Maximum number of sessions of one service: one for each account that it may have. At about 400 bytes each, 40 MB.
pub const MAX_SESSIONS: i64 = 100_000;
/// Ended sessions that one sign-in deletes. A sign-in makes one session, so the ended ones cannot pile up.
const SESSIONS_FORGOTTEN_AT_ONCE: i64 = 1_000;
/// How long a sign-in may be under way: the time to find a password and a second factor.
pub const SIGN_IN_SECONDS: i64 = 600;
/// The clocks of two replicas may differ by this much.
pub const SKEW_SECONDS: i64 = 60;
/// The prefix of secrets, so that scanners find them.
const SESSION_PREFIX: &str = "kgs_";

/// A new secret for a session: 256 random bits.
pub fn new_secret(act: &Act) -> Result<Secret, Error> {
    Secret::new(act, SESSION_PREFIX)
}

/// Whether a session is still valid at `now`.
pub fn is_valid(session: &Session, now: i64) -> bool {
    is_good(Some(session.expires_at), now) && now < session.used_at.saturating_add(IDLE_SECONDS)
}

/// Whether a use at `now` must be noted, so that the session does not end as unused.
pub fn is_use_due(session: &Session, now: i64) -> bool {
    now >= session.used_at.saturating_add(NOTED_SECONDS)
}

/// Begins a session with the rights of `principal`, until `end` at most.
pub async fn begin(
    change: &mut dyn Transaction,
    principal: Principal,
    source: Source,
    end: Option<i64>,
    secret: &SecretHash,
) -> Result<Session, Error> {
    let now = change.act().now;
    change.forget_sessions(now, now.saturating_sub(IDLE_SECONDS), SESSIONS_FORGOTTEN_AT_ONCE).await?;
    change.keep_newest_sessions(&principal.subject, MAX_SESSIONS_OF_SUBJECT.saturating_sub(1)).await?;
    if change.count_sessions().await? >= MAX_SESSIONS {
        return Err(Error::conflict(format!("there are {MAX_SESSIONS} sessions already; try again later")));
    }
    let life = now.saturating_add(LIFE_SECONDS);
    let expires_at = end.map_or(life, |end| end.min(life));
    let session = Session { principal, source, created_at: now, used_at: now, expires_at };
    change.add_session(&session, secret).await?;
    change.commit_without_revision();
    Ok(session)
}

/// Notes that a session is used.
pub async fn note_use(change: &mut dyn Transaction, secret: &SecretHash) -> Result<(), Error> {
    let now = change.act().now;
    change.touch_session(secret, now).await?;
    change.commit_without_revision();
    Ok(())
}

/// Ends a session. Returns whether there was one.
pub async fn end(change: &mut dyn Transaction, secret: &SecretHash) -> Result<bool, Error> {
    let ended = change.remove_session(secret).await?;
    change.commit_without_revision();
    Ok(ended)
}

/// Whether a sign-in that began at `begun` may still be completed at `now`.
pub fn is_under_way(begun: i64, now: i64) -> bool {
    begun <= now.saturating_add(SKEW_SECONDS) && now < begun.saturating_add(SIGN_IN_SECONDS)
}

/// Uses a sign-in up, so that nobody completes it again. Returns `false` if it was used before.
pub async fn use_up(change: &mut dyn Transaction, digest: &SecretHash, begun: i64) -> Result<bool, Error> {
    // Another replica may accept it until then.
    let until = begun.saturating_add(SIGN_IN_SECONDS).saturating_add(SKEW_SECONDS);
    Ok(change.use_sign_in(digest, until).await?)
}
