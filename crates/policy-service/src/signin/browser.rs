//! What is particular to requests of browsers: the headers of pages, which site a form comes from, and its fields.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use openidconnect::url::{Origin, Url, form_urlencoded};

/// A page loads nothing, runs nothing, stands in no frame, and sends forms only here.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The headers of each answer below `/console`. No address of a sign-in reaches another site, and nothing is stored.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds the headers.
pub async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(HEADERS.map(|(name, value)| (Some(name), value)));
    response
}

/// Whether a page of another site made the browser send this request. Other programs send neither header.
pub fn is_from_elsewhere(headers: &HeaderMap, public: Option<&Url>) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return !["same-origin", "none"].contains(&site);
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let origin = Url::parse(origin).map(|url| url.origin());
    match (origin, public) {
        (Ok(origin), Some(public)) => origin != public.origin(),
        // Without a public URL the browser's own word for this host must do.
        (Ok(Origin::Tuple(scheme, host, port)), None) => {
            let own = Url::parse(&format!("{scheme}://{}", text(header::HOST).unwrap_or_default()));
            own.map(|url| url.origin()) != Ok(Origin::Tuple(scheme, host, port))
        }
        _ => true,
    }
}

/// Whether the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The value of a field in a form or a query; `None` if it is missing, and an error if it is given twice.
pub fn field(text: &[u8], name: &str) -> Result<Option<String>, Twice> {
    let mut found = form_urlencoded::parse(text).filter(|(other, _)| other == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    if found.next().is_some() { Err(Twice) } else { Ok(value) }
}

/// A field is given twice, so nobody knows which one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice;

#[cfg(test)]
mod tests;
