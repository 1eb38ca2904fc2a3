//! Who owns applications, and which blocks the owners have.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{
    fault::Fault,
    text::{text, texts},
};
use crate::owners;
use management::port::OwnersBlock;

/// The owner of an application.
pub async fn owner_of(connection: &mut PgConnection, application: &str) -> Result<Option<String>, Fault> {
    let owner = sqlx::query_scalar::<_, Option<String>>("SELECT owner FROM listed WHERE kind = 2 AND id = $1");
    Ok(owner.bind(text(application)).fetch_optional(connection).await?.flatten())
}

/// Whether an application of this owner is blocked. The kept block of a deleted application counts.
pub async fn has_blocked_application(connection: &mut PgConnection, owner: &str) -> Result<bool, Fault> {
    let found = "SELECT EXISTS (SELECT FROM listed WHERE kind = 2 AND owner = $1 AND state = 'BLOCKED')";
    Ok(sqlx::query_scalar(found).bind(text(owner)).fetch_one(connection).await?)
}

/// Whether the owner of `application` is blocked: another application of the owner is blocked, or its subscription to
/// `api` is, a planned block included. A kept block counts for the owner at the time when the subscription was deleted.
pub async fn is_owner_blocked(connection: &mut PgConnection, application: &str, api: &str) -> Result<bool, Fault> {
    let Some(owner) = owner_of(connection, application).await? else { return Ok(false) };
    if has_blocked_application(connection, &owner).await? {
        return Ok(true);
    }
    let found = sqlx::query_scalar(
        r#"
        SELECT EXISTS (
            SELECT FROM listed l JOIN version s ON s.application = l.id AND s.kind = 4 AND s.api = $2
            WHERE l.kind = 2 AND l.owner = $1 AND s.until_revision IS NULL AND s.kept_owner IS NULL
                AND (s.due IS NOT NULL
                    OR coalesce(s.kept_block, s.document::jsonb ->> 'state') IN ('BLOCKED', 'PROD_ONLY_BLOCKED')))
        OR EXISTS (SELECT FROM version WHERE until_revision IS NULL AND kept_owner = $1 AND api = $2)"#,
    );
    Ok(found.bind(owner).bind(text(api)).fetch_one(connection).await?)
}

/// The owners of applications, by application.
pub async fn owners_of(connection: &mut PgConnection, applications: &[&str]) -> Result<HashMap<String, String>, Fault> {
    let found = "SELECT id, owner FROM listed WHERE kind = 2 AND owner IS NOT NULL AND id = ANY ($1)";
    let rows = sqlx::query_as(found).bind(texts(applications.iter().copied())).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Whether there are fewer blocks than applications of these owners. Neither is counted further than that takes.
async fn has_fewer_blocks(connection: &mut PgConnection, owners: &[String]) -> Result<bool, Fault> {
    let blocks = sqlx::query_scalar(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM listed WHERE kind IN (2, 4) AND state IN ('BLOCKED', 'PROD_ONLY_BLOCKED')
                AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED') LIMIT $1) AS stated)
            + (SELECT count(*) FROM (SELECT FROM version
                WHERE until_revision IS NULL AND due IS NOT NULL LIMIT $1) AS planned)"#,
    );
    let blocks: i64 = blocks.bind(owners::MANY).fetch_one(&mut *connection).await?;
    let applications = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM listed WHERE kind = 2 AND owner = ANY ($1) LIMIT $2) AS owned",
    );
    let applications = applications.bind(owners).bind(blocks.saturating_add(1)).fetch_one(connection).await?;
    Ok(owners::begins_with_blocks(blocks, applications))
}

/// The blocks of the applications of `owners` and of their subscriptions. `None` if there are more than the limit.
pub async fn blocks_of(connection: &mut PgConnection, owners: &[&str]) -> Result<Option<Vec<OwnersBlock>>, Fault> {
    let owners = texts(owners.iter().copied());
    let found = match has_fewer_blocks(connection, &owners).await? {
        true => OF_BLOCKS,
        false => OF_OWNERS,
    };
    let found = sqlx::query_as::<_, owners::Row>(found).bind(owners).bind(owners::limit());
    Ok(owners::blocks(found.fetch_all(connection).await?))
}

/// The blocks of owners, found by their applications.
const OF_OWNERS: &str = r#"
    SELECT owner, id, NULL FROM listed WHERE kind = 2 AND owner = ANY ($1) AND state = 'BLOCKED'
    UNION ALL
    SELECT l.owner, l.id, s.api FROM listed l JOIN version s ON s.application = l.id AND s.kind = 4
    WHERE l.kind = 2 AND l.owner = ANY ($1) AND s.until_revision IS NULL AND s.kept_owner IS NULL
        AND (s.due IS NOT NULL
            OR coalesce(s.kept_block, s.document::jsonb ->> 'state') IN ('BLOCKED', 'PROD_ONLY_BLOCKED'))
    UNION ALL
    SELECT kept_owner, application, api FROM version WHERE until_revision IS NULL AND kept_owner = ANY ($1)
    LIMIT $2"#;

/// The same, found by the blocks. They are chosen first, whatever the planner thinks of their number.
const OF_BLOCKS: &str = r#"
    WITH blocked AS MATERIALIZED (
        SELECT id FROM listed WHERE kind = 4 AND state IN ('BLOCKED', 'PROD_ONLY_BLOCKED')
            AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED')
        UNION
        SELECT id FROM version WHERE kind = 4 AND until_revision IS NULL AND due IS NOT NULL)
    SELECT owner, id, NULL FROM listed WHERE kind = 2 AND state = 'BLOCKED'
        AND state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED') AND owner = ANY ($1)
    UNION ALL
    SELECT l.owner, l.id, s.api FROM blocked
        JOIN version s ON s.kind = 4 AND s.id = blocked.id AND s.until_revision IS NULL
        JOIN listed l ON l.kind = 2 AND l.id = s.application
    WHERE s.kept_owner IS NULL AND l.owner = ANY ($1)
    UNION ALL
    SELECT kept_owner, application, api FROM version WHERE until_revision IS NULL AND kept_owner = ANY ($1)
    LIMIT $2"#;
