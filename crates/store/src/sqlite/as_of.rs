//! Reads the policy at a revision, and the changes between two revisions, one page at a time.
//!
//! A reader may read the policy in pages while it changes. Each page contains exactly the versions that existed at the
//! revision of the first page, whatever was written since. `seq` orders the versions. A version that a later change
//! made has a later `from_revision` and is skipped. A version that a later change ended still existed at this revision
//! and is read. So the pages together are the policy of that revision, each row once, and a delta on that revision
//! continues from there. If the revision has been forgotten meanwhile ([`Error::Gone`]), the reader starts over.
//!
//! A limited reader sees the APIs of its scope, and the applications, keys and subscriptions that reach them. Whether
//! they reach an API is decided at the same revision.

#[macro_use]
mod conditions;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use sqlx::{Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::{fault::Fault, history, json::json, state::read_state};
use crate::{
    pages::fitting,
    times::{Timed, Times},
};
use management::port::{Error, Kind, Mark, PageRows, Scope, Snapshot, State, times::Operation};

/// A consistent view of the database while one page is built.
#[derive(Debug)]
pub struct Reader {
    transaction: Transaction<'static, Sqlite>,
    state: State,
    _time: Timed<()>,
}

#[async_trait]
impl Snapshot for Reader {
    fn state(&self) -> &State {
        &self.state
    }

    async fn full(&mut self, scope: &Scope, at: i64, after: i64, limit: usize) -> Result<PageRows, Error> {
        Ok(self.full_page(scope, at, after, limit).await?)
    }

    async fn removed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error> {
        Ok(self.removed_page(scope, [since, at, after], limit).await?)
    }

    async fn changed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error> {
        Ok(self.changed_page(scope, [since, at, after], limit).await?)
    }

    async fn document_at(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<String>, Error> {
        Ok(self.stored_document(kind, identity, at).await?)
    }

    async fn word(&mut self, revision: i64) -> Result<i64, Error> {
        Ok(history::word_at(&mut self.transaction, &self.state, revision).await?)
    }

    async fn check_mark(&mut self, mark: &Mark) -> Result<(), Error> {
        Ok(history::check_mark(&mut self.transaction, &self.state, mark).await?)
    }
}

impl Reader {
    /// Opens a view of the database as it is now.
    pub async fn begin(readers: &SqlitePool, times: &Times) -> Result<Self, Fault> {
        let mut transaction = readers.begin().await?;
        let _time = times.of(Operation::Read, ());
        let state = read_state(&mut transaction).await?;
        Ok(Self { transaction, state, _time })
    }

