//! Finds the owner of a key by the key itself or by its digest. The service hashes the key here and stores it nowhere.

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use keygate::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::NoQuery;
use crate::{
    auth::Caller,
    http::{body::Json, problem::Problem},
};
use management::{
    access,
    applications::Application,
    key_form::Form,
    keys::Key,
    port::{Actor, Database, Kind, Store, Version},
    resource::Resource,
    subscriptions::Subscription,
    tag::etag,
};

/// Maximum length of a key, in bytes. Gateways accept no longer key.
pub const MAX_KEY_BYTES: usize = 4_096;

/// The key to find: exactly one of the two fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The key as clients send it, 1 to 4096 bytes.
    #[serde(default)]
    #[schema(write_only)]
    key: Option<String>,
    /// The key's SHA-256, 64 hexadecimal digits.
    #[serde(default)]
    sha256: Option<String>,
}

/// A key and everything it belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Found {
    pub key: Key,
    /// The key's application; null if it was deleted.
    pub application: Option<Application>,
    /// The owner of the application.
    pub owner: Option<String>,
    /// All subscriptions of the application.
    pub subscriptions: Vec<Subscription>,
}

impl Lookup {
    fn digest(self) -> Result<Digest, Problem> {
        match (self.key, self.sha256) {
            (Some(key), None) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Digest::of(key.as_bytes())),
            (Some(_), None) => Err(Problem::invalid("key", format!("expected 1 to {MAX_KEY_BYTES} bytes"))),
            (None, Some(sha256)) => Digest::from_hex(&sha256).ok_or_else(|| {
                Problem::invalid("sha256", "expected the SHA-256 of the key's bytes as 64 hexadecimal digits")
            }),
            (None, None) => Err(Problem::invalid("key", "it is missing; expected key or sha256")),
            (Some(_), Some(_)) => Err(Problem::invalid("sha256", "expected only one of key and sha256")),
        }
    }
}

/// Finds a key, its application and the application's subscriptions.
#[utoipa::path(post, path = "/v1/keys/lookup", tag = "keys", operation_id = "look_up_key", request_body = Lookup, responses(
    (status = 200, description = "the key, its application, owner and subscriptions", body = Found),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such key", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn look_up(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<Lookup>,
) -> Result<Response, Problem> {
    let unknown = match asked.key.as_deref().map(Form::of) {
        Some(Form::Mistyped) => "there is no such key: it was mistyped or cut, since its checksum is wrong",
        _ => "there is no such key",
    };
    let digest = asked.digest()?.to_hex();
    let version = store.find_identity(Kind::Key, &digest).await?;
    let none = || Problem::new(StatusCode::NOT_FOUND, unknown);
    let version = version.ok_or_else(none)?;
    let actor = caller.actor();
    let mut key: Key = shown(&*store, &actor, &version).await?;
    let id = key.application.as_deref().unwrap_or_default();
    let application: Option<Application> = match store.find(Kind::Application, id).await? {
        Some(version) => Some(shown(&*store, &actor, &version).await?),
        None => None,
    };
    let mut subscriptions = Vec::new();
    for version in store.subscriptions_of(id).await? {
        if sees(&*store, &actor, Kind::Subscription, &version.id).await? {
            subscriptions.push(shown(&*store, &actor, &version).await?);
        }
    }
    // A publisher sees a key only if its application is subscribed to one of the publisher's APIs, and nothing about
    // other APIs.
    if !sees(&*store, &actor, Kind::Key, &version.id).await? {
        if subscriptions.is_empty() {
            return Err(none());
        }
        if let Some(apis) = key.apis.take() {
            let mut seen = Vec::new();
            for id in apis {
                if sees(&*store, &actor, Kind::Api, &id).await? {
                    seen.push(id);
                }
            }
            key.apis = Some(seen);
        }
    }
    let owner = application.as_ref().and_then(|application| application.owner.clone());
    let found = Found { key, application, owner, subscriptions };
    Ok(([(header::CACHE_CONTROL, "no-store")], Body(found)).into_response())
}

async fn sees(store: &dyn Database, actor: &Actor, kind: Kind, id: &str) -> Result<bool, Problem> {
    Ok(store.sees(kind, id, &access::sight(actor, kind)).await?)
}

async fn shown<R: Resource>(store: &dyn Database, actor: &Actor, version: &Version) -> Result<R, Problem> {
    let mut shown = R::shown(version)?;
    R::add_to_view(store, actor, std::slice::from_mut(&mut shown)).await?;
    *shown.etag() = Some(etag(version));
    Ok(shown)
}

pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(look_up))
}
