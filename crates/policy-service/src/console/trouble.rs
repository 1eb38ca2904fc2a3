//! The pages of problems: what is wrong, what would be right, and the id by which the log finds the request.
//!
//! Every refusal below `/console` becomes a page here, also those of the router itself. Only a program that sends JSON to
//! the sign-in gets JSON.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};

use super::{
    Console,
    form::Form,
    frame::Frame,
    typed::{Typed, may_be_kept, typed},
    visit::html as answer,
};
use crate::{
    auth::Identity,
    http::{problem::Problem, request_id::RequestId},
    web::{
        place::CONSOLE,
        shell::{Shell, nothing},
    },
};

/// Makes a page of each answer that is a problem.
pub async fn show(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let frame = match request.extensions().get::<Identity>() {
        Some(Identity::Principal { principal, session: Some(held), .. }) => {
            let csrf = held.csrf_token.0.as_str().into();
            Some(Frame::new(console.0.sign_in.prefix(), principal, csrf, request.uri().path()))
        }
        _ => None,
    };
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let (method, path, typed) = (request.method().clone(), request.uri().path().to_owned(), Typed::default());
    request.extensions_mut().insert(typed.clone());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>().or_else(|| bare(&response)) else {
        return response;
    };
    let title = title(problem.status());
    let prefix = console.0.sign_in.prefix();
    let advice = advice(&problem, &method);
    // What the form is about was deleted while somebody filled it in.
    let is_lost = problem.status() == StatusCode::NOT_FOUND;
    let typed = typed.take().filter(|form| is_lost && may_be_kept(&path, form));
    let body = body(&problem, &advice, &id, prefix, typed.as_ref());
    let page = match &frame {
        Some(frame) => frame.page(title, &[], "", body),
        None => {
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
    *shown.extensions_mut() = std::mem::take(response.extensions_mut());
    shown.into_response()
}

/// The same for the routes of the sign-in, which programs use with JSON as well.
pub async fn show_people(console: State<Console>, request: Request, next: Next) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_json = kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/json"));
    if is_json { next.run(request).await } else { show(console, request, next).await }
}

/// The answer to a method that a path does not take. The router adds `allow`.
pub async fn not_allowed(request: Request) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not possible here", request.method()))
}

/// The problem of a refusal that the router itself makes, as text.
fn bare(response: &Response) -> Option<Problem> {
    let status = response.status();
    let is_text =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_text || !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let detail = match status {
        StatusCode::BAD_REQUEST => "the address cannot be read: expected UTF-8 in its escapes, such as %C3%A9",
        _ => "the request cannot be used",
    };
    Some(Problem::new(status, detail))
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
fn advice(problem: &Problem, method: &Method) -> String {
    let unchanged = if method.is_safe() { "" } else { "Nothing was changed. " };
    match problem.status().as_u16() {
        404 => "It may have been deleted, or belong to somebody else. Look for it from the start page.".to_owned(),
        403 => "If you need this, ask an administrator for the role.".to_owned(),
        405 => "Use the links and buttons of the pages, which send what this address takes.".to_owned(),
        409 | 412 => "Go back, load the page again, and look at what is there now.".to_owned(),
        503 => format!("{unchanged}Try again in a few seconds."),
        507 => format!("{unchanged}Gateways are still served."),
        _ => "Go back, and change what you asked for.".to_owned(),
    }
}

fn body(problem: &Problem, advice: &str, id: &str, prefix: &str, form: Option<&Form>) -> Markup {
    let detail = problem.detail();
    html! {
        p.alert role="alert" {
            @if let Some(field) = problem.wrong_field() { code { bdi { (field) } } ": " }
            bdi { (detail) }
        }
        p { (advice) }
        @if let Some(form) = form { (typed(form)) }
        p { a href={ (prefix) (CONSOLE) } { "Go to the start page" } }
        @if !id.is_empty() {
            p.hint { "Status " (problem.status().as_u16()) ", request " code { (id) } ". Name this id if you ask for help." }
        }
    }
}
