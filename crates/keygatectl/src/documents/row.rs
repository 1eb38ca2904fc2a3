//! What a document means: a row of the service, read and checked by the rules of the service. Nothing here reads a file.

use management::{
    error::Error,
    object::Object,
    port::{Act, Actor, Kind},
    resource::Resource,
};
use serde_json::{Map, Value};

use crate::{
    fields,
    kinds::{self, of_kind},
    times,
};

/// The field with the kind.
const KIND: &str = "kind";
/// The field that makes a row the kept block of something that was deleted.
const DELETED: &str = "deleted";

/// A row of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub kind: Kind,
    pub id: String,
    /// It is the kept block of something that was deleted.
    pub kept: bool,
    /// The other fields, with times in Unix seconds.
    pub fields: Map<String, Value>,
}

/// Why a document is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field that is wrong, such as `limits[0].per`.
    pub field: Option<String>,
    pub detail: String,
}

impl Invalid {
    fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), detail: detail.into() }
    }
}

impl Row {
    /// Reads a document.
    pub fn of(document: Value) -> Result<Self, Invalid> {
        let Value::Object(mut fields) = document else {
            return Err(Invalid { field: None, detail: "expected an object with the field kind".to_owned() });
        };
        let kind = match fields.remove(KIND) {
            Some(Value::String(word)) => kind_of(&word)?,
            Some(_) => return Err(Invalid::new(KIND, format!("expected one of {}", words().join(", ")))),
            None => return Err(Invalid::new(KIND, format!("it is missing; expected one of {}", words().join(", ")))),
        };
        let kept = match fields.remove(DELETED) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(Invalid::new(DELETED, "expected true or false")),
        };
        let id = match fields.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(_) => return Err(Invalid::new("id", "expected a text; a number or a truth value needs quotes")),
            None => return Err(Invalid::new("id", "it is missing; the object is known by it")),
        };
        seconds(&mut fields)?;
        Ok(Self { kind, id, kept, fields })
    }

    /// A row as the service shows it, without what it derives.
    pub fn shown(kind: Kind, row: &Value) -> Option<Self> {
        let mut shown = row.as_object()?.clone();
        let id = shown.get("id")?.as_str()?.to_owned();
        let kept = shown.remove(DELETED).is_some_and(|deleted| deleted == Value::Bool(true));
        shown.retain(|name, _| !fields::DERIVED.contains(&name.as_str()));
        without_nulls(&mut shown);
        Some(Self { kind, id, kept, fields: shown })
    }

    /// The line of an import.
    pub fn line(&self) -> String {
        let mut fields = self.fields.clone();
        fields.insert(KIND.to_owned(), kinds::word(self.kind).into());
        if self.kept {
            fields.insert(DELETED.to_owned(), true.into());
        }
        Value::Object(fields).to_string()
    }

    /// All fields, as a document has them.
    pub fn document(&self) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        fields.insert(KIND.to_owned(), kinds::word(self.kind).into());
        if self.kept {
            fields.insert(DELETED.to_owned(), true.into());
        }
        fields
    }

    /// The row as gateways get it; `None` if it is not valid.
    pub fn fed(&self) -> Option<Value> {
        of_kind!(self.kind, fed(self))
    }

    /// Checks it as the service does, as far as that needs no other row.
    pub fn check(&self) -> Result<(), Invalid> {
        of_kind!(self.kind, check(self))
    }
}

fn check<R: Resource>(row: &Row) -> Result<(), Invalid> {
    let mut complete = typed_alone::<R>(row)?;
    complete.fill_defaults(&act(times::now()), None).map_err(invalid)?;
    complete.validate().map_err(invalid)?;
    if row.kept && !complete.is_blocked() {
        return Err(Invalid::new("state", "a deleted object stays only as a block; expected a state that is one"));
    }
    Ok(())
}

