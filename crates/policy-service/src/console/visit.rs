//! A request for a page, of a person who is signed in, and a form that such a person sent.
//!
//! Who is not signed in gets the page of the sign-in, which then goes on to the page that was asked for.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use management::port::{Actor, Principal, Role};
use maud::Markup;

use super::{
    Console, after_session,
    form::Form,
    frame::Frame,
    typed::{Typed, may_be_kept},
    v1::V1,
};
use crate::{
    auth::{
        Flaw, Identity,
        permission::{self, May},
    },
    clock::unix_seconds,
    http::{body, problem::Problem},
    signin::{CSRF_FIELD, is_form},
    web::place::{CONSOLE, below, query},
};

/// The header of htmx's requests, which ask for a part of a page.
const OF_HTMX: HeaderName = HeaderName::from_static("hx-request");

/// A request for a page.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who asks.
    pub principal: Principal,
    /// The current time, Unix seconds.
    pub now: i64,
    /// The routes of `/v1`.
    pub v1: V1,
    /// What all pages share.
    pub console: Console,
    /// The parameters of the address.
    pub asked: Form,
    /// What stands around the page.
    pub frame: Frame,
    /// The sentence about what was done before; empty, if the page says nothing of it.
    pub said: &'static str,
    /// Whether only a part of the page is asked for, to replace one that is shown.
    pub is_for_part: bool,
}

impl Visit {
    /// The address of the page below `/console` with these segments.
    pub fn at(&self, segments: &[&str]) -> String {
        below(&format!("{}{CONSOLE}", self.frame.prefix()), segments)
    }

    /// The same, with a query.
    pub fn at_with(&self, segments: &[&str], pairs: &[(&str, &str)]) -> String {
        format!("{}{}", self.at(segments), query(pairs))
    }

    /// What the role may do on a route of `/v1`. Which rows it may change, the route decides.
    pub fn may(&self, method: Method, path: &str) -> bool {
        permission::find(method.as_str(), path)
            .is_some_and(|operation| matches!(operation.may(self.principal.role), May::Yes | May::Own))
    }

    /// Whether the person may change what belongs to `owner`.
    pub fn owns(&self, owner: Option<&str>) -> bool {
        self.principal.role == Role::Administrator || owner == Some(self.principal.subject.as_str())
    }

    /// The answer to a form that the person may not send.
    pub fn refused(&self) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it")
    }

    /// Who asks, as the rules see it.
    pub fn actor(&self) -> Actor {
        Actor::Principal(self.principal.clone())
    }

    /// The answer with a page.
    pub fn page(&self, title: &str, trail: &[(&str, String)], body: Markup) -> Response {
        self.page_as(StatusCode::OK, title, trail, body)
    }

    /// The answer with a page and a status, for forms that are not accepted.
    pub fn page_as(&self, status: StatusCode, title: &str, trail: &[(&str, String)], body: Markup) -> Response {
        html(status, &self.frame.page(title, trail, self.said, body))
    }

    /// The answer with a part of a page.
    pub fn part(&self, part: &Markup) -> Response {
        html(StatusCode::OK, part)
    }
}

/// An answer in HTML.
pub fn html(status: StatusCode, page: &Markup) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page.0.clone())
        .into_response()
}

/// Leads to another page with GET, so that neither "back" nor "reload" sends a form again.
pub fn see_other(place: &str) -> Response {
    let place = HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static(CONSOLE));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

impl FromRequestParts<Console> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let is_for_part = parts.headers.contains_key(OF_HTMX);
        let identity = parts.extensions.get::<Identity>().cloned().unwrap_or(Identity::Nobody(Flaw::Missing));
        let (principal, held) = match &identity {
            Identity::Unknown(problem) => return Err(problem.clone().into_response()),
            Identity::Principal { principal, session: Some(held), .. } => (principal.clone(), held.clone()),
            Identity::Principal { session: None, .. } | Identity::Gateway(_) | Identity::Nobody(_) => {
                return Err(ask_to_sign_in(console, parts, &identity, is_for_part));
            }
        };
        let asked = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let frame = Frame::new(console.0.sign_in.prefix(), &principal, Arc::from(held.csrf_token.0), parts.uri.path());
        let v1 = V1::new(console.0.v1.clone(), identity, parts);
        Ok(Self { principal, now: unix_seconds(), v1, console: console.clone(), asked, frame, said: "", is_for_part })
    }
}

