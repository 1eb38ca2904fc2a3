//! The answers of the policy service, and the reasons why an answer cannot be used.
//!
//! The messages name the settings to check, because an operator reads them at night. They never quote a peer, except
//! Envoy's own words about a connection.

use std::{fmt, time::Duration};

use crate::policy::error::InvalidPage;

/// Longest `retry-after` that is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Maximum length of a quotation from Envoy, in bytes.
const MAX_QUOTED_BYTES: usize = 160;

/// An answer in its original form: header values as bytes.
#[derive(Debug, Default)]
pub struct Answer {
    /// `:status`. `None` if the callout was reset or its body was larger than the host accepts.
    pub status: Option<u16>,
    /// `content-type`.
    pub content_type: Vec<u8>,
    /// `etag`.
    pub etag: Vec<u8>,
    /// `retry-after`.
    pub retry_after: Vec<u8>,
    /// `preference-applied`.
    pub preference_applied: Vec<u8>,
    /// `content-encoding`.
    pub content_encoding: Vec<u8>,
    /// Whether it has a `date`. Servers and proxies write one, but not the Envoy that made the callout.
    pub has_date: bool,
    pub body: Vec<u8>,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The cluster of the configuration does not exist.
    NoCluster,
    /// Envoy could not send the request: no healthy host, or a circuit breaker.
    NotSent,
    /// Neither an answer nor a timeout came.
    NeverAnswered,
    /// The connection was reset, or the body was too large.
    Reset,
    /// Envoy's own answer: the connection failed, or no answer came in time.
    Envoy(u16, String),
    /// The gateway's credentials were refused.
    Refused(u16),
    /// Another status.
    Status(u16),
    /// A compressed body.
    ContentEncoding(&'static str),
    /// Another content type.
    ContentType,
    /// Not a valid page.
    Page(InvalidPage),
    /// `304` to a request that was not conditional.
    UnaskedNotModified,
}

impl Failure {
    /// Whether something in between may have ended a held poll, although the feed works: 408, 502, 503, 504, a reset, a
    /// close (Envoy's 503) or silence.
    pub fn may_be_a_cut(&self) -> bool {
        matches!(self, Self::NeverAnswered | Self::Reset | Self::Envoy(..) | Self::Status(408 | 502 | 503 | 504))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCluster => f.write_str(
                "Envoy has no such cluster; `policy.cluster` has to name one (Istio calls them `outbound|PORT||HOST`)",
            ),
            Self::NotSent => f.write_str(
                "Envoy could not send the request: the cluster has no healthy host, or a circuit breaker is open",
            ),
            Self::NeverAnswered => f.write_str("no answer came, and no time-out either"),
            Self::Reset => f.write_str("the connection was reset, or the body was larger than Envoy's 32 MiB"),
            Self::Envoy(504, words) => write!(f, "no answer within `policy.timeout_ms` (504: {words})"),
            Self::Envoy(status, words) => write!(f, "could not connect ({status}: {words})"),
            Self::Refused(status) => write!(
                f,
                "the gateway's credentials were refused ({status}); check `policy.credentials.client_id` and \
                 `policy.credentials.client_secret`, or `policy.headers`, against the policy service"
            ),
            Self::Status(400) => f.write_str(
                "the answer has status 400, expected 200 or 304; a server may answer so to an authority that it does not \
                 take, so check `policy.authority`",
            ),
            Self::Status(status) => write!(f, "the answer has status {status}, expected 200 or 304"),
            Self::ContentEncoding(name) => write!(
                f,
                "the answer is compressed (`content-encoding: {name}`), which the filter did not ask for and does not read; \
                 the policy service or the proxy before it must send it plainly"
            ),
            Self::ContentType => f.write_str("the answer's content type is not application/json"),
            Self::Page(why) => write!(f, "{why}"),
            Self::UnaskedNotModified => f.write_str("the answer has status 304, but the request was not conditional"),
        }
    }
}

impl Answer {
    /// Whether the service says that it held the answer.
    pub fn waited(&self) -> bool {
        let mut preferences = self.preference_applied.split(|&byte| byte == b',' || byte == b';');
        preferences.any(|preference| {
            let name = preference.split(|&byte| byte == b'=').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"wait")
        })
    }

    /// Why an answer with another status cannot be used, and how long to wait before the next attempt, if the answer
    /// says so.
    pub fn failure(&self, now: u64) -> (Failure, Option<Duration>) {
        let failure = match self.status {
            None => Failure::Reset,
            Some(status @ (401 | 403)) => Failure::Refused(status),
            Some(status @ (503 | 504)) => match envoys_words(&self.body).filter(|_| !self.has_date) {
                Some(words) => Failure::Envoy(status, words),
                None => Failure::Status(status),
            },
            Some(status) => Failure::Status(status),
        };
        let honoured = matches!(self.status, Some(429 | 503));
        (failure, retry_after(&self.retry_after, now).filter(|_| honoured))
    }
}

/// Parses seconds or an HTTP date.
fn retry_after(value: &[u8], now: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
            date.saturating_sub(Duration::from_secs(now))
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Envoy's own words about a callout. They distinguish a dead peer from one that answers 503.
fn envoys_words(body: &[u8]) -> Option<String> {
    let known = [
        &b"upstream connect error"[..],
        b"upstream request timeout",
        b"no healthy upstream",
        b"upstream",
        b"Service Unavailable",
    ];
    if !known.iter().any(|words| body.starts_with(words)) {
        return None;
    }
    let words = body.iter().take(MAX_QUOTED_BYTES).map(|&byte| if matches!(byte, b' '..=b'~') { byte } else { b'?' });
    Some(words.map(char::from).collect())
}
