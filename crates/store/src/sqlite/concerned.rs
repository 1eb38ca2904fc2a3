//! Counts what a block would concern.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{SqliteStore, fault::Fault};
use management::port::{
    Error,
    concerned::{Concerned, Concerns, Counted},
};

/// Keys of the application `?1` for the API `?2` at the time `?3`; without sandbox keys if `?4`. An unknown type counts as
/// production, as in the filter.
const KEYS: &str = "SELECT count(*) FROM version INDEXED BY version_by_application \
                    WHERE application = ?1 AND kind = 3 AND until_revision IS NULL \
                    AND coalesce(json_extract(document, '$.state'), 'ACTIVE') = 'ACTIVE' \
                    AND coalesce(json_extract(document, '$.not_before'), ?3) <= ?3 \
                    AND coalesce(json_extract(document, '$.expires_at'), ?3 + 1) > ?3 \
                    AND NOT (?4 AND coalesce(json_extract(document, '$.type'), '') = 'SANDBOX') \
                    AND (?2 IS NULL OR json_extract(document, '$.apis') IS NULL \
                    OR EXISTS (SELECT 1 FROM json_each(document, '$.apis') WHERE value = ?2))";

/// Requests of the application `?1` to the API `?2` in hours since `?3`. The sum is at most 2^63 - 1.
const REQUESTS: &str = "SELECT CAST(min(total(requests), 9223372036854774784.0) AS INTEGER) FROM usage \
                        WHERE application = ?1 AND (?2 IS NULL OR api = ?2) AND hour >= ?3 AND outcome = 'allowed'";

#[async_trait]
impl Concerns for SqliteStore {
    async fn concerned(&self, of: &Concerned) -> Result<Counted, Error> {
        Ok(self.counted(of).await?)
    }
}

impl SqliteStore {
    async fn counted(&self, of: &Concerned) -> Result<Counted, Fault> {
        let Concerned { application, api, production_only, now, since } = of;
        let mut reader = self.reader().await?;
        let keys = sqlx::query(KEYS).bind(application).bind(api).bind(now).bind(production_only);
        let keys = keys.fetch_one(&mut **reader).await?.try_get(0)?;
        let requests = sqlx::query(REQUESTS).bind(application).bind(api).bind(since);
        let requests = requests.fetch_one(&mut **reader).await?.try_get(0)?;
        Ok(Counted { keys, requests })
    }
}
