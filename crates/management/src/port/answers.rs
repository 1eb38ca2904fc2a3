//! Remembered answers, so that a repeated request has no second effect.

use async_trait::async_trait;

use super::Error;

/// Identifies an idempotent request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The client's key.
    pub key: String,
    /// The digest of the request: method, path, query and body.
    pub fingerprint: [u8; 32],
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The digest of the request.
    pub fingerprint: Vec<u8>,
    /// The status.
    pub status: u16,
    /// The value of `location`.
    pub location: Option<String>,
    /// The value of `etag`.
    pub etag: Option<String>,
    /// The policy's revision at that time.
    pub revision: i64,
    /// The body, JSON; `None` if the answer contained a secret, which is not shown again.
    pub body: Option<String>,
    /// The id of the object with that secret.
    pub issued: Option<String>,
}

/// Remembered answers, outside of a change.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Finds the answer to the request of `actor` with this key after the time `since`.
    async fn answer(&self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error>;
}

/// Remembered answers, within a change.
#[async_trait]
pub trait AnswerRows: Send {
    /// The policy's revision if this change is committed now.
    fn revision_then(&self) -> i64;

    /// Finds the answer to the request of `actor` with this key after the time `since`.
    async fn find_answer(&mut self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error>;

    /// Whether `actor` has at least this many remembered answers.
    async fn has_answers(&mut self, actor: &str, number: i64) -> Result<bool, Error>;

    /// Stores an answer and replaces an older one with this key. The change is then committed even without a revision.
    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &Answer) -> Result<(), Error>;

    /// Deletes answers from `since` or earlier.
    async fn forget_answers(&mut self, since: i64) -> Result<(), Error>;
}
