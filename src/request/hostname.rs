//! Host names of requests and of API matches, in the one form in which they are compared: lower case, without port and
//! without the dot that may end a full name.

use std::{borrow::Cow, net::Ipv6Addr};

/// Bytes of a host pattern: a DNS name has at most 253.
pub const MAX_HOST_BYTES: usize = 253;
/// Labels of a suffix. Names of more do not occur, and a request's host is looked up once for each label that it may have.
pub const MAX_SUFFIX_LABELS: usize = 32;
/// Digits of a port.
const MAX_PORT_DIGITS: usize = 5;

/// The host of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, [u8]>);

impl<'a> Host<'a> {
    /// Reads `:authority`. `None`: it is not one `host[:port]`, so others could read another host in it.
    pub fn parse(authority: &'a [u8]) -> Option<Self> {
        // Nearly every host is already in the form in which hosts are compared.
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

    /// Reads an authority that has upper case, a dot at its end or an address in brackets, or is not one host.
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
        // It is empty, or a second dot ends it.
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

/// What a byte of an authority is. Two dots, or one other byte, add up to more than [`DOT`]: they end a plain host.
const LABEL: u8 = 0;
const DOT: u8 = 1;
const OTHER: u8 = 2;
const HOST_BYTES: &[u8; 256] = &{
    let mut bytes = [OTHER; 256];
    let mut byte = 0u8;
    loop {
        let (cell, _) = bytes.split_at_mut(byte as usize + 1);
        if let [.., cell] = cell {
            *cell = match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => LABEL,
                b'.' => DOT,
                _ => OTHER,
            };
        }
        if byte == u8::MAX {
            break bytes;
        }
        byte += 1;
    }
};

/// Whether this is the port of an authority, which may be empty.
fn is_port(port: &[u8]) -> bool {
    port.len() <= MAX_PORT_DIGITS && port.iter().all(u8::is_ascii_digit)
}

/// Host and port; the port is empty where there is none.
fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    match authority.iter().rposition(|&byte| matches!(byte, b':' | b']')) {
        Some(colon) if authority.get(colon) == Some(&b':') => {
            let (host, port) = authority.split_at_checked(colon)?;
            Some((host, port.split_first()?.1))
        }
        // In `[::1]` the colons are the address's own.
        _ => Some((authority, b"")),
    }
}

/// An address of IPv6 in brackets.
fn address(host: &[u8]) -> Option<Host<'_>> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let is_address = std::str::from_utf8(inner).ok()?.parse::<Ipv6Addr>().is_ok();
    is_address.then(|| Host(Cow::Owned(host.to_ascii_lowercase())))
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
    /// Labels of a suffix; of a whole host none are told apart.
    pub fn labels(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Suffix(suffix) => suffix.iter().filter(|&&byte| byte == b'.').count(),
        }
    }

    /// Reads `name` or `*.suffix`; a port is cut off. `None`: neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, is_suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let host = Host::parse(name.as_bytes())?;
        let name = host.as_bytes();
        // A suffix has its dot, too.
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
    fn what_is_not_one_host_with_or_without_port_is_none() {
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
    fn the_short_way_reads_what_the_long_one_reads() {
        for number in 0..9usize.pow(6) {
            let mut rest = number;
            let mut next = || {
                let byte = b"aA1-.:[] "[rest % 9];
                rest /= 9;
                byte
            };
            let bytes: Vec<u8> = (0..6).map(|_| next()).collect();
            // What stands before a blank: shorter ones, too.
            let authority = bytes.split(|&byte| byte == b' ').next().unwrap();
            for authority in [authority, &bytes] {
                assert_eq!(Host::parse(authority), Host::parse_any(authority), "{}", authority.escape_ascii());
            }
        }
    }
}
