//! Refusals as clients see them. Only this file knows codes, statuses, messages and bodies.
//!
//! No reply repeats anything that the client sent, except a request id that is a UUID.

use std::{
    borrow::Cow,
    fmt::Write as _,
    ops::Range,
    time::{Duration, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    config::{Replies, ReplyFormat},
    limit::{Remaining, Taking},
    reason::Reason,
    request::head::ReplyKind,
};

/// A reply for a reason, before an operator's overrides.
struct Template {
    /// The code that clients of WSO2's gateways know.
    code: &'static str,
    status: u16,
    message: &'static str,
    description: &'static str,
}

impl Reason {
    fn template(self) -> Template {
        let (code, status, message, description) = match self {
            Self::KeyDenied => (INVALID, 401, "Invalid Credentials", "Make sure you have provided the correct API key"),
            Self::PolicyUnavailable => {
                ("900424", 503, "Policy unavailable", "The gateway has no current policy to decide by; try again later")
            }
            Self::PathAmbiguous => ("400", 400, "Bad Request", "The path of the request could be read in two ways"),
            Self::ApiNotFound => ("404", 404, "Not Found", "No API is served at the requested address"),
            Self::ApiBlocked => {
                ("700700", 503, "API blocked", "This API has been blocked temporarily; try again later")
            }
            Self::CredentialMissing => {
                ("900902", 401, "Missing Credentials", "Make sure your request carries an API key")
            }
            Self::CredentialMalformed => {
                (INVALID, 401, "Invalid Credentials", "The API key of the request cannot be read")
            }
            Self::CredentialAmbiguous => {
                (INVALID, 401, "Invalid Credentials", "The request carries several different API keys")
            }
            Self::KeyUnknown => {
                (INVALID, 401, "Invalid Credentials", "Make sure you have provided the correct API key")
            }
            Self::KeyRevoked => ("900904", 401, "Access Token Inactive", "The API key has been revoked"),
            Self::KeyNotYetValid => (INVALID, 401, "Invalid Credentials", "The API key is not valid yet"),
            Self::KeyExpired => {
                ("900903", 401, "Access Token Expired", "The API key has expired; renew it and try again")
            }
            Self::DeniedByPolicy => ("900805", 403, "Message blocked", "The request has been blocked by a deny policy"),
            Self::AddressNotPermitted => {
                (FORBIDDEN, 403, "Resource forbidden", "The API key may not be used from this address")
            }
            Self::RefererNotPermitted => {
                (FORBIDDEN, 403, "Resource forbidden", "The API key may not be used from this referer")
            }
            Self::KeyNotForApi => (FORBIDDEN, 403, "Resource forbidden", "The API key does not open this API"),
            Self::SubscriptionMissing => {
                (FORBIDDEN, 403, "Resource forbidden", "The application is not subscribed to this API")
            }
            Self::ApplicationBlocked => ("900805", 403, "Message blocked", "The application has been blocked"),
            Self::SubscriptionBlocked => (
                "900907",
                401,
                "The requested API is temporarily blocked",
                "The application's subscription to this API is temporarily blocked",
            ),
            Self::SubscriptionInactive => (
                "900909",
                401,
                "The subscription to the API is inactive",
                "The application's subscription to this API is not active",
            ),
            Self::EndpointMissing => {
                (INVALID, 403, "Invalid Credentials", "The API has no endpoint for this type of key")
            }
            Self::OperationNotPermitted => (
                "900910",
                403,
                "The access token does not allow you to access the requested resource",
                "The subscription's plan does not open this operation",
            ),
            Self::BurstExceeded => ("900807", 429, THROTTLED, "Too many requests at once; try again later"),
            Self::QuotaExceeded => ("900804", 429, THROTTLED, "The quota of the subscription is used up"),
            Self::ApplicationQuotaExceeded => ("900803", 429, THROTTLED, "The quota of the application is used up"),
        };
        Template { code, status, message, description }
    }

    /// The code, status and message before overrides, as `docs/decision.md` lists them.
    pub fn defaults(self) -> (&'static str, u16, &'static str) {
        let Template { code, status, message, .. } = self.template();
        (code, status, message)
    }
}

const INVALID: &str = "900901";
const FORBIDDEN: &str = "900908";
const THROTTLED: &str = "Message throttled out";

/// A refusal, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body. If the host makes a gRPC reply from it: the message.
    pub body: Vec<u8>,
    /// The gRPC status, if the host makes the reply.
    pub grpc_status: Option<u8>,
    /// Response code details for the access log.
    pub details: String,
}

