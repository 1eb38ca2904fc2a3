//! Pages about tokens: who may sign in and ask. One is made and shown once, and revoked.

mod list;
mod make;
mod revoke;

use axum::{Router, http::StatusCode, routing::get};
use serde::Deserialize;

use super::{Console, rows::List, visit::Visit};
use crate::{
    http::problem::Problem,
    web::place::{below, query},
};

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/tokens", get(list::page))
        .route("/console/new/token", get(make::ask).post(make::make))
        .route("/console/tokens/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}

/// The routes, as the table of permissions names them.
const ALL: &str = "/v1/tokens";
const ONE: &str = "/v1/tokens/{id}";

/// A token, as `/v1` answers it: never the token itself.
#[derive(Clone, Debug, Default, Deserialize)]
struct Token {
    id: String,
    role: String,
    subject: String,
    created_at: i64,
    #[serde(default)]
    expires_at: Option<i64>,
}

fn path(id: &str) -> String {
    below(ALL, &[id])
}

fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "only an administrator makes and revokes tokens")
}

/// Finds a token. `/v1` has only the list of them.
async fn find(visit: &Visit, id: &str) -> Result<Token, Problem> {
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
