//! Sessions of people who signed in to the console. They stand beside the policy and make no revisions.
//!
//! The database stores the secret of a session only as its digest. The rules ([`crate::sessions`]) decide how long a
//! session lasts and how many there may be.

use async_trait::async_trait;

use super::{Error, Principal, accounts::SecretHash};

/// A session, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who signed in.
    pub principal: Principal,
    /// Where the rights come from.
    pub source: Source,
    /// The time of the sign-in, in Unix seconds.
    pub created_at: i64,
    /// The last noted use, in Unix seconds.
    pub used_at: i64,
    /// First second in which it is not valid any more, Unix time.
    pub expires_at: i64,
}

/// Where the rights of a session come from. The session ends with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A token, by its id.
    Token(String),
    /// Something in the configuration of the service. The text is a keyed digest of it under the session's secret, so
    /// the database alone tells nothing about it.
    Configured(String),
}

/// Reads sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Finds the session with this secret. A session whose token was revoked is not found.
    async fn session_of(&self, secret: &SecretHash) -> Result<Option<Session>, Error>;
}

/// Sessions within a change.
#[async_trait]
pub trait SessionRows: Send {
    /// Number of sessions, ended ones included until they are forgotten.
    async fn count_sessions(&mut self) -> Result<i64, Error>;

    /// Adds a new session.
    async fn add_session(&mut self, session: &Session, secret: &SecretHash) -> Result<(), Error>;

    /// Notes that a session was used at `at`. An earlier time than the noted one changes nothing.
    async fn touch_session(&mut self, secret: &SecretHash, at: i64) -> Result<(), Error>;

    /// Deletes a session. Returns whether it existed.
    async fn remove_session(&mut self, secret: &SecretHash) -> Result<bool, Error>;

    /// Deletes the oldest sessions of `subject` until at most `number` are left.
    async fn keep_newest_sessions(&mut self, subject: &str, number: i64) -> Result<(), Error>;

    /// Deletes at most `limit` sessions that expired at `now` or before, or that were last used at `idle_since` or
    /// before. Deletes also used sign-ins whose time is over. Those of a token go when the token is removed.
    async fn forget_sessions(&mut self, now: i64, idle_since: i64, limit: i64) -> Result<(), Error>;

    /// Notes that the sign-in with this digest is used up, until `until`. Returns `false` if it was used before.
    async fn use_sign_in(&mut self, digest: &SecretHash, until: i64) -> Result<bool, Error>;
}
