//! Bytes in JSON: a string in which `\xNN` stands for a byte, `{"repeat": …, "times": …}`, or a list of these.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// Bytes that a client sends or an upstream receives.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        read(&value).map(Self).ok_or_else(|| D::Error::custom(format_args!("{value} stands for no bytes")))
    }
}

/// The bytes that a value stands for.
pub fn read(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => unescape(text),
        Value::Array(parts) => Some(parts.iter().map(read).collect::<Option<Vec<_>>>()?.concat()),
        Value::Object(fields) => {
            let times = usize::try_from(fields.get("times")?.as_u64()?).ok()?;
            Some(read(fields.get("repeat")?)?.repeat(times))
        }
        _ => None,
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}
