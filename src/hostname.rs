//! Host names of requests and of API matches, in the one form in which they are compared: lower case, without port and
//! without the dot that may end a full name.

use std::borrow::Cow;

/// Bytes of a host pattern: a DNS name has at most 253.
pub const MAX_HOST_BYTES: usize = 253;

/// The host of a request's `:authority`.
pub fn host_of(authority: &[u8]) -> Cow<'_, [u8]> {
    let host = without_port(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.iter().any(u8::is_ascii_uppercase) { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) }
}

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&byte| byte == b':') {
        // In `[::1]` the colons are the address's own.
        Some(colon) => match authority.split_at_checked(colon) {
            Some((host, port)) if !port.contains(&b']') => host,
            _ => authority,
        },
        None => authority,
    }
}

/// A host of an API's match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Vec<u8>),
    /// Every host that ends in this suffix and has at least one character before it; begins with a dot.
    Suffix(Vec<u8>),
}

impl HostPattern {
    /// Reads `name` or `*.suffix`; a port is cut off. `None`: neither.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('/') {
            return None;
        }
        let host = host_of(text.as_bytes()).into_owned();
        let (name, suffix) = match host.strip_prefix(b"*") {
            Some(suffix) => (suffix.strip_prefix(b".")?, true),
            None => (&*host, false),
        };
        let plain = |&byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'@' | b'?' | b'#');
        if name.is_empty() || host.len() > MAX_HOST_BYTES || name.starts_with(b".") || !name.iter().all(plain) {
            return None;
        }
        Some(if suffix { Self::Suffix([b".", name].concat()) } else { Self::Exact(name.to_vec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_case_and_final_dot_do_not_matter() {
        for (authority, expected) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM:8443", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("api.example.com.:80", "api.example.com"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(host_of(authority.as_bytes()), expected.as_bytes(), "{authority}");
        }
    }

    #[test]
    fn patterns_are_a_name_or_a_suffix() {
        let suffix = |text: &str| Some(HostPattern::Suffix(text.as_bytes().to_vec()));
        let exact = |text: &str| Some(HostPattern::Exact(text.as_bytes().to_vec()));
        for (text, expected) in [
            ("A.example", exact("a.example")),
            ("a.example:80", exact("a.example")),
            ("[::1]:80", exact("[::1]")),
            ("*.Example.org", suffix(".example.org")),
            ("*", None),
            ("*.", None),
            ("*example.org", None),
            ("a.*.org", None),
            ("*.*.org", None),
            ("", None),
            (".example", None),
            ("a b", None),
            ("http://a", None),
        ] {
            assert_eq!(HostPattern::parse(text), expected, "{text}");
        }
    }
}
