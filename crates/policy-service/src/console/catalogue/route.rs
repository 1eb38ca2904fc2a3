//! The routes of subscriptions in `/v1`, as pages and the table of permissions name them.

use crate::web::place::below;

/// The path of a subscription in `/v1`.
pub fn path(id: &str) -> String {
    below("/v1/subscriptions", &[id])
}

/// The routes, as the table of permissions names them.
pub const SUBSCRIBE: &str = "/v1/subscriptions";
pub const CHANGE: &str = "/v1/subscriptions/{id}";
