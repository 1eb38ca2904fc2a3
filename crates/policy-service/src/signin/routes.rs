//! The requests of a sign-in and a sign-out.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use management::{
    port::{Actor, Origin, Principal, Store, sessions::Session},
    sessions::{self, SIGN_IN_SECONDS},
};
use maud::Markup;
use serde::Deserialize;
use serde_json::json;

use super::{
    browser::{field, is_form, is_from_elsewhere},
    claims::{self, Claims},
    pages,
    provider::{AtProvider, code_of},
    refusal::Refusal,
    settings::{CALLBACK, Settings},
    ticket::Ticket,
};
use crate::{
    auth::{
        Credentials, Identity,
        cookies::{Cookies, Purpose},
        held::{CsrfToken, Held},
        session::Sessions,
    },
    clock::{act_from, unix_seconds},
    guesses::Peer,
    http::{body, credential::Credential, problem::Problem, request_id::RequestId},
    web::place::{CONSOLE, of_console},
};

/// Maximum length of an authorization code, in bytes. RFC 6749 names no bound; providers that pack a token into it stay
/// below 2 KB.
const MAX_CODE_BYTES: usize = 4_096;
/// Maximum length of a token that a person enters, in bytes; as of a credential in a header.
const MAX_TOKEN_BYTES: usize = 1_024;

/// What the routes share.
#[derive(Debug)]
pub struct Site {
    pub settings: Settings,
    pub cookies: Cookies,
    pub sessions: Sessions,
    pub provider: Option<AtProvider>,
}

#[derive(Clone)]
struct Shared {
    site: Arc<Site>,
    store: Store,
}

/// The routes.
pub fn router(site: Arc<Site>, store: Store) -> Router {
    Router::new()
        .route("/console/sign-in", get(lead_to_provider).post(sign_in_with_token))
        .route(CALLBACK, get(call_back))
        .route("/console/sign-out", post(sign_out))
        .layer(middleware::from_fn(crate::routes::run_to_completion))
        .with_state(Shared { site, store })
}

/// Leads a person to the identity provider.
async fn lead_to_provider(State(Shared { site, .. }): State<Shared>, request: Request) -> Response {
    let Some(provider) = &site.provider else { return see_other(&console_of(&site), []) };
    let act = act_from(Actor::Service, origin(&request));
    let place = field(request.uri().query().unwrap_or_default().as_bytes(), pages::PLACE_FIELD).ok().flatten();
    let place = place.as_deref().and_then(of_console).map(|place| URL_SAFE_NO_PAD.encode(place));
    let place = match place {
        Some(place) => site.cookies.set(Purpose::Place, &place, SIGN_IN_SECONDS),
        None => no_place(&site, request.headers()),
    };
    // A body cannot be shared by threads.
    drop(request);
    let led = async {
        let ticket = Ticket::new(&act)?;
        let address = provider.address(&ticket).await?;
        Ok::<_, Refusal>((ticket, address))
    };
    match led.await {
        Ok((ticket, address)) => {
            let cookie = site.cookies.set(Purpose::SignIn, &ticket.cookie(), SIGN_IN_SECONDS);
            see_other(address.as_str(), [cookie, place])
        }
        Err(refusal) => refuse(&site, &refusal, []),
    }
}

/// Completes a sign-in with the answer of the identity provider.
async fn call_back(State(Shared { site, store }): State<Shared>, request: Request) -> Response {
    let Some(provider) = &site.provider else { return see_other(&console_of(&site), []) };
    let ticket = match find_ticket(&site, request.headers(), request.uri()) {
        Ok(ticket) => ticket,
        // The sign-in that is under way in this browser, if any, goes on: another site may have sent this request.
        Err(refusal) => return refuse(&site, &refusal, []),
    };
    let (place, no_place) = (kept_place(&site, request.headers()), no_place(&site, request.headers()));
    let (origin, uri) = (origin(&request), request.into_parts().0.uri);
    let ended = site.cookies.remove(Purpose::SignIn);
    let signed_in = async {
        let claims = proven(provider, &ticket, &uri).await?;
        begin_from_claims(&site, &store, &ticket, &claims, origin.clone()).await
    };
    match signed_in.await {
        Ok(begun) => {
            tell(&begun.session.principal, origin.address, "oidc");
            let page = pages::go_on(site.settings.prefix(), place.as_deref().unwrap_or(CONSOLE));
            without_referrer(answer(StatusCode::OK, &page, [ended, no_place, begun.cookie]))
        }
        Err(refusal) => without_referrer(refuse(&site, &refusal, [ended])),
    }
}

