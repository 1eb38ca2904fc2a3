//! Reads the kept past by ids: which revisions exist, what differs between two of them, and earlier rows.
//! [`super::as_of`] reads the past for the feed.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    PostgresStore,
    fault::Fault,
    state::{read_state, read_version},
    text::{text, texts},
    transaction::PostgresTransaction,
};
use crate::{
    differences::{CHUNK, MANY, MAX_DIFFERENCES_BYTES, by_id, check, is_other, size},
    settings::BUSY_TIMEOUT,
};
use management::port::{
    Error, Kind, Version,
    past::{Difference, DifferencePage, Made, Past, PastRows},
};

/// How long the objects that a restore compares may take to be sorted: 0.5 s for each 100,000 on a busy machine.
const SORTING: Duration = Duration::from_secs(60);

/// Kinds and ids of the objects that were stored or removed after the revision `$1` and up to `$2`, and that come after
/// `$3`, `$4`.
const TOUCHED: &str = r#"
    SELECT kind, id FROM version WHERE from_revision > $1 AND from_revision <= $2 AND (kind, id) > ($3, $4)
    UNION SELECT kind, id FROM version WHERE until_revision > $1 AND until_revision <= $2 AND (kind, id) > ($3, $4)
    ORDER BY kind, id LIMIT $5"#;

/// The same, read in the order of kinds and ids, because sorting a million takes longer than a page may take. Each half uses
/// an index of its own.
const MANY_TOUCHED: &str = r#"
    (SELECT kind, id FROM version
        WHERE until_revision IS NULL AND +from_revision > $1 AND +from_revision <= $2 AND (kind, id) > ($3, $4)
        ORDER BY kind, id LIMIT $5)
    UNION (SELECT DISTINCT kind, id FROM version
        WHERE until_revision IS NOT NULL AND (kind, id) > ($3, $4)
            AND (+from_revision > $1 AND +from_revision <= $2 OR +until_revision > $1 AND +until_revision <= $2)
        ORDER BY kind, id LIMIT $5)
    ORDER BY kind, id LIMIT $5"#;

/// Whether the revisions after `$1` and up to `$2` made or ended at least `$3` versions.
const ARE_MANY: &str = r#"
    SELECT (SELECT count(*) FROM (
            SELECT FROM version WHERE from_revision > $1 AND from_revision <= $2 LIMIT $3) AS made) >= $3
        OR (SELECT count(*) FROM (
            SELECT FROM version WHERE until_revision > $1 AND until_revision <= $2 LIMIT $3) AS ended) >= $3"#;

/// The versions of the kind `$1` with an id of the list `$2` at the revision `$3`. Each half uses an index of its own.
const HELD: &str = r#"
    SELECT * FROM version WHERE kind = $1 AND id = ANY ($2) AND until_revision IS NULL AND from_revision <= $3
    UNION ALL
    SELECT * FROM version WHERE kind = $1 AND id = ANY ($2) AND until_revision IS NOT NULL AND from_revision <= $3
        AND until_revision > $3"#;

#[async_trait]
impl Past for PostgresStore {
    async fn made(&self, after: Option<i64>, newest_first: bool, limit: u32) -> Result<Vec<Made>, Error> {
        Ok(made(&mut *self.reader().await?, after, newest_first, limit).await?)
    }

    async fn differences(
        &self,
        from: i64,
        to: i64,
        after: Option<&(Kind, String)>,
        limit: u32,
    ) -> Result<DifferencePage, Error> {
        let mut view = self.begin_reading().await?;
        Ok(differences(&mut view, [from, to], after, limit).await?)
    }
}

#[async_trait]
impl PastRows for PostgresTransaction {
    async fn touched_since(&mut self, revision: i64, limit: usize) -> Result<Vec<(Kind, String)>, Error> {
        check(self.state(), revision)?;
        let latest = self.state().revision;
        Ok(all_touched(self.connection(), [revision, latest], limit).await?)
    }

    async fn held_at(&mut self, revision: i64, kind: Kind, ids: &[String]) -> Result<Vec<Version>, Error> {
        check(self.state(), revision)?;
        Ok(held_at(self.connection(), revision, kind, ids).await?)
    }

    async fn last_past(&mut self, kind: Kind, identity: &str) -> Result<Option<Version>, Error> {
        Ok(last_past(self.connection(), kind, identity).await?)
    }
}

