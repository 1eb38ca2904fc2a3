//! The form of an API, and the row that it asks for.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::super::{
    form::{self, Form, NONE_OF_THEM},
    parts::field::{Field, Wrong},
    rows::{Api, Match},
};

/// States that a person may give an API.
const STATES: [(&str, &str); 6] = [
    ("PUBLISHED", "Published: served"),
    ("CREATED", "Created: not served yet"),
    ("PROTOTYPED", "Prototype: served"),
    ("DEPRECATED", "Deprecated: served"),
    ("BLOCKED", "Blocked: answers 503 to everyone"),
    ("RETIRED", "Retired: not served any more"),
];

/// A match as one line: hosts, if it names some, and the path.
pub fn line(one: &Match) -> String {
    let path = one.path.as_deref().unwrap_or("/");
    match &one.hosts {
        Some(hosts) if hosts.is_empty() => format!("{NONE_OF_THEM} {path}"),
        Some(hosts) => format!("{} {path}", hosts.join(",")),
        None => path.to_owned(),
    }
}

/// The form as it is for a new API.
pub fn fresh() -> Form {
    let form = Form::default().with("state", "PUBLISHED").with("approval", "automatic").with("security", "api_key");
    form.with("subscription_required", "true").with("production", "true").with("sandbox", "true")
}

/// The form as it is for an API that is there.
pub fn filled(api: &Api) -> Form {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let lines: Vec<String> = api.matches.as_deref().unwrap_or_default().iter().map(line).collect();
    let has = |kind: &str| api.endpoints.as_ref().is_none_or(|types| types.iter().any(|it| it == kind));
    let mut form = Form::default()
        .with("name", text(&api.name))
        .with("version", text(&api.version))
        .with("state", api.state())
        .with("match", lines.join("\n"))
        .with("plans", api.plans.clone().unwrap_or_default().join("\n"))
        .with("approval", api.approval.as_deref().unwrap_or("automatic"))
        .with("security", api.security.as_deref().unwrap_or("api_key"))
        .with("owner", text(&api.owner));
    for (name, is_so) in [
        ("subscription_required", api.subscription_required != Some(false)),
        ("production", has("PRODUCTION")),
        ("sandbox", has("SANDBOX")),
    ] {
        if is_so {
            form = form.with(name, "true");
        }
    }
    form
}

/// The fields. Only a new API gets an id, and only administrators give it to somebody.
pub fn fields(form: &Form, wrong: &Wrong, is_new: bool, gives: bool) -> Markup {
    html! {
        (Field::new("name", "Name", "What people call it.").text(form, wrong))
        (Field::new("version", "Version", "").text(form, wrong))
        @if is_new {
            (Field::new("id", "Id", "1 to 256 bytes. Gateways and programs name the API by it. It cannot be changed; \
                if it is empty, the service makes one.").text(form, wrong))
        }
        (Field::new("match", "Requests that belong to it", "A line for each: hosts with commas between them, if only these, a \
            blank, and the path with which requests begin. Such as: api.example.com,*.example.org /payments/1.0")
            .lines(4, form, wrong))
        (Field::new("plans", "Plans", "Ids of the plans from which subscribers choose, one on each line. Without one they \
            subscribe without a plan.").lines(3, form, wrong))
        (Field::new("approval", "New subscriptions", "").one_of(&[
            ("automatic", "are let through at once"), ("manual", "wait until you approve them")], form, wrong))
        (Field::new("state", "State", "").one_of(&STATES, form, wrong))
        (Field::new("security", "Credential", "").one_of(&[
            ("api_key", "An API key"), ("none", "None: open to everyone")], form, wrong))
        (Field::new("subscription_required", "An application needs a subscription", "").tick(form))
        fieldset {
            legend { "Types of keys that it serves" }
            (Field::new("production", "Production", "").tick(form))
            (Field::new("sandbox", "Sandbox", "").tick(form))
        }
        @if gives { (Field::new("owner", "Owner", "The subject to whom it belongs.").text(form, wrong)) }
    }
}

/// The row as the form asks for it. `before` is the row that is there, and `shown` the form as it was for it; of a new row
/// they are empty and [`fresh`].
pub fn asked(form: &Form, before: &Map<String, Value>, shown: &Form, gives: bool) -> Map<String, Value> {
    form::asked(form, before, shown, |form, row| write(form, row, gives))
}

