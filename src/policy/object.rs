//! JSON objects into structs: what serde's derive would make, less its second way in.
//!
//! The derived code also takes an array for a struct, value by value in the order of its fields. No page means that, and
//! in the module it would be half of what reads a row. So [`read_object`] takes an object, and nothing else. As with the
//! derived code, fields that are not known are ignored, one that is given twice is an error, and one that may be absent
//! is an `Option`.

use serde::{
    Deserialize,
    de::{Error, MapAccess},
};

use super::wire::Str;

/// What a field is that was not given.
pub trait Absent: Sized {
    /// Its value, or the error that it has to be there.
    fn absent<E: Error>(field: &'static str) -> Result<Self, E>;
}

impl<T> Absent for Option<T> {
    fn absent<E: Error>(_: &'static str) -> Result<Self, E> {
        Ok(None)
    }
}

impl Absent for Str<'_> {
    fn absent<E: Error>(field: &'static str) -> Result<Self, E> {
        Err(E::missing_field(field))
    }
}

impl Absent for u64 {
    fn absent<E: Error>(field: &'static str) -> Result<Self, E> {
        Err(E::missing_field(field))
    }
}

/// Reads the value of a field that was not given before.
pub fn fill<'de, A, T>(place: &mut Option<T>, field: &'static str, map: &mut A) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    T: Deserialize<'de>,
{
    if place.is_some() {
        return Err(A::Error::duplicate_field(field));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

/// The name of a field in JSON: its own, or the one that is given.
macro_rules! json_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $json:literal) => {
        $json
    };
}

/// `Deserialize` for a struct with one lifetime: `read_object!(Row { id, key_type as "type" });`.
macro_rules! read_object {
    ($name:ident { $($field:ident $(as $json:literal)?),+ $(,)? }) => {
        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;
                impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
                    type Value = $name<'de>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use $crate::policy::object::{Absent, fill, json_name};
                        $(let mut $field = None;)+
                        while let Some($crate::policy::wire::Str(name)) = map.next_key()? {
                            match &*name {
                                $(json_name!($field $($json)?) => {
                                    fill(&mut $field, json_name!($field $($json)?), &mut map)?;
                                })+
                                _ => _ = map.next_value::<serde::de::IgnoredAny>()?,
                            }
                        }
                        Ok($name {
                            $($field: match $field {
                                Some(value) => value,
                                None => Absent::absent(json_name!($field $($json)?))?,
                            },)+
                        })
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    };
}

pub(crate) use json_name;
pub(crate) use read_object;

#[cfg(test)]
mod tests {
    use crate::policy::wire::{KeyRow, PlanRow, SubscriptionRow};

    #[test]
    fn an_object_is_read_whatever_the_order_and_beside_fields_that_nobody_knows() {
        let expected: SubscriptionRow<'_> = serde_json::from_str(r#"{"application": "a", "api": "b"}"#).unwrap();
        for json in [
            r#"{"api": "b", "application": "a"}"#,
            r#"{"application": "\u0061", "\u0061pi": "b"}"#,
            r#"{"application": "a", "api": "b", "state": null, "plan": null, "used_up_until": null}"#,
            r#"{"more": [{"api": "c"}], "application": "a", "application_id": "x", "api": "b", "API": "c", "": 0}"#,
        ] {
            assert_eq!(serde_json::from_str::<SubscriptionRow<'_>>(json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_such_object_is_refused_and_named() {
        let whole = r#"{"application": "a", "api": "b"}"#;
        for (json, expected) in [
            (r#"["a", "b"]"#, "expected a JSON object"),
            (r#"["a", "b", null, null, null]"#, "expected a JSON object"),
            ("null", "expected a JSON object"),
            (r#""a""#, "expected a JSON object"),
            ("1", "expected a JSON object"),
            ("{}", "missing field `application`"),
            (r#"{"application": "a"}"#, "missing field `api`"),
            (r#"{"application": null, "api": "b"}"#, "expected a string"),
            (r#"{"application": "a", "api": 1}"#, "expected a string"),
            (r#"{"application": "a", "api": "b", "api": "b"}"#, "duplicate field `api`"),
            (r#"{"application": "a", "api": "b", "state": null, "state": "BLOCKED"}"#, "duplicate field `state`"),
            (r#"{"application": "a", "api": "b", "used_up_until": "1"}"#, "expected i64"),
            (r#"{"application": "a", "api": "b", "used_up_until": 1.5}"#, "expected i64"),
            (&format!("{whole} {whole}"), "trailing characters"),
            (whole.trim_end_matches('}'), "EOF"),
        ] {
            let error = serde_json::from_str::<SubscriptionRow<'_>>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        for json in [
            r#"{"id": "p", "limits": [[1, "second"]]}"#,
            r#"{"id": "p", "burst": [1, "second"]}"#,
            r#"{"id": "p", "operations": [[["GET"], "/"]]}"#,
            r#"{"id": "p", "operations": [{"methods": {"0": "GET"}, "path": "/"}]}"#,
        ] {
            assert!(serde_json::from_str::<PlanRow<'_>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_field_has_one_name() {
        let named = r#"{"sha256": "0", "id": "k", "application": "a", "type": "SANDBOX"}"#;
        let row: KeyRow<'_> = serde_json::from_str(named).unwrap();
        assert_eq!(row.key_type, Some("SANDBOX".into()));
        assert_eq!(serde_json::from_str::<KeyRow<'_>>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
        let other = named.replace("type", "key_type");
        assert_eq!(serde_json::from_str::<KeyRow<'_>>(&other).unwrap().key_type, None);
    }
}
