//! The list of tokens.

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
    route::{ALL, ONE, Token},
};
use crate::{http::problem::Problem, web::place::query};

/// The list, in the order of ids.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let find = async |visit: &Visit, id: &str| {
        let found = visit.v1.find(ALL, |one: &Token| one.id == id).await?;
        Ok(found.map(|one| one.etag))
    };
    said::beside_policy(&mut visit, Subject::Token, find).await?;
    let asked = query(&[("limit", "50"), ("cursor", visit.asked.get("cursor"))]);
    let list: List<Token> = visit.v1.read(&format!("{ALL}{asked}")).await?;
    let may_make = visit.may(Method::POST, ALL);
    let make = visit.at(&["new", "token"]);
    let body = html! {
        p { "People sign in with a token, and programs send it to " code { "/v1" } ". What they make belongs to the token's subject." }
        @if may_make { p.tools { a.button.main href=(make) { "New token" } } }
        @if list.items.is_empty() && visit.asked.get("cursor").is_empty() {
            (empty("There is no token yet. The first administrator's (POLICY_ADMIN_TOKEN) is not listed.", may_make.then(|| ("Make the first token", make.clone()))))
        } @else {
            (table("Tokens", &["Subject", "Role", "Id", "Made", "Ends", ""], &rows(&visit, &list.items)))
            div.pages {
                span { (counted(list.total.unwrap_or_default(), "token", "tokens")) }
                @if let Some(next) = &list.next {
                    nav aria-label="Pages" { ul {
                        li { a href=(visit.at(&["tokens"])) { "First" } }
                        li { a rel="next" href=(visit.at_with(&["tokens"], &[("cursor", next)])) { "Next" } }
                    } }
                }
            }
        }
    };
    Ok(visit.page("Tokens", &[], body))
}

fn rows(visit: &Visit, tokens: &[Token]) -> Vec<Vec<Markup>> {
    let may = visit.may(Method::DELETE, ONE);
    let row = |one: &Token| {
        let is_over = one.expires_at.is_some_and(|end| end <= visit.now);
        vec![
            name(&one.subject),
            html! { (one.role) },
            html! { code { (name(&one.id)) } },
            time(one.created_at),
            html! { (time_or(one.expires_at, "never")) @if is_over { " " span.hint { "(over)" } } },
            html! { @if may { a.button.small href=(visit.at(&["tokens", &one.id, "revoke"])) { "Revoke" span.unseen { " " (one.id) } } } },
        ]
    };
    tokens.iter().map(row).collect()
}
