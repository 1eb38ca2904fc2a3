//! The audit log: who changed what, when, from where, and what it was before and after.
//!
//! An entry is written in the transaction of its change ([`crate::audit::Journal`] makes it), so there is none without a
//! change and no revision without one. Entries are never changed. They stay when rows and history go.

use std::fmt;

use async_trait::async_trait;

use super::{Error, Kind};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Action {
    Create,
    Replace,
    Delete,
    Issue,
    Revoke,
    Regenerate,
    Block,
    Unblock,
    Approve,
    Reject,
    Import,
    Restore,
    /// A block ended by itself.
    End,
    RenewEpoch,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 14] = [
        Self::Create,
        Self::Replace,
        Self::Delete,
        Self::Issue,
        Self::Revoke,
        Self::Regenerate,
        Self::Block,
        Self::Unblock,
        Self::Approve,
        Self::Reject,
        Self::Import,
        Self::Restore,
        Self::End,
        Self::RenewEpoch,
    ];

    /// The word in an entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Regenerate => "regenerate",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Import => "import",
            Self::Restore => "restore",
            Self::End => "end",
            Self::RenewEpoch => "renew_epoch",
        }
    }
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A row of the policy.
    Row(Kind),
    /// A token of a principal; no part of the policy.
    Token,
    /// A gateway's credential; no part of the policy.
    GatewayCredential,
    /// The policy as a whole.
    Policy,
}

impl Subject {
    /// All subjects.
    pub const ALL: [Self; 9] = [
        Self::Row(Kind::Api),
        Self::Row(Kind::Application),
        Self::Row(Kind::Key),
        Self::Row(Kind::Subscription),
        Self::Row(Kind::Plan),
        Self::Row(Kind::DenyPolicy),
        Self::Token,
        Self::GatewayCredential,
        Self::Policy,
    ];

    /// The word in an entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Row(Kind::Api) => "api",
            Self::Row(Kind::Application) => "application",
            Self::Row(Kind::Key) => "key",
            Self::Row(Kind::Subscription) => "subscription",
            Self::Row(Kind::Plan) => "plan",
            Self::Row(Kind::DenyPolicy) => "deny_policy",
            Self::Token => "token",
            Self::GatewayCredential => "gateway_credential",
            Self::Policy => "policy",
        }
    }

    /// Whether it stands beside the policy, so that a change of it makes an entry without a revision.
    pub fn is_beside_policy(self) -> bool {
        matches!(self, Self::Token | Self::GatewayCredential)
    }
}

/// What a change is, as its rule states it. The rows that it concerns are found by the journal.
#[derive(Clone, PartialEq, Eq)]
pub struct Deed {
    /// What is done.
    pub action: Action,
    /// What it is done to.
    pub subject: Subject,
    /// The id of that.
    pub id: Option<String>,
    /// Why, in the words of the actor.
    pub reason: Option<String>,
    /// What it was, as JSON without any secret; only of what is no row.
    pub before: Option<String>,
    /// What it is now, as JSON without any secret; only of what is no row.
    pub after: Option<String>,
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.action.word(), self.subject.word(), self.id)
    }
}

impl Deed {
    /// `action` is done to the row of `kind` with this id.
    pub fn of_row(action: Action, kind: Kind, id: &str) -> Self {
        Self::of(action, Subject::Row(kind), Some(id))
    }

    /// `action` is done to the policy as a whole. The entry then counts rows instead of naming them.
    pub fn of_policy(action: Action, id: Option<&str>) -> Self {
        Self::of(action, Subject::Policy, id)
    }

    /// `action` is done to something that stands beside the policy; `before` and `after` are JSON without any secret.
    pub fn beside_policy(
        action: Action,
        subject: Subject,
        id: &str,
        before: Option<String>,
        after: Option<String>,
    ) -> Self {
        Self { before, after, ..Self::of(action, subject, Some(id)) }
    }

    /// The same with a reason.
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    fn of(action: Action, subject: Subject, id: Option<&str>) -> Self {
        Self { action, subject, id: id.map(str::to_owned), reason: None, before: None, after: None }
    }
}

/// What else a change concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    /// What it is, [`Subject::word`].
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What it was, JSON; `None`: it was not there.
    pub before: Option<String>,
    /// What it is now, JSON; `None`: it is gone.
    pub after: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log; the database gives it.
    pub seq: i64,
    /// When, Unix time.
    pub at: i64,
    /// Who: a subject, or `service`.
    pub actor: String,
    /// The role in which the actor did it.
    pub role: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// What was done, [`Action::word`].
    pub action: String,
    /// What it was done to, [`Subject::word`].
    pub kind: String,
    /// The id of that.
    pub id: Option<String>,
    /// The revision that the change made; `None`: it made none.
    pub revision: Option<i64>,
    /// What it was, JSON; `None`: it was not there.
    pub before: Option<String>,
    /// What it is now, JSON; `None`: it is gone.
    pub after: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How many rows an import or a restore made, changed and removed, JSON.
    pub counts: Option<String>,
    /// What else the change concerned; of a long list the beginning.
    pub also: Vec<Also>,
    /// How many the whole list has.
    pub also_total: i64,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those about this kind ([`Subject::word`]); with an id, also those in which it stands in `also`.
    pub kind: Option<String>,
    /// Only those about this id, or in which it stands in `also`.
    pub id: Option<String>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only those of this action ([`Action::word`]).
    pub action: Option<String>,
    /// Only those at this time or later.
    pub from: Option<i64>,
    /// Only those before this time.
    pub to: Option<i64>,
}

/// The entry of a change that is under way.
pub trait Record: Send {
    /// States what the change is; the last word counts, but what is done to the policy as a whole stays. A change of rows
    /// for which nothing is stated gets an entry that follows from its first row.
    fn record(&mut self, deed: Deed);
}

/// The audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// At most `limit` entries from the first after the place `after`, in the order in which they were written, or in the
    /// reverse of it. A page may be shorter: it ends early where its entries are large.
    async fn entries(
        &self,
        filter: &AuditFilter,
        after: Option<i64>,
        newest_first: bool,
        limit: u32,
    ) -> Result<EntryPage, Error>;
}

/// A page of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// The `seq` of its last entry, if there is more.
    pub next: Option<i64>,
}
