//! Usage: gateways report it and an administrator bills by it. The service marks plans whose limit it reaches as used
//! up.
//!
//! [`management::usage`] has the rules for reports, [`hourly`] lists usage by the hour. The filter defines the shape of
//! a report (`keygate::usage::report`).

pub mod hourly;

use axum::{Json as Body, extract::State};
use keygate::usage::report::{Count, KeyUse, Receipt, UsageReport};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::hourly::{Asked, HourlyUsage};
use super::list::Items;
use crate::{
    auth::Caller,
    clock::act_of_service,
    http::{body::Json, problem::Problem, query::Query},
};
use management::{
    access,
    object::objects,
    port::Store,
    usage::take::{self, Reporter, Taken},
};

/// The path of reports by gateways, and of usage for bills.
pub const PATH: &str = "/v1/usage";

/// A report as it arrives. Its rows must be objects.
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

/// Accepts a usage report.
#[utoipa::path(post, path = "/v1/usage", tag = "usage", operation_id = "report_usage", security(("gateway" = []), ("gateway_secret" = [])),
    request_body(content = Object, content_type = "application/json", description =
        "a batch of counts under an id that was never used before; times are Unix seconds; `application` and `api` are \
         absent if the gateway could not keep combinations apart; `outcome` is `allowed` or the reason of the denial",
        example = json!({"format": 1, "batch": "5f0c8d41", "counts": [{"hour": 1748736000, "application": "app-1",
            "api": "payments-1.0", "plan": "gold", "outcome": "allowed", "requests": 123}],
            "keys": [{"id": "k-81", "last_used": 1748738000}]})),
    responses(
    (status = 200, description = "the batch is accepted, or was before (`repeated`); `rejected` counts rows of APIs or \
        keys that do not exist or that this gateway may not report on", body = Object,
        example = json!({"batch": "5f0c8d41", "repeated": false, "rejected": 0})),
    (status = 400, description = "the body is not JSON", body = Problem),
    (status = 401, description = "not a gateway's credentials", body = Problem),
    (status = 413, description = "the body has more than 1 MiB", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which; no row is accepted", body = Problem),
))]
async fn report(State(store): State<Store>, caller: Caller, Json(sent): Json<Sent>) -> Result<Body<Receipt>, Problem> {
    let gateway = caller.gateway()?;
    let reporter = Reporter { client_id: &gateway.client_id, scope: &gateway.scope };
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
    (status = 200, description = "a page of usage, in the order of application, API, hour, plan and outcome",
        body = Items<HourlyUsage>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list_usage(
    State(store): State<Store>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Body<Items<HourlyUsage>>, Problem> {
    Ok(Body(hourly::list(&*store, access::sight_of_usage(&caller.actor()), asked).await?))
}

/// Routes for gateways.
pub fn reporting() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(report))
}

/// Routes for the administrator.
pub fn billing() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list_usage))
}
