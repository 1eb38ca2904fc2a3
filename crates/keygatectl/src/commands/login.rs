//! `login`, `logout` and `whoami`.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use serde_json::Value;

use crate::{
    cli::{Global, changes::Login},
    client::Client,
    failure::{Done, Failure, Outcome},
    output::{Screen, details, note},
    secret::Secret,
    settings::{self, Settings},
    times,
};

/// Asks for a token, tries it, and keeps it.
pub fn login(asked: &Login, global: &Global) -> Outcome {
    let url = asked.service.as_deref().or(global.url.as_deref());
    let url = match url {
        Some(url) => settings::parse(url)?,
        None => settings::kept_url().ok_or_else(|| {
            Failure::Usage("which policy service? For example: keygatectl login https://policy.example.com".to_owned())
        })?,
    };
    settings::check_transport(&url, global.allow_http)?;
    let token = match &global.token_file {
        Some(path) => Secret::read(path, "the token")?,
        None if io::stdin().is_terminal() => Secret::ask(&format!("Token for {url}"))?,
        None => Secret::read(Path::new("-"), "the token on standard input")?,
    };
    let client = Client::of(Settings { url: url.clone(), token: token.clone() }, global)?;
    let me = client.get("/v1/me", &[])?.body;
    let path = settings::keep(&url, &token)?;
    note(&format!("Logged in to {url} as {}.", who(&me)));
    note(&format!("The token is kept in {}.", path.display()));
    if let Some(until) = me.get("expires_at").and_then(Value::as_i64) {
        note(&format!("It is valid until {}.", times::local_exact(until)));
    }
    Ok(Done::Well)
}

fn who(me: &Value) -> String {
    let part = |name: &str| crate::output::plain(me.get(name).and_then(Value::as_str).unwrap_or("?")).into_owned();
    format!("{} ({})", part("subject"), part("role"))
}

/// Forgets the kept token.
pub fn logout() -> Outcome {
    note(if settings::forget()? { "Logged out. The token is valid until it is revoked." } else { "There was no login." });
    Ok(Done::Well)
}

/// Shows who asks.
pub fn whoami(client: &Client, screen: &mut Screen) -> Outcome {
    let me = client.get("/v1/me", &[])?.body;
    if screen.is_json {
        screen.json(&me)?;
    } else {
        screen.line(&format!("{} at {}", who(&me), client.url()))?;
        details::object(screen, &me, &["subject", "role"], times::now())?;
    }
    Ok(Done::Well)
}
