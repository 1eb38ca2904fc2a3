//! The routes of `/v1` for plans.

use crate::web::place::below;

/// The routes, as the table of permissions names them.
pub const CREATE: &str = "/v1/plans";
pub const CHANGE: &str = "/v1/plans/{id}";

/// The path of a plan.
pub fn path(id: &str) -> String {
    below("/v1/plans", &[id])
}
