//! Rows as `/v1` answers them, as far as pages show them.

use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next: Option<String>,
    /// How many rows the whole list has.
    #[serde(default)]
    pub total: Option<u64>,
}

/// An API.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Api {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(rename = "match", default)]
    pub matches: Option<Vec<Match>>,
    #[serde(default)]
    pub security: Option<String>,
    #[serde(default)]
    pub subscription_required: Option<bool>,
    #[serde(default)]
    pub endpoints: Option<Vec<String>>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub plans: Option<Vec<String>>,
    #[serde(default)]
    pub approval: Option<String>,
    #[serde(default)]
    pub etag: Option<String>,
}

impl Api {
    /// What people call it: its name and version, or its id.
    pub fn title(&self) -> String {
        match (&self.name, &self.version) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            (Some(name), None) => name.clone(),
            (None, _) => self.id.clone(),
        }
    }

    pub fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("PUBLISHED")
    }
}

/// Requests that belong to an API.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Match {
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    #[serde(default)]
    pub path: Option<String>,
}

/// A subscription.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Subscription {
    pub id: String,
    #[serde(default)]
    pub application: Option<String>,
    #[serde(default)]
    pub api: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub block: Option<Block>,
    #[serde(default)]
    pub plan: Option<String>,
    #[serde(default)]
    pub used_up_until: Option<i64>,
    #[serde(default)]
    pub deleted: bool,
    /// The owner of the application of a deleted subscription.
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub etag: Option<String>,
}

impl Subscription {
    pub fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("UNBLOCKED")
    }

    pub fn application(&self) -> &str {
        self.application.as_deref().unwrap_or_default()
    }

    pub fn api(&self) -> &str {
        self.api.as_deref().unwrap_or_default()
    }

    /// Whether it is blocked now.
    pub fn is_blocked(&self) -> bool {
        ["BLOCKED", "PROD_ONLY_BLOCKED"].contains(&self.state())
    }

    /// Whether a block begins later.
    pub fn is_planned(&self) -> bool {
        self.block.is_some() && !self.is_blocked()
    }

    /// The block that begins later, while another one goes on until then. Of that one only the state is known.
    pub fn next_block(&self, now: i64) -> Option<&Block> {
        self.block.as_ref().filter(|block| self.is_blocked() && !self.deleted && block.begins_after(now))
    }

    /// When its block began; `None` if nothing is recorded of that. Of a deleted subscription a planned block has begun.
    pub fn since(&self, now: i64) -> Option<i64> {
        let block = self.block.as_ref().filter(|block| self.is_planned() || !block.begins_after(now))?;
        block.from.or(block.at)
    }
}

/// The record of a block. `by` and `reason` are not told to everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Block {
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub at: Option<i64>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub from: Option<i64>,
    #[serde(default)]
    pub until: Option<i64>,
    /// The state that the subscription gets back, if it is not UNBLOCKED.
    #[serde(default)]
    pub before: Option<String>,
}

impl Block {
    /// Whether it begins after this time.
    pub fn begins_after(&self, now: i64) -> bool {
        self.from.is_some_and(|from| from > now)
    }
}

/// What a block would concern.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Preview {
    pub applications: u64,
    pub keys: u64,
    pub requests_last_day: u64,
}

/// A plan.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Plan {
    pub id: String,
    #[serde(default)]
    pub limits: Option<Vec<Limit>>,
    #[serde(default)]
    pub burst: Option<Limit>,
    #[serde(default)]
    pub stop_on_quota_reach: Option<bool>,
    #[serde(default)]
    pub operations: Option<Vec<Operation>>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub etag: Option<String>,
}

/// A number of requests in a window.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Limit {
    pub requests: u64,
    pub per: String,
}

/// Requests that a plan allows.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Operation {
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    pub path: String,
}

/// Which gateways decide by a revision.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    pub revision: i64,
    pub live: u64,
    pub have: u64,
    pub missing: Gateways,
    pub silent: Gateways,
    #[serde(default)]
    pub after_ms: Option<i64>,
    pub complete: bool,
}

/// Gateways of a receipt: their names, or their number for those who may not see names.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Gateways {
    Number(u64),
    Names(Vec<Gateway>),
}

impl Gateways {
    pub fn count(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Names(names) => u64::try_from(names.len()).unwrap_or(u64::MAX),
        }
    }

    pub fn names(&self) -> &[Gateway] {
        match self {
            Self::Number(_) => &[],
            Self::Names(names) => names,
        }
    }
}

/// A gateway, as receipts name it.
#[derive(Clone, Debug, Deserialize)]
pub struct Gateway {
    pub client_id: String,
    #[serde(default)]
    pub instance: Option<String>,
}
