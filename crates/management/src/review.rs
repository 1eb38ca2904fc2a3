//! Re-checks marks of used-up plans after a report of usage or a change of a plan. Knows the two kinds of objects that
//! have a plan.

use std::collections::HashMap;

use super::limited::{Limited, find_plan, used_up_until};
use crate::{
    applications::Application,
    error::Error,
    plans::{Plan, Unit},
    port::{
        Kind, Transaction, Version,
        usage::{Pair, Used, Windows},
    },
    resource::{Resource as _, put},
    subscriptions::Subscription,
};

/// Marks those of `pairs` whose limit is reached, and removes marks that do not hold any more.
pub async fn review_pairs(change: &mut dyn Transaction, pairs: &[Pair]) -> Result<(), Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let versions = change.with_plans(pairs).await?;
    review(change, &versions).await
}

/// Re-checks the objects that are marked under a changed plan, and those that reach its new limits.
pub async fn review_plan(change: &mut dyn Transaction, id: &str) -> Result<(), Error> {
    let now = change.act().now;
    let Some(plan) = find_plan(change, id).await? else { return Ok(()) };
    let mut versions = change.used_up(id).await?;
    let least = [Unit::Day, Unit::Month].map(|unit| least(&plan, unit));
    if least != [None, None] {
        let windows = Windows::of(now);
        versions.extend(change.reached(id, &windows, least).await?);
    }
    review(change, &versions).await
}

/// The lowest limit of a plan for this unit that denies requests.
fn least(plan: &Plan, unit: Unit) -> Option<i64> {
    let limits = plan.limits.iter().flatten().filter(|limit| limit.per == unit).map(|limit| limit.requests);
    let least = limits.min().filter(|_| plan.stop_on_quota_reach != Some(false))?;
    Some(i64::try_from(least).unwrap_or(i64::MAX))
}

async fn review(change: &mut dyn Transaction, versions: &[Version]) -> Result<(), Error> {
    if versions.is_empty() {
        return Ok(());
    }
    let now = change.act().now;
    let windows = Windows::of(now);
    let mut pairs = Vec::with_capacity(versions.len());
    for version in versions {
        pairs.push(match version.kind {
            Kind::Application => Application::shown(version)?.pair(),
            _ => Subscription::shown(version)?.pair(),
        });
    }
    let used: HashMap<Pair, Used> = change.used(&pairs, &windows).await?.into_iter().collect();
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
        change: &mut dyn Transaction,
        held: &Version,
        plans: &mut HashMap<String, Option<Plan>>,
    ) -> Result<(), Error> {
        let mut shown = R::shown(held)?;
        let Some(id) = shown.plan().map(str::to_owned) else { return Ok(()) };
        if !plans.contains_key(&id) {
            let plan = find_plan(change, &id).await?;
            plans.insert(id.clone(), plan);
        }
        let plan = plans.get(&id).and_then(Option::as_ref);
        let until = plan.and_then(|plan| used_up_until(plan, &self.used, &self.windows));
        // A mark that is over has no effect and can stay.
        if shown.mark().filter(|mark| *mark > self.now) == until {
            return Ok(());
        }
        *shown.mark() = until;
        put(change, held, &shown).await
    }
}
