//! The cookies of sign-ins and sessions: their names, their attributes, and how they are read.
//!
//! With an `https` address the names begin with `__Host-`. A browser then takes such a cookie only from this host itself,
//! over TLS, so no neighbouring host and nobody on the network can plant one.

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite, time::Duration};

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session. The browser sends it only with requests that pages of this site make.
    Session,
    /// A sign-in under way. The browser sends it also when the identity provider leads back here.
    SignIn,
    /// The page to go back to after a sign-in under way.
    Place,
}

/// How this service writes its cookies.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    is_secure: bool,
}

impl Cookies {
    /// `is_secure`: browsers reach the service by https.
    pub fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    fn name(self, purpose: Purpose) -> &'static str {
        match (purpose, self.is_secure) {
            (Purpose::Session, true) => "__Host-keygate-session",
            (Purpose::Session, false) => "keygate-session",
            (Purpose::SignIn, true) => "__Host-keygate-sign-in",
            (Purpose::SignIn, false) => "keygate-sign-in",
            (Purpose::Place, true) => "__Host-keygate-place",
            (Purpose::Place, false) => "keygate-place",
        }
    }

    /// The value of the cookie in a request. Two cookies of one name are none, because one of them may be planted.
    pub fn read(self, headers: &HeaderMap, purpose: Purpose) -> Option<String> {
        let name = self.name(purpose);
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut found = texts.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
        let value = found.next()?.value().to_owned();
        found.next().is_none().then_some(value)
    }

    /// The value of `set-cookie` that sets the cookie for so many seconds.
    pub fn set(self, purpose: Purpose, value: &str, seconds: i64) -> Option<HeaderValue> {
        let same_site = match purpose {
            Purpose::Session => SameSite::Strict,
            Purpose::SignIn | Purpose::Place => SameSite::Lax,
        };
        let cookie = Cookie::build((self.name(purpose), value))
            .path("/")
            .http_only(true)
            .secure(self.is_secure)
            .same_site(same_site)
            .max_age(Duration::seconds(seconds));
        HeaderValue::try_from(cookie.to_string()).ok()
    }

    /// The value of `set-cookie` that removes the cookie.
    pub fn remove(self, purpose: Purpose) -> Option<HeaderValue> {
        self.set(purpose, "", 0)
    }
}
