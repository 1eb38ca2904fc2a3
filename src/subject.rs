//! The data of a policy about a key, its application, and the application's subscription to one API: the input of a
//! decision.
//!
//! Each part is generic over its texts. Parts that are read from a record or a row borrow their texts. A [`Subject`]
//! owns its texts in one allocation, because a key that is not cached makes and drops a subject with each request.
//! Texts are bytes: they were checked to be UTF-8 when the rows arrived, and this code only compares and forwards them.

mod texts;

use ipnet::IpNet;

pub use texts::Texts;

use crate::{
    limit::quota::Bound,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState, block::Block},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Key<T> {
    /// The public id of the key.
    pub id: T,
    /// The id of the application.
    pub application: T,
    pub key_type: KeyType,
    pub state: KeyState,
    /// First second in which the key is valid, Unix time.
    pub not_before: Option<u64>,
    /// First second in which the key is no longer valid, Unix time.
    pub expires_at: Option<u64>,
    /// Further restrictions. Most keys have none.
    pub restrictions: Option<Box<Restrictions>>,
}

/// Restrictions of a key. `None` permits everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restrictions {
    pub apis: Option<Texts>,
    pub permitted_ips: Option<Vec<IpNet>>,
    /// Referer patterns in the form of [`RefererPattern::pack`](crate::request::referer::RefererPattern::pack).
    pub permitted_referers: Option<Texts>,
}

impl Restrictions {
    /// Size of the lists in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = |list: &Option<Texts>| list.as_ref().map_or(0, Texts::bytes);
        let ranges = self.permitted_ips.as_ref().map_or(0, |ranges| size_of_val(&ranges[..]));
        [texts(&self.apis), texts(&self.permitted_referers)].into_iter().fold(ranges, usize::saturating_add)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Application<T> {
    pub name: Option<T>,
    pub owner: Option<T>,
    pub state: ApplicationState,
    pub plan: Option<T>,
    /// First second in which the plan is no longer used up, Unix time.
    pub used_up_until: Option<u64>,
}

/// The subscription of an application to an API.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Subscription<T> {
    pub state: SubscriptionState,
    pub plan: Option<T>,
    /// First second in which the plan is no longer used up, Unix time.
    pub used_up_until: Option<u64>,
    /// Times and note of a block. Most subscriptions have none.
    pub block: Option<Block<T>>,
}

impl<T> Subscription<T> {
    /// The state at a time. `now` is Unix seconds; it is asked only if a block has a time.
    pub fn state_at(&self, now: impl FnOnce() -> u64) -> SubscriptionState {
        match &self.block {
            Some(block) if block.has_time() => block.state_at(self.state, now()),
            _ => self.state,
        }
    }
}

/// The place of a text in a [`Subject`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    start: usize,
    end: usize,
}

/// A key, its application, and the application's subscription to one API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// All texts, one after the other.
    texts: Vec<u8>,
    pub key: Key<Span>,
    /// `None` if the policy does not contain the application.
    pub application: Option<Application<Span>>,
    /// The subscription to the requested API.
    pub subscription: Option<Subscription<Span>>,
    /// The limits of both plans. Bound when a request is first checked against them.
    pub quotas: Bound,
}

impl Subject {
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

    /// Reuses the memory for another key. The application and the subscription are unset.
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

    /// Sets the application and the subscription. Call it once after [`Subject::begin`].
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
            block: of.block.map(|block| block.map(|note| self.copy(note))),
        });
    }

    fn copy(&mut self, text: &[u8]) -> Span {
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        Span { start, end: self.texts.len() }
    }

    pub fn key_id(&self) -> &[u8] {
        self.text(self.key.id)
    }

    pub fn application_id(&self) -> &[u8] {
        self.text(self.key.application)
    }

    pub fn application_name(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.name?))
    }

    pub fn owner(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.owner?))
    }

    pub fn application_plan(&self) -> Option<&[u8]> {
        Some(self.text(self.application.as_ref()?.plan?))
    }

    pub fn plan(&self) -> Option<&[u8]> {
        Some(self.text(self.subscription.as_ref()?.plan?))
    }

    /// End and note of the subscription's block.
    pub fn block(&self) -> Option<(Option<u64>, Option<&[u8]>)> {
        let block = self.subscription.as_ref()?.block.as_ref()?;
        Some((block.until, block.note.map(|note| self.text(note))))
    }

    fn text(&self, span: Span) -> &[u8] {
        // A span always belongs to these texts, so it is within them.
        self.texts.get(span.start..span.end).unwrap_or_default()
    }
}
