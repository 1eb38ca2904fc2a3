//! Who owns applications, and which blocks the owners have.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::{fault::Fault, json::json};
use crate::owners;
use management::port::OwnersBlock;

/// The owner of an application.
pub async fn owner_of(connection: &mut SqliteConnection, application: &str) -> Result<Option<String>, Fault> {
    let owner = sqlx::query_scalar::<_, Option<String>>("SELECT owner FROM listed WHERE kind = 2 AND id = ?");
    Ok(owner.bind(application).fetch_optional(connection).await?.flatten())
}

/// Whether an application of this owner is blocked. The kept block of a deleted application counts.
pub async fn has_blocked_application(connection: &mut SqliteConnection, owner: &str) -> Result<bool, Fault> {
    let found = "SELECT EXISTS (SELECT 1 FROM listed INDEXED BY listed_by_owner \
                 WHERE kind = 2 AND owner = ? AND state = 'BLOCKED')";
    Ok(sqlx::query_scalar(found).bind(owner).fetch_one(connection).await?)
}

/// Whether the owner of `application` is blocked: one of the owner's applications is, or a subscription of one of them
/// to `api`, a planned block included. A kept block counts for the owner at the time when the subscription was deleted.
pub async fn is_owner_blocked(connection: &mut SqliteConnection, application: &str, api: &str) -> Result<bool, Fault> {
    let Some(owner) = owner_of(connection, application).await? else { return Ok(false) };
    if has_blocked_application(connection, &owner).await? {
        return Ok(true);
    }
    let found = "SELECT EXISTS (SELECT 1 FROM listed l INDEXED BY listed_by_owner CROSS JOIN version s \
                 ON s.application = l.id AND s.kind = 4 AND s.api = ?2 \
                 WHERE l.kind = 2 AND l.owner = ?1 AND s.until_revision IS NULL AND s.kept_owner IS NULL \
                 AND (s.due IS NOT NULL \
                 OR coalesce(s.kept_block, json_extract(s.document, '$.state')) IN ('BLOCKED', 'PROD_ONLY_BLOCKED'))) \
                 OR EXISTS (SELECT 1 FROM version WHERE until_revision IS NULL AND kept_owner = ?1 AND api = ?2)";
    Ok(sqlx::query_scalar(found).bind(owner).bind(api).fetch_one(connection).await?)
}

/// The owners of applications, by application.
pub async fn owners_of(
    connection: &mut SqliteConnection,
    applications: &[&str],
) -> Result<HashMap<String, String>, Fault> {
    let found = "SELECT id, owner FROM listed WHERE kind = 2 AND owner IS NOT NULL \
                 AND id IN (SELECT value FROM json_each(?))";
    let rows = sqlx::query_as(found).bind(json(applications)?).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Whether there are fewer blocks than applications of these owners. Neither is counted further than that takes.
async fn has_fewer_blocks(connection: &mut SqliteConnection, owners: &str) -> Result<bool, Fault> {
    let blocks = "SELECT (SELECT count(*) FROM (SELECT 1 FROM listed INDEXED BY listed_by_state \
        WHERE kind IN (2, 4) AND state IN ('BLOCKED', 'PROD_ONLY_BLOCKED') \
        AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED') LIMIT ?1)) \
        + (SELECT count(*) FROM (SELECT 1 FROM version INDEXED BY version_by_due \
        WHERE until_revision IS NULL AND due IS NOT NULL LIMIT ?1))";
    let blocks: i64 = sqlx::query_scalar(blocks).bind(owners::MANY).fetch_one(&mut *connection).await?;
    let applications = "SELECT count(*) FROM (SELECT 1 FROM json_each(?1) asked \
        CROSS JOIN listed l INDEXED BY listed_by_owner ON l.kind = 2 AND l.owner = asked.value LIMIT ?2)";
    let applications = sqlx::query_scalar(applications).bind(owners).bind(blocks.saturating_add(1));
    Ok(owners::begins_with_blocks(blocks, applications.fetch_one(connection).await?))
}

/// The blocks of the applications of `owners` and of their subscriptions. `None` if there are more than the limit.
pub async fn blocks_of(connection: &mut SqliteConnection, owners: &[&str]) -> Result<Option<Vec<OwnersBlock>>, Fault> {
    let owners = json(owners)?;
    let found = match has_fewer_blocks(connection, &owners).await? {
        true => OF_BLOCKS,
        false => OF_OWNERS,
    };
    let query = sqlx::query_as::<_, owners::Row>(found).bind(owners);
    Ok(owners::blocks(query.bind(owners::limit()).fetch_all(connection).await?))
}

/// The blocks of owners, found by their applications.
const OF_OWNERS: &str = "WITH asked (owner) AS (SELECT value FROM json_each(?1)) \
        SELECT l.owner, l.id, NULL FROM asked CROSS JOIN listed l INDEXED BY listed_by_owner \
        ON l.kind = 2 AND l.owner = asked.owner WHERE l.state = 'BLOCKED' \
        UNION ALL SELECT l.owner, l.id, s.api FROM asked CROSS JOIN listed l INDEXED BY listed_by_owner \
        ON l.kind = 2 AND l.owner = asked.owner CROSS JOIN version s ON s.application = l.id AND s.kind = 4 \
        WHERE s.until_revision IS NULL AND s.kept_owner IS NULL \
        AND (s.due IS NOT NULL \
        OR coalesce(s.kept_block, json_extract(s.document, '$.state')) IN ('BLOCKED', 'PROD_ONLY_BLOCKED')) \
        UNION ALL SELECT kept_owner, application, api FROM version \
        WHERE until_revision IS NULL AND kept_owner IN (SELECT owner FROM asked) LIMIT ?2";

/// The same, found by the blocks.
const OF_BLOCKS: &str = "WITH asked (owner) AS (SELECT value FROM json_each(?1)) \
        SELECT owner, id, NULL FROM listed INDEXED BY listed_by_state WHERE kind = 2 AND state = 'BLOCKED' \
        AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED') AND owner IN (SELECT owner FROM asked) \
        UNION ALL SELECT l.owner, l.id, s.api FROM \
        (SELECT id FROM listed INDEXED BY listed_by_state WHERE kind = 4 AND state IN ('BLOCKED', 'PROD_ONLY_BLOCKED') \
        AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED') \
        UNION SELECT id FROM version INDEXED BY version_by_due \
        WHERE kind = 4 AND until_revision IS NULL AND due IS NOT NULL) blocked \
        CROSS JOIN version s INDEXED BY version_by_id ON s.kind = 4 AND s.id = blocked.id AND s.until_revision IS NULL \
        CROSS JOIN listed l ON l.kind = 2 AND l.id = s.application \
        WHERE s.kept_owner IS NULL AND l.owner IN (SELECT owner FROM asked) \
        UNION ALL SELECT kept_owner, application, api FROM version \
        WHERE until_revision IS NULL AND kept_owner IN (SELECT owner FROM asked) LIMIT ?2";
