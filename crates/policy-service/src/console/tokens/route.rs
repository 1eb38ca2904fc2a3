//! A token as `/v1` answers it, and where it is found.

use axum::http::StatusCode;
use serde::Deserialize;

use super::super::{rows::List, visit::Visit};
use crate::{
    http::problem::Problem,
    web::place::{below, query},
};

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
}

pub fn path(id: &str) -> String {
    below(ALL, &[id])
}

pub fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "only an administrator makes and revokes tokens")
}

/// Finds a token. `/v1` has only the list of them.
pub async fn find(visit: &Visit, id: &str) -> Result<Token, Problem> {
    let mut cursor = String::new();
    loop {
        let list: List<Token> =
            visit.v1.read(&format!("{ALL}{}", query(&[("limit", "1000"), ("cursor", &cursor)]))).await?;
        if let Some(found) = list.items.into_iter().find(|one| one.id == id) {
            return Ok(found);
        }
        cursor = match list.next {
            Some(next) => next,
            None => return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such token")),
        };
    }
}
