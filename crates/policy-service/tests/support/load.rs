//! Two hundred changes a second that go on while a database is backed up and put back, and what must be left of them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{TOKEN, digest, program::Program};

/// Administrators, each of whom makes one change after the other.
const WRITERS: u64 = 8;
/// Changes a second, of all of them, as far as the machine allows.
const RATE: u64 = 200;
/// The number of the first key. Smaller ones are the test's own.
const FIRST: u64 = 1_000_000;

/// How long changes may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// An acknowledged change: a new key.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub key: u64,
    pub revision: u64,
    pub asked: Instant,
    pub answered: Instant,
}

/// Changes that go on.
pub struct Load {
    stop: Arc<AtomicBool>,
    made: Arc<Mutex<Vec<Made>>>,
    writers: JoinSet<()>,
}

impl Load {
    /// Begins to make keys of `app-1`. Each must be acknowledged, unless the database is busy.
    pub fn begin(service: &Program) -> Self {
        let mut load = Self { stop: Arc::default(), made: Arc::default(), writers: JoinSet::new() };
        for writer in 0..WRITERS {
            let (stop, made) = (Arc::clone(&load.stop), Arc::clone(&load.made));
            let (client, url) = (service.client.clone(), format!("{}/v1/keys", service.url));
            load.writers.spawn(async move {
                let mut due = tokio::time::interval(Duration::from_millis(1_000 * WRITERS / RATE));
                for key in (FIRST + writer..).step_by(WRITERS as usize) {
                    due.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = json!({"id": format!("k-{key}"), "application": "app-1", "sha256": digest(key)});
                    let asked = Instant::now();
                    let answer = client.post(&url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
                    // The database is busy, as a slow disk makes it, and the change was not made.
                    if answer.status().as_u16() == 503 {
                        continue;
                    }
                    let revision =
                        answer.headers().get("x-policy-revision").map(|held| held.to_str().unwrap().to_owned());
                    assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
                    let revision = revision.unwrap().parse().unwrap();
                    made.lock().unwrap().push(Made { key, revision, asked, answered: Instant::now() });
                }
            });
        }
        load
    }

    /// Waits until this many changes were asked for from now on, and acknowledged. How long that takes depends on the machine.
    pub async fn goes_on(&self, changes: usize) {
        let begun = Instant::now();
        let since = |made: &[Made]| made.iter().filter(|made| made.asked >= begun).count();
        while since(&self.made.lock().unwrap()) < changes {
            assert!(begun.elapsed() < PATIENCE, "changes are no longer acknowledged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends when the last change is acknowledged. Returns all.
    pub async fn end(mut self) -> Vec<Made> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(writer) = self.writers.join_next().await {
            writer.unwrap();
        }
        std::mem::take(&mut self.made.lock().unwrap())
    }
}

/// The keys of a page that the load has made.
pub fn keys_of(page: &Value) -> BTreeSet<u64> {
    assert!(page["next"].is_null(), "one page");
    let digests = page["keys"].as_array().unwrap().iter().map(|key| key["sha256"].as_str().unwrap());
    digests.map(|digest| u64::from_str_radix(&digest[48..], 16).unwrap()).filter(|key| *key >= FIRST).collect()
}

/// Checks that exactly the changes up to `revision` are there, of those that were made before `until`.
///
/// `from` is the revision before the first change.
pub fn assert_prefix(found: &BTreeSet<u64>, made: &[Made], (from, revision): (u64, u64), until: Instant) {
    let before: Vec<&Made> = made.iter().filter(|made| made.answered <= until).collect();
    let expected: BTreeSet<u64> = before.iter().filter(|made| made.revision <= revision).map(|made| made.key).collect();
    assert_eq!(expected.len() as u64, revision - from, "each change has a revision of its own");
    assert!(expected.len() > 10, "{} changes before the backup", expected.len());
    assert!(before.len() > expected.len() + 10, "changes went on: {} of {}", expected.len(), before.len());
    let lost: Vec<&u64> = expected.difference(found).collect();
    assert!(lost.is_empty(), "acknowledged before the backup, and lost: {lost:?}");
    let back: Vec<u64> = before.iter().filter(|made| made.revision > revision).map(|made| made.key).collect();
    let torn: Vec<&u64> = back.iter().filter(|key| found.contains(key)).collect();
    assert!(torn.is_empty(), "later than the backup, and there: {torn:?}");
}