fn fed<R: Resource>(row: &Row) -> Option<Value> {
    let mut complete = typed_alone::<R>(row).ok()?;
    complete.fill_defaults(&act(times::now()), None).ok()?;
    let mut fed: Value = serde_json::from_str(&complete.row().ok()?.document).ok()?;
    if row.kept {
        // Without its object, a block of any kind lets nothing pass, and has no end that gateways know.
        let fields = fed.as_object_mut()?;
        fields.retain(|name, _| !name.starts_with("blocked_"));
        fields.insert("state".to_owned(), "BLOCKED".into());
    }
    Some(fed)
}

/// The row with the type that the rules have for it, without the owner that only a kept block has.
pub fn typed_alone<R: Resource>(row: &Row) -> Result<R, Invalid> {
    let mut typed: R = typed(row)?;
    if row.kept {
        // What it names is checked by the service.
        drop(typed.take_kept_owner());
    }
    Ok(typed)
}

/// The row with the type that the rules have for it.
pub fn typed<R: Resource>(row: &Row) -> Result<R, Invalid> {
    let text = Value::Object(row.fields.clone()).to_string();
    let read = serde_path_to_error::deserialize::<_, Object<R>>(&mut serde_json::Deserializer::from_str(&text));
    match read {
        Ok(Object(row)) => Ok(row),
        Err(error) => {
            let path = Some(error.path().to_string()).filter(|path| path != ".");
            Err(explained(path, &error.into_inner().to_string()))
        }
    }
}

/// An error of serde, with the field that it names, and what was meant.
fn explained(path: Option<String>, message: &str) -> Invalid {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if message.starts_with("invalid type: ") && message.ends_with("expected a string") {
        return Invalid { field: path, detail: "expected a text; a number or a truth value needs quotes".to_owned() };
    }
    if message.starts_with("invalid type: ")
        && ["expected u64", "expected i64"].iter().any(|end| message.ends_with(end))
    {
        return Invalid { field: path, detail: "expected a whole number, such as 5000".to_owned() };
    }
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return Invalid { field: path, detail: message.to_owned() };
    };
    let Some((name, rest)) = rest.split_once('`') else { return Invalid { field: path, detail: message.to_owned() } };
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let field = match path {
        Some(path) if path.ends_with(name) => path,
        Some(path) => format!("{path}.{name}"),
        None => name.to_owned(),
    };
    Invalid { field: Some(field), detail: unknown(name, &known) }
}

/// The error for a field that does not exist.
pub fn unknown(name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(meant) => format!("there is no such field; did you mean {meant}?"),
        None => format!("there is no such field; expected one of {}", known.join(", ")),
    }
}

/// The known name that is most like this one.
pub fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |other: &&str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let best = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&best) > 0.8).then_some(best)
}

fn invalid(error: Error) -> Invalid {
    match error {
        Error::Invalid { field, detail } | Error::Conflict { field, detail } => Invalid { field, detail },
        error => Invalid { field: None, detail: error.to_string() },
    }
}

/// What a change of an administrator would be at `now`. The rules take it as a value; nothing here makes a change.
pub fn act(now: i64) -> Act {
    fn none(_: &mut [u8]) -> Result<(), String> {
        Err("a document has its ids".to_owned())
    }
    Act { actor: Actor::administrator(), now, random: none, origin: Default::default() }
}

fn kind_of(word: &str) -> Result<Kind, Invalid> {
    let found = Kind::ALL.into_iter().find(|kind| kinds::word(*kind) == word);
    found.ok_or_else(|| {
        let meant = closest(word, &words()).map(|meant| format!("; did you mean {meant}?"));
        let others = || format!("; expected one of {}", words().join(", "));
        Invalid::new(KIND, format!("there is no kind {word:?}{}", meant.unwrap_or_else(others)))
    })
}

fn words() -> Vec<&'static str> {
    Kind::ALL.map(kinds::word).to_vec()
}

