//! Lists of current rows: filtered, sorted, counted, and continued after an earlier page.
//!
//! The table `listed` has the columns by which rows are found, without the documents. So a list scans this table at
//! most once, and reads only the rows of its page. The routes decide what a client may ask for.

use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{
    fault::Fault,
    sight::restrict,
    state::{read_state, read_version},
};
use crate::lists::{USUAL_STATES, pattern, value};
use management::port::{
    Kind,
    list::{Column, Filter, Key, Page, Place, Sort},
    sight::{Reach, Sight},
};

/// Returns at most `limit` rows of `kind` that come after `after`.
pub async fn list(
    connection: &mut SqliteConnection,
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
    let place = |row: &sqlx::sqlite::SqliteRow| -> Result<Place, Fault> {
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
) -> QueryBuilder<'q, Sqlite> {
    let (value, order) = (value(column), if descending { "DESC" } else { "ASC" });
    let mut query =
        QueryBuilder::new(format!("SELECT v.*, place.sorted FROM (SELECT l.seq, l.id AS place, {value} AS sorted "));
    conditions(&mut query, kind, filter);
    if let Some(Place { key, id }) = after {
        let than = if descending { "<" } else { ">" };
        query.push(format_args!(" AND ({value}, l.id) {than} ("));
        match key {
            Key::Text(text) => query.push_bind(text),
            Key::Number(number) => query.push_bind(number),
        };
        query.push(", ").push_bind(id).push(")");
        // This follows from the condition above. It makes SQLite start where the earlier page ended.
        if column == Column::Id {
            query.push(format_args!(" AND l.id {than} ")).push_bind(id);
        }
    }
    query.push(format_args!(" ORDER BY sorted {order}, l.id {order} LIMIT ")).push_bind(limit);
    query.push(format_args!(
        ") place CROSS JOIN version v ON v.seq = place.seq ORDER BY place.sorted {order}, place.place {order}"
    ));
    query
}

