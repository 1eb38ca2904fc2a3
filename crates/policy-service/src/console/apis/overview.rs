//! The start page of those who look after APIs: what waits for approval, what is blocked, and their APIs.

use axum::response::Response;
use management::port::Role;
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            listed::{Asked, Listed},
            table::{counted, empty},
        },
        rows::Api,
        visit::Visit,
    },
    list,
};
use crate::http::problem::Problem;

/// APIs that the page shows.
const APIS: usize = 20;

pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let owner = if visit.principal.role == Role::Publisher { visit.principal.subject.as_str() } else { "" };
    let filters = [("owner", owner)];
    let asked = Asked { path: "/v1/apis", sort: "name", filters: &filters, rows: APIS };
    let apis = Listed::<Api>::read(&visit, asked).await?;
    let body = html! { (own(&visit, &apis)) };
    Ok(visit.page("Start", &[], body))
}

fn own(visit: &Visit, apis: &Listed<Api>) -> Markup {
    let title = if visit.principal.role == Role::Publisher { "Your APIs" } else { "APIs" };
    html! {
        section aria-labelledby="apis-title" {
            h2 #apis-title { (title) }
            @if apis.is_empty() {
                (empty("You have no API yet. Make one: give it a name, and say by host and path which requests belong to it.",
                    visit.may(axum::http::Method::POST, "/v1/apis")
                        .then(|| ("Make the first API", visit.at(&["apis", "new"])))))
            } @else {
                (list::apis(visit, title, &apis.items))
                p { a href=(visit.at(&["apis"])) { "All " (counted(apis.total, "API", "APIs")) } }
            }
        }
    }
}
