//! Callouts to the policy service: their HTTP heads, and the answers that Envoy delivers.

use std::time::Duration;

use super::{
    host::{self, CalloutError},
    instance::Sender,
    version,
};
use crate::{
    callout::{
        Fetch, NEVER, Post,
        answer::{Answer, Failure},
        schedule::MAX_BACKOFF,
    },
    config::PolicySource,
    request::head::Head,
    shared::place::last_to_expire,
};

pub(super) fn send(policy: &PolicySource, sender: &Sender, fetch: &Fetch) -> Result<u32, Failure> {
    let wait = fetch.wait.map(|wait| ["wait=", &wait.as_secs().to_string()].concat());
    let workers = fetch.workers.to_string();
    // At the latest, this request counts as never answered, and the longest pause follows.
    let longest = MAX_BACKOFF.max(policy.refresh_interval);
    let heard_within = fetch.timeout.saturating_add(NEVER).saturating_add(longest);
    let heard_within = heard_within.as_secs().saturating_add(1).to_string();
    let lagging = (fetch.lagging > 0).then(|| fetch.lagging.to_string());
    let refused = fetch.refused.map(|(revision, why)| [&*revision.to_string(), "; ", why].concat());
    let expires_after = last_to_expire(sender.expires_after, fetch.expires_after).to_string();
    let mut headers = head(policy, sender, &expires_after, "GET", &fetch.path);
    headers.push(("keygate-workers", &workers));
    headers.push(("keygate-heard-within", &heard_within));
    let optional = [
        ("if-none-match", &fetch.etag),
        ("prefer", &wait),
        ("keygate-lagging", &lagging),
        ("keygate-refused", &refused),
    ];
    headers.extend(optional.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    callout(policy, headers, None, fetch.timeout)
}

pub(super) fn send_post(policy: &PolicySource, sender: &Sender, post: &Post) -> Result<u32, Failure> {
    let expires_after = sender.expires_after.to_string();
    let mut headers = head(policy, sender, &expires_after, "POST", &post.path);
    headers.push(("content-type", "application/json"));
    callout(policy, headers, Some(&post.body), post.timeout)
}

/// The headers of every request to the policy service.
fn head<'a>(
    policy: &'a PolicySource,
    sender: &'a Sender,
    expires_after: &'a str,
    method: &'a str,
    path: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        (":method", method),
        (":path", path),
        (":authority", policy.authority.as_str()),
        ("accept", "application/json"),
        ("user-agent", version::USER_AGENT),
        ("keygate-version", version::VERSION),
        ("keygate-instance", &sender.instance),
        ("keygate-process", &sender.process),
        ("keygate-expires-after", expires_after),
    ];
    headers.extend(policy.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    headers.extend(policy.authorization.iter().map(|value| ("authorization", value.as_str())));
    headers
}

fn callout(
    policy: &PolicySource,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Result<u32, Failure> {
    host::callout(&policy.cluster, headers, body, timeout).map_err(|error| match error {
        CalloutError::BadArgument => Failure::NoCluster,
        CalloutError::InternalFailure => Failure::NotSent,
    })
}

/// Reads the answer that Envoy delivers. Without headers the callout was reset, and neither headers nor body may be
/// read.
pub(super) fn read_answer(headers: usize, body_size: usize) -> Answer {
    let Some(bytes) = (headers > 0).then(host::callout_headers).flatten() else { return Answer::default() };
    let Ok(head) = Head::parse(&bytes) else { return Answer::default() };
    let value = |name: &[u8]| head.values(name).next().unwrap_or_default().to_vec();
    let status = std::str::from_utf8(&value(b":status")).ok().and_then(|status| status.parse().ok());
    Answer {
        status,
        content_type: value(b"content-type"),
        etag: value(b"etag"),
        retry_after: value(b"retry-after"),
        preference_applied: value(b"preference-applied"),
        content_encoding: value(b"content-encoding"),
        has_date: head.values(b"date").next().is_some(),
        body: host::callout_body(body_size),
    }
}
