//! Goes back to an earlier revision: the question, the preview of what would change and what would stay, and the restore.

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong, actions, hidden},
            table::{counted, name, number, table},
        },
        rows::List,
        said,
        secrets::{self, Made},
        visit::{Sent, Visit, see_other},
    },
    list::Revision,
    route::RESTORE,
};
use crate::http::problem::Problem;

/// Objects that would not be as they were, as far as the preview names them.
const KEPT: usize = 100;
const LATEST: &str = "/v1/revisions?sort=-revision&limit=1";

/// What `/v1` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Preview {
    revision: i64,
    restored: i64,
    counts: BTreeMap<String, Count>,
    kept: Vec<Kept>,
    kept_total: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Count {
    made: u64,
    changed: u64,
    removed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kept {
    kind: String,
    id: String,
    because: String,
}

async fn latest(visit: &Visit) -> Result<i64, Problem> {
    let list: List<Revision> = visit.v1.read(LATEST).await?;
    if !visit.may(Method::POST, RESTORE) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "your role does not allow it"));
    }
    Ok(list.items.first().map(|latest| latest.revision).unwrap_or_default())
}

/// The question.
pub async fn ask(visit: Visit) -> Result<Response, Problem> {
    let latest = latest(&visit).await?;
    let form = Form::default().with("revision", visit.asked.get("revision"));
    Ok(question(&visit, StatusCode::OK, latest, &form, &Wrong::default()))
}

