//! The way back of a large database: restores of an earlier revision, and their previews. Other changes wait meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    Error, Result,
    http::{Answer, Ask},
};

use crate::{
    changes::Client,
    database::Kind,
    replicas::{TOKEN, latest},
    row,
};

/// How long a restore may take here. The table says how long it took.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Restores, from a small one to the largest. `imported` is the last revision of an import, and `changes` were made since.
pub async fn measure(kind: Kind, client: &mut Client, imported: i64, changes: i64) -> Result<()> {
    let now = latest(client).await?;
    restore(kind, client, "preview of a restore of the last changes", now.saturating_sub(changes), true).await?;
    for part in [20, 5, 2] {
        let what = format!("preview of a restore that removes a part of the import, 1/{part}");
        restore(kind, client, &what, imported - imported / part, true).await?;
    }
    // A part that history keeps, so that it can be taken back.
    let back = imported - imported / 25;
    restore(kind, client, "a restore that removes a part of the import, 1/25", back, false).await?;
    restore(kind, client, "the restore that takes that back", now, false).await?;
    restore(kind, client, "preview of a restore of the empty database", 0, true).await
}

async fn restore(kind: Kind, client: &mut Client, what: &str, revision: i64, is_preview: bool) -> Result<()> {
    let body = json!({"revision": revision, "dry_run": is_preview});
    let ask = Ask::new("POST", "/v1/restore").header("authorization", TOKEN).json(body);
    let begun = Instant::now();
    let answer = client.send(0, &ask, PATIENCE).await?;
    let took = begun.elapsed();
    // Too large a restore is refused, and so is one of a revision that is not kept any more.
    if !answer.status.is_success() && ![409, 410].contains(&answer.status.as_u16()) {
        return Err(Error::unexpected("a restore", "200, 409 or 410", answer.to_string()));
    }
    row(kind, what, format!("{:.1} s, {}", took.as_secs_f64(), said(&answer)));
    Ok(())
}

/// How many rows were made, changed and removed, or why none was.
fn said(answer: &Answer) -> String {
    let body = answer.json();
    if let Some(detail) = body["detail"].as_str() {
        return format!("refused: {detail}");
    }
    let kinds = body["counts"].as_object().into_iter().flatten();
    let [mut made, mut changed, mut removed] = [0; 3];
    for (_, counts) in kinds {
        let of = |word: &str| counts.get(word).and_then(Value::as_u64).unwrap_or_default();
        made += of("made");
        changed += of("changed");
        removed += of("removed");
    }
    format!("{made} made, {changed} changed, {removed} removed, {} kept", body["kept_total"])
}
