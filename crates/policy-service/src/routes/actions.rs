//! Actions on rows: issue, revoke and regenerate keys; block and unblock subscriptions and applications.

use axum::{
    Extension, Json as Body,
    extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
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
    applications::Application,
    block::{self, Block, Blockable},
    issue::{self, Issue, IssuedKey, Regenerate},
    keys::Key,
    port::{Database, Kind, Store, Transaction},
    resource::Resource as _,
    subscriptions::Subscription,
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
    // The key is stored nowhere, so the same request cannot get it again.
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

/// The block that the query asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Blocking {
    /// BLOCKED unless the query or the body names another state.
    #[param(inline)]
    state: Option<Block>,
}

/// The block that the body asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BlockingBody {
    /// BLOCKED unless the query or the body names another state. If both name one, it must be the same.
    #[serde(default)]
    state: Option<Block>,
}

/// Blocks a subscription.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/block", tag = "subscriptions", operation_id = "block_subscription",
    params(("id" = String, Path), Blocking), request_body = Option<BlockingBody>, responses(
    (status = 200, description = "the subscription is in this state; no new revision if it was already", body = Subscription),
    (status = 400, description = "`state` is not a blocked state", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn block(
    State(store): State<Store>,
    caller: Caller,
    id: Id,
    query: Result<Query<Blocking>, QueryRejection>,
    if_match: IfMatch,
    OptionalJson(body): OptionalJson<BlockingBody>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let Query(blocking) =
        query.map_err(|_| Problem::parameter("state", "expected state=BLOCKED or state=PROD_ONLY_BLOCKED"))?;
    if let (Some(in_query), Some(in_body)) = (blocking.state, body.state)
        && in_query != in_body
    {
        return Err(Problem::invalid("state", "the query and the body name different states"));
    }
    set_block::<Subscription>(&*store, caller, &id, &if_match, Some(blocking.state.or(body.state).unwrap_or_default()))
        .await
}

/// Blocks a row, or ends its block if `block` is `None`.
async fn set_block<R: Blockable>(
    store: &dyn Database,
    caller: Caller,
    id: &str,
    if_match: &IfMatch,
    block: Option<Block>,
) -> Result<Response, Problem> {
    let mut change = begin(store, caller, R::KIND, id, if_match).await?;
    let shown: R = match block {
        Some(block) => block::block(&mut *change, id, block).await?,
        None => block::unblock(&mut *change, id).await?,
    };
    answer(store, change, shown).await
}

/// Ends any block of a subscription. It is then UNBLOCKED, or again ON_HOLD, REJECTED or pending if it was so before
/// the block.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/unblock", tag = "subscriptions", operation_id = "unblock_subscription",
    params(("id" = String, Path)), responses(
    (status = 200, description = "the subscription is not blocked; no new revision if it was not blocked before", body = Subscription),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
))]
async fn unblock(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    set_block::<Subscription>(&*store, caller, &id_of(id)?, &if_match, None).await
}

/// Blocks an application.
#[utoipa::path(post, path = "/v1/applications/{id}/block", tag = "applications", operation_id = "block_application",
    params(("id" = String, Path)), responses(
    (status = 200, description = "the application is blocked; no new revision if it was already", body = Application),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
))]
async fn block_application(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    set_block::<Application>(&*store, caller, &id_of(id)?, &if_match, Some(Block::Blocked)).await
}

/// Ends the block of an application.
#[utoipa::path(post, path = "/v1/applications/{id}/unblock", tag = "applications", operation_id = "unblock_application",
    params(("id" = String, Path)), responses(
    (status = 200, description = "the application is not blocked; no new revision if it was not blocked before", body = Application),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
))]
async fn unblock_application(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    set_block::<Application>(&*store, caller, &id_of(id)?, &if_match, None).await
}

/// All routes of actions.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new()
        .routes(routes!(issue_key))
        .routes(routes!(regenerate_key))
        .routes(routes!(revoke_key))
        .routes(routes!(block))
        .routes(routes!(unblock))
        .routes(routes!(block_application))
        .routes(routes!(unblock_application))
}
