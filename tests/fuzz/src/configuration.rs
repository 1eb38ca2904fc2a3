//! The plugin configuration. An operator writes it, and it may contain secrets.

use std::collections::BTreeSet;

use keygate::config::{self, Config, CredentialSource, MAX_DURATION_MS};
use serde_json::{Value, json};

use crate::{cases, check_line};

/// The value of the environment variable.
const SECRET: &str = "the-secret-of-the-environment";
/// Shorter texts occur by chance.
const TELLING_BYTES: usize = 8;

fn parse(bytes: &[u8]) -> Result<Config, config::InvalidConfig> {
    config::parse(bytes, &|name| (name == "SECRET").then(|| SECRET.as_bytes().to_vec()))
}

/// Any text is either refused with its place, or is a configuration within the documented limits. The result is the
/// same each time, and no message reveals a secret.
pub fn check(bytes: &[u8]) {
    let parsed = parse(bytes);
    assert_eq!(parsed, parse(bytes), "the same text gives two configurations");
    let json = serde_json::from_slice::<Value>(bytes);
    let told = match &parsed {
        Ok(config) => {
            assert!(json.is_ok(), "what is accepted is JSON to others, too");
            check_bounds(config);
            format!("{config:?}")
        }
        Err(error) => {
            let line = error.to_string();
            check_line(&line);
            let place = bytes.split(|&byte| byte == b'\n').nth(error.position.line - 1);
            assert!(place.is_some_and(|line| error.position.column <= line.len() + 1), "{line}");
            format!("{line}{error:?}")
        }
    };
    assert!(!told.contains(SECRET), "{told}");
    for secret in json.iter().flat_map(secrets) {
        assert!(!told.contains(&secret), "{secret} in {told}");
    }
}

fn check_bounds(config: &Config) {
    let policy = &config.policy;
    let most = std::time::Duration::from_millis(MAX_DURATION_MS);
    for duration in [policy.refresh_interval, policy.timeout, policy.stale_after, policy.startup_hold] {
        assert!(duration <= most);
    }
    assert!(policy.refresh_interval.as_millis() >= 100 && policy.timeout.as_millis() >= 1);
    assert!(policy.long_poll.is_none_or(|wait| wait.as_secs() >= 1 && wait.subsec_nanos() == 0));
    assert!(policy.max_removed_percent <= 100);
    assert!((1..=config::MAX_POLICY_BYTES).contains(&policy.max_bytes));
    assert!(!policy.cluster.is_empty());
    // A line break here would let the configuration inject a request.
    let headers = policy.headers.iter().flat_map(|(name, value)| [name, value]);
    for text in headers.chain([&policy.path, &policy.authority]).chain(&policy.authorization) {
        assert!(!text.contains(['\r', '\n', '\0']), "a header that ends early");
    }
    assert!(policy.path.starts_with('/') && !policy.path.contains(' '));
    assert!(!config.credential_sources.is_empty());
    for source in &config.credential_sources {
        if let CredentialSource::Header { name } | CredentialSource::Scheme { name, .. } = source {
            assert!(!name.is_empty() && *name == name.to_ascii_lowercase());
        }
    }
    let headers = &config.forward.headers;
    let different: BTreeSet<_> = headers.iter().map(|(_, header)| header).collect();
    assert_eq!(different.len(), headers.len(), "two facts in one header");
    for digests in [&config.emergency.deny_keys, &config.emergency.allow_keys] {
        assert!(digests.is_sorted(), "they are searched by halves");
    }
    assert!(config.replies.overrides.iter().all(|(_, by)| by.status.is_none_or(|status| (400..600).contains(&status))));
}

/// The secret texts of a configuration, without those that also occur in a public place of it.
fn secrets(json: &Value) -> Vec<String> {
    let (mut secret, mut open) = (Vec::new(), Vec::new());
    strings(&json["policy"]["headers"], &mut secret);
    strings(&json["policy"]["credentials"], &mut secret);
    strings(&json["emergency"], &mut secret);
    let mut rest = json.clone();
    for (part, fields) in [("/policy", &["headers", "credentials"][..]), ("", &["emergency"])] {
        if let Some(Value::Object(object)) = rest.pointer_mut(part) {
            fields.iter().for_each(|field| drop(object.remove(*field)));
        }
    }
    strings(&rest, &mut open);
    names(&rest, &mut open);
    secret.retain(|text| text.len() >= TELLING_BYTES && !open.iter().any(|other| other.contains(text.as_str())));
    // Texts that the messages themselves may contain, including names between backquotes.
    secret.retain(|text| {
        !text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b' ' | b'`' | b','))
    });
    secret
}

/// Names of fields. Messages show them if they are unknown.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        Value::Object(fields) => {
            found.extend(fields.keys().cloned());
            fields.values().for_each(|value| names(value, found));
        }
        _ => {}
    }
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// The configurations of the table of cases, and one with every field.
pub fn seeds() -> Vec<Vec<u8>> {
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let full = json!({
        "policy": {
            "cluster": "c", "authority": "a", "path": "/v1/policy", "headers": {"x-gateway": "edge-one-of-many"},
            "credentials": {"client_id": "gateway-one", "client_secret": {"env": "SECRET"}},
            "refresh_interval_ms": 5000, "long_poll_ms": 25000, "timeout_ms": 5000, "stale_after_ms": 60000,
            "expire_after_ms": 0, "startup_hold_ms": 0, "max_removed_percent": 90
        },
        "credential_sources": [
            {"header": "x-api-key"}, {"query": "apikey"}, {"header": "authorization", "scheme": "Bearer"},
            {"cookie": "api_key"}, {"basic": "password"}
        ],
        "ambiguous_credentials": "first", "api": {"route_metadata": ["namespace", "key"]}, "unknown_api": "allow",
        "allow_preflight": true,
        "forward": {"credential": true, "application_id": "x-a", "owner": "x-o", "plan": null},
        "annotate": ["reason", "plan"],
        "replies": {"format": "problem", "realm": "r", "overrides": {"subscription_blocked": {"status": 403}}},
        "mode": "shadow", "on_policy_unavailable": "allow",
        "emergency": {"deny_keys": [digest], "allow_keys": [digest.to_uppercase()]}
    });
    let of_cases = cases::all_groups().into_iter().map(|(_, group)| group.configuration(&json!({"cluster": "c"})));
    of_cases.chain([full]).map(|json| serde_json::to_vec_pretty(&json).unwrap()).collect()
}
