//! Pages about credentials of gateways: made and shown once, their scope, and their end.

mod list;
mod make;
mod revoke;
mod scope;

use axum::{Router, http::StatusCode, routing::get};
use serde::Deserialize;

use super::{Console, rows::List, visit::Visit};
use crate::{http::problem::Problem, web::place::below};

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/gateway-credentials", get(list::page))
        .route("/console/new/gateway-credential", get(make::ask).post(make::make))
        .route("/console/gateway-credentials/{id}/scope", get(scope::ask).post(scope::change))
        .route("/console/gateway-credentials/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}

/// The routes, as the table of permissions names them.
const ALL: &str = "/v1/gateways/credentials";
const ONE: &str = "/v1/gateways/credentials/{id}";

/// A credential, as `/v1` answers it: never its secret.
#[derive(Clone, Debug, Default, Deserialize)]
struct Credential {
    id: String,
    client_id: String,
    #[serde(default)]
    apis: Option<Vec<String>>,
    created_at: i64,
    #[serde(default)]
    expires_at: Option<i64>,
}

fn path(id: &str) -> String {
    below(ALL, &[id])
}

fn refused() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "your role does not allow it")
}

/// Finds a credential. `/v1` has only the list of them, which is at most some hundreds.
async fn find(visit: &Visit, id: &str) -> Result<Credential, Problem> {
    let mut cursor = String::new();
    loop {
        let asked = crate::web::place::query(&[("limit", "1000"), ("cursor", &cursor)]);
        let list: List<Credential> = visit.v1.read(&format!("{ALL}{asked}")).await?;
        if let Some(found) = list.items.into_iter().find(|one| one.id == id) {
            return Ok(found);
        }
        cursor = match list.next {
            Some(next) => next,
            None => return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such credential")),
        };
    }
}
