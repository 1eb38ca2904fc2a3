//! The stack for the tests in a browser (`tests/console`): the policy service, two Envoys and the data of [`door`], driven by
//! lines.
//!
//! The first line on stdout is a JSON object with the addresses, tokens and keys. Then each line on stdin is a command, which
//! is answered with `done` when it is: `restart` kills the policy service and starts it again on its database, `stop` and
//! `start` end and start the second Envoy. The stack ends with stdin.
//!
//! `POLICY_PORT` is the port of the policy service (a free one without it), because a sign-in by OpenID Connect needs an
//! address that the identity provider knows before. The other `POLICY_…` variables reach the service as they are.

use std::io::Write as _;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

use crate::{
    Error, Options, Result, Stack, door,
    policy_service::ADMIN_TOKEN,
    stack::{Policy, Ports},
    story,
};

/// Starts the stack, and obeys until stdin ends.
pub async fn run() -> Result<()> {
    let name = std::env::var("STACK_NAME").unwrap_or_else(|_| "driven".to_owned());
    let ports = Ports { policy: policy_port()?, ..Ports::default() };
    let (mut first, keys) = story::stage(&name, named("edge-1", Options { ports, ..Options::default() })).await?;
    let policy = first.policy()?.address();
    let second = Options { policy: Policy::At(policy), ..Options::default() };
    let mut second = Stack::start(&format!("{name}-2"), named("edge-2", second)).await?;
    let tokens = door::open(&first, &keys).await?;
    let gateways = [first.envoy()?.gateway().to_string(), second.envoy()?.gateway().to_string()];
    say(&json!({
        "policy": format!("http://{policy}"),
        "gateways": gateways.map(|gateway| format!("http://{gateway}")),
        "database": first.folder().join("policy.db"),
        "log": first.folder().join("policy-service.log"),
        "tokens": {"administrator": ADMIN_TOKEN, "publisher": tokens.publisher, "subscriber": tokens.subscriber,
                   "operator": tokens.operator},
        "keys": {"production": keys.production, "sandbox": keys.sandbox, "partner": keys.partner,
                 "visitor": keys.visitor},
    })
    .to_string());
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.map_err(Error::io("reading stdin"))? {
        match line.as_str() {
            "restart" => first.policy_mut()?.restart().await?,
            "stop" => second.stop_envoy().await,
            "start" => second.start_envoy().await?,
            other => return Err(Error::unexpected("stdin", "restart, stop or start", other)),
        }
        let gateway = second.envoy().map(|envoy| envoy.gateway().to_string()).unwrap_or_default();
        say(&format!("done {gateway}"));
    }
    second.stop().await;
    first.stop().await;
    Ok(())
}

/// An Envoy with a name, as the gateways' page shows it.
fn named(name: &str, options: Options) -> Options {
    door::hasty(options)
        .edit(r#""expire_after_ms": 3600000,"#, format!(r#""expire_after_ms": 3600000, "instance": "{name}","#))
}

fn policy_port() -> Result<u16> {
    match std::env::var("POLICY_PORT") {
        Err(_) => Ok(0),
        Ok(text) => text.parse().map_err(|_| Error::unexpected("POLICY_PORT", "a port", text)),
    }
}

/// Prints a line. A caller that has gone also ends stdin.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}
