//! A row as a YAML document: fields in an order that reads well, times in RFC 3339, the same bytes for the same row.

use serde::{Serialize, Serializer, ser::{SerializeMap as _, SerializeSeq as _}};
use serde_json::{Map, Value};

use super::row::Row;
use crate::{failure::Failure, fields, times};

/// A value in the order and with the times of a document.
struct Ordered<'v>(&'v Value, bool);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => Fields(fields).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item, false))?;
                }
                list.end()
            }
            Value::Number(number) if self.1 => match number.as_i64().and_then(times::rfc3339) {
                Some(time) => serializer.serialize_str(&time),
                None => number.serialize(serializer),
            },
            value => value.serialize(serializer),
        }
    }
}

struct Fields<'f>(&'f Map<String, Value>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in fields::ordered(self.0) {
            map.serialize_entry(name, &Ordered(value, fields::TIMES.contains(&name.as_str())))?;
        }
        map.end()
    }
}

/// The document of a row, with the line that begins it.
pub fn document(row: &Row) -> Result<String, Failure> {
    yaml(&row.document()).map(|text| format!("---\n{text}"))
}

/// An object as YAML.
pub fn yaml(fields: &Map<String, Value>) -> Result<String, Failure> {
    serde_saphyr::to_string(&Fields(fields)).map_err(|error| Failure::Other(format!("YAML cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use management::port::Kind;
    use serde_json::json;

    fn written(kind: Kind, row: &Value) -> String {
        document(&Row::shown(kind, row).unwrap()).unwrap()
    }

    #[test]
    fn documents_read_well_and_have_the_same_bytes() {
        let subscription = json!({"api": "b", "application": "a", "block": {"at": 1_748_736_000, "by": "alice",
            "note": "ask: support", "state": "BLOCKED", "until": 1_767_225_600}, "id": "s", "plan": "gold", "state": "BLOCKED"});
        assert_eq!(
            written(Kind::Subscription, &subscription),
            "---\nkind: subscription\nid: s\napplication: a\napi: b\nstate: BLOCKED\nplan: gold\nblock:\n  state: BLOCKED\n  \
             by: alice\n  at: 2025-06-01T00:00:00Z\n  note: \"ask: support\"\n  until: 2026-01-01T00:00:00Z\n"
        );
        let plan = json!({"id": "gold", "limits": [{"per": "day", "requests": 5}], "operations": [{"methods": [], "path": "/**"}],
            "stop_on_quota_reach": true});
        assert_eq!(
            written(Kind::Plan, &plan),
            "---\nkind: plan\nid: gold\nlimits:\n- requests: 5\n  per: day\noperations:\n- methods: []\n  path: /**\nstop_on_quota_reach: true\n"
        );
    }

    #[test]
    fn every_text_comes_back() {
        for text in [
            "yes", "no", "null", "~", "1.0", "0x1F", "1e3", "1_000", "2025-06-01", "- a", "a: b", "a #b", "#a", "'", "\"", "\\", "|", ">", "!t", "&a",
            "*a", "%a", "@a", "`a", "{a", "[a", "a,b", "Zürich", "日本語", "😀", "---", "...", "--- a", ".inf", "true", "on", "=", "<<", "?", "-", ":", "a:",
            "\u{a0}", "\u{2028}", "\u{feff}", "\u{85}", "012", "+1", "12:30:45", "0b1", "0o7",
        ] {
            for text in [text.to_owned(), format!("{text} x"), format!("x {text}"), text.repeat(60)] {
                let row = Row::shown(Kind::Application, &json!({"id": text, "name": text})).unwrap();
                let document = document(&row).unwrap();
                let back: Value = serde_saphyr::from_str(&document).unwrap_or_else(|error| panic!("{document}: {error}"));
                assert_eq!(Row::of(back).unwrap_or_else(|error| panic!("{document} {error:?}")), row, "{document}");
            }
        }
    }
}
