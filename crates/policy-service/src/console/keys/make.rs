//! Makes a key: the warning first, then the key once, with the check that it was kept.

use axum::{
    extract::Path,
    http::{Method, StatusCode},
    response::Response,
};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{
    super::{
        applications::{Application, route as application},
        form::Form,
        parts::field::{Field, Wrong, actions, is_in_form, is_not_ignored, status_of},
        secrets::{self, Made, field_of},
        visit::{Sent, Visit},
        when,
    },
    kept,
    route::ISSUE,
};
use crate::http::problem::Problem;

const DAY: i64 = 86_400;
/// Lists in the form, a value a line.
const LISTS: [&str; 3] = ["apis", "permitted_ips", "permitted_referers"];

/// The form.
pub async fn ask(Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let row = application(&visit, &id).await?;
    let fresh = Form::default().with("type", "PRODUCTION").with("end", "365");
    Ok(page(&visit, StatusCode::OK, &row, &fresh, &Wrong::default()))
}

/// The application, if the person may make a key of it.
async fn application(visit: &Visit, id: &str) -> Result<Application, Problem> {
    let row: Application = visit.v1.read(&application::path(id)).await?;
    match visit.may(Method::POST, ISSUE) && visit.owns(row.owner.as_deref()) {
        true => Ok(row),
        false => Err(Problem::new(StatusCode::FORBIDDEN, "your role, or who owns this, does not allow it")),
    }
}

/// The warning that stands before a key is made.
pub fn warning() -> Markup {
    html! {
        div.note {
            p { strong { "The key is shown once, on the next page, and never again." } " The service keeps only a digest of it." }
            p { "Have the place ready where you keep it, such as a password store or a secret of your platform. "
                "Who has the key can send requests in the name of the application. Do not put it into a repository, a chat or a web page." }
        }
    }
}

fn page(visit: &Visit, status: StatusCode, row: &Application, form: &Form, wrong: &Wrong) -> Response {
    let here = visit.at(&["applications", &row.id]);
    let has_limits = LISTS.iter().any(|name| !form.get(name).is_empty());
    let body = html! {
        (warning())
        (wrong.summary())
        form.panel method="post" action={ (here) "/new-key" } {
            (visit.frame.token()) (secrets::word(form, wrong))
            (Field::new("type", "What it opens", "").choice(&[
                ("PRODUCTION", html! { "Production" }, html! {}),
                ("SANDBOX", html! { "Sandbox" }, html! {}),
            ], form, wrong))
            (ends(form, wrong))
            details open[has_limits] {
                summary { "Limit what the key may be used for" }
                (Field::new("apis", "Only these APIs", "One id a line. Empty: every API that the application may use.").lines(2, form, wrong))
                (Field::new("permitted_ips", "Only from these addresses", "One address or range a line, such as 192.0.2.7 or 198.51.100.0/24.").lines(2, form, wrong))
                (Field::new("permitted_referers", "Only from these web pages", "One referer a line, such as shop.example.com/*.").lines(2, form, wrong))
            }
            (actions("Make the key", false, &here))
        }
    };
    let trail = [("Applications", visit.at(&["applications"])), ("Application", here.clone())];
    visit.page_as(status, &format!("New key for {}", row.title()), &trail, body)
}

/// When a key ends.
pub fn ends(form: &Form, wrong: &Wrong) -> Markup {
    let until = when::field("until", "Time", form, wrong);
    html! {
        (Field::new("end", "When it ends", "A key that ends limits the harm if it leaks. You can replace it before, without a gap.").choice(&[
            ("90", html! { "After 90 days" }, html! {}),
            ("365", html! { "After a year" }, html! {}),
            ("time", html! { "At a time" }, until),
            ("never", html! { "Never" }, html! {}),
        ], form, wrong))
    }
}

/// The end that was chosen, in the fields of `/v1`. Seconds from now say the same if the form is sent again.
pub fn end(form: &Form, body: &mut Map<String, Value>) -> Result<(), Wrong> {
    is_not_ignored("until", "At a time", form.get("end") == "time", when::is_typed(form, "until"))?;
    let (name, value) = match form.get("end") {
        "90" => ("expires_in", 90 * DAY),
        "365" => ("expires_in", 365 * DAY),
        "never" | "" => return Ok(()),
        "time" => match when::moment(form, "until")? {
            Some(at) => ("expires_at", at),
            None => return Err(Wrong::new("until", "give the time at which it ends")),
        },
        _ => return Err(Wrong::new("end", "choose one of these")),
    };
    body.insert(name.to_owned(), json!(value));
    Ok(())
}

fn asked(form: &Form) -> Result<Value, Wrong> {
    let mut body = Map::new();
    body.insert("type".to_owned(), form.json("type"));
    end(form, &mut body)?;
    for name in LISTS {
        let lines: Vec<&str> = form.lines(name).collect();
        if !lines.is_empty() {
            body.insert(name.to_owned(), json!(lines));
        }
    }
    Ok(Value::Object(body))
}

/// Makes it.
pub async fn make(Path(id): Path<String>, Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let row = application(&visit, &id).await?;
    let body = match asked(&form) {
        Ok(body) => body,
        Err(wrong) => return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &row, &form, &wrong)),
    };
    let path = format!("{}/keys", application::path(&id));
    match secrets::make(&visit, &path, &body, &form).await {
        Ok(Made::Now(made)) => Ok(kept::shown(&visit, &made, "The new key", &html! {})),
        Ok(Made::Before(key)) => Ok(kept::shown_before(&visit, &key)),
        Err(problem) if is_in_form(&problem) => {
            Ok(page(&visit, status_of(&problem), &row, &form, &Wrong::of(&problem, field_of)))
        }
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_says_what_the_key_may_do() {
        let read = |text: &str| asked(&Form::parse(text.as_bytes())).ok();
        assert_eq!(
            read("type=SANDBOX&end=never&apis=a%0D%0A%0D%0Ab"),
            Some(json!({"type": "SANDBOX", "apis": ["a", "b"]}))
        );
        assert_eq!(read("type=PRODUCTION&end=90"), Some(json!({"type": "PRODUCTION", "expires_in": 7_776_000})));
        assert_eq!(
            read("type=x&end=time&until=2025-12-01T08:00"),
            Some(json!({"type": "x", "expires_at": 1_764_576_000}))
        );
        assert_eq!((read("end=time"), read("end=odd"), read("end=365&until=2025-12-01T08:00")), (None, None, None));
    }
}
