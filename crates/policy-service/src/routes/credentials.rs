//! Credentials of gateways: made, listed, given another scope, revoked. A gateway may have several at once, so that one is
//! rotated without a refused request.

use std::borrow::Cow;

use axum::{
    Json as Body,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery,
    accounts::{Paging, commit, commit_issued, shown_once},
    id_of,
    list::Items,
    location,
    tag::{IfMatch, header_with},
};
use crate::{
    auth::Caller,
    http::{
        body::{Json, Nothing, OptionalJson},
        problem::Problem,
        query::Query,
    },
};
use management::{
    accounts,
    port::{
        Store,
        accounts::{AccountPage, Credential},
    },
};

/// What is asked of a new credential.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGatewayCredential {
    /// The gateway; 1 to 256 bytes without control characters and colons. It may have other credentials.
    client_id: String,
    /// Ids of the only APIs that the gateway sees; all unless given, none if empty.
    #[serde(default)]
    apis: Option<Vec<String>>,
    /// How many seconds from now it is good; for ever unless given.
    #[serde(default)]
    expires_in: Option<i64>,
}

/// What a gateway is to see.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GatewayScope {
    /// Ids of the only APIs that the gateway sees; all if null or not given, none if empty.
    #[serde(default)]
    apis: Option<Vec<String>>,
}

/// A credential as it is shown, without its secret.
#[derive(Debug, Serialize, ToSchema)]
struct GatewayCredential {
    /// Its id.
    id: String,
    /// The gateway.
    client_id: String,
    /// Ids of the only APIs that the gateway sees; null: all.
    apis: Option<Vec<String>>,
    /// When it was made, Unix time.
    created_at: i64,
    /// First second in which it is good no more, Unix time; null: it does not end.
    expires_at: Option<i64>,
    /// The version, to be sent as `if-match`.
    etag: String,
}

impl From<Credential> for GatewayCredential {
    fn from(credential: Credential) -> Self {
        let etag = accounts::etag_of_credential(&credential);
        let Credential { id, client_id, scope, created_at, expires_at } = credential;
        Self { id, client_id, apis: accounts::apis_of(&scope), created_at, expires_at, etag }
    }
}

/// A credential with its secret, in its only appearance.
#[derive(Serialize, ToSchema)]
struct IssuedGatewayCredential {
    /// Its id.
    id: String,
    /// The gateway.
    client_id: String,
    /// The secret: give it to the gateway now, it cannot be shown again.
    client_secret: String,
    /// Ids of the only APIs that the gateway sees; null: all.
    apis: Option<Vec<String>>,
    /// When it was made, Unix time.
    created_at: i64,
    /// First second in which it is good no more, Unix time; null: it does not end.
    expires_at: Option<i64>,
    /// The version, to be sent as `if-match`.
    etag: String,
}

/// Makes a credential of a gateway.
#[utoipa::path(post, path = "/v1/gateways/credentials", tag = "gateways", operation_id = "create_gateway_credential",
    request_body = NewGatewayCredential, responses(
    (status = 201, description = "the credential with its secret, in its only appearance", body = IssuedGatewayCredential),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 409, description = "there are too many credentials", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn create(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<NewGatewayCredential>,
) -> Result<Response, Problem> {
    let NewGatewayCredential { client_id, apis, expires_in } = asked;
    let mut change = store.begin(caller.act()).await?;
    let (made, secret) = accounts::make_credential(&mut *change, client_id, apis, expires_in).await?;
    let GatewayCredential { id, client_id, apis, created_at, expires_at, etag } = made.into();
    let issued = IssuedGatewayCredential { id, client_id, client_secret: secret.0, apis, created_at, expires_at, etag };
    let place = location("/v1/gateways/credentials", &issued.id);
    let done = commit_issued(change, &place, &issued.id, &issued.etag).await?;
    Ok((StatusCode::CREATED, shown_once(place), done, Body(issued)).into_response())
}

/// Lists credentials of gateways, without their secrets. Those of the configuration (POLICY_GATEWAYS) are not among them.
#[utoipa::path(get, path = "/v1/gateways/credentials", tag = "gateways", operation_id = "list_gateway_credentials",
    params(Paging), responses(
    (status = 200, description = "a page of them, by their ids", body = Items<GatewayCredential>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list(
    State(store): State<Store>,
    _: Caller,
    Query(paging): Query<Paging>,
) -> Result<Body<Items<GatewayCredential>>, Problem> {
    let (after, limit) = paging.read()?;
    let AccountPage { items, more, total } = store.credentials(after.as_deref(), limit).await?;
    let items = items.into_iter().map(GatewayCredential::from).collect();
    Ok(Body(Paging::items(items, more, total, |item: &GatewayCredential| Cow::Borrowed(item.id.as_str()))))
}

/// Changes what the gateway of a credential sees. Polls that are held are answered by the new scope at once.
#[utoipa::path(put, path = "/v1/gateways/credentials/{id}", tag = "gateways", operation_id = "replace_gateway_credential",
    params(("id" = String, Path)), request_body = GatewayScope, responses(
    (status = 200, description = "the credential as it is now", body = GatewayCredential),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such credential", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn replace(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    if_match: IfMatch,
    id: Result<Path<String>, PathRejection>,
    Json(GatewayScope { apis }): Json<GatewayScope>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = store.begin(caller.act()).await?;
    let changed = accounts::set_scope(&mut *change, &id, apis, &if_match.0).await?;
    let changed = GatewayCredential::from(changed);
    Ok((header_with(&changed.etag), commit(change).await?, Body(changed)).into_response())
}

/// Revokes a credential. Requests with it are refused at once, and a poll that is held ends with 401.
#[utoipa::path(delete, path = "/v1/gateways/credentials/{id}", tag = "gateways",
    operation_id = "delete_gateway_credential", params(("id" = String, Path)), responses(
    (status = 204, description = "it is revoked"),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such credential", body = Problem),
))]
async fn delete(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    if_match: IfMatch,
    id: Result<Path<String>, PathRejection>,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = store.begin(caller.act()).await?;
    accounts::revoke_credential(&mut *change, &id, &if_match.0).await?;
    Ok((StatusCode::NO_CONTENT, commit(change).await?).into_response())
}

/// The routes.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(replace, delete))
}
