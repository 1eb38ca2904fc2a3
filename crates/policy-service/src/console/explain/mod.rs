//! Explain: would a gateway let this request pass, and why? The form may have a key, so it is sent by POST, and no page shows
//! the key again.

mod again;
mod configuration;
mod form;
mod told;

use axum::{
    Router,
    http::{Method, StatusCode},
    response::Response,
    routing::get,
};

use self::form::{asked, field_of, fresh, shown};
use super::{
    Console,
    parts::field::Wrong,
    visit::{Sent, Visit},
};
use crate::http::problem::Problem;

const ROUTE: &str = "/v1/explain";

pub fn router() -> Router<Console> {
    Router::new().route("/console/explain", get(ask).post(explain))
}

/// The form.
async fn ask(visit: Visit) -> Result<Response, Problem> {
    may(&visit)?;
    let form = fresh(&visit);
    Ok(visit.page("Explain a request", &[], shown(&visit, &form, &Wrong::default())))
}

/// A role that may not explain does not see that it could.
fn may(visit: &Visit) -> Result<(), Problem> {
    match visit.may(Method::POST, ROUTE) {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::NOT_FOUND, "the console has no such page")),
    }
}

/// Explains.
async fn explain(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    may(&visit)?;
    let again = |status: StatusCode, wrong: &Wrong| {
        let body = shown(&visit, &form, wrong);
        Ok(visit.page_as(status, "Explain a request", &[], body))
    };
    let body = match asked(&form) {
        Ok(body) => body,
        Err(wrong) => return again(StatusCode::UNPROCESSABLE_ENTITY, &wrong),
    };
    match visit.v1.change(Method::POST, ROUTE, Some(&body), None).await {
        Ok(done) => {
            let body = told::told(&visit, &form, &done.body);
            Ok(visit.page("What a gateway does with the request", &[("Explain", visit.at(&["explain"]))], body))
        }
        Err(problem) if matches!(problem.status().as_u16(), 400 | 404 | 409 | 410 | 422) => {
            again(problem.status(), &Wrong::of(&problem, field_of))
        }
        Err(problem) => Err(problem),
    }
}
