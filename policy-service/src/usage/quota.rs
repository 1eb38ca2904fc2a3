//! Plans that are used up: which limits by the day and by the month the reported usage has reached, and the marks in the
//! policy by which every gateway then refuses.
//!
//! Shorter limits are counted in each Envoy and are over before a report could help. A limit counts what was let through
//! in the day or month of UTC that is under way, whatever the plan was at the time; a subscription's plan counts per
//! application and API, an application's over all its APIs. A mark carries the end of its window and ends by itself.
//! Nothing here counts or decides about requests.

use std::collections::HashMap;

use crate::{
    clock::unix_seconds,
    management::{
        applications::Application,
        plans::{Plan, Unit},
        resource::{Resource, put},
        subscriptions::Subscription,
    },
    problem::Problem,
    store::{
        Change, Kind, Version,
        usage::{self, Pair, Used, Windows},
    },
};

/// Something whose plan can be used up.
pub trait Limited: Resource + PartialEq {
    /// Its plan.
    fn plan(&self) -> Option<&str>;
    /// Whose usage counts.
    fn pair(&self) -> Pair;
    /// Until when it is used up, Unix time.
    fn mark(&mut self) -> &mut Option<i64>;
}

/// Marks those of `pairs` whose limit is reached, and takes away marks that hold no more.
pub async fn review_pairs(change: &mut Change, pairs: &[Pair], now: i64) -> Result<(), Problem> {
    if pairs.is_empty() {
        return Ok(());
    }
    let versions = usage::with_plans(change.connection(), pairs).await?;
    review(change, &versions, now).await
}

/// Looks again at what is marked under a plan that was changed, and at what has used as much as it now allows.
pub async fn review_plan(change: &mut Change, plan: &Plan) -> Result<(), Problem> {
    let now = unix_seconds();
    let id = plan.id.as_deref().unwrap_or_default();
    let mut versions = usage::used_up(change.connection(), id).await?;
    let least = [Unit::Day, Unit::Month].map(|unit| least(plan, unit));
    if least != [None, None] {
        let windows = usage::windows(change.connection(), now).await?;
        versions.extend(usage::reached(change.connection(), id, &windows, least).await?);
    }
    review(change, &versions, now).await
}

/// The lowest limit of a plan by this unit that refuses.
fn least(plan: &Plan, unit: Unit) -> Option<i64> {
    let limits = plan.limits.iter().flatten().filter(|limit| limit.per == unit).map(|limit| limit.requests);
    let least = limits.min().filter(|_| plan.stop_on_quota_reach != Some(false))?;
    Some(i64::try_from(least).unwrap_or(i64::MAX))
}

/// Gives `sent` the mark that its plan and usage ask for. A mark whose time is over stays in a row that says the same
/// otherwise, so that sending it again changes nothing.
pub async fn settle<R: Limited>(change: &mut Change, sent: &mut R, held: Option<&R>) -> Result<(), Problem> {
    let now = unix_seconds();
    let until = match sent.plan().map(str::to_owned) {
        None => None,
        Some(id) => {
            let plan = find_plan(change, &id).await?;
            let windows = usage::windows(change.connection(), now).await?;
            let used = usage::used(change.connection(), &[sent.pair()], &windows).await?;
            let used = used.into_iter().next().map(|(_, used)| used).unwrap_or_default();
            plan.and_then(|plan| used_up_until(&plan, &used, &windows))
        }
    };
    *sent.mark() = until;
    if let Some(mut held) = held.cloned()
        && let Some(over) = held.mark().filter(|mark| *mark <= now && until.is_none())
    {
        *sent.mark() = Some(over);
        if *sent != held {
            *sent.mark() = None;
        }
    }
    Ok(())
}