/// Writes what the form says into a row, and leaves alone what the form does not have.
fn write(form: &Form, row: &mut Map<String, Value>, gives: bool) {
    let mut set = |name: &str, value: Value| {
        row.insert(name.to_owned(), value);
    };
    set("name", form.json("name"));
    set("version", form.json("version"));
    set("match", matches(form));
    let plans: Vec<&str> = form.lines("plans").collect();
    // What is left out keeps its plans, so an API that had some gets an empty list.
    set("plans", json!(plans));
    for name in ["state", "security", "approval"] {
        set(name, form.json(name));
    }
    set("subscription_required", form.has("subscription_required").into());
    set(
        "endpoints",
        match (form.has("production"), form.has("sandbox")) {
            (true, true) => Value::Null,
            (true, false) => json!(["PRODUCTION"]),
            (false, true) => json!(["SANDBOX"]),
            (false, false) => json!([]),
        },
    );
    if gives {
        set("owner", form.json("owner"));
    }
}

fn matches(form: &Form) -> Value {
    let matches: Vec<Value> = form
        .lines("match")
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((NONE_OF_THEM, path)) => json!({"hosts": [], "path": path.trim()}),
            Some((hosts, path)) => {
                let hosts: Vec<&str> = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
                json!({"hosts": hosts, "path": path.trim()})
            }
            None => json!({"path": line}),
        })
        .collect();
    if matches.is_empty() { Value::Null } else { json!(matches) }
}

/// The form's field for a field of `/v1`.
pub fn field_of(field: &str) -> String {
    let first = field.split(['[', '.']).next().unwrap_or_default();
    match first {
        "endpoints" => "production".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(row: &Value) -> (Map<String, Value>, Form) {
        let api: Api = serde_json::from_value(row.clone()).unwrap();
        (row.as_object().unwrap().clone(), filled(&api))
    }

    #[test]
    fn what_is_shown_is_what_is_sent() {
        for row in [
            json!({"id": "a", "name": "A", "version": "1", "state": "DEPRECATED", "match": [{"path": "/a"}, {"hosts": ["x", "*.y"],
                "path": "/b"}, {"hosts": [], "path": "/c"}], "plans": ["gold", "silver"], "approval": "manual", "security": "none",
                "subscription_required": false, "endpoints": ["SANDBOX"], "owner": "p"}),
            json!({"id": "c", "name": "<b>\u{202e}🔑", "version": null, "state": "CREATED", "match": [{"path": "/"}], "plans": [],
                "approval": "automatic", "security": "api_key", "subscription_required": true, "endpoints": [], "owner": "o"}),
        ] {
            let mut written = Map::from_iter([("id".to_owned(), row["id"].clone())]);
            write(&stored(&row).1, &mut written, true);
            assert_eq!(Value::Object(written), row);
        }
    }

    #[test]
    fn what_nobody_touched_stays_as_it_is_said() {
        for row in [
            json!({"id": "a"}),
            json!({"id": "a", "match": [], "plans": [], "endpoints": ["PRODUCTION", "SANDBOX"], "etag": "x"}),
            json!({"id": "a", "match": null, "plans": null, "endpoints": null, "approval": null, "owner": null}),
            json!({"id": "a", "endpoints": ["SANDBOX", "PRODUCTION"], "approval": "automatic", "match": [{"hosts": [], "path": "/"}]}),
        ] {
            let (before, form) = stored(&row);
            assert_eq!(asked(&form, &before, &form, true), before);
            // One change is one change.
            let mut named = before.clone();
            named.insert("name".to_owned(), json!("N"));
            assert_eq!(asked(&form.clone().with("name", "N"), &before, &form, true), named);
        }
        let (before, form) = stored(&json!({"id": "a", "plans": ["gold"], "endpoints": ["SANDBOX"]}));
        let typed = form.clone().with("plans", "").with("production", "true");
        assert_eq!(
            Value::Object(asked(&typed, &before, &form, false)),
            json!({"id": "a", "plans": [], "endpoints": null})
        );
        let typed = fresh().with("name", "N").with("match", "/n");
        assert_eq!(
            Value::Object(asked(&typed, &Map::new(), &fresh(), true)),
            json!({"name": "N", "match": [{"path": "/n"}]})
        );
    }

    #[test]
    fn a_mistake_stands_at_its_field() {
        assert_eq!(["match[0].path", "endpoints[1]", "name"].map(field_of), ["match", "production", "name"]);
    }
}
