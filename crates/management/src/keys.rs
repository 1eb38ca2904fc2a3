//! Keys: imported by their digest, issued, regenerated and revoked.
//!
//! A key exists in clear only in the answer that issues it. The service stores its digest. A revoked key never becomes
//! active again, because everyone who has learnt it still has it.

use std::collections::HashMap;

use keygate::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    error::Error,
    resource::{Reference, Resource, plain_row},
};
use crate::port::{Act, Actor, Database, Kind, NewRow, Transaction, Version, list::Column};

/// A key, without the key itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// SHA-256 of the key's bytes, 64 hexadecimal digits. It cannot be changed.
    #[serde(default)]
    pub sha256: Option<String>,
    /// A public handle, for logs; 1 to 256 bytes without control characters; the service makes one if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// The application that it belongs to. It cannot be changed.
    #[serde(default)]
    pub application: Option<String>,
    /// PRODUCTION unless given.
    #[serde(rename = "type", default)]
    pub key_type: Option<KeyType>,
    /// ACTIVE unless given. A PUT without it keeps the stored state.
    #[serde(default)]
    pub state: Option<KeyState>,
    /// First second in which the key is valid, Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// First second in which the key is not valid any more, Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The only APIs that the key opens. If absent, any; if empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<Vec<String>>,
    /// Addresses and ranges from which the key may be used. If absent, any; if empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted_ips: Option<Vec<String>>,
    /// Referers from which the key may be used, such as `example.com/*`. If absent, any; if empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted_referers: Option<Vec<String>>,
    /// When a gateway last saw the key used, Unix time; absent if no gateway has reported it. The service ignores what
    /// a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub last_used: Option<i64>,
    /// The id of the key that replaces this one; absent if it was not regenerated. The service ignores what a client
    /// sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub replaced_by: Option<String>,
    /// Identifies this version of the row, for `if-match`. The service ignores what a client sends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub etag: Option<String>,
}

/// The kind of endpoint that a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyType {
    /// The production endpoint.
    Production,
    /// The sandbox endpoint.
    Sandbox,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyState {
    /// It may be used.
    Active,
    /// It may never be used again.
    Revoked,
}

impl Key {
    /// Keeps the end of a regenerated key, which works only until the end of the overlap. An earlier end is taken.
    fn stay_replaced(&mut self, held: &Self) -> Result<(), Error> {
        let (Some(next), Some(end)) = (&held.replaced_by, held.expires_at) else { return Ok(()) };
        match self.expires_at {
            Some(until) if until > end => Err(Error::conflict_in(
                "expires_at",
                format!(
                    "this key was regenerated, as {next:?}, and ends at {end}; expected that time or an earlier one"
                ),
            )),
            until => {
                self.expires_at = until.or(Some(end));
                Ok(())
            }
        }
    }
}

impl Resource for Key {
    const KIND: Kind = Kind::Key;
    const PREFIX: &'static str = "k-";
    const PATH: &'static str = "/v1/keys";
    const FILTERS: &'static [&'static str] = &["application", "owner", "state", "type", "sha256", "last_used_before"];
    const STATES: &'static [&'static str] = &["ACTIVE", "REVOKED"];
    const CLOSED: &'static str = "REVOKED";
    const TYPES: &'static [&'static str] = &["PRODUCTION", "SANDBOX"];
    const SORTS: &'static [(&'static str, Column)] = &[
        ("application", Column::Application),
        ("state", Column::State),
        ("type", Column::Type),
        ("last_used", Column::LastUsed),
    ];

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn etag(&mut self) -> &mut Option<String> {
        &mut self.etag
    }

    fn fill_defaults(&mut self, _: &Act, held: Option<&Self>) -> Result<(), Error> {
        let given = self.sha256.take().or_else(|| held.and_then(|held| held.sha256.clone()));
        let digest = given.as_deref().and_then(Digest::from_hex).ok_or_else(|| {
            Error::invalid("sha256", "expected the SHA-256 of the key's bytes as 64 hexadecimal digits")
        })?;
        self.sha256 = Some(digest.to_hex());
        self.application = self.application.take().or_else(|| held.and_then(|held| held.application.clone()));
        if self.application.is_none() {
            return Err(Error::invalid("application", "it is missing; expected an id"));
        }
        if let Some(held) = held {
            if self.sha256 != held.sha256 {
                return Err(Error::invalid("sha256", "it cannot be changed; this would be another key"));
            }
            if self.application != held.application {
                return Err(Error::invalid("application", "it cannot be changed; issue another key"));
            }
            if held.state == Some(KeyState::Revoked) && self.state == Some(KeyState::Active) {
                return Err(Error::conflict("this key is revoked, which is final; issue another key"));
            }
            self.stay_replaced(held)?;
        }
        self.last_used = None;
        self.etag = None;
        self.replaced_by = None;
        self.key_type = self.key_type.or(Some(KeyType::Production));
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(KeyState::Active));
        Ok(())
    }

    fn validate(&self) -> Result<(), Error> {
        check::ids("apis", self.apis.as_deref())?;
        check::ranges("permitted_ips", self.permitted_ips.as_deref())?;
        check::referers("permitted_referers", self.permitted_referers.as_deref())?;
        check::key(&self.row()?.document)?;
        if let (Some(from), Some(until)) = (self.not_before, self.expires_at)
            && from >= until
        {
            return Err(Error::invalid("expires_at", "expected a time after not_before"));
        }
        Ok(())
    }

    fn identity(&self) -> String {
        self.sha256.clone().unwrap_or_default()
    }

    fn row(&self) -> Result<NewRow, Error> {
        let row = plain_row(self, self.id.clone().unwrap_or_default())?;
        Ok(NewRow { application: self.application.clone(), ..row })
    }

    /// Rejects a revoked digest, even after its row was deleted, because everyone who has the key still has it. The
    /// digest of a deleted key that was regenerated counts as revoked.
    async fn check_beside(&self, change: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        if held.is_some() || change.revoked(&[&self.identity()]).await?.is_empty() {
            return Ok(());
        }
        Err(Error::conflict("key was revoked, which is final; issue another key"))
    }

    async fn derive_from_database(&mut self, _: &mut dyn Transaction, held: Option<&Self>) -> Result<(), Error> {
        self.replaced_by = held.and_then(|held| held.replaced_by.clone());
        Ok(())
    }

    async fn add_to_view(store: &dyn Database, _: &Actor, items: &mut [Self]) -> Result<(), Error> {
        let ids: Vec<&str> = items.iter().filter_map(|key| key.id.as_deref()).collect();
        let used: HashMap<String, i64> =
            store.last_used(&ids).await?.into_iter().map(|used| (used.id, used.last_used)).collect();
        for key in items {
            key.last_used = key.id.as_ref().and_then(|id| used.get(id)).copied();
        }
        Ok(())
    }

    fn goes_alone(&self) -> bool {
        true
    }

    async fn remove(change: &mut dyn Transaction, held: &Version) -> Result<Option<Self>, Error> {
        change.remove(held).await?;
        Ok(change.forget_key(&held.id).await.map(|()| None)?)
    }

    fn references(&self) -> Vec<Reference> {
        let application = self.application.iter().map(|id| Reference::new("application", Kind::Application, id));
        let apis = self.apis.iter().flatten().enumerate();
        application.chain(apis.map(|(place, id)| Reference::new(format!("apis[{place}]"), Kind::Api, id))).collect()
    }
}
