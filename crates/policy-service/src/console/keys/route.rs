//! The routes of keys in `/v1`, as pages and the table of permissions name them.

use crate::web::place::below;

/// The path of a key in `/v1`.
pub fn path(id: &str) -> String {
    below("/v1/keys", &[id])
}

/// The routes, as the table of permissions names them.
pub const ISSUE: &str = "/v1/applications/{id}/keys";
pub const REGENERATE: &str = "/v1/keys/{id}/regenerate";
pub const REVOKE: &str = "/v1/keys/{id}/revoke";
