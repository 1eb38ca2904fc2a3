//! The turn of an import. A large import is several changes, so two at once would mix their rows. One import at a time has
//! the turn, in all services on a database.
//!
//! The turn ends by itself if its import does not prolong it, as when its service has died. An import that has lost it
//! writes nothing more: each of its changes looks for it first.

use crate::{
    error::Error,
    port::{Act, Store},
    resource::new_id,
};

/// Seconds until a turn ends by itself. An import waits for its turn a little longer, so one that is sent again after its
/// service has died gets it.
const TURN_SECONDS: i64 = 25;

/// The turn of one import.
#[derive(Clone, Debug)]
pub struct Turn {
    holder: String,
}

impl Turn {
    /// Takes the turn. `None`: another import has it.
    pub async fn take(store: &Store, act: Act) -> Result<Option<Self>, Error> {
        let turn = Self { holder: new_id(&act, "import-")? };
        let until = act.now.saturating_add(TURN_SECONDS);
        let mut change = store.begin(act).await?;
        let is_taken = change.take_turn(&turn.holder, until).await?;
        change.commit().await?;
        Ok(is_taken.then_some(turn))
    }

    /// Prolongs the turn. Returns false if it is lost.
    pub async fn prolong(&self, store: &Store, act: Act) -> Result<bool, Error> {
        let until = act.now.saturating_add(TURN_SECONDS);
        let mut change = store.begin(act).await?;
        let is_held = change.prolong_turn(&self.holder, until).await?;
        change.commit().await?;
        Ok(is_held)
    }

    /// Gives the turn up.
    pub async fn end(&self, store: &Store, act: Act) -> Result<(), Error> {
        let mut change = store.begin(act).await?;
        change.end_turn(&self.holder).await?;
        change.commit().await?;
        Ok(())
    }

    /// The name of the import, by which its changes look for the turn.
    pub fn holder(&self) -> &str {
        &self.holder
    }
}

/// The error of an import that was without its turn.
pub fn lost() -> Error {
    Error::conflict(
        "another import took over, because this one made no progress for too long; what was written stays, so run it again",
    )
}
