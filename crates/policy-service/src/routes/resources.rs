//! The five routes of each kind of object: list, create, find, replace, delete.
//!
//! A handler reads its request, makes one change by the rules of [`management`] and answers.

use axum::{
    Extension, Json as Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery, answer, answer_as, begin, id_of,
    list::{self, Items, Listing},
    location,
    tag::{self, IfMatch},
};
use crate::{
    auth::Caller,
    http::{
        body::{Json, Nothing, OptionalJson},
        problem::Problem,
    },
};
use management::{
    access, apis, applications, check, deny_policies,
    error::Error,
    keys,
    pipeline::{self, Outcome},
    plans,
    port::{Database, Store, sight::Sight},
    resource::Resource,
    subscriptions,
    tag::etag,
};

async fn list<R: Resource>(store: &dyn Database, caller: &Caller, uri: &Uri) -> Result<Body<Items<R>>, Problem> {
    Ok(Body(list::list(store, &caller.actor(), Listing::read::<R>(uri)?).await?))
}

async fn find<R: Resource>(
    store: &dyn Database,
    caller: &Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let version = store.find(R::KIND, &id).await?.ok_or_else(|| Error::not_found(R::KIND, &id))?;
    let actor = caller.actor();
    let sight = access::sight(&actor, R::KIND);
    if sight != Sight::All && !store.sees(R::KIND, &id, &sight).await? {
        return Err(Error::not_found(R::KIND, &id).into());
    }
    let mut shown = R::shown(&version)?;
    R::add_to_view(store, &actor, std::slice::from_mut(&mut shown)).await?;
    *shown.etag() = Some(etag(&version));
    Ok((tag::header_of(&mut shown), Body(shown)).into_response())
}

async fn create<R: Resource>(store: &dyn Database, caller: Caller, mut sent: R) -> Result<Response, Problem> {
    check::addressable(R::KIND, sent.id().as_deref())?;
    let mut change = store.begin(caller.act()).await?;
    match pipeline::create(&mut *change, sent, pipeline::Origin::Client).await? {
        Outcome::Created(mut made) => {
            let place = location(R::PATH, made.id().as_deref().unwrap_or_default());
            answer_as(store, change, made, StatusCode::CREATED, Some(place)).await
        }
        Outcome::Held(held) => answer(store, change, held).await,
    }
}

async fn replace<R: Resource>(
    store: &dyn Database,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    if_match: &IfMatch,
    sent: R,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = begin(store, caller, R::KIND, &id, if_match).await?;
    let replaced = pipeline::replace(&mut *change, &id, sent).await?;
    answer(store, change, replaced).await
}

async fn remove<R: Resource>(
    store: &dyn Database,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    if_match: &IfMatch,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let mut change = begin(store, caller, R::KIND, &id, if_match).await?;
    if let Some(kept) = pipeline::remove::<R>(&mut *change, &id).await? {
        return answer(store, change, kept).await;
    }
    let mut headers = HeaderMap::new();
    let accepted = tag::commit(change, &mut headers, None).await?;
    Ok((StatusCode::NO_CONTENT, Extension(accepted), headers).into_response())
}

/// The five handlers of one kind of object.
macro_rules! resource_handlers {
    (
        $module:ident, $resource:ty, $tag:literal, $all:literal, $one:literal, $name:literal,
        filters($($filters:tt)*), removal($($removal:tt)*)
    ) => {
        mod $module {
            use super::*;

            #[utoipa::path(get, path = $all, tag = $tag, operation_id = concat!("list_", $name),
                params(Listing, $($filters)*), responses(
                (status = 200, description = "a page of the list", body = Items<$resource>),
                (status = 400, description = "a parameter cannot be used", body = Problem),
                (status = 401, description = "not a valid token", body = Problem),
            ))]
            pub(super) async fn list(
                State(store): State<Store>,
                caller: Caller,
                uri: Uri,
            ) -> Result<Body<Items<$resource>>, Problem> {
                super::list(&*store, &caller, &uri).await
            }

            #[utoipa::path(post, path = $all, tag = $tag, operation_id = concat!("create_", $name),
                request_body = $resource, responses(
                (status = 201, description = "created", body = $resource),
                (status = 200, description = "it exists already with the same content; no new revision", body = $resource),
                (status = 401, description = "not a valid token", body = Problem),
                (status = 409, description = "it exists with other content, or it is blocked", body = Problem),
                (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
            ))]
            pub(super) async fn create(
                State(store): State<Store>,
                caller: Caller,
                _: NoQuery,
                Json(sent): Json<$resource>,
            ) -> Result<Response, Problem> {
                super::create(&*store, caller, sent).await
            }

            #[utoipa::path(get, path = $one, tag = $tag, operation_id = concat!("find_", $name),
                params(("id" = String, Path)), responses(
                (status = 200, description = "the object", body = $resource),
                (status = 401, description = "not a valid token", body = Problem),
                (status = 404, description = "there is no object with this id", body = Problem),
            ))]
            pub(super) async fn find(
                State(store): State<Store>,
                caller: Caller,
                _: NoQuery,
                id: Result<Path<String>, PathRejection>,
            ) -> Result<Response, Problem> {
                super::find::<$resource>(&*store, &caller, id).await
            }

            #[utoipa::path(put, path = $one, tag = $tag, operation_id = concat!("replace_", $name),
                params(("id" = String, Path)), request_body = $resource, responses(
                (status = 200, description = "replaced; no new revision if the content is the same", body = $resource),
                (status = 401, description = "not a valid token", body = Problem),
                (status = 404, description = "there is no object with this id", body = Problem),
                (status = 409, description = "the stored object does not allow this change, or another object is in conflict with it", body = Problem),
                (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
            ))]
            pub(super) async fn replace(
                State(store): State<Store>,
                caller: Caller,
                _: NoQuery,
                id: Result<Path<String>, PathRejection>,
                if_match: IfMatch,
                Json(sent): Json<$resource>,
            ) -> Result<Response, Problem> {
                super::replace(&*store, caller, id, &if_match, sent).await
            }

            #[utoipa::path(delete, path = $one, tag = $tag, operation_id = concat!("delete_", $name),
                params(("id" = String, Path)), responses(
                (status = 204, description = "deleted, with everything that belongs to it"),
                $($removal)*
                (status = 401, description = "not a valid token", body = Problem),
                (status = 404, description = "there is no object with this id", body = Problem),
            ))]
            pub(super) async fn remove(
                State(store): State<Store>,
                caller: Caller,
                _: NoQuery,
                id: Result<Path<String>, PathRejection>,
                if_match: IfMatch,
                _: OptionalJson<Nothing>,
            ) -> Result<Response, Problem> {
                super::remove::<$resource>(&*store, caller, id, &if_match).await
            }
        }
    };
}

