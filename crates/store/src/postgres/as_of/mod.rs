//! Reads the policy at a revision, and the changes between two revisions, one page at a time.
//!
//! Each page contains exactly the versions that existed at the revision of the first page, whatever was written since.
//! The same module for SQLite explains why this is correct. A view is a read-only transaction on one snapshot of the
//! database. If the revision has been forgotten meanwhile ([`Error::Gone`]), the reader starts over.

mod statements;

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, Row as _, Transaction};

use self::statements::{
    CHANGED, CHANGED_LIMITED, DOCUMENT_AT, DOCUMENTS, FULL, FULL_LIMITED, OPEN, REMOVED, REMOVED_LIMITED,
};
use super::{
    PostgresStore,
    fault::Fault,
    history,
    state::read_state,
    text::{text, texts},
};
use crate::{pages::fitting, times::Timed};
use management::port::{Error, Kind, Mark, PageRows, Scope, Snapshot, State, times::Operation};

/// A consistent view of the database while one page is built.
#[derive(Debug)]
pub struct Reader {
    transaction: Transaction<'static, Postgres>,
    state: State,
    _time: Timed<()>,
}

/// The part to read: the statement for all rows, and the one for a scope.
#[derive(Clone, Copy)]
struct Part {
    all: &'static str,
    limited: &'static str,
}

const FULL_PART: Part = Part { all: FULL, limited: FULL_LIMITED };
const REMOVED_PART: Part = Part { all: REMOVED, limited: REMOVED_LIMITED };
const CHANGED_PART: Part = Part { all: CHANGED, limited: CHANGED_LIMITED };

#[async_trait]
impl Snapshot for Reader {
    fn state(&self) -> &State {
        &self.state
    }

    async fn full(&mut self, scope: &Scope, at: i64, after: i64, limit: usize) -> Result<PageRows, Error> {
        Ok(self.page(FULL_PART, scope, [at, at, after], limit).await?)
    }

    async fn removed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error> {
        Ok(self.page(REMOVED_PART, scope, [since, at, after], limit).await?)
    }

    async fn changed(
        &mut self,
        scope: &Scope,
        since: i64,
        at: i64,
        after: i64,
        limit: usize,
    ) -> Result<PageRows, Error> {
        Ok(self.page(CHANGED_PART, scope, [since, at, after], limit).await?)
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
    pub(super) async fn begin(store: &PostgresStore) -> Result<Self, Fault> {
        let mut transaction = store.begin_reading().await?;
        let state = read_state(&mut transaction).await?;
        let _time = store.times.of(Operation::Read, ());
        Ok(Self { transaction, state, _time })
    }

    /// Reads a page of a part. `since` and `at` are equal for a full policy.
    async fn page(
        &mut self,
        part: Part,
        scope: &Scope,
        [since, at, after]: [i64; 3],
        limit: usize,
    ) -> Result<PageRows, Fault> {
        self.check(since)?;
        self.check(at)?;
        let (statement, limited) = match scope {
            Scope::All => (part.all, None),
            Scope::Apis(apis) => {
                let apis = texts(apis.iter().map(String::as_str));
                let open = self.openness(&apis, since, at).await?;
                (part.limited, Some((apis, open)))
            }
        };
        let asked = Asked { statement, limited: limited.as_ref(), since, at };
        let found = self.places(&asked, after, limit).await?;
        let sizes: Vec<usize> = found.iter().map(|place| place.size).collect();
        let taken: Vec<i64> = found.iter().take(fitting(&sizes)).map(|place| place.seq).collect();
        let Some(last) = taken.last().copied() else { return Ok(PageRows::default()) };
        let mut page =
            PageRows { count: i64::try_from(taken.len()).unwrap_or(i64::MAX), ..self.documents(&taken).await? };
        let cut = taken.len() < found.len();
        if cut || (found.len() >= limit && !self.places(&asked, last, 1).await?.is_empty()) {
            page.next = Some(last);
        }
        Ok(page)
    }

    /// Returns positions and sizes of at most `limit` rows that come after `after`.
    async fn places(&mut self, asked: &Asked<'_>, after: i64, limit: usize) -> Result<Vec<Found>, Fault> {
        let query = sqlx::query(asked.statement).bind(asked.since).bind(asked.at).bind(after);
        let query = query.bind(asked.limited.map(|(apis, _)| apis));
        let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).bind(asked.limited.map(|(_, open)| *open));
        let rows = query.fetch_all(&mut *self.transaction).await?;
        let found = rows.iter().map(|row| {
            let size: i32 = row.try_get("size")?;
            Ok(Found { seq: row.try_get("seq")?, size: usize::try_from(size).unwrap_or(usize::MAX) })
        });
        found.collect()
    }

    /// Reads the documents of these versions.
    async fn documents(&mut self, versions: &[i64]) -> Result<PageRows, Fault> {
        let row = sqlx::query(DOCUMENTS).bind(versions).fetch_one(&mut *self.transaction).await?;
        let mut page = PageRows::default();
        for (text, kind) in page.texts.iter_mut().zip(Kind::ALL) {
            *text = row.try_get::<Option<String>, _>(kind.list())?.unwrap_or_default();
        }
        Ok(page)
    }

    async fn stored_document(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<String>, Fault> {
        let found = sqlx::query_scalar(DOCUMENT_AT).bind(kind.number()).bind(at).bind(text(identity));
        Ok(found.fetch_optional(&mut *self.transaction).await?)
    }

    /// The connection, for statements about a revision that is kept.
    pub(super) fn at(&mut self, revision: i64) -> Result<&mut PgConnection, Fault> {
        self.check(revision)?;
        Ok(&mut self.transaction)
    }

    fn check(&self, revision: i64) -> Result<(), Fault> {
        let readable = self.state.horizon..=self.state.revision;
        if readable.contains(&revision) { Ok(()) } else { Err(Error::Gone(revision).into()) }
    }

    /// Whether an API of the scope admits applications without a subscription. Fails with [`Error::Gone`] if an API
    /// started or stopped doing so. Then nearly every application appears or disappears, which is too much for a delta,
    /// so the reader starts over.
    async fn openness(&mut self, apis: &[String], since: i64, at: i64) -> Result<bool, Fault> {
        let (then, now): (bool, bool) =
            sqlx::query_as(OPEN).bind(since).bind(at).bind(apis).fetch_one(&mut *self.transaction).await?;
        if then == now { Ok(now) } else { Err(Error::Gone(since).into()) }
    }
}

/// The parameters of a statement other than the position.
struct Asked<'a> {
    statement: &'static str,
    /// The APIs of the scope, and whether one admits applications without a subscription.
    limited: Option<&'a (Vec<String>, bool)>,
    since: i64,
    at: i64,
}

/// A row of a page, before its document is read.
struct Found {
    seq: i64,
    size: usize,
}
