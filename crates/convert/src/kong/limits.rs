//! The limits of rate limiting plugins, as plans.

use management::plans::{Limit, Plan, Unit};

use super::entities::Plugin;
use crate::{
    draft::{Draft, Entry},
    yaml::{At, Object},
};

/// The windows of both products.
const UNITS: [(&str, Unit, u64); 5] = [
    ("second", Unit::Second, 1),
    ("minute", Unit::Minute, 60),
    ("hour", Unit::Hour, 3_600),
    ("day", Unit::Day, 86_400),
    ("month", Unit::Month, 2_592_000),
];
/// Fields that say where and how Kong counts.
const MEANS: [&str; 14] = [
    "dictionary_name",
    "disable_penalty",
    "fault_tolerant",
    "hide_client_headers",
    "lock_dictionary_name",
    "namespace",
    "policy",
    "redis",
    "redis_database",
    "redis_host",
    "redis_port",
    "strategy",
    "sync_rate",
    "window_type",
];

/// Makes a plan of a plugin. Returns its id; `None` if nothing of it can be a plan.
pub fn plan(draft: &mut Draft<'_>, plugin: &Plugin<'_>) -> Option<String> {
    let config = plugin.config.as_ref()?;
    let mut fields = config.object(draft)?;
    let is_advanced = plugin.name == super::rules::LIMITS[1];
    let limits = if is_advanced { windows(draft, &mut fields) } else { units(draft, &mut fields) };
    let by = fields.take(&[if is_advanced { "identifier" } else { "limit_by" }]);
    let counts = by.as_ref().map_or(Some("consumer"), |at| at.text(draft));
    for (name, at) in fields.rest() {
        if MEANS.contains(&name) || name.starts_with("redis_") {
            let why = "keygate counts in each Envoy, in fixed windows of UTC, or by Envoy's global rate limit service";
            draft.tally(at.spot(), &at.path, "how Kong counts requests", why, "see docs/plans.md");
        } else if matches!(name, "error_code" | "error_message") {
            let instead = "set replies.overrides of the plugin configuration";
            draft.tally(at.spot(), &at.path, "the reply of a limit", "it is a setting of the plugin", instead);
        } else {
            at.lose(
                draft,
                crate::finding::shown(name),
                "the converter does not know it",
                "look it up in Kong's reference",
            );
        }
    }
    match counts {
        Some("consumer") => {}
        Some("credential") => {
            let what = "a limit for each key";
            draft.lose(plugin.spot, &plugin.at, what, "keygate counts all keys of an application together", "");
        }
        _ => {
            let why = "keygate counts requests of an application, not of an address, a header, a path or a service";
            let instead = "limit them by Envoy's own rate limits";
            draft.lose(plugin.spot, &plugin.at, "a limit", why, instead);
            return None;
        }
    }
    if limits.is_empty() {
        return None;
    }
    let word = |unit: Unit| UNITS.iter().find(|(_, other, _)| *other == unit).map_or("", |(word, ..)| word);
    let parts: Vec<String> = limits.iter().map(|limit| format!("{}-per-{}", limit.requests, word(limit.per))).collect();
    let id = format!("kong.{}", parts.join("."));
    let row = Plan {
        id: Some(id.clone()),
        limits: Some(limits),
        burst: None,
        stop_on_quota_reach: None,
        operations: None,
        owner: None,
        etag: None,
    };
    draft.plans.entry(id.clone()).or_insert(Entry { row, spot: plugin.spot, is_refused: false });
    Some(id)
}

fn units(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (word, per, _) in UNITS {
        let number = fields.take(&[word]).and_then(|at| at.number(draft));
        limits.extend(number.map(|requests| Limit { requests, per }));
    }
    if let Some(at) = fields.take(&["year"]) {
        at.lose(draft, "a limit for a year", "keygate's longest window is a month", "set a limit for a month");
    }
    limits
}

/// The limits of `rate-limiting-advanced`: two lists, side by side.
fn windows(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> Vec<Limit> {
    let limits = fields.list(draft, &["limit"]);
    let sizes = fields.list(draft, &["window_size"]);
    let mut found: Vec<Limit> = Vec::new();
    if limits.len() != sizes.len()
        && let Some(at) = limits.first()
    {
        at.refuse(draft, "as many limits as window sizes");
    }
    for (limit, size) in limits.iter().zip(&sizes) {
        let (Some(requests), Some(seconds)) = (limit.number(draft), size.number(draft)) else { continue };
        match UNITS.iter().find(|(.., length)| *length == seconds) {
            Some((_, per, _)) => found.push(Limit { requests, per: *per }),
            None => lose_window(draft, size, seconds),
        }
    }
    found
}

fn lose_window(draft: &mut Draft<'_>, at: &At<'_>, seconds: u64) {
    let what = format!("a limit for {seconds} seconds");
    let why = "keygate's windows are a second, a minute, an hour, a day and a month";
    at.lose(draft, what, why, "set a limit for one of these windows");
}