/// Makes Unix seconds of times in RFC 3339, in the row and in its block.
fn seconds(row: &mut Map<String, Value>) -> Result<(), Invalid> {
    for (name, value) in row.iter_mut() {
        match value {
            Value::String(text) if fields::TIMES.contains(&name.as_str()) => {
                *value = times::of_rfc3339(text).map(Value::from).ok_or_else(|| {
                    Invalid::new(name, "expected a time such as 2027-01-31T08:00:00Z, or Unix seconds")
                })?;
            }
            Value::Object(nested) => seconds(nested).map_err(|Invalid { field, detail }| Invalid {
                field: field.map(|of| format!("{name}.{of}")),
                detail,
            })?,
            _ => {}
        }
    }
    Ok(())
}

fn without_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        if let Value::Object(nested) = value {
            without_nulls(nested);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_names_the_field_and_what_was_meant() {
        for (document, field, part) in [
            (json!([]), None, "expected an object"),
            (json!({"id": "a"}), Some("kind"), "it is missing"),
            (json!({"kind": "aplication", "id": "a"}), Some("kind"), "did you mean application?"),
            (json!({"kind": "plan"}), Some("id"), "it is missing"),
            (json!({"kind": "plan", "id": 7}), Some("id"), "needs quotes"),
            (json!({"kind": "application", "id": "a", "stat": "BLOCKED"}), Some("stat"), "did you mean state?"),
            (json!({"kind": "application", "id": "a", "owner": 7}), Some("owner"), "needs quotes"),
            (json!({"kind": "application", "id": "a", "state": "OPEN"}), Some("state"), "ACTIVE"),
            (
                json!({"kind": "application", "id": "a", "block": {"stat": "BLOCKED"}}),
                Some("block.stat"),
                "did you mean state?",
            ),
            (
                json!({"kind": "plan", "id": "a", "limits": [{"requests": 1, "per": "week"}]}),
                Some("limits[0].per"),
                "month",
            ),
            (json!({"kind": "key", "id": "k", "application": "a", "sha256": "77"}), Some("sha256"), "64 hexadecimal"),
            (
                json!({"kind": "key", "id": "k", "application": "a", "expires_at": "soon"}),
                Some("expires_at"),
                "Unix seconds",
            ),
            (
                json!({"kind": "subscription", "id": "s", "application": "a", "api": "b", "state": "BLOCKED", "block": {"until": "x"}}),
                Some("block.until"),
                "Unix seconds",
            ),
            (
                json!({"kind": "subscription", "id": "s", "application": "a", "api": "b", "deleted": true}),
                Some("state"),
                "a block",
            ),
            (json!({"kind": "api", "id": "a", "match": [{"path": "x"}]}), Some("match[0].path"), ""),
            (json!({"kind": "deny_policy", "id": "d", "type": "IP", "value": "nowhere"}), Some("value"), ""),
        ] {
            let error = Row::of(document.clone()).and_then(|row| row.check()).unwrap_err();
            assert_eq!(error.field.as_deref(), field, "{document} {error:?}");
            assert!(error.detail.contains(part), "{document} {error:?}");
        }
        for good in [
            json!({"kind": "plan", "id": "gold", "limits": [{"requests": 1, "per": "day"}]}),
            json!({"kind": "key", "id": "k", "application": "a", "sha256": "0".repeat(64), "expires_at": "2030-01-31T08:00:00Z"}),
            json!({"kind": "subscription", "id": "s", "application": "a", "api": "b", "state": "BLOCKED", "deleted": true}),
        ] {
            assert_eq!(Row::of(good.clone()).and_then(|row| row.check()), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_row_of_the_service_comes_back_as_its_line() {
        let shown = json!({"id": "s", "application": "a", "api": "b", "state": "BLOCKED", "etag": "x", "used_up_until": 7,
            "block": {"state": "BLOCKED", "by": "alice", "at": 5, "reason": null}, "deleted": true});
        let row = Row::shown(Kind::Subscription, &shown).unwrap();
        let line: Value = serde_json::from_str(&row.line()).unwrap();
        assert_eq!(
            line,
            json!({"kind": "subscription", "deleted": true, "id": "s", "application": "a", "api": "b",
            "state": "BLOCKED", "block": {"state": "BLOCKED", "by": "alice", "at": 5}})
        );
        assert_eq!(Row::of(line).unwrap(), row);
    }
}