/// The table, index and conditions of a list, in SQL.
fn conditions<'q>(query: &mut QueryBuilder<'q, Sqlite>, kind: Kind, filter: &'q Filter) {
    let is_unusual = filter.state.as_deref().is_some_and(|state| !USUAL_STATES.contains(&state));
    // SQLite does not know how rare a value is, and would scan all rows of the kind instead.
    let has_owner = !matches!(kind, Kind::Key | Kind::Subscription);
    let is_own = matches!(&filter.sight, Sight::Only(reaches) if matches!(reaches.as_slice(), [Reach::Own(_)]));
    let is_to_own = matches!(&filter.sight, Sight::Only(reaches) if matches!(reaches.as_slice(), [Reach::ToApisOf(_)]));
    let names_apis = kind == Kind::Subscription && (filter.api.is_some() || is_to_own);
    let index = match (&filter.owner, is_unusual) {
        _ if is_own && has_owner => "INDEXED BY listed_by_owner",
        (Some(_), _) if has_owner => "INDEXED BY listed_by_owner",
        (None, true) => "INDEXED BY listed_by_state",
        _ if names_apis => "INDEXED BY listed_by_api",
        _ => "",
    };
    query.push(format_args!("FROM listed l {index} WHERE l.kind = ")).push_bind(kind.number());
    for (column, value) in
        [("state", &filter.state), ("type", &filter.r#type), ("api", &filter.api), ("plan", &filter.plan)]
    {
        if let Some(value) = value {
            query.push(format_args!(" AND l.{column} = ")).push_bind(value);
        }
    }
    match &filter.owner {
        None => {}
        Some(owner) if has_owner => {
            query.push(" AND l.owner = ").push_bind(owner);
        }
        Some(owner) => {
            query.push(" AND l.id IN (SELECT v.id FROM listed a INDEXED BY listed_by_owner CROSS JOIN version v ");
            query.push("ON v.application = a.id AND v.until_revision IS NULL AND v.kind = ").push_bind(kind.number());
            query.push(" WHERE a.kind = 2 AND a.owner = ").push_bind(owner).push(")");
        }
    }
    if is_unusual {
        query.push(" AND l.state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED')");
    }
    for (column, value) in [("application", &filter.application), ("identity", &filter.identity)] {
        if let Some(value) = value {
            query.push(" AND l.id IN (SELECT id FROM version WHERE until_revision IS NULL AND kind = ");
            query.push_bind(kind.number()).push(format_args!(" AND {column} = ")).push_bind(value).push(")");
        }
    }
    if let Some(planned) = filter.planned {
        // Few rows are due, and a planned block makes its row due.
        let is_in = if planned { "IN" } else { "NOT IN" };
        query.push(format_args!(" AND l.id {is_in} (SELECT id FROM version INDEXED BY version_by_due "));
        query.push("WHERE until_revision IS NULL AND due IS NOT NULL AND kind = ").push_bind(kind.number());
        query.push(" AND json_extract(document, '$.blocked_from') IS NOT NULL)");
    }
    if let Some(part) = &filter.part {
        let pattern = pattern(part);
        query.push(" AND (l.id LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\' OR l.name LIKE ");
        query.push_bind(pattern.clone()).push(" ESCAPE '\\'");
        if kind == Kind::Subscription {
            query.push(" OR l.application LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\'");
            query.push(" OR l.application IN (SELECT a.id FROM listed a WHERE a.kind = 2 AND a.name LIKE ");
            query.push_bind(pattern).push(" ESCAPE '\\'");
            // Who sees only rows of their own has few applications, of very many.
            if let Some(owner) = filter.sight.only_owner() {
                query.push(" AND a.owner = ").push_bind(owner);
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{Settings, SqliteStore};

    /// An index finds rare values, and a scan reads no document that the page does not show.
    #[tokio::test]
    async fn lists_use_indexes_and_read_only_what_they_show() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("policy.db").display());
        let store = SqliteStore::open(&url, Settings::default()).await.unwrap();
        let some = || Some("a".to_owned());
        let all = Filter::default;
        let sees = |reach| Filter { sight: Sight::Only(vec![reach]), ..all() };
        let own = || sees(Reach::Own("a".to_owned()));
        let columns = [
            Column::Id,
            Column::Changed,
            Column::Name,
            Column::State,
            Column::Type,
            Column::Owner,
            Column::Application,
            Column::Api,
            Column::Plan,
            Column::LastUsed,
        ];
        for (kind, filter, way) in [
            (Kind::Key, all(), "l USING PRIMARY KEY (kind=?)"),
            (
                Kind::Key,
                Filter { plan: some(), part: some(), last_used_before: Some(5), ..all() },
                "l USING PRIMARY KEY (kind=?)",
            ),
            (Kind::Key, Filter { state: Some("ACTIVE".to_owned()), ..all() }, "l USING PRIMARY KEY (kind=?)"),
            (
                Kind::Key,
                Filter { state: Some("BLOCKED".to_owned()), part: some(), ..all() },
                "INDEX listed_by_state (kind=? AND state=?)",
            ),
            (
                Kind::Application,
                Filter { owner: some(), ..all() },
                "l USING INDEX listed_by_owner (kind=? AND owner=?)",
            ),
            (Kind::Key, Filter { owner: some(), ..all() }, "INDEX listed_by_owner (kind=? AND owner=?)"),
            (Kind::Key, Filter { owner: some(), ..all() }, "INDEX version_by_application (application=? AND kind=?)"),
            (Kind::Subscription, Filter { owner: some(), ..all() }, "l USING PRIMARY KEY (kind=? AND id=?)"),
            (Kind::Key, own(), "INDEX version_by_application (application=? AND kind=?)"),
            (Kind::Key, own(), "l USING PRIMARY KEY (kind=? AND id=?)"),
            (Kind::Subscription, Filter { part: some(), ..all() }, "a USING PRIMARY KEY (kind=?)"),
            (Kind::Subscription, own(), "INDEX version_by_kept_owner (kept_owner=?)"),
            (Kind::Subscription, sees(Reach::ToApisOf("a".to_owned())), "INDEX listed_by_api (kind=? AND api=?)"),
            (Kind::Subscription, sees(Reach::ToApisOf("a".to_owned())), "INDEX listed_by_owner (kind=? AND owner=?)"),
            (
                Kind::Subscription,
                Filter { api: some(), part: some(), ..all() },
                "INDEX listed_by_api (kind=? AND api=?)",
            ),
            (
                Kind::Subscription,
                Filter { api: some(), ..sees(Reach::ToApisOf("a".to_owned())) },
                "INDEX listed_by_api (kind=? AND api=?)",
            ),
            (Kind::Application, own(), "l USING INDEX listed_by_owner (kind=? AND owner=?)"),
            (
                Kind::Application,
                Filter { owner: some(), state: Some("BLOCKED".to_owned()), ..all() },
                "INDEX listed_by_owner",
            ),
            (
                Kind::Key,
                Filter { application: some(), part: some(), ..all() },
                "INDEX version_by_application (application=? AND kind=?)",
            ),
            (Kind::Subscription, Filter { planned: Some(true), ..all() }, "version USING INDEX version_by_due"),
            (Kind::Subscription, Filter { planned: Some(false), ..all() }, "version USING INDEX version_by_due"),
            (Kind::Key, Filter { identity: some(), ..all() }, "INDEX version_by_identity (kind=? AND identity=?)"),
        ] {
            for column in columns {
                let sort = Sort { column, descending: true };
                let statement = page(kind, &filter, sort, None, 10).into_sql();
                let plan = sqlx::query(&format!("EXPLAIN QUERY PLAN {statement}"))
                    .fetch_all(&mut *store.readers.acquire().await.unwrap())
                    .await
                    .unwrap();
                let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
                assert!(plan.iter().any(|step| step.contains(way)), "{filter:?} {column:?}: {plan:?}");
                let scans = |step: &&String| step.starts_with("SCAN") && *step != "SCAN place";
                assert_eq!(plan.iter().find(scans), None, "{filter:?} {column:?}: {plan:?}");
            }
        }
    }
}
