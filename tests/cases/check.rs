//! Compares the observed result of a request with the expected one.
//!
//! Some checks apply to every case. A refusal has the status, code and message of [`REPLIES`] unless the case says
//! otherwise, its details, and exactly one count. No reply repeats anything that the client sent. No key is left in the
//! request unless the case says so. Forged identity headers never reach the upstream. The identity that is sent
//! upstream is that of one key of the policy, and only the key's type decides the endpoint. All other headers stay
//! unchanged.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    table::{Case, Expectation, FORGED, Group, Sent},
    text::Bytes,
};

/// Reason, status, code and message, as the public interface defines them.
#[rustfmt::skip]
pub const REPLIES: &[(&str, u16, &str, &str)] = &[
    ("key_denied", 401, "900901", "Invalid Credentials"),
    ("policy_unavailable", 503, "900424", "Policy unavailable"),
    ("path_ambiguous", 400, "400", "Bad Request"),
    ("api_not_found", 404, "404", "Not Found"),
    ("api_blocked", 503, "700700", "API blocked"),
    ("credential_missing", 401, "900902", "Missing Credentials"),
    ("credential_malformed", 401, "900901", "Invalid Credentials"),
    ("credential_ambiguous", 401, "900901", "Invalid Credentials"),
    ("key_unknown", 401, "900901", "Invalid Credentials"),
    ("key_revoked", 401, "900904", "Access Token Inactive"),
    ("key_not_yet_valid", 401, "900901", "Invalid Credentials"),
    ("key_expired", 401, "900903", "Access Token Expired"),
    ("denied_by_policy", 403, "900805", "Message blocked"),
    ("address_not_permitted", 403, "900908", "Resource forbidden"),
    ("referer_not_permitted", 403, "900908", "Resource forbidden"),
    ("key_not_for_api", 403, "900908", "Resource forbidden"),
    ("subscription_missing", 403, "900908", "Resource forbidden"),
    ("application_blocked", 403, "900805", "Message blocked"),
    ("subscription_blocked", 401, "900907", "The requested API is temporarily blocked"),
    ("subscription_inactive", 401, "900909", "The subscription to the API is inactive"),
    ("endpoint_missing", 403, "900901", "Invalid Credentials"),
    ("operation_not_permitted", 403, "900910", "The access token does not allow you to access the requested resource"),
    ("burst_exceeded", 429, "900807", "Message throttled out"),
    ("quota_exceeded", 429, "900804", "Message throttled out"),
    ("application_quota_exceeded", 429, "900803", "Message throttled out"),
];

/// Shorter texts of a request may occur in a reply by chance.
const TELLING_BYTES: usize = 5;

/// The observed result of a request.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Counters that increased. `None` if the runner cannot see counters.
    pub counted: Option<Vec<String>>,
    /// The request afterwards, if the runner can see it. For a refusal only the core can.
    pub request: Option<Edited>,
    /// The endpoint that the request reached. `None` on the core.
    pub endpoint: Option<String>,
    /// `None` if the request passed.
    pub reply: Option<SeenReply>,
    pub annotations: BTreeMap<String, String>,
}

/// A request after the filter.
#[derive(Clone, Debug, Default)]
pub struct Edited {
    pub path: Option<Vec<u8>>,
    /// Names in lower case, without pseudo headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
pub struct SeenReply {
    pub status: u16,
    pub grpc_status: Option<u8>,
    /// Names in lower case. Over a real network: without Envoy's own headers.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub details: String,
}

impl Edited {
    /// All values of a header, joined as HTTP allows. `None` if the header is absent.
    fn joined(&self, name: &str) -> Option<Bytes> {
        joined(name, self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }
}

fn joined<'a>(name: &str, values: impl Iterator<Item = &'a Vec<u8>>) -> Option<Bytes> {
    let values: Vec<_> = values.map(|value| value.trim_ascii().to_vec()).collect();
    let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b"," };
    (!values.is_empty()).then(|| Bytes(values.join(separator)))
}

