//! Receipts: `?receipt=SECONDS` on any change of the policy, and `GET /v1/receipts/{revision}`.
//!
//! The parameter is taken off the request before the handler sees it, and the receipt is added to the finished answer. So a
//! change is the same with and without a receipt: its log line, its audit entry, its `if-match`, and what is stored under
//! its `idempotency-key`. A client that disconnects ends the wait, never the change.

mod description;
mod waiting;

use std::time::Duration;

use axum::{
    Extension, Json as Body,
    body::to_bytes,
    extract::{MatchedPath, Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use keygate::policy::MAX_REVISION;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::waiting::{Question, Since, Standing};
pub use self::{description::say, waiting::Receipts};
use super::{NoQuery, history, tag::REVISION, told::Accepted};
use crate::{
    auth::{
        Caller, Identity,
        permission::{self, May, Operation},
    },
    clock::unix_seconds,
    http::{problem::Problem, query::TakenBefore},
};
use management::{
    gateways::{Change, Named, Receipt, names},
    port::{Actor, Principal, Role, Store, audit::Action, past::Made},
};

/// The parameter.
const RECEIPT: &str = "receipt";
/// The part of a query that asks for a dry run.
const DRY_RUN: &str = "dry_run=true";
/// The longest time that a change waits for its receipt, in seconds. Proxies end an answer after 60 or more.
const MAX_SECONDS: u32 = 30;
/// How long the receipt of an earlier revision waits for what other replicas have heard and not noted yet.
const NEWS: Duration = Duration::from_millis(150);
/// For so many seconds other replicas then note at once what they hear, because the receipt will be asked for again.
const ASKED_AGAIN: u32 = 10;
/// Changes that may make many revisions.
const IMPORT: &str = "/v1/import";
/// Changes of the policy as a whole.
const WHOLE: [&str; 2] = [IMPORT, "/v1/restore"];

/// Whether an operation changes the policy.
fn is_change(operation: &Operation) -> bool {
    (operation.kind.is_some() && operation.method != "GET") || WHOLE.contains(&operation.path)
}

/// A gateway, as receipts name it.
#[derive(Debug, Serialize, ToSchema)]
struct GatewayName {
    /// The name in its credentials.
    client_id: String,
    /// The name of its Envoy; null for filters that send none.
    instance: Option<String>,
}

impl From<Named> for GatewayName {
    fn from(Named { client_id, instance }: Named) -> Self {
        Self { client_id, instance }
    }
}

/// Gateways of a receipt: their names, or for subscribers their number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Gateways {
    /// Their names, at most 10,000.
    Names(Vec<GatewayName>),
    /// Their number.
    Number(usize),
}

/// Which gateways decide by a revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
struct ShownReceipt {
    /// The revision.
    revision: i64,
    /// Number of live gateways that the change concerns.
    live: usize,
    /// Number of those that decide by it, with all of their workers.
    have: usize,
    /// Live gateways that do not.
    missing: Gateways,
    /// Gateways that are not heard of, and may still decide by an older policy.
    silent: Gateways,
    /// Milliseconds since the change; null if nobody knows when it was made.
    after_ms: Option<i64>,
    /// True if no gateway decides by an older policy any more.
    complete: bool,
}

impl ShownReceipt {
    fn of(Standing { receipt, is_complete }: &Standing, after_ms: Option<i64>, role: Role) -> Self {
        let Receipt { revision, live, have, missing, silent, .. } = receipt;
        let shown = |gateways: &[_]| match role {
            Role::Subscriber => Gateways::Number(gateways.len()),
            _ => Gateways::Names(names(gateways).into_iter().map(GatewayName::from).collect()),
        };
        let (missing, silent) = (shown(missing), shown(silent));
        Self { revision: *revision, live: *live, have: *have, missing, silent, after_ms, complete: *is_complete }
    }
}

/// Adds the receipt to the answer of a change that asks for one.
pub async fn attach(
    State((receipts, store)): State<(Receipts, Store)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    tell_of_parameter(&mut request);
    // Who may not make the change gets the answer of the route, and so does who asks for a receipt of anything else.
    let Some((operation, role)) = asks(&request) else { return Ok(next.run(request).await) };
    let seconds = take(&mut request)?;
    let before = store.revisions().borrow().revision;
    let ((), response) = tokio::join!(receipts.announce(seconds), next.run(request));
    if !response.status().is_success() {
        return Ok(response);
    }
    let begun = Instant::now();
    let latest = store.revisions().borrow().clone();
    let made = response.headers().get(REVISION).and_then(|value| value.to_str().ok()?.parse().ok());
    let revision: i64 = made.unwrap_or(latest.revision);
    let one = revision.saturating_sub(1).max(0);
    let has_made = response.extensions().get::<Accepted>().is_some_and(|accepted| accepted.revision.is_some());
    let since = match operation.path {
        // If nothing was changed now, an earlier revision made the state, and nobody knows which. The same holds for an
        // answer that is repeated.
        _ if !has_made => Since::Held,
        IMPORT => Since::Revision(before.min(one)),
        _ => Since::Revision(one),
    };
    let mut question = Question::new(Change { epoch: latest.epoch, revision }, since);
    let deadline = begun.checked_add(Duration::from_secs(seconds.into())).unwrap_or(begun);
    let standing = receipts.wait(&mut question, deadline).await;
    let after_ms = match has_made {
        true => Some(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX)),
        // An earlier change made it so. Its age is not worth a failure.
        false => made_before(&store, revision).await.ok().flatten().and_then(|made| age_ms(&made)),
    };
    with_receipt(response, &ShownReceipt::of(&standing, after_ms, role)).await
}

