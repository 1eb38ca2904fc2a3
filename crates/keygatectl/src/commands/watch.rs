//! `watch`: changes, blocks and gateways, a line each as they happen.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    cli::reads::Watch,
    client::Client,
    failure::{Done, Failure, Outcome},
    output::{Screen, note, plain, styled},
    times,
};

/// How long to pause between two looks: soon enough for a person, and little work for the service.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a service may be away before the watch ends.
const AWAY: Duration = Duration::from_secs(60);
/// Gateways that are watched. A service keeps at most 10,000 for each client id.
const MOST_GATEWAYS: usize = 20_000;

/// Shows what happens until the time is over.
pub fn watch(client: &Client, screen: &mut Screen, asked: &Watch) -> Outcome {
    let now = times::now();
    let mut seen = Seen { since: asked.since.map_or(now, |time| time.past(now)), ..Seen::default() };
    if asked.since.is_none() {
        seen.seq = latest(client)?;
    }
    let end = asked.span.and_then(|span| Instant::now().checked_add(Duration::from_secs(span.0.unsigned_abs())));
    let (mut reached, mut is_away) = (Instant::now(), false);
    loop {
        match seen.look(client, screen) {
            Ok(()) => {
                if is_away {
                    note("The service answers again.");
                }
                (reached, is_away) = (Instant::now(), false);
            }
            // A restart of the service does not end a watch.
            Err(failure) if is_passing(&failure) && reached.elapsed() < AWAY => {
                if !is_away {
                    note(&format!("{failure}\n  trying again for {} s", AWAY.as_secs()));
                }
                is_away = true;
            }
            Err(failure) => return Err(failure),
        }
        screen.flush()?;
        let left = end.map_or(PAUSE, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(Done::Well);
        }
        thread::sleep(PAUSE.min(left));
    }
}

fn is_passing(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable(_)) || failure.status() == Some(503)
}

/// The number of the latest audit entry.
fn latest(client: &Client) -> Result<i64, Failure> {
    let newest = client.pages("/v1/audit", &[("sort", "-seq".to_owned())]).next(1)?.unwrap_or_default();
    Ok(newest.first().and_then(|entry| entry.get("seq")).and_then(Value::as_i64).unwrap_or(0))
}

/// What was shown so far.
#[derive(Default)]
struct Seen {
    /// The last audit entry.
    seq: i64,
    /// Entries are asked for from this time on.
    since: i64,
    /// Gateways by id, with what was shown of each. `None` before the first look.
    gateways: Option<BTreeMap<String, String>>,
}

impl Seen {
    fn look(&mut self, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
        self.look_at_changes(client, screen)?;
        match client.pages("/v1/gateways", &[]).all(MOST_GATEWAYS) {
            Ok(gateways) => self.look_at_gateways(screen, &gateways),
            // Not every role sees them.
            Err(failure) if failure.status() == Some(403) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn look_at_changes(&mut self, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
        let mut pages = client.pages("/v1/audit", &[("from", self.since.to_string())]);
        while let Some(entries) = pages.next(crate::client::PAGE_ROWS)? {
            for entry in entries {
                let seq = entry.get("seq").and_then(Value::as_i64).unwrap_or(0);
                if seq <= self.seq {
                    continue;
                }
                self.seq = seq;
                let at = entry.get("at").and_then(Value::as_i64).unwrap_or(self.since);
                // Entries of one second may still come.
                self.since = self.since.max(at);
                if screen.is_json {
                    screen.json_line(&json!({ "change": entry }))?;
                } else {
                    screen.line(&format!("{}  {}", times::local_clock(at), change(&entry)))?;
                }
            }
        }
        Ok(())
    }

    fn look_at_gateways(&mut self, screen: &mut Screen, gateways: &[Value]) -> Result<(), Failure> {
        let mut known = BTreeMap::new();
        for gateway in gateways {
            let text = |name: &str| gateway.get(name).and_then(Value::as_str).unwrap_or_default();
            let shown = gateway_line(gateway);
            let is_new = self.gateways.as_ref().is_none_or(|before| before.get(text("id")) != Some(&shown));
            if is_new && screen.is_json {
                screen.json_line(&json!({ "gateway": gateway }))?;
            } else if is_new {
                screen.line(&format!("{}  {shown}", times::local_clock(times::now())))?;
            }
            known.insert(text("id").to_owned(), shown);
        }
        self.gateways = Some(known);
        Ok(())
    }
}

fn change(entry: &Value) -> String {
    let text = |name: &str| plain(entry.get(name).and_then(Value::as_str).unwrap_or_default()).into_owned();
    let what = [text("actor"), text("action"), text("kind").replace('_', " "), text("id")];
    // An import has no id.
    let mut line = what.iter().map(String::as_str).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some(state) = entry.pointer("/after/state").and_then(Value::as_str) {
        line.push_str(&format!(" → {}", styled(state)));
    }
    if let Some(revision) = entry.get("revision").and_then(Value::as_i64) {
        line.push_str(&format!(" (revision {revision})"));
    }
    if let Some(reason) = entry.get("reason").and_then(Value::as_str) {
        line.push_str(&format!(": {}", plain(reason)));
    }
    line
}

/// A gateway in a line that changes only when something matters.
fn gateway_line(gateway: &Value) -> String {
    let text = |name: &str| plain(gateway.get(name).and_then(Value::as_str).unwrap_or("-")).into_owned();
    let number = |name: &str| gateway.get(name).and_then(Value::as_i64);
    let mut line = format!("gateway {} {}: {}", text("client_id"), text("instance"), styled(&text("state")));
    if let Some(revision) = number("revision") {
        line.push_str(&format!(", revision {revision}"));
    }
    if let Some(lagging) = number("lagging").filter(|lagging| *lagging > 0) {
        line.push_str(&format!(", {lagging} workers lag"));
    }
    if let Some(reason) = gateway.pointer("/refused/reason").and_then(Value::as_str) {
        line.push_str(&format!(", refused a revision ({})", plain(reason)));
    }
    line
}
