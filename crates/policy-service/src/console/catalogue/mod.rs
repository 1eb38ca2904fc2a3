//! Pages of those who subscribe: which APIs there are and with which plans, subscribing, another plan, and the end of a
//! subscription.

mod end;
mod list;
mod plan;
mod plans;
mod route;
mod subscribe;

use axum::{Router, routing::get};

use super::Console;

pub fn router() -> Router<Console> {
    Router::new()
        .route("/console/catalogue", get(list::page))
        .route("/console/apis/{id}/subscribe", get(subscribe::ask).post(subscribe::subscribe))
        .route("/console/subscriptions/{id}/plan", get(plan::ask).post(plan::change))
        .route("/console/subscriptions/{id}/end", get(end::ask).post(end::end))
}
