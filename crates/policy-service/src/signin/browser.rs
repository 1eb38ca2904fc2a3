//! What is particular to requests of browsers: which site a form comes from, and its fields.

use axum::http::{HeaderMap, HeaderName, header};
use openidconnect::url::{Origin, Url, form_urlencoded};

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
