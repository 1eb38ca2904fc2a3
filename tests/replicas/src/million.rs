//! A million keys: the time for pages, deltas and lists. [`upkeep`] times the commands of an operator, and [`way_back`]
//! restores.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    Error, Result,
    http::{Answer, Ask},
};

use crate::{
    changes::{Client, digest},
    database::{Database, Kind},
    replicas::{GATEWAY, LIMITED, TOKEN, latest},
    row, upkeep, way_back,
};

/// Maximum time for an answer.
const LIMIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);
/// Rows of one imported page.
const PAGE: u64 = 10_000;
/// Number of changes in the measured delta.
const CHANGES: u64 = 300;

/// Imports the policy and measures queries on it. Returns whether each took less than a second.
pub async fn measure(kind: Kind, keys: u64, service: &Path) -> Result<bool> {
    let database = Database::start(kind, service).await?;
    let begun = Instant::now();
    import(&database, keys, 2)?;
    row(
        kind,
        &format!("import of {keys} keys, half as many applications and subscriptions"),
        format!("{:.0} s", begun.elapsed().as_secs_f64()),
    );
    upkeep::check(&database)?;
    let replicas = upkeep::start(&database).await?;
    let mut client = Client::new(&replicas.addresses);
    let imported = latest(&mut client).await?;
    let mut all_soon = true;
    let mut tell = |measure: &str, slowest: Duration, more: String| {
        all_soon &= slowest <= LIMIT;
        let slow = if slowest > LIMIT { " **slow**" } else { "" };
        row(kind, measure, format!("{:.0} ms{slow}{more}", slowest.as_secs_f64() * 1e3));
    };
    for (name, who) in [("all", GATEWAY), ("one API", LIMITED)] {
        let (slowest, pages, poll, took) = pages(&mut client, who, "/v1/policy").await?;
        tell(
            &format!("slowest page of the full policy, of {name}"),
            slowest,
            format!(", {pages} pages in {:.1} s", took.as_secs_f64()),
        );
        let made = changes(&mut client, if name == "all" { 0 } else { CHANGES }).await?;
        let (slowest, pages, _, _) = self::pages(&mut client, who, &poll).await?;
        tell(&format!("delta of {made} changes, of {name}"), slowest, format!(", {pages} pages"));
    }
    let revision = latest(&mut client).await?;
    let ranges = [
        ("of the last 1,800 changes", revision - 6 * CHANGES as i64, revision),
        ("of the second half of the import", imported / 2, imported),
        ("of everything", 0, revision),
    ];
    for (name, from, to) in ranges {
        let (first, slowest, pages) = differences(&mut client, from, to).await?;
        tell(
            &format!("slowest page of differences, {name}"),
            slowest,
            format!(", the first {:.0} ms, {pages} pages", first.as_secs_f64() * 1e3),
        );
    }
    for (name, path) in lists(keys) {
        let mut slowest = Duration::ZERO;
        // The second time the rows are in memory, as for a console in use. The first time counts as well.
        for _ in 0..2 {
            let (took, _) = ask(&mut client, TOKEN, &path).await?;
            slowest = slowest.max(took);
        }
        let (_, answer) = ask(&mut client, TOKEN, &path).await?;
        tell(&format!("list: {name}"), slowest, format!(", {} rows in all", answer.json()["total"]));
    }
    upkeep::backup(&database)?;
    way_back::measure(kind, &mut client, imported, 6 * CHANGES as i64).await?;
    Ok(all_soon)
}

/// Typical searches.
fn lists(keys: u64) -> Vec<(&'static str, String)> {
    let middle = keys / 2;
    let digest = digest(middle);
    vec![
        ("the first keys", "/v1/keys?limit=100".to_owned()),
        ("keys by state, the usual one", "/v1/keys?limit=100&state=ACTIVE".to_owned()),
        ("keys by state, a rare one", "/v1/keys?limit=100&state=REVOKED".to_owned()),
        ("keys by type", "/v1/keys?limit=100&type=SANDBOX".to_owned()),
        ("keys by application", format!("/v1/keys?application=app-{}", middle / 2)),
        ("keys by owner", "/v1/keys?limit=100&owner=owner-7".to_owned()),
        ("keys by digest", format!("/v1/keys?sha256={digest}")),
        ("keys with a part of an id", "/v1/keys?limit=100&q=777".to_owned()),
        ("keys by last use", "/v1/keys?limit=100&last_used_before=1700000000".to_owned()),
        ("keys by last change, the latest first", "/v1/keys?limit=100&sort=-changed".to_owned()),
        ("applications by owner", "/v1/applications?limit=100&owner=owner-7".to_owned()),
        ("applications with a part of a name", "/v1/applications?limit=100&q=name+77".to_owned()),
        ("applications by name", "/v1/applications?limit=100&sort=name".to_owned()),
        ("subscriptions by API", "/v1/subscriptions?limit=100&api=api-1".to_owned()),
        ("subscriptions by plan", "/v1/subscriptions?limit=100&plan=gold".to_owned()),
        ("subscriptions by owner", "/v1/subscriptions?limit=100&owner=owner-7".to_owned()),
        ("subscriptions by state", "/v1/subscriptions?limit=100&state=BLOCKED".to_owned()),
    ]
}

