//! The route that restores a revision.

pub const RESTORE: &str = "/v1/restore";
