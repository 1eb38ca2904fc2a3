//! Rate limiting policies as plans, and deny policies.

use std::{collections::BTreeSet, net::IpAddr};

use management::{
    deny_policies::DenyType,
    plans::{Limit, Plan, Unit},
};

use super::Known;
use crate::{
    draft::{Draft, Entry},
    finding::{Spot, shown},
    ranges,
    yaml::{At, Object},
};

/// The tier that is no limit.
pub const UNLIMITED: &str = "Unlimited";
/// The tiers that every installation begins with, in requests a minute.
const DEFAULTS: [(&str, u64); 7] = [
    ("10PerMin", 10),
    ("20PerMin", 20),
    ("50PerMin", 50),
    ("Bronze", 1_000),
    ("Gold", 5_000),
    ("Silver", 2_000),
    ("Unauthenticated", 500),
];

/// Reads a subscription or application policy.
pub fn read(draft: &mut Draft<'_>, at: &At<'_>) {
    let Some(mut fields) = at.object(draft) else { return };
    let Some(name) = fields.text(draft, &["policyName"]) else {
        at.refuse(draft, "a policy with a policyName");
        return;
    };
    if name == UNLIMITED {
        return;
    }
    let id = draft.id(at.spot(), &at.path, "the plan", name);
    if draft.plans.contains_key(&id) {
        at.refuse(draft, "a policy of another name; this one is there already");
        return;
    }
    if let Some(conditions) = fields.take(&["conditionalGroups"])
        && conditions.is_list()
        && !conditions.list(draft).is_empty()
    {
        conditions.lose(draft, "conditional limits", "keygate's limits hold for all requests of an application", "");
    }
    let mut limits = Vec::new();
    let limit = fields.take(&["defaultLimit"]);
    let is_unreadable = limit.is_some_and(|at| {
        let read = quota(draft, &at);
        limits.extend(read.clone());
        read.is_none()
    });
    let burst = burst(draft, &mut fields);
    let stops = fields.truth(draft, &["stopOnQuotaReach"]);
    fields.ignore(&[
        "billingPlan",
        "customAttributes",
        "description",
        "displayName",
        "graphQLMaxComplexity",
        "graphQLMaxDepth",
        "isDeployed",
        "monetization",
        "permissions",
        "policyId",
        "subscriberCount",
        "tierPlan",
        "type",
        "uuid",
    ]);
    for (name, at) in fields.rest() {
        at.lose(draft, format!("{} of the policy", shown(name)), "keygate's plans have nothing like it", "");
    }
    let row = Plan {
        id: Some(id.clone()),
        limits: Some(limits).filter(|limits| !limits.is_empty()),
        burst,
        stop_on_quota_reach: stops,
        operations: None,
        owner: None,
        etag: None,
    };
    draft.plans.insert(id, Entry { row, spot: at.spot(), is_refused: is_unreadable });
}

/// The limit of a policy. `None` if it cannot be carried over; the plan is left out then, and nobody passes under it.
fn quota(draft: &mut Draft<'_>, at: &At<'_>) -> Option<Limit> {
    let mut fields = at.object(draft)?;
    let kind = fields.text(draft, &["type"]).unwrap_or("REQUESTCOUNTLIMIT");
    let count = fields.take(&["requestCount", "eventCount"]);
    let (Some(count), "REQUESTCOUNTLIMIT" | "EVENTCOUNTLIMIT" | "requestCount" | "eventCount") = (count, kind) else {
        let why = "keygate counts requests, not bytes";
        let instead = "make a plan with a number of requests; until then nobody passes under this one";
        at.lose(draft, format!("a limit of the type {}", shown(kind)), why, instead);
        return None;
    };
    let mut fields = count.object(draft)?;
    let number = fields.take(&["requestCount", "eventCount"])?.number(draft)?;
    let unit = fields.text(draft, &["timeUnit"])?;
    let time = fields.take(&["unitTime"]).map_or(Some(1), |at| at.number(draft))?;
    match (unit_of(unit), time) {
        (Some(per), 1) => Some(Limit { requests: number, per }),
        _ => {
            let what = format!("a limit for {time} {}", shown(unit));
            let why = "keygate's windows are one second, minute, hour, day or month";
            count.lose(draft, what, why, "make a plan with such a window; until then nobody passes under this one");
            None
        }
    }
}

fn unit_of(word: &str) -> Option<Unit> {
    match word.to_ascii_lowercase().as_str() {
        "sec" | "second" | "seconds" | "s" => Some(Unit::Second),
        "min" | "minute" | "minutes" => Some(Unit::Minute),
        "hour" | "hours" => Some(Unit::Hour),
        "day" | "days" => Some(Unit::Day),
        "month" | "months" => Some(Unit::Month),
        _ => None,
    }
}