/// What made a revision; `None` if that is not kept.
async fn made_before(store: &Store, revision: i64) -> Result<Option<Made>, Problem> {
    let from = revision.saturating_sub(1).max(0);
    Ok(store.made(Some(from), false, 1).await?.pop().filter(|made| made.revision == revision))
}

/// How long ago that was, in milliseconds: whole seconds, as history has them.
fn age_ms(made: &Made) -> Option<i64> {
    made.at.map(|at| unix_seconds().saturating_sub(at).max(0).saturating_mul(1_000))
}

/// Lets an error of the route's own parameters name this one too.
fn tell_of_parameter(request: &mut Request) {
    if request.uri().query().is_some() && change(request).is_some() {
        request.extensions_mut().insert(TakenBefore(&[RECEIPT]));
    }
}

/// The operation of a request that changes the policy.
fn change(request: &Request) -> Option<&'static Operation> {
    let path = request.extensions().get::<MatchedPath>()?;
    permission::find(request.method().as_str(), path.as_str()).filter(|found| is_change(found))
}

/// The operation of a request with the parameter, and the role of the caller, who may do it.
fn asks(request: &Request) -> Option<(&'static Operation, Role)> {
    let mut pairs = request.uri().query()?.split('&');
    pairs.find(|pair| is_receipt(pair))?;
    let operation = change(request)?;
    let identity = request.extensions().get::<Identity>()?;
    let Identity::Principal { principal: Principal { role, .. }, .. } = identity else { return None };
    let may = !identity.is_forgeable(request.method()) && matches!(operation.may(*role), May::Yes | May::Own);
    may.then_some((operation, *role))
}

/// Whether a part of a query is the parameter.
fn is_receipt(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).decode_utf8().is_ok_and(|name| name == RECEIPT)
}

/// Takes the parameter off the request.
fn take(request: &mut Request) -> Result<u32, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let (own, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| is_receipt(pair));
    let wrong = || Problem::parameter(RECEIPT, format!("expected it once, with an integer from 1 to {MAX_SECONDS}"));
    let [pair] = own.as_slice() else { return Err(wrong()) };
    let value = pair.split_once('=').map_or("", |(_, value)| value);
    let value = percent_decode_str(value).decode_utf8_lossy();
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds =
        value.parse().ok().filter(|seconds| digits && (1..=MAX_SECONDS).contains(seconds)).ok_or_else(wrong)?;
    // Whoever forgets that it is one would take the receipt of an earlier change for that of this one.
    if others.contains(&DRY_RUN) {
        return Err(Problem::parameter(
            RECEIPT,
            "a dry run changes nothing, so it has no receipt; leave one of them out",
        ));
    }
    let path = request.uri().path();
    let target = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| wrong())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| wrong())?;
    Ok(seconds)
}

/// The answer with the receipt beside its other members. An answer without a body gets one.
async fn with_receipt(response: Response, receipt: &ShownReceipt) -> Result<Response, Problem> {
    let failed =
        || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the change was made; its receipt could not be written");
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| failed())?;
    let receipt = serde_json::to_string(receipt).map_err(|_| failed())?;
    let text = std::str::from_utf8(&body).map_err(|_| failed())?.trim_ascii_end();
    // Every answer to a change is one object, or nothing.
    let members = text.strip_suffix('}').map_or("{", str::trim_ascii_end);
    let comma = if members.ends_with('{') { "" } else { "," };
    if parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::OK;
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Response::from_parts(parts, format!("{members}{comma}\"{RECEIPT}\":{receipt}}}").into()))
}

/// Shows which gateways decide by a revision now.
#[utoipa::path(get, path = "/v1/receipts/{revision}", tag = "gateways", operation_id = "find_receipt",
    params(("revision" = u64, Path)), responses(
    (status = 200, description = "how it stands", body = ShownReceipt),
    (status = 400, description = "this is not a revision", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "the revision was not made yet", body = Problem),
))]
async fn find(
    State(store): State<Store>,
    Extension(receipts): Extension<Receipts>,
    caller: Caller,
    _: NoQuery,
    revision: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    // A path that cannot be read is no revision either.
    let text = revision.map_or_else(|_| String::new(), |Path(text)| text);
    let revision = history::revision("revision", &text)?;
    let state = store.state().await?;
    if revision > state.revision || revision.unsigned_abs() > MAX_REVISION {
        let detail = format!("revision {revision} was not made yet; the latest is {}", state.revision);
        return Err(Problem::field(StatusCode::NOT_FOUND, "revision", detail));
    }
    let from = revision.saturating_sub(1).max(0);
    let made = made_before(&store, revision).await?;
    // An import makes several revisions, and its receipt names the last one.
    let is_import = made.as_ref().is_none_or(|made| made.action.as_deref() == Some(Action::Import.word()));
    let since = if is_import { Since::Held } else { Since::Revision(from) };
    let mut question = Question::new(Change { epoch: state.epoch, revision }, since);
    receipts.announce(ASKED_AGAIN).await;
    let now = Instant::now();
    let standing = receipts.wait(&mut question, now.checked_add(NEWS).unwrap_or(now)).await;
    let after = made.as_ref().and_then(age_ms);
    let role = match caller.actor() {
        Actor::Principal(principal) => principal.role,
        // Neither of them calls this route. They would see the least.
        Actor::Import | Actor::Service => Role::Subscriber,
    };
    Ok(Body(ShownReceipt::of(&standing, after, role)).into_response())
}

/// The route.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(find))
}
