//! Actions on keys: issue, revoke and regenerate. Blocks are in [`super::blocks`].

use axum::{
    Extension, Json as Body,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery, answer, begin, id_of, location,
    tag::{self, IfMatch, Told},
};
use crate::{
    auth::Caller,
    http::{
        body::{Nothing, OptionalJson},
        problem::Problem,
    },
};
use management::{
    issue::{self, Issue, IssuedKey, Regenerate},
    keys::Key,
    port::{Kind, Store, Transaction},
    resource::Resource as _,
};

type Id = Result<Path<String>, PathRejection>;

/// Issues a key to an application.
#[utoipa::path(post, path = "/v1/applications/{id}/keys", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Issue>, responses(
    (status = 201, description = "the key; the service shows it only this once", body = IssuedKey),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
    (status = 409, description = "another key has this id", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn issue_key(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    OptionalJson(asked): OptionalJson<Issue>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = store.begin(caller.act()).await?;
    let issued = issue::issue(&mut *change, &id, asked).await?;
    created(change, issued).await
}

/// Replaces a key by a new one.
#[utoipa::path(post, path = "/v1/keys/{id}/regenerate", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Regenerate>, responses(
    (status = 201, description = "the new key; the service shows it only this once", body = IssuedKey),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such key", body = Problem),
    (status = 409, description = "the key is revoked, or another key has the new id", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn regenerate_key(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    OptionalJson(asked): OptionalJson<Regenerate>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = begin(&*store, caller, Kind::Key, &id, &if_match).await?;
    let issued = issue::regenerate(&mut *change, &id, asked).await?;
    created(change, issued).await
}

async fn created(mut change: Box<dyn Transaction>, mut issued: IssuedKey) -> Result<Response, Problem> {
    let mut headers = tag::put_on(&mut *change, &mut issued.stored).await?;
    let id = issued.stored.id.clone().unwrap_or_default();
    let place = location(Key::PATH, &id);
    // The key is not stored, so a repeated request cannot get it again.
    let told = Told { status: StatusCode::CREATED, location: Some(&place), body: None, issued: Some(&id) };
    let accepted = tag::commit_once(change, &mut headers, tag::state_of(&issued.stored), told).await?;
    // The answer contains the key, so no cache may store it.
    let fields = [(header::LOCATION, place), (header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, Extension(accepted), headers, fields, Body(issued)).into_response())
}

/// Revokes a key for ever.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "keys", params(("id" = String, Path)), responses(
    (status = 200, description = "the key is revoked; no new revision if it was already", body = Key),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such key", body = Problem),
))]
async fn revoke_key(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = begin(&*store, caller, Kind::Key, &id, &if_match).await?;
    let revoked = issue::revoke(&mut *change, &id).await?;
    answer(&*store, change, revoked).await
}

/// All routes of actions.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(issue_key)).routes(routes!(regenerate_key)).routes(routes!(revoke_key))
}
