//! The database of the policy service is restored from a backup. Gateways that are ahead of it notice by themselves. No
//! later block is lost, every change arrives, and the changes of the lost history are gone.

use std::{path::PathBuf, time::Duration};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    http::Ask,
    load::Load,
    policy_service::PolicyService,
    ports,
    story::{self, Expected, Keys, ORDERS, PAYMENTS},
    workers::Workers,
};
use serde_json::json;

/// How long a change may take: the pauses after failures while the service was down, and a full policy.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNKNOWN: Expected = Expected::Refused(401, "900901", "Invalid Credentials");

/// A gateway that is three revisions ahead of the database in `backup`.
struct Ahead {
    stack: Stack,
    workers: Workers,
    keys: Keys,
    /// A key that exists only in the lost history.
    late: String,
    backup: PathBuf,
    /// The revision in the backup.
    revision: u64,
}

impl Ahead {
    async fn start(name: &str) -> Self {
        let options = Options::default().edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#);
        let (mut stack, keys) = story::stage(name, options).await.unwrap();
        let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
        let backup = stack.folder().join("backup");
        let policy = stack.policy_mut().unwrap();
        policy.stop().await;
        policy.back_up(&backup).unwrap();
        policy.restart().await.unwrap();
        becomes(&mut workers, &keys.partner, ORDERS, REACHES).await;
        let revision = held(&stack).await;

        let policy = stack.policy().unwrap();
        policy.post("/v1/subscriptions/partner-orders/block", None).await.unwrap();
        let late = story::key(policy, "shop", json!({"type": "PRODUCTION"})).await.unwrap();
        policy.post("/v1/applications", Some(json!({"id": "lost", "name": "lost"}))).await.unwrap();
        becomes(&mut workers, &keys.partner, ORDERS, BLOCKED).await;
        becomes(&mut workers, &late, ORDERS, REACHES).await;
        eventually("three revisions more", SEEN_WITHIN, async || match held(&stack).await {
            held if held == revision + 3 => Ok(()),
            held => Err(format!("{held} after {revision}")),
        })
        .await
        .unwrap();
        Self { stack, workers, keys, late, backup, revision }
    }

    /// Stops the service and replaces its database by the backup.
    async fn put_back(&mut self) {
        let policy = self.stack.policy_mut().unwrap();
        policy.stop().await;
        policy.put_back(&self.backup).unwrap();
    }

    async fn becomes(&mut self, key: &str, path: &str, expected: Expected) {
        becomes(&mut self.workers, key, path, expected).await;
    }

    /// The gateway decides by the database, and nothing of the lost history remains.
    async fn is_as_the_database_says(&mut self) {
        let (late, partner) = (self.late.clone(), self.keys.partner.clone());
        self.becomes(&partner, ORDERS, REACHES).await;
        self.becomes(&late, ORDERS, UNKNOWN).await;
    }

    async fn stop(self) {
        let envoy = self.stack.envoy().unwrap();
        assert_eq!(envoy.stat("wasmcustom.keygate.policy.refused_rollback").await.unwrap(), 0, "{}", envoy.log());
        assert!(self.stack.policy().unwrap().log().contains("this database has lost"), "the service says what it did");
        self.stack.stop().await;
    }
}

async fn becomes(workers: &mut Workers, key: &str, path: &str, expected: Expected) {
    let ask = Ask::get(path).key(key);
    eventually(format!("{path}: {expected}"), SEEN_WITHIN, async || workers.expect(&ask, expected).await)
        .await
        .unwrap();
}

/// The revision that the gateway holds.
async fn held(stack: &Stack) -> u64 {
    stack.envoy().unwrap().stat("wasmcustom.keygate.policy.revision").await.unwrap()
}

/// Creates revisions by creating applications.
async fn changes(policy: &PolicyService, name: &str, count: usize) {
    for number in 0..count {
        let id = format!("{name}-{number}");
        policy.post("/v1/applications", Some(json!({"id": id, "name": id}))).await.unwrap();
    }
}

#[tokio::test]
async fn a_block_that_the_restored_history_has_overtaken_is_in_force() {
    let mut ahead = Ahead::start("backup-overtaken").await;
    // Both histories allow these requests, so they are allowed all the time.
    let always = vec![(Ask::get(PAYMENTS).key(&ahead.keys.production), REACHES)];
    let load = Load::start(ahead.stack.envoy().unwrap().gateway().port(), always);
    ahead.put_back().await;
    {
        // The gateway does not ask this port, so it sees neither the revision of the block nor any other below its own.
        let elsewhere = ports::free().unwrap();
        let mut policy = PolicyService::start(ahead.stack.folder(), elsewhere).await.unwrap();
        policy.post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
        changes(&policy, "more", 3).await;
        policy.stop().await;
    }
    ahead.stack.policy_mut().unwrap().restart().await.unwrap();
    let production = ahead.keys.production.clone();
    ahead.becomes(&production, ORDERS, BLOCKED).await;
    ahead.is_as_the_database_says().await;
    let asked = load.end().await.unwrap();
    println!("{asked} answers meanwhile; the backup had revision {}", ahead.revision);
    ahead.stop().await;
}

#[tokio::test]
async fn changes_arrive_while_the_restored_revision_is_below_the_gateways() {
    let mut ahead = Ahead::start("backup-below").await;
    let always = vec![(Ask::get(PAYMENTS).key(&ahead.keys.production), REACHES)];
    let load = Load::start(ahead.stack.envoy().unwrap().gateway().port(), always);
    ahead.put_back().await;
    ahead.stack.policy_mut().unwrap().restart().await.unwrap();
    // Before any change, and after one change. The gateway is three revisions ahead.
    ahead.is_as_the_database_says().await;
    ahead.stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    let production = ahead.keys.production.clone();
    ahead.becomes(&production, ORDERS, BLOCKED).await;
    ahead.is_as_the_database_says().await;
    load.end().await.unwrap();
    ahead.stop().await;
}

#[tokio::test]
async fn the_same_backup_put_back_twice_is_noticed_twice() {
    let mut ahead = Ahead::start("backup-twice").await;
    let production = ahead.keys.production.clone();
    ahead.put_back().await;
    ahead.stack.policy_mut().unwrap().restart().await.unwrap();
    ahead.is_as_the_database_says().await;
    ahead.stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    changes(ahead.stack.policy().unwrap(), "first", 2).await;
    ahead.becomes(&production, ORDERS, BLOCKED).await;

    // A block in the lost history is lost. A later block is not.
    ahead.put_back().await;
    ahead.stack.policy_mut().unwrap().restart().await.unwrap();
    ahead.becomes(&production, ORDERS, REACHES).await;
    ahead.stack.policy().unwrap().post("/v1/subscriptions/shop-payments/block", None).await.unwrap();
    ahead.becomes(&production, PAYMENTS, BLOCKED).await;
    ahead.is_as_the_database_says().await;
    ahead.stop().await;
}
