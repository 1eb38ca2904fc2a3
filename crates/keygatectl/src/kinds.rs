//! What this program knows of each kind of objects: from the rules, where they have it, and the columns of its table.

use management::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    keys::Key,
    plans::Plan,
    port::{Kind, audit::Subject},
    resource::Resource,
    subscriptions::Subscription,
};

use crate::{
    cli::args::KindName,
    output::table::{Column, Shape},
};

/// A kind of objects.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    pub kind: Kind,
    /// The path of its list.
    pub path: &'static str,
    /// What its list is filtered by, besides `q`.
    pub filters: &'static [&'static str],
    pub states: &'static [&'static str],
    pub types: &'static [&'static str],
    pub columns: &'static [Column],
}

impl KindInfo {
    fn of<R: Resource>(columns: &'static [Column]) -> Self {
        Self { kind: R::KIND, path: R::PATH, filters: R::FILTERS, states: R::STATES, types: R::TYPES, columns }
    }

    /// The kind with this name.
    pub fn named(name: KindName) -> Self {
        match name {
            KindName::Apis => Self::of::<Api>(APIS),
            KindName::Applications => Self::of::<Application>(APPLICATIONS),
            KindName::Keys => Self::of::<Key>(KEYS),
            KindName::Subscriptions => Self::of::<Subscription>(SUBSCRIPTIONS),
            KindName::Plans => Self::of::<Plan>(PLANS),
            KindName::DenyPolicies => Self::of::<DenyPolicy>(DENY_POLICIES),
        }
    }

    /// The word of the kind in JSON.
    pub fn word(&self) -> &'static str {
        word(self.kind)
    }
}

/// The word of a kind in JSON, such as `deny_policy`.
pub fn word(kind: Kind) -> &'static str {
    Subject::Row(kind).word()
}

/// The path of the list of a kind.
pub fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Api => Api::PATH,
        Kind::Application => Application::PATH,
        Kind::Key => Key::PATH,
        Kind::Subscription => Subscription::PATH,
        Kind::Plan => Plan::PATH,
        Kind::DenyPolicy => DenyPolicy::PATH,
    }
}

/// The columns of APIs.
pub const APIS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("STATE", "/state", Shape::State, 0),
    Column::new("MATCH", "/match", Shape::Match, 1),
    Column::new("OWNER", "/owner", Shape::Text, 2),
    Column::new("PLANS", "/plans", Shape::List, 4),
    Column::new("APPROVAL", "/approval", Shape::Text, 5),
    Column::new("SECURITY", "/security", Shape::Text, 6),
    Column::new("NAME", "/name", Shape::Text, 3),
    Column::new("VERSION", "/version", Shape::Text, 7),
];

/// The columns of applications.
pub const APPLICATIONS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("STATE", "/state", Shape::Blocked, 0),
    Column::new("OWNER", "/owner", Shape::Text, 1),
    Column::new("PLAN", "/plan", Shape::Text, 2),
    Column::new("NAME", "/name", Shape::Text, 3),
    Column::new("REASON", "/block/reason", Shape::Text, 4),
];

/// The columns of keys.
pub const KEYS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("STATE", "/state", Shape::State, 0),
    Column::new("TYPE", "/type", Shape::State, 1),
    Column::new("APPLICATION", "/application", Shape::Id, 0),
    Column::new("EXPIRES", "/expires_at", Shape::Time, 3),
    Column::new("LAST USED", "/last_used", Shape::Away, 2),
    Column::new("APIS", "/apis", Shape::List, 4),
    Column::new("REPLACED BY", "/replaced_by", Shape::Id, 5),
    Column::new("SHA256", "/sha256", Shape::Id, 6),
];

/// The columns of subscriptions.
pub const SUBSCRIPTIONS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("APPLICATION", "/application", Shape::Id, 0),
    Column::new("API", "/api", Shape::Id, 0),
    Column::new("STATE", "/state", Shape::Blocked, 0),
    Column::new("PLAN", "/plan", Shape::Text, 2),
    Column::new("BLOCKED BY", "/block/by", Shape::Text, 3),
    Column::new("REASON", "/block/reason", Shape::Text, 1),
    Column::new("USED UP UNTIL", "/used_up_until", Shape::Time, 4),
];

/// The columns of plans.
pub const PLANS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("LIMITS", "/limits", Shape::Limits, 0),
    Column::new("BURST", "/burst/requests", Shape::Number, 2),
    Column::new("PER", "/burst/per", Shape::Text, 2),
    Column::new("STOPS", "/stop_on_quota_reach", Shape::Text, 3),
    Column::new("OWNER", "/owner", Shape::Text, 1),
];

/// The columns of deny policies.
pub const DENY_POLICIES: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("TYPE", "/type", Shape::State, 0),
    Column::new("VALUE", "/value", Shape::Id, 0),
    Column::new("INVERTED", "/invert", Shape::Text, 2),
    Column::new("APPLIES", "/applies", Shape::Text, 1),
];

