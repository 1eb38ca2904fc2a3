//! The form of a block: what it blocks, until when, and what people are told. And what the form asks for, as `/v1` takes it.

use axum::http::Method;
use chrono::NaiveDateTime;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong, actions, hidden},
            table::{counted, number},
            time::time,
        },
        rows::{Preview, Subscription},
        visit::Visit,
        when,
    },
    moved::seen,
    route::path,
};
use crate::http::problem::Problem;

/// A day, in seconds.
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// What a block would concern, of either state.
#[derive(Clone, Copy, Debug)]
pub struct Concerned {
    both: Preview,
    production: Preview,
}

impl Concerned {
    /// Asks what a block would concern. Nothing is changed.
    pub async fn read(visit: &Visit, id: &str) -> Result<Self, Problem> {
        // The page itself asks, and a preview changes nothing.
        let v1 = visit.v1.clone().with_csrf_token();
        let path = format!("{}/block?dry_run=true", path(id));
        let preview = async |state: &str| {
            let done = v1.change(Method::POST, &path, Some(&json!({"state": state})), None).await?;
            let none = Preview { applications: 0, keys: 0, requests_last_day: 0 };
            Ok::<_, Problem>(serde_json::from_value(done.body).unwrap_or(none))
        };
        Ok(Self { both: preview("BLOCKED").await?, production: preview("PROD_ONLY_BLOCKED").await? })
    }
}

/// The form as it is at first: both types, from now on, until somebody unblocks.
pub fn fresh() -> Form {
    Form::default().with("state", "BLOCKED").with("end", "never")
}

/// The form.
pub fn block(visit: &Visit, row: &Subscription, concerned: &Concerned, form: &Form, wrong: &Wrong) -> Markup {
    let Concerned { both, production } = concerned;
    let beside = |preview: &Preview| html! { span.hint { "refuses " (counted(preview.keys, "key", "keys")) } };
    let tomorrow = midnight_after(visit.now);
    let until = when::field("until", "Time", form, wrong);
    html! {
        form.block method="post" action=(visit.at(&["subscriptions", &row.id, "block"])) {
            (visit.frame.token())
            (hidden("etag", row.etag.as_deref().unwrap_or_default()))
            (hidden("seen", &seen(row)))
            p { "It concerns " strong { (counted(both.applications, "application", "applications")) } ", "
                strong { (counted(both.keys, "key", "keys")) } " and the traffic of "
                strong { (number(both.requests_last_day)) } " allowed requests in the last day." }
            (Field::new("state", "What is blocked", "").choice(&[
                ("BLOCKED", html! { "Production and sandbox" }, beside(both)),
                ("PROD_ONLY_BLOCKED", html! { "Production only" }, beside(production)),
            ], form, wrong))
            (Field::new("end", "Until when", "").choice(&[
                ("never", html! { "Until somebody unblocks it" }, html! {}),
                ("hour", html! { "For 1 hour" }, html! {}),
                ("tomorrow", html! { "Until tomorrow, " span #tomorrow-words { (time(tomorrow)) } }, html! {}),
                ("time", html! { "Until a time" }, until),
            ], form, wrong))
            input type="hidden" name="tomorrow_at" value=(tomorrow) data-tomorrow="tomorrow-words";
            (Field::new("reason", "Reason", "For your colleagues and the audit log. The subscriber does not see it.").text(form, wrong))
            (Field::new("note", "Note to the subscriber", "The subscriber sees it, and the gateways answer with it.").text(form, wrong))
            details open[!form.get("from").is_empty()] {
                summary { "Begin later" }
                (when::field("from", "Begins at", form, wrong))
            }
            (actions("Block", true, &visit.at(&["subscriptions", &row.id])))
        }
    }
}

/// The first second of the next day of UTC.
fn midnight_after(now: i64) -> i64 {
    now.div_euclid(DAY).saturating_add(1).saturating_mul(DAY)
}

/// What the form asks for.
pub fn ordered(form: &Form, now: i64) -> Result<Value, Wrong> {
    let until = match form.get("end") {
        "never" | "" => None,
        "hour" => Some(now.saturating_add(HOUR)),
        "tomorrow" => {
            // In the reader's zone, if the script said which moment that is.
            let said = form.get("tomorrow_at").parse().ok();
            said.filter(|at| (now..=now.saturating_add(2 * DAY)).contains(at)).or(Some(midnight_after(now)))
        }
        "time" => {
            let until = moment(form, "until")?;
            Some(until.ok_or_else(|| Wrong::new("until", "give the time at which the block ends"))?)
        }
        _ => return Err(Wrong::new("end", "choose one of these")),
    };
    let mut order = json!({"state": form.json("state"), "reason": form.json("reason"), "note": form.json("note")});
    if let Some(order) = order.as_object_mut() {
        order.insert("until".to_owned(), until.into());
        order.insert("from".to_owned(), moment(form, "from")?.into());
    }
    Ok(order)
}

/// A time that was entered: the moment that the script tells, or else the entered time in UTC.
fn moment(form: &Form, name: &str) -> Result<Option<i64>, Wrong> {
    let typed = form.get(name);
    if typed.is_empty() {
        return Ok(None);
    }
    let beside = format!("{name}_at");
    if let Ok(at) = form.get(&beside).parse() {
        return Ok(Some(at));
    }
    let time =
        ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|it| NaiveDateTime::parse_from_str(typed, it).ok());
    let wrong = || Wrong::new(name, "expected a date and a time, such as 2027-01-31T08:00");
    time.map(|time| Some(time.and_utc().timestamp())).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_473_400;

    fn filled(pairs: &[(&str, &str)]) -> Form {
        pairs.iter().fold(fresh(), |form, (name, value)| form.with(name, *value))
    }

    #[test]
    fn an_end_is_what_the_person_chose() {
        let midnight = 1_764_547_200;
        assert_eq!(midnight_after(NOW), midnight);
        assert_eq!((midnight_after(midnight), midnight_after(midnight - 1)), (midnight + DAY, midnight));
        for (pairs, until) in [
            (&[("end", "never")][..], Value::Null),
            (&[("end", "hour")], json!(NOW + 3_600)),
            (&[("end", "tomorrow")], json!(midnight)),
            (&[("end", "tomorrow"), ("tomorrow_at", "1764543600")], json!(1_764_543_600)),
            (&[("end", "tomorrow"), ("tomorrow_at", "1")], json!(midnight)),
            (&[("end", "time"), ("until", "2025-12-01T08:00")], json!(1_764_576_000)),
            (&[("end", "time"), ("until", "2025-12-01T08:00"), ("until_at", "1764572400")], json!(1_764_572_400)),
            // A time that stands there while another choice is pressed does not count.
            (&[("end", "never"), ("until", "2025-12-01T08:00")], Value::Null),
        ] {
            assert_eq!(ordered(&filled(pairs), NOW).unwrap()["until"], until, "{pairs:?}");
        }
        for pairs in
            [&[("end", "time")][..], &[("end", "time"), ("until", "tomorrow")], &[("end", "odd")], &[("from", "x")]]
        {
            assert!(ordered(&filled(pairs), NOW).is_err(), "{pairs:?}");
        }
    }
}