/// Removes the place that an earlier sign-in left, if there is one.
fn no_place(site: &Site, headers: &HeaderMap) -> Option<HeaderValue> {
    site.cookies.read(headers, Purpose::Place).and_then(|_| site.cookies.remove(Purpose::Place))
}

/// The page to go on to, as the browser kept it.
fn kept_place(site: &Site, headers: &HeaderMap) -> Option<String> {
    let kept = URL_SAFE_NO_PAD.decode(site.cookies.read(headers, Purpose::Place)?).ok()?;
    of_console(std::str::from_utf8(&kept).ok()?).map(str::to_owned)
}

/// The address of this page has the identity provider's answer, and reaches nobody.
fn without_referrer(mut response: Response) -> Response {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The sign-in that an answer belongs to, by the browser's cookie.
fn find_ticket(site: &Site, headers: &HeaderMap, uri: &Uri) -> Result<Ticket, Refusal> {
    let cookie = site.cookies.read(headers, Purpose::SignIn);
    let ticket = cookie.as_deref().and_then(Ticket::parse).ok_or(Refusal::NotUnderWay)?;
    let state = parameter(uri, "state")?.ok_or(Refusal::Unreadable("it has no `state`"))?;
    if !ticket.has_state(&state) {
        return Err(Refusal::OtherState);
    }
    Ok(ticket)
}

/// What the identity provider's answer proves.
async fn proven(provider: &AtProvider, ticket: &Ticket, uri: &Uri) -> Result<Claims, Refusal> {
    if !sessions::is_under_way(ticket.begun(), unix_seconds()) {
        return Err(Refusal::TooLate);
    }
    provider.check_issuer(parameter(uri, "iss")?.as_deref()).await?;
    if let Some(error) = parameter(uri, "error")? {
        return Err(Refusal::Denied(code_of(&error)));
    }
    let code = parameter(uri, "code")?.filter(|code| !code.is_empty() && code.len() <= MAX_CODE_BYTES);
    provider.claims(code.ok_or(Refusal::Unreadable("it has no usable `code`"))?, ticket).await
}

fn parameter(uri: &Uri, name: &str) -> Result<Option<String>, Refusal> {
    let query = uri.query().unwrap_or_default().as_bytes();
    field(query, name).map_err(|_| Refusal::Unreadable("a parameter is given twice"))
}

/// A session that began, with the cookie for the browser.
struct Begun {
    session: Session,
    csrf: CsrfToken,
    cookie: Option<HeaderValue>,
}

impl Begun {
    fn new(site: &Site, session: Session, secret: &str) -> Self {
        let seconds = session.expires_at.saturating_sub(session.created_at);
        Self { session, csrf: CsrfToken::of(secret), cookie: site.cookies.set(Purpose::Session, secret, seconds) }
    }
}

async fn begin_from_claims(
    site: &Site,
    store: &Store,
    ticket: &Ticket,
    claims: &Claims,
    origin: Origin,
) -> Result<Begun, Refusal> {
    let provider = site.settings.provider.as_ref().ok_or(Refusal::NotUnderWay)?;
    let principal = claims::principal(claims, provider)?;
    let mut change = store.begin(act_from(Actor::Principal(principal.clone()), origin)).await?;
    if !sessions::use_up(&mut *change, &ticket.digest(), ticket.begun()).await? {
        return Err(Refusal::Completed);
    }
    let secret = sessions::new_secret(change.act())?;
    let source = site.sessions.of_provider(&secret.0).ok_or(Refusal::NotUnderWay)?;
    let session = sessions::begin(&mut *change, principal, source, None, &secret.hash()).await?;
    change.commit().await?;
    Ok(Begun::new(site, session, &secret.0))
}

/// A token in a body of JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    token: String,
}

