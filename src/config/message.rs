//! Error sentences for operators.
//!
//! A sentence says what was found, what is expected and, if known, what would be right. It holds only data of
//! [`super::error`], which has no secrets.

use std::fmt;

use super::{
    MAX_CONFIG_BYTES,
    error::{Expected, FoundValue, InvalidConfig, Problem, VariableProblem},
    place::{MAX_DEPTH, counted},
};

impl std::error::Error for InvalidConfig {}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "configuration" } else { &self.path };
        write!(f, "{path}, line {}, column {}: {}", self.position.line, self.position.column, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str(
                r#"empty, expected JSON text; policy.cluster is required: {"policy": {"cluster": "<an Envoy cluster>"}}"#,
            )
            }
            Self::TooLarge { bytes } => write!(f, "found {bytes} bytes, expected at most {MAX_CONFIG_BYTES}"),
            Self::NotUtf8 => f.write_str("found bytes that are not UTF-8, expected JSON text"),
            Self::ProtobufStruct => f.write_str(
                "found protobuf bytes, as of a google.protobuf.Struct, expected JSON text: give the configuration as \
                 google.protobuf.StringValue",
            ),
            Self::TooDeep => write!(f, "found more than {MAX_DEPTH} levels of lists and objects, expected at most {MAX_DEPTH}"),
            Self::Unexpected { found: FoundValue::Null, expected } => {
                write!(f, "found null, expected {expected} (null is not the same as left out)")
            }
            Self::Unexpected { found, expected } => write!(f, "found {found}, expected {expected}"),
            Self::UnknownField { allowed, close: None } => write!(f, "unknown field, expected {}", any_of(allowed)),
            Self::UnknownField { allowed, close: Some(close) } => {
                write!(f, "unknown field, did you mean `{close}`? expected {}", any_of(allowed))
            }
            Self::Twice => f.write_str("given twice, expected once"),
            Self::Missing => f.write_str("required, but not given"),
            Self::HeaderTaken { header, by } => write!(
                f,
                "the header `{header}` is also that of {by}, expected another one, or null to leave the fact out"
            ),
            Self::AuthorizationTwice => {
                f.write_str("found beside an `authorization` header in policy.headers, expected one of the two")
            }
            Self::ExpiresTooSoon { found, least_ms, part } => write!(
                f,
                "found {found}, expected 0 or at least {least_ms}: {part} plus twice policy.timeout_ms, because a policy gets \
                 that old while all is well"
            ),
            Self::ClusterIsNoAuthority => {
                f.write_str("required, since the name in policy.cluster cannot be an authority")
            }
            Self::Variable { length, wrong } => {
                let s = if *length == 1 { "" } else { "s" };
                write!(f, "the environment variable named here ({length} character{s}) {wrong}")
            }
        }
    }
}

impl fmt::Display for VariableProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet => f.write_str(
                "is not set, expected it in the VM's environment (vm_config.environment_variables); in Envoy up to 1.38 all \
                 plugins of one module and vm_id have the environment of the first one",
            ),
            Self::NotUtf8 => f.write_str("is not UTF-8, expected text"),
            Self::Empty => f.write_str("is empty, expected a secret"),
            Self::Unfit { length, expected } => {
                write!(f, "holds a string of {}, expected {expected}", counted(*length, "character"))
            }
        }
    }
}

impl fmt::Display for FoundValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(None) => f.write_str("a boolean"),
            Self::Boolean(Some(value)) => write!(f, "{value}"),
            Self::Number { text: Some(text), .. } => write!(f, "the number {text}"),
            Self::Number { length, text: None } => write!(f, "a number of {}", counted(*length, "character")),
            Self::String { text: Some(text), .. } => write!(f, "the string {text:?}"),
            Self::String { length, text: None } => write!(f, "a string of {}", counted(*length, "character")),
            Self::List { entries: 0 } => f.write_str("an empty list"),
            Self::List { entries } => write!(f, "a list of {entries}"),
            Self::Object { fields: 0 } => f.write_str("an empty object"),
            Self::Object { fields } => write!(f, "an object of {}", counted(*fields, "field")),
            Self::Character(character) => write!(f, "`{character}`"),
            Self::SomeCharacter(kind) => f.write_str(kind),
            Self::Escape => f.write_str("a malformed escape"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(what) => f.write_str(what),
            Self::Integer { min, max } => write!(f, "an integer from {min} to {max}"),
            Self::Text { min, max, of } => write!(f, "a string of {min} to {max} bytes {of}"),
            Self::OneOf(names) => f.write_str(&any_of(names)),
            Self::HeaderOtherThan(names) => write!(f, "a header other than {}", any_of(names)),
            Self::List { of, min, max } if min == max => write!(f, "a list of {min} {of}"),
            Self::List { of, min, max } => write!(f, "a list of {min} to {max} {of}"),
            Self::Map { of, max } => write!(f, "an object of at most {max} {of}"),
            Self::Object(names) => write!(f, "an object with {}", any_of(names)),
        }
    }
}

/// `` `a`, `b` or `c` ``.
fn any_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