#[derive(Serialize)]
struct Wso2Body<'a> {
    code: &'a str,
    message: &'a str,
    description: &'a str,
}

#[derive(Serialize)]
struct ChoreoBody<'a> {
    error_message: &'a str,
    code: &'a str,
    error_description: &'a str,
}

/// What a reply says besides the reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// State of the limits.
    pub limits: Taking,
    /// First second in which the block has ended, Unix time.
    pub until: Option<u64>,
    /// What the policy says to the subscriber about the block.
    pub note: Option<&'a str>,
}

impl Details<'_> {
    /// Whether the reply is the same for all requests.
    pub fn are_usual(&self) -> bool {
        self.limits.refusal.is_none() && self.until.is_none() && self.note.is_none()
    }
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// The replies of one configuration to ordinary requests, made in advance, so that many refusals cost no formatting.
#[derive(Debug)]
pub struct Prepared(Vec<(Reason, Reply)>);

impl Prepared {
    /// `interval` is the value of `retry-after`.
    pub fn new(replies: &Replies, interval: Duration) -> Self {
        let reply = |reason| refuse(reason, replies, ReplyKind::Http, interval, Details::default());
        Self(Reason::ALL.iter().map(|&reason| (reason, reply(reason))).collect())
    }

    /// The reply to an ordinary request that is not over a limit.
    pub fn find(&self, reason: Reason) -> Option<&Reply> {
        self.0.iter().find(|(known, _)| *known == reason).map(|(_, reply)| reply)
    }
}

/// The reply to a refused request. `interval` is the value of `retry-after`, unless the request is over a limit. Then
/// the limit determines it, and the reply also contains the state of the limit.
pub fn refuse(reason: Reason, replies: &Replies, kind: ReplyKind, interval: Duration, details: Details<'_>) -> Reply {
    let Details { limits, until, note } = details;
    let template = reason.template();
    let changed = replies.overrides.iter().find(|(of, _)| *of == reason).map(|(_, changed)| changed);
    let status = changed.and_then(|changed| changed.status).unwrap_or(template.status);
    let message = changed.and_then(|changed| changed.message.as_deref()).unwrap_or(template.message);
    let description = changed.and_then(|changed| changed.description.as_deref()).unwrap_or(template.description);
    let until = until.map(rfc3339);
    let until = until.as_deref();
    let mut description = Cow::Borrowed(description);
    if let Some(until) = until {
        description = [&*description, " (until ", until, ")"].concat().into();
    }
    if let Some(note) = note {
        description = [&*description, ": ", note].concat().into();
    }
    let said = Said { code: template.code, status, message, description: &description, until, note };

    let retry_after = limits.refusal.map_or(interval, |refusal| Duration::from_secs(refusal.retry_after));

    let mut headers = Vec::with_capacity(4);
    // A cached refusal would be wrong: the same request may pass a moment later.
    headers.push(("cache-control", "no-store".to_owned()));
    let (sent_status, body, grpc) = match kind {
        ReplyKind::Http => {
            headers.push(("content-type", replies.format.content_type().to_owned()));
            (status, body(replies.format, reason, &said), None)
        }
        ReplyKind::Grpc => (status, message.as_bytes().to_vec(), Some(grpc_status(status))),
        ReplyKind::GrpcWithParameters => {
            headers.push(("content-type", "application/grpc".to_owned()));
            headers.push(("grpc-status", grpc_status(status).to_string()));
            headers.push(("grpc-message", grpc_message(message)));
            (200, Vec::new(), None)
        }
    };
    match status {
        401 => headers.push(("www-authenticate", format!("API-Key realm=\"{}\"", replies.realm))),
        429 | 503 => headers.push(("retry-after", seconds_up(retry_after).to_string())),
        _ => {}
    }
    if let (Some(_), Some(Remaining { limit, remaining, reset })) = (limits.refusal, limits.remaining) {
        headers.push(("ratelimit-limit", limit.to_string()));
        headers.push(("ratelimit-remaining", remaining.to_string()));
        headers.push(("ratelimit-reset", reset.to_string()));
    }
    let details = ["keygate_", reason.as_str()].concat();
    Reply { status: sent_status, headers, body, grpc_status: grpc, details }
}