    async fn full_page(&mut self, scope: &Scope, at: i64, after: i64, limit: usize) -> Result<PageRows, Fault> {
        self.check(at)?;
        match scope {
            Scope::All => {
                const ALL: &str = concat!(
                    "SELECT seq, kind, document FROM version v WHERE seq > ?3 AND ",
                    held!("v", "?2"),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(ALL, "[]", [at, at, after], limit).await
            }
            Scope::Apis(apis) => {
                let apis = json(apis)?;
                const LIMITED: &str = concat!(
                    "SELECT seq, kind, document FROM version v WHERE seq > ?3 AND ",
                    held!("v", "?2"),
                    " AND ",
                    in_scope!("?2"),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(LIMITED, &apis, [at, at, after], limit).await
            }
        }
    }

    async fn removed_page(
        &mut self,
        scope: &Scope,
        [since, at, after]: [i64; 3],
        limit: usize,
    ) -> Result<PageRows, Fault> {
        self.check(since)?;
        self.check(at)?;
        match scope {
            Scope::All => {
                const ALL: &str = concat!(
                    "SELECT seq, kind, document FROM version v WHERE until_revision > ?1 AND until_revision <= ?2",
                    " AND from_revision <= ?1 AND +seq > ?3 AND NOT ",
                    succeeded!(),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(ALL, "[]", [since, at, after], limit).await
            }
            Scope::Apis(apis) => {
                let apis = json(apis)?;
                self.check_openness(&apis, since, at).await?;
                const LIMITED: &str = concat!(
                    "WITH ",
                    moved!(),
                    " SELECT seq, kind, document FROM version v WHERE until_revision > ?1 AND until_revision <= ?2",
                    " AND from_revision <= ?1 AND +seq > ?3 AND ",
                    in_scope!("?1"),
                    " AND NOT ",
                    succeeded!(),
                    // Removes what belongs to an application that no longer reaches the scope, even if it is still
                    // current.
                    " UNION SELECT seq, kind, document FROM version v WHERE +seq > ?3 AND kind IN (2, 3)",
                    " AND application IN (SELECT application FROM moved) AND ",
                    held!("v", "?1"),
                    " AND ",
                    reached!("v.application", "?1"),
                    " AND NOT ",
                    reached!("v.application", "?2"),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(LIMITED, &apis, [since, at, after], limit).await
            }
        }
    }

    async fn changed_page(
        &mut self,
        scope: &Scope,
        [since, at, after]: [i64; 3],
        limit: usize,
    ) -> Result<PageRows, Fault> {
        self.check(since)?;
        self.check(at)?;
        match scope {
            Scope::All => {
                const ALL: &str = concat!(
                    "SELECT seq, kind, document FROM version v WHERE ",
                    came_since!(),
                    " AND ",
                    held!("v", "?2"),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(ALL, "[]", [since, at, after], limit).await
            }
            Scope::Apis(apis) => {
                let apis = json(apis)?;
                self.check_openness(&apis, since, at).await?;
                const LIMITED: &str = concat!(
                    "WITH ",
                    moved!(),
                    " SELECT seq, kind, document FROM version v WHERE ",
                    came_since!(),
                    " AND ",
                    held!("v", "?2"),
                    " AND ",
                    in_scope!("?2"),
                    // Adds what belongs to an application that reaches the scope only now, even if it is older.
                    " UNION SELECT seq, kind, document FROM version v WHERE +seq > ?3 AND kind IN (2, 3)",
                    " AND application IN (SELECT application FROM moved) AND ",
                    held!("v", "?1"),
                    " AND ",
                    held!("v", "?2"),
                    " AND ",
                    reached!("v.application", "?2"),
                    " AND NOT ",
                    reached!("v.application", "?1"),
                    " ORDER BY seq LIMIT ?5"
                );
                self.rows(LIMITED, &apis, [since, at, after], limit).await
            }
        }
    }

    async fn stored_document(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<String>, Fault> {
        const HELD: &str = concat!(
            "SELECT document FROM version v WHERE until_revision IS NULL AND kind = ?1 AND identity = ?3",
            " AND from_revision <= ?2 UNION ALL",
            " SELECT document FROM version v WHERE until_revision IS NOT NULL AND kind = ?1 AND identity = ?3",
            " AND ",
            held!("v", "?2")
        );
        let row = sqlx::query(HELD).bind(kind.number()).bind(at).bind(identity);
        Ok(row.fetch_optional(&mut *self.transaction).await?.map(|row| row.try_get(0)).transpose()?)
    }

    /// The connection, for statements about a revision that is kept.
    pub(super) fn at(&mut self, revision: i64) -> Result<&mut SqliteConnection, Fault> {
        self.check(revision)?;
        Ok(&mut self.transaction)
    }

    fn check(&self, revision: i64) -> Result<(), Fault> {
        let readable = self.state.horizon..=self.state.revision;
        if readable.contains(&revision) { Ok(()) } else { Err(Error::Gone(revision).into()) }
    }

    /// Fails with [`Error::Gone`] if an API of the scope started or stopped admitting applications without a
    /// subscription. Then nearly every application appears or disappears, which is too much for a delta, so the reader
    /// starts over.
    async fn check_openness(&mut self, apis: &str, since: i64, at: i64) -> Result<(), Fault> {
        const OPEN: &str = concat!("SELECT ", open!("?1"), " = ", open!("?2"));
        let row = sqlx::query(OPEN).bind(since).bind(at).bind(0).bind(apis);
        let same: bool = row.fetch_one(&mut *self.transaction).await?.try_get(0)?;
        if same { Ok(()) } else { Err(Error::Gone(since).into()) }
    }

    /// Runs `statement` with `?1` to `?5`: two revisions, the last `seq`, the scope and the limit.
    ///
    /// It first reads positions and sizes, and then the documents that fit, joined to one text per kind. Handing over
    /// 5,000 rows one by one takes longer than reading them. Adding up the sizes in SQLite takes longest.
    async fn rows(
        &mut self,
        statement: &'static str,
        apis: &str,
        [first, second, after]: [i64; 3],
        limit: usize,
    ) -> Result<PageRows, Fault> {
        let places =
            format!("SELECT json_group_array(seq), json_group_array(octet_length(document)) FROM ({statement})");
        let query = sqlx::query(&places).bind(first).bind(second).bind(after).bind(apis);
        let row = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_one(&mut *self.transaction).await?;
        let (found, sizes): (Vec<i64>, Vec<usize>) = (list(row.try_get(0)?)?, list(row.try_get(1)?)?);
        // The next page begins after the last position. The statement orders the rows, but an aggregate need not keep
        // the order.
        if !found.is_sorted() {
            return Err(damaged());
        }
        let taken = found.get(..fitting(&sizes)).unwrap_or_default();
        let Some(last) = taken.last() else { return Ok(PageRows::default()) };
        let mut page =
            PageRows { count: i64::try_from(taken.len()).unwrap_or(i64::MAX), ..self.documents(taken).await? };
        let cut = taken.len() < found.len();
        if cut || (found.len() >= limit && self.any(statement, apis, [first, second, *last]).await?) {
            page.next = Some(*last);
        }
        Ok(page)
    }

    /// Reads the documents of these versions.
    async fn documents(&mut self, versions: &[i64]) -> Result<PageRows, Fault> {
        let texts = Kind::ALL.map(|kind| {
            format!("group_concat(document, char(10)) FILTER (WHERE kind = {}) AS {}", kind.number(), kind.list())
        });
        let joined = format!(
            "SELECT {} FROM (SELECT kind, document FROM json_each(?1) CROSS JOIN version ON seq = value)",
            texts.join(", ")
        );
        let versions = serde_json::to_string(versions).map_err(|_| damaged())?;
        let row = sqlx::query(&joined).bind(versions).fetch_one(&mut *self.transaction).await?;
        let mut page = PageRows::default();
        for (text, kind) in page.texts.iter_mut().zip(Kind::ALL) {
            *text = row.try_get::<Option<String>, _>(kind.list())?.unwrap_or_default();
        }
        Ok(page)
    }

    /// Whether `statement` has any row after a position.
    async fn any(&mut self, statement: &'static str, apis: &str, values: [i64; 3]) -> Result<bool, Fault> {
        let query = values.into_iter().fold(sqlx::query(statement), |query, value| query.bind(value));
        Ok(query.bind(apis).bind(1).fetch_optional(&mut *self.transaction).await?.is_some())
    }
}

/// Parses a JSON list of numbers from SQLite.
fn list<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, Fault> {
    serde_json::from_str(json).map_err(|_| damaged())
}

fn damaged() -> Fault {
    Error::Damaged("a list of places cannot be read").into()
}
