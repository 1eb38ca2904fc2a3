//! The one list of configuration fields: names, defaults and meanings.
//!
//! The reader takes allowed names and defaults from this list, and a test compares the table of `docs/configuration.md` with
//! it. So list, reader and document cannot disagree.

#![warn(missing_docs)]

use std::borrow::Cow;

use super::json::{self, Member, Node, Value};

/// One field of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Names from the outermost object inwards, joined by dots.
    pub path: &'static str,
    /// What applies if the field is absent.
    pub default: WhenAbsent,
    /// One sentence for the documentation.
    pub meaning: &'static str,
}

/// What applies if a field is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAbsent {
    /// The field must be given.
    Required,
    /// Same as this JSON text.
    Json(&'static str),
    /// Same as this JSON text if the enclosing object is given. If that object is absent too, the field stays absent.
    Inside(&'static str),
    /// Described in words, because no JSON text means the same.
    Else(&'static str),
}

const fn field(path: &'static str, default: WhenAbsent, meaning: &'static str) -> Field {
    Field { path, default, meaning }
}

use WhenAbsent::{Else, Inside, Json, Required};

/// All fields, in the order of the documentation.
#[rustfmt::skip] // a table reads best with one row to a field
pub const FIELDS: &[Field] = &[
    field("policy.cluster", Required, "The Envoy cluster that callouts go to."),
    field("policy.authority", Else("made from the cluster's name"), "`:authority` of the callouts: a host with or without port. Istio's `outbound|PORT|SUBSET|HOST` gives `HOST:PORT`."),
    field("policy.name", Else("none"), "The policy's name: 1 to 64 of `a-z`, `0-9` and `-`. Plugins of one `vm_id` with this name, cluster, authority and path share one policy, whatever their headers and credentials, so a rotated secret keeps the policy, the counts of limits and the usage. The gauges carry the name."),
    field("policy.instance", Else("Envoy's `node.id`"), "How this Envoy is named to the policy service: 1 to 256 bytes of visible ASCII. Without a `node.id` the name is made once for each process."),
    field("policy.path", Json(r#""/v1/policy""#), "Where the feed begins: an absolute path."),
    field("policy.headers", Json("{}"), "Headers of the callouts; each value is a string or `{\"env\": NAME}`."),
    field("policy.credentials", Else("none"), "`client_id` and `client_secret`, sent as HTTP Basic; each is a string or `{\"env\": NAME}`."),
    field("policy.refresh_interval_ms", Json("5000"), "Pause between refreshes; jitter only shortens it, by up to 10 %."),
    field("policy.long_poll_ms", Json("25000"), "How long the service may hold its answer until there is something new, rounded up to seconds; 0 turns it off."),
    field("policy.timeout_ms", Json("5000"), "Bound on one callout, added to the wait of a long poll."),
    field("policy.stale_after_ms", Json("60000"), "Age from which the policy is reported as stale; it stays in use."),
    field("policy.expire_after_ms", Json("3600000"), "Age from which nothing is allowed any more; 0 means never. At least the greater of `long_poll_ms` and `refresh_interval_ms`, plus twice `timeout_ms`."),
    field("policy.startup_hold_ms", Json("1000"), "How long a request waits for the very first policy; 0 means not at all."),
    field("policy.close_streams", Json("false"), "Whether an open stream is reset when its key, application, subscription or API is no longer allowed. Each open stream is then checked again, at some 6 µs, when the policy changes."),
    field("policy.max_bytes", Json("1073741824"), "Maximum size of the packed policy, in bytes; a larger policy is refused, and its memory is given back."),
    field("policy.max_removed_percent", Json("90"), "Share of the known keys that a full policy may drop, in percent, once more than 100 keys are known; 100 turns the guard off, 0 lets none go."),
    field("credential_sources", Json(r#"[{"header":"x-api-key"},{"header":"apikey"},{"query":"apikey"}]"#), "Where a request may carry its key, in the order in which the filter looks."),
    field("ambiguous_credentials", Json(r#""reject""#), "Whether several different keys in one request are refused (`reject`) or the first decides (`first`)."),
    field("api", Else("the policy's own `match`"), "How the API of a request is known: `{\"fixed\": id}` or `{\"route_metadata\": [namespace, key]}`."),
    field("unknown_api", Json(r#""deny""#), "Whether a request that belongs to no API is refused (`deny`) or passes without identity headers (`allow`)."),
    field("allow_preflight", Json("false"), "Whether CORS preflights pass without a key."),
    field("forward.credential", Json("false"), "Whether the credential stays in an allowed request."),
    field("forward.application_id", Json(r#""x-application-id""#), "Request header of the application's id; null or false leaves it out."),
    field("forward.key_id", Json(r#""x-key-id""#), "Request header of the key's id; null or false leaves it out."),
    field("forward.key_type", Json(r#""x-key-type""#), "Request header of the key's type, PRODUCTION or SANDBOX; null or false leaves it out."),
    field("forward.application_name", Json("null"), "Request header of the application's name; null or false leaves it out."),
    field("forward.owner", Json("null"), "Request header of the application's owner; null or false leaves it out."),
    field("forward.api_id", Json("null"), "Request header of the API's id; null or false leaves it out."),
    field("forward.plan", Json("null"), "Request header of the subscription's plan; null or false leaves it out."),
    field("annotate", Json(r#"["reason"]"#), "Which facts go into filter state, each as `wasm.keygate.<fact>`: `application_id`, `application_name`, `owner`, `key_id`, `api_id`, `key_type`, `plan`, `revision`, `limit`, `remaining`, `reset`, `blocked_until`; `reason` always does."),
    field("replies.format", Json(r#""wso2""#), "Shape of a refusal's body: `wso2`, `choreo` or `problem`."),
    field("replies.realm", Json(r#""keygate""#), "Realm of `www-authenticate` on 401."),
    field("replies.overrides", Json("{}"), "Changes of `status`, `message` and `description`, by reason."),
    field("mode", Json(r#""enforce""#), "Whether decisions are carried out (`enforce`) or only counted and annotated (`shadow`)."),
    field("on_policy_unavailable", Json(r#""deny""#), "Whether a request that only the lack of a policy refuses is refused (`deny`) or passes (`allow`)."),
    field("emergency.deny_keys", Json("[]"), "SHA-256 digests of keys that are denied whatever the policy says, and whatever `allow_keys` says."),
    field("emergency.allow_keys", Json("[]"), "SHA-256 digests of keys that are allowed even with no policy at all."),
    field("usage.path", Else("`usage` beside the last segment of `policy.path`"), "Where usage is reported, at the policy's cluster and with its credentials: an absolute path. Without `usage` nothing is counted or reported."),
    field("usage.interval_ms", Inside("60000"), "Pause between reports; jitter only shortens it, by up to 10 %."),
];

/// The allowed names in the object at `path`. Empty if [`FIELDS`] has no such object.
pub(super) fn names(path: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in FIELDS {
        let inside = if path.is_empty() {
            Some(field.path)
        } else {
            field.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = inside.and_then(|rest| rest.split('.').next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Adds the defaults of [`FIELDS`] for all fields that `root` leaves out. A default gets the position of its object.
pub(super) fn fill(root: &mut Node<'_>) {
    for field in FIELDS {
        let (outer, name) = field.path.rsplit_once('.').unwrap_or(("", field.path));
        let object = match field.default {
            Json(_) | Required | Else(_) if outer.is_empty() => Some(&mut *root),
            Json(_) | Required => member(root, outer),
            Else(_) => None,
            Inside(_) => find(root, outer),
        };
        if let (Some(object), Json(text) | Inside(text)) = (object, field.default) {
            add(object, name, text);
        }
    }
}

/// The object `name` of `root`. Adds it if it is missing.
fn member<'r, 't>(root: &'r mut Node<'t>, name: &'static str) -> Option<&'r mut Node<'t>> {
    add(root, name, "{}");
    find(root, name)
}

/// The object `name` of `root`, if it was given.
fn find<'r, 't>(root: &'r mut Node<'t>, name: &str) -> Option<&'r mut Node<'t>> {
    match &mut root.value {
        Value::Object(members) => members.iter_mut().find(|member| member.name == name).map(|member| &mut member.node),
        _ => None,
    }
}

/// Adds the member `name` to `object` if it is missing. Leaves any other kind of value unchanged; the reader refuses it
/// later.
fn add(object: &mut Node<'_>, name: &'static str, text: &'static str) {
    let at = object.at;
    let Value::Object(members) = &mut object.value else { return };
    if members.iter().any(|member| member.name == name) {
        return;
    }
    // Every default parses: a test checks it. Otherwise its field would be reported as missing.
    if let Ok(mut node) = json::parse(text) {
        settle(&mut node, at);
        members.push(Member { at, name: Cow::Borrowed(name), node });
    }
}

/// Sets the position of a default, which has none of its own in the text, to `at`.
fn settle(node: &mut Node<'_>, at: usize) {
    node.at = at;
    match &mut node.value {
        Value::List(entries) => entries.iter_mut().for_each(|entry| settle(entry, at)),
        Value::Object(members) => members.iter_mut().for_each(|member| {
            member.at = at;
            settle(&mut member.node, at);
        }),
        _ => {}
    }
}
