//! Reads the rows of a revision that decide about one request. Each statement reads the current and the past versions
//! by an index of their own, so its time depends on the rows that it returns and not on the policy.

use async_trait::async_trait;

use super::{as_of::Reader, fault::Fault, state::read_version};
use management::port::{Error, Kind, Version, explained::ExplainedRows};

/// APIs, plans and deny policies at `?1`.
const SMALL_LISTS: &str = "SELECT * FROM version INDEXED BY version_by_id \
                           WHERE kind IN (1, 5, 6) AND until_revision IS NULL AND from_revision <= ?1 \
                           UNION ALL SELECT * FROM version INDEXED BY version_past_by_id \
                           WHERE kind IN (1, 5, 6) AND until_revision IS NOT NULL AND from_revision <= ?1 \
                           AND until_revision > ?1";

/// The kind `?2` with the id `?3` at `?1`.
const BY_ID: &str = "SELECT * FROM version INDEXED BY version_by_id \
                     WHERE kind = ?2 AND id = ?3 AND until_revision IS NULL AND from_revision <= ?1 \
                     UNION ALL SELECT * FROM version INDEXED BY version_past_by_id \
                     WHERE kind = ?2 AND id = ?3 AND until_revision IS NOT NULL AND from_revision <= ?1 \
                     AND until_revision > ?1";

/// The kind `?2` with the name `?3` in the feed at `?1`.
const BY_IDENTITY: &str = "SELECT * FROM version INDEXED BY version_by_identity \
                           WHERE kind = ?2 AND identity = ?3 AND until_revision IS NULL AND from_revision <= ?1 \
                           UNION ALL SELECT * FROM version INDEXED BY version_past \
                           WHERE kind = ?2 AND identity = ?3 AND until_revision IS NOT NULL AND from_revision <= ?1 \
                           AND until_revision > ?1";

/// The application `?2` and its subscriptions at `?1`.
const OF_APPLICATION: &str = "SELECT * FROM version INDEXED BY version_by_application \
                              WHERE application = ?2 AND kind IN (2, 4) AND from_revision <= ?1 \
                              AND (until_revision IS NULL OR until_revision > ?1)";

#[async_trait]
impl ExplainedRows for Reader {
    async fn small_lists_at(&mut self, at: i64) -> Result<Vec<Version>, Error> {
        Ok(self.small_lists(at).await?)
    }

    async fn id_at(&mut self, kind: Kind, id: &str, at: i64) -> Result<Option<Version>, Error> {
        Ok(self.one(BY_ID, kind, id, at).await?)
    }

    async fn identity_at(&mut self, kind: Kind, identity: &str, at: i64) -> Result<Option<Version>, Error> {
        Ok(self.one(BY_IDENTITY, kind, identity, at).await?)
    }

    async fn application_at(&mut self, application: &str, at: i64) -> Result<Vec<Version>, Error> {
        Ok(self.of_application(application, at).await?)
    }
}

impl Reader {
    async fn small_lists(&mut self, at: i64) -> Result<Vec<Version>, Fault> {
        let rows = sqlx::query(SMALL_LISTS).bind(at).fetch_all(self.at(at)?).await?;
        rows.iter().map(read_version).collect()
    }

    async fn one(
        &mut self,
        statement: &'static str,
        kind: Kind,
        name: &str,
        at: i64,
    ) -> Result<Option<Version>, Fault> {
        let query = sqlx::query(statement).bind(at).bind(kind.number()).bind(name);
        query.fetch_optional(self.at(at)?).await?.as_ref().map(read_version).transpose()
    }

    async fn of_application(&mut self, application: &str, at: i64) -> Result<Vec<Version>, Fault> {
        let rows = sqlx::query(OF_APPLICATION).bind(at).bind(application).fetch_all(self.at(at)?).await?;
        rows.iter().map(read_version).collect()
    }
}