/// All differences. Empty if the result is as expected.
pub fn check(group: &Group, case: &Case, observed: &Observed) -> Vec<String> {
    let mut wrong = Wrong::default();
    let (sent, expected) = (group.sent(case), case.expectation());
    let passes = expected.passes.unwrap_or(expected.reason == "allowed");
    wrong.unless_equal("passes", observed.reply.is_none(), passes);
    if let Some(counted) = &observed.counted {
        let default = if passes { "allowed".to_owned() } else { format!("denied.{}", expected.reason) };
        wrong.unless_equal("counted", counted.clone(), vec![expected.counted.clone().unwrap_or(default)]);
    }
    wrong.unless_equal("annotated reason", observed.annotations.get("reason"), Some(&expected.reason));
    for (fact, value) in &expected.annotations {
        wrong.unless_equal(&format!("annotation {fact}"), observed.annotations.get(fact), value.as_ref());
    }
    if let Some(reply) = &observed.reply {
        check_reply(group, &expected, &sent, reply, &mut wrong);
    }
    if let Some(request) = &observed.request {
        check_request(group, &expected, &sent, request, passes, &mut wrong);
        if passes {
            check_identity(group, request, observed.endpoint.as_deref(), &mut wrong);
        }
    }
    wrong.0
}

fn check_reply(group: &Group, expected: &Expectation, sent: &Sent, reply: &SeenReply, wrong: &mut Wrong) {
    let Some((_, status, code, message)) = REPLIES.iter().find(|(reason, ..)| *reason == expected.reason) else {
        return wrong.0.push(format!("`{}` is no reason", expected.reason));
    };
    let status = expected.status.unwrap_or(*status);
    wrong.unless_equal("details", &*reply.details, &*format!("keygate_{}", expected.reason));
    wrong.unless_equal("grpc status", reply.grpc_status, expected.grpc_status);
    let header = |name: &str| reply.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    for (name, value) in &expected.reply_headers {
        wrong.unless_equal(&format!("reply's {name}"), header(name), value.as_deref());
    }
    let retry_after = header("retry-after").map(|value| value.parse::<u64>().is_ok_and(|seconds| seconds > 0));
    if expected.grpc_status.is_none() {
        wrong.unless_equal("status", reply.status, status);
        wrong.unless_equal("www-authenticate", header("www-authenticate").is_some(), status == 401);
        wrong.unless_equal("retry-after", retry_after, matches!(status, 429 | 503).then_some(true));
    }
    if expected.grpc_status.is_some() {
        let message = expected.message.as_deref().unwrap_or(message);
        wrong.unless_equal("grpc message", String::from_utf8_lossy(&reply.body), message.into());
    }
    wrong.unless_equal("cache-control", header("cache-control"), Some("no-store"));
    let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    // Envoy makes an id for each request; the core has none.
    if let Some(instance) = body.as_object_mut().and_then(|body| body.remove("instance")) {
        let is_uuid =
            instance.as_str().and_then(|text| text.strip_prefix("urn:uuid:")).is_some_and(|id| id.len() == 36);
        wrong.unless_equal("instance is a UUID", is_uuid, true);
    }
    if let Some(expected) = &expected.body {
        wrong.unless_equal("body", &body, expected);
    } else if expected.grpc_status.is_none() && !group.config.contains_key("replies") && sent.method != "HEAD" {
        wrong.unless_equal("content-type", header("content-type"), Some("application/json"));
        wrong.unless_equal("code", body["code"].as_str(), Some(code));
        wrong.unless_equal("message", body["message"].as_str(), Some(message));
        let names: Vec<_> = body.as_object().into_iter().flat_map(|body| body.keys().map(String::as_str)).collect();
        wrong.unless_equal("body's fields", names, vec!["code", "description", "message"]);
    }
    let texts = sent.headers.iter().map(|(_, value)| value).chain(&sent.path);
    for text in texts.filter(|text| text.len() >= TELLING_BYTES && text.as_slice() != b"application/grpc") {
        let repeated =
            contains(&reply.body, text) || reply.headers.iter().any(|(_, value)| contains(value.as_bytes(), text));
        wrong.unless_equal(&format!("repeats {:?}", Bytes(text.clone())), repeated, false);
    }
}

