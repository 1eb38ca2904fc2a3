//! Usage in the database: stores batches, adds up counts and looks them up. Knows no limits.
//!
//! A batch is written by a few statements over all of its rows, not row by row. It is one transaction, and every change
//! of the policy waits for it. Each batch also deletes rows that are too old, so no background task is needed.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{
    fault::Fault,
    sight::restrict_usage,
    state::read_version,
    text::{text, texts},
};
use crate::totals::{KEEP_TOTALS, REMEMBER_BATCHES, TIDIED_AT_ONCE, counts, hours_of_apis, totals};
use management::port::{
    Scope, Version,
    usage::{KeyUsed, Pair, UsageFilter, UsageRow, Used, Windows},
};

/// Returns at most `limit` rows that come after `after`, in the order of application, API, hour, plan and outcome.
pub async fn list(
    connection: &mut PgConnection,
    filter: &UsageFilter,
    after: Option<&UsageRow>,
    limit: u32,
) -> Result<Vec<UsageRow>, Fault> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM usage WHERE true");
    if let Some(application) = &filter.application {
        query.push(" AND application = ").push_bind(text(application));
    }
    if let Some(api) = &filter.api {
        query.push(" AND api = ").push_bind(text(api));
    }
    restrict_usage(&mut query, &filter.sight);
    if let Some(from) = filter.from {
        query.push(" AND hour >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" AND hour < ").push_bind(to);
    }
    if let Some(UsageRow { application, api, hour, plan, outcome, .. }) = after {
        query.push(" AND (application, api, hour, plan, outcome) > (").push_bind(text(application)).push(", ");
        query.push_bind(text(api)).push(", ").push_bind(hour).push(", ").push_bind(text(plan)).push(", ");
        query.push_bind(text(outcome)).push(")");
    }
    query.push(" ORDER BY application, api, hour, plan, outcome LIMIT ").push_bind(i64::from(limit));
    let rows = query.build().fetch_all(connection).await?;
    let row = |row: &PgRow| {
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
pub async fn last_used(connection: &mut PgConnection, ids: &[&str]) -> Result<Vec<KeyUsed>, Fault> {
    let rows = sqlx::query("SELECT id, last_used FROM key_use WHERE id = ANY ($1)")
        .bind(texts(ids.iter().copied()))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(KeyUsed { id: row.try_get("id")?, last_used: row.try_get("last_used")? })).collect()
}

/// Notes that a gateway's batch was accepted. Returns `false` if it was accepted before.
pub async fn take_batch(connection: &mut PgConnection, gateway: &str, batch: &str, now: i64) -> Result<bool, Fault> {
    let noted =
        sqlx::query("INSERT INTO usage_batch (gateway, batch, received_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(text(gateway))
            .bind(text(batch))
            .bind(now)
            .execute(connection)
            .await?;
    Ok(noted.rows_affected() == 1)
}

/// Number of rows that a probe writes: with their index some 200 KiB, 25 pages. A change of one row writes some 10
/// pages.
const PROBE_ROWS: i64 = 1_000;

/// Writes rows that are no batch, to see whether a change can be written. No gateway has an empty name.
pub async fn write_probe(connection: &mut PgConnection) -> Result<(), Fault> {
    // Rows that an earlier probe could not remove.
    remove_probe(&mut *connection).await?;
    sqlx::query(
        r#"
        INSERT INTO usage_batch (gateway, batch, received_at)
        SELECT '', md5(random()::text) || number, 0 FROM generate_series(1, $1) AS number"#,
    )
    .bind(PROBE_ROWS)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the probe's rows.
pub async fn remove_probe(connection: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query("DELETE FROM usage_batch WHERE gateway = ''").execute(connection).await?;
    Ok(())
}

/// When a gateway last reported, and the room that it had left then.
pub async fn room(connection: &mut PgConnection, gateway: &str) -> Result<Option<(i64, i64)>, Fault> {
    let row = sqlx::query_as("SELECT reported_at, room FROM usage_room WHERE gateway = $1").bind(text(gateway));
    Ok(row.fetch_optional(connection).await?)
}

/// Notes that a gateway reports now, and the room that it has left.
pub async fn set_room(connection: &mut PgConnection, gateway: &str, now: i64, room: i64) -> Result<(), Fault> {
    sqlx::query(
        r#"
        INSERT INTO usage_room (gateway, reported_at, room) VALUES ($1, $2, $3)
        ON CONFLICT (gateway) DO UPDATE SET reported_at = excluded.reported_at, room = excluded.room"#,
    )
    .bind(text(gateway))
    .bind(now)
    .bind(room)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the counts to the stored rows. A sum beyond 2^63 - 1 stays at that value, so that the other rows are not lost.
pub async fn add(connection: &mut PgConnection, rows: &[UsageRow]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let counted = counted(&mut *connection, rows).await?;
    // PostgreSQL cannot change one row twice in a statement.
    let mut sums: BTreeMap<(&str, &str, i64, &str, &str), i64> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((&row.application, &row.api, row.hour, &row.plan, &row.outcome)).or_default();
        *sum = sum.saturating_add(row.requests);
    }
    sqlx::query(
        r#"
        INSERT INTO usage (application, api, hour, plan, outcome, requests)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
        ON CONFLICT (application, api, hour, plan, outcome) DO UPDATE SET requests =
            CASE WHEN usage.requests > 9223372036854775807 - excluded.requests THEN 9223372036854775807
            ELSE usage.requests + excluded.requests END"#,
    )
    .bind(texts(sums.keys().map(|key| key.0)))
    .bind(texts(sums.keys().map(|key| key.1)))
    .bind(sums.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind(texts(sums.keys().map(|key| key.3)))
    .bind(texts(sums.keys().map(|key| key.4)))
    .bind(sums.values().copied().collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let hours = hours_of_apis(rows);
    sqlx::query(
        r#"
        INSERT INTO usage_api (api, hour, outcome, requests)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
        ON CONFLICT (api, hour, outcome) DO UPDATE SET requests =
            CASE WHEN usage_api.requests > 9223372036854775807 - excluded.requests THEN 9223372036854775807
            ELSE usage_api.requests + excluded.requests END"#,
    )
    .bind(texts(hours.iter().map(|hour| hour.0)))
    .bind(hours.iter().map(|hour| hour.1).collect::<Vec<_>>())
    .bind(texts(hours.iter().map(|hour| hour.2)))
    .bind(hours.iter().map(|hour| hour.3).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let totals = totals(&counted);
    sqlx::query(
        r#"
        INSERT INTO usage_total (application, api, per, start, requests)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        ON CONFLICT (application, api, per, start) DO UPDATE SET requests =
            CASE WHEN usage_total.requests > 9223372036854775807 - excluded.requests THEN 9223372036854775807
            ELSE usage_total.requests + excluded.requests END"#,
    )
    .bind(texts(totals.iter().map(|total| total.0)))
    .bind(texts(totals.iter().map(|total| total.1)))
    .bind(totals.iter().map(|total| total.2).collect::<Vec<_>>())
    .bind(totals.iter().map(|total| total.3).collect::<Vec<_>>())
    .bind(totals.iter().map(|total| total.4).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows that count for the plans of their application. Rows of an hour that began before the application was
/// created again do not count.
async fn counted<'r>(connection: &mut PgConnection, rows: &'r [UsageRow]) -> Result<Vec<&'r UsageRow>, Fault> {
    let made = sqlx::query_as::<_, (String, Option<i64>)>(
        "SELECT application, made_at FROM usage_cut WHERE application = ANY ($1)",
    );
    let made = made.bind(texts(rows.iter().map(|row| row.application.as_str()))).fetch_all(connection).await?;
    let made: HashMap<String, Option<i64>> = made.into_iter().collect();
    Ok(rows.iter().filter(|row| counts(&made, row)).collect())
}

/// Notes when keys were last used. Leaves out keys that do not exist or that reach nothing of `scope`. Returns the
/// number of keys that were noted.
pub async fn touch(connection: &mut PgConnection, keys: &[KeyUsed], scope: &Scope) -> Result<u64, Fault> {
    if keys.is_empty() {
        return Ok(0);
    }
    let apis = match scope {
        Scope::All => None,
        Scope::Apis(apis) => Some(texts(apis.iter().map(String::as_str))),
    };
    let touched = sqlx::query(
        r#"
        INSERT INTO key_use (id, last_used)
        SELECT k.id, max(used.last_used)
        FROM unnest($1::text[], $2::bigint[]) AS used (id, last_used)
        JOIN version k ON k.until_revision IS NULL AND k.kind = 3 AND k.id = used.id
        WHERE $3::text[] IS NULL
            OR EXISTS (SELECT FROM version s
                WHERE s.application = k.application AND s.kind = 4 AND s.until_revision IS NULL AND s.api = ANY ($3))
            OR EXISTS (SELECT FROM version a
                WHERE a.kind = 1 AND a.until_revision IS NULL AND a.id = ANY ($3)
                    AND a.document::jsonb -> 'subscription_required' = 'false')
        GROUP BY k.id
        ON CONFLICT (id) DO UPDATE SET last_used = greatest(key_use.last_used, excluded.last_used)"#,
    )
    .bind(texts(keys.iter().map(|key| key.id.as_str())))
    .bind(keys.iter().map(|key| key.last_used).collect::<Vec<_>>())
    .bind(apis)
    .execute(connection)
    .await?;
    Ok(touched.rows_affected())
}

/// Forgets when a key was last used, because the key is gone and another may get its id.
pub async fn forget_key(connection: &mut PgConnection, id: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM key_use WHERE id = $1").bind(text(id)).execute(connection).await?;
    Ok(())
}

/// Forgets how much of its plans an application has used, because it is gone and another may get its id. Hourly rows
/// stay, for bills. Usage of the old application that is reported later does not count for the plans of the new one.
pub async fn forget_totals(connection: &mut PgConnection, application: &str, now: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM usage_total WHERE application = $1").bind(application).execute(&mut *connection).await?;
    sqlx::query(
        r#"
        INSERT INTO usage_cut (application, deleted_at) VALUES ($1, $2)
        ON CONFLICT (application) DO UPDATE SET deleted_at = excluded.deleted_at, made_at = NULL"#,
    )
    .bind(application)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes what is too old: hourly rows after `days`, and other data that is not read any more.
pub async fn tidy(connection: &mut PgConnection, now: i64, days: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM usage_batch WHERE received_at < $1")
        .bind(now.saturating_sub(REMEMBER_BATCHES))
        .execute(&mut *connection)
        .await?;
    for statement in ["DELETE FROM usage_total WHERE start < $1", "DELETE FROM usage_cut WHERE deleted_at < $1"] {
        sqlx::query(statement).bind(now.saturating_sub(KEEP_TOTALS)).execute(&mut *connection).await?;
    }
    sqlx::query(
        r#"
        DELETE FROM usage WHERE (application, api, hour, plan, outcome) IN (
            SELECT application, api, hour, plan, outcome FROM usage WHERE hour < $1 ORDER BY hour LIMIT $2)"#,
    )
    .bind(now.saturating_sub(days.saturating_mul(86_400)))
    .bind(TIDIED_AT_ONCE)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        r#"
        DELETE FROM usage_api WHERE (api, hour, outcome) IN (
            SELECT api, hour, outcome FROM usage_api WHERE hour < $1 ORDER BY hour LIMIT $2)"#,
    )
    .bind(now.saturating_sub(days.saturating_mul(86_400)))
    .bind(TIDIED_AT_ONCE)
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the usage of each of `pairs` that has any.
pub async fn used(
    connection: &mut PgConnection,
    pairs: &[Pair],
    windows: &Windows,
) -> Result<Vec<(Pair, Used)>, Fault> {
    let (applications, apis) = columns(pairs);
    let rows = sqlx::query(
        r#"
        SELECT application, api,
            max(CASE WHEN per = 1 THEN requests ELSE 0 END) AS day,
            max(CASE WHEN per = 2 THEN requests ELSE 0 END) AS month
        FROM unnest($1::text[], $2::text[]) AS pair (application, api) JOIN usage_total USING (application, api)
        WHERE (per, start) IN ((1, $3), (2, $4))
        GROUP BY application, api"#,
    )
    .bind(applications)
    .bind(apis)
    .bind(windows.day.0)
    .bind(windows.month.0)
    .fetch_all(connection)
    .await?;
    let row = |row: &PgRow| {
        let pair = Pair { application: row.try_get("application")?, api: row.try_get("api")? };
        Ok((pair, Used { day: row.try_get("day")?, month: row.try_get("month")? }))
    };
    rows.iter().map(row).collect()
}

/// Finds the subscriptions of `pairs` that have a plan, and the applications if the API of the pair is empty.
pub async fn with_plans(connection: &mut PgConnection, pairs: &[Pair]) -> Result<Vec<Version>, Fault> {
    let (applications, apis) = columns(pairs);
    let rows = sqlx::query(
        r#"
        WITH pair AS (SELECT * FROM unnest($1::text[], $2::text[]) AS pair (application, api))
        SELECT v.* FROM pair JOIN version v ON v.until_revision IS NULL AND v.kind = 4
            AND v.identity = pair.application || chr(31) || pair.api
        WHERE pair.api <> '' AND v.plan IS NOT NULL
        UNION ALL
        SELECT v.* FROM pair JOIN version v ON v.until_revision IS NULL AND v.kind = 2 AND v.id = pair.application
        WHERE pair.api = '' AND v.plan IS NOT NULL"#,
    )
    .bind(applications)
    .bind(apis)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the subscriptions and applications of a plan that are marked as used up.
pub async fn used_up(connection: &mut PgConnection, plan: &str) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        r#"
        SELECT * FROM version
        WHERE until_revision IS NULL AND plan = $1 AND (document::jsonb ->> 'used_up_until') IS NOT NULL"#,
    )
    .bind(text(plan))
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// Finds the subscriptions and applications of a plan that are not marked and have used at least so much in the day or
/// the month.
pub async fn reached(
    connection: &mut PgConnection,
    plan: &str,
    windows: &Windows,
    [day, month]: [Option<i64>; 2],
) -> Result<Vec<Version>, Fault> {
    let rows = sqlx::query(
        r#"
        SELECT v.* FROM version v
        WHERE v.until_revision IS NULL AND v.plan = $1 AND (v.document::jsonb ->> 'used_up_until') IS NULL
            AND EXISTS (SELECT FROM usage_total t
                WHERE t.application = v.application AND t.api = coalesce(v.api, '')
                    AND (t.per = 1 AND t.start = $2 AND t.requests >= $4
                        OR t.per = 2 AND t.start = $3 AND t.requests >= $5))"#,
    )
    .bind(text(plan))
    .bind(windows.day.0)
    .bind(windows.month.0)
    .bind(day)
    .bind(month)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

fn columns(pairs: &[Pair]) -> (Vec<String>, Vec<String>) {
    (texts(pairs.iter().map(|pair| pair.application.as_str())), texts(pairs.iter().map(|pair| pair.api.as_str())))
}
