//! The part of a configuration about decisions: what replies look like, and the digests that override the policy.

use super::{
    Emergency, Fact, Replies, ReplyFormat, ReplyOverride,
    error::{Expected, Fault, Problem},
    fields,
    json::Value,
    read::{Item, Object, Rule},
};
use crate::{digest::Digest, reason::Reason};

/// Digests in each list of `emergency`. The lists bridge the minutes until the policy itself is changed. Each request
/// searches them (binary search). 2 × 1,000 × 32 bytes are 64 KB in each VM.
pub(super) const MAX_EMERGENCY_KEYS: usize = 1_000;
/// Size limit of a message (it is also sent as `grpc-message`) and of a description, in bytes.
const MAX_REPLY_TEXT_BYTES: usize = 1_024;
/// Size limit of the realm in bytes. Every 401 carries it.
const MAX_REALM_BYTES: usize = 256;

/// Characters that may stand between the quotes of `realm="…"`.
const REALM: Rule = Rule {
    min: 1,
    max: MAX_REALM_BYTES,
    of: "of visible ASCII and blanks, without quote and backslash",
    holds: |text| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'),
};

const MESSAGE: Rule = Rule {
    min: 1,
    max: MAX_REPLY_TEXT_BYTES,
    of: "without control characters",
    holds: |text| !text.chars().any(char::is_control),
};

/// An empty description is allowed.
const DESCRIPTION: Rule = Rule { min: 0, ..MESSAGE };

/// `annotate`. Adds `reason` at the front if it is missing; the other facts keep their order.
pub(super) fn annotate(item: &Item<'_>) -> Result<Vec<Fact>, Fault> {
    let choices: Vec<(&'static str, Fact)> = Fact::ALL.iter().map(|fact| (fact.as_str(), *fact)).collect();
    let mut facts = Vec::new();
    for item in item.list("facts", 0, choices.len())? {
        let fact = item.one_of(&choices)?;
        if facts.contains(&fact) {
            return Err(item.place.fault(Problem::Twice));
        }
        facts.push(fact);
    }
    if !facts.contains(&Fact::Reason) {
        facts.insert(0, Fact::Reason);
    }
    Ok(facts)
}

/// `replies`.
pub(super) fn replies(item: &Item<'_>) -> Result<Replies, Fault> {
    let object = item.object(&fields::names("replies"))?;
    Ok(Replies {
        format: object.field("format")?.one_of(&[
            ("wso2", ReplyFormat::Wso2),
            ("choreo", ReplyFormat::Choreo),
            ("problem", ReplyFormat::Problem),
        ])?,
        realm: object.field("realm")?.text(&REALM)?.to_owned(),
        overrides: overrides(object.field("overrides")?)?,
    })
}

fn overrides(item: &Item<'_>) -> Result<Vec<(Reason, ReplyOverride)>, Fault> {
    let reasons: Vec<&'static str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let mut overrides = Vec::new();
    for entry in item.object(&reasons)?.entries() {
        let reason = Reason::parse(entry.name).ok_or_else(|| entry.unknown(&reasons))?;
        let object = entry.item.object(&["status", "message", "description"])?;
        let text = |name, rule| object.find(name).map(|item: &Item<'_>| item.text(rule).map(str::to_owned)).transpose();
        let change = ReplyOverride {
            status: status(&object)?,
            message: text("message", &MESSAGE)?,
            description: text("description", &DESCRIPTION)?,
        };
        overrides.push((reason, change));
    }
    Ok(overrides)
}

/// Only 400 to 599: an override must not turn a refusal into a success.
fn status(object: &Object<'_>) -> Result<Option<u16>, Fault> {
    let status = object.find("status").map(|item| item.integer(400, 599)).transpose()?;
    Ok(status.and_then(|status| u16::try_from(status).ok()))
}

/// `emergency`. A digest in both lists is denied, because the decision checks denials first.
pub(super) fn emergency(item: &Item<'_>) -> Result<Emergency, Fault> {
    let object = item.object(&fields::names("emergency"))?;
    Ok(Emergency { deny_keys: digests(object.field("deny_keys")?)?, allow_keys: digests(object.field("allow_keys")?)? })
}

/// Sorted and without duplicates.
fn digests(item: &Item<'_>) -> Result<Vec<Digest>, Fault> {
    let mut digests = Vec::new();
    for item in item.list("digests", 0, MAX_EMERGENCY_KEYS)? {
        let digest = match item.value {
            Value::String(text) => Digest::from_hex(text),
            _ => None,
        };
        let digest = digest.ok_or_else(|| item.refuse(Expected::Is("64 hexadecimal digits, a key's SHA-256")))?;
        // Insert each digest at its place. Code for a sort would be a twentieth of the module.
        if let Err(place) = digests.binary_search(&digest) {
            digests.insert(place, digest);
        }
    }
    Ok(digests)
}
