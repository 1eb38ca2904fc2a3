//! What `apply` would do with a document, by the rules of the service: they say what a row takes over from the one that
//! is there, and which rows they refuse, such as one that would lift a block.

use management::{port::Kind, resource::Resource};
use serde_json::Value;

use super::{
    fetch::Rows,
    row::{Invalid, Row, act, typed, typed_alone},
};
use crate::kinds::of_kind;

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is there as it is.
    Same,
    /// The row is new.
    Made,
    /// The row replaces another.
    Changed { before: Box<Row>, after: Box<Row> },
    /// The service refuses it.
    Refused(Invalid),
}

/// What `apply` would do with a row, at `now`. `has` says whether a row that it names will be there.
pub fn compare(row: &Row, rows: &Rows, has: &dyn Fn(Kind, &str) -> bool, lifts: bool, now: i64) -> Verdict {
    of_kind!(row.kind, compared(row, rows, has, lifts, now))
}

fn compared<R: Resource>(row: &Row, rows: &Rows, has: &dyn Fn(Kind, &str) -> bool, lifts: bool, now: i64) -> Verdict {
    match decide::<R>(row, rows.find(row.kind, &row.id), has, lifts, now) {
        Ok(verdict) => verdict,
        Err(invalid) => Verdict::Refused(invalid),
    }
}

fn decide<R: Resource>(
    row: &Row,
    held: Option<Row>,
    has: &dyn Fn(Kind, &str) -> bool,
    lifts: bool,
    now: i64,
) -> Result<Verdict, Invalid> {
    let sent: R = typed_alone(row)?;
    let complete = |held: Option<&R>| {
        let mut complete = sent.clone();
        complete.fill_defaults(&act(now), held).map_err(said)?;
        complete.validate().map_err(said)?;
        Ok::<_, Invalid>(complete)
    };
    let missing = sent.references().into_iter().find(|reference| !has(reference.kind, &reference.id));
    if let Some(missing) = missing.filter(|_| !row.kept) {
        return Err(said(missing.missing()));
    }
    let Some(held) = held else {
        // The end of a kept block may have come.
        let is_over = row.kept && !complete(None)?.is_blocked();
        return Ok(if is_over { Verdict::Same } else { Verdict::Made });
    };
    let changed = |after: Row| Verdict::Changed { before: Box::new(held.clone()), after: Box::new(after) };
    if row.kept {
        return Ok(if held.kept { Verdict::Same } else { changed(row.clone()) });
    }
    if held.kept {
        let because = "it was deleted while it was blocked, and the block stays; unblock it first";
        let refused = Invalid { field: None, detail: because.to_owned() };
        return if lifts { Ok(changed(shown(row.kind, &complete(None)?, row))) } else { Err(refused) };
    }
    let before: R = typed(&held)?;
    let after = match complete(Some(&before)) {
        Err(_) if lifts => complete(None)?,
        after => after?,
    };
    let (before, after) = (shown(row.kind, &before, &held), shown(row.kind, &after, row));
    Ok(if before == after { Verdict::Same } else { changed(after) })
}

/// The row as the service would show it.
fn shown<R: Resource>(kind: Kind, complete: &R, row: &Row) -> Row {
    let value = serde_json::to_value(complete).unwrap_or(Value::Null);
    Row::shown(kind, &value).unwrap_or_else(|| row.clone())
}

fn said(error: management::error::Error) -> Invalid {
    match error {
        management::error::Error::Invalid { field, detail } | management::error::Error::Conflict { field, detail } => {
            Invalid { field, detail }
        }
        error => Invalid { field: None, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(held: Option<Value>, sent: Value, lifts: bool) -> Verdict {
        let held = held.map(|held| Row::shown(Kind::Subscription, &held).unwrap());
        let row = Row::of(sent).unwrap();
        decide::<management::subscriptions::Subscription>(&row, held, &|_, id| id != "gone", lifts, 1_000)
            .unwrap_or_else(Verdict::Refused)
    }

    #[test]
    fn a_difference_is_what_the_service_would_change() {
        let row = |more: Value| {
            let mut row = json!({"id": "s", "application": "a", "api": "b"});
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            row
        };
        let sent = |more: Value| {
            let mut row = row(more);
            row["kind"] = "subscription".into();
            row
        };
        let block = json!({"state": "BLOCKED", "by": "alice", "at": 5, "reason": null, "note": null, "from": null, "until": 2_000});
        let blocked = || Some(row(json!({"state": "BLOCKED", "block": block})));
        let open = || Some(row(json!({"state": "UNBLOCKED", "plan": "gold", "used_up_until": 7, "etag": "e"})));
        let is = |verdict: Verdict, word: &str| {
            let found = match &verdict {
                Verdict::Same => "same",
                Verdict::Made => "made",
                Verdict::Changed { .. } => "changed",
                Verdict::Refused(_) => "refused",
            };
            assert_eq!(found, word, "{verdict:?}");
        };
        for (held, document, lifts, word) in [
            (None, sent(json!({})), false, "made"),
            (None, sent(json!({"api": "gone"})), false, "refused"),
            (open(), sent(json!({"plan": "gold"})), false, "same"),
            (open(), sent(json!({"plan": "gold", "state": "UNBLOCKED"})), false, "same"),
            (open(), sent(json!({})), false, "changed"),
            (open(), sent(json!({"application": "other"})), false, "refused"),
            (blocked(), sent(json!({})), false, "same"),
            (blocked(), sent(json!({"state": "BLOCKED", "block": {"until": 2_000}})), false, "same"),
            (blocked(), sent(json!({"state": "BLOCKED", "block": {"until": 1_999}})), false, "refused"),
            (blocked(), sent(json!({"state": "BLOCKED", "block": {"until": 2_001}})), false, "changed"),
            (blocked(), sent(json!({"state": "UNBLOCKED"})), false, "refused"),
            (blocked(), sent(json!({"state": "UNBLOCKED"})), true, "changed"),
            (
                Some(row(json!({"state": "BLOCKED", "block": block, "deleted": true}))),
                sent(json!({})),
                false,
                "refused",
            ),
            (
                Some(row(json!({"state": "BLOCKED", "block": block, "deleted": true}))),
                sent(json!({"state": "BLOCKED", "deleted": true})),
                false,
                "same",
            ),
            (None, sent(json!({"state": "BLOCKED", "block": {"until": 999}, "deleted": true})), false, "same"),
        ] {
            is(verdict(held, document, lifts), word);
        }
    }
}
