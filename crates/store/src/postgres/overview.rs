//! Figures for pages: who subscribes, when a subscription was last used, and usage over time.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{
    PostgresStore,
    fault::Fault,
    sight::restrict_usage,
    text::{text, texts},
};
use management::port::{
    Error,
    overview::{Overview, Spans, Spent, Subscriber},
    sight::{Reach, Sight},
    usage::{Pair, UsageFilter},
};

/// The primary key of `usage` leads to the rows of a pair, the latest hour first. It ends at the first allowed one.
const SUBSCRIBERS: &str = r#"
    SELECT a.name, a.owner, used.hour AS last_used
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pair (application, api, number)
    LEFT JOIN listed a ON a.kind = 2 AND a.id = pair.application
    LEFT JOIN LATERAL (SELECT u.hour FROM usage u WHERE u.application = pair.application AND u.api = pair.api
        AND u.outcome = 'allowed' ORDER BY u.hour DESC LIMIT 1) AS used ON true
    ORDER BY pair.number"#;

#[async_trait]
impl Overview for PostgresStore {
    async fn subscribers(&self, pairs: &[Pair]) -> Result<Vec<Subscriber>, Error> {
        Ok(self.found_subscribers(pairs).await?)
    }

    async fn spent(&self, filter: &UsageFilter, spans: Spans) -> Result<Vec<Spent>, Error> {
        Ok(self.added_up(filter, spans).await?)
    }
}

impl PostgresStore {
    async fn found_subscribers(&self, pairs: &[Pair]) -> Result<Vec<Subscriber>, Fault> {
        let query = sqlx::query(SUBSCRIBERS)
            .bind(texts(pairs.iter().map(|pair| pair.application.as_str())))
            .bind(texts(pairs.iter().map(|pair| pair.api.as_str())));
        let rows = query.fetch_all(&mut **self.reader().await?).await?;
        let row = |row: &PgRow| {
            let (name, owner) = (row.try_get("name")?, row.try_get("owner")?);
            Ok(Subscriber { name, owner, last_used: row.try_get("last_used")? })
        };
        rows.iter().map(row).collect()
    }

    async fn added_up(&self, filter: &UsageFilter, spans: Spans) -> Result<Vec<Spent>, Fault> {
        let mut query = statement(filter, spans);
        let rows = query.build().fetch_all(&mut **self.reader().await?).await?;
        let row = |row: &PgRow| {
            let (begin, outcome) = (row.try_get("begin")?, row.try_get("outcome")?);
            Ok(Spent { begin, outcome, requests: row.try_get("requests")? })
        };
        rows.iter().map(row).collect()
    }
}

/// Usage of an application, or of someone's own applications, is read from the rows of applications; other usage from those of
/// APIs. The sum is at most 2^63 - 1.
fn statement(filter: &UsageFilter, Spans { seconds, ahead }: Spans) -> QueryBuilder<'_, Postgres> {
    let seconds = seconds.max(3_600);
    let is_own = matches!(&filter.sight, Sight::Only(reaches) if reaches.iter().any(|it| matches!(it, Reach::Own(_))));
    let by_application = is_own || filter.application.is_some();
    let table = if by_application { "usage" } else { "usage_api" };
    let mut query = QueryBuilder::new("SELECT (hour + ");
    query.push_bind(ahead).push(") / ").push_bind(seconds).push(" * ").push_bind(seconds).push(" - ").push_bind(ahead);
    query.push(" AS begin, outcome, least(sum(requests), 9223372036854775807)::bigint AS requests FROM ");
    query.push(table).push(" WHERE true");
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
    query.push(" GROUP BY 1, 2 ORDER BY 1, 2");
    query
}
