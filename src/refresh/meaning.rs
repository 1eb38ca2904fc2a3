//! What an answer to a request for the policy means. What follows from it is not said here.

use std::time::Duration;

use crate::{
    callout::answer::{Answer, Failure},
    policy::page::Page,
};

/// Bytes of an `etag` that is kept; a longer one is forgotten.
const MAX_ETAG_BYTES: usize = 256;

/// What an answer means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// The policy held is what there is.
    NotModified,
    /// A page, with the `etag` that it came with.
    Page(Box<Page>, Option<String>),
    /// The cursor is of no use any more: the status that says so.
    Gone(u16),
    /// Nothing that could be used.
    Failure(Failure, Option<Duration>),
}

impl Meaning {
    /// What an answer means. `now` is Unix time in seconds, for a `retry-after` that is a date.
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

/// The name of the compression, or `None` for a plain body. The log repeats usual names only.
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
