//! `policy.headers` and `policy.credentials`: how the gateway authenticates to the policy service.
//!
//! A secret is a string or `{"env": NAME}`. The second form reads an environment variable and removes one line break at
//! its end, because files and `echo` add one. No error ever contains the content of a secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    error::{Expected, Fault, Problem, VariableProblem},
    header,
    json::Value,
    read::{Item, Rule},
};

/// Number of headers that a configuration may add to callouts. Typical uses: a key, a tenant, some for tracing.
pub(super) const MAX_HEADERS: usize = 16;
/// Size limit of one secret in bytes. A JWT with many claims has about 2 KiB; Envoy allows 60 KiB for all headers.
pub(super) const MAX_SECRET_BYTES: usize = 4_096;
/// Size limit of an environment variable's name, in bytes.
const MAX_VARIABLE_BYTES: usize = 256;

/// A header's value as it is sent. HTTP would strip blanks at its ends.
const HEADER_VALUE: Rule = Rule {
    min: 1,
    max: MAX_SECRET_BYTES,
    of: "without control characters and without blanks at its ends",
    holds: |text| !text.chars().any(char::is_control) && text.trim_matches(' ') == text,
};

/// RFC 7617, 2: the first colon ends the user-id.
const CLIENT_ID: Rule = Rule {
    min: 1,
    max: MAX_SECRET_BYTES,
    of: "without control characters and colons",
    holds: |text| !text.chars().any(|c| c.is_control() || c == ':'),
};

const CLIENT_SECRET: Rule = Rule {
    min: 1,
    max: MAX_SECRET_BYTES,
    of: "without control characters",
    holds: |text| !text.chars().any(char::is_control),
};

const VARIABLE: Rule = Rule {
    min: 1,
    max: MAX_VARIABLE_BYTES,
    of: "that name an environment variable",
    holds: |text| !text.chars().any(|c| c.is_control() || c == '='),
};

/// Looks up an environment variable of the VM by name.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<Vec<u8>>;

/// `policy.headers`: names in lower case, in the order of the text.
pub(super) fn headers(item: &Item<'_>, env: Environment<'_>) -> Result<Vec<(String, String)>, Fault> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for entry in item.map("headers", MAX_HEADERS)? {
        let name = header::callout_header(entry.name, &entry.name_place)?;
        if headers.iter().any(|(other, _)| *other == name) {
            return Err(entry.name_place.fault(Problem::Twice));
        }
        headers.push((name, secret(&entry.item, &HEADER_VALUE, env)?));
    }
    Ok(headers)
}

/// `policy.credentials`: the complete value of `authorization`.
pub(super) fn basic(item: &Item<'_>, env: Environment<'_>) -> Result<String, Fault> {
    let object = item.object(&["client_id", "client_secret"])?;
    let id = secret(object.field("client_id")?, &CLIENT_ID, env)?;
    let secret = secret(object.field("client_secret")?, &CLIENT_SECRET, env)?;
    Ok(format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
}

/// Reads a string or the environment variable that the object names.
fn secret(item: &Item<'_>, rule: &Rule, env: Environment<'_>) -> Result<String, Fault> {
    match item.value {
        Value::String(_) => item.text(rule).map(str::to_owned),
        Value::Object(_) => from_variable(item.object(&["env"])?.field("env")?, rule, env),
        _ => Err(item.refuse(Expected::Is(r#"a string or {"env": NAME}"#))),
    }
}

fn from_variable(item: &Item<'_>, rule: &Rule, env: Environment<'_>) -> Result<String, Fault> {
    let name = item.text(&VARIABLE)?;
    // An operator may write the secret itself in place of the variable's name. So the log must not show the name.
    let refused = |wrong| item.place.fault(Problem::Variable { length: name.chars().count(), wrong });
    let bytes = env(name).ok_or_else(|| refused(VariableProblem::NotSet))?;
    let value = String::from_utf8(bytes).map_err(|_| refused(VariableProblem::NotUtf8))?;
    let value = value.strip_suffix('\n').map_or(&*value, |line| line.strip_suffix('\r').unwrap_or(line));
    match value {
        "" => Err(refused(VariableProblem::Empty)),
        value if rule.fits(value) => Ok(value.to_owned()),
        _ => Err(refused(VariableProblem::Unfit { length: value.chars().count(), expected: rule.expected() })),
    }
}
