//! Pages about applications: of a subscriber the own ones, of others all.

mod block;
mod edit;
mod leave;
mod list;
mod one;
pub mod route;
mod row;

use axum::{Router, routing::get};

pub use self::{
    list::{applications, named},
    one::facts_of_block,
    route::path,
    row::Application,
};
use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/applications", get(list::page))
        .route("/console/new/application", get(edit::ask_new).post(edit::make))
        .route("/console/applications/{id}", get(one::page))
        .route("/console/applications/{id}/edit", get(edit::ask).post(edit::save))
        .route("/console/applications/{id}/delete", get(leave::ask).post(leave::delete))
        .route("/console/applications/{id}/block", get(block::ask).post(block::block))
        .route("/console/applications/{id}/unblock", get(block::ask_unblock).post(block::unblock))
}
