//! `POST /v1/import`: many rows in one request, a row a line. The rules are in [`management::import`].
//!
//! The body is read as it arrives: its size, each of its lines, and the time between two parts of it have limits. What was
//! written before a body broke off stays; the same import again goes on from there.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json as Body,
    body::{Bytes, HttpBody as _},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::Instant};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{tag, told::Accepted};
use crate::{
    auth::Caller,
    http::{body::MAX_BODY_BYTES, problem::Problem},
};
use management::{
    check,
    import::{Counts, Import, Options, Place, ROWS_PER_CHANGE, Removed, Row, Told},
    port::{Kind, Store, audit::Subject},
};

/// Bytes of an import: a million keys of 300 bytes, three times.
const MAX_IMPORT_BYTES: u64 = 1 << 30;
/// How long a client may take until the next part of the body. It waits meanwhile for the database, too.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an import may take. A million rows take minutes.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Refused rows that are named each; 200 bytes each, 2 MB. The others are counted.
const MAX_REFUSED_NAMED: usize = 10_000;

/// Imports at once: each may hold 300 MB of rows. Others wait for their turn.
const IMPORTS: usize = 1;
/// How long an import waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// How to import.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct How {
    /// Change nothing, and answer what would be changed. Other changes wait meanwhile.
    dry_run: bool,
    /// Remove what the import does not name, unless a row is refused. Blocks and deny policies stay.
    replace: bool,
    /// Let rows lift and weaken blocks, and `replace` remove deny policies.
    lift_blocks: bool,
    /// A word of 1 to 256 bytes for the audit log, as the reason of its entries.
    #[param(nullable = false)]
    label: Option<String>,
}

/// A refused row.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    /// Its line, counted from 1.
    line: u64,
    /// Its kind; absent: the line is no row.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The field that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What is wrong and what would be right.
    detail: String,
}

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The policy's revision now.
    revision: i64,
    /// How many rows, by the names of their lists.
    counts: Counts,
    /// How many rows were refused in all.
    refused_total: u64,
    /// Refused rows, the first 10,000.
    refused: Vec<Refused>,
    /// With `replace`: rows that the import does not name, the first 1,000.
    removed: Vec<Removed>,
}

/// The refused rows.
#[derive(Default)]
struct Heard(Vec<Refused>);

impl Told for Heard {
    fn refuse(&mut self, place: Place, kind: Option<Kind>, field: Option<&str>, because: &str) {
        if let (Place::Line(line), true) = (place, self.0.len() < MAX_REFUSED_NAMED) {
            let kind = kind.map(|kind| Subject::Row(kind).word());
            self.0.push(Refused { line, kind, field: field.map(str::to_owned), detail: because.to_owned() });
        }
    }

    fn add(&mut self, rows: usize) {
        // The change itself has its line. A large import shows how far it is.
        if rows >= ROWS_PER_CHANGE {
            tracing::info!(rows, "rows of an import were written");
        }
    }
}

/// Imports rows: what is new is made, what is there otherwise is replaced, what is there as it is costs nothing.
#[utoipa::path(post, path = "/v1/import", tag = "import", operation_id = "import_rows", params(How),
    request_body(content = String, content_type = "application/x-ndjson", description =
        "a JSON object on each line: a row as its list shows it, with a further field `kind` (`api`, `application`, `key`, \
         `subscription`, `plan`, `deny_policy`). Rows may name rows that come later. `\"deleted\": true` makes the kept \
         block of an application or a subscription",
        example = "{\"kind\":\"plan\",\"id\":\"gold\"}\n{\"kind\":\"application\",\"id\":\"app-1\"}\n"),
    responses(
    (status = 200, description = "what was done; refused rows changed nothing, the others are written", body = Imported),
    (status = 400, description = "a parameter cannot be used, or the body broke off", body = Problem),
    (status = 401, description = "not a principal's token", body = Problem),
    (status = 408, description = "the next part of the body did not arrive in time; what came before is written", body = Problem),
    (status = 422, description = "a dry run with more than 256 MiB of rows", body = Problem),
    (status = 413, description = "the body is too large; what came before is written", body = Problem),
))]
async fn import(
    State(store): State<Store>,
    Extension(turns): Extension<Arc<Semaphore>>,
    caller: Caller,
    query: Result<Query<How>, QueryRejection>,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let Query(how) = query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    if let Some(label) = &how.label {
        check::text("label", label).map_err(|error| Problem::parameter("label", error.to_string()))?;
    }
    // The semaphore is never closed.
    let Ok(Ok(_turn)) = tokio::time::timeout(TURN_TIMEOUT, turns.acquire()).await else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "another import is under way; try again after its end",
        ));
    };
    let How { dry_run, replace, lift_blocks, label } = how;
    let options = Options { dry_run, replace, lift_blocks, label };
    let mut heard = Heard::default();
    let begin = || caller.clone().act();
    let actor = begin().actor;
    let mut import = Import::new(&store, options, &begin, &mut heard);
    read(body, &mut import).await?;
    let outcome = import.finish().await?;
    let state = store.state().await?;
    let answer = Imported {
        dry_run,
        revision: state.revision,
        refused_total: outcome.refused(),
        counts: outcome.counts,
        refused: heard.0,
        removed: outcome.removed,
    };
    let mut headers = HeaderMap::new();
    tag::put_revision(&mut headers, state.revision);
    let accepted = Accepted { actor, revision: outcome.revision, state: None, is_stored: false };
    Ok((headers, Extension(accepted), Body(answer)).into_response())
}

