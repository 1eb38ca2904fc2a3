//! Tokens of principals, and `GET /v1/me`.

use std::borrow::Cow;

use axum::{
    Extension, Json as Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery, id_of,
    list::{self, Items},
    location,
    tag::{self, IfMatch},
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
    port::{self, Principal, Role, Store, Transaction},
};

/// The role of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    /// May do everything.
    Administrator,
    /// Owns APIs and plans.
    Publisher,
    /// Owns applications, with their keys and subscriptions.
    Subscriber,
    /// Sees everything, and blocks.
    Operator,
    /// Sees everything, and changes nothing.
    Auditor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Administrator => Self::Administrator,
            RoleName::Publisher => Self::Publisher,
            RoleName::Subscriber => Self::Subscriber,
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Administrator => Self::Administrator,
            Role::Publisher => Self::Publisher,
            Role::Subscriber => Self::Subscriber,
            Role::Operator => Self::Operator,
            Role::Auditor => Self::Auditor,
        }
    }
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// The subject. It owns everything that is created with this token.
    subject: String,
    /// The role.
    role: RoleName,
    /// First second in which the token or session is not valid any more, Unix time; null if it does not expire.
    expires_at: Option<i64>,
}

/// Shows the principal of the request's token or session.
#[utoipa::path(get, path = "/v1/me", tag = "tokens", operation_id = "find_me", responses(
    (status = 200, description = "the principal of the token or session", body = Me),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn me(caller: Caller, _: NoQuery) -> Result<Body<Me>, Problem> {
    let (Principal { role, subject }, expires_at) = caller.principal()?;
    Ok(Body(Me { subject: subject.clone(), role: (*role).into(), expires_at }))
}

/// The properties of a new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// The role of its bearer.
    role: RoleName,
    /// A person, a team or a program; 1 to 256 bytes without control characters. It owns everything that is created
    /// with the token.
    subject: String,
    /// Number of seconds for which the token is valid; for ever unless given.
    #[serde(default)]
    expires_in: Option<i64>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
struct Token {
    /// Its id.
    id: String,
    /// The role of its bearer.
    role: RoleName,
    /// The subject, which owns everything that is created with the token.
    subject: String,
    /// The time of creation, in Unix seconds.
    created_at: i64,
    /// First second in which it is not valid any more, Unix time; null if it does not expire.
    expires_at: Option<i64>,
    /// The version, to be sent as `if-match`.
    etag: String,
}

impl From<port::accounts::Token> for Token {
    fn from(token: port::accounts::Token) -> Self {
        let etag = accounts::etag_of_token(&token);
        let port::accounts::Token { id, principal: Principal { role, subject }, created_at, expires_at } = token;
        Self { id, role: role.into(), subject, created_at, expires_at, etag }
    }
}

/// A new token with its secret.
#[derive(Serialize, ToSchema)]
struct IssuedToken {
    /// Its id.
    id: String,
    /// The token itself, to be sent as `authorization: Bearer`. The service cannot show it again.
    token: String,
    /// The role of its bearer.
    role: RoleName,
    /// The subject, which owns everything that is created with the token.
    subject: String,
    /// The time of creation, in Unix seconds.
    created_at: i64,
    /// First second in which it is not valid any more, Unix time; null if it does not expire.
    expires_at: Option<i64>,
    /// The version, to be sent as `if-match`.
    etag: String,
}

/// Creates a token.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "create_token", request_body = NewToken, responses(
    (status = 201, description = "the token; the service shows it only this once", body = IssuedToken),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 409, description = "there are too many tokens", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn create(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<NewToken>,
) -> Result<Response, Problem> {
    let mut change = store.begin(caller.act()).await?;
    let NewToken { role, subject, expires_in } = asked;
    let (made, secret) = accounts::make_token(&mut *change, role.into(), subject, expires_in).await?;
    let Token { id, role, subject, created_at, expires_at, etag } = made.into();
    let issued = IssuedToken { id, token: secret.0, role, subject, created_at, expires_at, etag };
    let place = location("/v1/tokens", &issued.id);
    let done = commit_issued(change, &place, &issued.id, &issued.etag).await?;
    Ok((StatusCode::CREATED, shown_once(place), done, Body(issued)).into_response())
}

/// Revokes a token. Requests with it are refused at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "delete_token",
    params(("id" = String, Path)), responses(
    (status = 204, description = "the token is revoked"),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such token", body = Problem),
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
    accounts::revoke_token(&mut *change, &id, &if_match.0).await?;
    Ok((StatusCode::NO_CONTENT, commit(change).await?).into_response())
}

/// Commits a change that creates a secret. `etag` is that of what has it.
pub async fn commit_issued(
    change: Box<dyn Transaction>,
    place: &HeaderValue,
    id: &str,
    etag: &str,
) -> Result<(Extension<super::told::Accepted>, HeaderMap), Problem> {
    let mut headers = tag::header_with(etag);
    let accepted = tag::commit_issued(change, &mut headers, place, id).await?;
    Ok((Extension(accepted), headers))
}

/// Parameters of a list of tokens or credentials.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

impl Paging {
    /// Parses the id after which the page begins, and the number of items.
    pub fn read(self) -> Result<(Option<String>, u32), Problem> {
        let id = |text: String| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            // No id is empty.
            String::from_utf8(bytes).ok().filter(|id| !id.is_empty())
        };
        let after = self.cursor.map(|text| id(text).ok_or_else(list::bad_cursor)).transpose()?;
        Ok((after, list::limit(self.limit.as_deref())?))
    }

    /// Makes a page of the items with the ids `id`.
    pub fn items<T>(items: Vec<T>, more: bool, total: i64, id: impl Fn(&T) -> Cow<'_, str>) -> Items<T> {
        let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(id(last).as_bytes()));
        Items { items, next, total: Some(total) }
    }
}

/// Lists tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(Paging), responses(
    (status = 200, description = "a page of tokens, sorted by id", body = Items<Token>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list(
    State(store): State<Store>,
    _: Caller,
    Query(paging): Query<Paging>,
) -> Result<Body<Items<Token>>, Problem> {
    let (after, limit) = paging.read()?;
    let port::accounts::AccountPage { items, more, total } = store.tokens(after.as_deref(), limit).await?;
    let items = items.into_iter().map(Token::from).collect();
    Ok(Body(Paging::items(items, more, total, |token: &Token| Cow::Borrowed(token.id.as_str()))))
}

/// Commits a change that is not part of the policy. The result goes into the answer.
pub async fn commit(change: Box<dyn Transaction>) -> Result<(Extension<super::told::Accepted>, HeaderMap), Problem> {
    let mut headers = HeaderMap::new();
    let accepted = tag::commit_beside(change, &mut headers).await?;
    Ok((Extension(accepted), headers))
}

/// The headers of an answer with a secret: its location, and that no cache may store it.
pub fn shown_once(place: HeaderValue) -> [(header::HeaderName, HeaderValue); 2] {
    [(header::LOCATION, place), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// The routes.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(me)).routes(routes!(list, create)).routes(routes!(delete))
}
