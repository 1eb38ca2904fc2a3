//! Computes until when a plan is used up, from the usage that its limits count.
//!
//! Only daily and longer limits are computed here. Each Envoy counts shorter limits itself, and they are over before a
//! report could help. A limit counts the requests that were allowed in the current day or month of UTC, whatever the
//! plan was at the time. A subscription's plan counts per application and API; an application's plan counts over all
//! its APIs. The mark in a row holds the end of its window, so it ends by itself. Every gateway denies requests by it.
//! This file neither counts requests nor decides about them. It knows no kind of object except plans. [`crate::review`]
//! re-checks the objects that a report or a changed plan affects.

use crate::{
    error::Error,
    plans::{Plan, Unit},
    port::{
        Kind, Transaction,
        usage::{Pair, Used, Windows},
    },
    resource::Resource,
};

/// An object whose plan can be used up.
pub trait Limited: Resource + PartialEq {
    /// The id of its plan.
    fn plan(&self) -> Option<&str>;
    /// The application and API whose usage counts.
    fn pair(&self) -> Pair;
    /// The time until which the plan is used up, Unix time.
    fn mark(&mut self) -> &mut Option<i64>;
}

/// Sets the mark of `sent` by its plan and usage. A mark that is over stays if the row is otherwise unchanged, so that
/// sending the row again changes nothing.
pub async fn settle<R: Limited>(change: &mut dyn Transaction, sent: &mut R, held: Option<&R>) -> Result<(), Error> {
    let now = change.act().now;
    let until = match sent.plan().map(str::to_owned) {
        None => None,
        Some(id) => {
            let plan = find_plan(change, &id).await?;
            let windows = Windows::of(now);
            let used = change.used(&[sent.pair()], &windows).await?;
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

/// Finds a plan by id.
pub(super) async fn find_plan(change: &mut dyn Transaction, id: &str) -> Result<Option<Plan>, Error> {
    change.find(Kind::Plan, id).await?.as_ref().map(Plan::shown).transpose()
}

/// The end of the longest window whose limit is reached. `None` if no limit is, or if the plan only counts.
pub(super) fn used_up_until(plan: &Plan, used: &Used, windows: &Windows) -> Option<i64> {
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
