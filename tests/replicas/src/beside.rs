//! A real Envoy beside simulated gateways: each of its workers is asked as soon as a receipt is complete.
//!
//! Simulated gateways say what they were told to say. This one decides requests, so it shows whether a receipt is true.

use std::{net::SocketAddr, time::Duration};

use keygate_e2e::{
    Options, Stack,
    http::{Answer, Ask},
    policy_service::{GATEWAY_ID, GATEWAY_SECRET},
    stack::Policy,
    workers::Workers,
};
use serde_json::json;
use testkit::{Error, Result, deadline::eventually};

use crate::{changes::Client, replicas::TOKEN};

/// Worker threads of the Envoy.
const WORKERS: usize = 4;
/// How long it may take to load the policy.
const LOADING: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);

/// The pair of client id and secret that the service must know, as in `POLICY_GATEWAYS`.
pub fn credential() -> String {
    format!("{GATEWAY_ID}:{GATEWAY_SECRET}")
}

/// An Envoy with four workers, a connection to each of them, and a request that the subscription `s-1` allows.
pub struct Beside {
    stack: Stack,
    workers: Workers,
    ask: Ask,
}

impl Beside {
    /// Starts it with the policy of the service at `address`.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let options = Options { policy: Policy::At(address), ..Options::default() };
        let stack = Stack::start("bench-receipts", options.workers(WORKERS)).await?;
        let issue = Ask::new("POST", "/v1/applications/app-1/keys").header("authorization", TOKEN).json(json!({}));
        let issued = Client::new(&[address]).send(0, &issue, PATIENCE).await?.json();
        let key = issued["key"].as_str().ok_or_else(|| Error::unexpected("a new key", "`key`", issued.to_string()))?;
        let ask = Ask::get("/one").header("x-api-key", key);
        let mut workers = Workers::connect(stack.envoy()?).await?;
        eventually("the policy on each worker", LOADING, async || {
            let answers = workers.send(&ask).await?;
            let waiting = answers.into_iter().find(|(_, answer)| answer.status != 200);
            waiting.map_or(Ok(()), |(worker, answer)| Err(Error::unexpected(worker, "200", answer.to_string())))
        })
        .await?;
        Ok(Self { stack, workers, ask })
    }

    /// The number of workers whose first answer from now on is not the one that a complete receipt promises: a refusal
    /// because of the block, or 200.
    pub async fn exceptions(&mut self, is_blocked: bool) -> Result<usize> {
        let as_promised = |answer: &Answer| match is_blocked {
            true => answer.status != 200 && answer.body.contains("blocked"),
            false => answer.status == 200,
        };
        let answers = self.workers.send(&self.ask).await?;
        Ok(answers.iter().filter(|(_, answer)| !as_promised(answer)).count())
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }
}
