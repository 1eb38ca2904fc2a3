//! `tokens`: who may ask the policy service.

use serde_json::{Value, json};

use super::get;
use crate::{
    cli::{
        args::{Yes, word},
        changes::Tokens,
    },
    client::{Client, path_of},
    failure::{Done, Failure, Outcome},
    kinds,
    output::{self, Screen, confirm, is_asked, note, plain},
    times,
};

const PATH: &str = "/v1/tokens";

/// Lists, issues and revokes tokens.
pub fn tokens(client: &Client, screen: &mut Screen, asked: Option<&Tokens>) -> Outcome {
    match asked.unwrap_or(&Tokens::List) {
        Tokens::List => get::list(screen, client.pages(PATH, &[]), kinds::TOKENS, None, "tokens"),
        Tokens::Issue { role, subject, expires_in } => {
            let mut body = json!({ "role": word(role), "subject": subject });
            if let (Some(span), Some(fields)) = (expires_in, body.as_object_mut()) {
                fields.insert("expires_in".to_owned(), span.0.into());
            }
            let issued = client.post(PATH, &[], &body)?.body;
            show_once(screen, &issued, "token", "keygatectl tokens revoke")?;
            if !screen.is_json {
                let of = format!("{} ({})", plain(subject), word(role));
                note(&format!("token {} of {of}, valid {}", id_of(&issued), until(&issued)));
            }
            Ok(Done::Well)
        }
        Tokens::Revoke { ids, yes } => revoke(client, screen, PATH, ids, "token", *yes),
    }
}

/// Writes a secret that the service shows once: alone on stdout, with a warning beside it. `undo` revokes what has an id.
pub fn show_once(screen: &mut Screen, issued: &Value, field: &str, undo: &str) -> Result<(), Failure> {
    let id = id_of(issued);
    let lost = |failure| lost(&format!("{field} {id}"), &format!("{undo} {id}"), failure);
    if screen.is_json {
        return screen.json(issued).and_then(|()| screen.flush()).map_err(lost);
    }
    let secret = issued.get(field).and_then(Value::as_str);
    let secret = secret.ok_or_else(|| Failure::Unreachable(format!("the answer of the service has no {field}")))?;
    screen.line(secret).and_then(|()| screen.flush()).map_err(lost)?;
    output::warning("this secret is shown once; keep it in a store of secrets");
    Ok(())
}

/// The error for a secret that was issued and could not be written. It is never silent, although a closed output is
/// elsewhere.
pub fn lost(what: &str, undo: &str, failure: Failure) -> Failure {
    Failure::Other(format!(
        "{failure}\n  {what} was issued all the same, and nobody can show it again; revoke it: {undo}"
    ))
}

/// The id of what was issued.
pub fn id_of(issued: &Value) -> String {
    plain(issued.get("id").and_then(Value::as_str).unwrap_or("?")).into_owned()
}

/// Until when something is valid, in words.
pub fn until(issued: &Value) -> String {
    let time = issued.get("expires_at").and_then(Value::as_i64);
    time.map_or_else(|| "until it is revoked".to_owned(), |time| format!("until {}", times::local_exact(time)))
}

/// Revokes what has these ids.
pub fn revoke(client: &Client, screen: &mut Screen, path: &str, ids: &[String], what: &str, yes: Yes) -> Outcome {
    // A script says what it means: a leaked token is revoked without an answer to a question.
    if !confirm(&format!("Revoke {what} {}?", ids.join(", ")), yes.yes || !is_asked())? {
        return Err(Failure::Other("nothing was revoked".to_owned()));
    }
    for id in ids {
        client.delete(&path_of(path, id), &[])?;
        if screen.is_json {
            screen.json(&json!({ "id": id }))?;
        } else {
            screen.line(&format!("{what} {} is revoked", plain(id)))?;
        }
    }
    Ok(Done::Well)
}
