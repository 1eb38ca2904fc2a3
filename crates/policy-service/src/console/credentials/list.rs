//! The list of credentials.

use axum::{http::Method, response::Response};
use management::port::audit::Subject;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            table::{counted, empty, name, table},
            time::{time, time_or},
        },
        rows::List,
        said,
        visit::Visit,
    },
    route::{ALL, Credential, ONE},
};
use crate::{http::problem::Problem, web::place::query};

/// The list, in the order of ids.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let find = async |visit: &Visit, id: &str| {
        let found = visit.v1.find(ALL, |one: &Credential| one.id == id).await?;
        Ok(found.map(|one| one.etag))
    };
    said::beside_policy(&mut visit, Subject::GatewayCredential, find).await?;
    let asked = query(&[("limit", "50"), ("cursor", visit.asked.get("cursor"))]);
    let list: List<Credential> = visit.v1.read(&format!("{ALL}{asked}")).await?;
    let may_make = visit.may(Method::POST, ALL);
    let make = visit.at(&["new", "gateway-credential"]);
    let body = html! {
        p { "A gateway proves with its credential that it may read the policy. To rotate a secret, make a second credential of the same client id, "
            "give it to the gateways, and revoke the first: none is refused meanwhile." }
        @if may_make { p.tools { a.button.main href=(make) { "New credential" } } }
        @if list.items.is_empty() && visit.asked.get("cursor").is_empty() {
            (empty("There is no credential here yet. Those of the service's own configuration (POLICY_GATEWAYS) are not listed.",
                may_make.then(|| ("Make the first credential", make.clone()))))
        } @else {
            (table("Credentials of gateways", &["Client id", "Id", "Sees", "Made", "Ends", ""], &rows(&visit, &list.items)))
            div.pages {
                span { (counted(list.total.unwrap_or_default(), "credential", "credentials")) }
                @if let Some(next) = &list.next {
                    nav aria-label="Pages" { ul {
                        li { a href=(visit.at(&["gateway-credentials"])) { "First" } }
                        li { a rel="next" href=(visit.at_with(&["gateway-credentials"], &[("cursor", next)])) { "Next" } }
                    } }
                }
            }
        }
    };
    Ok(visit.page("Credentials of gateways", &[("Gateways", visit.at(&["gateways"]))], body))
}

fn rows(visit: &Visit, rows: &[Credential]) -> Vec<Vec<Markup>> {
    let may = visit.may(Method::PUT, ONE);
    let row = |one: &Credential| {
        let to = |what: &str| visit.at(&["gateway-credentials", &one.id, what]);
        let is_over = one.expires_at.is_some_and(|end| end <= visit.now);
        vec![
            name(&one.client_id),
            html! { code { (name(&one.id)) } },
            sees(one),
            time(one.created_at),
            html! { (time_or(one.expires_at, "never")) @if is_over { " " span.hint { "(over)" } } },
            html! { @if may { div.tools {
                a.button.small href=(to("scope")) { "Scope" span.unseen { " of " (one.id) } }
                a.button.small href=(to("revoke")) { "Revoke" span.unseen { " " (one.id) } }
            } } },
        ]
    };
    rows.iter().map(row).collect()
}

/// APIs that the list names of one credential.
const SHOWN: usize = 3;

/// What a credential sees.
pub fn sees(one: &Credential) -> Markup {
    html! {
        @match one.apis.as_deref() {
            None => "all APIs",
            Some([]) => "no API",
            Some(apis) => {
                @for (number, api) in apis.iter().take(SHOWN).enumerate() { @if number > 0 { ", " } code { (name(api)) } }
                @if apis.len() > SHOWN { " and " (apis.len().saturating_sub(SHOWN)) " more" }
            }
        }
    }
}
