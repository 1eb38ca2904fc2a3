//! The routes of `/v1` for APIs.

use crate::web::place::below;

/// The routes, as the table of permissions names them.
pub const CREATE: &str = "/v1/apis";
pub const CHANGE: &str = "/v1/apis/{id}";

/// The path of an API.
pub fn path(id: &str) -> String {
    below("/v1/apis", &[id])
}
