//! The table of the targets of the current deny policies ([`management::port::target`]). It shows which two policies
//! have the same target, and which policies name an object that does not exist.

use keygate::policy::rows::DenyTarget;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::fault::Fault;
use management::port::{
    Kind,
    target::{parse, target},
};

/// Answers for each deny policy whether the object that it names exists. An address always exists.
pub async fn applies(connection: &mut SqliteConnection, documents: &[String]) -> Result<Vec<bool>, Fault> {
    const BY_ID: &str = "SELECT EXISTS (SELECT 1 FROM version WHERE until_revision IS NULL AND kind = ? AND id = ? \
                             AND kept_block IS NULL)";
    const BY_OWNER: &str = "SELECT EXISTS (SELECT 1 FROM version WHERE until_revision IS NULL AND kind = 2 \
                                AND kept_block IS NULL AND json_extract(document, '$.owner') = ?)";
    let mut applies = Vec::with_capacity(documents.len());
    for document in documents {
        let there = match parse(document) {
            None => Some(false),
            Some(DenyTarget::Range(_)) => Some(true),
            Some(DenyTarget::Owner(owner)) => {
                let found = sqlx::query_scalar(BY_OWNER).bind(owner.as_str().to_owned());
                found.fetch_optional(&mut *connection).await?
            }
            Some(DenyTarget::Application(id)) => {
                let found = sqlx::query_scalar(BY_ID).bind(Kind::Application.number()).bind(id.as_str().to_owned());
                found.fetch_optional(&mut *connection).await?
            }
            Some(DenyTarget::Api(id)) => {
                let found = sqlx::query_scalar(BY_ID).bind(Kind::Api.number()).bind(id.as_str().to_owned());
                found.fetch_optional(&mut *connection).await?
            }
        };
        applies.push(there.unwrap_or(false));
    }
    Ok(applies)
}

/// Finds another deny policy than `policy` with this target.
pub async fn denied_by(connection: &mut SqliteConnection, target: &str, policy: &str) -> Result<Option<String>, Fault> {
    let found = sqlx::query_scalar("SELECT policy FROM deny_target WHERE target = ? AND policy <> ? LIMIT 1");
    Ok(found.bind(target).bind(policy).fetch_optional(connection).await?)
}

pub(super) async fn add(connection: &mut SqliteConnection, policy: &str, document: &str) -> Result<(), Fault> {
    let Some(target) = target(document) else { return Ok(()) };
    sqlx::query("INSERT INTO deny_target (target, policy) VALUES (?, ?)")
        .bind(target)
        .bind(policy)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut SqliteConnection, policy: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM deny_target WHERE policy = ?").bind(policy).execute(connection).await?;
    Ok(())
}

/// Fills the table in a database that was created before the table existed.
pub(super) async fn fill(writer: &SqlitePool) -> Result<(), Fault> {
    const EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM deny_target)";
    const POLICIES: &str = "SELECT id, document FROM version WHERE until_revision IS NULL AND kind = ?";
    if !sqlx::query_scalar::<_, bool>(EMPTY).fetch_one(writer).await? {
        return Ok(());
    }
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have filled it meanwhile.
    if sqlx::query_scalar::<_, bool>(EMPTY).fetch_one(&mut *transaction).await? {
        for row in sqlx::query(POLICIES).bind(Kind::DenyPolicy.number()).fetch_all(&mut *transaction).await? {
            let (policy, document): (String, String) = (row.try_get("id")?, row.try_get("document")?);
            add(&mut transaction, &policy, &document).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}
