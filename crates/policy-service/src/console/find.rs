//! The search: whose is this? It takes a key, the digest of a key, an id or a part of a name.
//!
//! What is typed may be a key, so it is sent by POST and stands in no address, log line, history of the browser or cache, and
//! no page shows it again. A text that has the form of a key is looked up as a key and as nothing else. Any other text is
//! looked up as a key first, and then as an id and a name.

use axum::{Router, http::Method, response::Response, routing::get};
use keygate::digest::Digest;
use management::key_form;
use maud::{Markup, html};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Console,
    applications::{self, Application, applications as table_of_applications},
    keys::{self, Key},
    parts::{
        badge::badge,
        table::{counted, facts, name, table},
        time::time_or,
    },
    rows::{Api, List, Subscription},
    visit::{Sent, Visit},
};
use crate::{
    http::problem::Problem,
    routes::{list::MAX_VALUE_BYTES, lookup::MAX_KEY_BYTES},
    web::place::{below, query},
};

/// Rows of each kind that a search by name shows.
const SHOWN: &str = "10";
/// The route of a key. Who may not use it opens no page of a key.
const ONE_KEY: &str = "/v1/keys/{id}";

pub fn router() -> Router<Console> {
    Router::new().route("/console/find", get(ask).post(find))
}

/// The page with the box.
async fn ask(visit: Visit) -> Response {
    let body = html! { (search_box(&visit)) };
    visit.page("Find", &[], body)
}

