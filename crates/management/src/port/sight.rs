//! Which rows a caller sees, as data for the database's conditions. The rules decide it ([`crate::access`]).

use async_trait::async_trait;

use super::{Error, Kind, places::Place};

/// Which rows of one kind a caller sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// All rows.
    #[default]
    All,
    /// Rows that match at least one of these reasons. Without a reason, no rows.
    Only(Vec<Reach>),
}

impl Sight {
    /// The owner, if only rows of one owner are seen.
    pub fn only_owner(&self) -> Option<&str> {
        match self {
            Self::Only(reaches) => match &reaches[..] {
                [Reach::Own(owner)] => Some(owner),
                _ => None,
            },
            Self::All => None,
        }
    }
}

/// A reason for seeing rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Rows of this owner, and keys and subscriptions of this owner's applications. The kept block of a subscription
    /// belongs to the owner at the time of its deletion.
    Own(String),
    /// Subscriptions to this owner's APIs.
    ToApisOf(String),
    /// Rows with an owner.
    Owned,
    /// Rows with an owner and this state.
    OwnedIn(&'static str),
}

/// Checks what a caller sees, outside of a change.
#[async_trait]
pub trait Sights: Send + Sync {
    /// Whether the row of `kind` with this id exists and is within `sight`.
    async fn sees(&self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error>;
}

/// Checks what a caller sees, within a change.
#[async_trait]
pub trait SightRows: Send {
    /// Whether the row of `kind` with this id exists and is within `sight`.
    async fn sees(&mut self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error>;

    /// The places of all APIs of other owners, each with the API's id.
    async fn places_of_others(&mut self, owner: &str) -> Result<Vec<(String, Place)>, Error>;
}