/// Adds `instance` to a body of the format `problem` if the request's id is a UUID. This is the only client data in a
/// reply; a UUID cannot carry other text.
pub fn name_instance(reply: &mut Reply, request_id: &[u8]) {
    if is_uuid(request_id) && reply.body.pop_if(|last| *last == b'}').is_some() {
        reply.body.extend([&br#","instance":"urn:uuid:"#[..], request_id, br#""}"#].concat());
    }
}

/// Whether this is a UUID in its usual form (RFC 9562, 4).
fn is_uuid(text: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.iter().enumerate().all(fits)
}

impl ReplyFormat {
    fn content_type(self) -> &'static str {
        match self {
            Self::Wso2 | Self::Choreo => "application/json",
            Self::Problem => "application/problem+json",
        }
    }
}

/// What a reply says, after an operator's overrides.
struct Said<'a> {
    code: &'a str,
    status: u16,
    message: &'a str,
    description: &'a str,
    until: Option<&'a str>,
    note: Option<&'a str>,
}

fn body(format: ReplyFormat, reason: Reason, said: &Said<'_>) -> Vec<u8> {
    let &Said { code, status, message, description, until, note } = said;
    let json = match format {
        ReplyFormat::Wso2 => serde_json::to_vec(&Wso2Body { code, message, description }),
        ReplyFormat::Choreo => {
            serde_json::to_vec(&ChoreoBody { error_message: message, code, error_description: description })
        }
        ReplyFormat::Problem => serde_json::to_vec(&ProblemBody {
            r#type: format!("urn:keygate:{}", reason.as_str()),
            title: message,
            status,
            detail: description,
            reason: reason.as_str(),
            until,
            note,
        }),
    };
    // Serializing strings and a number cannot fail.
    json.unwrap_or_default()
}

/// A duration in whole seconds, rounded up, at least one.
fn seconds_up(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(up).max(1)
}

/// The last second that can be written as a date: the end of the year 9999. The times of a policy end there, too.
const LAST_SECOND: u64 = 253_402_300_799;

/// A Unix time as a date of RFC 3339 in UTC.
fn rfc3339(seconds: u64) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = seconds.min(LAST_SECOND);
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    // Such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    let text = httpdate::fmt_http_date(time);
    let part = |range: Range<usize>| text.get(range).unwrap_or_default();
    let month = MONTHS.find(part(8..11)).unwrap_or_default() / 3;
    format!("{}-{:02}-{}T{}Z", part(12..16), month.saturating_add(1), part(5..7), part(17..25))
}

/// The gRPC status for an HTTP status. If keygate has no mapping of its own, it is gRPC's mapping.
fn grpc_status(status: u16) -> u8 {
    match status {
        400 => 3,
        401 => 16,
        403 => 7,
        404 => 12,
        429 => 8,
        502..=504 => 14,
        _ => 2,
    }
}

/// A text as the value of a header, at most 256 bytes of it.
pub fn header_text(text: &str) -> String {
    let mut text = grpc_message(text.trim());
    text.truncate(256);
    text
}

/// A message as gRPC writes it in a header: the percent sign and all bytes that are not printable are percent-encoded.
fn grpc_message(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'%' | 0..b' ' | 0x7f.. => write!(text, "%{byte:02X}"),
            _ => text.write_char(byte.into()),
        };
    }
    text
}

#[cfg(test)]
mod tests;
