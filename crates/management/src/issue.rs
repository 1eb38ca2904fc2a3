//! Issues keys. Only here a key exists in clear, between the random generator and the answer.

use std::fmt;

use keygate::{digest::Digest, policy::MAX_UNIX_SECONDS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access, check,
    error::Error,
    key_form,
    keys::{Key, KeyState, KeyType},
    pipeline::{Origin, Outcome, add, create},
    resource::{Resource as _, put},
};
use crate::port::{
    Act, Kind, Transaction,
    audit::{Action, Deed},
};

/// The longest overlap, 366 days. For a longer one, issue a second key instead.
pub const MAX_OVERLAP_SECONDS: i64 = 366 * 86_400;

/// The properties of a new key.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Issue {
    /// A public handle, for logs; the service makes one if it is left out.
    pub id: Option<String>,
    /// PRODUCTION unless given.
    #[serde(rename = "type")]
    pub key_type: Option<KeyType>,
    /// First second in which the key is valid, Unix time; valid at once unless given.
    pub not_before: Option<i64>,
    /// Number of seconds for which the key is valid from now; for ever unless this or `expires_at` is given.
    pub expires_in: Option<i64>,
    /// First second in which the key is not valid any more, Unix time.
    pub expires_at: Option<i64>,
    /// The only APIs that the key opens. If absent, any; if empty, none.
    pub apis: Option<Vec<String>>,
    /// Addresses and ranges from which the key may be used. If absent, any; if empty, none.
    pub permitted_ips: Option<Vec<String>>,
    /// Referers from which the key may be used. If absent, any; if empty, none.
    pub permitted_referers: Option<Vec<String>>,
}

/// The properties of a key that replaces another.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Regenerate {
    /// Number of seconds in which both keys are valid; 0 unless given, which revokes the old key at once.
    pub overlap_seconds: Option<i64>,
    /// The new key's public handle; the service makes one if it is left out.
    pub id: Option<String>,
    /// Number of seconds for which the new key is valid from now. Unless this or `expires_at` is given, the new key
    /// expires when the old one would have.
    pub expires_in: Option<i64>,
    /// First second in which the new key is not valid any more, Unix time.
    pub expires_at: Option<i64>,
}

/// A new key, with the key itself.
#[derive(Serialize, ToSchema)]
pub struct IssuedKey {
    /// The key itself. Give it to the client now: the service cannot show it again.
    pub key: String,
    /// The stored part of the key.
    #[serde(flatten)]
    pub stored: Key,
    /// The id of the key that it replaces.
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
    if access::find(change, Kind::Application, application).await?.kept_block.is_some() {
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
        Outcome::Created(stored) => {
            change.record(Deed::of_row(Action::Issue, Kind::Key, stored.id.as_deref().unwrap_or_default()));
            Ok(IssuedKey { key, stored, replaces: None })
        }
        // The same 160 random bits occurred before, so the random generator cannot be trusted.
        Outcome::Held(_) => Err(Error::conflict("this key was issued before; try again")),
    }
}

/// Issues a key that replaces another, with the same application, type and restrictions.
pub async fn regenerate(change: &mut dyn Transaction, id: &str, asked: Regenerate) -> Result<IssuedKey, Error> {
    check::addressable(Kind::Key, asked.id.as_deref())?;
    let held = access::find_own(change, Kind::Key, id).await?;
    let old = Key::shown(&held)?;
    if old.state != Some(KeyState::Active) {
        return Err(Error::conflict("this key is revoked; issue a new one to its application"));
    }
    // The old key now lives only until the end of the overlap, and it already has a successor.
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
        return Err(Error::invalid("expires_in", "the old key has expired; expected the lifetime of the new one"));
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
    // The entry lists the new key in `also`.
    change.record(Deed::of_row(Action::Regenerate, Kind::Key, id));
    Ok(IssuedKey { key, stored, replaces: Some(id.to_owned()) })
}

/// Revokes a key for ever.
pub async fn revoke(change: &mut dyn Transaction, id: &str) -> Result<Key, Error> {
    let held = access::find_own(change, Kind::Key, id).await?;
    let revoked = Key { state: Some(KeyState::Revoked), ..Key::shown(&held)? };
    change.record(Deed::of_row(Action::Revoke, Kind::Key, id));
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
        (None, Some(time)) if time <= now => Err(Error::invalid("expires_at", "expected a time in the future")),
        (None, Some(time)) => Ok(Some(time)),
    }
}
