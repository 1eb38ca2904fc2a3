//! The form of a block: what it blocks, until when, and what people are told. And what the form asks for, as `/v1` takes it.

use axum::http::Method;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    super::{
        form::Form,
        parts::{
            field::{Field, Wrong, actions, hidden, is_not_ignored},
            table::counted,
            time::time,
        },
        rows::{Block, Preview, Subscription},
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

/// The form as it is at first. Without a block: both types, from now on, until somebody unblocks. With one: that block,
/// because a change replaces it as a whole. Times that are past already are no part of a change.
pub fn first(row: &Subscription, now: i64) -> Form {
    let Some(Block { state, reason, note, from, until, .. }) = &row.block else { return fresh() };
    let mut form = fresh();
    for (name, value) in [("state", state), ("reason", reason), ("note", note)] {
        if let Some(value) = value {
            form = form.with(name, value.as_str());
        }
    }
    let later = |time: &Option<i64>| time.filter(|time| *time > now);
    if let Some(from) = later(from) {
        form = form.with("from", when::typed(from));
    }
    match later(until) {
        Some(until) => form.with("end", "time").with("until", when::typed(until)),
        None => form,
    }
}

fn fresh() -> Form {
    Form::default().with("state", "BLOCKED").with("end", "never")
}

/// The form.
pub fn block(visit: &Visit, row: &Subscription, concerned: &Concerned, form: &Form, wrong: &Wrong) -> Markup {
    let Concerned { both, production } = concerned;
    let beside = |preview: &Preview| html! { span.hint { "refuses " (counted(preview.keys, "key", "keys")) } };
    let production_words = match row.state() {
        // A block without a time takes the place of these.
        "ON_HOLD" | "REJECTED" => {
            html! { (beside(production)) " " span.hint { "Without a time, sandbox keys pass then, though nobody has approved it." } }
        }
        _ => beside(production),
    };
    let tomorrow = midnight_after(visit.now);
    let until = when::field("until", "Time", form, wrong);
    html! {
        form.block method="post" action=(visit.at(&["subscriptions", &row.id, "block"])) {
            (visit.frame.token())
            (hidden("etag", row.etag.as_deref().unwrap_or_default()))
            (hidden("seen", &seen(row)))
            p { "It concerns " strong { (counted(both.applications, "application", "applications")) } ", "
                strong { (counted(both.keys, "key", "keys")) } " and the traffic of "
                strong { (counted(both.requests_last_day, "allowed request", "allowed requests")) } " in the last day." }
            (Field::new("state", "What is blocked", "").choice(&[
                ("BLOCKED", html! { "Production and sandbox" }, beside(both)),
                ("PROD_ONLY_BLOCKED", html! { "Production only" }, production_words),
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
                @if row.is_blocked() { p.hint { "The block that there is goes on until then, even if it was to end before." } }
                (when::field("from", "Begins at", form, wrong))
            }
            (actions(if row.block.is_some() { "Change the block" } else { "Block" }, true, &visit.at(&["subscriptions", &row.id])))
        }
    }
}

/// The first second of the next day of UTC.
fn midnight_after(now: i64) -> i64 {
    now.div_euclid(DAY).saturating_add(1).saturating_mul(DAY)
}

/// What the form asks for.
pub fn ordered(form: &Form, now: i64) -> Result<Value, Wrong> {
    is_not_ignored("until", "Until a time", form.get("end") == "time", when::is_typed(form, "until"))?;
    let from = when::moment(form, "from")?;
    let until = match form.get("end") {
        "never" | "" => None,
        "hour" => Some(from.unwrap_or(now).saturating_add(HOUR)),
        "tomorrow" => Some(tomorrow(form, from, now)?),
        "time" => {
            let until = when::moment(form, "until")?;
            Some(until.ok_or_else(|| Wrong::new("until", "give the time at which the block ends"))?)
        }
        _ => return Err(Wrong::new("end", "choose one of these")),
    };
    let mut order = json!({"state": form.json("state"), "reason": form.json("reason"), "note": form.json("note")});
    if let Some(order) = order.as_object_mut() {
        order.insert("until".to_owned(), until.into());
        order.insert("from".to_owned(), from.into());
    }
    Ok(order)
}

/// The end of today, in the reader's zone if the script said which moment that is.
fn tomorrow(form: &Form, from: Option<i64>, now: i64) -> Result<i64, Wrong> {
    let at = match form.get("tomorrow_at") {
        "" => midnight_after(now),
        said => {
            let at = said.parse().ok().filter(|at| (now.saturating_add(1)..=now.saturating_add(2 * DAY)).contains(at));
            let detail = "the midnight that the form spoke of is past or not the next one: look at what it offers now and send it \
                          again, or choose \u{201c}Until a time\u{201d}";
            at.ok_or_else(|| Wrong::new("end", detail))?
        }
    };
    match from {
        Some(from) if from >= at => Err(Wrong::new(
            "end",
            "the block would end before it begins: choose \u{201c}Until a time\u{201d} and a time after its beginning",
        )),
        _ => Ok(at),
    }
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
            // From its beginning.
            (&[("end", "hour"), ("from", "2025-12-24T00:00")], json!(1_766_534_400 + HOUR)),
            (&[("end", "time"), ("until", "2025-12-01T08:00")], json!(1_764_576_000)),
            (&[("end", "time"), ("until", "2025-12-01T08:00"), ("until_at", "1764572400")], json!(1_764_572_400)),
            // A time that was there when the form was opened does not count while another choice is pressed.
            (&[("end", "never"), ("until", "2025-12-01T08:00"), ("until_shown", "1764576000")], Value::Null),
        ] {
            assert_eq!(ordered(&filled(pairs), NOW).unwrap()["until"], until, "{pairs:?}");
        }
        for pairs in [
            &[("end", "time")][..],
            &[("end", "time"), ("until", "tomorrow")],
            &[("end", "odd")],
            &[("from", "x")],
            &[("end", "tomorrow"), ("tomorrow_at", "1")],
            &[("end", "tomorrow"), ("tomorrow_at", "1764473400")],
            &[("end", "tomorrow"), ("tomorrow_at", "99999999999")],
            &[("end", "tomorrow"), ("from", "2025-12-24T00:00")],
            // Typed, and then ignored, would be dropped.
            &[("end", "never"), ("until", "2025-12-01T08:00")],
            &[("end", "hour"), ("until", "tomorrow")],
            &[("end", "never"), ("until", "2025-12-01T08:01"), ("until_shown", "1764576000")],
        ] {
            assert!(ordered(&filled(pairs), NOW).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn a_change_begins_with_the_block_that_is_there() {
        let block = Block {
            state: Some("PROD_ONLY_BLOCKED".to_owned()),
            reason: Some("invoice 7".to_owned()),
            note: Some("pay".to_owned()),
            from: Some(NOW + 60),
            until: Some(NOW + 3_601),
            ..Block::default()
        };
        let begins = |from, until| {
            let block = Some(Block { from, until, ..block.clone() });
            ordered(&first(&Subscription { block, ..Subscription::default() }, NOW), NOW).unwrap()
        };
        let (state, reason, note) = ("PROD_ONLY_BLOCKED", "invoice 7", "pay");
        for (from, until, ordered_from, ordered_until) in [
            (block.from, block.until, block.from, block.until),
            (None, block.until, None, block.until),
            (None, None, None, None),
            // It has begun, and nobody can order a beginning that is past.
            (Some(NOW), block.until, None, block.until),
            (Some(NOW - 5), None, None, None),
        ] {
            let expected =
                json!({"state": state, "reason": reason, "note": note, "from": ordered_from, "until": ordered_until});
            assert_eq!(begins(from, until), expected, "{from:?} {until:?}");
        }
        let none = ordered(&first(&Subscription::default(), NOW), NOW).unwrap();
        assert_eq!(none, json!({"state": "BLOCKED", "reason": null, "note": null, "from": null, "until": null}));
    }
}
