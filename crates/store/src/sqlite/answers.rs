//! Remembered answers. How long and how many, the rules decide ([`management::once`]).

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{SqliteStore, fault::Fault, transaction::SqliteTransaction};
use management::{
    once::MAX_ANSWERS_FORGOTTEN,
    port::{
        Error, Transaction as _,
        answers::{Answer, AnswerRows, Answers},
    },
};

#[async_trait]
impl Answers for SqliteStore {
    async fn answer(&self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error> {
        Ok(find(&mut *self.reader().await?, actor, key, since).await?)
    }
}

#[async_trait]
impl AnswerRows for SqliteTransaction {
    fn revision_then(&self) -> i64 {
        self.state().revision.saturating_add(i64::from(self.is_dirty()))
    }

    async fn find_answer(&mut self, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Error> {
        Ok(find(self.connection(), actor, key, since).await?)
    }

    async fn has_answers(&mut self, actor: &str, number: i64) -> Result<bool, Error> {
        Ok(has(self.connection(), actor, number).await?)
    }

    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &Answer) -> Result<(), Error> {
        let now = self.act().now;
        keep(self.connection(), actor, key, now, answer).await?;
        self.commit_without_revision();
        Ok(())
    }

    async fn forget_answers(&mut self, since: i64) -> Result<(), Error> {
        Ok(forget(self.connection(), since).await?)
    }
}

async fn find(connection: &mut SqliteConnection, actor: &str, key: &str, since: i64) -> Result<Option<Answer>, Fault> {
    let row = sqlx::query("SELECT * FROM answer WHERE actor = ? AND key = ? AND at > ?");
    let row = row.bind(actor).bind(key).bind(since).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Answer, Fault> {
    let status: i32 = row.try_get("status")?;
    Ok(Answer {
        fingerprint: row.try_get("fingerprint")?,
        status: u16::try_from(status).map_err(|_| Error::Damaged("a status is none"))?,
        location: row.try_get("location")?,
        etag: row.try_get("etag")?,
        revision: row.try_get("revision")?,
        body: row.try_get("body")?,
        issued: row.try_get("issued")?,
    })
}

async fn has(connection: &mut SqliteConnection, actor: &str, number: i64) -> Result<bool, Fault> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM answer WHERE actor = ? LIMIT 1 OFFSET ?)");
    Ok(found.bind(actor).bind(number.saturating_sub(1)).fetch_one(connection).await?)
}

async fn keep(
    connection: &mut SqliteConnection,
    actor: &str,
    key: &str,
    now: i64,
    answer: &Answer,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM answer WHERE actor = ? AND key = ?")
        .bind(actor)
        .bind(key)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO answer (actor, key, at, fingerprint, status, location, etag, revision, body, issued) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(actor)
    .bind(key)
    .bind(now)
    .bind(&answer.fingerprint)
    .bind(i32::from(answer.status))
    .bind(&answer.location)
    .bind(&answer.etag)
    .bind(answer.revision)
    .bind(&answer.body)
    .bind(&answer.issued)
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, since: i64) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM answer WHERE (actor, key) IN (SELECT actor, key FROM answer WHERE at <= ? ORDER BY at LIMIT ?)",
    )
    .bind(since)
    .bind(MAX_ANSWERS_FORGOTTEN)
    .execute(connection)
    .await?;
    Ok(())
}
