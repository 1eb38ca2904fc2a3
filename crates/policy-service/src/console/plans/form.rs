//! The form of a plan, and the row that it asks for.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::super::{
    form::{self, Form, NONE_OF_THEM, number},
    parts::field::{Field, Wrong},
    rows::{Limit, Operation, Plan},
};

/// The spans of time of limits, as rows name them.
const UNITS: [&str; 5] = ["second", "minute", "hour", "day", "month"];

/// An operation as one line: methods, if it names some, and the path.
pub fn line(one: &Operation) -> String {
    match &one.methods {
        Some(methods) if methods.is_empty() => format!("{NONE_OF_THEM} {}", one.path),
        Some(methods) => format!("{} {}", methods.join(","), one.path),
        None => one.path.clone(),
    }
}

fn limit(limit: &Limit) -> String {
    format!("{} per {}", limit.requests, limit.per)
}

/// The form as it is for a new plan.
pub fn fresh() -> Form {
    Form::default().with("stop_on_quota_reach", "true")
}

/// The form as it is for a plan that is there.
pub fn filled(plan: &Plan) -> Form {
    let lines = |lines: Vec<String>| lines.join("\n");
    let form = Form::default()
        .with("limits", lines(plan.limits.as_deref().unwrap_or_default().iter().map(limit).collect()))
        .with("burst", plan.burst.as_ref().map(limit).unwrap_or_default())
        .with("operations", lines(plan.operations.as_deref().unwrap_or_default().iter().map(line).collect()))
        .with("owner", plan.owner.clone().unwrap_or_default());
    let form =
        if plan.operations.as_ref().is_some_and(Vec::is_empty) { form.with("no_operation", "true") } else { form };
    if plan.stop_on_quota_reach == Some(false) { form } else { form.with("stop_on_quota_reach", "true") }
}

/// The fields. Only a new plan gets an id, and only administrators give it to somebody.
pub fn fields(form: &Form, wrong: &Wrong, is_new: bool, gives: bool) -> Markup {
    html! {
        @if is_new {
            (Field::new("id", "Id", "Such as gold. It cannot be changed; if it is empty, the service makes one.").text(form, wrong))
        }
        (Field::new("limits", "Limits", "A line for each: a number of requests, the word per, and second, minute, hour, day or month. \
            Such as: 5000 per day").lines(3, form, wrong))
        (Field::new("burst", "Burst", "A further limit for a short time, such as: 100 per second").text(form, wrong))
        (Field::new("stop_on_quota_reach", "Refuse requests when a limit is reached", "Otherwise they go on and are counted.").tick(form))
        (Field::new("operations", "Operations that are allowed", "A line for each: methods with commas between them, if only these, a \
            blank, and the path below the API. * is one part of a path, ** any rest. Such as: GET,POST /orders/*. Without a line, all \
            operations are allowed.").lines(4, form, wrong))
        (Field::new("no_operation", "No operation at all", "Only if no operation is listed.").tick(form))
        @if gives { (Field::new("owner", "Owner", "The subject to whom it belongs.").text(form, wrong)) }
    }
}

/// Fails if a line is no limit, or if lines are typed that a tick would make nothing of.
pub fn check(form: &Form) -> Result<(), Wrong> {
    let burst = Some(form.get("burst")).filter(|line| !line.is_empty());
    for (field, line) in form.lines("limits").map(|line| ("limits", line)).chain(burst.map(|line| ("burst", line))) {
        if !is_limit(&parsed(line)) {
            return Err(Wrong::new(field, &not_a_limit(line)));
        }
    }
    match form.has("no_operation") && form.lines("operations").next().is_some() {
        true => Err(Wrong::new(
            "operations",
            "these lines count only without \u{201c}No operation at all\u{201d}: remove them, or untick that",
        )),
        false => Ok(()),
    }
}

/// Fails if a form for a new plan has nothing in it.
pub fn is_something(form: &Form) -> Result<(), Wrong> {
    let is_empty = |field| form.get(field).is_empty();
    match ["id", "limits", "burst", "operations"].into_iter().all(is_empty) && !form.has("no_operation") {
        true => Err(Wrong::new("id", "the form is empty; expected at least an id, a limit or an operation")),
        false => Ok(()),
    }
}

