//! The turn of an import ([`management::import::turn`]): prolonged while the import runs, and given up however it ends.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::clock::act_of_service;
use management::{
    error::Error,
    import::turn::Turn,
    port::{self, Store},
};

/// Time between two looks at whether another import has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Time between two prolongations. A turn lasts five times as long.
const PROLONG: Duration = Duration::from_secs(5);

/// A turn that is held.
pub struct Held {
    store: Store,
    /// `None` once it is given up.
    turn: Option<Turn>,
    prolonging: JoinHandle<()>,
}

impl Held {
    /// Takes the turn. `None`: another import has it.
    pub async fn take(store: &Store) -> Result<Option<Self>, Error> {
        let Some(turn) = Turn::take(store, act_of_service()).await? else { return Ok(None) };
        let prolonging = tokio::spawn(prolong(store.clone(), turn.clone()));
        Ok(Some(Self { store: store.clone(), turn: Some(turn), prolonging }))
    }

    /// Waits for the turn until this time, or for ever. `told` hears that the turn is not free.
    pub async fn wait(store: &Store, until: Option<Instant>, told: impl FnOnce()) -> Result<Option<Self>, Error> {
        let mut told = Some(told);
        loop {
            match Self::take(store).await {
                Ok(Some(held)) => return Ok(Some(held)),
                // The import that has the turn may hold the writer for long.
                Ok(None) | Err(Error::Store(port::Error::Busy)) => {}
                Err(error) => return Err(error),
            }
            if let Some(told) = told.take() {
                told();
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The name of the import.
    pub fn holder(&self) -> Option<String> {
        self.turn.as_ref().map(|turn| turn.holder().to_owned())
    }

    /// Gives it up.
    pub async fn end(mut self) {
        self.prolonging.abort();
        if let Some(turn) = self.turn.take() {
            give_up(&self.store, &turn).await;
        }
    }
}

impl Drop for Held {
    /// The client has gone in the middle.
    fn drop(&mut self) {
        self.prolonging.abort();
        if let Some(turn) = self.turn.take() {
            let store = self.store.clone();
            tokio::spawn(async move { give_up(&store, &turn).await });
        }
    }
}

async fn prolong(store: Store, turn: Turn) {
    loop {
        sleep(PROLONG).await;
        // The database may be busy or away. The changes of an import that has lost its turn are refused.
        if let Ok(false) = turn.prolong(&store, act_of_service()).await {
            return;
        }
    }
}

async fn give_up(store: &Store, turn: &Turn) {
    if let Err(error) = turn.end(store, act_of_service()).await {
        tracing::warn!(%error, "the turn of an import could not be given up, so the next import waits for its end");
    }
}