async fn review(change: &mut Change, versions: &[Version], now: i64) -> Result<(), Problem> {
    if versions.is_empty() {
        return Ok(());
    }
    let windows = usage::windows(change.connection(), now).await?;
    let mut pairs = Vec::with_capacity(versions.len());
    for version in versions {
        pairs.push(match version.kind {
            Kind::Application => Application::shown(version)?.pair(),
            _ => Subscription::shown(version)?.pair(),
        });
    }
    let used: HashMap<Pair, Used> = usage::used(change.connection(), &pairs, &windows).await?.into_iter().collect();
    let mut plans = HashMap::new();
    for (version, pair) in versions.iter().zip(&pairs) {
        let used = used.get(pair).cloned().unwrap_or_default();
        let review = Review { used, windows, now };
        match version.kind {
            Kind::Application => review.apply::<Application>(change, version, &mut plans).await?,
            _ => review.apply::<Subscription>(change, version, &mut plans).await?,
        }
    }
    Ok(())
}

struct Review {
    used: Used,
    windows: Windows,
    now: i64,
}

impl Review {
    async fn apply<R: Limited>(
        &self,
        change: &mut Change,
        held: &Version,
        plans: &mut HashMap<String, Option<Plan>>,
    ) -> Result<(), Problem> {
        let mut shown = R::shown(held)?;
        let Some(id) = shown.plan().map(str::to_owned) else { return Ok(()) };
        if !plans.contains_key(&id) {
            let plan = find_plan(change, &id).await?;
            plans.insert(id.clone(), plan);
        }
        let plan = plans.get(&id).and_then(Option::as_ref);
        let until = plan.and_then(|plan| used_up_until(plan, &self.used, &self.windows));
        // A mark whose time is over needs no taking away.
        if shown.mark().filter(|mark| *mark > self.now) == until {
            return Ok(());
        }
        *shown.mark() = until;
        put(change, held, &shown).await
    }
}

async fn find_plan(change: &mut Change, id: &str) -> Result<Option<Plan>, Problem> {
    change.find(Kind::Plan, id).await?.as_ref().map(Plan::shown).transpose()
}

/// The end of the longest window whose limit is reached; `None`: none is, or the plan only counts.
fn used_up_until(plan: &Plan, used: &Used, windows: &Windows) -> Option<i64> {
    if plan.stop_on_quota_reach == Some(false) {
        return None;
    }
    let ends = plan.limits.iter().flatten().filter_map(|limit| {
        let (used, end) = match limit.per {
            Unit::Day => (used.day, windows.day.1),
            Unit::Month => (used.month, windows.month.1),
            Unit::Second | Unit::Minute | Unit::Hour => return None,
        };
        (used.unsigned_abs() >= limit.requests).then_some(end)
    });
    ends.max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_reached_exactly_when_as_much_was_used() {
        let windows = Windows { day: (0, 86_400), month: (0, 2_678_400) };
        let (day, month) = (Some(windows.day.1), Some(windows.month.1));
        let limits = |limits| json!({"limits": limits});
        for (plan, used_day, used_month, until) in [
            (limits(json!([{"requests": 20, "per": "month"}])), 0, 19, None),
            (limits(json!([{"requests": 20, "per": "month"}])), 0, 20, month),
            (limits(json!([{"requests": 20, "per": "month"}])), 20, 21, month),
            (limits(json!([{"requests": 20, "per": "day"}])), 19, 500, None),
            (limits(json!([{"requests": 20, "per": "day"}])), 20, 500, day),
            (limits(json!([{"requests": 20, "per": "day"}, {"requests": 9, "per": "month"}])), 20, 20, month),
            (limits(json!([{"requests": 20, "per": "day"}, {"requests": 21, "per": "month"}])), 20, 20, day),
            (limits(json!([{"requests": 1, "per": "hour"}, {"requests": 1, "per": "second"}])), 500, 500, None),
            (json!({"stop_on_quota_reach": false, "limits": [{"requests": 1, "per": "month"}]}), 500, 500, None),
            (json!({"burst": {"requests": 1, "per": "month"}}), 500, 500, None),
            (json!({}), 500, 500, None),
        ] {
            let parsed: Plan = serde_json::from_value(plan.clone()).unwrap();
            let used = Used { day: used_day, month: used_month };
            assert_eq!(used_up_until(&parsed, &used, &windows), until, "{plan} {used:?}");
        }
    }
}