/// Signs a person in who has a token. A form is answered with pages, JSON with JSON.
async fn sign_in_with_token(
    State(Shared { site, store }): State<Shared>,
    Extension(credentials): Extension<Credentials>,
    identity: Option<Extension<Identity>>,
    request: Request,
) -> Result<Response, Problem> {
    let (is_form, origin) = (is_form(request.headers()), origin(&request));
    let refuse = |refusal: Refusal, place: Option<&str>| match is_form {
        true => {
            let (prefix, has_provider) = (site.settings.prefix(), site.provider.is_some());
            let notice = Some(refusal.advice());
            refuse_on(&refusal, &pages::Asking { prefix, has_provider, place, notice }.page())
        }
        false => refuse_as_problem(&refusal),
    };
    if is_from_elsewhere(request.headers(), site.settings.public.as_ref()) {
        return Ok(refuse(Refusal::OtherSite, None));
    }
    let Sent { token, place } = read_token(request, is_form).await?;
    let place = place.as_deref().and_then(of_console);
    let held = held(identity);
    let signed_in = async {
        let token = token.trim();
        let proof = if (1..=MAX_TOKEN_BYTES).contains(&token.len()) { credentials.prove(token).await? } else { None };
        let proof = proof.ok_or(Refusal::WrongToken)?;
        let actor = Actor::Principal(proof.principal.clone());
        let mut change = store.begin(act_from(actor, origin.clone())).await?;
        // The browser replaces the cookie, so nobody could end the earlier session any more.
        if let Some(held) = &held {
            sessions::end(&mut *change, &held.hash).await?;
        }
        let secret = sessions::new_secret(change.act())?;
        let source = credentials.source(&proof, &secret.0);
        let begun = sessions::begin(&mut *change, proof.principal, source, proof.expires_at, &secret.hash()).await?;
        change.commit().await?;
        Ok::<_, Refusal>(Begun::new(&site, begun, &secret.0))
    };
    let Begun { session, csrf, cookie } = match signed_in.await {
        Ok(begun) => begun,
        Err(refusal) => return Ok(refuse(refusal, place)),
    };
    tell(&session.principal, origin.address, "token");
    if is_form {
        return Ok(see_other(&format!("{}{}", site.settings.prefix(), place.unwrap_or(CONSOLE)), [cookie]));
    }
    let Principal { subject, role } = &session.principal;
    let body =
        json!({"subject": subject, "role": role.as_str(), "expires_at": session.expires_at, "csrf_token": csrf.0});
    Ok(with_cookies(Json(body).into_response(), [cookie]))
}

/// A token, and the page to go to after the sign-in.
struct Sent {
    token: String,
    place: Option<String>,
}

async fn read_token(request: Request, is_form: bool) -> Result<Sent, Problem> {
    if !is_form {
        let body::Json(Given { token }) = body::Json::from_request(request, &()).await?;
        return Ok(Sent { token, place: None });
    }
    let text = body::read(request.into_body()).await?;
    let token = field(&text, "token").ok().flatten();
    let token = token.ok_or_else(|| Problem::invalid("token", "expected one field `token`"))?;
    Ok(Sent { token, place: field(&text, pages::PLACE_FIELD).ok().flatten() })
}

