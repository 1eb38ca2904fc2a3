//! The turn of imports. The rules decide how long it lasts ([`management::import::turn`]).

use async_trait::async_trait;

use super::{fault::Fault, transaction::PostgresTransaction};
use management::port::{Error, Transaction as _, turn::TurnRows};

#[async_trait]
impl TurnRows for PostgresTransaction {
    async fn take_turn(&mut self, holder: &str, until: i64) -> Result<bool, Error> {
        let now = self.act().now;
        let taken = take(self, holder, until, now).await?;
        self.commit_without_revision();
        Ok(taken)
    }

    async fn prolong_turn(&mut self, holder: &str, until: i64) -> Result<bool, Error> {
        let is_held = prolong(self, holder, until).await?;
        self.commit_without_revision();
        Ok(is_held)
    }

    async fn has_turn(&mut self, holder: &str) -> Result<bool, Error> {
        Ok(has(self, holder).await?)
    }

    async fn end_turn(&mut self, holder: &str) -> Result<(), Error> {
        end(self, holder).await?;
        self.commit_without_revision();
        Ok(())
    }
}

async fn take(change: &mut PostgresTransaction, holder: &str, until: i64, now: i64) -> Result<bool, Fault> {
    let taken = sqlx::query(
        "INSERT INTO import_turn (one, holder, ends_at) VALUES (1, $1, $2) \
         ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at \
         WHERE import_turn.ends_at <= $3",
    );
    let taken = taken.bind(holder).bind(until).bind(now).execute(change.connection()).await?;
    Ok(taken.rows_affected() > 0)
}

async fn prolong(change: &mut PostgresTransaction, holder: &str, until: i64) -> Result<bool, Fault> {
    let prolonged = sqlx::query("UPDATE import_turn SET ends_at = $2 WHERE holder = $1");
    let prolonged = prolonged.bind(holder).bind(until).execute(change.connection()).await?;
    Ok(prolonged.rows_affected() > 0)
}

async fn has(change: &mut PostgresTransaction, holder: &str) -> Result<bool, Fault> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM import_turn WHERE holder = $1)");
    Ok(found.bind(holder).fetch_one(change.connection()).await?)
}

async fn end(change: &mut PostgresTransaction, holder: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM import_turn WHERE holder = $1").bind(holder).execute(change.connection()).await?;
    Ok(())
}
