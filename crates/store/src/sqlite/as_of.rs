//! The policy as it was at a revision, and what changed between two, a page at a time.
//!
//! Why a policy that is read in pages while it changes is right: each page reads exactly the versions that held at the
//! revision of the first page, whatever was written since. `seq` orders them; a version that a later change brings has a
//! later `from_revision` and is passed over, one that a later change ends still held at this revision and is read. So the
//! pages together are the policy of that revision, each row once, and a delta on that revision goes on from there. When
//! the past has been forgotten up to beyond the revision ([`Error::Gone`]), the reader has to begin anew.
//!
//! A limited reader sees the APIs that it is given, and the applications, keys and subscriptions that reach them; what
//! reaches an API is asked for the revision in question too.

#[macro_use]
mod conditions;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use super::{fault::Fault, history, state::read_state};
use crate::times::{Timed, Times};
use management::port::{Error, Kind, Mark, PageRows, Scope, Snapshot, State, times::Operation};

/// Bytes of documents in one page: far below the 32 MiB that Envoy takes as the body of a callout, and some eight
/// times what 5,000 ordinary rows have.
const MAX_PAGE_BYTES: usize = 8 << 20;

/// A consistent view of the database, for the length of one page.
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
    /// A view of the database as it is now.
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
                    // What belongs to an application that no longer reaches the scope goes, though it still holds.
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
                    // What belongs to an application that reaches the scope only now comes along, though it is older.
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

    fn check(&self, revision: i64) -> Result<(), Fault> {
        let readable = self.state.horizon..=self.state.revision;
        if readable.contains(&revision) { Ok(()) } else { Err(Error::Gone(revision).into()) }
    }

    /// When an API of the scope begins or ceases to let in applications without a subscription, nearly every
    /// application comes or goes: too much for a delta, so the reader begins anew.
    async fn check_openness(&mut self, apis: &str, since: i64, at: i64) -> Result<(), Fault> {
        const OPEN: &str = concat!("SELECT ", open!("?1"), " = ", open!("?2"));
        let row = sqlx::query(OPEN).bind(since).bind(at).bind(0).bind(apis);
        let same: bool = row.fetch_one(&mut *self.transaction).await?.try_get(0)?;
        if same { Ok(()) } else { Err(Error::Gone(since).into()) }
    }

    /// The rows of `statement`, which takes `?1` to `?5`: two revisions, the `seq` to go on from, the scope, the limit.
    ///
    /// Places and sizes come first, then the documents that fit, joined to one text per kind: handing over 5,000 rows one
    /// by one takes longer than reading them, and having SQLite add up their sizes takes longest.
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
        // The last one is where the next page begins; the order is the statement's, which an aggregate need not keep.
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

    /// The documents of these versions.
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

    /// Whether `statement` has any row after a place.
    async fn any(&mut self, statement: &'static str, apis: &str, values: [i64; 3]) -> Result<bool, Fault> {
        let query = values.into_iter().fold(sqlx::query(statement), |query, value| query.bind(value));
        Ok(query.bind(apis).bind(1).fetch_optional(&mut *self.transaction).await?.is_some())
    }
}

/// How many documents of these sizes fit into a page: all that begin before it is full, so at least one.
fn fitting(sizes: &[usize]) -> usize {
    let mut bytes = 0usize;
    let fits = |size: &&usize| {
        let begins = bytes < MAX_PAGE_BYTES;
        bytes = bytes.saturating_add(**size);
        begins
    };
    sizes.iter().take_while(fits).count()
}

/// The ids of a scope, as the statements take them: a JSON array.
fn json(apis: &BTreeSet<String>) -> Result<String, Fault> {
    serde_json::to_string(apis).map_err(|_| damaged())
}

/// A list of numbers as SQLite writes it.
fn list<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, Fault> {
    serde_json::from_str(json).map_err(|_| damaged())
}

fn damaged() -> Fault {
    Error::Damaged("a list of places cannot be read").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_what_begins_before_it_is_full_and_never_nothing() {
        const MAX: usize = MAX_PAGE_BYTES;
        let cases: [(&[usize], usize); 9] = [
            (&[], 0),
            (&[1], 1),
            (&[0, 0, 0], 3),
            (&[MAX - 1, 1, 1], 2),
            (&[MAX - 1, MAX, 1], 2),
            (&[MAX, 1], 1),
            (&[usize::MAX, usize::MAX], 1),
            (&[1, 2, MAX, 1], 3),
            (&[MAX - 1, 0, 0, 1, 0], 4),
        ];
        for (sizes, expected) in cases {
            assert_eq!(fitting(sizes), expected, "{sizes:?}");
        }
    }
}