/// Ends the session of the request's cookie, on every replica at once.
async fn sign_out(
    State(Shared { site, store }): State<Shared>,
    identity: Option<Extension<Identity>>,
    request: Request,
) -> Result<Response, Problem> {
    let (is_form, origin) = (is_form(request.headers()), origin(&request));
    if is_from_elsewhere(request.headers(), site.settings.public.as_ref()) {
        return Ok(refuse(&site, &Refusal::OtherSite, []));
    }
    if let Some(Extension(Identity::Unknown(problem))) = identity {
        return Err(*problem);
    }
    if let Some(Extension(Identity::Principal { principal, session: Some(held), .. })) = identity {
        let is_ours = held.has_csrf_token || is_form && has_csrf_field(request.into_body(), &held).await?;
        if !is_ours {
            return Ok(refuse(&site, &Refusal::NoCsrfToken, []));
        }
        let mut change = store.begin(act_from(Actor::Principal(principal.clone()), origin.clone())).await?;
        sessions::end(&mut *change, &held.hash).await?;
        change.commit().await?;
        let Principal { subject, role } = &principal;
        tracing::info!(actor = subject, role = role.as_str(), address = shown(origin.address), "a person signed out");
    }
    let ended = site.cookies.remove(Purpose::Session);
    Ok(match is_form {
        true => see_other(&console_of(&site), [ended]),
        false => with_cookies(StatusCode::NO_CONTENT.into_response(), [ended]),
    })
}

async fn has_csrf_field(body: Body, held: &Held) -> Result<bool, Problem> {
    let text = body::read(body).await?;
    let given = field(&text, pages::CSRF_FIELD).ok().flatten();
    Ok(given.is_some_and(|given| held.csrf_token.is(&given)))
}

fn held(identity: Option<Extension<Identity>>) -> Option<Held> {
    match identity {
        Some(Extension(Identity::Principal { session, .. })) => session,
        _ => None,
    }
}

fn origin(request: &Request) -> Origin {
    Origin {
        address: request.extensions().get::<Peer>().map(|peer| peer.0),
        request_id: request.extensions().get::<RequestId>().map(|id| Arc::clone(&id.0)),
        once: None,
    }
}

fn tell(principal: &Principal, address: Option<IpAddr>, by: &str) {
    let Principal { subject, role } = principal;
    tracing::info!(actor = subject, role = role.as_str(), address = shown(address), by, "a person signed in");
}

fn shown(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

fn console_of(site: &Site) -> String {
    format!("{}/console", site.settings.prefix())
}

fn answer<const N: usize>(status: StatusCode, page: &Markup, cookies: [Option<HeaderValue>; N]) -> Response {
    let html = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    with_cookies((status, html, page.0.clone()).into_response(), cookies)
}

/// Leads on with GET.
fn see_other<const N: usize>(place: &str, cookies: [Option<HeaderValue>; N]) -> Response {
    let Ok(place) = HeaderValue::try_from(place) else { return StatusCode::BAD_GATEWAY.into_response() };
    let headers: [(HeaderName, HeaderValue); 1] = [(header::LOCATION, place)];
    with_cookies((StatusCode::SEE_OTHER, headers).into_response(), cookies)
}

fn with_cookies<const N: usize>(mut response: Response, cookies: [Option<HeaderValue>; N]) -> Response {
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn refuse<const N: usize>(site: &Site, refusal: &Refusal, cookies: [Option<HeaderValue>; N]) -> Response {
    with_cookies(refuse_on(refusal, &pages::refused(site.settings.prefix(), refusal)), cookies)
}

fn refuse_on(refusal: &Refusal, page: &Markup) -> Response {
    let mut response = told(answer(refusal.status(), page, []), refusal);
    if refusal.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"policy-service management\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn refuse_as_problem(refusal: &Refusal) -> Response {
    let problem = match refusal.status() {
        StatusCode::UNAUTHORIZED => {
            Problem::unauthorized("Bearer realm=\"policy-service management\"", refusal.to_string())
        }
        status => Problem::new(status, refusal.advice()),
    };
    told(problem.into_response(), refusal)
}

/// Tells those who count guesses, who log them too, or else the log.
fn told(response: Response, refusal: &Refusal) -> Response {
    if refusal.is_guess() {
        return Credential::Refused(refusal.to_string().into()).mark(response);
    }
    tracing::warn!("a sign-in failed: {refusal}");
    response
}
