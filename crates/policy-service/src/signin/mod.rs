//! Sign-in to the console, sessions, and sign-out.
//!
//! People sign in by OpenID Connect, or with a token of `/v1/tokens`. Both begin a session, which [`crate::auth`] then
//! accepts like a token, for the console and for `/v1` alike. [`settings`] checks the configuration. [`ticket`] is a
//! sign-in under way, [`provider`] asks the identity provider ([`known`], [`ask`]), and [`claims`] reads what it says.
//! [`routes`] has the requests, [`browser`] what is particular to browsers, and [`pages`] the pages. The rules for
//! sessions are in [`management::sessions`]. The console's own pages are in `console`.

mod ask;
mod browser;
mod claims;
mod known;
mod pages;
mod provider;
mod refusal;
mod routes;
mod settings;
mod ticket;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, header},
};
use management::port::Store;
use maud::Markup;

pub use browser::is_form;
pub use pages::CSRF_FIELD;
pub use settings::Settings;

use self::{provider::AtProvider, routes::Site};
use crate::auth::{cookies::Cookies, session::Sessions};

/// The paths of these routes. They serve pages and are no part of `/openapi.json`.
pub const PATHS: [&str; 3] = ["/console/sign-in", settings::CALLBACK, "/console/sign-out"];

/// Signs people in.
#[derive(Clone, Debug)]
pub struct SignIn(Arc<Site>);

impl SignIn {
    /// Asks nobody yet: the identity provider may be away.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let cookies = Cookies::new(settings.is_secure);
        let description = settings.provider.as_ref().map(settings::Provider::description);
        let sessions = Sessions::new(cookies, description.as_deref());
        let provider = settings.provider.clone().map(AtProvider::new).transpose()?;
        Ok(Self(Arc::new(Site { settings, cookies, sessions, provider })))
    }

    /// What accepts the sessions that begin here.
    pub fn sessions(&self) -> Sessions {
        self.0.sessions.clone()
    }

    /// The part of the address before `/console`, without a slash at its end.
    pub fn prefix(&self) -> &str {
        self.0.settings.prefix()
    }

    /// The page that asks a person to sign in, and then goes on to `place`. `notice` says what the person must know first.
    pub fn page(&self, place: Option<&str>, notice: Option<&str>) -> Markup {
        pages::Asking { prefix: self.prefix(), has_provider: self.0.provider.is_some(), place, notice }.page()
    }

    /// Whether a page of another site made the browser send this request.
    pub fn is_from_elsewhere(&self, headers: &HeaderMap) -> bool {
        browser::is_from_elsewhere(headers, self.0.settings.public.as_ref())
    }

    /// Whether a page of this site made the browser send this request, and the browser says so.
    pub fn is_from_here(&self, headers: &HeaderMap) -> bool {
        let says = [HeaderName::from_static("sec-fetch-site"), header::ORIGIN];
        says.iter().any(|name| headers.contains_key(name)) && !self.is_from_elsewhere(headers)
    }

    /// The routes.
    pub fn router(self, store: Store) -> Router {
        routes::router(self.0, store)
    }
}
