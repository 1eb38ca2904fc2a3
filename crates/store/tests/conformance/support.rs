//! Rows and changes that the properties are made of.

use std::sync::Arc;

use management::port::{Act, Actor, Error, Kind, NewRow, Origin, Scope, Store, Transaction};
use serde_json::{Value, json};

/// 2025-06-01T00:00:00Z, the time of all acts of a test unless it names another.
pub const NOW: i64 = 1_748_736_000;
pub const DAY: i64 = 86_400;

pub fn act(actor: Actor, now: i64) -> Act {
    Act {
        actor,
        now,
        random: |bytes| {
            bytes.fill(7);
            Ok(())
        },
        origin: Origin::default(),
    }
}

pub async fn begin(store: &Store) -> Box<dyn Transaction> {
    store.begin(act(Actor::administrator(), NOW)).await.unwrap()
}

/// A row of this kind. The columns by which the database finds it come from its document.
pub fn row(kind: Kind, id: &str, document: Value) -> NewRow {
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let identity = match kind {
        Kind::Key => text("sha256").unwrap(),
        Kind::Subscription => format!("{}\u{1f}{}", text("application").unwrap(), text("api").unwrap()),
        _ => id.to_owned(),
    };
    let application = if kind == Kind::Application { Some(id.to_owned()) } else { text("application") };
    NewRow {
        kind,
        id: id.to_owned(),
        identity,
        application,
        api: text("api").filter(|_| kind == Kind::Subscription),
        plan: text("plan"),
        kept_block: None,
        kept_owner: None,
        beside: None,
        due: None,
        state_before: None,
        document: document.to_string(),
    }
}

pub fn api(id: &str, path: &str) -> NewRow {
    row(Kind::Api, id, json!({"id": id, "state": "PUBLISHED", "match": [{"path": path}]}))
}

pub fn application(id: &str, owner: &str, state: &str) -> NewRow {
    row(Kind::Application, id, json!({"id": id, "owner": owner, "state": state}))
}

pub fn key(id: &str, application: &str, state: &str) -> NewRow {
    let document =
        json!({"id": id, "sha256": digest(id), "application": application, "type": "PRODUCTION", "state": state});
    row(Kind::Key, id, document)
}

pub fn subscription(id: &str, application: &str, api: &str, state: &str) -> NewRow {
    row(Kind::Subscription, id, json!({"application": application, "api": api, "state": state}))
}

/// A digest for `id`.
pub fn digest(id: &str) -> String {
    let hexadecimal: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hexadecimal:0>64}")
}

/// Writes rows in one change. Returns its revision.
pub async fn put(store: &Store, rows: &[NewRow]) -> i64 {
    let mut change = begin(store).await;
    for row in rows {
        match change.find(row.kind, &row.id).await.unwrap() {
            Some(stored) => change.replace(&stored, row).await.unwrap(),
            None => change.insert(row).await.unwrap(),
        }
    }
    change.commit().await.unwrap()
}

/// Removes a row in one change. Returns its revision.
pub async fn remove(store: &Store, kind: Kind, id: &str) -> i64 {
    let mut change = begin(store).await;
    let stored = change.find(kind, id).await.unwrap().unwrap();
    change.remove(&stored).await.unwrap();
    change.commit().await.unwrap()
}

pub fn only(apis: &[&str]) -> Scope {
    Scope::Apis(Arc::new(apis.iter().map(|api| (*api).to_owned()).collect()))
}

/// Which rows to read.
#[derive(Clone, Copy)]
pub enum Part {
    Full,
    Removed(i64),
    Changed(i64),
}

/// Reads all documents of a part of the policy at a revision, in pages of `limit` rows.
pub async fn read(store: &Store, scope: &Scope, part: Part, at: i64, limit: usize) -> Result<Vec<String>, Error> {
    let mut snapshot = store.snapshot().await?;
    let mut documents = Vec::new();
    let mut after = 0;
    loop {
        let page = match part {
            Part::Full => snapshot.full(scope, at, after, limit).await?,
            Part::Removed(since) => snapshot.removed(scope, since, at, after, limit).await?,
            Part::Changed(since) => snapshot.changed(scope, since, at, after, limit).await?,
        };
        assert_eq!(usize::try_from(page.count).unwrap(), page.iter().count());
        assert!(page.iter().count() <= limit);
        documents.extend(page.iter().map(|(_, document)| document.to_owned()));
        let Some(next) = page.next else { break };
        assert!(next > after, "a page goes on");
        after = next;
    }
    documents.sort();
    Ok(documents)
}

pub fn documents(rows: &[NewRow]) -> Vec<String> {
    let mut documents: Vec<String> = rows.iter().map(|row| row.document.clone()).collect();
    documents.sort();
    documents
}