fn burst(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> Option<Limit> {
    let count = fields.take(&["rateLimitCount"]).and_then(|at| at.number(draft)).filter(|count| *count > 0);
    let unit = fields.take(&["rateLimitTimeUnit"]);
    let (requests, at) = (count?, unit?);
    let per = at.text(draft).and_then(unit_of);
    if per.is_none() {
        at.lose(draft, "a burst limit", "its window is none of keygate's", "set burst of the plan");
    }
    Some(Limit { requests, per: per? })
}

/// Adds the plans that rows name, that no file has, and that every installation begins with.
pub fn add_defaults(draft: &mut Draft<'_>, named: &BTreeSet<String>) {
    for (name, requests) in DEFAULTS {
        if !named.contains(name) || draft.plans.contains_key(name) {
            continue;
        }
        let why = "no file has it, so it has the limit of a new installation";
        draft.lose(
            Spot::default(),
            "",
            format!("the policy {name}"),
            why,
            "export the policies too, or check the plan",
        );
        let row = Plan {
            id: Some(name.to_owned()),
            limits: Some(vec![Limit { requests, per: Unit::Minute }]),
            burst: None,
            stop_on_quota_reach: None,
            operations: None,
            owner: None,
            etag: None,
        };
        draft.plans.insert(name.to_owned(), Entry { row, spot: Spot::default(), is_refused: false });
    }
}

/// Reads a deny policy.
pub fn read_deny(draft: &mut Draft<'_>, at: &At<'_>, known: &Known) {
    let Some(mut fields) = at.object(draft) else { return };
    let kind = fields.text(draft, &["conditionType"]).unwrap_or_default();
    if fields.truth(draft, &["conditionStatus"]) == Some(false) {
        at.lose(draft, "a deny policy", "it is not switched on", "");
        return;
    }
    let Some(value) = fields.take(&["conditionValue"]) else {
        at.refuse(draft, "a deny policy with a conditionValue");
        return;
    };
    match kind {
        "IP" | "IPRANGE" => deny_addresses(draft, &value),
        "USER" => {
            if let Some(user) = value.text(draft) {
                draft.deny(value.spot(), DenyType::User, "user", user, false);
            }
        }
        "APPLICATION" => {
            let Some(text) = value.text(draft) else { return };
            let pair = text.split_once(':').map(|(owner, name)| (owner.to_owned(), name.to_owned()));
            match pair.and_then(|pair| known.applications.get(&pair)) {
                Some(id) => draft.deny(value.spot(), DenyType::Application, "application", id, false),
                None => value.refuse(draft, "owner:name of an application that is in the files"),
            }
        }
        "API" => {
            let Some(text) = value.text(draft) else { return };
            match known.contexts.get(text) {
                Some(id) => draft.deny(value.spot(), DenyType::Api, "api", id, false),
                None => value.refuse(draft, "the context, with its version, of an API that is in the files"),
            }
        }
        _ => {
            let what = format!("a deny policy of the type {}", shown(kind));
            at.lose(draft, what, "keygate denies addresses, users, applications and APIs", "block the subscription");
        }
    }
}

fn deny_addresses(draft: &mut Draft<'_>, at: &At<'_>) {
    let Some(mut fields) = at.object(draft) else { return };
    let invert = fields.truth(draft, &["invert"]).unwrap_or_default();
    if let Some(fixed) = fields.take(&["fixedIp"]) {
        let Some(text) = fixed.text(draft) else { return };
        let target = if text.contains('/') { DenyType::IpRange } else { DenyType::Ip };
        draft.deny(fixed.spot(), target, "ip", text, invert);
        return;
    }
    let (first, last) = (fields.text(draft, &["startingIp"]), fields.text(draft, &["endingIp"]));
    let address = |text: Option<&str>| text.and_then(|text| text.trim().parse::<IpAddr>().ok());
    let blocks = address(first).zip(address(last)).and_then(|(first, last)| ranges::blocks(first, last));
    let Some(blocks) = blocks else {
        at.refuse(draft, "fixedIp, or startingIp and an endingIp of the same family that is not before it");
        return;
    };
    if invert && blocks.len() > 1 {
        let why =
            "an inverted deny policy has one block, and this range is several, which together would deny everything";
        at.lose(draft, "an inverted range of addresses", why, "widen the range to one block, or use a filter of Envoy");
        return;
    }
    for block in blocks {
        draft.deny(at.spot(), DenyType::IpRange, "ip", &block.to_string(), invert);
    }
}
