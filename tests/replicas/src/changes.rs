//! The administrators: each makes one change after the other, at any replica, and records acknowledged changes.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    Error, Result,
    http::{Answer, Ask, Connection},
};

use tokio::sync::Semaphore;

use crate::replicas::TOKEN;

/// How long an administrator waits for an answer before asking another replica.
const PATIENCE: Duration = Duration::from_secs(10);

/// An acknowledged change.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub revision: i64,
    pub asked: Instant,
    pub answered: Instant,
    pub replica: usize,
}

/// The record of acknowledged changes.
#[derive(Debug, Default)]
pub struct Book {
    pub changes: Mutex<Vec<Change>>,
    /// Digests of created keys.
    pub keys: Mutex<BTreeSet<String>>,
    /// Digests of revoked keys. A revoked key stays revoked.
    pub revoked: Mutex<BTreeSet<String>>,
    /// Number of requests without an answer, or with 503.
    pub failed: AtomicU64,
    pub stop: AtomicBool,
}

/// One connection to each replica.
pub struct Client {
    addresses: Vec<SocketAddr>,
    open: Vec<Option<Connection>>,
}

impl Client {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        Self { addresses: addresses.to_vec(), open: addresses.iter().map(|_| None).collect() }
    }

    /// Returns the answer of a replica. The next request opens a failed connection again.
    pub async fn send(&mut self, replica: usize, ask: &Ask, patience: Duration) -> Result<Answer> {
        let mut connection = match self.open[replica].take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => Connection::open(self.addresses[replica]).await?,
        };
        let answer = tokio::time::timeout(patience, connection.send(ask)).await;
        let answer = answer.map_err(|_| Error::Deadline {
            what: ask.to_string(),
            waited: patience,
            last: "no answer".to_owned(),
        })??;
        self.open[replica] = Some(connection);
        Ok(answer)
    }
}

/// A digest for `number`.
pub fn digest(number: u64) -> String {
    format!("{:064x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Creates an API, and an application with a subscription, before the load.
pub async fn seed(address: SocketAddr) -> Result<()> {
    let mut client = Client::new(&[address]);
    for (path, body) in [
        ("/v1/apis", json!({"id": "api-1", "match": [{"path": "/one"}]})),
        ("/v1/applications", json!({"id": "app-1", "owner": "alice"})),
        ("/v1/subscriptions", json!({"id": "s-1", "application": "app-1", "api": "api-1"})),
    ] {
        let answer = client.send(0, &post(path, body), PATIENCE).await?;
        if !answer.status.is_success() {
            return Err(Error::Unexpected {
                what: path.to_owned(),
                expected: "2xx".to_owned(),
                found: answer.to_string(),
            });
        }
    }
    Ok(())
}

fn post(path: &str, body: Value) -> Ask {
    Ask::new("POST", path).header("authorization", TOKEN).json(body)
}

/// Makes changes until the book says stop: creates keys and revokes each fourth one at once. `due` has a permit for
/// each due change; without `due`, changes follow at once.
pub async fn administrate(book: &Book, addresses: &[SocketAddr], first: u64, due: Option<&Semaphore>) -> Result<()> {
    let mut client = Client::new(addresses);
    let mut replica = usize::try_from(first).unwrap_or_default() % addresses.len();
    for number in first.. {
        let id = format!("k-{number}");
        let made = json!({"id": id, "application": "app-1", "sha256": digest(number)});
        wait(due).await;
        if book.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        change(book, &mut client, &mut replica, &post("/v1/keys", made)).await?;
        book.keys.lock().map_err(poisoned)?.insert(digest(number));
        if number % 4 == 0 {
            wait(due).await;
            if book.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            change(book, &mut client, &mut replica, &post(&format!("/v1/keys/{id}/revoke"), json!({}))).await?;
            book.revoked.lock().map_err(poisoned)?.insert(digest(number));
        }
    }
    Ok(())
}

async fn wait(due: Option<&Semaphore>) {
    if let Some(due) = due {
        // The semaphore is never closed.
        let _ = due.acquire().await.map(tokio::sync::SemaphorePermit::forget);
    }
}

/// Repeats a change at different replicas until it is acknowledged. A change that had already happened counts as
/// acknowledged.
async fn change(book: &Book, client: &mut Client, replica: &mut usize, ask: &Ask) -> Result<()> {
    loop {
        *replica = (*replica + 1) % client.addresses.len();
        let asked = Instant::now();
        let answer = match client.send(*replica, ask, PATIENCE).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) if answer.status.as_u16() != 503 => {
                let what = ask.to_string();
                return Err(Error::Unexpected { what, expected: "2xx or 503".to_owned(), found: answer.to_string() });
            }
            _ => {
                book.failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let revision = answer.header("x-policy-revision").and_then(|text| text.parse().ok()).unwrap_or_default();
        let change = Change { revision, asked, answered: Instant::now(), replica: *replica };
        book.changes.lock().map_err(poisoned)?.push(change);
        return Ok(());
    }
}

pub fn poisoned<T>(_: T) -> Error {
    Error::Io { what: "a lock".to_owned(), error: std::io::Error::other("a task has panicked") }
}
