//! `POST /v1/import`: many rows in one request, a row a line. The rules are in [`management::import`].
//!
//! The body is read as it arrives ([`arriving`]). What was written before a body broke off stays; the same import again
//! goes on from there. With an `idempotency-key` a complete import is known again by a digest of its body: then the body is
//! only read, nothing is written, and the answer is that of the first time.
//!
//! One import at a time has the turn, in all services on a database ([`crate::turn`]). `if-match` names the revision that the
//! import may begin at: who has looked at a policy does not write over what came after.

mod arriving;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::arriving::Arriving;
use super::{
    once,
    tag::{self, IfMatch},
    told::Accepted,
};
use crate::{
    auth::Caller,
    http::{
        body::{MARKED, has_mark, is_plain},
        problem::Problem,
        query::Query,
    },
    turn::Held,
};
use management::{
    check,
    import::{Counts, Import, Kept, Options, Place, ROWS_PER_CHANGE, Removed, Row, Told},
    once::look,
    port::{Kind, Store, answers::Once, audit::Subject},
    resource::document,
};

/// Refused rows that are named each; 200 bytes each, 2 MB. The others are counted.
const MAX_REFUSED_NAMED: usize = 10_000;

/// Objects that were to be removed and stay, and are named each; 200 bytes each, 2 MB. The others are counted.
const MAX_STAYING_NAMED: usize = 10_000;

/// Imports at once in this process: each may hold 300 MB of rows. Others wait for their turn.
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
    /// Objects that were to be removed by a row with `remove`, and of which something stays; the first 10,000.
    kept: Vec<Kept>,
}

/// The refused rows.
#[derive(Default)]
struct Heard {
    /// The first of them, by line and by the order in which they were refused.
    named: BTreeMap<(u64, u64), Refused>,
    refused: u64,
    /// What stays of objects that were to be removed.
    kept: Vec<Kept>,
}

impl Told for Heard {
    fn refuse(&mut self, place: Place, kind: Option<Kind>, field: Option<&str>, because: &str) {
        let Place::Line(line) = place else { return };
        let kind = kind.map(|kind| Subject::Row(kind).word());
        let refused = Refused { line, kind, field: field.map(str::to_owned), detail: because.to_owned() };
        self.refused = self.refused.saturating_add(1);
        self.named.insert((line, self.refused), refused);
        if self.named.len() > MAX_REFUSED_NAMED {
            self.named.pop_last();
        }
    }

    fn keep(&mut self, _: Place, kept: Kept) {
        if self.kept.len() < MAX_STAYING_NAMED {
            self.kept.push(kept);
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
         block of an application or a subscription. `\"remove\": true` beside `kind` and `id` alone removes an object at the \
         end, unless a row is refused. Its block stays, and so does an object that something else belongs to",
        example = "{\"kind\":\"plan\",\"id\":\"gold\"}\n{\"kind\":\"application\",\"id\":\"app-1\"}\n"),
    responses(
    (status = 200, description = "what was done; refused rows changed nothing, the others are written", body = Imported),
    (status = 400, description = "a parameter cannot be used, or the body broke off", body = Problem),
    (status = 401, description = "not a principal's token", body = Problem),
    (status = 408, description = "the next part of the body did not arrive in time; what came before is written", body = Problem),
    (status = 409, description = "another import took over, because this one made no progress for too long; what came before is written", body = Problem),
    (status = 412, description = "the policy is at a revision that `if-match` does not name; nothing is written", body = Problem),
    (status = 422, description = "a dry run with more than 256 MiB of rows", body = Problem),
    (status = 413, description = "the body is too large; what came before is written", body = Problem),
    (status = 503, description = "another import is under way, in this service or another one; nothing is written", body = Problem),
))]
async fn import(
    State(store): State<Store>,
    Extension(turns): Extension<Arc<Semaphore>>,
    caller: Caller,
    IfMatch(expected): IfMatch,
    query: Result<Query<How>, Problem>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let awaits_sign = parts.headers.contains_key(header::EXPECT);
    let mut arriving = Arriving::new(body, once::begin_fingerprint(&parts), awaits_sign);
    let answer = async {
        let Query(how) = query?;
        if let Some(label) = &how.label {
            check::text("label", label).map_err(|error| Problem::parameter("label", error.to_string()))?;
        }
        let key = once::key_of(&parts.headers)?;
        is_plain(&parts.headers)?;
        let now = Instant::now();
        let until = now.checked_add(TURN_TIMEOUT).unwrap_or(now);
        // The semaphore is never closed.
        let Ok(Ok(_turn)) = timeout_at(until, turns.acquire()).await else { return Err(under_way()) };
        expected.check_revision(store.state().await?.revision)?;
        let held = Held::wait(&store, Some(until), || ()).await?.ok_or_else(under_way)?;
        let options = Options {
            dry_run: how.dry_run,
            replace: how.replace,
            lift_blocks: how.lift_blocks,
            label: how.label,
            expected,
            holder: held.holder(),
        };
        let answer = match key {
            Some(key) if !how.dry_run => import_once(&store, &caller, options, key, &mut arriving).await,
            _ => run(&store, &caller, options, None, &mut arriving).await,
        };
        held.end().await;
        answer
    };
    let answer = answer.await;
    // Whoever is late sends nothing more.
    if answer.as_ref().is_err_and(|problem| problem.status() != StatusCode::REQUEST_TIMEOUT) {
        arriving.discard().await;
    }
    answer
}

