//! Which rows somebody sees, as data that a database can look up. Who sees what is decided by the rules
//! ([`crate::access`]).

use async_trait::async_trait;

use super::{Error, Kind, places::Place};

/// Which rows of one kind somebody sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// All.
    #[default]
    All,
    /// Those that at least one of these reaches. Without any, none.
    Only(Vec<Reach>),
}

/// Rows that somebody sees for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Rows of this owner; keys and subscriptions of applications of this owner. A kept block of a subscription is of
    /// who was the owner when it was deleted.
    Own(String),
    /// Subscriptions to APIs of this owner.
    ToApisOf(String),
    /// Rows that have an owner.
    Owned,
    /// Rows that have an owner and are in this state.
    OwnedIn(&'static str),
}

/// Whether somebody sees a row, as it is now.
#[async_trait]
pub trait Sights: Send + Sync {
    /// Whether the row of `kind` with this id is there and within `sight`.
    async fn sees(&self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error>;
}

/// Whether somebody sees a row, within a change.
#[async_trait]
pub trait SightRows: Send {
    /// Whether the row of `kind` with this id is there and within `sight`.
    async fn sees(&mut self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error>;

    /// The places of all APIs that are not of this owner, each with the id of its API.
    async fn places_of_others(&mut self, owner: &str) -> Result<Vec<(String, Place)>, Error>;
}