/// The columns of gateways.
pub const GATEWAYS: &[Column] = &[
    Column::new("CLIENT", "/client_id", Shape::Id, 0),
    Column::new("INSTANCE", "/instance", Shape::Id, 0),
    Column::new("STATE", "/state", Shape::State, 0),
    Column::new("REVISION", "/revision", Shape::Number, 1),
    Column::new("BEHIND", "/behind", Shape::Number, 1),
    Column::new("WORKERS", "/workers", Shape::Number, 4),
    Column::new("LAGGING", "/lagging", Shape::Number, 3),
    Column::new("REFUSED", "/refused/reason", Shape::Text, 1),
    Column::new("SEEN", "/last_seen", Shape::Away, 2),
    Column::new("VERSION", "/version", Shape::Text, 5),
    Column::new("ADDRESS", "/address", Shape::Text, 6),
    Column::new("ID", "/id", Shape::Id, 3),
];

/// The columns of credentials.
pub const CREDENTIALS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("CLIENT", "/client_id", Shape::Id, 0),
    Column::new("APIS", "/apis", Shape::List, 2),
    Column::new("CREATED", "/created_at", Shape::Time, 3),
    Column::new("EXPIRES", "/expires_at", Shape::Time, 1),
];

/// The columns of tokens.
pub const TOKENS: &[Column] = &[
    Column::new("ID", "/id", Shape::Id, 0),
    Column::new("ROLE", "/role", Shape::State, 0),
    Column::new("SUBJECT", "/subject", Shape::Text, 0),
    Column::new("CREATED", "/created_at", Shape::Time, 2),
    Column::new("EXPIRES", "/expires_at", Shape::Time, 1),
];

/// The columns of hourly usage.
pub const USAGE: &[Column] = &[
    Column::new("HOUR", "/hour", Shape::Time, 0),
    Column::new("APPLICATION", "/application", Shape::Id, 0),
    Column::new("API", "/api", Shape::Id, 0),
    Column::new("PLAN", "/plan", Shape::Text, 2),
    Column::new("OUTCOME", "/outcome", Shape::State, 0),
    Column::new("REQUESTS", "/requests", Shape::Number, 0),
];

/// The columns of audit entries.
pub const AUDIT: &[Column] = &[
    Column::new("TIME", "/at", Shape::Second, 0),
    Column::new("ACTOR", "/actor", Shape::Text, 0),
    Column::new("ACTION", "/action", Shape::State, 0),
    Column::new("WHAT", "/id", Shape::What, 0),
    Column::new("REVISION", "/revision", Shape::Number, 2),
    Column::new("REASON", "/reason", Shape::Text, 1),
    Column::new("ROLE", "/role", Shape::Text, 5),
    Column::new("ADDRESS", "/address", Shape::Text, 4),
    Column::new("REQUEST", "/request_id", Shape::Id, 6),
];

/// The columns of revisions.
pub const REVISIONS: &[Column] = &[
    Column::new("REVISION", "/revision", Shape::Number, 0),
    Column::new("TIME", "/at", Shape::Time, 0),
    Column::new("ACTOR", "/actor", Shape::Text, 0),
    Column::new("ACTION", "/action", Shape::State, 0),
    Column::new("WHAT", "/id", Shape::What, 0),
];

/// Each table with the name of its schema in the OpenAPI document, so that a test can hold the columns to it.
pub const TABLES: &[(&str, &[Column])] = &[
    ("Api", APIS),
    ("Application", APPLICATIONS),
    ("Key", KEYS),
    ("Subscription", SUBSCRIPTIONS),
    ("Plan", PLANS),
    ("DenyPolicy", DENY_POLICIES),
    ("ListedGateway", GATEWAYS),
    ("GatewayCredential", CREDENTIALS),
    ("Token", TOKENS),
    ("HourlyUsage", USAGE),
    ("AuditEntry", AUDIT),
    ("MadeRevision", REVISIONS),
];

/// Calls a function with the type of a kind's rows.
macro_rules! of_kind {
    ($kind:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $kind {
            ::management::port::Kind::Api => $function::<::management::apis::Api>($($argument),*),
            ::management::port::Kind::Application => $function::<::management::applications::Application>($($argument),*),
            ::management::port::Kind::Key => $function::<::management::keys::Key>($($argument),*),
            ::management::port::Kind::Subscription => {
                $function::<::management::subscriptions::Subscription>($($argument),*)
            }
            ::management::port::Kind::Plan => $function::<::management::plans::Plan>($($argument),*),
            ::management::port::Kind::DenyPolicy => $function::<::management::deny_policies::DenyPolicy>($($argument),*),
        }
    };
}
pub(crate) use of_kind;
