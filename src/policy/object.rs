//! Reads JSON objects into structs, like the code that serde derives, but from objects only.
//!
//! Derived code also accepts an array for a struct, value by value in the order of its fields. No page uses that, and
//! in the module it would be half of the code that reads a row. So [`read_object`] accepts objects only. Like derived
//! code, it ignores unknown fields and refuses a repeated field; a field that may be absent is an `Option`. Unlike
//! derived code, it keeps the names of unknown fields, also in nested objects.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    text::{ListItem, Str},
    unknown::UnknownFields,
};

/// A value of a page. Reading it notes the names of unknown fields.
pub trait Read<'de>: Sized {
    fn read<D: Deserializer<'de>>(deserializer: D, unknown: &mut UnknownFields) -> Result<Self, D::Error>;
}

/// A value that [`read_object`] reads.
pub trait Object<'de>: Read<'de> {}

/// Reads a whole text.
pub fn from_str<'de, T: Read<'de>>(json: &'de str, unknown: &mut UnknownFields) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = T::read(&mut deserializer, unknown)?;
    deserializer.end()?;
    Ok(value)
}

/// `Read` for types without fields.
macro_rules! read_plain {
    ($($name:ty),+ $(,)?) => {
        $(impl<'de: 'a, 'a> Read<'de> for $name {
            fn read<D: Deserializer<'de>>(deserializer: D, _: &mut UnknownFields) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }
        })+
    };
}

read_plain!(
    u64,
    Str<'a>,
    Option<bool>,
    Option<i64>,
    Option<u64>,
    Option<Str<'a>>,
    Option<&'a RawValue>,
    Option<Vec<&'a RawValue>>,
    Option<Vec<ListItem<'a>>>,
    Option<Vec<Str<'a>>>,
);

/// Adapter: reads a `T` where serde wants a seed or a visitor.
struct Reading<'u, T>(&'u mut UnknownFields, PhantomData<T>);

impl<'de, T: Read<'de>> DeserializeSeed<'de> for Reading<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer, self.0)
    }
}

impl<'de, T: Object<'de>> Read<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(deserializer: D, unknown: &mut UnknownFields) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Reading::<Self>(unknown, PhantomData))
    }
}

impl<'de, T: Read<'de>> Visitor<'de> for Reading<'_, Option<T>> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::read(deserializer, self.0).map(Some)
    }
}

impl<'de, T: Object<'de>> Read<'de> for Option<Vec<T>> {
    fn read<D: Deserializer<'de>>(deserializer: D, unknown: &mut UnknownFields) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Reading::<Self>(unknown, PhantomData))
    }
}

impl<'de, T: Object<'de>> Read<'de> for Vec<T> {
    fn read<D: Deserializer<'de>>(deserializer: D, unknown: &mut UnknownFields) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reading::<Self>(unknown, PhantomData))
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for Reading<'_, Vec<T>> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Reading::<T>(self.0, PhantomData))? {
            values.push(value);
        }
        Ok(values)
    }
}

/// The value of a field that was not given.
pub trait Absent: Sized {
    /// Returns the default value, or an error if the field is required.
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

/// Reads the value of a field, or returns an error if the field was given before.
pub fn fill<'de, A, T>(
    place: &mut Option<T>,
    field: &'static str,
    map: &mut A,
    unknown: &mut UnknownFields,
) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    T: Read<'de>,
{
    if place.is_some() {
        return Err(A::Error::duplicate_field(field));
    }
    *place = Some(map.next_value_seed(Reading(unknown, PhantomData))?);
    Ok(())
}

/// The name of a field in JSON: the Rust name, or the name given by `as`.
macro_rules! json_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $json:literal) => {
        $json
    };
}

/// Implements `Read` and `Deserialize` for a struct. If the struct borrows from the text, it has a lifetime:
/// `read_object!(Row<'de> { id, key_type as "type" });`.
macro_rules! read_object {
    ($name:ident $(<$life:lifetime>)? { $($field:ident $(as $json:literal)?),+ $(,)? }) => {
        impl<'de> $crate::policy::object::Read<'de> for $name$(<$life>)? {
            fn read<D: serde::Deserializer<'de>>(
                deserializer: D,
                unknown: &mut $crate::policy::unknown::UnknownFields,
            ) -> Result<Self, D::Error> {
                struct ObjectVisitor<'u>(&'u mut $crate::policy::unknown::UnknownFields);
                impl<'de> serde::de::Visitor<'de> for ObjectVisitor<'_> {
                    type Value = $name$(<$life>)?;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use $crate::policy::object::{Absent, fill, json_name};
                        $(let mut $field = None;)+
                        while let Some($crate::policy::text::Str(name)) = map.next_key()? {
                            match &*name {
                                $(json_name!($field $($json)?) => {
                                    fill(&mut $field, json_name!($field $($json)?), &mut map, self.0)?;
                                })+
                                _ => {
                                    self.0.note(&name, &[$(json_name!($field $($json)?)),+]);
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
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
                deserializer.deserialize_map(ObjectVisitor(unknown))
            }
        }

        impl<'de> $crate::policy::object::Object<'de> for $name$(<$life>)? {}

        impl<'de> serde::Deserialize<'de> for $name$(<$life>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::policy::object::Read::read(deserializer, &mut Default::default())
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
    fn an_object_is_read_in_any_order_and_with_unknown_fields() {
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
    fn another_type_or_a_missing_field_is_refused_and_named() {
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
