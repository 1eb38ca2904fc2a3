//! The meaning of an answer to a request for the policy. Other files decide what follows.

use std::time::Duration;

use crate::{
    callout::answer::{Answer, Failure},
    policy::page::Page,
};

/// Size limit of an `etag` in bytes. A longer one is dropped.
const MAX_ETAG_BYTES: usize = 256;

#[derive(Debug)]
pub(super) enum Meaning {
    /// The current policy is still valid.
    NotModified,
    /// A page with the `etag` of its answer.
    Page(Box<Page>, Option<String>),
    /// The cursor is no longer valid. Contains the status of the answer.
    Gone(u16),
    /// The answer cannot be used. If it has a `retry-after`, contains that too.
    Failure(Failure, Option<Duration>),
}

impl Meaning {
    /// `now` is Unix time in seconds, for a `retry-after` that is a date.
    pub fn of(answer: Answer, now: u64) -> Self {
        if answer.status == Some(200)
            && let Some(name) = compression(&answer.content_encoding)
        {
            return Meaning::Failure(Failure::ContentEncoding(name), None);
        }
        match answer.status {
            Some(200) if !is_json(&answer.content_type) => Meaning::Failure(Failure::ContentType, None),
            Some(200) => match Page::scan(answer.body) {
                Ok(page) => Meaning::Page(Box::new(page), etag(answer.etag)),
                Err(why) => Meaning::Failure(Failure::Page(why), None),
            },
            Some(304) => Meaning::NotModified,
            Some(status @ (404 | 410)) => Meaning::Gone(status),
            _ => {
                let (failure, retry_after) = answer.failure(now);
                Meaning::Failure(failure, retry_after)
            }
        }
    }
}

/// The name of the compression. `None` for a plain body. Only usual names are logged.
fn compression(content_encoding: &[u8]) -> Option<&'static str> {
    let value = content_encoding.trim_ascii();
    if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
        return None;
    }
    let known = ["gzip", "br", "deflate", "zstd"].into_iter().find(|name| value.eq_ignore_ascii_case(name.as_bytes()));
    Some(known.unwrap_or("another one"))
}

fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn etag(value: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(value).ok()?;
    let plain = !text.is_empty() && text.len() <= MAX_ETAG_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(text)
}
