//! The audit log: who changed what, when and from where, and the state before and after.
//!
//! An entry is written in the transaction of its change ([`crate::audit::Journal`] makes it). So there is no entry
//! without a change, and no revision without an entry. Entries never change. They stay when rows and history are
//! deleted.

use std::fmt;

use async_trait::async_trait;

use super::{Error, Kind};

/// What a change did.
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

    /// The action's word in an entry.
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
    /// A token of a principal, which is not part of the policy.
    Token,
    /// A gateway's credential, which is not part of the policy.
    GatewayCredential,
    /// A gateway in the list of those that were heard of, which is not part of the policy.
    Gateway,
    /// The policy as a whole.
    Policy,
}

impl Subject {
    /// All subjects.
    pub const ALL: [Self; 10] = [
        Self::Row(Kind::Api),
        Self::Row(Kind::Application),
        Self::Row(Kind::Key),
        Self::Row(Kind::Subscription),
        Self::Row(Kind::Plan),
        Self::Row(Kind::DenyPolicy),
        Self::Token,
        Self::GatewayCredential,
        Self::Gateway,
        Self::Policy,
    ];

    /// The subject's word in an entry.
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
            Self::Gateway => "gateway",
            Self::Policy => "policy",
        }
    }

    /// Whether it is not part of the policy, so that its entry has no revision.
    pub fn is_beside_policy(self) -> bool {
        matches!(self, Self::Token | Self::GatewayCredential | Self::Gateway)
    }
}

/// What a change is, as its rule states it. The journal finds the rows that it touches.
#[derive(Clone, PartialEq, Eq)]
pub struct Deed {
    /// The action.
    pub action: Action,
    /// The subject of the action.
    pub subject: Subject,
    /// The subject's id.
    pub id: Option<String>,
    /// The reason, in the words of the actor.
    pub reason: Option<String>,
    /// The earlier state as JSON without any secret; only for subjects that are not rows.
    pub before: Option<String>,
    /// The new state as JSON without any secret; only for subjects that are not rows.
    pub after: Option<String>,
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.action.word(), self.subject.word(), self.id)
    }
}

impl Deed {
    /// `action` on the row of `kind` with this id.
    pub fn of_row(action: Action, kind: Kind, id: &str) -> Self {
        Self::of(action, Subject::Row(kind), Some(id))
    }

    /// `action` on the policy as a whole. The entry then counts rows instead of listing them.
    pub fn of_policy(action: Action, id: Option<&str>) -> Self {
        Self::of(action, Subject::Policy, id)
    }

    /// `action` on a subject that is not part of the policy. `before` and `after` are JSON without any secret.
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

/// A further object that a change touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    /// The object's kind, [`Subject::word`].
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The earlier state, JSON; `None` if it did not exist.
    pub before: Option<String>,
    /// The new state, JSON; `None` if it was removed.
    pub after: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The position in the log, from the database.
    pub seq: i64,
    /// The time, in Unix seconds.
    pub at: i64,
    /// The actor: a subject, or `service`.
    pub actor: String,
    /// The actor's role.
    pub role: Option<String>,
    /// The caller's address.
    pub address: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The action, [`Action::word`].
    pub action: String,
    /// The subject's kind, [`Subject::word`].
    pub kind: String,
    /// The subject's id.
    pub id: Option<String>,
    /// The revision that the change made, if any.
    pub revision: Option<i64>,
    /// The earlier state, JSON; `None` if it did not exist.
    pub before: Option<String>,
    /// The new state, JSON; `None` if it was removed.
    pub after: Option<String>,
    /// The reason.
    pub reason: Option<String>,
    /// For an import or a restore: numbers of created, changed and removed rows, JSON.
    pub counts: Option<String>,
    /// Further objects that the change touched; only the first ones of a long list.
    pub also: Vec<Also>,
    /// Number of all further objects.
    pub also_total: i64,
}

/// Which entries to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only entries about this kind ([`Subject::word`]). With an id, also entries that name it in `also`.
    pub kind: Option<String>,
    /// Only entries about this id, or that name it in `also`.
    pub id: Option<String>,
    /// Only entries of this actor.
    pub actor: Option<String>,
    /// Only entries with this action ([`Action::word`]).
    pub action: Option<String>,
    /// Only entries at this time or later.
    pub from: Option<i64>,
    /// Only entries before this time.
    pub to: Option<i64>,
}

/// The entry of a change in progress.
pub trait Record: Send {
    /// States what the change is. A later statement replaces an earlier one, except that an action on the policy as a
    /// whole stays. If no rule states anything, the entry follows from the first row.
    fn record(&mut self, deed: Deed);
}

/// The audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Returns at most `limit` entries that come after `after`, in the order in which they were written or in reverse.
    /// A page may be shorter, because it also ends when its entries are long.
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
    /// The entries.
    pub entries: Vec<Entry>,
    /// The `seq` of the last entry, if there are more.
    pub next: Option<i64>,
}
