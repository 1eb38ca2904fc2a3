//! Single rules, for requests and for open streams. Their callers decide the order.

use super::facts::Facts;
use crate::{
    catalogue::Catalogue,
    limit::{LimitOwner, Taking, quota::Plans},
    policy::{
        ApiState, ApplicationState, KeyState, KeyType, SubscriptionState,
        rows::{Api, Operation},
    },
    reason::Reason,
    request::{head::Head, template::Segments},
    subject::{Key, Subject},
};

pub(super) fn check_state(api: &Api) -> Result<(), Reason> {
    match api.state {
        ApiState::Blocked => Err(Reason::ApiBlocked),
        ApiState::NotFound => Err(Reason::ApiNotFound),
        ApiState::Served => Ok(()),
    }
}

pub(super) fn check_key<T>(key: &Key<T>, facts: &impl Facts) -> Result<(), Reason> {
    if key.state == KeyState::Revoked {
        return Err(Reason::KeyRevoked);
    }
    if key.not_before.is_none() && key.expires_at.is_none() {
        return Ok(());
    }
    let now = facts.now();
    if key.not_before.is_some_and(|begin| now < begin) {
        return Err(Reason::KeyNotYetValid);
    }
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(Reason::KeyExpired);
    }
    Ok(())
}

pub(super) fn check_deny_policies(
    subject: &Subject,
    api: &Api,
    catalogue: &Catalogue,
    facts: &impl Facts,
) -> Result<(), Reason> {
    if catalogue.has_deny_policies()
        && catalogue.denies(subject.application_id(), api.id.as_str(), subject.owner(), || facts.address())
    {
        return Err(Reason::DeniedByPolicy);
    }
    Ok(())
}

#[inline(always)]
pub(super) fn check_subscription<'p>(
    subject: &Subject,
    api: &Api,
    catalogue: &'p Catalogue,
    facts: &impl Facts,
) -> Result<Plans<'p>, Reason> {
    let application = subject.application.as_ref().ok_or(Reason::SubscriptionMissing)?;
    if application.state == ApplicationState::Blocked {
        return Err(Reason::ApplicationBlocked);
    }
    if subject.subscription.is_none() && api.subscription_required {
        return Err(Reason::SubscriptionMissing);
    }
    if let Some(subscription) = &subject.subscription {
        match subscription.state_at(|| facts.now()) {
            SubscriptionState::Unblocked | SubscriptionState::TierUpdatePending | SubscriptionState::DeletePending => {}
            SubscriptionState::Blocked => return Err(Reason::SubscriptionBlocked),
            SubscriptionState::ProdOnlyBlocked if subject.key.key_type == KeyType::Sandbox => {}
            SubscriptionState::ProdOnlyBlocked => return Err(Reason::SubscriptionBlocked),
            SubscriptionState::OnHold | SubscriptionState::Rejected | SubscriptionState::Unknown => {
                return Err(Reason::SubscriptionInactive);
            }
            SubscriptionState::LeftOut => return Err(Reason::SubscriptionMissing),
        }
    }
    let find_plan = |id: Option<&[u8]>| match id {
        None => Ok(None),
        Some(id) => catalogue.plan(id).map(Some).ok_or(Reason::SubscriptionInactive),
    };
    Ok(Plans {
        application: find_plan(subject.application_plan())?,
        application_used_up_until: application.used_up_until,
        subscription: find_plan(subject.plan())?,
        subscription_used_up_until: subject.subscription.as_ref().and_then(|subscription| subscription.used_up_until),
    })
}

pub(super) fn check_endpoint(api: &Api, key_type: KeyType) -> Result<(), Reason> {
    let has_endpoint = match key_type {
        KeyType::Production => api.production,
        KeyType::Sandbox => api.sandbox,
    };
    if has_endpoint { Ok(()) } else { Err(Reason::EndpointMissing) }
}

/// Position of the first operation that permits the method and the rest of the path behind the API's prefix.
pub(super) fn find_operation(operations: &[Operation], head: &Head<'_>, rest: &[u8]) -> Option<usize> {
    // HEAD is permitted where GET is, because a server answers it with the header fields of a GET.
    let is_open = |method: &String| method.as_bytes() == head.method || head.method == b"HEAD" && method == "GET";
    let opens = |methods: &Option<Vec<String>>| methods.as_ref().is_none_or(|methods| methods.iter().any(is_open));
    let segments = Segments::of(rest);
    operations.iter().position(|operation| operation.path.matches(&segments) && opens(&operation.methods))
}

pub(super) fn check_limits(limits: Taking) -> Result<(), Reason> {
    Err(match limits.refusal.map(|refusal| refusal.level) {
        None => return Ok(()),
        Some(LimitOwner::Burst) => Reason::BurstExceeded,
        Some(LimitOwner::Subscription) => Reason::QuotaExceeded,
        Some(LimitOwner::Application) => Reason::ApplicationQuotaExceeded,
    })
}
