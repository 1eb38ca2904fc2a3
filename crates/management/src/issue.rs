//! Issuing keys: the only place where a key is in clear, between the random generator and the answer.

use std::fmt;

use keygate::{digest::Digest, policy::MAX_UNIX_SECONDS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    error::Error,
    key_form,
    keys::{Key, KeyState, KeyType},
    pipeline::{Origin, Outcome, add, create},
    resource::{Resource as _, put},
};
use crate::port::{Act, Kind, Transaction};

/// The longest overlap, 366 days. For a longer one, issue a second key.
const MAX_OVERLAP_SECONDS: i64 = 366 * 86_400;

/// What is asked of a new key.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Issue {
    /// A public handle, for logs; made if it is left out.
    pub id: Option<String>,
    /// PRODUCTION unless given.
    #[serde(rename = "type")]
    pub key_type: Option<KeyType>,
    /// First second in which it is good, Unix time; at once unless given.
    pub not_before: Option<i64>,
    /// How many seconds from now it is good; for ever unless this or `expires_at` is given.
    pub expires_in: Option<i64>,
    /// First second in which it is good no more, Unix time.
    pub expires_at: Option<i64>,
    /// The only APIs that it opens; any unless given, none if empty.
    pub apis: Option<Vec<String>>,
    /// Addresses and ranges that it may be used from; any unless given, none if empty.
    pub permitted_ips: Option<Vec<String>>,
    /// Referers that it may be used from; any unless given, none if empty.
    pub permitted_referers: Option<Vec<String>>,
}

/// What is asked of a key that takes another's place.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Regenerate {
    /// For so many seconds both keys work; 0 unless given: the old one is revoked at once.
    pub overlap_seconds: Option<i64>,
    /// The new key's public handle; made if it is left out.
    pub id: Option<String>,
    /// How many seconds from now the new key is good; as long as the old one unless this or `expires_at` is given.
    pub expires_in: Option<i64>,
    /// First second in which the new key is good no more, Unix time.
    pub expires_at: Option<i64>,
}

/// A key with the key itself, in its only appearance.
#[derive(Serialize, ToSchema)]
pub struct IssuedKey {
    /// The key: give it to the client now, it cannot be shown again.
    pub key: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub stored: Key,
    /// The id of the key whose place it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("stored", &self.stored).finish_non_exhaustive()
    }
}

/// Issues a key to an application.
pub async fn issue(change: &mut dyn Transaction, application: &str, issue: Issue) -> Result<IssuedKey, Error> {
    check::addressable(Kind::Key, issue.id.as_deref())?;
    if change.find(Kind::Application, application).await?.is_none_or(|held| held.kept_block.is_some()) {
        return Err(Error::not_found(Kind::Application, application));
    }
    let now = change.act().now;
    let (key, digest) = new_key(change.act(), issue.key_type)?;
    let stored = Key {
        sha256: Some(digest.to_hex()),
        id: issue.id,
        application: Some(application.to_owned()),
        key_type: issue.key_type,
        state: None,
        not_before: issue.not_before,
        expires_at: expiry(now, issue.expires_in, issue.expires_at)?,
        apis: issue.apis,
        permitted_ips: issue.permitted_ips,
        permitted_referers: issue.permitted_referers,
        last_used: None,
        replaced_by: None,
        etag: None,
    };
    match create(change, stored, Origin::Client).await? {
        Outcome::Created(stored) => Ok(IssuedKey { key, stored, replaces: None }),
        // 160 random bits were there before: the random generator cannot be trusted.
        Outcome::Held(_) => Err(Error::conflict("this key was issued before; try again")),
    }
}

/// Issues a key that takes the place of another: same application, type and restrictions.
pub async fn regenerate(change: &mut dyn Transaction, id: &str, asked: Regenerate) -> Result<IssuedKey, Error> {
    check::addressable(Kind::Key, asked.id.as_deref())?;
    let held = change.find(Kind::Key, id).await?.ok_or_else(|| Error::not_found(Kind::Key, id))?;
    let old = Key::shown(&held)?;
    if old.state != Some(KeyState::Active) {
        return Err(Error::conflict("this key is revoked; issue a new one to its application"));
    }
    // Of its lifetime only the end of the overlap is left, and there is a key in its place.
    if let Some(next) = &old.replaced_by {
        return Err(Error::conflict(format!(
            "this key was regenerated before, as {next:?}; regenerate that one, or issue a new one to its application"
        )));
    }
    let overlap = asked.overlap_seconds.unwrap_or(0);
    if !(0..=MAX_OVERLAP_SECONDS).contains(&overlap) {
        return Err(Error::invalid("overlap_seconds", format!("expected 0 to {MAX_OVERLAP_SECONDS}")));
    }
    let now = change.act().now;
    let expires_at = expiry(now, asked.expires_in, asked.expires_at)?.or(old.expires_at);
    if expires_at.is_some_and(|time| time <= now) {
        return Err(Error::invalid("expires_in", "the old key has expired; say how long the new one is good"));
    }
    let (key, digest) = new_key(change.act(), old.key_type)?;
    let stored = Key { sha256: Some(digest.to_hex()), id: asked.id, expires_at, ..old.clone() };
    let stored = add(change, stored).await?;

    let mut retired = Key { replaced_by: stored.id.clone(), ..old };
    let end = now.saturating_add(overlap);
    if overlap == 0 || retired.not_before.is_some_and(|from| from >= end) {
        retired.state = Some(KeyState::Revoked);
    } else {
        retired.expires_at = Some(retired.expires_at.unwrap_or(i64::MAX).min(end));
    }
    put(change, &held, &retired).await?;
    Ok(IssuedKey { key, stored, replaces: Some(id.to_owned()) })
}

/// Revokes a key, for ever.
pub async fn revoke(change: &mut dyn Transaction, id: &str) -> Result<Key, Error> {
    let held = change.find(Kind::Key, id).await?.ok_or_else(|| Error::not_found(Kind::Key, id))?;
    let revoked = Key { state: Some(KeyState::Revoked), ..Key::shown(&held)? };
    put(change, &held, &revoked).await?;
    Ok(revoked)
}

fn new_key(act: &Act, key_type: Option<KeyType>) -> Result<(String, Digest), Error> {
    let key = key_form::new_key(act, key_type.unwrap_or(KeyType::Production))?;
    let digest = Digest::of(key.as_bytes());
    Ok((key, digest))
}

fn expiry(now: i64, expires_in: Option<i64>, expires_at: Option<i64>) -> Result<Option<i64>, Error> {
    match (expires_in, expires_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::invalid("expires_in", "expected only one of expires_in and expires_at")),
        (Some(seconds), None) => {
            now.checked_add(seconds).filter(|time| seconds > 0 && *time <= MAX_UNIX_SECONDS).map(Some).ok_or_else(
                || Error::invalid("expires_in", "expected a positive number of seconds, to the year 9999 at most"),
            )
        }
        (None, Some(time)) if time <= now => Err(Error::invalid("expires_at", "expected a time that is not over")),
        (None, Some(time)) => Ok(Some(time)),
    }
}
