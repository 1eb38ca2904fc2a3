//! Usage: gateways report it, an administrator bills by it, and plans whose limit it reaches are marked as used up.
//!
//! The rules of reports are in [`management::usage`], [`hourly`] shows usage by the hour. The shape of a report is the
//! filter's own, `keygate::usage::report`.

pub mod hourly;

use std::sync::Arc;

use axum::{
    Extension, Json as Body,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use keygate::usage::report::{Count, KeyUse, Receipt, UsageReport};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::hourly::{Asked, HourlyUsage};
use super::list::Items;
use crate::{
    auth::{Gateway, Gateways},
    clock::act_of_service,
    http::{body::Json, problem::Problem},
};
use management::{
    object::objects,
    port::Store,
    usage::take::{self, Reporter, Taken},
};

/// Where gateways report, and where the administrator reads.
pub const PATH: &str = "/v1/usage";

/// Lets a request pass that carries a gateway's credentials, and tells which gateway it is.
pub async fn authorize(
    State(gateways): State<Arc<Gateways>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let gateway = gateways.check(request.headers())?.clone();
    request.extensions_mut().insert(gateway);
    Ok(next.run(request).await)
}

/// A report as it is sent: its rows are objects.
#[derive(Debug, Deserialize)]
struct Sent {
    format: u32,
    batch: String,
    #[serde(default, deserialize_with = "objects")]
    counts: Option<Vec<Count<'static>>>,
    #[serde(default, deserialize_with = "objects")]
    keys: Option<Vec<KeyUse<'static>>>,
}

impl From<Sent> for UsageReport<'static> {
    fn from(Sent { format, batch, counts, keys }: Sent) -> Self {
        Self { format, batch: batch.into(), counts: counts.unwrap_or_default(), keys: keys.unwrap_or_default() }
    }
}

/// Takes a report of usage.
#[utoipa::path(post, path = "/v1/usage", tag = "usage", operation_id = "report_usage", security(("gateway" = []), ("gateway_secret" = [])),
    request_body(content = Object, content_type = "application/json", description =
        "a batch of counts, under an id that nobody used before; times are Unix seconds; `application` and `api` are \
         absent where the gateway could not keep combinations apart; `outcome` is `allowed` or the reason why not",
        example = json!({"format": 1, "batch": "5f0c…", "counts": [{"hour": 1748736000, "application": "app-1",
            "api": "payments-1.0", "plan": "gold", "outcome": "allowed", "requests": 123}],
            "keys": [{"id": "k-81", "last_used": 1748738000}]})),
    responses(
    (status = 200, description = "it is taken, or was before (`repeated`); `rejected` rows are of APIs or keys that this \
        gateway may not report on, or that there are not", body = Object,
        example = json!({"batch": "5f0c…", "repeated": false, "rejected": 0})),
    (status = 400, description = "the body is not JSON", body = Problem),
    (status = 401, description = "not a gateway's credentials", body = Problem),
    (status = 413, description = "the body has more than 1 MiB", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which; nothing is taken", body = Problem),
))]
async fn report(
    State(store): State<Store>,
    Extension(gateway): Extension<Gateway>,
    Json(sent): Json<Sent>,
) -> Result<Body<Receipt>, Problem> {
    let reporter = Reporter { client_id: gateway.client_id(), scope: &gateway.scope };
    let Taken { receipt, excess } = take::take(&*store, reporter, &sent.into(), act_of_service()).await?;
    if excess.requests > 0 {
        tracing::warn!(
            ?gateway,
            requests = excess.requests,
            rows = excess.rows,
            "a gateway reports more requests than it can have served since its last report; the excess was dropped"
        );
    }
    if receipt.rejected > 0 {
        tracing::info!(?gateway, rejected = receipt.rejected, "rows of a usage report were left out");
    }
    Ok(Body(receipt))
}

/// Usage by the hour, for billing.
#[utoipa::path(get, path = "/v1/usage", tag = "usage", params(Asked), responses(
    (status = 200, description = "a page of it, in the order of application, API, hour, plan and outcome",
        body = Items<HourlyUsage>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not the administrator's token", body = Problem),
))]
async fn list_usage(
    State(store): State<Store>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Body<Items<HourlyUsage>>, Problem> {
    let Query(asked) = query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    Ok(Body(hourly::list(&*store, asked).await?))
}

/// What gateways may do.
pub fn reporting() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(report))
}

/// What the administrator may do.
pub fn billing() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list_usage))
}