async fn ask(client: &mut Client, who: &str, path: &str) -> Result<(Duration, Answer)> {
    let begun = Instant::now();
    let ask = Ask::get(path).header("authorization", who);
    let answer = client.send(0, &ask, PATIENCE).await?;
    if answer.status.is_success() {
        return Ok((begun.elapsed(), answer));
    }
    Err(Error::Unexpected { what: path.to_owned(), expected: "2xx".to_owned(), found: answer.to_string() })
}

/// Reads pages to the last one. Returns the slowest time, the number of pages, the next link, and the total time.
async fn pages(client: &mut Client, who: &str, path: &str) -> Result<(Duration, usize, String, Duration)> {
    let (begun, mut slowest, mut count, mut path) = (Instant::now(), Duration::ZERO, 0, path.to_owned());
    loop {
        let (took, answer) = ask(client, who, &path).await?;
        slowest = slowest.max(took);
        count += 1;
        let page: Value = answer.json();
        match (page["next"].as_str(), page["poll"].as_str()) {
            (Some(next), _) => path = next.to_owned(),
            (None, Some(poll)) => return Ok((slowest, count, poll.to_owned(), begun.elapsed())),
            _ => {
                let found = answer.to_string();
                return Err(Error::Unexpected { what: path, expected: "a page".to_owned(), found });
            }
        }
    }
}

/// Reads at most ten pages of differences. Returns the times of the first and of the slowest, and the number of pages.
async fn differences(client: &mut Client, from: i64, to: i64) -> Result<(Duration, Duration, usize)> {
    let (mut first, mut slowest, mut count, mut more) = (Duration::ZERO, Duration::ZERO, 0, String::new());
    while count < 10 {
        let (took, answer) = ask(client, TOKEN, &format!("/v1/diff?from={from}&to={to}{more}")).await?;
        slowest = slowest.max(took);
        first = if count == 0 { took } else { first };
        count += 1;
        match answer.json()["next"].as_str() {
            Some(next) => more = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok((first, slowest, count))
}

/// Changes some rows: new keys, revoked keys, and blocked subscriptions. Returns the number of changes.
async fn changes(client: &mut Client, first: u64) -> Result<u64> {
    let mut made = 0;
    for number in first..first + CHANGES {
        let new = json!({"application": format!("app-{number}"), "sha256": digest(u64::MAX - number)});
        for (path, body) in [
            ("/v1/keys".to_owned(), new),
            (format!("/v1/keys/k-{}/revoke", 10_000 + number), json!({})),
            (format!("/v1/subscriptions/s-{number}/block"), json!({})),
        ] {
            let ask = Ask::new("POST", path.clone()).header("authorization", TOKEN).json(body);
            let answer = client.send(0, &ask, PATIENCE).await?;
            if !answer.status.is_success() {
                return Err(Error::Unexpected { what: path, expected: "2xx".to_owned(), found: answer.to_string() });
            }
            made += 1;
        }
    }
    Ok(made)
}

/// So many keys and one subscription for each application. Each of ten thousand owners has a ten thousandth of the
/// applications.
pub fn import(database: &Database, keys: u64, each: u64) -> Result<()> {
    let mut child = Command::new(&database.service)
        .args(["import", "--database", &database.url, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("starting the import"))?;
    let mut input = child
        .stdin
        .take()
        .ok_or_else(|| Error::Io { what: "the import".to_owned(), error: std::io::Error::other("no input") })?;
    let apis: Vec<Value> =
        (0..10).map(|api| json!({"id": format!("api-{api}"), "match": [{"path": format!("/{api}")}]})).collect();
    let plans = json!([{"id": "gold", "limits": [{"requests": 100, "per": "minute"}]}]);
    let mut pages = vec![json!({"format": 1, "apis": apis, "plans": plans})];
    for first in (0..keys / each).step_by(PAGE as usize) {
        let applications: Vec<u64> = (first..(first + PAGE).min(keys / each)).collect();
        pages.push(json!({"format": 1,
            "applications": applications.iter().map(|n| json!({"id": format!("app-{n}"), "name": format!("name {n}"),
                "owner": format!("owner-{}", n % 10_000)})).collect::<Vec<_>>(),
            "subscriptions": applications.iter().map(|n| json!({"id": format!("s-{n}"), "application": format!("app-{n}"),
                "api": format!("api-{}", n % 10), "plan": if n % 100 == 0 { "gold".into() } else { Value::Null }}))
                .collect::<Vec<_>>(),
            "keys": applications.iter().flat_map(|n| each * n..each * (n + 1)).map(|n| json!({"id": format!("k-{n}"),
                "application": format!("app-{}", n / each), "sha256": digest(n),
                "type": if n % 10 == 0 { "SANDBOX" } else { "PRODUCTION" }})).collect::<Vec<_>>()}));
        for page in pages.drain(..) {
            // If the import has ended early, its status says so.
            let _ = writeln!(input, "{page}");
        }
    }
    drop(input);
    let status = child.wait().map_err(Error::io("waiting for the import"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Unexpected { what: "the import".to_owned(), expected: "success".to_owned(), found: status.to_string() })
}
