//! The page of a receipt, and the part of it that fills.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{
    Console,
    parts::receipt::{panel, seen, state},
    rows::Receipt,
    visit::Visit,
};
use crate::{http::problem::Problem, web::place::below};

pub fn router() -> Router<Console> {
    Router::new().route("/console/receipts/{revision}", get(page))
}

async fn page(State(_): State<Console>, Path(revision): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let receipt: Receipt = visit.v1.read(&below("/v1/receipts", &[&revision])).await?;
    let place = visit.at(&["receipts", &revision]);
    if visit.is_for_part {
        if visit.asked.get("seen") == seen(&receipt) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        return Ok(visit.part(&state(&receipt, &place)));
    }
    Ok(visit.page("Receipt", &[], panel(&receipt, &place, &place)))
}
