//! Usage in the database: stores batches, adds up counts and looks them up. Knows no limits.
//!
//! A batch is written by a few statements over all of its rows, not row by row. It is one transaction, and every change
//! of the policy waits for it. Each batch also deletes rows that are too old, so no background task is needed.

use std::collections::{HashMap, HashSet};

use sqlx::{Row as _, Sqlite, SqliteConnection};

use super::{fault::Fault, json::json, sight::restrict_usage, state::read_version};
use crate::totals::{KEEP_TOTALS, REMEMBER_BATCHES, TIDIED_AT_ONCE, Total, counts, hours_of_apis, totals};
use management::port::{
    Scope, Version,
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};

/// Returns at most `limit` rows that come after `after`, in the order of application, API, hour, plan and outcome.
pub async fn list(
    connection: &mut SqliteConnection,
    filter: &UsageFilter,
    after: Option<&UsageRow>,
    limit: u32,
) -> Result<Vec<UsageRow>, Fault> {
    let mut query = sqlx::QueryBuilder::<Sqlite>::new("SELECT * FROM usage WHERE true");
    if let Some(application) = &filter.application {
        query.push(" AND application = ").push_bind(application);
    }
    if let Some(api) = &filter.api {
        query.push(" AND api = ").push_bind(api);
    }
    restrict_usage(&mut query, &filter.sight);
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
    let rows = query.build().fetch_all(connection).await?;
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

/// When the keys `ids` were last used. Keys that were never used are missing.
pub async fn last_used(connection: &mut SqliteConnection, ids: &[&str]) -> Result<Vec<KeyUsed>, Fault> {
    let rows = sqlx::query("SELECT id, last_used FROM key_use WHERE id IN (SELECT value FROM json_each(?))")
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(KeyUsed { id: row.try_get("id")?, last_used: row.try_get("last_used")? })).collect()
}

/// Notes that a gateway's batch was accepted. Returns `false` if it was accepted before.
pub async fn take_batch(
    connection: &mut SqliteConnection,
    gateway: &str,
    batch: &str,
    now: i64,
) -> Result<bool, Fault> {
    let noted = sqlx::query("INSERT OR IGNORE INTO usage_batch (gateway, batch, received_at) VALUES (?, ?, ?)")
        .bind(gateway)
        .bind(batch)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(noted.rows_affected() == 1)
}

/// Length of a probe's data, in hexadecimal, in the table and its index: 64 KiB, 16 pages. A change of one row writes
/// some 10 pages.
const PROBE_BYTES: i64 = 16 << 10;

