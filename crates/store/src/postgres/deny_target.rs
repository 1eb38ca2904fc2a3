//! The table of the targets of the current deny policies ([`management::port::target`]). It shows which two policies
//! have the same target, and which policies name an object that does not exist.

use keygate::policy::rows::DenyTarget;
use sqlx::PgConnection;

use super::fault::Fault;
use management::port::{
    Kind,
    target::{parse, target},
};

/// Answers for each deny policy whether the object that it names exists. An address always exists.
pub async fn applies(connection: &mut PgConnection, documents: &[String]) -> Result<Vec<bool>, Fault> {
    const BY_ID: &str = r#"
        SELECT EXISTS (SELECT FROM version
            WHERE until_revision IS NULL AND kind = $1 AND id = $2 AND kept_block IS NULL)"#;
    const BY_OWNER: &str = r#"
        SELECT EXISTS (SELECT FROM version
            WHERE until_revision IS NULL AND kind = 2 AND kept_block IS NULL AND document::jsonb ->> 'owner' = $1)"#;
    let mut applies = Vec::with_capacity(documents.len());
    for document in documents {
        let found = match parse(document) {
            None => false,
            Some(DenyTarget::Range(_)) => true,
            Some(DenyTarget::Owner(owner)) => {
                sqlx::query_scalar(BY_OWNER).bind(owner.as_str()).fetch_one(&mut *connection).await?
            }
            Some(DenyTarget::Application(id)) => {
                let found = sqlx::query_scalar(BY_ID).bind(Kind::Application.number()).bind(id.as_str());
                found.fetch_one(&mut *connection).await?
            }
            Some(DenyTarget::Api(id)) => {
                let found = sqlx::query_scalar(BY_ID).bind(Kind::Api.number()).bind(id.as_str());
                found.fetch_one(&mut *connection).await?
            }
        };
        applies.push(found);
    }
    Ok(applies)
}

/// Finds another deny policy than `policy` with this target.
pub async fn denied_by(connection: &mut PgConnection, target: &str, policy: &str) -> Result<Option<String>, Fault> {
    let found = sqlx::query_scalar("SELECT policy FROM deny_target WHERE target = $1 AND policy <> $2 LIMIT 1");
    Ok(found.bind(target).bind(policy).fetch_optional(connection).await?)
}

pub(super) async fn add(connection: &mut PgConnection, policy: &str, document: &str) -> Result<(), Fault> {
    let Some(target) = target(document) else { return Ok(()) };
    let added = sqlx::query("INSERT INTO deny_target (target, policy) VALUES ($1, $2)").bind(target).bind(policy);
    added.execute(connection).await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, policies: &[String]) -> Result<(), Fault> {
    sqlx::query("DELETE FROM deny_target WHERE policy = ANY ($1)").bind(policies).execute(connection).await?;
    Ok(())
}
