//! The routes of the management API, which administrators use.
//!
//! Handlers are thin: each reads its request, makes one change by the rules of [`management`] and answers. The service
//! completes a change that has begun even if the client disconnects ([`run_to_completion`]), so that everyone who waits
//! for the change is notified.

pub mod accounts;
pub mod actions;
pub mod approval;
pub mod audit;
pub mod blocks;
pub mod bounds;
pub mod credentials;
pub mod explain;
pub mod gateways;
pub mod history;
pub mod import;
pub mod list;
pub mod lookup;
pub mod once;
pub mod receipts;
pub mod resources;
pub mod tag;
pub mod told;
pub mod usage;

use axum::{
    Extension,
    extract::{Path, Request, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;

use self::tag::{IfMatch, Told};
use crate::{
    auth::Caller,
    http::{problem::Problem, query::NoQuery},
};
use management::{
    access,
    port::{Database, Kind, Store, Transaction},
    resource::{Resource, document},
};

/// Characters that need no escape in a path (RFC 3986, unreserved).
const PATH_SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Runs a request to its end even if its client disconnects. A commit without its announcement would leave gateways
/// waiting.
pub async fn run_to_completion(request: Request, next: Next) -> Result<Response, Problem> {
    tokio::spawn(next.run(request).in_current_span())
        .await
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why"))
}

fn id_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|rejection| Problem::parameter("id", rejection.body_text()))
}

/// Begins a change of an existing row, if it still is the version that `if_match` names.
async fn begin(
    store: &dyn Database,
    caller: Caller,
    kind: Kind,
    id: &str,
    if_match: &IfMatch,
) -> Result<Box<dyn Transaction>, Problem> {
    let mut change = store.begin(caller.act()).await?;
    let stored = access::find_own(&mut *change, kind, id).await?;
    if_match.0.check(&stored)?;
    Ok(change)
}

/// Commits a change and answers with the resulting row.
async fn answer<R: Resource>(
    store: &dyn Database,
    change: Box<dyn Transaction>,
    shown: R,
) -> Result<Response, Problem> {
    answer_as(store, change, shown, StatusCode::OK, None).await
}

/// Commits a change and answers with the resulting row, this status and the place of the row.
async fn answer_as<R: Resource>(
    store: &dyn Database,
    mut change: Box<dyn Transaction>,
    mut shown: R,
    status: StatusCode,
    place: Option<HeaderValue>,
) -> Result<Response, Problem> {
    let mut headers = tag::put_on(&mut *change, &mut shown).await?;
    R::add_to_view(store, &change.act().actor, std::slice::from_mut(&mut shown)).await?;
    let (state, body) = (tag::state_of(&shown), document(&shown)?);
    let told = Told { status, location: place.as_ref(), body: Some(&body), issued: None };
    let accepted = tag::commit_once(change, &mut headers, state, told).await?;
    headers.extend(place.map(|place| (header::LOCATION, place)));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((status, headers, Extension(accepted), body).into_response())
}

/// The value of `location` for a row.
fn location(path: &str, id: &str) -> HeaderValue {
    let place = format!("{path}/{}", utf8_percent_encode(id, &PATH_SEGMENT));
    HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("/"))
}

/// All routes of management, without authentication.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new()
        .merge(resources::router())
        .merge(actions::router())
        .merge(blocks::router())
        .merge(lookup::router())
        .merge(explain::router())
        .merge(accounts::router())
        .merge(credentials::router())
        .merge(approval::router())
        .merge(audit::router())
        .merge(history::router())
        .merge(gateways::router())
        .merge(receipts::router())
        .merge(import::router())
}
