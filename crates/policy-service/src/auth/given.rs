//! The credential in a request. Other files check whether it is valid.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The credential of a request: missing, unreadable, or something to check.
pub enum Given {
    Nothing,
    Unusable,
    Bearer(String),
    Basic { user: String, password: String },
}

pub fn given(headers: &HeaderMap) -> Given {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Given::Nothing };
    if values.next().is_some() {
        return Given::Unusable;
    }
    let Some((scheme, rest)) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')) else {
        return Given::Unusable;
    };
    let rest = rest.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Given::Bearer(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Given::Unusable;
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Given::Basic { user: user.to_owned(), password: password.to_owned() },
        None => Given::Unusable,
    }
}