/// Reads the body, line by line.
async fn read(mut body: axum::body::Body, import: &mut Import<'_>) -> Result<(), Problem> {
    let started = Instant::now();
    let (mut lines, mut read) = (Lines::default(), 0_u64);
    while !body.is_end_stream() {
        let Ok(part) = tokio::time::timeout(PART_TIMEOUT, body.frame()).await else {
            return Err(late(format!(
                "the next part of the body did not arrive within {} seconds",
                PART_TIMEOUT.as_secs()
            )));
        };
        let Some(part) = part else { break };
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete; send it again");
        let Ok(part) = part.map_err(broken)?.into_data() else { continue };
        read = read.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if read > MAX_IMPORT_BYTES {
            return Err(large(format!("the body has more than {MAX_IMPORT_BYTES} bytes; send the rest by itself")));
        }
        if started.elapsed() > IMPORT_TIMEOUT {
            return Err(late(format!("the import took longer than {} seconds", IMPORT_TIMEOUT.as_secs())));
        }
        for (number, line) in lines.add(&part)? {
            take(import, number, &line).await?;
        }
    }
    let (number, line) = lines.end();
    take(import, number, &line).await
}

async fn take(import: &mut Import<'_>, number: u64, line: &[u8]) -> Result<(), Problem> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let row = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned());
    match row.and_then(|line| Row::of_line(number, line)) {
        Ok(row) => import.add(row).await?,
        Err(because) => import.refuse(Place::Line(number), &because),
    }
    Ok(())
}

fn late(detail: String) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

fn large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Lines out of parts.
#[derive(Default)]
struct Lines {
    /// Lines that have ended.
    ended: u64,
    /// The beginning of the next one.
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that end in `part`, with their numbers.
    fn add(&mut self, part: &Bytes) -> Result<Vec<(u64, Vec<u8>)>, Problem> {
        let mut found = Vec::new();
        let mut pieces = part.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.begun.len().saturating_add(piece.len()) > MAX_BODY_BYTES {
                let line = self.ended.saturating_add(1);
                return Err(large(format!("line {line} has more than {MAX_BODY_BYTES} bytes")));
            }
            self.begun.extend_from_slice(piece);
            if pieces.peek().is_some() {
                found.push(self.end());
            }
        }
        Ok(found)
    }

    /// The line that is under way.
    fn end(&mut self) -> (u64, Vec<u8>) {
        self.ended = self.ended.saturating_add(1);
        (self.ended, std::mem::take(&mut self.begun))
    }
}

/// The route.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(import)).layer(Extension(Arc::new(Semaphore::new(IMPORTS))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"a\n\nbc\r\nlast".as_slice();
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                found.extend(lines.add(&Bytes::copy_from_slice(part)).unwrap());
            }
            found.push(lines.end());
            let expected = [(1, "a"), (2, ""), (3, "bc\r"), (4, "last")];
            assert_eq!(found, expected.map(|(number, line)| (number, line.as_bytes().to_vec())), "{size}");
        }
        let mut lines = Lines::default();
        assert!(lines.add(&Bytes::from(vec![b'x'; MAX_BODY_BYTES])).is_ok());
        assert!(lines.add(&Bytes::from_static(b"x")).is_err());
    }
}