fn under_way() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another import is under way; try again after its end")
}

/// Imports unless a request with this key has done so. Then the body is only read, to tell whether it is the same.
async fn import_once(
    store: &Store,
    caller: &Caller,
    options: Options,
    key: String,
    arriving: &mut Arriving,
) -> Result<Response, Problem> {
    let mut change = store.begin(caller.clone().act()).await?;
    let is_known = look(&mut *change, &key).await?.is_some();
    // Nothing was changed.
    change.commit().await?;
    if !is_known {
        return run(store, caller, options, Some(key), arriving).await;
    }
    arriving.skip().await?;
    let once = Once { key, fingerprint: arriving.digest() };
    let again = once::find(store, &caller.actor(), &once).await?;
    // It was known until a moment ago.
    again
        .ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the answer to this key was forgotten; try again"))
}

/// Imports the body, and keeps the answer under `key`.
async fn run(
    store: &Store,
    caller: &Caller,
    options: Options,
    key: Option<String>,
    arriving: &mut Arriving,
) -> Result<Response, Problem> {
    let dry_run = options.dry_run;
    let mut heard = Heard::default();
    let begin = || caller.clone().act();
    let mut import = Import::new(store, options, &begin, &mut heard);
    while let Some(lines) = arriving.lines().await? {
        for (number, line) in lines {
            take(&mut import, number, &line).await?;
        }
    }
    let (number, line) = arriving.last();
    take(&mut import, number, &line).await?;
    let outcome = import.finish().await?;
    let revision = store.state().await?.revision;
    let answer = Imported {
        dry_run,
        revision,
        refused_total: outcome.refused(),
        counts: outcome.counts,
        refused: heard.named.into_values().collect(),
        removed: outcome.removed,
        kept: heard.kept,
    };
    let (body, mut headers) = (document(&answer)?, HeaderMap::new());
    let mut accepted =
        Accepted { actor: caller.actor(), revision: outcome.revision, state: None, is_stored: key.is_some() };
    tag::put_revision(&mut headers, revision);
    if let Some(key) = key {
        let mut act = begin();
        act.origin.once = Some(Arc::new(Once { key, fingerprint: arriving.digest() }));
        let told = tag::Told { status: StatusCode::OK, location: None, body: Some(&body), issued: None };
        accepted.is_stored = tag::commit_once(store.begin(act).await?, &mut headers, None, told).await?.is_stored;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, Extension(accepted), body).into_response())
}

async fn take(import: &mut Import<'_>, number: u64, line: &[u8]) -> Result<(), Problem> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    if has_mark(line) {
        import.refuse(Place::Line(number), MARKED);
        return Ok(());
    }
    let row = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned());
    match row.and_then(|line| Row::of_line(number, line)) {
        Ok(row) => import.add(row).await?,
        Err(because) => import.refuse(Place::Line(number), &because),
    }
    Ok(())
}

/// The route.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(import)).layer(Extension(Arc::new(Semaphore::new(IMPORTS))))
}
