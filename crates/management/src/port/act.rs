//! The context of a change: who makes it, when, and with which random numbers. Nothing below reads a clock.

use std::{net::IpAddr, sync::Arc};

use super::{Actor, Error, answers::Once};

/// Where a change comes from. A change that no request asks for comes from nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection.
    pub address: Option<IpAddr>,
    /// The name of the request, as its answer has it in `x-request-id`.
    pub request_id: Option<Arc<str>>,
    /// The name of the request, if it is to be done once.
    pub once: Option<Arc<Once>>,
}

/// A source of random bytes, or the reason why there are none.
pub type Random = fn(&mut [u8]) -> Result<(), String>;

/// The context of a change. The transaction keeps it until it commits.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: Actor,
    /// The time, in Unix seconds.
    pub now: i64,
    /// The source of random bytes for ids and keys.
    pub random: Random,
    /// From where.
    pub origin: Origin,
}

impl Act {
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes).map_err(Error::Unavailable)?;
        Ok(bytes)
    }
}
