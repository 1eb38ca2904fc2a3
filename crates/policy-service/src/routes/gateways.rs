//! The list of gateways that are heard of. It is read from memory, after a look at what other replicas have noted.

use std::cmp::Ordering;

use axum::{
    Extension, Json as Body,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    NoQuery, accounts, id_of,
    list::{self, Items, MAX_CURSOR_BYTES, MAX_VALUE_BYTES},
};
use crate::{
    auth::Caller,
    feed::Feed,
    http::{
        body::{Nothing, OptionalJson},
        problem::Problem,
        query::Query,
    },
};
use management::{
    gateways::{self, Heard, State as GatewayState},
    port::{
        Latest, Store,
        gateways::{Gateway, Holds},
    },
};

/// The orders of the list.
pub const SORTS: [&str; 4] = ["id", "client_id", "instance", "revision"];

/// Parameters of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedGateways {
    /// Only gateways in this state: live, silent or gone.
    state: Option<String>,
    /// Only gateways with this client id.
    client_id: Option<String>,
    /// Only gateways of this instance.
    instance: Option<String>,
    /// Only gateways whose client id or instance contains this text; ASCII letters match in either case.
    q: Option<String>,
    /// The order: id, client_id, instance or revision, ascending, or descending with `-` before the name; id unless given.
    sort: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page, with the same `sort`.
    cursor: Option<String>,
}

/// A revision that a gateway did not take.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedRevision {
    /// The revision.
    revision: i64,
    /// `rollback`: it is lower than the held one. `shrink`: too many keys would go. `page`: a page cannot be used. Else
    /// `other`.
    reason: &'static str,
}

/// A gateway: one store of one Envoy.
#[derive(Debug, Serialize, ToSchema)]
struct ListedGateway {
    /// Its id.
    id: String,
    /// The name in its credentials.
    client_id: String,
    /// The name of its Envoy; null for all filters with this client id that send none.
    instance: Option<String>,
    /// A random word that its filter made when it started; null without an instance.
    process: Option<String>,
    /// The version of its filter; null if it does not say.
    version: Option<String>,
    /// Number of workers with a live VM; null if it does not say.
    workers: Option<u32>,
    /// Number of workers that do not decide by `revision` yet; null if that is not known.
    lagging: Option<u32>,
    /// The other end of its last connection.
    address: Option<String>,
    /// `live`: heard of within the time that it named. `silent`: not, and it may still decide by `revision`. `gone`:
    /// silent for so long that it does not count.
    state: &'static str,
    /// When it was last heard of, Unix time; now, while its poll is held.
    last_seen: i64,
    /// The epoch of the policy by which it decides; null if it has shown none.
    epoch: Option<String>,
    /// The revision by which it decides; null if nothing proves one.
    revision: Option<i64>,
    /// Number of revisions that it is behind the latest one; null if that is not known.
    behind: Option<i64>,
    /// The revision that it did not take; null if there is none.
    refused: Option<RefusedRevision>,
}

impl ListedGateway {
    fn of(heard: &Heard, state: GatewayState, latest: &Latest, now: i64) -> Self {
        let gateway = &*heard.gateway;
        let proof = match &gateway.holds {
            Holds::Proven(proof) => Some(proof),
            Holds::Nothing | Holds::Unknown => None,
        };
        let is_current = |epoch: &str| epoch == latest.epoch;
        let behind = proof
            .filter(|proof| is_current(&proof.epoch))
            .map(|proof| latest.revision.saturating_sub(proof.revision).max(0));
        let last_seen = if heard.is_held { now } else { gateway.heard_at };
        Self {
            id: heard.id.to_string(),
            client_id: gateway.client_id.clone(),
            instance: gateway.instance.clone(),
            process: gateway.instance.as_ref().map(|_| gateway.process.clone()),
            version: gateway.version.clone(),
            workers: gateway.workers,
            lagging: gateway.lagging,
            address: gateway.address.map(|address| address.to_string()),
            state: state.word(),
            last_seen: last_seen.div_euclid(1_000),
            epoch: gateway.epoch.clone(),
            revision: proof.map(|proof| proof.revision),
            behind,
            refused: gateway
                .refused
                .map(|refused| RefusedRevision { revision: refused.revision, reason: refused.reason.word() }),
        }
    }
}

/// Lists the gateways that are heard of, those that are silent, and those that are gone for less than a month.
#[utoipa::path(get, path = "/v1/gateways", tag = "gateways", operation_id = "list_gateways", params(AskedGateways), responses(
    (status = 200, description = "a page of gateways", body = Items<ListedGateway>),
    (status = 400, description = "a parameter cannot be used", body = Problem),
    (status = 401, description = "not a valid token", body = Problem),
))]
async fn list(
    State(store): State<Store>,
    Extension(feed): Extension<Feed>,
    _: Caller,
    Query(asked): Query<AskedGateways>,
) -> Result<Body<Items<ListedGateway>>, Problem> {
    let wish = Wish::read(asked)?;
    feed.gateways().look().await?;
    let (heard, states) = feed.gateways().all().unwrap_or_default();
    let found: Vec<_> = heard.iter().zip(states).filter(|(heard, state)| wish.has(&heard.gateway, *state)).collect();
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let mut found: Vec<_> = found.into_iter().map(|(heard, state)| (wish.place(heard), heard, state)).collect();
    found.sort_by(|(one, ..), (other, ..)| wish.order(one, other));
    let after = |place: &Place| wish.after.as_ref().is_none_or(|after| wish.order(place, after) == Ordering::Greater);
    let mut rest = found.into_iter().filter(|(place, ..)| after(place));
    let limit = usize::try_from(wish.limit).unwrap_or(usize::MAX);
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let next = page.last().filter(|_| rest.next().is_some()).map(|(place, ..)| wish.cursor(place));
    let (latest, now) = (store.revisions().borrow().clone(), feed.gateways().now());
    let items = page.iter().map(|(_, heard, state)| ListedGateway::of(heard, *state, &latest, now)).collect();
    Ok(Body(Items { items, next, total: Some(total) }))
}

