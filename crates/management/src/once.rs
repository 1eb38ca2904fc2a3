//! Requests that are done once: a request with a key that is sent again within a day makes nothing twice and gets the same
//! answer.
//!
//! The answer is stored with the change, so there is never one without the other. Changes come one after the other, so of
//! two requests with one key the second finds the answer of the first before it commits. How answers become HTTP is known to
//! the routes.

use crate::{
    error::Error,
    port::{
        Act, Actor, Transaction,
        answers::{Answer, Once},
    },
};

/// How long an answer is remembered, in seconds.
pub const REMEMBERED: i64 = 86_400;
/// Answers that are remembered of one actor: more than one a second all day, of some 500 bytes each, 50 MB.
pub const MAX_ANSWERS: i64 = 100_000;
/// Old answers that one change deletes. A change keeps one, so a backlog shrinks.
pub const MAX_ANSWERS_FORGOTTEN: i64 = 1_000;

/// By what the answers to an actor are known. A subject that has another role meanwhile does not see the earlier ones.
pub fn owner(actor: &Actor) -> String {
    format!("{} {}", actor.role().unwrap_or("-"), actor.subject())
}

/// The time after which an answer is still remembered.
pub fn since(act: &Act) -> i64 {
    act.now.saturating_sub(REMEMBERED)
}

/// Refuses a request whose key named another request.
pub fn check(once: &Once, answer: &Answer) -> Result<(), Error> {
    if answer.fingerprint == once.fingerprint { Ok(()) } else { Err(Error::OtherRequest) }
}

/// Stores the answer of a change that is about to be committed, if its request is to be done once. `answer` needs neither the
/// fingerprint nor the revision. Returns whether it was stored.
pub async fn keep(change: &mut dyn Transaction, answer: Answer) -> Result<bool, Error> {
    let Some(once) = change.act().origin.once.clone() else { return Ok(false) };
    let (owner, since) = (owner(&change.act().actor), since(change.act()));
    if let Some(known) = change.find_answer(&owner, &once.key, since).await? {
        check(&once, &known)?;
        return Err(Error::Done);
    }
    change.forget_answers(since).await?;
    if change.has_answers(&owner, MAX_ANSWERS).await? {
        return Err(Error::TooManyAnswers);
    }
    let answer = Answer { fingerprint: once.fingerprint.to_vec(), revision: change.revision_then(), ..answer };
    change.keep_answer(&owner, &once.key, &answer).await?;
    Ok(true)
}
