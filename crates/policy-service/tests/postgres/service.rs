//! Services on one PostgreSQL database, as programs.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::postgres::Postgres;

use crate::support::{TOKEN, digest, program::Prepared, program::Program};

/// A service that has not been started yet, on the database `url`.
pub fn prepared(url: &str) -> Prepared {
    let mut prepared = Program::command(&["serve"]);
    prepared.variable("POLICY_DATABASE", Some(url));
    prepared
}

/// A running service on the database `url`.
pub fn serve(url: &str) -> Program {
    prepared(url).start()
}

/// A new database on the shared server.
pub fn database() -> String {
    Postgres::shared().unwrap().database().unwrap()
}

/// The name of a database in its URL.
pub fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

impl Program {
    /// A POST that may fail and is given up after `within`.
    pub async fn try_post(&self, path: &str, body: Value, within: Duration) -> Option<u16> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(TOKEN).json(&body).timeout(within);
        request.send().await.ok().map(|response| response.status().as_u16())
    }

    /// Makes a key `k-<number>` of `app-1`.
    pub async fn make_key(&self, number: u64) -> (u16, Value) {
        let key = json!({"id": format!("k-{number}"), "application": "app-1", "sha256": digest(number)});
        self.post("/v1/keys", key).await
    }

    /// A poll from `revision` that is held for up to `wait` seconds until something is new.
    pub async fn held_poll(&self, path: &str, wait: u32) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.url)).basic_auth("gw", Some("secret"));
        let response = request.header("prefer", format!("wait={wait}")).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }
}
