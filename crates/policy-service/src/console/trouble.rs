//! The pages of problems: what is wrong, what would be right, and the id by which the log finds the request.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};

use super::{Console, frame::Frame, visit::html as answer};
use crate::{
    auth::Identity,
    http::{problem::Problem, request_id::RequestId},
    web::{
        place::CONSOLE,
        shell::{Shell, nothing},
    },
};

/// Makes a page of each answer that is a problem.
pub async fn show(State(console): State<Console>, request: Request, next: Next) -> Response {
    let frame = match request.extensions().get::<Identity>() {
        Some(Identity::Principal { principal, session: Some(held), .. }) => {
            let csrf = held.csrf_token.0.as_str().into();
            Some(Frame::new(console.0.sign_in.prefix(), principal, csrf, request.uri().path()))
        }
        _ => None,
    };
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let title = title(problem.status());
    let body = body(&problem, &id, console.0.sign_in.prefix());
    let page = match &frame {
        Some(frame) => frame.page(title, &[], "", body),
        None => {
            let prefix = console.0.sign_in.prefix();
            let body = html! { div.sign-in { p.brand { "keygate" } h1 { (title) } (body) } };
            Shell { prefix, title, has_scripts: false, head: nothing(), top: nothing(), body }.document()
        }
    };
    let mut shown = answer(problem.status(), &page);
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = response.headers().get(&name) {
            let value: HeaderValue = value.clone();
            shown.headers_mut().insert(name, value);
        }
    }
    shown.into_response()
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "This address cannot be used",
        403 => "You may not do this",
        404 => "There is no such page",
        405 => "This cannot be done here",
        409 => "This is not possible now",
        412 => "This was changed meanwhile",
        413 => "The form is too long",
        415 => "This is not a form",
        422 => "Something in the form cannot be used",
        429 => "Too much at once",
        503 | 507 => "The service cannot do this at the moment",
        _ => "The service failed",
    }
}

/// What to do.
fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "It may have been deleted, or belong to somebody else. Look for it from the start page.",
        403 => "If you need this, ask an administrator for the role.",
        409 | 412 => "Go back, load the page again, and look at what is there now.",
        503 => "Nothing was changed. Try again in a few seconds.",
        507 => "Nothing was changed. Gateways are still served.",
        _ => "Go back, and change what you asked for.",
    }
}

fn body(problem: &Problem, id: &str, prefix: &str) -> Markup {
    let detail = problem.detail();
    html! {
        p.alert role="alert" {
            @if let Some(field) = problem.wrong_field() { code { bdi { (field) } } ": " }
            bdi { (detail) }
        }
        p { (advice(problem.status())) }
        p { a href={ (prefix) (CONSOLE) } { "Go to the start page" } }
        @if !id.is_empty() {
            p.hint { "Status " (problem.status().as_u16()) ", request " code { (id) } ". Name this id if you ask for help." }
        }
    }
}
