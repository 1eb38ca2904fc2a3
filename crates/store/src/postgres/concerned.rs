//! Counts what a block would concern.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{PostgresStore, fault::Fault, text::text};
use management::port::{
    Error,
    concerned::{Concerned, Concerns, Counted},
};

/// Keys of the application `$1` for the API `$2` at the time `$3`; without sandbox keys if `$4`. An unknown type counts as
/// production, as in the filter.
const KEYS: &str = r#"
    SELECT count(*) FROM version v, LATERAL (SELECT v.document::jsonb AS row) AS parsed
    WHERE v.application = $1 AND v.kind = 3 AND v.until_revision IS NULL
        AND coalesce(row ->> 'state', 'ACTIVE') = 'ACTIVE'
        AND coalesce((row ->> 'not_before')::bigint, $3) <= $3
        AND coalesce((row ->> 'expires_at')::bigint, $3 + 1) > $3
        AND NOT ($4 AND coalesce(row ->> 'type', '') = 'SANDBOX')
        AND ($2::text IS NULL OR row ->> 'apis' IS NULL OR row -> 'apis' ? $2)"#;

/// Requests of the application `$1` to the API `$2` in hours since `$3`. The sum is at most 2^63 - 1.
const REQUESTS: &str = r#"
    SELECT least(coalesce(sum(requests), 0), 9223372036854775807)::bigint FROM usage
    WHERE application = $1 AND ($2::text IS NULL OR api = $2) AND hour >= $3 AND outcome = 'allowed'"#;

#[async_trait]
impl Concerns for PostgresStore {
    async fn concerned(&self, of: &Concerned) -> Result<Counted, Error> {
        Ok(self.counted(of).await?)
    }
}

impl PostgresStore {
    async fn counted(&self, of: &Concerned) -> Result<Counted, Fault> {
        let Concerned { application, api, production_only, now, since } = of;
        let (application, api) = (text(application), api.as_deref().map(text));
        let mut reader = self.reader().await?;
        let keys = sqlx::query(KEYS).bind(&application).bind(&api).bind(now).bind(production_only);
        let keys = keys.fetch_one(&mut **reader).await?.try_get(0)?;
        let requests = sqlx::query(REQUESTS).bind(&application).bind(&api).bind(since);
        let requests = requests.fetch_one(&mut **reader).await?.try_get(0)?;
        Ok(Counted { keys, requests })
    }
}