resource_handlers!(api_handlers, apis::Api, "apis", "/v1/apis", "/v1/apis/{id}", "api", filters(
        ("state" = Option<String>, Query, description = "Only items in this state."),
        ("owner" = Option<String>, Query, description = "Only items of this owner."),
        ("sort" = Option<String>, Query, description = "The order: id, changed, name, owner or state, ascending, or descending with `-` before the name; id unless given."),
    ), removal());
resource_handlers!(
    application_handlers,
    applications::Application,
    "applications",
    "/v1/applications",
    "/v1/applications/{id}",
    "application",
    filters(
        ("state" = Option<String>, Query, description = "Only items in this state, ACTIVE or BLOCKED."),
        ("owner" = Option<String>, Query, description = "Only items of this owner."),
        ("plan" = Option<String>, Query, description = "Only items of this plan."),
        ("sort" = Option<String>, Query, description = "The order: id, changed, name, owner, plan or state, ascending, or descending with `-` before the name; id unless given."),
    ),
    removal((status = 200, description = "the object was blocked: it is deleted, but its block stays", body = applications::Application),)
);
resource_handlers!(
    key_handlers,
    keys::Key,
    "keys",
    "/v1/keys",
    "/v1/keys/{id}",
    "key",
    filters(
        ("application" = Option<String>, Query, description = "Only items of this application."),
        ("owner" = Option<String>, Query, description = "Only items whose application is of this owner."),
        ("state" = Option<String>, Query, description = "Only items in this state, ACTIVE or REVOKED."),
        ("type" = Option<String>, Query, description = "Only items of this type, PRODUCTION or SANDBOX."),
        ("sha256" = Option<String>, Query, description = "Only the key with this digest."),
        ("last_used_before" = Option<u64>, Query, description = "Only keys whose last use is before this time, in Unix seconds, and keys that were never used."),
        ("sort" = Option<String>, Query, description = "The order: id, changed, application, last_used, state or type, ascending, or descending with `-` before the name; id unless given."),
    ),
    removal()
);
resource_handlers!(
    subscription_handlers,
    subscriptions::Subscription,
    "subscriptions",
    "/v1/subscriptions",
    "/v1/subscriptions/{id}",
    "subscription",
    filters(
        ("application" = Option<String>, Query, description = "Only items of this application."),
        ("owner" = Option<String>, Query, description = "Only items whose application is of this owner."),
        ("api" = Option<String>, Query, description = "Only items of this API."),
        ("state" = Option<String>, Query, description = "Only items in this state."),
        ("plan" = Option<String>, Query, description = "Only items of this plan."),
        ("planned" = Option<bool>, Query, description = "True for items with a block that has yet to begin (`block.from`), false for those without."),
        ("sort" = Option<String>, Query, description = "The order: id, changed, api, application, plan or state, ascending, or descending with `-` before the name; id unless given."),
    ),
    removal((status = 200, description = "the object was blocked: it is deleted, but its block stays", body = subscriptions::Subscription),)
);
resource_handlers!(
    plan_handlers,
    plans::Plan,
    "plans",
    "/v1/plans",
    "/v1/plans/{id}",
    "plan",
    filters(
        ("owner" = Option<String>, Query, description = "Only items of this owner."),
        ("sort" = Option<String>, Query, description = "The order: id, changed or owner, ascending, or descending with `-` before the name; id unless given."),
    ),
    removal((status = 409, description = "an application or a subscription uses the plan", body = Problem),)
);
resource_handlers!(
    deny_policy_handlers,
    deny_policies::DenyPolicy,
    "deny policies",
    "/v1/deny-policies",
    "/v1/deny-policies/{id}",
    "deny_policy",
    filters(
        ("type" = Option<String>, Query, description = "Only items of this type."),
        ("sort" = Option<String>, Query, description = "The order: id, changed or type, ascending, or descending with `-` before the name; id unless given."),
    ),
    removal()
);

/// All routes of resources.
pub fn router() -> OpenApiRouter<Store> {
    macro_rules! both {
        ($module:ident) => {
            OpenApiRouter::new().routes(routes!($module::list, $module::create)).routes(routes!(
                $module::find,
                $module::replace,
                $module::remove
            ))
        };
    }
    OpenApiRouter::new()
        .merge(both!(api_handlers))
        .merge(both!(application_handlers))
        .merge(both!(key_handlers))
        .merge(both!(subscription_handlers))
        .merge(both!(plan_handlers))
        .merge(both!(deny_policy_handlers))
}
