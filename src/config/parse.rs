//! Parses the bytes of a configuration into a [`Config`]: read the text, fill in the defaults, check each field.
//!
//! Pure: the same bytes and the same environment give the same result on every thread. Otherwise a later VM could
//! refuse what the first one accepted, and would let requests pass unchecked. `policy.expire_after_ms` may be less than
//! `policy.stale_after_ms`, but a policy must not expire in normal operation.

use std::{borrow::Cow, time::Duration};

use super::{
    Ambiguous, Config, Mode, OnPolicyUnavailable, PolicySource, UnknownApi, UsageReports, authority,
    error::{Fault, InvalidConfig, Problem},
    fields, json,
    place::Path,
    read::{Item, Location, Object, Rule, TEXT},
    refusal, request,
    secret::{self, Environment},
};
use crate::policy::{MAX_TEXT_BYTES, cursor};

/// Size limit of a configuration in bytes. The emergency lists take 2 × 1,000 digests of 64 digits with quotes, comma
/// and indentation (about 80: 160 KB), the headers 16 secrets (70 KB), the overrides 25 pairs of texts (50 KB), all
/// other fields a few KB. Sum: below 300 KB if every character is written plainly. The next power of two leaves room
/// for wider indentation.
pub const MAX_CONFIG_BYTES: usize = 512 * 1024;

/// The longest duration, 30 days in milliseconds. No setting needs more, and sums of several such durations fit all
/// integer types in use.
pub const MAX_DURATION_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The largest `policy.max_bytes`: shared data has room for 4,096 runs of 4 MiB ([`crate::store::spool`]).
pub const MAX_POLICY_BYTES: u64 = 4_096 * 4 * 1_024 * 1_024;

const MIN_REFRESH_INTERVAL_MS: u64 = 100;
const MIN_TIMEOUT_MS: u64 = 1;

/// The shortest `usage.interval_ms`. Each report costs the policy service one write to its database.
const MIN_USAGE_INTERVAL_MS: u64 = 1_000;
/// The longest `usage.interval_ms`, one hour. If the process dies, all counts since the last report are lost.
const MAX_USAGE_INTERVAL_MS: u64 = 3_600_000;

/// Size limit of `policy.path` and `usage.path` in bytes. Servers usually limit a request line to 8 KiB.
const MAX_PATH_BYTES: usize = 1_024;

const AUTHORITY: Rule =
    Rule { min: 1, max: MAX_TEXT_BYTES, of: "that are a host with or without port", holds: authority::is_authority };

/// Part of the names of gauges, so it must not contain dots.
const POLICY_NAME: Rule = Rule {
    min: 1,
    max: 64,
    of: "that are a-z, 0-9 or -",
    holds: |text| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
};

/// It is the value of a header.
const INSTANCE: Rule = Rule {
    min: 1,
    max: MAX_TEXT_BYTES,
    of: "that are visible ASCII",
    holds: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
};

const ABSOLUTE_PATH: Rule = Rule {
    min: 1,
    max: MAX_PATH_BYTES,
    of: r"that are an absolute path: one slash first, then visible ASCII without any of # \",
    holds: |text| {
        text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !br"#\".contains(&byte))
    },
};

/// Reads a plugin configuration. `env` looks up an environment variable of the VM; it is called only for variables that
/// the configuration names.
///
/// # Errors
///
/// The first error in this order: JSON syntax, then the fields in the order of [`FIELDS`](super::FIELDS). Within an
/// object, names are checked before values.
pub fn parse(json: &[u8], env: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Config, InvalidConfig> {
    config(json, env).map_err(|fault| fault.locate(json))
}

fn config(json: &[u8], env: Environment<'_>) -> Result<Config, Fault> {
    let text = text(json)?;
    let mut tree = json::parse(text)?;
    fields::fill(&mut tree);
    let root = Item::root(&tree).object(&fields::names(""))?;

    let policy = policy(root.field("policy")?, env)?;
    let credential_sources = request::credential_sources(root.field("credential_sources")?)?;
    let ambiguous_credentials =
        root.field("ambiguous_credentials")?.one_of(&[("reject", Ambiguous::Reject), ("first", Ambiguous::First)])?;
    let api = request::api(root.find("api"))?;
    let unknown_api = root.field("unknown_api")?.one_of(&[("deny", UnknownApi::Deny), ("allow", UnknownApi::Allow)])?;
    let allow_preflight = root.field("allow_preflight")?.boolean()?;
    let forward = request::forward(root.field("forward")?, &credential_sources)?;
    let annotate = refusal::annotate(root.field("annotate")?)?;
    let replies = refusal::replies(root.field("replies")?)?;
    let mode = root.field("mode")?.one_of(&[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)])?;
    let on_policy_unavailable = root
        .field("on_policy_unavailable")?
        .one_of(&[("deny", OnPolicyUnavailable::Deny), ("allow", OnPolicyUnavailable::Allow)])?;
    let emergency = refusal::emergency(root.field("emergency")?)?;
    let usage = root.find("usage").map(|item| usage(item, &policy.path)).transpose()?;

    Ok(Config {
        policy,
        credential_sources,
        ambiguous_credentials,
        api,
        unknown_api,
        allow_preflight,
        forward,
        annotate,
        replies,
        mode,
        on_policy_unavailable,
        emergency,
        usage,
    })
}

