//! Blocks and unblocks subscriptions and applications.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use chrono::DateTime;
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{NoQuery, answer, begin, id_of, list::boolean, tag::IfMatch};
use crate::{
    auth::Caller,
    http::{body::OptionalJson, problem::Problem, query::Query},
};
use management::{
    applications::Application,
    block::{self, Block, Blockable, Order},
    check,
    concerned::preview,
    limited::Limited,
    port::{Database, Store},
    subscriptions::Subscription,
};

/// Bytes of a time as a text: `2027-01-31T08:00:00`, nine digits of a second's parts behind a dot, and `+00:00`.
pub const MAX_TIME_BYTES: usize = 35;

type Id = Result<Path<String>, PathRejection>;

/// The block that the query asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Blocking {
    /// BLOCKED unless the query or the body names another state.
    #[param(inline)]
    state: Option<Block>,
    /// True to block nothing and answer what the block would concern; false unless given.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
}

/// The block that the body asks for. It replaces the block that is there as a whole.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BlockingBody {
    /// BLOCKED unless the query or the body names another state. If both name one, it must be the same.
    #[serde(default)]
    state: Option<Block>,
    /// Why. Subscribers do not see it.
    #[serde(default)]
    reason: Option<String>,
    /// What the subscriber is told, in lists and in replies of gateways.
    #[serde(default)]
    note: Option<String>,
    /// When the block begins; at once unless given. Until then the state stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<BlockTime>,
    /// When the block ends by itself; only by `unblock` unless given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<BlockTime>,
}

/// A time: Unix seconds, or a text of RFC 3339, such as `2027-01-31T08:00:00Z`. A block begins with the second that has the
/// beginning, and a part of a second at its end counts whole.
#[derive(Clone, Copy, Debug)]
struct BlockTime {
    seconds: i64,
    has_more: bool,
}

impl BlockTime {
    fn beginning(self) -> i64 {
        self.seconds
    }

    fn end(self) -> i64 {
        self.seconds.saturating_add(i64::from(self.has_more))
    }
}

impl<'de> Deserialize<'de> for BlockTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = BlockTime;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Unix time in seconds, or a time such as 2027-01-31T08:00:00Z (RFC 3339)")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<BlockTime, E> {
                Ok(BlockTime { seconds, has_more: false })
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<BlockTime, E> {
                Ok(BlockTime { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), has_more: false })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BlockTime, E> {
                let unexpected = serde::de::Unexpected::Other("another text");
                let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_strict(text));
                let time = time.ok_or_else(|| E::invalid_value(unexpected, &self))?;
                Ok(BlockTime { seconds: time.timestamp(), has_more: time.timestamp_subsec_nanos() > 0 })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Whether a time has none of the forms that chrono takes beyond RFC 3339: a blank for the T, a zone without its colon.
fn is_strict(text: &str) -> bool {
    let has_t = text.as_bytes().get(10).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'T'));
    let zone = text.len().checked_sub(6).and_then(|start| text.as_bytes().get(start..)).unwrap_or_default();
    let has_zone = text.ends_with(['Z', 'z']) || matches!(zone, [b'+' | b'-', _, _, b':', _, _]);
    has_t && has_zone && text.len() <= MAX_TIME_BYTES
}

/// Blocks a subscription, or replaces its block.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/block", tag = "subscriptions", operation_id = "block_subscription",
    params(("id" = String, Path), Blocking), request_body = Option<BlockingBody>, responses(
    (status = 200, description = "the subscription has this block, or will have it; no new revision if it had it already. With `dry_run`: what the block would concern", body = Subscription),
    (status = 400, description = "a parameter cannot be used; `field` says which", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
    (status = 422, description = "a field of the body cannot be used; `field` says which", body = Problem),
))]
async fn block(
    State(store): State<Store>,
    caller: Caller,
    id: Id,
    Query(blocking): Query<Blocking>,
    if_match: IfMatch,
    OptionalJson(body): OptionalJson<BlockingBody>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    if let (Some(in_query), Some(in_body)) = (blocking.state, body.state)
        && in_query != in_body
    {
        return Err(Problem::invalid("state", "the query and the body name different states"));
    }
    let BlockingBody { state, reason, note, from, until } = body;
    let order = Order {
        state: blocking.state.or(state).unwrap_or_default(),
        reason,
        note,
        from: from.map(BlockTime::beginning),
        until: until.map(BlockTime::end),
    };
    let is_preview = is_preview(blocking.dry_run.as_deref())?;
    set_block::<Subscription>(&*store, caller, &id, &if_match, &order, is_preview).await
}

fn is_preview(asked: Option<&str>) -> Result<bool, Problem> {
    asked.map_or(Ok(false), |text| boolean("dry_run", text))
}

