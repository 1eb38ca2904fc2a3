//! What changes in a request before the upstream sees it: credentials go, identity comes.
//!
//! Edits are values; the shell carries them out. A header that keygate names is removed from the client's request on
//! every path that reaches upstream, so nobody can forge an identity. Nothing here decides.

use std::borrow::Cow;

use crate::{
    config::{CredentialSource, Forward},
    credential::{is_cookie, is_named, schemed},
    head::Head,
    path::split_query,
};

/// One change of the request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// All headers of that name go.
    Remove(&'a str),
    /// The header of that name gets this value. It is there at most once before.
    Set(&'a str, Cow<'a, [u8]>),
}

/// What the `forward` headers say; a fact that is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The application's id.
    pub application_id: Option<&'a str>,
    /// The key's public handle.
    pub key_id: Option<&'a str>,
    /// PRODUCTION or SANDBOX.
    pub key_type: Option<&'a str>,
    /// The application's name.
    pub application_name: Option<&'a str>,
    /// The application's owner.
    pub owner: Option<&'a str>,
    /// The API's id.
    pub api_id: Option<&'a str>,
    /// The subscription's plan.
    pub plan: Option<&'a str>,
}

/// Takes the credential out of every configured source.
pub fn remove_credentials<'a>(head: &Head<'a>, sources: &'a [CredentialSource], edits: &mut Vec<Edit<'a>>) {
    for source in sources {
        let (name, present) = match source {
            CredentialSource::Header { name } => (name.as_str(), head.count(name.as_bytes()) > 0),
            CredentialSource::Scheme { name, scheme } => (name.as_str(), has_scheme(head, name, scheme)),
            CredentialSource::Basic { .. } => ("authorization", has_scheme(head, "authorization", "basic")),
            CredentialSource::Query { .. } | CredentialSource::Cookie { .. } => continue,
        };
        if present && !edits.contains(&Edit::Remove(name)) {
            edits.push(Edit::Remove(name));
        }
    }
    remove_arguments(head, sources, edits);
    remove_cookies(head, sources, edits);
}

fn has_scheme(head: &Head<'_>, name: &str, scheme: &str) -> bool {
    head.values(name.as_bytes()).any(|value| schemed(value, scheme).next().is_some())
}

fn remove_arguments<'a>(head: &Head<'a>, sources: &[CredentialSource], edits: &mut Vec<Edit<'a>>) {
    let Some((path, Some(query))) = head.target.map(split_query) else { return };
    let is_credential = |argument: &[u8]| {
        sources.iter().any(|source| matches!(source, CredentialSource::Query { name } if is_named(argument, name)))
    };
    if let Some(kept) = without(query, b'&', is_credential) {
        let target = if kept.is_empty() { path.to_vec() } else { [path, b"?", &kept].concat() };
        edits.push(Edit::Set(":path", Cow::Owned(target)));
    }
}

fn remove_cookies<'a>(head: &Head<'a>, sources: &[CredentialSource], edits: &mut Vec<Edit<'a>>) {
    let is_credential = |cookie: &[u8]| {
        sources.iter().any(|source| matches!(source, CredentialSource::Cookie { name } if is_cookie(cookie, name)))
    };
    let kept: Vec<_> = head.values(b"cookie").map(|value| (value, without(value, b';', is_credential))).collect();
    if kept.iter().all(|(_, kept)| kept.is_none()) {
        return;
    }
    // Where the first cookie of a line has gone, the blank that stood before the second goes too.
    let line = |(value, kept): &(&[u8], Option<Vec<u8>>)| match kept {
        Some(kept) => kept.trim_ascii_start().to_vec(),
        None => value.to_vec(),
    };
    let lines: Vec<_> = kept.iter().map(line).filter(|line| !line.is_empty()).collect();
    edits.push(Edit::Remove("cookie"));
    if !lines.is_empty() {
        edits.push(Edit::Set("cookie", Cow::Owned(lines.join(&b"; "[..]))));
    }
}

/// The list without the entries that `gone` names, the others in order and to the byte; `None` if none goes.
fn without(list: &[u8], separator: u8, gone: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let entries = || list.split(|&byte| byte == separator);
    entries().any(&gone).then(|| {
        let kept: Vec<&[u8]> = entries().filter(|entry| !gone(entry)).collect();
        kept.join(&separator)
    })
}

/// Sets the headers of an identity and removes every other that `forward` names.
pub fn set_identity<'a>(head: &Head<'a>, forward: &'a Forward, identity: &Identity<'a>, edits: &mut Vec<Edit<'a>>) {
    for (header, value) in [
        (&forward.application_id, identity.application_id),
        (&forward.key_id, identity.key_id),
        (&forward.key_type, identity.key_type),
        (&forward.application_name, identity.application_name),
        (&forward.owner, identity.owner),
        (&forward.api_id, identity.api_id),
        (&forward.plan, identity.plan),
    ] {
        let Some(header) = header else { continue };
        let given = head.count(header.as_bytes());
        // Setting replaces the first of several only, so several go first.
        if given > 1 || (given > 0 && value.is_none()) {
            edits.push(Edit::Remove(header));
        }
        if let Some(value) = value {
            edits.push(Edit::Set(header, Cow::Borrowed(value.as_bytes())));
        }
    }
}

#[cfg(test)]
mod tests;
