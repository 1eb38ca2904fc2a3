//! Who a request is from, fact by fact: for the headers that go upstream, and for annotations. It decides nothing.

use crate::{
    config::Fact,
    policy::{KeyType, rows::Api},
    subject::Subject,
};

/// The application and the key id of a request that an emergency key lets through.
pub const EMERGENCY: &str = "emergency";

/// What is known of who asks for what. A fact is looked up when it is asked for: most requests need three.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Identity<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) api: Option<&'a Api>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Caller<'a> {
    #[default]
    Unknown,
    Emergency,
    Subject(&'a Subject),
}

impl<'a> Identity<'a> {
    /// The key's client, whatever it asks for.
    pub fn of(subject: &'a Subject) -> Self {
        Self { caller: Caller::Subject(subject), api: None }
    }

    /// The value of a fact about who asks for what; `None` where it is not known, or is no such fact.
    pub fn fact(&self, fact: Fact) -> Option<&'a [u8]> {
        match (fact, self.caller) {
            (Fact::ApiId, _) => self.api.map(|api| api.id.as_bytes()),
            (Fact::ApplicationId | Fact::KeyId, Caller::Emergency) => Some(EMERGENCY.as_bytes()),
            (Fact::KeyType, Caller::Emergency) => Some(KeyType::Production.as_str().as_bytes()),
            (Fact::ApplicationId, Caller::Subject(subject)) => Some(subject.application_id()),
            (Fact::KeyId, Caller::Subject(subject)) => Some(subject.key_id()),
            (Fact::KeyType, Caller::Subject(subject)) => Some(subject.key.key_type.as_str().as_bytes()),
            (Fact::ApplicationName, Caller::Subject(subject)) => subject.application_name(),
            (Fact::Owner, Caller::Subject(subject)) => subject.owner(),
            (Fact::Plan, Caller::Subject(subject)) => subject.plan(),
            _ => None,
        }
    }
}
