//! Pages about credentials of gateways: made and shown once, their scope, and their end.

mod list;
mod make;
mod revoke;
mod route;
mod scope;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/gateway-credentials", get(list::page))
        .route("/console/new/gateway-credential", get(make::ask).post(make::make))
        .route("/console/gateway-credentials/{id}/scope", get(scope::ask).post(scope::change))
        .route("/console/gateway-credentials/{id}/revoke", get(revoke::ask).post(revoke::revoke))
}
