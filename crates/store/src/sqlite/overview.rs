//! Figures for pages: who subscribes, when a subscription was last used, and usage over time.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{SqliteStore, fault::Fault, json::json, sight::restrict_usage};
use management::port::{
    Error,
    overview::{Overview, Spans, Spent, Subscriber},
    sight::{Reach, Sight},
    usage::{Pair, UsageFilter},
};

/// The primary key of `usage` leads to the rows of a pair, the latest hour first. It ends at the first allowed one.
const SUBSCRIBERS: &str = "SELECT a.name, a.owner, (SELECT u.hour FROM usage u WHERE u.application = j.value->>'application' \
                           AND u.api = j.value->>'api' AND u.outcome = 'allowed' ORDER BY u.hour DESC LIMIT 1) AS last_used \
                           FROM json_each(?) j LEFT JOIN listed a ON a.kind = 2 AND a.id = j.value->>'application' \
                           ORDER BY j.key";

#[async_trait]
impl Overview for SqliteStore {
    async fn subscribers(&self, pairs: &[Pair]) -> Result<Vec<Subscriber>, Error> {
        Ok(self.found_subscribers(pairs).await?)
    }

    async fn spent(&self, filter: &UsageFilter, spans: Spans) -> Result<Vec<Spent>, Error> {
        Ok(self.added_up(filter, spans).await?)
    }
}

impl SqliteStore {
    async fn found_subscribers(&self, pairs: &[Pair]) -> Result<Vec<Subscriber>, Fault> {
        let rows = sqlx::query(SUBSCRIBERS).bind(json(pairs)?).fetch_all(&mut **self.reader().await?).await?;
        let row = |row: &SqliteRow| {
            let (name, owner) = (row.try_get("name")?, row.try_get("owner")?);
            Ok(Subscriber { name, owner, last_used: row.try_get("last_used")? })
        };
        rows.iter().map(row).collect()
    }

    async fn added_up(&self, filter: &UsageFilter, spans: Spans) -> Result<Vec<Spent>, Fault> {
        let mut query = statement(filter, spans);
        let rows = query.build().fetch_all(&mut **self.reader().await?).await?;
        let row = |row: &SqliteRow| {
            let (begin, outcome) = (row.try_get("begin")?, row.try_get("outcome")?);
            Ok(Spent { begin, outcome, requests: row.try_get("requests")? })
        };
        rows.iter().map(row).collect()
    }
}

/// Usage of an application, or of someone's own applications, is read from the rows of applications; other usage from those of
/// APIs. The sum is at most 2^63 - 1.
fn statement(filter: &UsageFilter, Spans { seconds, ahead }: Spans) -> QueryBuilder<'_, Sqlite> {
    let seconds = seconds.max(3_600);
    let is_own = matches!(&filter.sight, Sight::Only(reaches) if reaches.iter().any(|it| matches!(it, Reach::Own(_))));
    let by_application = is_own || filter.application.is_some();
    let table = if by_application { "usage" } else { "usage_api" };
    let mut query = QueryBuilder::new("SELECT (hour + ");
    query.push_bind(ahead).push(") / ").push_bind(seconds).push(" * ").push_bind(seconds).push(" - ").push_bind(ahead);
    query.push(" AS begin, outcome, CAST(min(total(requests), 9223372036854774784.0) AS INTEGER) AS requests FROM ");
    query.push(table).push(" WHERE true");
    if let Some(application) = &filter.application {
        query.push(" AND application = ").push_bind(application);
    }
    if let Some(api) = &filter.api {
        query.push(" AND api = ").push_bind(api);
    }
    restrict_usage(&mut query, &filter.sight);
    // The rows of an application are few, those of an hour may be millions. The plus keeps SQLite from the index of hours.
    let hour = if by_application { "+hour" } else { "hour" };
    if let Some(from) = filter.from {
        query.push(format_args!(" AND {hour} >= ")).push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(format_args!(" AND {hour} < ")).push_bind(to);
    }
    query.push(" GROUP BY 1, 2 ORDER BY 1, 2");
    query
}