/// Checks that the bytes are text.
fn text(json: &[u8]) -> Result<&str, Fault> {
    let refused = |at, problem| Fault::new(at, &Path::root(), problem);
    if json.len() > MAX_CONFIG_BYTES {
        return Err(refused(0, Problem::TooLarge { bytes: json.len() }));
    }
    match json.trim_ascii_start().first() {
        None => return Err(refused(0, Problem::Empty)),
        Some(byte) if byte.is_ascii_control() => return Err(refused(0, Problem::ProtobufStruct)),
        Some(_) if begins_like_struct(json) => return Err(refused(0, Problem::ProtobufStruct)),
        Some(_) => {}
    }
    str::from_utf8(json).map_err(|error| refused(error.valid_up_to(), Problem::NotUtf8))
}

/// Whether `bytes` begin like the wire form of a `google.protobuf.Struct`: a map entry (tag 0x0a, length), which
/// contains a name (tag 0x0a, length, bytes) and a value (tag 0x12). JSON text never matches, because it contains no
/// raw 0x12.
fn begins_like_struct(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter().copied();
    let tag = bytes.next();
    // The entry's length is a varint: zero or more bytes from 0x80, then one byte below 0x80.
    let length = bytes.find(|byte| *byte < 0x80);
    let name_tag = bytes.next();
    let name_length = bytes.next().map_or(0, usize::from);
    (tag, name_tag) == (Some(0x0a), Some(0x0a)) && length.is_some() && bytes.nth(name_length) == Some(0x12)
}

fn policy(item: &Item<'_>, env: Environment<'_>) -> Result<PolicySource, Fault> {
    let object = item.object(&fields::names("policy"))?;
    let cluster = object.field("cluster")?;
    let name = cluster.text(&TEXT)?;
    let authority = match object.find("authority") {
        Some(given) => Cow::Borrowed(given.text(&AUTHORITY)?),
        None => authority::of_cluster(name).ok_or_else(|| {
            let path = item.place.path.field("authority");
            Location { at: cluster.place.at, path }.fault(Problem::ClusterIsNoAuthority)
        })?,
    };
    let policy_name = object.find("name").map(|given| given.text(&POLICY_NAME)).transpose()?;
    let instance = object.find("instance").map(|given| given.text(&INSTANCE)).transpose()?;
    let path = object.field("path")?.text(&ABSOLUTE_PATH)?;
    let headers = secret::headers(object.field("headers")?, env)?;
    let authorization = match object.find("credentials") {
        Some(given) if headers.iter().any(|(name, _)| name == "authorization") => {
            return Err(given.place.fault(Problem::AuthorizationTwice));
        }
        Some(given) => Some(secret::basic(given, env)?),
        None => None,
    };
    let refresh_interval = duration(&object, "refresh_interval_ms", MIN_REFRESH_INTERVAL_MS)?;
    let long_poll = long_poll(&object)?;
    let timeout = duration(&object, "timeout_ms", MIN_TIMEOUT_MS)?;
    let stale_after = duration(&object, "stale_after_ms", 0)?;
    let expire_after = Some(duration(&object, "expire_after_ms", 0)?).filter(|age| !age.is_zero());
    let least = least_age(refresh_interval, long_poll, timeout);
    if expire_after.is_some_and(|age| age < least) {
        let least_ms = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
        let part = match long_poll {
            Some(wait) if wait > refresh_interval => "policy.long_poll_ms (in whole seconds, rounded up)",
            _ => "policy.refresh_interval_ms",
        };
        let field = object.field("expire_after_ms")?;
        return Err(field.place.fault(Problem::ExpiresTooSoon { found: field.found(), least_ms, part }));
    }
    Ok(PolicySource {
        cluster: name.to_owned(),
        authority: authority.into_owned(),
        name: policy_name.map(str::to_owned),
        instance: instance.map(str::to_owned),
        path: path.to_owned(),
        headers,
        authorization,
        refresh_interval,
        long_poll,
        timeout,
        stale_after,
        expire_after,
        startup_hold: duration(&object, "startup_hold_ms", 0)?,
        close_streams: object.field("close_streams")?.boolean()?,
        max_bytes: object.field("max_bytes")?.integer(1, MAX_POLICY_BYTES)?,
        max_removed_percent: percent(object.field("max_removed_percent")?)?,
    })
}

/// The age that a policy reaches in normal operation: one held poll or one interval, then the timeouts of that poll and
/// of the next one.
pub(super) fn least_age(refresh_interval: Duration, long_poll: Option<Duration>, timeout: Duration) -> Duration {
    refresh_interval.max(long_poll.unwrap_or_default()).saturating_add(timeout).saturating_add(timeout)
}

fn usage(item: &Item<'_>, policy_path: &str) -> Result<UsageReports, Fault> {
    let object = item.object(&fields::names("usage"))?;
    let path = match object.find("path") {
        Some(given) => given.text(&ABSOLUTE_PATH)?.to_owned(),
        None => cursor::beside(policy_path, "usage"),
    };
    let interval = object.field("interval_ms")?.integer(MIN_USAGE_INTERVAL_MS, MAX_USAGE_INTERVAL_MS)?;
    Ok(UsageReports { path, interval: Duration::from_millis(interval) })
}

fn duration(object: &Object<'_>, name: &'static str, min: u64) -> Result<Duration, Fault> {
    object.field(name)?.integer(min, MAX_DURATION_MS).map(Duration::from_millis)
}

/// In whole seconds, the unit of `prefer: wait`. Rounded up, so that a short wait does not become zero.
fn long_poll(object: &Object<'_>) -> Result<Option<Duration>, Fault> {
    let wait = object.field("long_poll_ms")?.integer(0, MAX_DURATION_MS)?;
    Ok(Some(Duration::from_secs(wait.div_ceil(1_000))).filter(|wait| !wait.is_zero()))
}

fn percent(item: &Item<'_>) -> Result<u8, Fault> {
    let share = item.integer(0, 100)?;
    Ok(u8::try_from(share).unwrap_or(100))
}
