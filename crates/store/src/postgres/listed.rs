//! Lists of current rows: filtered, sorted, counted, and continued after an earlier page.
//!
//! The table `listed` has the columns by which rows are found, without the documents. So a list scans this table at
//! most once, and reads only the rows of its page. The routes decide what a client may ask for.

use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{
    fault::Fault,
    sight::restrict,
    state::{read_state, read_version},
    text::text,
};
use crate::lists::{USUAL_STATES, pattern, value};
use management::port::{
    Kind,
    list::{Column, Filter, Key, Page, Place, Sort},
};

/// Returns at most `limit` rows of `kind` that come after `after`.
pub async fn list(
    connection: &mut PgConnection,
    kind: Kind,
    filter: &Filter,
    sort: Sort,
    after: Option<&Place>,
    limit: u32,
) -> Result<Page, Fault> {
    let mut query = page(kind, filter, sort, after, limit.saturating_add(1));
    let found = query.build().fetch_all(&mut *connection).await?;
    let more = u32::try_from(found.len()).is_ok_and(|found| found > limit);
    let shown = found.get(..found.len().saturating_sub(usize::from(more))).unwrap_or_default();
    let place = |row: &PgRow| -> Result<Place, Fault> {
        let key = if sort.column.is_number() {
            Key::Number(row.try_get("sorted")?)
        } else {
            Key::Text(row.try_get("sorted")?)
        };
        Ok(Place { key, id: row.try_get("id")? })
    };
    let next = shown.last().filter(|_| more).map(place).transpose()?;
    let rows = shown.iter().map(read_version).collect::<Result<_, _>>()?;
    let total = if *filter == Filter::default() {
        read_state(connection).await?.count(kind)
    } else {
        let mut query = QueryBuilder::new("SELECT count(*) ");
        conditions(&mut query, kind, filter);
        query.build_query_scalar().fetch_one(&mut *connection).await?
    };
    Ok(Page { rows, next, total })
}

/// The statement of a page. It finds the positions first and then reads their rows, so no other row is read.
fn page<'q>(
    kind: Kind,
    filter: &'q Filter,
    Sort { column, descending }: Sort,
    after: Option<&'q Place>,
    limit: u32,
) -> QueryBuilder<'q, Postgres> {
    let (value, order) = (value(column), if descending { "DESC" } else { "ASC" });
    let mut query =
        QueryBuilder::new(format!("SELECT v.*, place.sorted FROM (SELECT l.seq, l.id AS place, {value} AS sorted "));
    conditions(&mut query, kind, filter);
    if let Some(Place { key, id }) = after {
        let than = if descending { "<" } else { ">" };
        query.push(format_args!(" AND ({value}, l.id) {than} ("));
        match key {
            Key::Text(key) => query.push_bind(text(key)),
            Key::Number(number) => query.push_bind(number),
        };
        query.push(", ").push_bind(text(id)).push(")");
        // This follows from the condition above. It makes PostgreSQL start where the earlier page ended.
        if column == Column::Id {
            query.push(format_args!(" AND l.id {than} ")).push_bind(text(id));
        }
    }
    query.push(format_args!(" ORDER BY sorted {order}, l.id {order} LIMIT ")).push_bind(i64::from(limit));
    query.push(format_args!(
        ") place JOIN version v ON v.seq = place.seq ORDER BY place.sorted {order}, place.place {order}"
    ));
    query
}

/// The table and conditions of a list, in SQL.
fn conditions<'q>(query: &mut QueryBuilder<'q, Postgres>, kind: Kind, filter: &'q Filter) {
    query.push("FROM listed l WHERE l.kind = ").push_bind(kind.number());
    for (column, value) in
        [("state", &filter.state), ("type", &filter.r#type), ("api", &filter.api), ("plan", &filter.plan)]
    {
        if let Some(value) = value {
            query.push(format_args!(" AND l.{column} = ")).push_bind(text(value));
        }
    }
    if filter.state.as_deref().is_some_and(|state| !USUAL_STATES.contains(&state)) {
        query.push(" AND l.state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED')");
    }
    match &filter.owner {
        None => {}
        Some(owner) if !matches!(kind, Kind::Key | Kind::Subscription) => {
            query.push(" AND l.owner = ").push_bind(text(owner));
        }
        Some(owner) => {
            query.push(" AND l.application IN (SELECT id FROM listed WHERE kind = 2 AND owner = ");
            query.push_bind(text(owner)).push(")");
        }
    }
    for (column, value) in [("application", &filter.application), ("identity", &filter.identity)] {
        if let Some(value) = value {
            query.push(" AND l.id IN (SELECT id FROM version WHERE until_revision IS NULL AND kind = ");
            query.push_bind(kind.number()).push(format_args!(" AND {column} = ")).push_bind(text(value)).push(")");
        }
    }
    if let Some(planned) = filter.planned {
        // Few rows are due, and a planned block makes its row due.
        let is_in = if planned { "IN" } else { "NOT IN" };
        query.push(format_args!(" AND l.id {is_in} (SELECT id FROM version WHERE until_revision IS NULL "));
        query.push("AND due IS NOT NULL AND kind = ").push_bind(kind.number());
        query.push(" AND (document::jsonb ->> 'blocked_from') IS NOT NULL)");
    }
    if let Some(part) = &filter.part {
        let pattern = pattern(&text(part));
        query.push(" AND (l.id ILIKE ").push_bind(pattern.clone()).push(" OR l.name ILIKE ");
        query.push_bind(pattern.clone());
        if kind == Kind::Subscription {
            query.push(" OR l.application ILIKE ").push_bind(pattern.clone());
            query.push(" OR l.application IN (SELECT id FROM listed WHERE kind = 2 AND name ILIKE ").push_bind(pattern);
            // Who sees only rows of their own has few applications, of very many.
            if let Some(owner) = filter.sight.only_owner() {
                query.push(" AND owner = ").push_bind(text(owner));
            }
            query.push(")");
        }
        query.push(")");
    }
    restrict(query, kind, &filter.sight);
    if let Some(time) = filter.last_used_before {
        query.push(" AND (l.last_used IS NULL OR l.last_used < ");
        query.push_bind(time).push(")");
    }
}
