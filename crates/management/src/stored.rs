//! Stored rows that the filter would refuse. An earlier version of the service may have accepted them, or a restored backup
//! may have brought them. Nothing is changed here.

use std::collections::HashSet;

use keygate::policy::{rows, wire};
use serde_json::Value;

use super::{check, error::Error};
use crate::port::{Kind, Scope, Store};

/// Rows that are read at once.
const PAGE: usize = 5_000;

/// A row that the filter would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it is.
    pub kind: Kind,
    /// Its id; of a subscription, its application and its API.
    pub name: String,
    /// Why, with the field.
    pub because: String,
    document: String,
}

impl Refused {
    /// Whether the feed does without it. A deny policy is never left out: the filter refuses a policy with a bad one, and goes
    /// on with the last good one.
    pub fn is_left_out(&self) -> bool {
        self.kind != Kind::DenyPolicy
    }
}

/// All of them, in the order of the feed.
pub async fn refused(store: &Store) -> Result<Vec<Refused>, Error> {
    let mut snapshot = store.snapshot().await?;
    let (revision, mut after, mut found) = (snapshot.state().revision, 0, Vec::new());
    loop {
        let page = snapshot.full(&Scope::All, revision, after, PAGE).await?;
        for (kind, document) in page.iter() {
            if let Err(error) = check(kind, document) {
                let name = name_of(kind, document);
                found.push(Refused { kind, name, because: error.to_string(), document: document.to_owned() });
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(found),
        }
    }
}

/// The documents that the feed does without.
pub fn left_out(refused: Vec<Refused>) -> HashSet<String> {
    refused.into_iter().filter(Refused::is_left_out).map(|refused| refused.document).collect()
}

/// Whether the feed shows this document.
pub fn is_in_feed(kind: Kind, document: &str) -> bool {
    kind == Kind::DenyPolicy || check(kind, document).is_ok()
}

fn check(kind: Kind, document: &str) -> Result<(), Error> {
    match kind {
        Kind::Api => check::row::<wire::ApiRow<'_>, rows::Api>(document),
        Kind::Application => check::row::<wire::ApplicationRow<'_>, rows::Application<'_>>(document),
        Kind::Key => check::key(document),
        Kind::Subscription => check::row::<wire::SubscriptionRow<'_>, rows::Subscription<'_>>(document),
        Kind::Plan => check::row::<wire::PlanRow<'_>, rows::Plan>(document),
        Kind::DenyPolicy => check::row::<wire::DenyPolicyRow<'_>, rows::DenyPolicy>(document),
    }
}

/// Control characters are escaped, so that the name can stand in a line.
fn name_of(kind: Kind, document: &str) -> String {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let field = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or("?").escape_debug().to_string();
    match kind {
        Kind::Subscription => format!("{} to {}", field("application"), field("api")),
        _ => field("id"),
    }
}
