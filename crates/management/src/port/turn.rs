//! The turn of imports, within a change: at most one import has it, whichever service on the database it came to.

use async_trait::async_trait;

use super::Error;

/// The turn, within a change.
#[async_trait]
pub trait TurnRows: Send {
    /// Gives the turn to `holder` until the time `until`. Returns false if somebody has it now. The change is then
    /// committed even without a revision.
    async fn take_turn(&mut self, holder: &str, until: i64) -> Result<bool, Error>;

    /// Prolongs the turn of `holder` until the time `until`. Returns false if it has lost it, also if nobody has it now:
    /// whoever had it meanwhile has written. The change is then committed even without a revision.
    async fn prolong_turn(&mut self, holder: &str, until: i64) -> Result<bool, Error>;

    /// Whether `holder` has the turn, and nobody has taken it meanwhile.
    async fn has_turn(&mut self, holder: &str) -> Result<bool, Error>;

    /// Gives up the turn of `holder`, if it has it. The change is then committed even without a revision.
    async fn end_turn(&mut self, holder: &str) -> Result<(), Error>;
}
