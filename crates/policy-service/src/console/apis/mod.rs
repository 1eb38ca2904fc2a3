//! Pages about APIs, and the start page of those who look after APIs.

mod list;
pub mod overview;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new().route("/console/apis", get(list::page))
}
