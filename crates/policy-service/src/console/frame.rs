//! What stands around every page: navigation by role, who is signed in, the way to the page, and the message about what was
//! done before it.

use std::sync::Arc;

use management::port::{Principal, Role};
use maud::{Markup, html};

use crate::{
    signin::CSRF_FIELD,
    web::{place::CONSOLE, shell::Shell},
};

/// An entry of the navigation: its path below `/console`, its words, and the roles that see it.
type Entry = (&'static str, &'static str, &'static [Role]);

const EVERYONE: &[Role] = &Role::ALL;
use Role::{Administrator, Auditor, Operator, Publisher, Subscriber};

/// The navigation. A page that is not in it is reached from another page.
#[rustfmt::skip]
const NAVIGATION: &[Entry] = &[
    ("", "Start", EVERYONE),
    ("/applications", "Applications", &[Administrator, Subscriber, Operator, Auditor]),
    ("/catalogue", "Find an API", &[Subscriber]),
    ("/apis", "APIs", &[Administrator, Publisher, Operator, Auditor]),
    ("/subscriptions", "Subscriptions", EVERYONE),
    ("/plans", "Plans", &[Administrator, Publisher, Operator, Auditor]),
    ("/usage", "Usage", EVERYONE),
    ("/find", "Find", EVERYONE),
    ("/explain", "Explain", &[Administrator, Publisher, Operator, Auditor]),
    ("/gateways", "Gateways", &[Administrator, Operator, Auditor]),
    ("/deny-policies", "Deny policies", &[Administrator, Operator, Auditor]),
    ("/audit", "Audit", &[Administrator, Operator, Auditor]),
    ("/history", "History", &[Administrator, Operator, Auditor]),
    ("/tokens", "Tokens", &[Administrator, Operator, Auditor]),
];

/// What was done, by the word in the address (`said`). Only these texts are shown.
const SAID: &[(&str, &str)] = &[
    ("blocked", "The block is saved. Gateways take it over now; the receipt says which of them have it."),
    ("planned", "The block is planned. It begins by itself on every gateway."),
    ("as-it-was", "Nothing was changed: it was so already."),
    ("unblocked", "The block is lifted. Gateways take that over now; the receipt says which of them have it."),
    ("approved", "The subscription is approved."),
    ("rejected", "The subscription is rejected."),
    ("created", "It is created."),
    ("saved", "The changes are saved."),
    ("deleted", "It is deleted."),
    ("revoked", "It is revoked and never works again."),
    ("removed", "It is removed. Receipts do not wait for it any more."),
    (
        "restored",
        "The restore is done, as a new revision. Gateways take it over now; the receipt says which of them have it.",
    ),
    ("kept", "You have the key. Nobody can show it again."),
    ("subscribed", "The subscription is made. Its state says whether it can be used already."),
    ("unsubscribed", "The subscription has ended."),
    ("retired", "The API is retired. Gateways do not serve it any more."),
];

/// What stands around a page.
#[derive(Clone, Debug)]
pub struct Frame {
    prefix: Arc<str>,
    principal: Principal,
    csrf: Arc<str>,
    /// The path of the page.
    path: Arc<str>,
}

impl Frame {
    /// For a page at `path`. `prefix` is the part of the address before `/console`.
    pub fn new(prefix: &str, principal: &Principal, csrf: Arc<str>, path: &str) -> Self {
        Self { prefix: prefix.into(), principal: principal.clone(), csrf, path: path.into() }
    }

    /// The CSRF token of the session.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// The part of the address before `/console`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The hidden field that every form needs.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name=(CSRF_FIELD) value=(self.csrf); }
    }

    /// The document. `trail` leads from the start to the page, and `said` is the word for what was done before.
    pub fn page(&self, title: &str, trail: &[(&str, String)], said: &str, body: Markup) -> Markup {
        let said = SAID.iter().find(|(word, _)| *word == said).map(|(_, text)| *text);
        let body = html! {
            @if !trail.is_empty() {
                nav.trail aria-label="Breadcrumb" {
                    ol { @for (words, place) in trail { li { a href=(place) { bdi { (words) } } } } }
                }
            }
            h1 { bdi { (title) } }
            @if let Some(said) = said { p.said role="status" { (said) } }
            (body)
        };
        let head = html! { meta name="csrf-token" content=(self.csrf); };
        let shell = Shell { prefix: &self.prefix, title, has_scripts: true, head, top: self.top(), body };
        shell.document()
    }

    fn top(&self) -> Markup {
        let Principal { role, subject } = &self.principal;
        let home = format!("{}{CONSOLE}", self.prefix);
        html! {
            header.top {
                a.brand href=(home) { "keygate" }
                nav aria-label="Console" {
                    ul {
                        @for (path, words, roles) in NAVIGATION {
                            @if roles.contains(role) {
                                li { a href={ (home) (path) } aria-current=[self.current(path)] { (words) } }
                            }
                        }
                    }
                }
                div.who {
                    span.person { bdi { (subject) } " " span.role { (role.as_str()) } }
                    form method="post" action={ (home) "/sign-out" } {
                        (self.token())
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
        }
    }

    /// Whether the page is the entry's, or one below it.
    fn current(&self, entry: &str) -> Option<&'static str> {
        let rest = self.path.strip_prefix(CONSOLE)?;
        match rest.strip_prefix(entry)? {
            "" => Some("page"),
            below if below.starts_with('/') && !entry.is_empty() => Some("true"),
            _ => None,
        }
    }
}
