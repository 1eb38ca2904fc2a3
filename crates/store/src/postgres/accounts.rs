//! Tokens and gateways' credentials. The rules decide what they permit.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use tokio::sync::watch;

use super::{PostgresStore, fault::Fault, text::text};
use management::port::{
    Error, Principal, Role, Scope,
    accounts::{AccountPage, Accounts, Credential, SecretHash, Token},
};

#[async_trait]
impl Accounts for PostgresStore {
    async fn token_of(&self, secret: &SecretHash) -> Result<Option<Token>, Error> {
        Ok(find(&mut *self.reader().await?, "SELECT * FROM token WHERE secret = $1", &secret.0, token).await?)
    }

    async fn tokens(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Token>, Error> {
        Ok(page(&mut *self.reader().await?, "token", after, limit, token).await?)
    }

    async fn credential_of(&self, secret: &SecretHash) -> Result<Option<Credential>, Error> {
        let found = "SELECT * FROM gateway_credential WHERE secret = $1";
        Ok(find(&mut *self.reader().await?, found, &secret.0, credential).await?)
    }

    async fn credential(&self, id: &str) -> Result<Option<Credential>, Error> {
        let found = "SELECT * FROM gateway_credential WHERE id = $1";
        Ok(find(&mut *self.reader().await?, found, id, credential).await?)
    }

    async fn credentials(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Credential>, Error> {
        Ok(page(&mut *self.reader().await?, "gateway_credential", after, limit, credential).await?)
    }

    fn account_changes(&self) -> watch::Receiver<i64> {
        self.accounts.subscribe()
    }
}

/// The number of changes of accounts.
pub async fn changes(connection: &mut PgConnection) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar("SELECT changes FROM account_state").fetch_one(connection).await?)
}

/// Counts a change of accounts, and returns the new number.
pub async fn count_change(connection: &mut PgConnection) -> Result<i64, Fault> {
    let counted = sqlx::query_scalar("UPDATE account_state SET changes = changes + 1 RETURNING changes");
    Ok(counted.fetch_one(connection).await?)
}

pub(super) async fn insert_token(
    connection: &mut PgConnection,
    token: &Token,
    secret: &SecretHash,
) -> Result<(), Fault> {
    let statement =
        "INSERT INTO token (id, secret, role, subject, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(&token.id)
        .bind(&secret.0)
        .bind(token.principal.role.as_str())
        .bind(&token.principal.subject)
        .bind(token.created_at)
        .bind(token.expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_credential(
    connection: &mut PgConnection,
    credential: &Credential,
    secret: &SecretHash,
) -> Result<(), Fault> {
    let statement = "INSERT INTO gateway_credential (id, secret, client_id, apis, created_at, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(&credential.id)
        .bind(&secret.0)
        .bind(&credential.client_id)
        .bind(json(&credential.scope))
        .bind(credential.created_at)
        .bind(credential.expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn update_scope(connection: &mut PgConnection, id: &str, scope: &Scope) -> Result<(), Fault> {
    let update = sqlx::query("UPDATE gateway_credential SET apis = $1 WHERE id = $2").bind(json(scope)).bind(text(id));
    update.execute(connection).await?;
    Ok(())
}

pub(super) async fn find<T>(
    connection: &mut PgConnection,
    statement: &str,
    value: &str,
    read: fn(&PgRow) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let row = sqlx::query(statement).bind(text(value)).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn count(connection: &mut PgConnection, table: &str) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(&format!("SELECT count(*) FROM {table}")).fetch_one(connection).await?)
}

async fn page<T>(
    connection: &mut PgConnection,
    table: &str,
    after: Option<&str>,
    limit: u32,
    read: fn(&PgRow) -> Result<T, Fault>,
) -> Result<AccountPage<T>, Fault> {
    let rows = sqlx::query(&format!("SELECT * FROM {table} WHERE id > $1 ORDER BY id LIMIT $2"))
        .bind(text(after.unwrap_or_default()))
        .bind(i64::from(limit).saturating_add(1))
        .fetch_all(&mut *connection)
        .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(limit).map(read).collect::<Result<_, _>>()?;
    Ok(AccountPage { items, more: rows.len() > limit, total: count(connection, table).await? })
}

pub(super) fn token(row: &PgRow) -> Result<Token, Fault> {
    let role: &str = row.try_get("role")?;
    Ok(Token {
        id: row.try_get("id")?,
        principal: Principal { role: Role::parse(role)?, subject: row.try_get("subject")? },
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

pub(super) fn credential(row: &PgRow) -> Result<Credential, Fault> {
    let apis: Option<&str> = row.try_get("apis")?;
    let set = |text| {
        let set: BTreeSet<String> =
            serde_json::from_str(text).map_err(|_| Error::Damaged("a scope that is no list of ids"))?;
        Ok::<_, Error>(Scope::Apis(Arc::new(set)))
    };
    Ok(Credential {
        id: row.try_get("id")?,
        client_id: row.try_get("client_id")?,
        scope: apis.map_or(Ok(Scope::All), set)?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

fn json(scope: &Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Apis(apis) => Some(serde_json::json!(apis).to_string()),
    }
}
