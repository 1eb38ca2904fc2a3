//! Usage in the database: taking batches, adding up, looking up. What a limit makes of it is not known here.
//!
//! A batch is written as a few statements over all of its rows, not row by row: it is one transaction, and everyone who
//! wants to change the policy waits for it. What is too old goes with each batch, so that there is no task of its own.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sqlx::{Row as _, Sqlite, SqliteConnection};

use super::{Error, Store, Version};

/// How long a batch's id is remembered, in seconds. A gateway repeats what was not answered as soon as it can; it would
/// have to be cut off for two days after its batch had arrived to be counted twice. A fleet of 1,000 gateways that each
/// report every minute leaves 3 million ids of some 60 bytes.
const REMEMBER_BATCHES: i64 = 48 * 3_600;
/// How long totals are kept, in seconds: the month that is under way, and the one before for reports that come late. As long
/// it is known that an application was deleted.
const KEEP_TOTALS: i64 = 62 * 86_400;
/// Hourly rows that a batch takes away at most; more than it brings, so the table shrinks when less is kept.
const TIDIED_AT_ONCE: i64 = 10_000;

/// One row of usage. An empty text stands for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsageRow {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
    /// The hour's first second, Unix time.
    pub hour: i64,
    /// The subscription's plan.
    pub plan: String,
    /// `allowed`, or the reason why not.
    pub outcome: String,
    /// How many.
    pub requests: i64,
}

/// A key and when it was used last, in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUsed {
    /// Its id.
    pub id: String,
    /// When.
    pub last_used: i64,
}

/// Which rows are asked for.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only hours that begin at this time or later.
    pub from: Option<i64>,
    /// Only hours that begin before this time.
    pub to: Option<i64>,
}

/// The day and the month of UTC in which a time lies: first second, and the first second after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The day.
    pub day: (i64, i64),
    /// The month.
    pub month: (i64, i64),
}

/// What an application used of an API, or of all: requests let through in the day and the month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Today.
    pub day: i64,
    /// This month.
    pub month: i64,
}

/// An application and an API; an empty one means all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pair {
    /// The application.
    pub application: String,
    /// The API.
    pub api: String,
}

