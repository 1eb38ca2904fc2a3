//! An authenticated gateway.

use management::port::Scope;

/// A gateway that may read the feed.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The name in its credentials.
    pub client_id: String,
    /// Which APIs it sees.
    pub scope: Scope,
}