/// The box. It never has what was typed before.
pub fn search_box(visit: &Visit) -> Markup {
    html! {
        form.panel method="post" action=(visit.at(&["find"])) role="search" {
            (visit.frame.token())
            div.field {
                label for="what" { "A key, its SHA-256, an id, or a part of a name" }
                p.hint #what-hint { "What you type is in no address, log or history, and no page shows it again." }
                input type="password" id="what" name="what" required autocomplete="off" autocapitalize="off" spellcheck="false"
                    maxlength=(MAX_KEY_BYTES) aria-describedby="what-hint";
            }
            p.actions { button.main type="submit" { "Whose is this?" } }
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    key: Option<OfKey>,
    applications: Vec<Application>,
    subscriptions: Vec<Subscription>,
    apis: Vec<Api>,
    /// Why no key was found.
    no_key: Option<String>,
}

/// A key and everything it belongs to.
#[derive(Debug, Deserialize)]
struct OfKey {
    key: Key,
    #[serde(default)]
    application: Option<Application>,
    #[serde(default)]
    subscriptions: Vec<Subscription>,
}

/// Looks for what was typed.
async fn find(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let what = form.get("what");
    if what.is_empty() {
        return Ok(ask(visit).await);
    }
    let found = look(&visit, what).await?;
    let is_nothing =
        found.key.is_none() && found.applications.is_empty() && found.subscriptions.is_empty() && found.apis.is_empty();
    let body = html! {
        @if is_nothing {
            div.alert role="alert" {
                p { strong { "Nothing was found." } " "
                    (found.no_key.as_deref().unwrap_or_else(|| missing(&visit))) }
            }
        }
        @if let Some(of_key) = &found.key { (of(&visit, of_key)) }
        @if !found.applications.is_empty() {
            section aria-labelledby="applications-title" { h2 #applications-title { "Applications" }
                (table_of_applications(&visit, "Applications", &found.applications)) }
        }
        @if !found.subscriptions.is_empty() {
            section aria-labelledby="subscriptions-title" { h2 #subscriptions-title { "Subscriptions" }
                (subscriptions(&visit, &found.subscriptions)) }
        }
        @if !found.apis.is_empty() {
            section aria-labelledby="apis-title" { h2 #apis-title { "APIs" }
                ul { @for api in &found.apis { li { a href=(visit.at(&["apis", &api.id])) { (name(&api.title())) } " " code { (name(&api.id)) } " " (badge(api.state())) } } } }
        }
        h2 { "Find something else" }
        (search_box(&visit))
    };
    Ok(visit.page("What was found", &[("Find", visit.at(&["find"]))], body))
}

/// The words for a text that nothing has. Only who may open keys finds them by their ids.
fn missing(visit: &Visit) -> &'static str {
    match visit.may(Method::GET, ONE_KEY) {
        true => {
            "No key that you may see has this id, and no application, subscription or API has this in its id or name."
        }
        false => {
            "No API that you may see has this in its id or name, and no subscription in its id or in the name or owner of \
             its application. It is no key that you may see, either. You find a key by the key itself or its SHA-256, not by \
             its id."
        }
    }
}

/// Whether a text can be nothing but a key.
fn is_key(what: &str) -> bool {
    key_form::Form::of(what) != key_form::Form::Other
}

async fn look(visit: &Visit, what: &str) -> Result<Found, Problem> {
    let mut found = Found::default();
    if !is_key(what) && Digest::from_hex(what).is_some() {
        found.key = look_up(visit, &json!({"sha256": what})).await?.ok();
        if found.key.is_some() {
            return Ok(found);
        }
    }
    match look_up(visit, &json!({"key": what})).await? {
        Ok(key) => {
            found.key = Some(key);
            return Ok(found);
        }
        Err(no_key) if is_key(what) => {
            found.no_key = Some(no_key);
            return Ok(found);
        }
        Err(_) => {}
    }
    if what.len() > MAX_VALUE_BYTES || what.chars().any(char::is_control) {
        return Ok(found);
    }
    if let Some(key) = by_id::<Key>(visit, &keys::path(what)).await? {
        let digest = key.sha256.clone().unwrap_or_default();
        found.key = look_up(visit, &json!({"sha256": digest})).await?.ok();
    }
    found.subscriptions = by_name(visit, "/v1/subscriptions", what, below("/v1/subscriptions", &[what])).await?;
    found.applications = by_name(visit, "/v1/applications", what, applications::path(what)).await?;
    found.apis = by_name(visit, "/v1/apis", what, below("/v1/apis", &[what])).await?;
    Ok(found)
}

/// Looks a key up, or says why there is none.
async fn look_up(visit: &Visit, asked: &serde_json::Value) -> Result<Result<OfKey, String>, Problem> {
    match visit.v1.change(Method::POST, "/v1/keys/lookup", Some(asked), None).await {
        Ok(done) => {
            Ok(serde_json::from_value(done.body).map_err(|_| "the answer of the service cannot be read".to_owned()))
        }
        Err(problem) if matches!(problem.status().as_u16(), 404 | 422) => Ok(Err(problem.detail().to_owned())),
        Err(problem) => Err(problem),
    }
}

/// What has this id; `None` also if the person may not see it.
async fn by_id<T: DeserializeOwned>(visit: &Visit, path: &str) -> Result<Option<T>, Problem> {
    match visit.v1.read(path).await {
        Ok(row) => Ok(Some(row)),
        Err(problem) if matches!(problem.status().as_u16(), 400 | 403 | 404) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What has this id, and else what has the text in its id or name.
async fn by_name<T: DeserializeOwned>(visit: &Visit, list: &str, part: &str, path: String) -> Result<Vec<T>, Problem> {
    if let Some(row) = by_id(visit, &path).await? {
        return Ok(vec![row]);
    }
    let asked = query(&[("q", part), ("limit", SHOWN)]);
    let list: Option<List<T>> = by_id(visit, &format!("{list}{asked}")).await?;
    Ok(list.map(|list| list.items).unwrap_or_default())
}

/// Whose a key is.
fn of(visit: &Visit, found: &OfKey) -> Markup {
    let OfKey { key, application, subscriptions: rows } = found;
    let opens_applications = visit.may(Method::GET, "/v1/applications/{id}");
    let owner = application.as_ref().and_then(|application| application.owner.as_deref());
    html! {
        section.panel aria-labelledby="key-title" {
            h2 #key-title { "It is the key " code { (name(&key.id)) } }
            (facts(&[
                ("Application", html! { @match application {
                    Some(row) => {
                        @if opens_applications { a href=(visit.at(&["applications", &row.id])) { (name(row.title())) } } @else { (name(row.title())) }
                        " " (badge(row.state()))
                    }
                    None => span.none { "deleted" },
                } }),
                ("Owner", html! { @match owner { Some(owner) => (name(owner)), None => span.none { "nobody" } } }),
                ("State", keys::state(key, visit.now)),
                ("For", badge(if key.is_for_production() { "production" } else { "sandbox" })),
                ("Last use", time_or(key.last_used, "not known")),
                ("Ends", time_or(key.expires_at, "never")),
            ]))
            p.actions {
                @if visit.may(Method::GET, ONE_KEY) { a.button href=(visit.at(&["keys", &key.id])) { "Look at the key" } }
                @if visit.may(Method::POST, "/v1/explain") { a.button href=(visit.at_with(&["explain"], &[("key_id", &key.id)])) { "Explain a request with it" } } }
        }
        section aria-labelledby="of-key-title" {
            h2 #of-key-title { "It subscribes to " (counted(u64::try_from(rows.len()).unwrap_or_default(), "API", "APIs")) }
            @if !rows.is_empty() { (subscriptions(visit, rows)) }
        }
    }
}

fn subscriptions(visit: &Visit, rows: &[Subscription]) -> Markup {
    let row = |row: &Subscription| {
        vec![
            html! { a href=(visit.at(&["subscriptions", &row.id])) { (name(row.api())) } },
            name(row.application()),
            html! { (badge(row.state())) @if row.is_planned() { " " (badge("planned")) } },
            html! { @match &row.plan { Some(plan) => (name(plan)), None => span.none { "none" } } },
        ]
    };
    table("Subscriptions", &["API", "Application", "State", "Plan"], &rows.iter().map(row).collect::<Vec<_>>())
}
