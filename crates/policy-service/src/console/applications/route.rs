//! The routes of applications in `/v1`, as pages and the table of permissions name them.

use crate::web::place::below;

/// The path of an application in `/v1`.
pub fn path(id: &str) -> String {
    below("/v1/applications", &[id])
}

/// The routes, as the table of permissions names them.
pub const CREATE: &str = "/v1/applications";
pub const CHANGE: &str = "/v1/applications/{id}";
pub const BLOCK: &str = "/v1/applications/{id}/block";
pub const ISSUE: &str = "/v1/applications/{id}/keys";
