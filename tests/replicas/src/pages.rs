//! The console over a million keys: every page that links lead to, and the slowest searches, in a real browser.
//!
//! `tests/console/million.mjs` opens the pages and measures them. This file makes what they show: the policy of [`million`],
//! owners for its APIs, and usage of 100,000 subscriptions.

use std::{path::Path, time::Duration};

use serde_json::json;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use testkit::{Error, Result, http::Ask};
use tokio::process::Command;

use crate::{
    changes::Client,
    database::{Database, Kind, failed},
    million,
    replicas::{Replicas, TOKEN},
    row,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// Subscriptions, and the hours of usage of each.
const USED: u64 = 100_000;
const HOURS: u64 = 38;
/// Who has all APIs, and who has 50 of the applications.
const PUBLISHER: &str = "dana";
const SUBSCRIBER: &str = "owner-7";

/// Measures the pages. Returns whether each was quick and small enough.
pub async fn measure(kind: Kind, keys: u64, service: &Path) -> Result<bool> {
    let database = Database::start(kind, service).await?;
    million::import(&database, keys, (keys / USED).max(1))?;
    let replicas = Replicas::start(&database, 1).await?;
    let mut client = Client::new(&replicas.addresses);
    for api in 0..10 {
        let body = json!({"match": [{"path": format!("/{api}")}], "name": format!("API {api}"), "owner": PUBLISHER});
        ask(&mut client, Ask::new("PUT", format!("/v1/apis/api-{api}")).json(body)).await?;
    }
    used(&database).await?;
    for number in (0..1_000).step_by(7) {
        let body = json!({"reason": "unpaid", "note": "Please pay"});
        ask(&mut client, Ask::new("POST", format!("/v1/subscriptions/s-{number}/block")).json(body)).await?;
    }
    let mut tokens = serde_json::Map::new();
    for (role, subject) in [("administrator", "adam"), ("publisher", PUBLISHER), ("subscriber", SUBSCRIBER)] {
        let made =
            ask(&mut client, Ask::new("POST", "/v1/tokens").json(json!({"role": role, "subject": subject}))).await?;
        tokens.insert(role.to_owned(), made["token"].clone());
    }
    let facts = json!({"policy": format!("http://{}", replicas.addresses[0]), "tokens": tokens, "subscriptions": USED,
        "database": kind.to_string()});
    let mut node = Command::new("node");
    node.arg("tests/console/million.mjs").env("FACTS", facts.to_string()).kill_on_drop(true);
    let status = node.status().await.map_err(Error::io("starting node"))?;
    if !status.success() {
        row(kind, "pages of the console", "**slow, or large**");
    }
    Ok(status.success())
}

async fn ask(client: &mut Client, ask: Ask) -> Result<serde_json::Value> {
    let ask = ask.header("authorization", TOKEN);
    let answer = client.send(0, &ask, PATIENCE).await?;
    match answer.status.is_success() {
        true => Ok(answer.json()),
        false => Err(Error::unexpected(ask.to_string(), "2xx", answer.to_string())),
    }
}

/// Usage as gateways would have reported it, written without them: hours of 100,000 subscriptions, with refusals.
async fn used(database: &Database) -> Result<()> {
    let (numbers, hours) = match database.kind {
        Kind::Postgres => (
            format!("generate_series(0, {}) AS numbers(n)", USED - 1),
            format!("generate_series(1, {HOURS}) AS hours(h)"),
        ),
        Kind::Sqlite => (
            format!(
                "(WITH RECURSIVE r(n) AS (VALUES(0) UNION ALL SELECT n + 1 FROM r WHERE n < {}) SELECT n FROM r)",
                USED - 1
            ),
            format!(
                "(WITH RECURSIVE r(h) AS (VALUES(1) UNION ALL SELECT h + 1 FROM r WHERE h < {HOURS}) SELECT h FROM r)"
            ),
        ),
    };
    let now = match database.kind {
        Kind::Postgres => "extract(epoch FROM now())::bigint",
        Kind::Sqlite => "unixepoch()",
    };
    let rows = format!(
        "INSERT INTO usage (application, api, hour, plan, outcome, requests)
         SELECT 'app-' || n, 'api-' || (n % 10), {now} / 3600 * 3600 - 3600 * h, '',
             CASE WHEN h % 5 = 0 THEN 'quota_exceeded' ELSE 'allowed' END, 1 + n % 7
         FROM {numbers} CROSS JOIN {hours}"
    );
    let sums = "INSERT INTO usage_api (api, hour, outcome, requests)
         SELECT api, hour, outcome, sum(requests) FROM usage GROUP BY api, hour, outcome";
    match database.kind {
        Kind::Postgres => {
            let mut connection = PgConnection::connect(&database.url).await.map_err(failed)?;
            for text in [rows.as_str(), sums] {
                sqlx::query(text).execute(&mut connection).await.map_err(failed)?;
            }
        }
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(&database.url).await.map_err(failed)?;
            for text in [rows.as_str(), sums] {
                sqlx::query(text).execute(&mut connection).await.map_err(failed)?;
            }
        }
    }
    Ok(())
}
