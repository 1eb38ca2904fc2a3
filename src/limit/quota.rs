//! The limits that apply to a request: those of its subscription's plan and of its application's plan, in the order in
//! which they are checked.
//!
//! Quotas are bound to counters once per key and API and are cached with them, so no request hashes an id.

use std::{cell::OnceCell, rc::Rc};

use super::{
    LimitOwner, Remaining,
    counter::{CountContext, Counter},
    slot::Name,
};
use crate::{
    digest::Digest,
    policy::rows::{Limit, Plan, Unit},
    shared::Shared,
};

/// The plans of a request, and until when the policy marks each of them as used up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plans<'p> {
    /// Plan of the subscription. It counts for one application and one API.
    pub subscription: Option<&'p Plan>,
    pub subscription_used_up_until: Option<u64>,
    /// Plan of the application. It counts the requests to all APIs together.
    pub application: Option<&'p Plan>,
    pub application_used_up_until: Option<u64>,
}

/// Whose requests are counted.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    pub application: &'a [u8],
    pub api: &'a str,
}

#[derive(Debug, Default)]
pub struct Quotas {
    pub(super) all: Box<[Quota]>,
}

impl Quotas {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Holds the quotas of a cached subscriber while its plans do not change. A clone starts empty, because it belongs to
/// another subscriber.
#[derive(Debug, Default)]
pub struct Bound(pub(super) OnceCell<Quotas>);

impl Clone for Bound {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Bound {
    /// Two values are always equal, because the quotas follow from the plans.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug)]
pub(super) struct Quota {
    pub level: LimitOwner,
    /// Requests per window.
    pub limit: u64,
    /// Whether the quota refuses requests over the limit.
    pub stops: bool,
    pub source: Counting,
}

/// Where the state of a limit comes from.
#[derive(Debug)]
pub(super) enum Counting {
    Here(Rc<Counter>),
    /// The policy says that the limit is used up until this Unix second.
    Elsewhere(u64),
}

impl Quota {
    /// Whether this VM knows that nothing is left.
    pub fn is_used_up(&self, now: u64, tick: u64) -> bool {
        self.stops
            && match &self.source {
                Counting::Here(counter) => counter.is_used_up(self.limit, now, tick),
                Counting::Elsewhere(until) => now < *until,
            }
    }

    /// Reads from shared data how much all VMs have taken.
    pub fn look<S: Shared>(&self, context: &mut CountContext<'_, S>) {
        if let Counting::Here(counter) = &self.source {
            counter.look(self.limit, context);
        }
    }

    /// How far the limit is used up. `None` if the policy's mark has ended.
    pub fn remaining(&self, now: u64) -> Option<Remaining> {
        match &self.source {
            Counting::Here(counter) => Some(counter.remaining(self.limit, now)),
            Counting::Elsewhere(until) => {
                let reset = until.checked_sub(now).filter(|left| *left > 0)?;
                Some(Remaining { limit: self.limit, remaining: 0, reset })
            }
        }
    }
}

/// The quotas of a subscriber: first bursts, then the subscription's limits, then the application's. `counter` finds a
/// counter by name.
pub(super) fn quotas(
    plans: &Plans<'_>,
    subscriber: Subscriber<'_>,
    mut counter: impl FnMut(Name, Unit) -> Rc<Counter>,
) -> Quotas {
    let Plans { subscription, subscription_used_up_until, application, application_used_up_until } = *plans;
    let sides = [
        (LimitOwner::Subscription, subscription, subscription_used_up_until),
        (LimitOwner::Application, application, application_used_up_until),
    ];
    let mut all = Vec::new();
    let mut count = |side, level, limit: Limit, stops| {
        let counter = counter(name(side, level, limit.per, subscriber), limit.per);
        Quota { level, limit: limit.requests, stops, source: Counting::Here(counter) }
    };
    for (side, plan, _) in sides {
        let burst = plan.and_then(|plan| plan.burst);
        all.extend(burst.map(|burst| count(side, LimitOwner::Burst, burst, true)));
    }
    for (level, plan, used_up_until) in sides {
        let Some(plan) = plan else { continue };
        let limits = || strictest(&plan.limits);
        if let Some(until) = used_up_until.filter(|_| plan.stop_on_quota_reach) {
            let limit = limits().last().map_or(0, |limit| limit.requests);
            all.push(Quota { level, limit, stops: true, source: Counting::Elsewhere(until) });
        }
        all.extend(limits().map(|limit| count(level, level, limit, plan.stop_on_quota_reach)));
    }
    Quotas { all: all.into() }
}

/// The strictest limit of each unit, shortest unit first.
fn strictest(limits: &[Limit]) -> impl Iterator<Item = Limit> {
    let of = move |unit| limits.iter().filter(move |limit| limit.per == unit).min_by_key(|limit| limit.requests);
    [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Month].into_iter().filter_map(of).copied()
}

/// The name of a count. Each id follows its length, so no two subscribers share a name. A subscription's count is for
/// one API, an application's count for all APIs.
fn name(side: LimitOwner, level: LimitOwner, unit: Unit, Subscriber { application, api }: Subscriber<'_>) -> Name {
    let kind = match (side, level) {
        (LimitOwner::Application, LimitOwner::Burst) => 0,
        (_, LimitOwner::Burst) => 1,
        (_, LimitOwner::Subscription) => 2,
        (_, LimitOwner::Application) => 3,
    };
    let unit = match unit {
        Unit::Second => 0,
        Unit::Minute => 1,
        Unit::Hour => 2,
        Unit::Day => 3,
        Unit::Month => 4,
    };
    let mut bytes = vec![kind, unit];
    let api = if side == LimitOwner::Application { None } else { Some(api.as_bytes()) };
    for id in [Some(application), api].into_iter().flatten() {
        bytes.extend(u64::try_from(id.len()).unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(id);
    }
    let [name @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = Digest::of(&bytes).0;
    name
}
