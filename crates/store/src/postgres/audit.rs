//! The audit log: writes an entry with each change, reads entries in pages, and deletes entries that are older than
//! `audit_days`. [`management::audit`] decides what an entry contains.

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{
    PostgresStore,
    fault::Fault,
    text::{text, texts},
};
use crate::entries::{MAX_ALSO_SHOWN, MAX_ENTRIES_BYTES, MAX_FORGOTTEN, SECONDS_OF_A_DAY, size};
use management::port::{
    Error,
    audit::{Also, AuditFilter, AuditLog, Entry, EntryPage},
};

/// Writes an entry. `word` is the random word of its revision, or a new one.
pub(super) async fn write(connection: &mut PgConnection, entry: &Entry, word: i64) -> Result<(), Fault> {
    sqlx::query(
        r#"
        INSERT INTO audit (word, at, actor, role, address, request_id, action, kind, id, revision, before, after, reason,
            counts, also_total)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"#,
    )
    .bind(word)
    .bind(entry.at)
    .bind(&entry.actor)
    .bind(&entry.role)
    .bind(&entry.address)
    .bind(&entry.request_id)
    .bind(&entry.action)
    .bind(&entry.kind)
    .bind(&entry.id)
    .bind(entry.revision)
    .bind(&entry.before)
    .bind(&entry.after)
    .bind(&entry.reason)
    .bind(&entry.counts)
    .bind(entry.also_total)
    .execute(&mut *connection)
    .await?;
    if entry.also.is_empty() {
        return Ok(());
    }
    let some = |value: fn(&Also) -> &Option<String>| -> Vec<Option<String>> {
        entry.also.iter().map(|also| value(also).clone()).collect()
    };
    sqlx::query(
        r#"
        INSERT INTO audit_also (word, number, kind, id, before, after)
        SELECT $1, number, kind, id, before, after
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
            AS new (kind, id, before, after, number)"#,
    )
    .bind(word)
    .bind(texts(entry.also.iter().map(|also| also.kind.as_str())))
    .bind(texts(entry.also.iter().map(|also| also.id.as_str())))
    .bind(some(|also| &also.before))
    .bind(some(|also| &also.after))
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes entries that are older than `days`; 0 keeps all.
pub(super) async fn forget(connection: &mut PgConnection, now: i64, days: i64) -> Result<(), Fault> {
    if days == 0 {
        return Ok(());
    }
    let oldest = now.saturating_sub(days.saturating_mul(SECONDS_OF_A_DAY));
    const OLD: &str = "SELECT word FROM audit WHERE at < $1 ORDER BY at LIMIT $2";
    for statement in
        [&format!("DELETE FROM audit_also WHERE word IN ({OLD})"), &format!("DELETE FROM audit WHERE word IN ({OLD})")]
    {
        sqlx::query(statement).bind(oldest).bind(MAX_FORGOTTEN).execute(&mut *connection).await?;
    }
    Ok(())
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn entries(
        &self,
        filter: &AuditFilter,
        after: Option<i64>,
        newest_first: bool,
        limit: u32,
    ) -> Result<EntryPage, Error> {
        // Read in one snapshot, so that an entry is not deleted between its own row and its `also` rows.
        let mut view = self.begin_reading().await?;
        Ok(page(&mut view, filter, after, newest_first, limit).await?)
    }
}

async fn page(
    connection: &mut PgConnection,
    filter: &AuditFilter,
    after: Option<i64>,
    newest_first: bool,
    limit: u32,
) -> Result<EntryPage, Fault> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = query(filter, after, newest_first, limit.saturating_add(1));
    let rows = found.build().fetch_all(&mut *connection).await?;
    let (mut page, mut bytes) = (EntryPage::default(), 0_usize);
    for row in &rows {
        if page.entries.len() >= limit || bytes >= MAX_ENTRIES_BYTES {
            page.next = page.entries.last().map(|entry| entry.seq);
            break;
        }
        let mut entry = read(row)?;
        if entry.also_total > 0 {
            entry.also = also(&mut *connection, row.try_get("word")?).await?;
        }
        bytes = bytes.saturating_add(size(&entry));
        page.entries.push(entry);
    }
    Ok(page)
}

fn query(filter: &AuditFilter, after: Option<i64>, newest_first: bool, limit: usize) -> QueryBuilder<'_, Postgres> {
    let AuditFilter { kind, id, actor, action, from, to } = filter;
    let mut query = QueryBuilder::new("SELECT * FROM audit WHERE true");
    match id {
        Some(id) => {
            query.push(" AND seq IN (SELECT seq FROM audit WHERE id = ").push_bind(text(id));
            if let Some(kind) = kind {
                query.push(" AND kind = ").push_bind(text(kind));
            }
            query
                .push(" UNION SELECT a.seq FROM audit_also o JOIN audit a ON a.word = o.word WHERE o.id = ")
                .push_bind(text(id));
            if let Some(kind) = kind {
                query.push(" AND o.kind = ").push_bind(text(kind));
            }
            query.push(")");
        }
        None => {
            if let Some(kind) = kind {
                query.push(" AND kind = ").push_bind(text(kind));
            }
        }
    }
    for (column, value) in [(" AND actor = ", actor), (" AND action = ", action)] {
        if let Some(value) = value {
            query.push(column).push_bind(text(value));
        }
    }
    for (column, time) in [(" AND at >= ", from), (" AND at < ", to)] {
        if let Some(time) = time {
            query.push(column).push_bind(*time);
        }
    }
    if let Some(after) = after {
        query.push(if newest_first { " AND seq < " } else { " AND seq > " }).push_bind(after);
    }
    query.push(if newest_first { " ORDER BY seq DESC LIMIT " } else { " ORDER BY seq LIMIT " });
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query
}

async fn also(connection: &mut PgConnection, word: i64) -> Result<Vec<Also>, Fault> {
    let rows = sqlx::query("SELECT kind, id, before, after FROM audit_also WHERE word = $1 ORDER BY number LIMIT $2")
        .bind(word)
        .bind(MAX_ALSO_SHOWN)
        .fetch_all(connection)
        .await?;
    let read = |row: &PgRow| {
        Ok(Also {
            kind: row.try_get("kind")?,
            id: row.try_get("id")?,
            before: row.try_get("before")?,
            after: row.try_get("after")?,
        })
    };
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Entry, Fault> {
    Ok(Entry {
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        role: row.try_get("role")?,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
        action: row.try_get("action")?,
        kind: row.try_get("kind")?,
        id: row.try_get("id")?,
        revision: row.try_get("revision")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        reason: row.try_get("reason")?,
        counts: row.try_get("counts")?,
        also: Vec::new(),
        also_total: row.try_get("also_total")?,
    })
}
