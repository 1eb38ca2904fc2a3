//! Receipts: which gateways decide by a change. `--wait` looks until it is complete, and shows how it fills.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::{args::Wait, reads},
    client::{Answer, Client, read},
    failure::{Done, Failure, Outcome},
    output::{self, Screen, plain, progress::Progress},
    times,
};

/// How long to pause between two looks. A block reaches gateways in some 40 ms.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest wait. The service itself waits no longer for a receipt.
const MOST_SECONDS: i64 = 30;
/// Names of gateways that are shown each.
const MOST_NAMED: usize = 20;

/// A receipt, as far as this program reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    revision: i64,
    live: u64,
    have: u64,
    missing: Gateways,
    silent: Gateways,
    after_ms: Option<i64>,
    pub complete: bool,
    /// As the service sent it.
    #[serde(skip)]
    sent: Value,
    /// Whether this program sent the change, and measured how long the gateways took.
    #[serde(skip)]
    is_measured: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Gateways {
    Names(Vec<Named>),
    Number(u64),
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    client_id: String,
    instance: Option<String>,
}

impl Gateways {
    fn number(&self) -> u64 {
        match self {
            Self::Names(names) => u64::try_from(names.len()).unwrap_or(u64::MAX),
            Self::Number(number) => *number,
        }
    }

    fn names(&self) -> Vec<String> {
        let Self::Names(names) = self else { return Vec::new() };
        let name = |Named { client_id, instance }: &Named| match instance {
            Some(instance) => plain(&format!("{client_id} {instance}")).into_owned(),
            None => plain(&format!("{client_id} (a filter that does not name its Envoy)")).into_owned(),
        };
        let mut shown: Vec<String> = names.iter().take(MOST_NAMED).map(name).collect();
        if names.len() > MOST_NAMED {
            shown.push(format!("and {} more", names.len().saturating_sub(MOST_NAMED)));
        }
        shown
    }
}

/// The receipt of a revision as it stands now.
pub fn find(client: &Client, revision: i64) -> Result<Receipt, Failure> {
    let sent = client.get(&format!("/v1/receipts/{revision}"), &[])?.body;
    Ok(Receipt { sent: sent.clone(), ..read(&sent)? })
}

/// Waits for the receipt of a change, if that was asked for.
pub fn wait(client: &Client, asked: Wait, change: &Answer) -> Result<Option<Receipt>, Failure> {
    let Some(span) = asked.wait else { return Ok(None) };
    if span.0 > MOST_SECONDS {
        return Err(Failure::Usage(format!("--wait: expected at most {MOST_SECONDS}s")));
    }
    let revision = change
        .revision
        .ok_or_else(|| Failure::Unreachable("the service does not say which revision the change made".to_owned()))?;
    let most = Duration::from_secs(span.0.unsigned_abs());
    let begun = Instant::now();
    let bar = Progress::new(Some(1), "gateways that have it").of_others();
    loop {
        let mut receipt = find(client, revision).map_err(|failure| {
            bar.end();
            Failure::Other(format!("the change is made, but its receipt is not known: {failure}"))
        })?;
        receipt.measured(change.sent);
        bar.set(receipt.have, receipt.live.saturating_add(receipt.silent.number()));
        if receipt.complete || begun.elapsed() >= most {
            bar.end();
            return Ok(Some(receipt));
        }
        thread::sleep(PAUSE.min(most.saturating_sub(begun.elapsed())));
    }
}

/// Whether the span of `--wait` can be used. Checked before anything is changed.
pub fn check(asked: Wait) -> Result<(), Failure> {
    match asked.wait {
        Some(span) if span.0 > MOST_SECONDS => Err(Failure::Usage(format!("--wait: expected at most {MOST_SECONDS}s"))),
        _ => Ok(()),
    }
}

