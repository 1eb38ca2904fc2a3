//! Health, changes by other services, and closing.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Executor as _;
use tokio::time::timeout;

use super::{PostgresStore, accounts, fault::Fault, notify, open::BUSY_TIMEOUT};
use management::port::{Act, Error, Upkeep, times::Observer};

/// After so long without a notification, the listening connection is checked.
const SILENCE: Duration = Duration::from_secs(60);
/// How often the revision is looked up, in case a notification was lost.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[async_trait]
impl Upkeep for PostgresStore {
    fn is_new(&self) -> bool {
        self.is_new
    }

    async fn check_writer(&self, act: &Act) -> Result<(), Error> {
        self.check_changes(act).await
    }

    fn observe(&self, observer: Observer) {
        self.times.observe(observer);
    }

    async fn watch(&self, act: fn() -> Act) {
        tokio::join!(self.look_again_and_again(act), self.hear(act));
    }

    async fn close(&self) {
        for pool in [&self.listeners, &self.readers, &self.writer] {
            pool.close().await;
        }
    }
}

impl PostgresStore {
    async fn look_again_and_again(&self, act: fn() -> Act) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_there = true;
        loop {
            ticks.tick().await;
            let held = self.latest.borrow().clone();
            let found = self.follow(&held, &act()).await.map_err(Error::from);
            self.look_at_accounts().await;
            match &found {
                Ok(()) if is_there => {}
                Ok(()) => tracing::warn!("the database answers again"),
                Err(error) if is_there => {
                    tracing::error!(%error, "the revision cannot be read; requests are refused until it can");
                }
                Err(_) => {}
            }
            is_there = found.is_ok();
        }
    }

    /// Looks for a new revision when another service announces one.
    async fn hear(&self, act: fn() -> Act) {
        loop {
            if let Err(error) = self.hear_until_it_fails(act).await {
                tracing::debug!(%error, "notifications are not heard; the revision is looked up");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn hear_until_it_fails(&self, act: fn() -> Act) -> Result<(), sqlx::Error> {
        let mut listener = notify::listen(&self.listeners, &self.channel).await?;
        self.look(act).await;
        self.look_at_accounts().await;
        loop {
            let Ok(heard) = timeout(SILENCE, listener.try_recv()).await else {
                // A server that vanished says nothing either.
                timeout(BUSY_TIMEOUT, listener.execute("SELECT 1")).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
                continue;
            };
            // `None` if the connection is gone.
            let Some(notification) = heard? else { return Ok(()) };
            if notification.payload() == notify::ACCOUNTS {
                self.look_at_accounts().await;
                continue;
            }
            let is_news = notify::is_news(notification.payload(), &self.latest.borrow());
            if is_news {
                self.look(act).await;
            }
        }
    }

    /// Looks how often tokens and credentials were changed. Errors are ignored here: what is looked up next says them.
    async fn look_at_accounts(&self) {
        if let Ok(changes) = self.count_account_changes().await {
            self.announce_accounts(changes);
        }
    }

    async fn count_account_changes(&self) -> Result<i64, Fault> {
        accounts::changes(&mut *self.reader().await?).await
    }

    /// Errors are ignored here. The next tick tries again and logs them.
    async fn look(&self, act: fn() -> Act) {
        let held = self.latest.borrow().clone();
        let _ = self.follow(&held, &act()).await;
    }
}