/// The page of the sign-in. A part of a page is refused alone: the page may have a form with something typed.
fn ask_to_sign_in(console: &Console, parts: &Parts, identity: &Identity, is_for_part: bool) -> Response {
    if is_for_part {
        return (StatusCode::UNAUTHORIZED, challenge()).into_response();
    }
    let is_ended = matches!(identity, Identity::Nobody(Flaw::Ended));
    let notice = match (is_ended, parts.method.is_safe()) {
        (true, true) => {
            Some("Your session has ended. Sign in again; you then come back to the page that you asked for.")
        }
        (true, false) => Some(
            "Your session has ended, so nothing was changed. Sign in again; you then come to the page of the form, \
             which is empty again.",
        ),
        (false, true) => None,
        (false, false) => Some("You are not signed in, so nothing was changed."),
    };
    let target = parts.uri.path_and_query().map_or(CONSOLE, |target| target.as_str());
    let place = Some(target).filter(|target| *target != CONSOLE);
    let page = console.0.sign_in.page(place, notice);
    if parts.uri.path() == CONSOLE && parts.method.is_safe() {
        return html(StatusCode::OK, &page);
    }
    (challenge(), html(StatusCode::UNAUTHORIZED, &page)).into_response()
}

fn challenge() -> [(HeaderName, HeaderValue); 1] {
    [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"policy-service management\""))]
}

/// A form that a person sent from a page of the console.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The request.
    pub visit: Visit,
    /// The fields.
    pub form: Form,
}

impl FromRequest<Console> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // Only a page of this service gets what was typed back.
        let is_from_here = console.0.sign_in.is_from_here(&parts.headers);
        let visit = match Visit::from_request_parts(&mut parts, console).await {
            Ok(visit) => visit,
            Err(refused) if is_from_here && refused.status() == StatusCode::UNAUTHORIZED => {
                return Err(without_session(console, &parts, body).await.unwrap_or(refused));
            }
            Err(refused) => return Err(refused),
        };
        let form = read(console, &parts.headers, body).await.map_err(Problem::into_response)?;
        let is_ours = match parts.extensions.get::<Identity>() {
            Some(Identity::Principal { session: Some(held), .. }) => held.csrf_token.is(form.get(CSRF_FIELD)),
            _ => false,
        };
        if !is_ours && is_from_here {
            let page = after_session::of_another_session(&visit.frame, &visit.principal, parts.uri.path(), &form);
            return Err(html(StatusCode::FORBIDDEN, &page));
        }
        if !is_ours {
            return Err(not_ours(
                "the form lacks the token of your session, so nothing was changed; load its page again",
            )
            .into_response());
        }
        if let Some(typed) = parts.extensions.get::<Typed>() {
            typed.keep(&form);
        }
        let visit = Visit { v1: visit.v1.clone().with_csrf_token(), ..visit };
        Ok(Self { visit, form })
    }
}

/// The answer to a form of a person who is not signed in, with what was typed. `None` if that cannot be shown again.
async fn without_session(console: &Console, parts: &Parts, body: axum::body::Body) -> Option<Response> {
    let form = read(console, &parts.headers, body).await.ok()?;
    let path = parts.uri.path();
    let is_ended = matches!(parts.extensions.get(), Some(Identity::Nobody(Flaw::Ended)));
    let why = if is_ended { "Your session has ended" } else { "You are not signed in" };
    may_be_kept(path, &form).then(|| {
        let why = format!("{why}, so nothing was changed.");
        let page = after_session::without_session(console.0.sign_in.prefix(), path, &form, &why);
        (challenge(), html(StatusCode::UNAUTHORIZED, &page)).into_response()
    })
}

async fn read(console: &Console, headers: &HeaderMap, body: axum::body::Body) -> Result<Form, Problem> {
    if console.0.sign_in.is_from_elsewhere(headers) {
        return Err(not_ours("the form was sent from a page of another site, so nothing was changed"));
    }
    if !is_form(headers) {
        let detail = "expected a form (application/x-www-form-urlencoded); programs use /v1";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(Form::parse(&body::read(body).await?))
}

fn not_ours(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}
