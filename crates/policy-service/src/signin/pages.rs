//! The pages of a sign-in. The console's own pages come from elsewhere.
//!
//! A page loads nothing and runs no script. maud escapes every text.

use management::port::Principal;
use maud::{DOCTYPE, Markup, html};

use super::refusal::Refusal;
use crate::auth::held::CsrfToken;

/// The name of the field that carries the CSRF token of a form.
pub const CSRF_FIELD: &str = "csrf_token";

fn page(title: &str, more: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                (more)
                title { (title) " · keygate" }
            }
            body { main { h1 { (title) } (body) } }
        }
    }
}

/// The page for a person who is not signed in. `prefix` is the part of the address before `/console`.
pub fn sign_in(prefix: &str, has_provider: bool, refusal: Option<&Refusal>) -> Markup {
    let body = html! {
        @if let Some(refusal) = refusal { p role="alert" { (refusal.advice()) } }
        @if has_provider {
            p { a href={ (prefix) "/console/sign-in" } { "Sign in with the identity provider" } }
        }
        form method="post" action={ (prefix) "/console/sign-in" } {
            p {
                label for="token" { "Token" } " "
                input id="token" name="token" type="password" autocomplete="off" required maxlength="1024";
            }
            p { button type="submit" { "Sign in with the token" } }
        }
    };
    page("Sign in", &html! {}, &body)
}

/// The page for a person who is signed in.
pub fn signed_in(prefix: &str, principal: &Principal, csrf: &CsrfToken) -> Markup {
    let head = html! { meta name="csrf-token" content=(csrf.0); };
    let body = html! {
        p { "You are signed in as " strong { bdi { (principal.subject) } } ", " (principal.role.as_str()) "." }
        form method="post" action={ (prefix) "/console/sign-out" } {
            input type="hidden" name=(CSRF_FIELD) value=(csrf.0);
            p { button type="submit" { "Sign out" } }
        }
    };
    page("Console", &head, &body)
}

/// The page that goes on to the console. A redirect would not do: it would still count as coming from the identity
/// provider's site, and the browser would not send the new session's cookie.
pub fn go_on(prefix: &str) -> Markup {
    let console = format!("{prefix}/console");
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (console) }; };
    page("Signed in", &head, &html! { p { a href=(console) { "Go on to the console" } } })
}

/// The page of a refusal.
pub fn refused(prefix: &str, refusal: &Refusal) -> Markup {
    let body = html! {
        p role="alert" { (refusal.advice()) }
        @if let Refusal::Denied(code) = refusal { @if !code.is_empty() { p { "It says: " code { (code) } } } }
        p { a href={ (prefix) "/console" } { "Back to the console" } }
    };
    page("Not signed in", &html! {}, &body)
}
