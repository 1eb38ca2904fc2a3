//! The routes of `/v1` for subscriptions.

use crate::web::place::below;

/// The routes, as the table of permissions names them.
pub const BLOCK: &str = "/v1/subscriptions/{id}/block";
pub const APPROVE: &str = "/v1/subscriptions/{id}/approve";

/// The path of a subscription.
pub fn path(id: &str) -> String {
    below("/v1/subscriptions", &[id])
}
