//! Accepts a usage report once and as a whole, and only the rows that its gateway may report.

use std::{borrow::Cow, collections::HashSet};

use keygate::usage::report::{Count, Receipt, UsageReport};

use super::room::{self, Excess};
use crate::{
    error::Error,
    port::{
        Act, Database, Scope,
        usage::{KeyUsed, Pair, UsageRow},
    },
    review::review_pairs,
};

/// The gateway that sends a report.
#[derive(Clone, Copy, Debug)]
pub struct Reporter<'g> {
    /// The gateway's name.
    pub client_id: &'g str,
    /// What the gateway sees.
    pub scope: &'g Scope,
}

/// The result of a report.
#[derive(Debug)]
pub struct Taken {
    /// The answer to the gateway.
    pub receipt: Receipt,
    /// The dropped part, which the gateway cannot have served.
    pub excess: Excess,
}

/// Accepts a report. When this returns, the report is on the disk and the resulting marks are in the feed. A repeated
/// batch changes nothing.
pub async fn take(
    store: &dyn Database,
    gateway: Reporter<'_>,
    report: &UsageReport<'_>,
    act: Act,
) -> Result<Taken, Error> {
    let now = act.now;
    report.check(now.unsigned_abs()).map_err(|wrong| Error::invalid(wrong.field, wrong.expected.to_string()))?;
    let mut change = store.begin_report(act).await?;
    if !change.take_batch(gateway.client_id, &report.batch).await? {
        let receipt = Receipt { batch: report.batch.to_string(), repeated: true, rejected: 0 };
        return Ok(Taken { receipt, excess: Excess::default() });
    }
    let (mut rows, keys) = (rows(gateway, report), keys(report));
    let out_of_scope = report.counts.len().saturating_sub(rows.len());
    let mut left = room::at(now, change.room(gateway.client_id).await?);
    let excess = room::cut(&mut rows, &mut left);
    change.set_room(gateway.client_id, left).await?;
    change.add_usage(&rows).await?;
    let touched = change.touch(&keys, gateway.scope).await?;
    change.tidy_usage().await?;
    review_pairs(&mut *change, &pairs(&rows)).await?;
    change.commit_without_revision();
    change.commit().await?;

    // A report may name a key twice.
    let distinct = keys.iter().map(|key| &key.id).collect::<HashSet<_>>().len();
    let unknown = distinct.saturating_sub(usize::try_from(touched).unwrap_or(usize::MAX));
    let rejected = u64::try_from(out_of_scope.saturating_add(unknown)).unwrap_or(u64::MAX).saturating_add(excess.rows);
    let receipt = Receipt { batch: report.batch.to_string(), repeated: false, rejected };
    Ok(Taken { receipt, excess })
}

/// The rows that the gateway may report. A row without an API may belong to any API, so a limited gateway may not
/// report it.
fn rows(gateway: Reporter<'_>, report: &UsageReport<'_>) -> Vec<UsageRow> {
    let may = |count: &&Count<'_>| match count.api.as_deref() {
        Some(api) => gateway.scope.has(api),
        None => *gateway.scope == Scope::All,
    };
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let row = |count: &Count<'_>| UsageRow {
        application: text(&count.application),
        api: text(&count.api),
        hour: signed(count.hour),
        plan: text(&count.plan),
        outcome: count.outcome.to_string(),
        requests: signed(count.requests),
    };
    report.counts.iter().filter(may).map(row).collect()
}

fn keys(report: &UsageReport<'_>) -> Vec<KeyUsed> {
    report.keys.iter().map(|key| KeyUsed { id: key.id.to_string(), last_used: signed(key.last_used) }).collect()
}

/// The pairs whose limits may be reached now: each application and API, and each application over all its APIs.
fn pairs(rows: &[UsageRow]) -> Vec<Pair> {
    let allowed = rows.iter().filter(|row| row.outcome == keygate::usage::report::ALLOWED && !row.api.is_empty());
    let both = allowed.flat_map(|row| {
        let pair = |api: &str| Pair { application: row.application.clone(), api: api.to_owned() };
        [pair(&row.api), pair("")]
    });
    both.collect::<HashSet<_>>().into_iter().collect()
}

/// The number was checked before; it is far below 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
