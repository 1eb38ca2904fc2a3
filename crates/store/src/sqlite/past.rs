//! Reads the kept past by ids: which revisions exist, what differs between two of them, and earlier rows.
//! [`super::as_of`] reads the past for the feed.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore,
    fault::Fault,
    state::{read_state, read_version},
    transaction::SqliteTransaction,
};
use crate::differences::{CHUNK, MANY, MAX_DIFFERENCES_BYTES, by_id, check, is_other, size};
use management::port::{
    Error, Kind, Version,
    past::{Difference, DifferencePage, Made, Past, PastRows},
};

/// Kinds and ids of the objects that were stored or removed after the revision `?1` and up to `?2`, and that come after
/// `?3`, `?4`.
const TOUCHED: &str = "SELECT kind, id FROM version WHERE from_revision > ?1 AND from_revision <= ?2 \
                       AND (kind, id) > (?3, ?4) \
                       UNION SELECT kind, id FROM version WHERE until_revision > ?1 AND until_revision <= ?2 \
                       AND (kind, id) > (?3, ?4) ORDER BY kind, id LIMIT ?5";

/// The same, read in the order of kinds and ids, because sorting a million takes longer than a page may take. Each half uses
/// an index of its own.
const MANY_TOUCHED: &str = "SELECT * FROM (SELECT kind, id FROM version INDEXED BY version_by_id \
                            WHERE until_revision IS NULL AND from_revision > ?1 AND from_revision <= ?2 \
                            AND (kind, id) > (?3, ?4) ORDER BY kind, id LIMIT ?5) \
                            UNION SELECT * FROM (SELECT DISTINCT kind, id FROM version INDEXED BY version_past_by_id \
                            WHERE until_revision IS NOT NULL AND (kind, id) > (?3, ?4) \
                            AND (from_revision > ?1 AND from_revision <= ?2 OR until_revision > ?1 AND until_revision <= ?2) \
                            ORDER BY kind, id LIMIT ?5) ORDER BY kind, id LIMIT ?5";

/// Whether the revisions after `?1` and up to `?2` made or ended at least `?3` versions.
const ARE_MANY: &str = "SELECT (SELECT count(*) FROM (SELECT 1 FROM version WHERE from_revision > ?1 AND from_revision <= ?2 LIMIT ?3)) >= ?3 \
     OR (SELECT count(*) FROM (SELECT 1 FROM version WHERE until_revision > ?1 AND until_revision <= ?2 LIMIT ?3)) >= ?3";

/// The versions of the kind `?1` with an id of the list `?2` at the revision `?3`. Each half uses an index of its own.
const HELD: &str = "SELECT v.* FROM json_each(?2) CROSS JOIN version v INDEXED BY version_by_id \
                    ON v.kind = ?1 AND v.id = value AND v.until_revision IS NULL WHERE v.from_revision <= ?3 \
                    UNION ALL \
                    SELECT v.* FROM json_each(?2) CROSS JOIN version v INDEXED BY version_past_by_id \
                    ON v.kind = ?1 AND v.id = value AND v.until_revision IS NOT NULL \
                    WHERE v.from_revision <= ?3 AND v.until_revision > ?3";

#[async_trait]
impl Past for SqliteStore {
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
        let mut view = self.readers.begin().await.map_err(Fault::from)?;
        Ok(differences(&mut view, [from, to], after, limit).await?)
    }
}

#[async_trait]
impl PastRows for SqliteTransaction {
    async fn touched_since(&mut self, revision: i64, limit: usize) -> Result<Vec<(Kind, String)>, Error> {
        check(self.state(), revision)?;
        let latest = self.state().revision;
        Ok(touched(self.connection(), [revision, latest], None, limit).await?)
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
    connection: &mut SqliteConnection,
    after: Option<i64>,
    newest_first: bool,
    limit: u32,
) -> Result<Vec<Made>, Fault> {
    // No change made revision 0.
    const ALL: &str = "SELECT r.revision, nullif(r.at, 0) AS at, a.actor, a.action, a.kind, a.id FROM revision_word r \
                       LEFT JOIN audit a ON a.word = r.word WHERE r.revision > 0";
    let (statement, after) = if newest_first {
        (format!("{ALL} AND r.revision < ? ORDER BY r.revision DESC LIMIT ?"), after.unwrap_or(i64::MAX))
    } else {
        (format!("{ALL} AND r.revision > ? ORDER BY r.revision LIMIT ?"), after.unwrap_or(0))
    };
    let rows = sqlx::query(&statement).bind(after).bind(limit).fetch_all(connection).await?;
    let read = |row: &SqliteRow| {
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
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
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
        sqlx::query(statement).bind(low).bind(high).bind(kind).bind(id).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((Kind::from_number(row.try_get("kind")?)?, row.try_get("id")?))).collect()
}

async fn held_at(
    connection: &mut SqliteConnection,
    revision: i64,
    kind: Kind,
    ids: &[String],
) -> Result<Vec<Version>, Fault> {
    let ids = serde_json::json!(ids).to_string();
    let rows = sqlx::query(HELD).bind(kind.number()).bind(ids).bind(revision).fetch_all(connection).await?;
    rows.iter().map(read_version).collect()
}

async fn last_past(connection: &mut SqliteConnection, kind: Kind, identity: &str) -> Result<Option<Version>, Fault> {
    let row = sqlx::query(
        "SELECT * FROM version WHERE until_revision IS NOT NULL AND kind = ? AND identity = ? ORDER BY seq DESC LIMIT 1",
    );
    let row = row.bind(kind.number()).bind(identity).fetch_optional(connection).await?;
    row.as_ref().map(read_version).transpose()
}
