//! Which limits concern a request: those of its subscription's plan and of its application's, in the order in which they
//! are looked at.
//!
//! They are bound to their counters once for a key and an API, and then found with them, so no request hashes an id.

use std::{cell::OnceCell, rc::Rc};

use super::{
    Level, Standing,
    counter::{Around, Counter},
    slot::Name,
};
use crate::{
    digest::Digest,
    policy::rows::{Limit, Plan, Unit},
    shared::Shared,
};

/// The plans that a request is held against, and until when the policy itself says that they are used up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plans<'p> {
    /// Of the subscription: it counts for one application and one API.
    pub subscription: Option<&'p Plan>,
    /// Unix seconds.
    pub subscription_used_up_until: Option<u64>,
    /// Of the application: it counts over all its APIs.
    pub application: Option<&'p Plan>,
    /// Unix seconds.
    pub application_used_up_until: Option<u64>,
}

/// Whose requests are counted.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// The application's id.
    pub application: &'a [u8],
    /// The API's id.
    pub api: &'a str,
}

/// The limits that concern a request.
#[derive(Debug, Default)]
pub struct Quotas {
    pub(super) all: Box<[Quota]>,
}

impl Quotas {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// A place for the quotas of something that is remembered for as long as its plans stay what they are. A copy of it is
/// another thing, so it begins without.
#[derive(Debug, Default)]
pub struct Bound(pub(super) OnceCell<Quotas>);

impl Clone for Bound {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Bound {
    /// What is bound follows from the plans.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One limit.
#[derive(Debug)]
pub(super) struct Quota {
    pub level: Level,
    /// Requests in one window.
    pub limit: u64,
    /// Whether it refuses what is over it.
    pub stops: bool,
    pub source: Counting,
}

/// Where it is known from how far a limit is used up.
#[derive(Debug)]
pub(super) enum Counting {
    /// From its counter.
    Here(Rc<Counter>),
    /// The policy says that it is used up until that second.
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

    /// Looks at what everybody has taken of it.
    pub fn look<S: Shared>(&self, around: &mut Around<'_, S>) {
        if let Counting::Here(counter) = &self.source {
            counter.look(self.limit, around);
        }
    }

    /// How far it is used up; `None`: the policy does not say so any more.
    pub fn standing(&self, now: u64) -> Option<Standing> {
        match &self.source {
            Counting::Here(counter) => Some(counter.standing(self.limit, now)),
            Counting::Elsewhere(until) => {
                let reset = until.checked_sub(now).filter(|left| *left > 0)?;
                Some(Standing { limit: self.limit, remaining: 0, reset })
            }
        }
    }
}

/// The quotas of a subscriber: bursts, then the subscription's, then the application's. `counter` finds a counter by name.
pub(super) fn quotas(
    plans: &Plans<'_>,
    subscriber: Subscriber<'_>,
    mut counter: impl FnMut(Name, Unit) -> Rc<Counter>,
) -> Quotas {
    let Plans { subscription, subscription_used_up_until, application, application_used_up_until } = *plans;
    let sides = [
        (Level::Subscription, subscription, subscription_used_up_until),
        (Level::Application, application, application_used_up_until),
    ];
    let mut all = Vec::new();
    let mut count = |side, level, limit: Limit, stops| {
        let counter = counter(name(side, level, limit.per, subscriber), limit.per);
        Quota { level, limit: limit.requests, stops, source: Counting::Here(counter) }
    };
    for (side, plan, _) in sides {
        let burst = plan.and_then(|plan| plan.burst);
        all.extend(burst.map(|burst| count(side, Level::Burst, burst, true)));
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

/// Of several limits for one unit the strictest counts; by unit, the shortest first.
fn strictest(limits: &[Limit]) -> impl Iterator<Item = Limit> {
    let of = move |unit| limits.iter().filter(move |limit| limit.per == unit).min_by_key(|limit| limit.requests);
    [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Month].into_iter().filter_map(of).copied()
}

/// The name of a count. Ids stand behind their lengths, so that no two subscribers share one. A subscription's counts are
/// for one API, an application's for all.
fn name(side: Level, level: Level, unit: Unit, Subscriber { application, api }: Subscriber<'_>) -> Name {
    let kind = match (side, level) {
        (Level::Application, Level::Burst) => 0,
        (_, Level::Burst) => 1,
        (_, Level::Subscription) => 2,
        (_, Level::Application) => 3,
    };
    let unit = match unit {
        Unit::Second => 0,
        Unit::Minute => 1,
        Unit::Hour => 2,
        Unit::Day => 3,
        Unit::Month => 4,
    };
    let mut bytes = vec![kind, unit];
    let api = if side == Level::Application { None } else { Some(api.as_bytes()) };
    for id in [Some(application), api].into_iter().flatten() {
        bytes.extend(u64::try_from(id.len()).unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(id);
    }
    let [name @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = Digest::of(&bytes).0;
    name
}