fn check_request(
    group: &Group,
    expected: &Expectation,
    sent: &Sent,
    request: &Edited,
    passes: bool,
    wrong: &mut Wrong,
) {
    for (name, values) in &expected.headers {
        let values = joined(name, values.iter().map(|value| &value.0));
        wrong.unless_equal(&format!("header {name}"), request.joined(name), values);
    }
    let path = expected.path.as_ref().map(|path| path.0.clone());
    if passes || path.is_some() {
        let path = path.or_else(|| sent.path.clone());
        wrong.unless_equal("path", request.path.clone().map(Bytes), path.map(Bytes));
    }
    let texts: Vec<&[u8]> = request.headers.iter().map(|(_, value)| &**value).chain(request.path.as_deref()).collect();
    if !expected.credential_kept {
        for key in group.keys().iter().filter(|key| key.len() >= TELLING_BYTES) {
            let left = texts.iter().any(|text| contains(text, key));
            wrong.unless_equal(&format!("the key {:?} is left", Bytes(key.clone())), left, false);
        }
    }
    // All headers that neither a source nor `forward` names stay unchanged.
    let mut touched =
        vec!["x-api-key", "apikey", "authorization", "cookie", "x-application-id", "x-key-id", "x-key-type"];
    touched.extend(expected.headers.keys().map(String::as_str));
    for (name, _) in &sent.headers {
        if !touched.iter().any(|touched| touched.eq_ignore_ascii_case(name)) {
            let before = Edited { path: None, headers: sent.headers.clone() }.joined(name);
            wrong.unless_equal(&format!("untouched {name}"), request.joined(name), before);
        }
    }
}

/// With the default `forward`: all three headers or none. They belong to one key of the policy, and the endpoint fits
/// its type.
fn check_identity(group: &Group, request: &Edited, endpoint: Option<&str>, wrong: &mut Wrong) {
    let forged = request.headers.iter().any(|(_, value)| contains(value, FORGED.as_bytes()));
    wrong.unless_equal("a forged identity is left", forged, false);
    if group.config.contains_key("forward") {
        return;
    }
    let header = |name| request.joined(name).map(|value| String::from_utf8_lossy(&value.0).into_owned());
    let [application, key_id, key_type] = ["x-application-id", "x-key-id", "x-key-type"].map(header);
    let Some(key_id) = key_id else {
        wrong.unless_equal("identity without a key", (application, key_type), (None, None));
        return wrong.unless_equal("endpoint", endpoint, endpoint.map(|_| "production"));
    };
    if key_id == "emergency" {
        return wrong.unless_equal(
            "application and type",
            (application.as_deref(), key_type.as_deref()),
            (Some("emergency"), Some("PRODUCTION")),
        );
    }
    let Some(row) = group.key_row(&key_id) else { return wrong.0.push(format!("no key has the id {key_id}")) };
    let is_sandbox = row["type"] == "SANDBOX";
    wrong.unless_equal("x-application-id", application.as_deref(), row["application"].as_str().map(str::trim));
    wrong.unless_equal("x-key-type", key_type.as_deref(), Some(if is_sandbox { "SANDBOX" } else { "PRODUCTION" }));
    let endpoint_of_type = if is_sandbox { "sandbox" } else { "production" };
    wrong.unless_equal("endpoint", endpoint, endpoint.map(|_| endpoint_of_type));
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless_equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, expected: T) {
        if found != expected {
            self.0.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }
}
