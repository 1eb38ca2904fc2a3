//! Approving and rejecting subscriptions that wait.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{NoQuery, answer, begin, id_of, tag::IfMatch};
use crate::{
    auth::Caller,
    http::{body::OptionalJson, problem::Problem},
};
use management::{
    approval, check,
    port::{Kind, Store},
    subscriptions::Subscription,
};

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Decision {
    /// For the audit log; 1 to 256 bytes without control characters.
    reason: Option<String>,
}

impl Decision {
    fn reason(self) -> Result<Option<String>, Problem> {
        if let Some(reason) = &self.reason {
            check::text("reason", reason)?;
        }
        Ok(self.reason)
    }
}

/// Approves a subscription that waits: it lets requests pass, or does so when its block ends.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/approve", tag = "subscriptions", operation_id = "approve_subscription",
    params(("id" = String, Path)), request_body = Option<Decision>, responses(
    (status = 200, description = "it is approved; no new revision if it was before", body = Subscription),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
    (status = 409, description = "it does not wait for approval", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn approve(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Result<Path<String>, PathRejection>,
    if_match: IfMatch,
    OptionalJson(decision): OptionalJson<Decision>,
) -> Result<Response, Problem> {
    let (id, reason) = (id_of(id)?, decision.reason()?);
    let mut change = begin(&*store, caller, Kind::Subscription, &id, &if_match).await?;
    let approved = approval::approve(&mut *change, &id, reason).await?;
    answer(&*store, change, approved).await
}

/// Rejects a subscription that waits. Only approval lets it pass requests later.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/reject", tag = "subscriptions", operation_id = "reject_subscription",
    params(("id" = String, Path)), request_body = Option<Decision>, responses(
    (status = 200, description = "it is rejected; no new revision if it was before", body = Subscription),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such subscription", body = Problem),
    (status = 409, description = "it does not wait for approval", body = Problem),
    (status = 422, description = "a field of the body cannot be used", body = Problem),
))]
async fn reject(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    id: Result<Path<String>, PathRejection>,
    if_match: IfMatch,
    OptionalJson(decision): OptionalJson<Decision>,
) -> Result<Response, Problem> {
    let (id, reason) = (id_of(id)?, decision.reason()?);
    let mut change = begin(&*store, caller, Kind::Subscription, &id, &if_match).await?;
    let rejected = approval::reject(&mut *change, &id, reason).await?;
    answer(&*store, change, rejected).await
}

/// The routes.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(approve)).routes(routes!(reject))
}
