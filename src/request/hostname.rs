//! Host names of requests and of API matches, in the one form in which they are compared: lower case, without the port
//! and without the final dot of a full name.

use std::{borrow::Cow, net::Ipv6Addr};

/// Size limit of a host pattern in bytes. A DNS name has at most 253.
pub const MAX_HOST_BYTES: usize = 253;
/// Labels of a suffix. Longer names do not occur, and a request's host is looked up once per label that a suffix may
/// have.
pub const MAX_SUFFIX_LABELS: usize = 32;
const MAX_PORT_DIGITS: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, [u8]>);

impl<'a> Host<'a> {
    /// Reads `:authority`. `None` if it is not exactly one `host[:port]`, because servers could then see different
    /// hosts in it.
    pub fn parse(authority: &'a [u8]) -> Option<Self> {
        // Fast path: nearly every host is already in the form in which hosts are compared.
        let mut before = DOT;
        let end = authority.iter().position(|&byte| {
            let class = HOST_BYTES.get(usize::from(byte)).copied().unwrap_or(OTHER);
            let is_end = class.wrapping_add(before) > DOT;
            before = class;
            is_end
        });
        let (host, rest) = authority.split_at_checked(end.unwrap_or(authority.len()))?;
        let is_whole = host.last().is_some_and(|&byte| byte != b'.');
        match rest {
            [] if is_whole => Some(Self(Cow::Borrowed(host))),
            [b':', port @ ..] if is_whole && is_port(port) => Some(Self(Cow::Borrowed(host))),
            _ => Self::parse_any(authority),
        }
    }

    /// Slow path: an authority with upper case, a dot at its end, an address in brackets, or an error.
    #[inline(never)]
    fn parse_any(authority: &'a [u8]) -> Option<Self> {
        let (given, port) = split_port(authority)?;
        if !is_port(port) {
            return None;
        }
        let host = given.strip_suffix(b".").unwrap_or(given);
        let (mut lower, mut behind_dot) = (true, true);
        for &byte in host {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => behind_dot = false,
                b'A'..=b'Z' => (lower, behind_dot) = (false, false),
                b'.' if !behind_dot => behind_dot = true,
                b'[' => return address(given),
                _ => return None,
            }
        }
        // The host is empty, or it ends in a second dot.
        if behind_dot {
            return None;
        }
        Some(Self(if lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) }))
    }

    /// The bytes, in lower case.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Class of a byte in an authority. Two dots in a row, or one other byte, add up to more than [`DOT`], which ends the
/// fast path.
const LABEL: u8 = 0;
const DOT: u8 = 1;
const OTHER: u8 = 2;
const HOST_BYTES: &[u8; 256] = byte_table!(class_of);

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => LABEL,
        b'.' => DOT,
        _ => OTHER,
    }
}

/// Whether this is the port of an authority. It may be empty.
fn is_port(port: &[u8]) -> bool {
    port.len() <= MAX_PORT_DIGITS && port.iter().all(u8::is_ascii_digit)
}

/// Host and port. The port is empty if there is none.
fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    match authority.iter().rposition(|&byte| matches!(byte, b':' | b']')) {
        Some(colon) if authority.get(colon) == Some(&b':') => {
            let (host, port) = authority.split_at_checked(colon)?;
            Some((host, port.split_first()?.1))
        }
        // The colons in `[::1]` are part of the address.
        _ => Some((authority, b"")),
    }
}

/// An IPv6 address in brackets.
fn address(host: &[u8]) -> Option<Host<'_>> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let is_address = std::str::from_utf8(inner).ok()?.parse::<Ipv6Addr>().is_ok();
    is_address.then(|| Host(Cow::Owned(host.to_ascii_lowercase())))
}

/// A host of an API's match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(Vec<u8>),
    /// All hosts that end in this suffix and have at least one character before it. The suffix begins with a dot.
    Suffix(Vec<u8>),
}

impl HostPattern {
    /// Number of labels of a suffix. Zero for an exact host, because its labels do not matter.
    pub fn labels(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Suffix(suffix) => suffix.iter().filter(|&&byte| byte == b'.').count(),
        }
    }

    /// Reads `name` or `*.suffix`, and drops a port. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, is_suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let host = Host::parse(name.as_bytes())?;
        let name = host.as_bytes();
        // The dot before a suffix counts too.
        if name.len().saturating_add(usize::from(is_suffix)) > MAX_HOST_BYTES {
            return None;
        }
        Some(if is_suffix { Self::Suffix([b".", name].concat()) } else { Self::Exact(name.to_vec()) })
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
            ("api.example.com:", "api.example.com"),
            ("my_service-1", "my_service-1"),
            ("192.0.2.7:65535", "192.0.2.7"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]:", "[2001:db8::1]"),
            ("[::ffff:192.0.2.7]:80", "[::ffff:192.0.2.7]"),
        ] {
            let host = Host::parse(authority.as_bytes());
            assert_eq!(host.as_ref().map(Host::as_bytes), Some(expected.as_bytes()), "{authority}");
        }
    }

    #[test]
    fn text_that_is_not_one_host_with_an_optional_port_is_refused() {
        for authority in [
            "",
            ".",
            ":80",
            ".:80",
            "host..",
            "host..:80",
            ".host",
            "a..b",
            "u@host",
            "u:p@host",
            "@host",
            "host@",
            "host:80:90",
            "host::80",
            "host:80:",
            "host:x",
            "host:-1",
            "host:+80",
            "host:800000",
            "host: 80",
            "host:8 0",
            "a,b",
            "a, b",
            "a b",
            " a",
            "a ",
            "a\t",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%2eb",
            "a%00",
            "a;b",
            "a=b",
            "a&b",
            "*.host",
            "*",
            "http://host",
            "[::1",
            "::1]",
            "::1",
            "[::1]x",
            "[::1].",
            "x[::1]",
            "[::1]:x",
            "[]",
            "[a]",
            "[::1%25eth0]",
            "[v1.a]",
            "h\u{f6}st",
            "host\u{ff0e}test",
            "host\u{3002}test",
            "host\0",
            "host\n",
        ] {
            assert_eq!(Host::parse(authority.as_bytes()), None, "{authority}");
        }
        assert_eq!(Host::parse(b"\xff"), None);
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
            ("u@a", None),
            ("a,b", None),
            ("a..", None),
            ("*.a..", None),
            ("*.a.:80", suffix(".a")),
        ] {
            assert_eq!(HostPattern::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_fast_way_reads_the_same_as_the_slow_one() {
        for number in 0..9usize.pow(6) {
            let mut rest = number;
            let mut next = || {
                let byte = b"aA1-.:[] "[rest % 9];
                rest /= 9;
                byte
            };
            let bytes: Vec<u8> = (0..6).map(|_| next()).collect();
            // Also test the part before the first blank, which may be shorter.
            let authority = bytes.split(|&byte| byte == b' ').next().unwrap();
            for authority in [authority, &bytes] {
                assert_eq!(Host::parse(authority), Host::parse_any(authority), "{}", authority.escape_ascii());
            }
        }
    }
}