/// Writes a row that is no batch, to see whether a change can be written. No gateway has an empty name.
pub async fn write_probe(connection: &mut SqliteConnection) -> Result<(), Fault> {
    // A row that an earlier probe could not remove.
    remove_probe(&mut *connection).await?;
    sqlx::query("INSERT INTO usage_batch (gateway, batch, received_at) VALUES ('', hex(randomblob(?)), 0)")
        .bind(PROBE_BYTES)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes the probe's row.
pub async fn remove_probe(connection: &mut SqliteConnection) -> Result<(), Fault> {
    sqlx::query("DELETE FROM usage_batch WHERE gateway = ''").execute(connection).await?;
    Ok(())
}

/// When a gateway last reported, and the room that it had left then.
pub async fn room(connection: &mut SqliteConnection, gateway: &str) -> Result<Option<(i64, i64)>, Fault> {
    let row = sqlx::query("SELECT reported_at, room FROM usage_room WHERE gateway = ?").bind(gateway);
    let row = row.fetch_optional(connection).await?;
    row.map(|row| Ok((row.try_get("reported_at")?, row.try_get("room")?))).transpose()
}

/// Notes that a gateway reports now, and the room that it has left.
pub async fn set_room(connection: &mut SqliteConnection, gateway: &str, now: i64, room: i64) -> Result<(), Fault> {
    sqlx::query("INSERT OR REPLACE INTO usage_room (gateway, reported_at, room) VALUES (?, ?, ?)")
        .bind(gateway)
        .bind(now)
        .bind(room)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds the counts to the stored rows. A sum beyond 2^63 - 1 stays at that value, so that the other rows are not lost.
pub async fn add(connection: &mut SqliteConnection, rows: &[UsageRow]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let counted = counted(&mut *connection, rows).await?;
    let hours = json(&hours_of_apis(rows))?;
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
    sqlx::query(
        "INSERT INTO usage_api (api, hour, outcome, requests) \
         SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?) WHERE true \
         ON CONFLICT DO UPDATE SET requests = iif(requests > 9223372036854775807 - excluded.requests, \
         9223372036854775807, requests + excluded.requests)",
    )
    .bind(hours)
    .execute(&mut *connection)
    .await?;
    let totals: Vec<Total<'_>> = totals(&counted);
    sqlx::query(
        "INSERT INTO usage_total (application, api, per, start, requests) \
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?) WHERE true \
         ON CONFLICT DO UPDATE SET requests = iif(requests > 9223372036854775807 - excluded.requests, \
         9223372036854775807, requests + excluded.requests)",
    )
    .bind(json(&totals)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows that count for the plans of their application. Rows of an hour that began before the application was
/// created again do not count.
async fn counted<'r>(connection: &mut SqliteConnection, rows: &'r [UsageRow]) -> Result<Vec<&'r UsageRow>, Fault> {
    let applications: HashSet<&str> = rows.iter().map(|row| row.application.as_str()).collect();
    let made = sqlx::query_as::<_, (String, Option<i64>)>(
        "SELECT application, made_at FROM usage_cut WHERE application IN (SELECT value FROM json_each(?))",
    );
    let made = made.bind(json(&applications)?).fetch_all(connection).await?;
    let made: HashMap<String, Option<i64>> = made.into_iter().collect();
    Ok(rows.iter().filter(|row| counts(&made, row)).collect())
}

/// Notes when keys were last used. Leaves out keys that do not exist or that reach nothing of `scope`. Returns the
/// number of keys that were noted.
pub async fn touch(connection: &mut SqliteConnection, keys: &[KeyUsed], scope: &Scope) -> Result<u64, Fault> {
    if keys.is_empty() {
        return Ok(0);
    }
    let apis = match scope {
        Scope::All => None,
        Scope::Apis(apis) => Some(json(&**apis)?),
    };
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

/// Forgets when a key was last used, because the key is gone and another may get its id.
pub async fn forget_key(connection: &mut SqliteConnection, id: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM key_use WHERE id = ?").bind(id).execute(connection).await?;
    Ok(())
}

/// Forgets how much of its plans an application has used, because it is gone and another may get its id. Hourly rows
/// stay, for bills. Usage of the old application that is reported later does not count for the plans of the new one.
pub async fn forget_totals(connection: &mut SqliteConnection, application: &str, now: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM usage_total WHERE application = ?").bind(application).execute(&mut *connection).await?;
    sqlx::query("INSERT OR REPLACE INTO usage_cut (application, deleted_at) VALUES (?, ?)")
        .bind(application)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes what is too old: hourly rows after `days`, and other data that is not read any more.
pub async fn tidy(connection: &mut SqliteConnection, now: i64, days: i64) -> Result<(), Fault> {
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
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM usage_api WHERE (api, hour, outcome) IN \
         (SELECT api, hour, outcome FROM usage_api WHERE hour < ? ORDER BY hour LIMIT ?)",
    )
    .bind(now.saturating_sub(days.saturating_mul(86_400)))
    .bind(TIDIED_AT_ONCE)
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the usage of each of `pairs` that has any.
pub async fn used(
    connection: &mut SqliteConnection,
    pairs: &[Pair],
    windows: &Windows,
) -> Result<Vec<(Pair, Used)>, Fault> {
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

/// Finds the subscriptions of `pairs` that have a plan, and the applications if the API of the pair is empty.
pub async fn with_plans(connection: &mut SqliteConnection, pairs: &[Pair]) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        // CROSS JOIN and the unary plus make SQLite go from the pairs to their rows, and not scan all rows that have a
        // plan.
        "SELECT v.* FROM json_each(?1) CROSS JOIN version v ON v.until_revision IS NULL AND v.kind = 4 \
         AND v.identity = value->>'application' || char(31) || (value->>'api') \
         WHERE value->>'api' <> '' AND +v.plan IS NOT NULL \
         UNION ALL SELECT v.* FROM json_each(?1) CROSS JOIN version v ON v.until_revision IS NULL AND v.kind = 2 \
         AND v.id = value->>'application' WHERE value->>'api' = '' AND +v.plan IS NOT NULL",
    )
    .bind(json(pairs)?)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the subscriptions and applications of a plan that are marked as used up.
pub async fn used_up(connection: &mut SqliteConnection, plan: &str) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        "SELECT * FROM version WHERE until_revision IS NULL AND plan IS NOT NULL \
         AND json_extract(document, '$.used_up_until') IS NOT NULL AND plan = ?",
    )
    .bind(plan)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the subscriptions and applications of a plan that are not marked and have used at least so much in the day or
/// the month.
pub async fn reached(
    connection: &mut SqliteConnection,
    plan: &str,
    windows: &Windows,
    [day, month]: [Option<i64>; 2],
) -> Result<Vec<Version>, Fault> {
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
    rows.iter().map(read_version).collect()
}