impl Store {
    /// At most `limit` rows in the order of application, API, hour, plan and outcome, from the first after `after`.
    pub async fn usage(
        &self,
        filter: &UsageFilter,
        after: Option<&UsageRow>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, Error> {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new("SELECT * FROM usage WHERE true");
        if let Some(application) = &filter.application {
            query.push(" AND application = ").push_bind(application);
        }
        if let Some(api) = &filter.api {
            query.push(" AND api = ").push_bind(api);
        }
        if let Some(from) = filter.from {
            query.push(" AND hour >= ").push_bind(from);
        }
        if let Some(to) = filter.to {
            query.push(" AND hour < ").push_bind(to);
        }
        if let Some(UsageRow { application, api, hour, plan, outcome, .. }) = after {
            query.push(" AND (application, api, hour, plan, outcome) > (").push_bind(application).push(", ");
            query.push_bind(api).push(", ").push_bind(hour).push(", ").push_bind(plan).push(", ");
            query.push_bind(outcome).push(")");
        }
        query.push(" ORDER BY application, api, hour, plan, outcome LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *self.readers.acquire().await?).await?;
        let row = |row: &sqlx::sqlite::SqliteRow| {
            Ok(UsageRow {
                application: row.try_get("application")?,
                api: row.try_get("api")?,
                hour: row.try_get("hour")?,
                plan: row.try_get("plan")?,
                outcome: row.try_get("outcome")?,
                requests: row.try_get("requests")?,
            })
        };
        rows.iter().map(row).collect()
    }

    /// When those of the keys `ids` were used last that ever were.
    pub async fn last_used(&self, ids: &[&str]) -> Result<Vec<KeyUsed>, Error> {
        let rows = sqlx::query("SELECT id, last_used FROM key_use WHERE id IN (SELECT value FROM json_each(?))")
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&mut *self.readers.acquire().await?)
            .await?;
        rows.iter().map(|row| Ok(KeyUsed { id: row.try_get("id")?, last_used: row.try_get("last_used")? })).collect()
    }
}

/// Notes that a batch of a gateway was taken; `false`: it was taken before.
pub async fn take_batch(
    connection: &mut SqliteConnection,
    gateway: &str,
    batch: &str,
    now: i64,
) -> Result<bool, Error> {
    let noted = sqlx::query("INSERT OR IGNORE INTO usage_batch (gateway, batch, received_at) VALUES (?, ?, ?)")
        .bind(gateway)
        .bind(batch)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(noted.rows_affected() == 1)
}

/// What a probe writes, in hexadecimal, into the table and its index: 64 KiB, 16 pages. A change of one row writes some 10.
const PROBE_BYTES: i64 = 16 << 10;

/// Writes a row that stands for no batch: to see whether a change could be written. No gateway has an empty name.
pub async fn write_probe(connection: &mut SqliteConnection) -> Result<(), Error> {
    // One of a probe that could not be taken away.
    remove_probe(&mut *connection).await?;
    sqlx::query("INSERT INTO usage_batch (gateway, batch, received_at) VALUES ('', hex(randomblob(?)), 0)")
        .bind(PROBE_BYTES)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes it away again.
pub async fn remove_probe(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("DELETE FROM usage_batch WHERE gateway = ''").execute(connection).await?;
    Ok(())
}

/// When a gateway reported last, and the room that it had left then.
pub async fn room(connection: &mut SqliteConnection, gateway: &str) -> Result<Option<(i64, i64)>, Error> {
    let row = sqlx::query("SELECT reported_at, room FROM usage_room WHERE gateway = ?").bind(gateway);
    let row = row.fetch_optional(connection).await?;
    row.map(|row| Ok((row.try_get("reported_at")?, row.try_get("room")?))).transpose()
}

/// Notes that a gateway reports now, and the room that it has left.
pub async fn set_room(connection: &mut SqliteConnection, gateway: &str, now: i64, room: i64) -> Result<(), Error> {
    sqlx::query("INSERT OR REPLACE INTO usage_room (gateway, reported_at, room) VALUES (?, ?, ?)")
        .bind(gateway)
        .bind(now)
        .bind(room)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds rows to those that are there. A sum that would pass 2^63 - 1 stays there: nothing is lost of the other rows.
pub async fn add(connection: &mut SqliteConnection, rows: &[UsageRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let counted = counted(&mut *connection, rows).await?;
    let rows = json(rows)?;
    sqlx::query(
        "INSERT INTO usage (application, api, hour, plan, outcome, requests) \
         SELECT value->>'application', value->>'api', value->>'hour', value->>'plan', value->>'outcome', \
         value->>'requests' FROM json_each(?) WHERE true \
         ON CONFLICT DO UPDATE SET requests = iif(requests > 9223372036854775807 - excluded.requests, \
         9223372036854775807, requests + excluded.requests)",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await?;
    // By API, and over all APIs of the application; of the day and of the month.
    sqlx::query(
        "WITH allowed AS (SELECT value->>'application' AS application, value->>'api' AS api, value->>'hour' AS hour, \
         value->>'requests' AS requests FROM json_each(?) \
         WHERE value->>'outcome' = 'allowed' AND value->>'application' <> ''), \
         windows AS (SELECT *, 1 AS per, unixepoch(hour, 'unixepoch', 'start of day') AS start FROM allowed \
         UNION ALL SELECT *, 2, unixepoch(hour, 'unixepoch', 'start of month') FROM allowed), \
         totals AS (SELECT application, api, per, start, requests FROM windows \
         UNION ALL SELECT application, '', per, start, requests FROM windows) \
         INSERT INTO usage_total (application, api, per, start, requests) \
         SELECT application, api, per, start, sum(requests) FROM totals WHERE true \
         GROUP BY application, api, per, start \
         ON CONFLICT DO UPDATE SET requests = iif(requests > 9223372036854775807 - excluded.requests, \
         9223372036854775807, requests + excluded.requests)",
    )
    .bind(json(&counted)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows that count for the plans of their application: not those of an hour that began before it was made again.
async fn counted<'r>(connection: &mut SqliteConnection, rows: &'r [UsageRow]) -> Result<Vec<&'r UsageRow>, Error> {
    let applications: HashSet<&str> = rows.iter().map(|row| row.application.as_str()).collect();
    let made = sqlx::query_as::<_, (String, Option<i64>)>(
        "SELECT application, made_at FROM usage_cut WHERE application IN (SELECT value FROM json_each(?))",
    );
    let made = made.bind(json(&applications)?).fetch_all(connection).await?;
    let made: HashMap<String, Option<i64>> = made.into_iter().collect();
    let counts = |row: &&UsageRow| match made.get(&row.application) {
        None => true,
        Some(made_at) => made_at.is_some_and(|made_at| made_at <= row.hour),
    };
    Ok(rows.iter().filter(counts).collect())
}

/// Notes when keys were used last; keys that are not there, or that reach none of `apis` (a JSON array), are left out.
/// Returns how many were taken.
pub async fn touch(connection: &mut SqliteConnection, keys: &[KeyUsed], apis: Option<&str>) -> Result<u64, Error> {
    if keys.is_empty() {
        return Ok(0);
    }
    let touched = sqlx::query(
        "INSERT INTO key_use (id, last_used) SELECT value->>'id', max(value->>'last_used') FROM json_each(?1) \
         JOIN version k ON k.until_revision IS NULL AND k.kind = 3 AND k.id = value->>'id' \
         WHERE ?2 IS NULL \
         OR EXISTS (SELECT 1 FROM version s WHERE s.application = k.application AND s.kind = 4 \
         AND s.until_revision IS NULL AND s.api IN (SELECT value FROM json_each(?2))) \
         OR EXISTS (SELECT 1 FROM version a WHERE a.kind = 1 AND a.until_revision IS NULL \
         AND a.id IN (SELECT value FROM json_each(?2)) AND json_extract(a.document, '$.subscription_required') = 0) \
         GROUP BY 1 \
         ON CONFLICT DO UPDATE SET last_used = max(last_used, excluded.last_used)",
    )
    .bind(json(keys)?)
    .bind(apis)
    .execute(connection)
    .await?;
    Ok(touched.rows_affected())
}

/// Forgets when a key was used: it is not there any more, and another may get its id.
pub async fn forget_key(connection: &mut SqliteConnection, id: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM key_use WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

/// Forgets how much an application used of its plans: it is gone, and another may get its id. Hourly rows stay, for bills.
/// What is reported of it from now on uses up nothing of the other one's plans.
pub async fn forget_totals(connection: &mut SqliteConnection, application: &str, now: i64) -> Result<(), Error> {
    sqlx::query("DELETE FROM usage_total WHERE application = ?").bind(application).execute(&mut *connection).await?;
    sqlx::query("INSERT OR REPLACE INTO usage_cut (application, deleted_at) VALUES (?, ?)")
        .bind(application)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes away what is too old: hourly rows after `days`, and what nobody looks at any more.
pub async fn tidy(connection: &mut SqliteConnection, now: i64, days: i64) -> Result<(), Error> {
    sqlx::query("DELETE FROM usage_batch WHERE received_at < ?")
        .bind(now.saturating_sub(REMEMBER_BATCHES))
        .execute(&mut *connection)
        .await?;
    for statement in ["DELETE FROM usage_total WHERE start < ?", "DELETE FROM usage_cut WHERE deleted_at < ?"] {
        sqlx::query(statement).bind(now.saturating_sub(KEEP_TOTALS)).execute(&mut *connection).await?;
    }
    sqlx::query(
        "DELETE FROM usage WHERE (application, api, hour, plan, outcome) IN \
         (SELECT application, api, hour, plan, outcome FROM usage WHERE hour < ? ORDER BY hour LIMIT ?)",
    )
    .bind(now.saturating_sub(days.saturating_mul(86_400)))
    .bind(TIDIED_AT_ONCE)
    .execute(connection)
    .await?;
    Ok(())
}

/// The day and the month that `now` lies in.
pub async fn windows(connection: &mut SqliteConnection, now: i64) -> Result<Windows, Error> {
    let row = sqlx::query(
        "SELECT unixepoch(?1, 'unixepoch', 'start of day'), unixepoch(?1, 'unixepoch', 'start of day', '+1 day'), \
         unixepoch(?1, 'unixepoch', 'start of month'), unixepoch(?1, 'unixepoch', 'start of month', '+1 month')",
    )
    .bind(now)
    .fetch_one(connection)
    .await?;
    Ok(Windows { day: (row.try_get(0)?, row.try_get(1)?), month: (row.try_get(2)?, row.try_get(3)?) })
}

/// What was used by each of `pairs`, as far as anything was.
pub async fn used(
    connection: &mut SqliteConnection,
    pairs: &[Pair],
    windows: &Windows,
) -> Result<Vec<(Pair, Used)>, Error> {
    let rows = sqlx::query(
        "SELECT t.application, t.api, max(iif(per = 1, requests, 0)) AS day, max(iif(per = 2, requests, 0)) AS month \
         FROM json_each(?1) JOIN usage_total t ON t.application = value->>'application' AND t.api = value->>'api' \
         AND (per, start) IN ((1, ?2), (2, ?3)) GROUP BY t.application, t.api",
    )
    .bind(json(pairs)?)
    .bind(windows.day.0)
    .bind(windows.month.0)
    .fetch_all(connection)
    .await?;
    let row = |row: &sqlx::sqlite::SqliteRow| {
        let pair = Pair { application: row.try_get("application")?, api: row.try_get("api")? };
        Ok((pair, Used { day: row.try_get("day")?, month: row.try_get("month")? }))
    };
    rows.iter().map(row).collect()
}

/// The subscriptions of `pairs`, and the applications where the API is empty, that have a plan.
pub async fn with_plans(connection: &mut SqliteConnection, pairs: &[Pair]) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query(
        // CROSS JOIN and the unary plus: from the pairs to their rows, never through all rows that have a plan.
        "SELECT v.* FROM json_each(?1) CROSS JOIN version v ON v.until_revision IS NULL AND v.kind = 4 \
         AND v.identity = value->>'application' || char(31) || (value->>'api') \
         WHERE value->>'api' <> '' AND +v.plan IS NOT NULL \
         UNION ALL SELECT v.* FROM json_each(?1) CROSS JOIN version v ON v.until_revision IS NULL AND v.kind = 2 \
         AND v.id = value->>'application' WHERE value->>'api' = '' AND +v.plan IS NOT NULL",
    )
    .bind(json(pairs)?)
    .fetch_all(connection)
    .await?;
    rows.iter().map(Version::from_row).collect()
}

/// The subscriptions and applications of a plan that are marked as used up.
pub async fn used_up(connection: &mut SqliteConnection, plan: &str) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM version WHERE until_revision IS NULL AND plan IS NOT NULL \
         AND json_extract(document, '$.used_up_until') IS NOT NULL AND plan = ?",
    )
    .bind(plan)
    .fetch_all(connection)
    .await?;
    rows.iter().map(Version::from_row).collect()
}

/// The subscriptions and applications of a plan that are not marked and have used so much in the day or in the month.
pub async fn reached(
    connection: &mut SqliteConnection,
    plan: &str,
    windows: &Windows,
    [day, month]: [Option<i64>; 2],
) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query(
        "SELECT v.* FROM version v WHERE v.until_revision IS NULL AND v.plan = ?1 \
         AND json_extract(v.document, '$.used_up_until') IS NULL AND EXISTS (SELECT 1 FROM usage_total t \
         WHERE t.application = v.application AND t.api = ifnull(v.api, '') \
         AND ((t.per = 1 AND t.start = ?2 AND t.requests >= ?4) OR (t.per = 2 AND t.start = ?3 AND t.requests >= ?5)))",
    )
    .bind(plan)
    .bind(windows.day.0)
    .bind(windows.month.0)
    .bind(day)
    .bind(month)
    .fetch_all(connection)
    .await?;
    rows.iter().map(Version::from_row).collect()
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|_| Error::Damaged("usage that is no JSON"))
}