/// Blocks an object. A preview checks everything, and then drops the change.
async fn set_block<R: Blockable + Limited>(
    store: &dyn Database,
    caller: Caller,
    id: &str,
    if_match: &IfMatch,
    order: &Order,
    is_preview: bool,
) -> Result<Response, Problem> {
    let mut change = begin(store, caller, R::KIND, id, if_match).await?;
    let shown: R = block::block(&mut *change, id, order).await?;
    if !is_preview {
        return answer(store, change, shown).await;
    }
    let now = change.act().now;
    drop(change);
    Ok(Json(preview(store, &shown, order, now).await?).into_response())
}

/// The end of a block.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Unblocking {
    /// For the audit log.
    #[serde(default)]
    reason: Option<String>,
}

async fn end_block<R: Blockable>(
    store: &dyn Database,
    caller: Caller,
    id: &str,
    if_match: &IfMatch,
    Unblocking { reason }: Unblocking,
) -> Result<Response, Problem> {
    if let Some(reason) = &reason {
        check::text("reason", reason)?;
    }
    let mut change = begin(store, caller, R::KIND, id, if_match).await?;
    let shown: R = block::unblock(&mut *change, id, reason).await?;
    answer(store, change, shown).await
}

/// Ends any block of a subscription, a planned one included. It is then UNBLOCKED, or again ON_HOLD, REJECTED or pending if
/// it was so before the block.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/unblock", tag = "subscriptions", operation_id = "unblock_subscription",
    params(("id" = String, Path)), request_body = Option<Unblocking>, responses(
    (status = 200, description = "the subscription is not blocked; no new revision if it was not blocked before", body = Subscription),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn unblock(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    OptionalJson(body): OptionalJson<Unblocking>,
) -> Result<Response, Problem> {
    end_block::<Subscription>(&*store, caller, &id_of(id)?, &if_match, body).await
}

/// Parameters of a block of an application.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BlockingApplication {
    /// True to block nothing and answer what the block would concern; false unless given.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
}

/// The block of an application that the body asks for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplicationBlocking {
    /// Why. Subscribers do not see it.
    #[serde(default)]
    reason: Option<String>,
    /// What the subscriber is told.
    #[serde(default)]
    note: Option<String>,
}

/// Blocks an application.
#[utoipa::path(post, path = "/v1/applications/{id}/block", tag = "applications", operation_id = "block_application",
    params(("id" = String, Path), BlockingApplication), request_body = Option<ApplicationBlocking>, responses(
    (status = 200, description = "the application is blocked; no new revision if it was already. With `dry_run`: what the block would concern", body = Application),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn block_application(
    State(store): State<Store>,
    caller: Caller,
    Query(BlockingApplication { dry_run }): Query<BlockingApplication>,
    id: Id,
    if_match: IfMatch,
    OptionalJson(body): OptionalJson<ApplicationBlocking>,
) -> Result<Response, Problem> {
    let ApplicationBlocking { reason, note } = body;
    let order = Order { reason, note, ..Order::default() };
    let is_preview = is_preview(dry_run.as_deref())?;
    set_block::<Application>(&*store, caller, &id_of(id)?, &if_match, &order, is_preview).await
}

/// Ends the block of an application.
#[utoipa::path(post, path = "/v1/applications/{id}/unblock", tag = "applications", operation_id = "unblock_application",
    params(("id" = String, Path)), request_body = Option<Unblocking>, responses(
    (status = 200, description = "the application is not blocked; no new revision if it was not blocked before", body = Application),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such application", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn unblock_application(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Id,
    if_match: IfMatch,
    OptionalJson(body): OptionalJson<Unblocking>,
) -> Result<Response, Problem> {
    end_block::<Application>(&*store, caller, &id_of(id)?, &if_match, body).await
}

/// Adds the answer to a preview to the OpenAPI document. The handlers describe only the answer to a block.
pub fn say(document: &mut Value) {
    let number = |said: &str| json!({"type": "integer", "description": said});
    let preview = json!({"type": "object", "description": "What a block would concern.",
    "required": ["applications", "keys", "requests_last_day"],
    "properties": {
        "applications": number("1, or 0 if only the kept block of a deleted object is left."),
        "keys": number("Keys that the block would refuse now."),
        "requests_last_day": number("Requests that gateways have reported as allowed, of the hours that began in the last 24."),
    }});
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.insert("BlockPreview".to_owned(), preview);
    }
    for kind in ["subscriptions", "applications"] {
        let place = format!("/paths/~1v1~1{kind}~1{{id}}~1block/post/responses/200/content/application~1json/schema");
        let Some(schema) = document.pointer_mut(&place) else { continue };
        let row = schema.take();
        *schema = json!({"anyOf": [row, {"$ref": "#/components/schemas/BlockPreview"}]});
    }
}

/// The routes.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new()
        .routes(routes!(block))
        .routes(routes!(unblock))
        .routes(routes!(block_application))
        .routes(routes!(unblock_application))
}