/// The place of a gateway in the list.
type Place = (Key, String);

/// What the list is sorted by, before the id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    /// There is nothing.
    None(()),
    Number(i64),
    Text(String),
}

/// The page that is asked for.
struct Wish {
    asked: AskedGateways,
    sort: &'static str,
    is_descending: bool,
    after: Option<Place>,
    limit: u32,
}

impl Wish {
    fn read(mut asked: AskedGateways) -> Result<Self, Problem> {
        let AskedGateways { state, client_id, instance, q, .. } = &asked;
        for (name, value) in [("client_id", client_id), ("instance", instance), ("q", q)] {
            let least = usize::from(name == "q");
            if value.as_ref().is_some_and(|value| !(least..=MAX_VALUE_BYTES).contains(&value.len())) {
                return Err(Problem::parameter(name, format!("expected {least} to {MAX_VALUE_BYTES} bytes")));
            }
        }
        if state.as_ref().is_some_and(|state| !GatewayState::ALL.iter().any(|other| other.word() == state)) {
            return Err(Problem::parameter("state", "expected one of live, silent, gone"));
        }
        let name = asked.sort.as_deref().unwrap_or("id");
        let (name, is_descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let sort = SORTS.into_iter().find(|sort| *sort == name).ok_or_else(|| {
            Problem::parameter("sort", format!("expected one of {}, or one of them after a minus", SORTS.join(", ")))
        })?;
        let limit = list::limit(asked.limit.as_deref())?;
        let mut wish = Self { sort, is_descending, after: None, limit, asked: AskedGateways::default() };
        if let Some(cursor) = asked.cursor.take() {
            wish.after = Some(wish.read_cursor(&cursor).ok_or_else(list::bad_cursor)?);
        }
        asked.q = asked.q.map(|part| part.to_ascii_lowercase());
        Ok(Self { asked, ..wish })
    }

    fn has(&self, gateway: &Gateway, state: GatewayState) -> bool {
        let AskedGateways { state: in_state, client_id, instance, q, .. } = &self.asked;
        let contains = |text: &str| q.as_ref().is_none_or(|part| text.to_ascii_lowercase().contains(part));
        in_state.as_ref().is_none_or(|word| word == state.word())
            && client_id.as_ref().is_none_or(|id| *id == gateway.client_id)
            && instance.as_ref().is_none_or(|name| Some(name) == gateway.instance.as_ref())
            && (contains(&gateway.client_id) || gateway.instance.as_deref().is_some_and(contains))
    }

    fn place(&self, heard: &Heard) -> Place {
        let text = |text: Option<&String>| text.map_or(Key::None(()), |text| Key::Text(text.clone()));
        let key = match self.sort {
            "client_id" => text(Some(&heard.gateway.client_id)),
            "instance" => text(heard.gateway.instance.as_ref()),
            "revision" => match &heard.gateway.holds {
                Holds::Proven(proof) => Key::Number(proof.revision),
                Holds::Nothing | Holds::Unknown => Key::None(()),
            },
            _ => Key::None(()),
        };
        (key, heard.id.to_string())
    }

    fn order(&self, one: &Place, other: &Place) -> Ordering {
        if self.is_descending { other.cmp(one) } else { one.cmp(other) }
    }

    fn cursor(&self, (key, id): &Place) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::json!([self.sort, self.is_descending, key, id]).to_string())
    }

    fn read_cursor(&self, cursor: &str) -> Option<Place> {
        if cursor.len() > MAX_CURSOR_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (sort, is_descending, key, id): (String, bool, Key, String) = serde_json::from_slice(&bytes).ok()?;
        (sort == self.sort && is_descending == self.is_descending).then_some((key, id))
    }
}

/// Removes a gateway from the list, so that receipts do not wait for it any more. If it still exists, it comes back as soon
/// as it is heard of.
#[utoipa::path(delete, path = "/v1/gateways/{id}", tag = "gateways", operation_id = "delete_gateway",
    params(("id" = String, Path)), responses(
    (status = 204, description = "it is removed"),
    (status = 401, description = "not a valid token", body = Problem),
    (status = 404, description = "there is no such gateway", body = Problem),
))]
async fn remove(
    State(store): State<Store>,
    Extension(feed): Extension<Feed>,
    caller: Caller,
    _: NoQuery,
    id: Result<Path<String>, PathRejection>,
    _: OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let removing = feed.gateways().removing().await;
    let mut change = store.begin(caller.act()).await?;
    gateways::remove(&mut *change, &id, removing.at).await?;
    let done = accounts::commit(change).await?;
    removing.done([&*id]);
    Ok((StatusCode::NO_CONTENT, done).into_response())
}

/// The routes.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(remove))
}
