//! Deletes a plan, after it has asked.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use management::port::{Kind, audit::Subject};
use maud::html;

use super::{
    super::{
        parts::{
            confirm::Confirm,
            field::{Wrong, is_in_form},
            table::facts,
        },
        rows::Plan,
        said,
        visit::{Sent, Visit},
    },
    list::facts_of,
    route::{CHANGE, path},
};
use crate::http::problem::Problem;

pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    page(&visit, &id, StatusCode::OK, &Wrong::default()).await
}

async fn page(visit: &Visit, id: &str, status: StatusCode, wrong: &Wrong) -> Result<Response, Problem> {
    let plan: Plan = visit.v1.read(&path(id)).await?;
    if !visit.may(Method::DELETE, CHANGE) || !visit.owns(plan.owner.as_deref()) {
        return Err(visit.refused());
    }
    let (to, back) = (visit.at(&["plans", id, "delete"]), visit.at(&["plans", id]));
    let confirm = Confirm {
        token: visit.frame.token(),
        to: &to,
        etag: Some(plan.etag.as_deref().unwrap_or_default()),
        what: html! { p { "A plan that a subscription or an application has cannot be deleted." } },
        fields: html! {},
        button: "Delete",
        back: &back,
        is_dangerous: true,
    };
    let body = html! {
        div.columns {
            section aria-label="Delete" { (confirm.body(wrong)) }
            section aria-label="The plan" { (facts(&facts_of(&plan))) }
        }
    };
    let trail = [("Plans", visit.at(&["plans"])), (plan.id.as_str(), back.clone())];
    Ok(visit.page_as(status, &format!("Delete {id}"), &trail, body))
}

/// Deletes the plan.
pub async fn delete(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    match visit.v1.change(Method::DELETE, &path(&id), None, Some(form.get("etag"))).await {
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let wrong = Wrong::new(
                "",
                "The plan was changed meanwhile. Look at it beside the form, and send the form again \
                                        if you still want it.",
            );
            page(&visit, &id, problem.status(), &wrong).await
        }
        Err(problem) if is_in_form(&problem) => {
            page(&visit, &id, problem.status(), &Wrong::of(&problem, |_| String::new())).await
        }
        done => said::deleted(&visit, &["plans"], (Subject::Row(Kind::Plan), &id), "deleted", done).await,
    }
}
