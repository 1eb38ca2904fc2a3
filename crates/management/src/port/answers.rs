//! Answers that are remembered, so that a request that is sent again makes nothing twice.

use async_trait::async_trait;

use super::Error;

/// What names a request that is to be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The client's own word for it.
    pub key: String,
    /// The digest of what is asked: method, path, query and body.
    pub fingerprint: [u8; 32],
}

/// What a request was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The digest of what was asked.
    pub fingerprint: Vec<u8>,
    /// The status.
    pub status: u16,
    /// The value of `location`.
    pub location: Option<String>,
    /// The value of `etag`.
    pub etag: Option<String>,
    /// The revision that the policy had then.
    pub revision: i64,
    /// The body, JSON; `None`: the answer held a secret that is not shown again.
    pub body: Option<String>,
    /// The id of what that secret is of.
    pub issued: Option<String>,
}

/// Remembered answers, outside of a change.
#[async_trait]
pub trait Answers: Send + Sync {
    /// The answer to the request that `actor` named with this key after the time `since`.
    async fn answer(&self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error>;
}

/// Remembered answers, within a change.
#[async_trait]
pub trait AnswerRows: Send {
    /// The revision that the policy has when this change is committed now.
    fn revision_then(&self) -> i64;

    /// The answer to the request that `actor` named with this key after the time `since`.
    async fn find_answer(&mut self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error>;

    /// Whether `actor` has as many remembered answers.
    async fn has_answers(&mut self, actor: &str, number: i64) -> Result<bool, Error>;

    /// Remembers an answer, in the place of an older one of this key. The change is then kept, also without a revision.
    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &Answer) -> Result<(), Error>;

    /// Forgets answers that are not after the time `since`.
    async fn forget_answers(&mut self, since: i64) -> Result<(), Error>;
}
