//! Changes of a request before it goes upstream: removes credentials and sets identity headers.
//!
//! Edits are values. They are passed on one by one, in order, and the shell carries them out. A request that goes
//! upstream never keeps the client's value of a `forward` header, so nobody can forge an identity. Nothing here
//! decides.

use crate::{
    config::{Config, CredentialSource, Forward, Mode},
    credential::{Carried, is_cookie, is_named},
    decision::Identity,
    request::{head::Head, path::Target},
};

/// One change of the request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Removes all headers with this name.
    Remove(&'a str),
    /// Sets the header with this name. The request has at most one such header at that point.
    Set(&'a str, &'a [u8]),
}

/// Removes the credentials of the sources in `carried`, which comes from [`crate::credential::find`].
pub fn remove_credentials(
    head: &Head<'_>,
    sources: &[CredentialSource],
    carried: Carried,
    edit: &mut impl FnMut(Edit<'_>),
) {
    let (mut in_arguments, mut in_cookies) = (false, false);
    for (place, source) in sources.iter().enumerate().filter(|(place, _)| carried.has(*place)) {
        match source {
            CredentialSource::Query { .. } => in_arguments = true,
            CredentialSource::Cookie { .. } => in_cookies = true,
            _ => {
                let name = header_of(source);
                // Two sources may read the same header, such as `Bearer` and `basic`.
                let mut before = sources.iter().take(place).enumerate();
                if !before.any(|(place, source)| carried.has(place) && header_of(source) == name) {
                    edit(Edit::Remove(name));
                }
            }
        }
    }
    if in_arguments {
        remove_arguments(head, sources, edit);
    }
    if in_cookies {
        remove_cookies(head, sources, edit);
    }
}

/// The header to remove for this source. Empty for a source that is not a whole header.
fn header_of(source: &CredentialSource) -> &str {
    match source {
        CredentialSource::Header { name } | CredentialSource::Scheme { name, .. } => name,
        CredentialSource::Basic { .. } => "authorization",
        CredentialSource::Query { .. } | CredentialSource::Cookie { .. } => "",
    }
}

fn remove_arguments(head: &Head<'_>, sources: &[CredentialSource], edit: &mut impl FnMut(Edit<'_>)) {
    let Some(Target { path, query: Some(query), .. }) = head.target else { return };
    let is_credential = |argument: &[u8]| {
        sources.iter().any(|source| matches!(source, CredentialSource::Query { name } if is_named(argument, name)))
    };
    if let Some(kept) = without(query, b'&', is_credential) {
        let target = if kept.is_empty() { path.to_vec() } else { [path, b"?", &kept].concat() };
        edit(Edit::Set(":path", &target));
    }
}

fn remove_cookies(head: &Head<'_>, sources: &[CredentialSource], edit: &mut impl FnMut(Edit<'_>)) {
    let is_credential = |cookie: &[u8]| {
        sources.iter().any(|source| matches!(source, CredentialSource::Cookie { name } if is_cookie(cookie, name)))
    };
    let kept: Vec<_> = head.values(b"cookie").map(|value| (value, without(value, b';', is_credential))).collect();
    if kept.iter().all(|(_, kept)| kept.is_none()) {
        return;
    }
    // If the first cookie of a line is removed, the blank before the second one is removed too.
    let line = |(value, kept): &(&[u8], Option<Vec<u8>>)| match kept {
        Some(kept) => kept.trim_ascii_start().to_vec(),
        None => value.to_vec(),
    };
    let lines: Vec<_> = kept.iter().map(line).filter(|line| !line.is_empty()).collect();
    edit(Edit::Remove("cookie"));
    if !lines.is_empty() {
        edit(Edit::Set("cookie", &lines.join(&b"; "[..])));
    }
}

/// The list without the entries that `gone` selects. The other entries keep their order and bytes. `None` if no entry
/// is removed.
fn without(list: &[u8], separator: u8, gone: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let entries = || list.split(|&byte| byte == separator);
    entries().any(&gone).then(|| {
        let kept: Vec<&[u8]> = entries().filter(|entry| !gone(entry)).collect();
        kept.join(&separator)
    })
}

/// Sets the headers of an identity, and removes all other headers that `forward` names.
pub fn set_identity(head: &Head<'_>, forward: &Forward, identity: &Identity<'_>, edit: &mut impl FnMut(Edit<'_>)) {
    for (fact, header) in &forward.headers {
        let value = identity.fact(*fact);
        let given = head.count(header.as_bytes());
        // Setting a header replaces only the first of several. So several are removed first.
        if given > 1 || (given > 0 && value.is_none()) {
            edit(Edit::Remove(header));
        }
        if let Some(value) = value {
            edit(Edit::Set(header, value));
        }
    }
}

/// The trailers that must not reach an upstream: names of identity headers, because a client could forge them, and
/// names of credential headers. A name may occur twice. In shadow mode credentials stay in the request.
pub fn forbidden_trailers(config: &Config) -> impl Iterator<Item = &str> {
    let sources = config.credential_sources.iter().filter(|_| config.mode == Mode::Enforce);
    let credentials = sources.filter_map(|source| match source {
        CredentialSource::Query { .. } => None,
        CredentialSource::Cookie { .. } => Some("cookie"),
        _ => Some(header_of(source)),
    });
    config.forward.headers.iter().map(|(_, name)| &**name).chain(credentials)
}

#[cfg(test)]
mod tests;
