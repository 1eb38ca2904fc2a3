//! `keys`: issue, regenerate, revoke, look up, check. A key in clear is on stdout alone, so that it can be piped into a
//! store of secrets.

use keygate::digest::Digest;
use management::{applications::Application, key_form::Form, keys::Key, resource::Resource as _};
use serde_json::{Map, Value, json};

use super::{access::lost, receipt};
use crate::{
    cli::{
        args::{KeySource, word},
        changes::{IssueKey, Keys, RegenerateKey},
    },
    client::{Answer, Client, path_of},
    failure::{Done, Failure, Outcome},
    kinds,
    output::{self, Screen, confirm, details, note, plain, table::Table},
    secret::Secret,
    times,
};

/// Runs a command for keys. Not all of them need a service.
pub fn keys(client: &dyn Fn() -> Result<Client, Failure>, screen: &mut Screen, asked: &Keys) -> Outcome {
    match asked {
        Keys::Issue(asked) => issue(&client()?, screen, asked),
        Keys::Regenerate(asked) => regenerate(&client()?, screen, asked),
        Keys::Revoke { ids, wait, yes } => {
            receipt::check(*wait)?;
            if !confirm(&format!("Revoke {} for ever?", ids.join(", ")), yes.yes)? {
                return Err(Failure::Other("nothing was revoked".to_owned()));
            }
            let client = client()?;
            let mut done = Done::Well;
            for id in ids {
                let answer = client.post(&format!("{}/revoke", path_of(Key::PATH, id)), &[], &json!({}))?;
                if !screen.is_json {
                    screen.line(&format!("key {}: {}", plain(id), output::styled("REVOKED")))?;
                    screen.flush()?;
                }
                let receipt = receipt::wait(&client, *wait, &answer);
                done = receipt::end(screen, &answer.body, receipt, done)?;
            }
            Ok(done)
        }
        Keys::Lookup { source } => look_up(&client()?, screen, source),
        Keys::Check { key_file } => check(screen, &Secret::read(key_file, "the key")?),
    }
}

fn issue(client: &Client, screen: &mut Screen, asked: &IssueKey) -> Outcome {
    receipt::check(asked.wait)?;
    let mut body = Map::new();
    let mut add = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    add("type", Some(word(&asked.of_type).into()));
    add("id", asked.id.clone().map(Value::from));
    add("expires_in", asked.expires_in.map(|span| span.0.into()));
    add("not_before", asked.not_before.map(|time| time.seconds(times::now()).into()));
    add("apis", asked.apis.clone().map(Value::from));
    add("permitted_ips", asked.permitted_ips.clone().map(Value::from));
    add("permitted_referers", asked.permitted_referers.clone().map(Value::from));
    let path = format!("{}/keys", path_of(Application::PATH, &asked.application));
    let answer = client.post(&path, &[], &body)?;
    show_issued(client, screen, &answer, asked.wait)
}

fn regenerate(client: &Client, screen: &mut Screen, asked: &RegenerateKey) -> Outcome {
    receipt::check(asked.wait)?;
    let mut body = Map::new();
    let mut add = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    add("overlap_seconds", asked.overlap.map(|span| span.0.into()));
    add("id", asked.new_id.clone().map(Value::from));
    add("expires_in", asked.expires_in.map(|span| span.0.into()));
    let answer = client.post(&format!("{}/regenerate", path_of(Key::PATH, &asked.id)), &[], &body)?;
    match asked.overlap {
        Some(span) => {
            let until = times::local_exact(times::now().saturating_add(span.0));
            note(&format!("The old key {} is valid until {until}.", asked.id));
        }
        None => note(&format!("The old key {} is revoked.", asked.id)),
    }
    show_issued(client, screen, &answer, asked.wait)
}

fn show_issued(client: &Client, screen: &mut Screen, answer: &Answer, wait: crate::cli::args::Wait) -> Outcome {
    let row = &answer.body;
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let key = text("key").ok_or_else(|| Failure::Unreachable("the answer of the service has no key".to_owned()))?;
    let id = plain(text("id").unwrap_or("?")).into_owned();
    let lost = |failure| lost(&format!("key {id}"), &format!("keygatectl keys revoke {id}"), failure);
    if !screen.is_json {
        // First of all, because nobody can show it again.
        screen.line(key).and_then(|()| screen.flush()).map_err(lost)?;
        output::warning("this key is shown once; keep it in a store of secrets, and give it to its client alone");
        let until = row.get("expires_at").and_then(Value::as_i64);
        let until = until.map_or_else(|| "for ever".to_owned(), |time| format!("until {}", times::local_exact(time)));
        note(&format!(
            "key {id} of {}, {}, valid {until}",
            plain(text("application").unwrap_or("?")),
            plain(text("type").unwrap_or("?")),
        ));
    }
    let receipt = receipt::wait(client, wait, answer);
    if screen.is_json {
        // The key is written even if the receipt cannot be read.
        let all = receipt::beside(row, receipt.as_ref().ok().and_then(Option::as_ref));
        screen.json(&all).and_then(|()| screen.flush()).map_err(lost)?;
    }
    let Some(receipt) = receipt? else { return Ok(Done::Well) };
    match screen.is_json {
        true => receipt::tell(screen, Some(&receipt), Done::Well),
        false => {
            // stdout has the key alone.
            receipt.lines().iter().for_each(|line| output::note_styled(line));
            Ok(if receipt.complete { Done::Well } else { Done::Incomplete })
        }
    }
}

fn look_up(client: &Client, screen: &mut Screen, source: &KeySource) -> Outcome {
    let body = match (&source.key_file, &source.sha256) {
        (Some(path), _) => {
            let key = Secret::read(path, "the key")?;
            // Only the digest leaves this machine.
            json!({ "sha256": Digest::of(key.reveal().as_bytes()).to_hex() })
        }
        (None, digest) => json!({ "sha256": digest }),
    };
    let found = client.post("/v1/keys/lookup", &[], &body)?.body;
    if screen.is_json {
        screen.json(&found)?;
        return Ok(Done::Well);
    }
    let now = times::now();
    screen.line(&output::heading("key"))?;
    details::object(screen, found.get("key").unwrap_or(&Value::Null), &["etag"], now)?;
    if let Some(application) = found.get("application").filter(|value| !value.is_null()) {
        details::section(screen, "application")?;
        details::object(screen, application, &["etag"], now)?;
    }
    let rows = found.get("subscriptions").and_then(Value::as_array).cloned().unwrap_or_default();
    details::section(screen, "subscriptions")?;
    if rows.is_empty() {
        screen.line("  none")?;
    } else {
        Table::new(kinds::SUBSCRIPTIONS, screen, now).page(screen, &rows)?;
    }
    Ok(Done::Well)
}

fn check(screen: &mut Screen, key: &Secret) -> Outcome {
    let form = Form::of(key.reveal());
    let (word, text) = match form {
        Form::Whole => ("whole", "It has the form of keys that the policy service makes, and its checksum is right."),
        Form::Mistyped => ("mistyped", "It begins like a key of the policy service, but it was mistyped or cut."),
        Form::Other => (
            "other",
            "It has another form: that of an earlier version, or of a key from elsewhere. Only a policy service can tell \
             whether it is valid.",
        ),
    };
    if screen.is_json {
        screen.json(&json!({ "form": word }))?;
    } else {
        screen.line(text)?;
    }
    match form {
        Form::Whole => Ok(Done::Well),
        Form::Mistyped | Form::Other => Err(Failure::Other(format!("not a key of this form ({word})"))),
    }
}