/// A row with its receipt, as the service shows both.
pub fn beside(row: &Value, receipt: Option<&Receipt>) -> Value {
    let Some(receipt) = receipt else { return row.clone() };
    match row.clone() {
        Value::Object(mut fields) => {
            fields.insert("receipt".to_owned(), receipt.sent.clone());
            Value::Object(fields)
        }
        _ => json!({ "receipt": receipt.sent }),
    }
}

/// Ends a change: tells its receipt, and in JSON the row as well, also if the receipt could not be read.
pub fn end(screen: &mut Screen, row: &Value, receipt: Result<Option<Receipt>, Failure>, before: Done) -> Outcome {
    if screen.is_json {
        screen.json(&beside(row, receipt.as_ref().ok().and_then(Option::as_ref)))?;
    }
    screen.flush()?;
    tell(screen, receipt?.as_ref(), before)
}

/// Tells how a receipt stands. The command ends as `before`, or with an incomplete receipt.
pub fn tell(screen: &mut Screen, receipt: Option<&Receipt>, before: Done) -> Outcome {
    let Some(receipt) = receipt else { return Ok(before) };
    if !screen.is_json {
        receipt.lines().iter().try_for_each(|line| screen.wrapped("", 2, line))?;
    }
    screen.flush()?;
    Ok(if receipt.complete { before } else { Done::Incomplete })
}

impl Receipt {
    /// The service counts whole seconds since a change. Who sent the change knows it to the millisecond: the time until
    /// the answer with this receipt, so at least the time that the gateways took.
    fn measured(&mut self, sent: Instant) {
        let elapsed = i64::try_from(sent.elapsed().as_millis()).unwrap_or(i64::MAX);
        (self.after_ms, self.is_measured) = (Some(elapsed), true);
        if let Some(after) = self.sent.get_mut("after_ms") {
            *after = elapsed.into();
        }
    }

    /// How it stands, in lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let Self { revision, live, have, missing, silent, after_ms, is_measured, complete, .. } = self;
        let word = if *complete { output::styled("complete") } else { output::styled("not complete") };
        let after = match after_ms {
            Some(after) if *is_measured => format!(", {after} ms after the change"),
            // How long the gateways took is not known any more.
            Some(after) => format!("; the change was made {}", times::away(0, after / 1_000)),
            None => String::new(),
        };
        let of = match (live, silent.number()) {
            (0, 0) => "no gateway is known".to_owned(),
            _ => format!("{have} of {live} live gateways decide by it{after}"),
        };
        let mut lines = vec![format!("receipt of revision {revision}: {word}; {of}")];
        for (gateways, what) in [
            (missing, "live, and has not shown this revision yet"),
            (silent, "not heard of, and may decide by an older policy"),
        ] {
            lines.extend(gateways.names().into_iter().map(|name| format!("  {name}: {what}")));
            if let Gateways::Number(number @ 1..) = gateways {
                lines.push(format!("  {number} gateways: {what}"));
            }
        }
        if !complete && missing.number() == 0 && silent.number() == 0 {
            let why = "its database lost a part of its history, or cannot be read now";
            lines.push(format!("  the service may not know all gateways: {why}"));
        }
        lines
    }
}

/// Shows the receipt of a revision.
pub fn show(client: &Client, screen: &mut Screen, asked: &reads::Receipt) -> Outcome {
    let revision = match asked.revision {
        Some(revision) => revision,
        None => latest(client)?,
    };
    let receipt = find(client, revision)?;
    if screen.is_json {
        screen.json(&receipt.sent)?;
    }
    tell(screen, Some(&receipt), Done::Well)
}

/// The policy's latest revision.
pub fn latest(client: &Client) -> Result<i64, Failure> {
    let rows = client.pages("/v1/revisions", &[("sort", "-revision".to_owned())]).next(1)?.unwrap_or_default();
    rows.first()
        .and_then(|row| row.get("revision"))
        .and_then(Value::as_i64)
        .ok_or_else(|| Failure::Other("the policy has no revision yet".to_owned()))
}
