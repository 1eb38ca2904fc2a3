//! `block`, `unblock`, `approve` and `reject`.

use management::{applications::Application, resource::Resource as _, subscriptions::Subscription};
use serde_json::{Map, Value, json};

use super::receipt;
use crate::{
    cli::{
        args::{self, Wait},
        changes::{Block, Decide, Unblock},
    },
    client::{Answer, Client, path_of},
    failure::{Done, Failure, Outcome},
    output::{self, Screen, details, note, plain},
    times,
};

/// Blocks a subscription or an application, or says what a block would concern.
pub fn block(client: &Client, screen: &mut Screen, asked: &Block) -> Outcome {
    receipt::check(asked.wait)?;
    let now = times::now();
    let mut body = Map::new();
    let mut add = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    if asked.application {
        if asked.state != args::BlockName::Blocked {
            return Err(Failure::Usage("an application can only be BLOCKED; leave --state out".to_owned()));
        }
    } else {
        add("state", Some(args::word(&asked.state).into()));
    }
    add("reason", asked.reason.clone().map(Value::from));
    add("note", asked.note.clone().map(Value::from));
    add("from", asked.from.map(|time| time.seconds(now).into()));
    add("until", asked.until.map(|time| time.seconds(now).into()));
    let path = format!("{}/block", target(&asked.id, asked.application));
    if asked.dry_run {
        let preview = client.post(&path, &[("dry_run", "true".to_owned())], &body)?.body;
        return show_preview(screen, &preview);
    }
    let answer = client.post(&path, &[], &body);
    let answer = answer.map_err(|failure| other_kind(client, failure, &asked.id, asked.application, "block"))?;
    show(client, screen, &answer, asked.wait)
}

/// Ends a block.
pub fn unblock(client: &Client, screen: &mut Screen, asked: &Unblock) -> Outcome {
    receipt::check(asked.wait)?;
    let path = format!("{}/unblock", target(&asked.id, asked.application));
    let answer = client.post(&path, &[], &because(asked.reason.as_ref()));
    let answer = answer.map_err(|failure| other_kind(client, failure, &asked.id, asked.application, "unblock"))?;
    show(client, screen, &answer, asked.wait)
}

/// Approves or rejects subscriptions.
pub fn decide(client: &Client, screen: &mut Screen, asked: &Decide, action: &str) -> Outcome {
    receipt::check(asked.wait)?;
    let mut done = Done::Well;
    for id in &asked.ids {
        let path = format!("{}/{action}", target(id, false));
        let answer = client.post(&path, &[], &because(asked.reason.as_ref()))?;
        if show(client, screen, &answer, asked.wait)? == Done::Incomplete {
            done = Done::Incomplete;
        }
    }
    Ok(done)
}

fn target(id: &str, is_application: bool) -> String {
    path_of(if is_application { Application::PATH } else { Subscription::PATH }, id)
}

fn because(reason: Option<&String>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

/// Says so if the id is that of an application, which needs `--application`.
fn other_kind(client: &Client, failure: Failure, id: &str, is_application: bool, action: &str) -> Failure {
    let is_other = failure.status() == Some(404)
        && !is_application
        && client.find::<Application>(id).is_ok_and(|found| found.is_some());
    match is_other {
        true => Failure::Other(format!(
            "{id} is an application, no subscription; `keygatectl {action} --application {id}` {action}s it",
            id = plain(id)
        )),
        false => failure,
    }
}

fn show(client: &Client, screen: &mut Screen, answer: &Answer, wait: Wait) -> Outcome {
    let row = &answer.body;
    if !screen.is_json {
        let text = |at: &str| row.pointer(at).and_then(Value::as_str).unwrap_or("?");
        // A block whose time has come is the state.
        let is_planned =
            row.pointer("/block/state").and_then(Value::as_str).is_some_and(|state| state != text("/state"));
        let plan = if is_planned { ", a block is planned" } else { "" };
        let state = format!("{}{plan}", output::styled(text("/state")));
        screen.line(&match row.pointer("/api") {
            Some(_) => format!(
                "subscription {} ({} to {}): {state}",
                plain(text("/id")),
                plain(text("/application")),
                plain(text("/api"))
            ),
            None => format!("application {}: {state}", plain(text("/id"))),
        })?;
        if let Some(block) = row.pointer("/block") {
            details::object(screen, block, &[], times::now())?;
        }
        screen.flush()?;
    }
    let receipt = receipt::wait(client, wait, answer);
    receipt::end(screen, row, receipt, Done::Well)
}

fn show_preview(screen: &mut Screen, preview: &Value) -> Outcome {
    if screen.is_json {
        screen.json(preview)?;
        return Ok(Done::Well);
    }
    screen.line("The block would concern:")?;
    details::object(screen, preview, &[], times::now())?;
    note("Nothing was changed.");
    Ok(Done::Well)
}
