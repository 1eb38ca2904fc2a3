//! `explain`: why a request is allowed or refused. A service is asked, or the filter's own core decides here by files.

use std::path::Path;

use explain::{
    Explanation, View, configuration,
    policy::Policy,
    request::{Address, Credential, Request},
};
use keygate::digest::Digest;
use management::port::Kind;
use serde_json::{Map, Value, json};

use crate::{
    cli::reads::Explain,
    client::Client,
    documents::{read, row::Row},
    failure::{Done, Failure, Outcome},
    output::{self, Screen, plain, styled},
    secret::Secret,
    times,
    validate::plugin,
};

/// Explains a request.
pub fn explain(client: &dyn Fn() -> Result<Client, Failure>, screen: &mut Screen, asked: &Explain) -> Outcome {
    let digest = match &asked.key_file {
        Some(path) => Some(Digest::of(Secret::read(path, "the key")?.reveal().as_bytes())),
        None => asked.sha256.as_deref().map(digest_of).transpose()?,
    };
    let headers = asked.header.iter().map(|header| header_of(header)).collect::<Result<Vec<_>, _>>()?;
    let configuration = asked.plugin.as_deref().map(plugin_of).transpose()?;
    let explained = match &asked.policy {
        None => online(&client()?, asked, digest, &headers, configuration.as_deref())?,
        Some(policy) => {
            let explanation = offline(policy, asked, digest, headers, configuration.as_deref())?;
            serde_json::to_value(&explanation).map_err(|error| Failure::Other(error.to_string()))?
        }
    };
    if screen.is_json {
        screen.json(&explained)?;
    } else {
        show(screen, &explained)?;
    }
    Ok(if explained.get("verdict").and_then(Value::as_str) == Some("allow") { Done::Well } else { Done::Denied })
}

fn digest_of(hex: &str) -> Result<Digest, Failure> {
    Digest::from_hex(hex).ok_or_else(|| Failure::Usage("--sha256: expected 64 hexadecimal digits".to_owned()))
}

fn header_of(header: &str) -> Result<(String, String), Failure> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| Failure::Usage("--header: expected a name, a colon and a value".to_owned()))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The one plugin configuration of a file.
fn plugin_of(path: &Path) -> Result<String, Failure> {
    let mut found = plugin::find(path, &read::text(path)?)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => {
            only.check().map_err(|error| Failure::Other(error.to_string()))?;
            Ok(only.json)
        }
        (None, _) => Err(Failure::Other(format!("{} has no plugin configuration", path.display()))),
        (Some(_), false) => Err(Failure::Other(format!(
            "{} has several plugin configurations; put the one that is meant into a file of its own",
            path.display()
        ))),
    }
}

fn online(
    client: &Client,
    asked: &Explain,
    digest: Option<Digest>,
    headers: &[(String, String)],
    configuration: Option<&str>,
) -> Result<Value, Failure> {
    let mut body = Map::new();
    let mut add = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    add("url", Some(asked.request.clone().into()));
    add("method", Some(asked.method.clone().into()));
    // Only the digest of a key leaves this machine.
    add("sha256", digest.map(|digest| digest.to_hex().into()));
    add("key_id", asked.key_id.clone().map(Value::from));
    add("address", asked.address.clone().map(Value::from));
    add("referer", asked.referer.clone().map(Value::from));
    add("at_revision", asked.at_revision.map(Value::from));
    add("now", asked.at.map(|time| time.seconds(times::now()).into()));
    let mut sent: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let values = sent.entry(name.clone()).or_insert_with(|| json!([]));
        values.as_array_mut().into_iter().for_each(|values| values.push(value.clone().into()));
    }
    add("headers", (!sent.is_empty()).then_some(sent.into()));
    add("configuration", configuration.map(without_source).transpose()?);
    Ok(client.post("/v1/explain", &[], &body)?.body)
}

/// The configuration without `policy`, which has the secrets of the gateway and decides nothing here.
fn without_source(json: &str) -> Result<Value, Failure> {
    let mut fields: Map<String, Value> =
        serde_json::from_str(json).map_err(|error| Failure::Other(format!("the plugin configuration: {error}")))?;
    fields.remove("policy");
    Ok(fields.into())
}

