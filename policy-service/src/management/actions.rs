//! What can be done beside creating, changing and deleting: issuing, revoking and regenerating keys, blocking and
//! unblocking subscriptions.

use axum::{
    Json as Body,
    extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::OptionalJson,
    id_of,
    issue::{self, Issue, IssuedKey, Regenerate},
    keys::Key,
    location,
    resource::Resource as _,
    subscriptions::{self, Block, Subscription},
};
use crate::{problem::Problem, store::Store};

type Id = Result<Path<String>, PathRejection>;

/// Issues a key to an application.
#[utoipa::path(post, path = "/v1/applications/{id}/keys", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Issue>, responses(
    (status = 201, description = "the key, in its only appearance", body = IssuedKey),
    (status = 401, description = "not the administrator's token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
    (status = 409, description = "another key has this id", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn issue_key(
    State(store): State<Store>,
    id: Id,
    OptionalJson(asked): OptionalJson<Issue>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = store.change().await?;
    let issued = issue::issue(&mut change, &id, asked).await?;
    change.commit().await?;
    Ok(created(issued))
}

/// Puts a new key in the place of one.
#[utoipa::path(post, path = "/v1/keys/{id}/regenerate", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Regenerate>, responses(
    (status = 201, description = "the new key, in its only appearance", body = IssuedKey),
    (status = 401, description = "not the administrator's token", body = Problem),
    (status = 404, description = "there is no such key", body = Problem),
    (status = 409, description = "the key is revoked, or another one has the new id", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn regenerate_key(
    State(store): State<Store>,
    id: Id,
    OptionalJson(asked): OptionalJson<Regenerate>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = store.change().await?;
    let issued = issue::regenerate(&mut change, &id, asked).await?;
    change.commit().await?;
    Ok(created(issued))
}

fn created(issued: IssuedKey) -> Response {
    let place = location(Key::PATH, issued.stored.id.as_deref().unwrap_or_default());
    // The key is in this answer and must be kept nowhere.
    let fields = [(header::LOCATION, place), (header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, fields, Body(issued)).into_response()
}

/// Revokes a key, for ever.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "keys", params(("id" = String, Path)), responses(
    (status = 200, description = "it is revoked; no new revision if it was before", body = Key),
    (status = 401, description = "not the administrator's token", body = Problem),
    (status = 404, description = "there is no such key", body = Problem),
))]
async fn revoke_key(State(store): State<Store>, id: Id) -> Result<Body<Key>, Problem> {
    let id = id_of(id)?;
    let mut change = store.change().await?;
    let revoked = issue::revoke(&mut change, &id).await?;
    change.commit().await?;
    Ok(Body(revoked))
}

/// Which block.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Blocking {
    /// BLOCKED unless given.
    #[serde(default)]
    #[param(inline)]
    state: Block,
}

/// Blocks a subscription.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/block", tag = "subscriptions", operation_id = "block_subscription",
    params(("id" = String, Path), Blocking), responses(
    (status = 200, description = "it is blocked so; no new revision if it was before", body = Subscription),
    (status = 400, description = "not a block", body = Problem),
    (status = 401, description = "not the administrator's token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
))]
async fn block(
    State(store): State<Store>,
    id: Id,
    query: Result<Query<Blocking>, QueryRejection>,
) -> Result<Body<Subscription>, Problem> {
    let id = id_of(id)?;
    let Query(blocking) =
        query.map_err(|_| Problem::parameter("state", "expected state=BLOCKED or state=PROD_ONLY_BLOCKED"))?;
    let mut change = store.change().await?;
    let blocked = subscriptions::block(&mut change, &id, blocking.state).await?;
    change.commit().await?;
    Ok(Body(blocked))
}

/// Ends any block of a subscription: it is UNBLOCKED then.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/unblock", tag = "subscriptions", operation_id = "unblock_subscription", params(("id" = String, Path)),
    responses(
    (status = 200, description = "it is not blocked; no new revision if it was not before", body = Subscription),
    (status = 401, description = "not the administrator's token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
))]
async fn unblock(State(store): State<Store>, id: Id) -> Result<Body<Subscription>, Problem> {
    let id = id_of(id)?;
    let mut change = store.change().await?;
    let unblocked = subscriptions::unblock(&mut change, &id).await?;
    change.commit().await?;
    Ok(Body(unblocked))
}

/// All of them.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new()
        .routes(routes!(issue_key))
        .routes(routes!(regenerate_key))
        .routes(routes!(revoke_key))
        .routes(routes!(block))
        .routes(routes!(unblock))
}
