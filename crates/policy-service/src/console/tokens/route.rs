//! A token as `/v1` answers it, and where it is found.

use axum::http::StatusCode;
use serde::Deserialize;

use super::super::visit::Visit;
use crate::{http::problem::Problem, web::place::below};

/// The routes, as the table of permissions names them.
pub const ALL: &str = "/v1/tokens";
pub const ONE: &str = "/v1/tokens/{id}";

/// A token, as `/v1` answers it: never the token itself.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Token {
    pub id: String,
    pub role: String,
    pub subject: String,
    pub created_at: i64,
    #[serde(default)]
    pub expires_at: Option<i64>,
    #[serde(default)]
    pub etag: String,
}

pub fn path(id: &str) -> String {
    below(ALL, &[id])
}

pub fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "only an administrator makes and revokes tokens")
}

/// Finds a token.
pub async fn find(visit: &Visit, id: &str) -> Result<Token, Problem> {
    let found = visit.v1.find(ALL, |one: &Token| one.id == id).await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such token"))
}
