//! Sentences about the request's credential.

use keygate::{
    config::{BasicPart, CredentialSource},
    credential::{MAX_CANDIDATES, MAX_CREDENTIAL_BYTES},
};

use crate::{decide::rejects_several, rules::Seen};

pub fn missing(refused: bool, seen: &Seen<'_>) -> String {
    let sources = &seen.config.credential_sources;
    if refused {
        let all: Vec<_> = sources.iter().map(name).collect();
        return format!("the request has no key; the filter looks for one in {}", all.join(", "));
    }
    let used = sources.iter().enumerate().filter(|(place, _)| seen.found.carried.has(*place));
    let used: Vec<_> = used.map(|(_, source)| name(source)).collect();
    format!("the request has a key in {}", used.join(", "))
}

pub fn malformed(refused: bool, _: &Seen<'_>) -> String {
    if refused {
        return format!(
            "a key of the request has more than {MAX_CREDENTIAL_BYTES} bytes, or its Basic or percent encoding is invalid"
        );
    }
    "every key of the request can be read".to_owned()
}

pub fn ambiguous(refused: bool, seen: &Seen<'_>) -> String {
    match (refused, rejects_several(seen.config)) {
        (true, true) => "the request has several different keys, and `ambiguous_credentials` is reject".to_owned(),
        (true, false) => format!("the request has more than {MAX_CANDIDATES} different keys"),
        (false, true) => "the request has one key".to_owned(),
        (false, false) => "the first key of the request decides".to_owned(),
    }
}

/// A source, as sentences name it.
fn name(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Header { name } => format!("the header {name}"),
        CredentialSource::Scheme { name, scheme } => format!("the header {name} as {scheme}"),
        CredentialSource::Query { name } => format!("the query argument {name}"),
        CredentialSource::Cookie { name } => format!("the cookie {name}"),
        CredentialSource::Basic { part: BasicPart::Username } => "the user name of HTTP Basic".to_owned(),
        CredentialSource::Basic { part: BasicPart::Password } => "the password of HTTP Basic".to_owned(),
    }
}