/// The row as the form asks for it. `before` is the row that is there, and `shown` the form as it was for it; of a new row
/// they are empty and [`fresh`].
pub fn asked(form: &Form, before: &Map<String, Value>, shown: &Form, gives: bool) -> Map<String, Value> {
    form::asked(form, before, shown, |form, row| write(form, row, gives))
}

/// Writes what the form says into a row, and leaves alone what the form does not have.
fn write(form: &Form, row: &mut Map<String, Value>, gives: bool) {
    let limits: Vec<Value> = form.lines("limits").map(parsed).collect();
    let operations: Vec<Value> = form.lines("operations").map(operation).collect();
    let burst = form.get("burst");
    let mut set = |name: &str, value: Value| {
        row.insert(name.to_owned(), value);
    };
    set("limits", if limits.is_empty() { Value::Null } else { json!(limits) });
    set("burst", if burst.is_empty() { Value::Null } else { parsed(burst) });
    set("stop_on_quota_reach", form.has("stop_on_quota_reach").into());
    let is_any = operations.is_empty() && !form.has("no_operation");
    set("operations", if is_any { Value::Null } else { json!(operations) });
    if gives {
        set("owner", form.json("owner"));
    }
}

fn is_limit(limit: &Value) -> bool {
    limit["requests"].is_u64() && limit["per"].as_str().is_some_and(|per| UNITS.contains(&per))
}

fn not_a_limit(line: &str) -> String {
    format!(
        "\u{201c}{line}\u{201d} is no limit; expected a whole number of requests, the word per, and one of {}, such as: 5000 per \
         day",
        UNITS.join(", ")
    )
}

/// A limit from its line. What is none stays what it is, and [`check`] says what is wrong with it.
fn parsed(line: &str) -> Value {
    let (requests, per) = line.split_once(" per ").or_else(|| line.split_once('/')).unwrap_or((line, ""));
    let digits: String = requests.chars().filter(|character| !character.is_whitespace()).collect();
    json!({"requests": number(&digits), "per": per.trim().to_lowercase()})
}

fn operation(line: &str) -> Value {
    match line.split_once(char::is_whitespace) {
        Some((NONE_OF_THEM, path)) => json!({"methods": [], "path": path.trim()}),
        Some((methods, path)) => {
            let methods: Vec<&str> = methods.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
            json!({"methods": methods, "path": path.trim()})
        }
        None => json!({"path": line}),
    }
}

/// The form's field for a field of `/v1`.
pub fn field_of(field: &str) -> String {
    field.split(['[', '.']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_sent() {
        for row in [
            json!({"limits": [{"requests": 5000, "per": "day"}, {"requests": 1, "per": "minute"}], "burst": {"requests": 9, "per":
                "second"}, "stop_on_quota_reach": false, "operations": [{"methods": ["GET", "POST"], "path": "/x/*"}, {"path": "/**"}, {"methods": [], "path": "/y"}],
                "owner": "p"}),
            json!({"limits": null, "burst": null, "stop_on_quota_reach": true, "operations": null, "owner": null}),
            json!({"limits": null, "burst": null, "stop_on_quota_reach": true, "operations": [], "owner": null}),
        ] {
            let mut with_id = row.clone();
            with_id["id"] = json!("gold");
            let plan: Plan = serde_json::from_value(with_id).unwrap();
            let mut written = Map::new();
            write(&filled(&plan), &mut written, true);
            assert_eq!(Value::Object(written), row);
        }
        for row in [
            json!({"id": "p", "limits": [], "etag": "x"}),
            json!({"id": "p", "limits": null, "burst": null, "operations": [], "stop_on_quota_reach": null}),
        ] {
            let plan: Plan = serde_json::from_value(row.clone()).unwrap();
            let (before, form) = (row.as_object().unwrap().clone(), filled(&plan));
            assert_eq!(asked(&form, &before, &form, true), before);
        }
        let new = asked(&fresh().with("burst", "9 per second"), &Map::new(), &fresh(), false);
        assert_eq!(Value::Object(new), json!({"burst": {"requests": 9, "per": "second"}}));
        for (line, expected) in [
            ("5 000 per Day", json!({"requests": 5000, "per": "day"})),
            ("10/second", json!({"requests": 10, "per": "second"})),
            ("many", json!({"requests": "many", "per": ""})),
        ] {
            assert_eq!(parsed(line), expected);
        }
    }
}
