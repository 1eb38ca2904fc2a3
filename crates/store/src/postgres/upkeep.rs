//! Health, changes by other services, and closing.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Executor as _;
use tokio::time::timeout;

use super::{
    PostgresStore, accounts,
    fault::Fault,
    notify::{self, Beside},
    open::BUSY_TIMEOUT,
};
use management::port::{Act, Error, Upkeep, times::Observer};

/// Time without a notification after which the listening connection is checked.
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
            self.look_at_gateways().await;
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
        self.look_at_gateways().await;
        loop {
            let Ok(heard) = timeout(SILENCE, listener.try_recv()).await else {
                // A vanished server is silent as well.
                timeout(BUSY_TIMEOUT, listener.execute("SELECT 1")).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
                continue;
            };
            // `None` if the connection is gone.
            let Some(notification) = heard? else { return Ok(()) };
            match notify::beside(notification.payload()) {
                Some(Beside::Accounts) => self.look_at_accounts().await,
                Some(Beside::Gateways) => self.look_at_gateways().await,
                Some(Beside::Wanted { by, seconds }) => self.announce_wanted(by, seconds),
                None => self.hear_of_revision(notification.payload(), act).await,
            }
        }
    }

    /// Looks the revision up if it is news.
    async fn hear_of_revision(&self, payload: &str, act: fn() -> Act) {
        let is_news = notify::is_news(payload, &self.latest.borrow());
        if is_news {
            self.look(act).await;
        }
    }

    /// Reads the number of changes of tokens and credentials. Errors are ignored here; the next look-up reports them.
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
