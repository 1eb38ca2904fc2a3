//! The facts about a caller, for headers that are sent upstream and for annotations. This file decides nothing.

use crate::{
    config::Fact,
    policy::{KeyType, rows::Api},
    subject::Subject,
};

/// The application id and key id of a request with an emergency key.
pub const EMERGENCY: &str = "emergency";

/// Caller and API of a request. A fact is looked up only when it is requested: most requests need three.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Identity<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) api: Option<&'a Api>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Caller<'a> {
    #[default]
    Unknown,
    Emergency,
    Subject(&'a Subject),
}

impl<'a> Identity<'a> {
    /// The identity of a subject, without an API.
    pub fn of(subject: &'a Subject) -> Self {
        Self { caller: Caller::Subject(subject), api: None }
    }

    /// The value of a fact about the caller or the API. `None` if it is unknown, or if `fact` is about something else.
    /// Each fact is listed with both kinds of caller, so that a new one does not compile until it has a value here.
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
            (Fact::ApplicationName | Fact::Owner | Fact::Plan, Caller::Emergency) | (_, Caller::Unknown) => None,
            // `answer/annotation.rs` knows these.
            (Fact::Reason | Fact::Revision | Fact::Limit | Fact::Remaining | Fact::Reset | Fact::BlockedUntil, _) => {
                None
            }
        }
    }
}