fn trail(visit: &Visit) -> [(&'static str, String); 1] {
    [("History", visit.at(&["history"]))]
}

fn question(visit: &Visit, status: StatusCode, latest: i64, form: &Form, wrong: &Wrong) -> Response {
    let body = html! {
        p { "A restore makes a new revision with the rows of an earlier one. The latest is " strong { (latest) } "." }
        (wrong.summary_of_question())
        form.panel method="post" action=(visit.at(&["restore"])) {
            (visit.frame.token()) (hidden("step", "preview"))
            (Field::new("revision", "Go back to revision", "").typed("number", form, wrong))
            (lift(form))
            p.hint { "The next page shows what would change. Nothing is changed before you agree to it. Other changes wait while the preview is made." }
            (actions("Show the preview", false, &visit.at(&["history"])))
        }
    };
    visit.page_as(status, "Restore an earlier revision", &trail(visit), body)
}

fn lift(form: &Form) -> Markup {
    html! {
        (Field::new("lift_blocks", "Lift blocks and remove deny policies that were not there then",
            "Dangerous: what was blocked since then for a reason is open again. Without it, every block and deny policy of today stays.").tick(form))
    }
}

/// Shows the preview, or restores what the preview has shown.
pub async fn restore(Sent { visit, form }: Sent) -> Result<Response, Problem> {
    let latest = latest(&visit).await?;
    let revision = form.get("revision").parse::<i64>();
    let Ok(revision) = revision else {
        let wrong = Wrong::new("revision", "expected a revision, such as 42");
        return Ok(question(&visit, StatusCode::UNPROCESSABLE_ENTITY, latest, &form, &wrong));
    };
    let lift_blocks = form.has("lift_blocks");
    let has_agreed = form.get("step") == "restore";
    // The form arrived twice, and the first time it restored.
    if has_agreed
        && form.get("seen") == latest.saturating_sub(1).to_string()
        && said::is_last_restore(&visit, latest).await?
    {
        return Ok(said::made(&visit, &["history"], "restored", latest));
    }
    if has_agreed && form.get("seen") == latest.to_string() {
        let body = json!({"revision": revision, "lift_blocks": lift_blocks});
        return match secrets::make(&visit, RESTORE, &body, &form).await {
            Ok(Made::Now(done)) => {
                let made = done.get("revision").and_then(Value::as_i64).unwrap_or_default();
                Ok(said::made(&visit, &["history"], "restored", made))
            }
            Ok(Made::Before(_)) => Ok(see_other(&visit.at(&["history"]))),
            Err(problem) => again(&visit, latest, &form, problem),
        };
    }
    let body = json!({"revision": revision, "dry_run": true, "lift_blocks": lift_blocks});
    match visit.v1.change(Method::POST, RESTORE, Some(&body), None).await {
        Ok(done) => {
            let preview = Preview::deserialize(&done.body).unwrap_or_default();
            let status = if has_agreed { StatusCode::CONFLICT } else { StatusCode::OK };
            Ok(shown(&visit, status, &preview, lift_blocks, has_agreed))
        }
        Err(problem) => again(&visit, latest, &form, problem),
    }
}

fn again(visit: &Visit, latest: i64, form: &Form, problem: Problem) -> Result<Response, Problem> {
    match problem.status().as_u16() {
        400 | 409 | 410 | 422 => {
            let wrong = Wrong::of(&problem, |field| if field == "revision" { field.to_owned() } else { String::new() });
            Ok(question(visit, problem.status(), latest, form, &wrong))
        }
        _ => Err(problem),
    }
}

/// The preview, with the button that restores.
fn shown(visit: &Visit, status: StatusCode, preview: &Preview, lift_blocks: bool, is_late: bool) -> Response {
    let Preview { revision, restored, counts, kept, kept_total } = preview;
    let changed: u64 = counts.values().fold(0, |sum, count| {
        sum.saturating_add(count.made).saturating_add(count.changed).saturating_add(count.removed)
    });
    let rows: Vec<Vec<Markup>> = counts
        .iter()
        .map(|(kind, count)| {
            let figure =
                |count: u64| html! { @if count == 0 { span.none { "0" } } @else { strong { (number(count)) } } };
            vec![html! { (name(kind)) }, figure(count.made), figure(count.changed), figure(count.removed)]
        })
        .collect();
    let back = visit.at_with(&["restore"], &[("revision", &restored.to_string())]);
    let changes = visit.at_with(&["diff"], &[("from", &revision.to_string()), ("to", &restored.to_string())]);
    let body = html! {
        @if is_late {
            div.alert role="alert" { p { strong { "Somebody changed the policy after your preview, so nothing was restored." } " This is what would change now." } }
        }
        section.panel aria-labelledby="changes-title" {
            h2 #changes-title { "What would change" }
            @if changed == 0 { p { "Nothing: the policy is as it was in revision " (restored) ", as far as a restore may change it." } }
            @else { (table("What a restore would change", &["Kind", "Made again", "Changed back", "Removed"], &rows)) }
            p { a href=(changes) { "All differences, field by field" } }
        }
        @if *kept_total > 0 {
            section.panel aria-labelledby="kept-title" {
                h2 #kept-title { "What would not be as it was: " (counted(*kept_total, "object", "objects")) }
                p.hint { "A restore leaves these as they are today, or makes of them what the reason says." }
                (table("What would not be as it was", &["Kind", "Id", "Because"], &kept_rows(kept)))
                @if *kept_total > u64::try_from(KEPT).unwrap_or(u64::MAX) { p.hint { "The first " (KEPT) " are shown." } }
            }
        }
        form.panel method="post" action=(visit.at(&["restore"])) {
            (visit.frame.token()) (secrets::word(&Form::default(), &Wrong::default()))
            (hidden("step", "restore")) (hidden("seen", &revision.to_string())) (hidden("revision", &restored.to_string()))
            @if lift_blocks {
                (hidden("lift_blocks", "true"))
                p.alert { strong { "This lifts blocks and removes deny policies. " } "Requests that are refused today pass again, on every gateway, within a second or so." }
            } @else { p { "Every block and deny policy of today stays." } }
            p { "No revoked key works again, and no key gets a longer life." }
            (actions(&format!("Restore revision {restored}"), true, &back))
        }
    };
    visit.page_as(status, &format!("Restore revision {restored}?"), &trail(visit), body)
}

fn kept_rows(kept: &[Kept]) -> Vec<Vec<Markup>> {
    let row = |one: &Kept| vec![html! { (name(&one.kind)) }, html! { code { (name(&one.id)) } }, name(&one.because)];
    kept.iter().take(KEPT).map(row).collect()
}
