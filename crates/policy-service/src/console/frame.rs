//! What stands around every page: navigation by role, who is signed in, the way to the page, and the message about what was
//! done before it.

use std::sync::Arc;

use management::port::{Principal, Role};
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use crate::{
    hexadecimal::short_name,
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

    /// A word that only this session's pages know, for an address that says what this session has shown.
    pub fn proof(&self, of: &str) -> String {
        short_name(&Sha256::new().chain_update(&*self.csrf).chain_update([0_u8]).chain_update(of).finalize())
    }

    /// The hidden field that every form needs.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name=(CSRF_FIELD) value=(self.csrf); }
    }

    /// The document. `trail` leads from the start to the page, and `said` says what was done before it.
    pub fn page(&self, title: &str, trail: &[(&str, String)], said: &str, body: Markup) -> Markup {
        let body = html! {
            @if !trail.is_empty() {
                nav.trail aria-label="Breadcrumb" {
                    ol { @for (words, place) in trail { li { a href=(place) { bdi { (words) } } } } }
                }
            }
            h1 { bdi { (title) } }
            @if !said.is_empty() { p.said role="status" { (said) } }
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