async fn made(
    connection: &mut PgConnection,
    after: Option<i64>,
    newest_first: bool,
    limit: u32,
) -> Result<Vec<Made>, Fault> {
    // No change made revision 0.
    const ALL: &str = "SELECT r.revision, nullif(r.at, 0) AS at, a.actor, a.action, a.kind, a.id FROM revision_word r \
                       LEFT JOIN audit a ON a.word = r.word WHERE r.revision > 0";
    let (statement, after) = if newest_first {
        (format!("{ALL} AND r.revision < $1 ORDER BY r.revision DESC LIMIT $2"), after.unwrap_or(i64::MAX))
    } else {
        (format!("{ALL} AND r.revision > $1 ORDER BY r.revision LIMIT $2"), after.unwrap_or(0))
    };
    let rows = sqlx::query(&statement).bind(after).bind(i64::from(limit)).fetch_all(connection).await?;
    let read = |row: &PgRow| {
        Ok(Made {
            revision: row.try_get("revision")?,
            at: row.try_get("at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            kind: row.try_get("kind")?,
            id: row.try_get("id")?,
        })
    };
    rows.iter().map(read).collect()
}

async fn differences(
    connection: &mut PgConnection,
    [from, to]: [i64; 2],
    after: Option<&(Kind, String)>,
    limit: u32,
) -> Result<DifferencePage, Fault> {
    let state = read_state(&mut *connection).await?;
    check(&state, from)?;
    check(&state, to)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let things = touched(&mut *connection, [from.min(to), from.max(to)], after, limit.saturating_add(1)).await?;
    let (mut page, mut bytes) = (DifferencePage::default(), 0_usize);
    for some in things.get(..limit).unwrap_or(&things).chunks(CHUNK) {
        for kind in Kind::ALL {
            let ids: Vec<String> = some.iter().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect();
            if ids.is_empty() {
                continue;
            }
            let mut before = by_id(held_at(&mut *connection, from, kind, &ids).await?);
            let mut after = by_id(held_at(&mut *connection, to, kind, &ids).await?);
            for id in ids {
                let difference = Difference { kind, before: before.remove(&id), after: after.remove(&id), id };
                if is_other(&difference) {
                    bytes = bytes.saturating_add(size(&difference));
                    page.differences.push(difference);
                }
            }
        }
        if bytes >= MAX_DIFFERENCES_BYTES {
            page.next = some.last().filter(|last| things.last() != Some(*last)).cloned();
            return Ok(page);
        }
    }
    if things.len() > limit {
        page.next = limit.checked_sub(1).and_then(|last| things.get(last)).cloned();
    }
    Ok(page)
}

async fn touched(
    connection: &mut PgConnection,
    [low, high]: [i64; 2],
    after: Option<&(Kind, String)>,
    limit: usize,
) -> Result<Vec<(Kind, String)>, Fault> {
    let (kind, id) = after.map_or((0, ""), |(kind, id)| (kind.number(), id.as_str()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let are_many = limit < MANY && {
        let count = sqlx::query_scalar(ARE_MANY).bind(low).bind(high).bind(MANY);
        count.fetch_one(&mut *connection).await?
    };
    let statement = if are_many { MANY_TOUCHED } else { TOUCHED };
    let rows =
        sqlx::query(statement).bind(low).bind(high).bind(kind).bind(text(id)).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((Kind::from_number(row.try_get::<i16, _>("kind")?.into())?, row.try_get("id")?))).collect()
}

/// The same for a restore, of which other changes know that they wait. Sorting a million takes longer than statements
/// may take.
async fn all_touched(
    connection: &mut PgConnection,
    range: [i64; 2],
    limit: usize,
) -> Result<Vec<(Kind, String)>, Fault> {
    let longer = format!("SET LOCAL statement_timeout = {}", SORTING.as_millis());
    sqlx::query(&longer).execute(&mut *connection).await?;
    let touched = touched(connection, range, None, limit).await?;
    let as_before = format!("SET LOCAL statement_timeout = {}", BUSY_TIMEOUT.as_millis());
    sqlx::query(&as_before).execute(connection).await?;
    Ok(touched)
}

async fn held_at(
    connection: &mut PgConnection,
    revision: i64,
    kind: Kind,
    ids: &[String],
) -> Result<Vec<Version>, Fault> {
    let ids = texts(ids.iter().map(String::as_str));
    let rows = sqlx::query(HELD).bind(kind.number()).bind(ids).bind(revision).fetch_all(connection).await?;
    rows.iter().map(read_version).collect()
}

async fn last_past(connection: &mut PgConnection, kind: Kind, identity: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query(
        "SELECT * FROM version WHERE until_revision IS NOT NULL AND kind = $1 AND identity = $2 ORDER BY seq DESC LIMIT 1",
    );
    let row = row.bind(kind.number()).bind(text(identity)).fetch_optional(connection).await?;
    row.as_ref().map(read_version).transpose()
}
