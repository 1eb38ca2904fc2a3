//! A credential of gateways as `/v1` answers it, where it is found, and what a page about one says.

use axum::http::StatusCode;
use serde::Deserialize;

use super::super::visit::Visit;
use crate::{http::problem::Problem, web::place::below};

/// The routes, as the table of permissions names them.
pub const ALL: &str = "/v1/gateways/credentials";
pub const ONE: &str = "/v1/gateways/credentials/{id}";

/// A credential, as `/v1` answers it: never its secret.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Credential {
    pub id: String,
    pub client_id: String,
    #[serde(default)]
    pub apis: Option<Vec<String>>,
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
    Problem::new(StatusCode::FORBIDDEN, "your role does not allow it")
}

/// Finds a credential.
pub async fn find(visit: &Visit, id: &str) -> Result<Credential, Problem> {
    let found = visit.v1.find(ALL, |one: &Credential| one.id == id).await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such credential"))
}