fn offline(
    policy: &Path,
    asked: &Explain,
    digest: Option<Digest>,
    headers: Vec<(String, String)>,
    configuration: Option<&str>,
) -> Result<Explanation, Failure> {
    let mut headers: Vec<(String, Vec<u8>)> =
        headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    headers.extend(asked.referer.iter().map(|referer| ("referer".to_owned(), referer.clone().into_bytes())));
    let mut request =
        Request::new(&asked.method, &asked.request, headers).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(address) = &asked.address {
        let address = address.parse().map_err(|_| Failure::Usage("--address: expected an IP address".to_owned()))?;
        request.address = Address::Known(address);
    }
    request.credential = match (digest, &asked.key_id) {
        (Some(digest), _) => Credential::Digest(digest),
        (None, Some(id)) => Credential::Id(id.clone()),
        (None, None) => Credential::AsSent,
    };
    let config = configuration::parse(configuration.unwrap_or("{}"))
        .map_err(|error| Failure::Other(format!("the plugin configuration: {error}")))?;
    let page = match policy.is_dir() {
        true => page_of(policy)?,
        false => read::text(policy)?,
    };
    let policy = Policy::of(vec![page.into_bytes()])
        .map_err(|error| Failure::Other(format!("{}: {error}", policy.display())))?;
    let now = asked.at.map_or_else(times::now, |time| time.seconds(times::now()));
    let now = u64::try_from(now).map_err(|_| Failure::Usage("--at: expected a time after 1970".to_owned()))?;
    explain::explain(&policy, &config, &request, now, View::All).map_err(|error| Failure::Other(error.to_string()))
}

/// The page of the documents of a folder.
fn page_of(folder: &Path) -> Result<String, Failure> {
    let documents = read::read(folder)?;
    let mut lists: Map<String, Value> = Kind::ALL.into_iter().map(|kind| (kind.list().to_owned(), json!([]))).collect();
    for found in &documents.rows {
        let row = serde_json::from_str(&found.line).ok().and_then(|line| Row::of(line).ok());
        let fed = row.and_then(|row| row.fed());
        let fed = fed.ok_or_else(|| Failure::Other(format!("{}: the row cannot be read", documents.place(found.place))))?;
        lists.get_mut(found.kind.list()).and_then(Value::as_array_mut).into_iter().for_each(|list| list.push(fed.clone()));
    }
    lists.insert("format".to_owned(), 1.into());
    Ok(Value::Object(lists).to_string())
}

fn show(screen: &mut Screen, explained: &Value) -> Result<(), Failure> {
    let text = |name: &str| explained.get(name).and_then(Value::as_str);
    let verdict = text("verdict").unwrap_or("?");
    let reason = text("reason").unwrap_or("?");
    let status = explained.get("status").and_then(Value::as_u64).map(|status| format!(", status {status}"));
    screen.line(&format!("{}: {}{}", styled(verdict), plain(reason), status.unwrap_or_default()))?;
    for (name, field) in [
        ("API", "api"),
        ("application", "application"),
        ("key", "key_id"),
        ("subscription", "subscription"),
        ("plan", "plan"),
    ] {
        if let Some(value) = text(field) {
            screen.line(&format!("  {name:12}  {}", plain(value)))?;
        }
    }
    screen.line("")?;
    let steps = explained.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
    for step in &steps {
        let part = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        let outcome = part("outcome");
        let mark = match outcome {
            "passed" | "allowed" => "✓",
            "refused" => "✗",
            "unknown" => "?",
            _ => "·",
        };
        let style = output::style_of(outcome);
        let line = format!("{style}{mark}{style:#} {:27} {}", plain(part("rule")), plain(part("because")));
        screen.line(&if outcome == "skipped" { output::dim(&line) } else { line })?;
    }
    for note in explained.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        screen.line("")?;
        screen.line(&format!("note: {}", plain(note)))?;
    }
    Ok(())
}
