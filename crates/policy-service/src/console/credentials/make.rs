//! Makes a credential. Its secret is shown once.

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong, actions, is_in_form, is_not_ignored, shown, status_of},
            table::name,
        },
        rows::List,
        secrets::{self, Made, end, ends, field_of},
        visit::{Sent, Visit},
    },
    route::{ALL, Credential, refused},
};
use crate::{http::problem::Problem, web::place::below};

/// The form.
pub async fn ask(visit: Visit) -> Result<Response, Problem> {
    may(&visit).await?;
    let fresh = Form::default().with("sees", "all").with("end", "never");
    Ok(page(&visit, StatusCode::OK, &fresh.with("client_id", visit.asked.get("client_id")), &Wrong::default()))
}

/// Fails unless the person may make one. Who may not see any learns nothing of them.
async fn may(visit: &Visit) -> Result<(), Problem> {
    let _: List<Credential> = visit.v1.read(&format!("{ALL}?limit=1")).await?;
    if visit.may(Method::POST, ALL) { Ok(()) } else { Err(refused()) }
}

fn page(visit: &Visit, status: StatusCode, form: &Form, wrong: &Wrong) -> Response {
    let body = html! {
        div.note { p { strong { "The secret is shown once, on the next page, and never again." } " The service keeps only a digest of it." } }
        (wrong.summary())
        form.panel method="post" action=(visit.at(&["new", "gateway-credential"])) {
            (visit.frame.token()) (secrets::word(form, wrong))
            (Field::new("client_id", "Client id", "The name of the gateways that use it, such as edge. Several credentials may have the same.").text(form, wrong))
            (scope(form, wrong))
            (ends(form, wrong))
            (actions("Make the credential", false, &visit.at(&["gateway-credentials"])))
        }
    };
    let trail = [("Gateways", visit.at(&["gateways"])), ("Credentials", visit.at(&["gateway-credentials"]))];
    visit.page_as(status, "New credential of gateways", &trail, body)
}

/// Which APIs a gateway sees.
pub fn scope(form: &Form, wrong: &Wrong) -> Markup {
    let first = if form.has("apis_shown") { form.as_typed("apis_shown") } else { form.as_typed("apis") };
    let some = html! {
        (Field::new("apis", "Ids of the APIs", "One a line. None: it sees no API.").lines(3, form, wrong))
        (shown("apis", first))
    };
    html! {
        (Field::new("sees", "What the gateways see", "Keys and subscriptions of other APIs do not reach them.").choice(&[
            ("all", html! { "All APIs" }, html! {}),
            ("some", html! { "Only some" }, some),
        ], form, wrong))
    }
}

/// The scope that was chosen, as `/v1` takes it.
pub fn chosen(form: &Form) -> Result<Value, Wrong> {
    let is_typed = form.lines("apis").next().is_some() && !form.lines("apis").eq(form.lines("apis_shown"));
    is_not_ignored("apis", "Only some", form.get("sees") == "some", is_typed)?;
    match form.get("sees") {
        "some" => Ok(json!(form.lines("apis").collect::<Vec<_>>())),
        "all" => Ok(Value::Null),
        _ => Err(Wrong::new("sees", "choose one of these")),
    }
}

/// Fails if an API is typed that there is not: its gateways would refuse everything. What was there before may stay.
pub async fn there_are(visit: &Visit, form: &Form) -> Result<(), Wrong> {
    let before: Vec<&str> = form.lines("apis_shown").collect();
    if form.get("sees") != "some" {
        return Ok(());
    }
    for id in form.lines("apis").filter(|id| !before.contains(id)) {
        let found: Result<Value, Problem> = visit.v1.read(&below("/v1/apis", &[id])).await;
        if found.is_err_and(|problem| problem.status() == StatusCode::NOT_FOUND) {
            return Err(Wrong::new(
                "apis",
                &format!("there is no API with the id {id:?}; expected ids of APIs, one a line"),
            ));
        }
    }
    Ok(())
}

/// Makes it.
pub async fn make(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    may(&visit).await?;
    let mut body = Map::new();
    body.insert("client_id".to_owned(), form.get("client_id").into());
    let scope = chosen(&form).map(|apis| body.insert("apis".to_owned(), apis));
    let scope = match scope {
        Ok(_) => there_are(&visit, &form).await,
        Err(wrong) => Err(wrong),
    };
    if let Err(wrong) = scope.and_then(|()| end(&form, &mut body)) {
        return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    }
    match secrets::make(&visit, ALL, &Value::Object(body), &form).await {
        Ok(Made::Now(made)) => Ok(once(&visit, &made)),
        Ok(Made::Before(id)) => {
            let next = html! { p.actions {
                a.button href=(visit.at(&["gateway-credentials"])) { "All credentials" }
                a.button.danger href=(visit.at(&["gateway-credentials", &id, "revoke"])) { "Revoke it …" }
            } };
            let body = secrets::made_before("credential", &id, &next);
            Ok(visit.page_as(StatusCode::CONFLICT, "The credential was made", &[], body))
        }
        Err(problem) if is_in_form(&problem) => {
            Ok(page(&visit, status_of(&problem), &form, &Wrong::of(&problem, field_of)))
        }
        Err(problem) => Err(problem),
    }
}

/// The page that shows the secret, once.
fn once(visit: &Visit, made: &Value) -> Response {
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let all = visit.at(&["gateway-credentials"]);
    let body = html! {
        section.panel aria-labelledby="secret-title" {
            h2 #secret-title { "Keep it now" }
            p { "This page is the only one that shows it. If you leave or reload the page, nobody can show it again." }
            (secrets::panel("The secret", text("client_secret")))
            p { "It goes into the filter's configuration, as " code { "policy.credentials" } ": the client id is " code { (name(text("client_id"))) }
                ". The secret may come from the VM's environment." }
            p.actions { a.button href=(all) { "I have kept it" } }
        }
    };
    let trail = [("Gateways", visit.at(&["gateways"])), ("Credentials", all.clone())];
    visit.page_as(StatusCode::CREATED, "The new credential", &trail, body)
}
