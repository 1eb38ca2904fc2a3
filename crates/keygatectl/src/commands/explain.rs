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

/// Headers that usually hold keys.
const HEADERS_OF_KEYS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "x-api-key", "apikey"];
/// Arguments of a query that usually hold keys.
const QUERIES_OF_KEYS: [&str; 5] = ["apikey", "api_key", "api-key", "x-api-key", "access_token"];

/// The width of the rules before their sentences: a mark, the longest name, and blanks.
const RULES: usize = 30;

/// Explains a request.
pub fn explain(client: &dyn Fn() -> Result<Client, Failure>, screen: &mut Screen, asked: &Explain) -> Outcome {
    let digest = match &asked.key_file {
        Some(path) => Some(Digest::of(Secret::read(path, "the key")?.reveal().as_bytes())),
        None => asked.sha256.as_deref().map(digest_of).transpose()?,
    };
    let configuration = asked.plugin.as_deref().map(plugin_of).transpose()?;
    let sources = Sources::of(configuration.as_deref());
    sources.check_query(&asked.request)?;
    let headers = asked.header.iter().map(|header| sources.header_of(header)).collect::<Result<Vec<_>, _>>()?;
    let explained = match &asked.policy {
        None => online(&client()?, asked, digest, &headers, configuration.as_deref())?,
        Some(policy) => offline(policy, asked, digest, headers, configuration.as_deref())?,
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

/// Where keys stand in requests: what is usual, and what the plugin configuration says.
struct Sources {
    headers: Vec<String>,
    queries: Vec<String>,
}

impl Sources {
    fn of(configuration: Option<&str>) -> Self {
        let configuration: Value = configuration.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let configured = |of: &str| -> Vec<String> {
            let sources = configuration.get("credential_sources").and_then(Value::as_array).into_iter().flatten();
            sources.filter_map(|source| source.get(of)?.as_str()).map(str::to_ascii_lowercase).collect()
        };
        let with = |usual: [&str; 5], of: &str| usual.into_iter().map(str::to_owned).chain(configured(of)).collect();
        Self { headers: with(HEADERS_OF_KEYS, "header"), queries: with(QUERIES_OF_KEYS, "query") }
    }

    fn header_of(&self, header: &str) -> Result<(String, String), Failure> {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::Usage("--header: expected a name, a colon and a value".to_owned()))?;
        let name = name.trim().to_ascii_lowercase();
        match self.headers.contains(&name) {
            true => Err(of_key("--header", &name)),
            false => Ok((name, value.trim().to_owned())),
        }
    }

    /// Names are compared without escapes. A key may not reach the service either, and it stands in this URL.
    fn check_query(&self, url: &str) -> Result<(), Failure> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let names = query.split(['&', '#']).filter_map(|pair| pair.split_once('='));
        for (name, _) in names {
            let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
            if self.queries.contains(&name) {
                return Err(of_key("URL", &plain(&name)));
            }
        }
        Ok(())
    }
}

fn of_key(place: &str, name: &str) -> Failure {
    Failure::Usage(format!(
        "{place}: {name} usually holds a key, and others see arguments; put the key into a file, for --key-file"
    ))
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
) -> Result<Value, Failure> {
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
    let documents = policy.is_dir().then(|| read::read(policy)).transpose()?;
    let page = match &documents {
        Some(documents) => page_of(documents)?,
        None => read::text(policy)?,
    };
    let policy = Policy::of(vec![page.into_bytes()])
        .map_err(|error| Failure::Other(format!("{}: {error}", policy.display())))?;
    let now = asked.at.map_or_else(times::now, |time| time.seconds(times::now()));
    let now = u64::try_from(now).map_err(|_| Failure::Usage("--at: expected a time after 1970".to_owned()))?;
    let explained = explain::explain(&policy, &config, &request, now, View::All);
    let explained = explained.map_err(|error| Failure::Other(error.to_string()))?;
    let subscription = documents.as_ref().and_then(|documents| subscription_of(documents, &explained));
    as_the_service(&explained, subscription, now).map_err(|error| Failure::Other(error.to_string()))
}

/// The explanation with the members that the service gives it. Files have no revision.
fn as_the_service(explained: &Explanation, subscription: Option<String>, now: u64) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(explained)?;
    if let Some(members) = value.as_object_mut() {
        members.remove("is_subscribed");
        members.insert("subscription".to_owned(), subscription.into());
        members.insert("revision".to_owned(), Value::Null);
        members.insert("now".to_owned(), now.into());
    }
    Ok(value)
}

/// The id of the subscription that decided. Documents have it, and pages do not.
fn subscription_of(documents: &read::Documents, explained: &Explanation) -> Option<String> {
    let (application, api) = (explained.application.as_deref()?, explained.api.as_deref()?);
    let rows = documents.rows.iter().filter(|row| explained.is_subscribed && row.kind == Kind::Subscription);
    rows.filter_map(|row| Some((row, serde_json::from_str::<Value>(&row.line).ok()?)))
        .find(|(_, line)| line["application"] == application && line["api"] == api)
        .map(|(row, _)| row.id.to_string())
}

/// The page of the documents of a folder.
fn page_of(documents: &read::Documents) -> Result<String, Failure> {
    let mut lists: Map<String, Value> = Kind::ALL.into_iter().map(|kind| (kind.list().to_owned(), json!([]))).collect();
    for found in &documents.rows {
        let row = serde_json::from_str(&found.line).ok().and_then(|line| Row::of(line).ok());
        let fed = row.and_then(|row| row.fed());
        let fed =
            fed.ok_or_else(|| Failure::Other(format!("{}: the row cannot be read", documents.place(found.place))))?;
        lists
            .get_mut(found.kind.list())
            .and_then(Value::as_array_mut)
            .into_iter()
            .for_each(|list| list.push(fed.clone()));
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
    let steps = explained.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
    let because = steps.last().and_then(|step| step.get("because")).and_then(Value::as_str).unwrap_or_default();
    screen.wrapped("  ", 2, &plain(because))?;
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
        // A rule that does not apply is dimmed as a whole.
        let open = if outcome == "skipped" { style.to_string() } else { String::new() };
        let begin = format!("{style}{mark}{style:#}{open} {:27} ", plain(part("rule")));
        screen.wrapped(&begin, RULES, &format!("{}{style:#}", plain(part("because"))))?;
    }
    let notes = explained.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for (place, note) in notes.enumerate() {
        if place == 0 {
            screen.line("")?;
        }
        screen.wrapped("note: ", 6, &plain(note))?;
    }
    Ok(())
}
