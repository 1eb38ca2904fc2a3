//! From the claims of the identity provider to a principal. Unknown and missing values refuse; nothing is assumed.

use management::{
    accounts::OIDC_PREFIX,
    check,
    port::{Principal, Role},
};
use serde_json::{Map, Value};

use super::{refusal::Refusal, settings::Provider};

/// The claims of a person.
pub type Claims = Map<String, Value>;

/// Maximum number of characters of a claim's value that the log shows.
const SHOWN: usize = 64;

/// Whether the claims name the person and the role.
pub fn are_complete(claims: &Claims, provider: &Provider) -> bool {
    let has = |name: &str| claims.get(name).is_some_and(|value| !value.is_null());
    has(&provider.subject_claim) && has(&provider.role_claim) && (provider.subject_claim != EMAIL || has(VERIFIED))
}

const EMAIL: &str = "email";
const VERIFIED: &str = "email_verified";

/// The principal that the claims name.
pub fn principal(claims: &Claims, provider: &Provider) -> Result<Principal, Refusal> {
    Ok(Principal { subject: subject(claims, &provider.subject_claim)?, role: role(claims, &provider.role_claim)? })
}

fn find<'c>(claims: &'c Claims, name: &str) -> Result<&'c Value, Refusal> {
    claims.get(name).filter(|value| !value.is_null()).ok_or_else(|| Refusal::NoClaim(name.to_owned()))
}

fn subject(claims: &Claims, name: &str) -> Result<String, Refusal> {
    let bad = |why: String| Refusal::BadSubject { claim: name.to_owned(), why };
    let value = find(claims, name)?.as_str().ok_or_else(|| bad("expected a text".to_owned()))?;
    // An empty value would leave the prefix alone, which is a valid text.
    if value.is_empty() {
        return Err(bad("it is empty".to_owned()));
    }
    check::text("subject", value).map_err(|error| bad(error.to_string()))?;
    let subject = format!("{OIDC_PREFIX}{value}");
    check::text("subject", &subject).map_err(|error| bad(error.to_string()))?;
    // Somebody else may have entered an address that was not verified.
    if name == EMAIL && claims.get(VERIFIED).and_then(Value::as_bool) != Some(true) {
        return Err(Refusal::Unverified);
    }
    Ok(subject)
}

/// The role that a claim names: a text, or a list with exactly one role among other texts, as providers send groups.
fn role(claims: &Claims, name: &str) -> Result<Role, Refusal> {
    let value = find(claims, name)?;
    let unknown = |found: String| Refusal::UnknownRole { claim: name.to_owned(), found };
    let known = |value: &Value| Role::ALL.into_iter().find(|role| Some(role.as_str()) == value.as_str());
    match value {
        Value::String(text) => known(value).ok_or_else(|| unknown(shown(text))),
        Value::Array(values) => {
            let mut roles: Vec<_> = values.iter().filter_map(known).collect();
            roles.dedup();
            match roles.as_slice() {
                [role] => Ok(*role),
                [] => Err(unknown(format!("a list of {} values, none of them a role", values.len()))),
                _ => Err(unknown("a list with several roles; expected one".to_owned())),
            }
        }
        _ => Err(unknown("neither a text nor a list".to_owned())),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(SHOWN).collect::<String>())
}

#[cfg(test)]
mod tests;
