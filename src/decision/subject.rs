//! What a policy says of a key, its application, and the application's subscription to one API: the inputs of a decision.

use ipnet::IpNet;

use crate::{
    limit::quota::Bound,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState},
    referer::RefererPattern,
};

/// A key, its application, and the application's subscription to one API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The key's public handle.
    pub key_id: Box<str>,
    /// The id of its application.
    pub application_id: Box<str>,
    /// What the key is for.
    pub key_type: KeyType,
    /// Whether it may be used.
    pub key_state: KeyState,
    /// First second in which it is good.
    pub not_before: Option<u64>,
    /// First second in which it is good no more.
    pub expires_at: Option<u64>,
    /// What else restricts the key; most have nothing.
    pub restrictions: Option<Box<Restrictions>>,
    /// The application; `None` if the policy does not know it.
    pub application: Option<Application>,
    /// The subscription to the API that was asked about.
    pub subscription: Option<Subscription>,
    /// The limits of both, once a request was held against them.
    pub quotas: Bound,
}

/// What a key may be restricted to; `None` is anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restrictions {
    /// Ids of APIs.
    pub apis: Option<Vec<Box<str>>>,
    /// Addresses.
    pub permitted_ips: Option<Vec<IpNet>>,
    /// Referers.
    pub permitted_referers: Option<Vec<RefererPattern>>,
}

/// What the decision knows of an application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    /// Its name.
    pub name: Option<Box<str>>,
    /// Who owns it.
    pub owner: Option<Box<str>>,
    /// Whether it may call anything.
    pub state: ApplicationState,
    /// Its own plan.
    pub plan: Option<Box<str>>,
    /// First second in which that plan is no longer used up.
    pub used_up_until: Option<u64>,
}

/// What the decision knows of a subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscription {
    /// Its state.
    pub state: SubscriptionState,
    /// Its plan.
    pub plan: Option<Box<str>>,
    /// First second in which that plan is no longer used up.
    pub used_up_until: Option<u64>,
}
