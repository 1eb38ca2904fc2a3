//! The pages of a sign-in. The console's own pages come from elsewhere.
//!
//! A page runs no script. maud escapes every text.

use maud::{Markup, html};

use super::refusal::Refusal;
use crate::web::{
    place::query,
    shell::{Shell, nothing},
};

/// The name of the field that carries the CSRF token of a form.
pub const CSRF_FIELD: &str = "csrf_token";
/// The name of the field, and of the parameter, with the page to go to after a sign-in.
pub const PLACE_FIELD: &str = "place";

/// A page of a sign-in, in a box of its own.
fn page(prefix: &str, title: &str, head: Markup, body: &Markup) -> Markup {
    let body = html! {
        div.sign-in { p.brand { "keygate" } h1 { (title) } (body) }
    };
    Shell { prefix, title, has_scripts: false, head, top: nothing(), body }.document()
}

/// A page for a person who is not signed in.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The part of the address before `/console`.
    pub prefix: &'a str,
    /// Whether there is an identity provider.
    pub has_provider: bool,
    /// The page to go to after the sign-in, without the prefix.
    pub place: Option<&'a str>,
    /// What the person must know first.
    pub notice: Option<&'a str>,
}

impl Asking<'_> {
    /// The page.
    pub fn page(&self) -> Markup {
        let Self { prefix, has_provider, place, notice } = self;
        let query = place.map(|place| query(&[(PLACE_FIELD, place)])).unwrap_or_default();
        let body = html! {
            @if let Some(notice) = notice { p.alert role="alert" { (notice) } }
            @if *has_provider {
                p { a.button href={ (prefix) "/console/sign-in" (query) } { "Sign in with the identity provider" } }
                p.or { "or with a token" }
            }
            form method="post" action={ (prefix) "/console/sign-in" } {
                @if let Some(place) = place { input type="hidden" name=(PLACE_FIELD) value=(place); }
                div.field {
                    label for="token" { "Token" }
                    p.hint #token-hint { "An administrator makes tokens, which begin with kgt_. The first administrator signs in with the admin token of the service's settings." }
                    input #token name="token" type="password" autocomplete="off" required maxlength="1024"
                        aria-describedby="token-hint";
                }
                p.actions { button type="submit" { "Sign in with the token" } }
            }
        };
        page(prefix, "Sign in", nothing(), &body)
    }
}

/// The page that goes on to the console. A redirect would not do: it would still count as coming from the identity
/// provider's site, and the browser would not send the new session's cookie. `place` is without the prefix.
pub fn go_on(prefix: &str, place: &str) -> Markup {
    let place = format!("{prefix}{place}");
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (place) }; };
    page(prefix, "Signed in", head, &html! { p { a href=(place) { "Go on to the console" } } })
}

/// The page of a refusal.
pub fn refused(prefix: &str, refusal: &Refusal) -> Markup {
    let body = html! {
        p.alert role="alert" { (refusal.advice()) }
        @if let Refusal::Denied(code) = refusal { @if !code.is_empty() { p { "It says: " code { (code) } } } }
        p { a href={ (prefix) "/console" } { "Back to the console" } }
    };
    let title = match refusal {
        Refusal::NoCsrfToken => "Not signed out",
        Refusal::OtherSite => "Nothing was done",
        _ => "Not signed in",
    };
    page(prefix, title, nothing(), &body)
}
