//! Idempotent requests: if a request with a key is sent again within a day, it has no second effect and gets the same
//! answer.
//!
//! The answer is stored with the change, so neither exists without the other. Changes are serial. So of two requests
//! with the same key, the second finds the answer of the first before it commits. The routes know how answers become
//! HTTP.

use crate::{
    error::Error,
    port::{
        Act, Actor, Transaction,
        answers::{Answer, Once},
    },
};

/// How long an answer is remembered, in seconds.
pub const REMEMBERED: i64 = 86_400;
/// Maximum number of remembered answers of one actor: more than one a second all day, some 500 bytes each, 50 MB.
pub const MAX_ANSWERS: i64 = 100_000;
/// Maximum number of old answers that one change deletes. A change adds one answer, so a backlog shrinks.
pub const MAX_ANSWERS_FORGOTTEN: i64 = 1_000;

/// The name under which the answers to an actor are stored. A subject whose role has changed does not see its earlier
/// answers.
pub fn owner(actor: &Actor) -> String {
    format!("{} {}", actor.role().unwrap_or("-"), actor.subject())
}

/// Answers after this time are still remembered.
pub fn since(act: &Act) -> i64 {
    act.now.saturating_sub(REMEMBERED)
}

/// Rejects a request whose key was used for another request.
pub fn check(once: &Once, answer: &Answer) -> Result<(), Error> {
    if answer.fingerprint == once.fingerprint { Ok(()) } else { Err(Error::OtherRequest) }
}

/// The stored answer to the actor's request with this key. Without one, there is room for another.
pub async fn look(change: &mut dyn Transaction, key: &str) -> Result<Option<Answer>, Error> {
    let (owner, since) = (owner(&change.act().actor), since(change.act()));
    if let Some(known) = change.find_answer(&owner, key, since).await? {
        return Ok(Some(known));
    }
    change.forget_answers(since).await?;
    match change.has_answers(&owner, MAX_ANSWERS).await? {
        true => Err(Error::TooManyAnswers),
        false => Ok(None),
    }
}

/// Stores the answer of a change before it is committed, if its request is idempotent. `answer` needs neither the
/// fingerprint nor the revision. Returns whether it was stored.
pub async fn keep(change: &mut dyn Transaction, answer: Answer) -> Result<bool, Error> {
    let Some(once) = change.act().origin.once.clone() else { return Ok(false) };
    if let Some(known) = look(change, &once.key).await? {
        check(&once, &known)?;
        return Err(Error::Done);
    }
    let owner = owner(&change.act().actor);
    let answer = Answer { fingerprint: once.fingerprint.to_vec(), revision: change.revision_then(), ..answer };
    change.keep_answer(&owner, &once.key, &answer).await?;
    Ok(true)
}
