//! The start page: what waits for the person, and the way to everything else.

use axum::response::Response;
use management::port::Role;

use super::{
    apis, mine,
    visit::{Visit, see_other},
};
use crate::http::problem::Problem;

/// The address with a slash at its end, as people type it.
pub async fn from_slash(visit: Visit) -> Response {
    see_other(&visit.at(&[]))
}

/// The start page of the person's role.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    match visit.principal.role {
        Role::Publisher | Role::Administrator | Role::Operator | Role::Auditor => apis::overview::page(visit).await,
        Role::Subscriber => mine::page(visit).await,
    }
}
