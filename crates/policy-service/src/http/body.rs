//! Reads request bodies: JSON with limits on size and time. Errors name the field.
//!
//! The service reads every body as JSON, whatever its `content-type` says, because `curl -d` sends another type by
//! default. This opens no way for cross-origin requests: no browser sends an administrator's token across origins.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::problem::Problem;
use management::{numbers::plain, object::Object};

/// Maximum length of a body, in bytes. The largest row has three lists of 1,000 entries of 256 bytes, 768 KB.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body of the shape `T`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        is_plain(request.headers())?;
        parse(&read(request.into_body()).await?).map(Self)
    }
}

/// A JSON body of the shape `T`. An empty body counts as `{}`.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        is_plain(request.headers())?;
        let bytes = read(request.into_body()).await?;
        parse(if bytes.is_empty() { b"{}" } else { &bytes }).map(Self)
    }
}

/// A body without fields: `{}`, or no body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Rejects a body whose headers say that it is not UTF-8 as it stands. Its media type does not matter.
pub fn is_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: String| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
            return refused("content-encoding: expected none; send the body as it is".to_owned());
        }
    }
    for value in headers.get_all(header::CONTENT_TYPE) {
        let parameters = value.as_bytes().split(|byte| *byte == b';').skip(1);
        for parameter in parameters {
            let Some(equals) = parameter.iter().position(|byte| *byte == b'=') else { continue };
            let (name, rest) = parameter.split_at(equals);
            let charset = rest.strip_prefix(b"=").unwrap_or(rest).trim_ascii();
            let charset = charset.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(charset);
            let is_utf_8 = ["utf-8", "utf8"].iter().any(|name| charset.eq_ignore_ascii_case(name.as_bytes()));
            if name.trim_ascii().eq_ignore_ascii_case(b"charset") && !is_utf_8 {
                return refused(
                    "content-type: expected no charset, or charset=utf-8; send the body in UTF-8".to_owned(),
                );
            }
        }
    }
    Ok(())
}

/// What some editors write before a text. It is no part of JSON.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The error for a text that begins with it.
pub const MARKED: &str = "it begins with a byte order mark (the bytes EF BB BF); send it without";

/// Whether a text begins with a byte order mark.
pub fn has_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(BYTE_ORDER_MARK)
}

/// The bytes of a body.
pub async fn read(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MAX_BODY_BYTES} bytes")))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs()),
        )),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if has_mark(bytes) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {MARKED}")));
    }
    let bytes = &*plain(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // serde_json calls a number where a word must stand an error of syntax.
        let is_json = || serde_json::from_slice::<Value>(bytes).is_ok();
        if error.is_data() || is_json() { invalid(&path, &error.to_string()) } else { not_json(&error) }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))
}

/// The problem for what serde rejects at `path`. For a missing or duplicate field, serde's path is that of the object
/// around it.
fn invalid(path: &str, message: &str) -> Problem {
    let path = if path == "." { "" } else { path };
    let named = ["missing field `", "duplicate field `"].iter().find_map(|prefix| message.strip_prefix(prefix));
    let field = match named.and_then(|rest| rest.split_once('`')) {
        Some((name, _)) if path.is_empty() => name.to_owned(),
        Some((name, _)) => format!("{path}.{name}"),
        None => path.to_owned(),
    };
    if field.is_empty() {
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    Problem::invalid(field, message)
}
