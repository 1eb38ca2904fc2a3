//! What a policy says of a key, its application, and the application's subscription to one API: the inputs of a decision.
//!
//! Each part is generic in its texts. Where a record or a row is read they are borrowed from it; in a [`Subject`], which is
//! kept, all of them stand in one allocation: a key that is not remembered makes and drops a subject with each request.
//! They are bytes: that they are UTF-8 was found out when they came, and here they are compared and handed on, no more.

mod texts;

use ipnet::IpNet;

pub use texts::Texts;

use crate::{
    limit::quota::Bound,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState},
};

/// A key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Key<T> {
    /// Its public handle.
    pub id: T,
    /// The id of its application.
    pub application: T,
    /// What it is for.
    pub key_type: KeyType,
    /// Whether it may be used.
    pub state: KeyState,
    /// First second in which it is good.
    pub not_before: Option<u64>,
    /// First second in which it is good no more.
    pub expires_at: Option<u64>,
    /// What else restricts it; most have nothing.
    pub restrictions: Option<Box<Restrictions>>,
}

/// What a key may be restricted to; `None` is anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restrictions {
    /// Ids of APIs.
    pub apis: Option<Texts>,
    /// Addresses.
    pub permitted_ips: Option<Vec<IpNet>>,
    /// Patterns of referers, as [`RefererPattern::pack`](crate::request::referer::RefererPattern::pack) makes them.
    pub permitted_referers: Option<Texts>,
}

impl Restrictions {
    /// Bytes that the lists take in memory.
    pub fn bytes(&self) -> usize {
        let texts = |list: &Option<Texts>| list.as_ref().map_or(0, Texts::bytes);
        let ranges = self.permitted_ips.as_ref().map_or(0, |ranges| size_of_val(&ranges[..]));
        [texts(&self.apis), texts(&self.permitted_referers)].into_iter().fold(ranges, usize::saturating_add)
    }
}

/// An application.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Application<T> {
    /// Its name.
    pub name: Option<T>,
    /// Who owns it.
    pub owner: Option<T>,
    /// Whether it may call anything.
    pub state: ApplicationState,
    /// Its own plan.
    pub plan: Option<T>,
    /// First second in which that plan is no longer used up.
    pub used_up_until: Option<u64>,
}

/// An application's subscription to an API.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Subscription<T> {
    /// Its state.
    pub state: SubscriptionState,
    /// Its plan.
    pub plan: Option<T>,
    /// First second in which that plan is no longer used up.
    pub used_up_until: Option<u64>,
}

/// Where a text of a [`Subject`] stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    start: usize,
    end: usize,
}

/// A key, its application, and the application's subscription to one API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// All texts, one behind the other.
    texts: Vec<u8>,
    /// The key.
    pub key: Key<Span>,
    /// The application; `None` if the policy does not know it.
    pub application: Option<Application<Span>>,
    /// The subscription to the API that was asked about.
    pub subscription: Option<Subscription<Span>>,
    /// The limits of both, once a request was held against them.
    pub quotas: Bound,
}

impl Subject {
    /// A subject of these parts.
    pub fn new(
        key: Key<&[u8]>,
        application: Option<Application<&[u8]>>,
        subscription: Option<Subscription<&[u8]>>,
    ) -> Self {
        let mut subject = Self::default();
        subject.begin(key);
        subject.complete(application, subscription);
        subject
    }

    /// Becomes another key's subject, where the one before stood; nothing is known of the key's application yet.
    pub fn begin(&mut self, key: Key<&[u8]>) {
        self.texts.clear();
        self.key = Key {
            id: self.copy(key.id),
            application: self.copy(key.application),
            key_type: key.key_type,
            state: key.state,
            not_before: key.not_before,
            expires_at: key.expires_at,
            restrictions: key.restrictions,
        };
        (self.application, self.subscription, self.quotas) = (None, None, Bound::default());
    }

    /// Takes in what is known of the key's application, once.
    pub fn complete(&mut self, application: Option<Application<&[u8]>>, subscription: Option<Subscription<&[u8]>>) {
        self.application = application.map(|of| Application {
            name: of.name.map(|name| self.copy(name)),
            owner: of.owner.map(|owner| self.copy(owner)),
            state: of.state,
            plan: of.plan.map(|plan| self.copy(plan)),
            used_up_until: of.used_up_until,
        });
        self.subscription = subscription.map(|of| Subscription {
            state: of.state,
            plan: of.plan.map(|plan| self.copy(plan)),
            used_up_until: of.used_up_until,
        });
    }

    fn copy(&mut self, text: &[u8]) -> Span {
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        Span { start, end: self.texts.len() }
    }

    /// The key's public handle.
    pub fn key_id(&self) -> &[u8] {
        self.text(self.key.id)
    }

    /// The id of the application.
    pub fn application_id(&self) -> &[u8] {
        self.text(self.key.application)
    }

    /// The application's name.
    pub fn application_name(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.name?))
    }

    /// The application's owner.
    pub fn owner(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.owner?))
    }

    /// The application's plan.
    pub fn application_plan(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.plan?))
    }

    /// The subscription's plan.
    pub fn plan(&self) -> Option<&[u8]> {
        Some(self.text(self.subscription.as_ref()?.plan?))
    }

    fn text(&self, span: Span) -> &[u8] {
        // A span is made with the texts that it is of, so it is always within them.
        self.texts.get(span.start..span.end).unwrap_or_default()
    }
}
