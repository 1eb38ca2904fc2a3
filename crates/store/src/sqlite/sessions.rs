//! Sessions of people. The rules decide how long they last ([`management::sessions`]).

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{SqliteStore, fault::Fault, transaction::SqliteTransaction};
use management::port::{
    Error, Principal, Role,
    accounts::SecretHash,
    sessions::{Session, SessionRows, Sessions, Source},
};

#[async_trait]
impl Sessions for SqliteStore {
    async fn session_of(&self, secret: &SecretHash) -> Result<Option<Session>, Error> {
        Ok(find(&mut *self.reader().await?, secret).await?)
    }
}

#[async_trait]
impl SessionRows for SqliteTransaction {
    async fn count_sessions(&mut self) -> Result<i64, Error> {
        Ok(count(self.connection()).await?)
    }

    async fn add_session(&mut self, session: &Session, secret: &SecretHash) -> Result<(), Error> {
        Ok(insert(self.connection(), session, secret).await?)
    }

    async fn touch_session(&mut self, secret: &SecretHash, at: i64) -> Result<(), Error> {
        Ok(touch(self.connection(), secret, at).await?)
    }

    async fn remove_session(&mut self, secret: &SecretHash) -> Result<bool, Error> {
        Ok(remove(self.connection(), secret).await?)
    }

    async fn keep_newest_sessions(&mut self, subject: &str, number: i64) -> Result<(), Error> {
        Ok(keep_newest(self.connection(), subject, number).await?)
    }

    async fn forget_sessions(&mut self, now: i64, idle_since: i64, limit: i64) -> Result<(), Error> {
        Ok(forget(self.connection(), now, idle_since, limit).await?)
    }

    async fn use_sign_in(&mut self, digest: &SecretHash, until: i64) -> Result<bool, Error> {
        Ok(use_up(self.connection(), digest, until).await?)
    }
}

async fn find(connection: &mut SqliteConnection, secret: &SecretHash) -> Result<Option<Session>, Fault> {
    let found = "SELECT * FROM session WHERE secret = ? \
                 AND (token IS NULL OR EXISTS (SELECT 1 FROM token WHERE token.id = session.token))";
    let row = sqlx::query(found).bind(&secret.0).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Session, Fault> {
    let role: &str = row.try_get("role")?;
    let (token, configured): (Option<String>, Option<String>) = (row.try_get("token")?, row.try_get("configured")?);
    let source = token.map(Source::Token).or(configured.map(Source::Configured));
    Ok(Session {
        principal: Principal { role: Role::parse(role)?, subject: row.try_get("subject")? },
        source: source.ok_or(Error::Damaged("a session without a source"))?,
        created_at: row.try_get("created_at")?,
        used_at: row.try_get("used_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

async fn count(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM session").fetch_one(connection).await?)
}

async fn insert(connection: &mut SqliteConnection, session: &Session, secret: &SecretHash) -> Result<(), Fault> {
    let (token, configured) = match &session.source {
        Source::Token(id) => (Some(id), None),
        Source::Configured(digest) => (None, Some(digest)),
    };
    let statement = "INSERT INTO session (secret, role, subject, token, configured, created_at, used_at, expires_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(statement)
        .bind(&secret.0)
        .bind(session.principal.role.as_str())
        .bind(&session.principal.subject)
        .bind(token)
        .bind(configured)
        .bind(session.created_at)
        .bind(session.used_at)
        .bind(session.expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

async fn touch(connection: &mut SqliteConnection, secret: &SecretHash, at: i64) -> Result<(), Fault> {
    let update = sqlx::query("UPDATE session SET used_at = ?1 WHERE secret = ?2 AND used_at < ?1");
    update.bind(at).bind(&secret.0).execute(connection).await?;
    Ok(())
}

async fn remove(connection: &mut SqliteConnection, secret: &SecretHash) -> Result<bool, Fault> {
    let removed = sqlx::query("DELETE FROM session WHERE secret = ?").bind(&secret.0).execute(connection).await?;
    Ok(removed.rows_affected() > 0)
}

/// Deletes the sessions whose rights come from a token that is revoked.
pub(super) async fn remove_of_token(connection: &mut SqliteConnection, id: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM session WHERE token = ?").bind(id).execute(connection).await?;
    Ok(())
}

async fn keep_newest(connection: &mut SqliteConnection, subject: &str, number: i64) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM session WHERE secret IN (SELECT secret FROM session WHERE subject = ? \
         ORDER BY created_at DESC, secret LIMIT -1 OFFSET ?)",
    )
    .bind(subject)
    .bind(number)
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, now: i64, idle_since: i64, limit: i64) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM session WHERE secret IN \
         (SELECT secret FROM session WHERE expires_at <= ? OR used_at <= ? LIMIT ?)",
    )
    .bind(now)
    .bind(idle_since)
    .bind(limit)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM used_sign_in WHERE digest IN (SELECT digest FROM used_sign_in WHERE until <= ? LIMIT ?)")
        .bind(now)
        .bind(limit)
        .execute(connection)
        .await?;
    Ok(())
}

async fn use_up(connection: &mut SqliteConnection, digest: &SecretHash, until: i64) -> Result<bool, Fault> {
    let statement = "INSERT INTO used_sign_in (digest, until) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING";
    let noted = sqlx::query(statement).bind(&digest.0).bind(until).execute(connection).await?;
    Ok(noted.rows_affected() > 0)
}
