//! Permitted referers: patterns with `*`, held against `host[:port]/path` of the `referer` header.
//!
//! A star stands for any run of characters but never reaches from the host into the path, so that
//! `https://evil.example/.good.example/` cannot pass for a host below `good.example`.

use crate::store::bytes::equal;

/// Bytes of a referer that are looked at; browsers cut theirs at 4096. A longer one matches nothing.
pub const MAX_REFERER_BYTES: usize = 4096;
/// Headers `referer` of one request. Requests have one; each more is held against all patterns.
pub const MAX_REFERERS: usize = 2;
/// Bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Stars in a pattern.
pub const MAX_STARS: usize = 8;
/// Patterns of one key that are searched for, since a piece of them stands between two stars. Each reads the referer once,
/// at some 3 ns a byte: 8 x 4096 bytes are some 0.1 ms. Without such a piece, only both ends are compared: 1,000
/// patterns of 512 bytes take some 0.2 ms.
pub const MAX_SEARCHED: usize = 8;

/// A `referer` header, read once for all patterns.
#[derive(Debug)]
pub struct Referer<'a> {
    /// In lower case, with its port.
    host: String,
    path: &'a str,
}

impl<'a> Referer<'a> {
    /// Reads the header. `None`: it is too long, or other readers of URLs could see another host in it, so it matches no
    /// pattern.
    pub fn parse(header: &'a [u8]) -> Option<Self> {
        let referer = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_REFERER_BYTES)?;
        let referer = without_scheme(referer);
        let end = referer.find(['?', '#']).unwrap_or(referer.len());
        let (host, path) = split_path(referer.get(..end).unwrap_or_default());
        // Browsers send neither; other readers of URLs take them for the end or the beginning of the host.
        let is_odd = referer.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f);
        if host.is_empty() || is_odd || host.contains('@') {
            return None;
        }
        Some(Self { host: host.to_ascii_lowercase(), path })
    }
}

/// A pattern of `permitted_referers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefererPattern {
    text: String,
    path: usize,
}

impl RefererPattern {
    /// Reads a pattern; a scheme before it is cut off. `None`: empty, too long, or with too many stars.
    pub fn parse(text: &str) -> Option<Self> {
        let text = without_scheme(text);
        let (host, path) = split_path(text);
        let plain = text.bytes().all(|byte| byte > b' ' && byte != b'\\' && byte != 0x7f);
        let stars = text.bytes().filter(|&byte| byte == b'*').count();
        if host.is_empty() || host.contains('@') || !plain || text.len() > MAX_PATTERN_BYTES || stars > MAX_STARS {
            return None;
        }
        let host = host.to_ascii_lowercase();
        Some(Self { path: host.len(), text: host + path })
    }

    /// The pattern, host first, in the form in which it is compared.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A pattern that [`RefererPattern::as_str`] gave.
    pub fn of_stored(text: &str) -> Self {
        Self { path: split_path(text).0.len(), text: text.to_owned() }
    }

    /// Whether a piece of it stands between two stars.
    pub fn is_searched(&self) -> bool {
        let (host, path) = self.text.split_at_checked(self.path).unwrap_or_default();
        [host, path].iter().any(|part| part.split('*').count() > 2)
    }

    /// Whether a referer matches.
    pub fn matches(&self, referer: &Referer<'_>) -> bool {
        let (host, path) = self.text.split_at_checked(self.path).unwrap_or_default();
        glob(host, &referer.host) && glob(path, referer.path)
    }
}

fn without_scheme(text: &str) -> &str {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
            rest
        }
        _ => text,
    }
}

/// Host (with port) and path; no path is the root.
fn split_path(text: &str) -> (&str, &str) {
    match text.find('/').and_then(|slash| text.split_at_checked(slash)) {
        Some(parts) => parts,
        None => (text, "/"),
    }
}

/// What of `text` stands behind `piece`, if that is its beginning.
fn behind<'t>(text: &'t str, piece: &str) -> Option<&'t str> {
    let (begin, rest) = text.split_at_checked(piece.len())?;
    equal(begin.as_bytes(), piece.as_bytes()).then_some(rest)
}

/// Whether `text` has the pieces between the stars, in order, the first at its beginning and the last at its end. The
/// standard library searches by the two-way algorithm, whose time grows with the text alone, however often a piece nearly
/// stands there.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = behind(text, pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &RefererPattern, referer: &[u8]) -> bool {
        Referer::parse(referer).is_some_and(|referer| pattern.matches(&referer))
    }

    #[test]
    fn a_pattern_is_searched_for_where_a_piece_stands_between_two_stars() {
        for (pattern, expected) in [
            ("a.test/*", false),
            ("*.a.test/*", false),
            ("*.a.test/b/*", false),
            ("*.a.*/", true),
            ("a.test/*/b/*", true),
        ] {
            assert_eq!(RefererPattern::parse(pattern).unwrap().is_searched(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_star_stays_within_host_or_path() {
        for (pattern, referer, expected) in [
            ("sub.example.com/*", "https://sub.example.com/page", true),
            ("sub.example.com/*", "https://sub.example.com/", true),
            ("sub.example.com/*", "https://sub.example.com", true),
            ("sub.example.com/*", "http://SUB.example.COM/page?x=1#y", true),
            ("sub.example.com/*", "https://sub.example.com.evil.test/", false),
            ("sub.example.com/*", "https://evil.test/sub.example.com/", false),
            ("sub.example.com/*", "https://sub.example.com@evil.test/", false),
            ("sub.example.com/*", "https://sub.example.com:8443/", false),
            ("sub.example.com:8443/*", "https://sub.example.com:8443/", true),
            ("*.example.com/*", "https://a.b.example.com/x", true),
            ("*.example.com/*", "https://example.com/x", false),
            ("*.example.com/*", "https://evil.test/.example.com/", false),
            ("*.example.com/*", "https://evil.test\\.example.com/", false),
            ("*.example.com/*", "https://evil.test?.example.com/", false),
            ("*.example.com/*", "https://evil.test#.example.com/", false),
            ("www.example.com", "https://www.example.com/", true),
            ("www.example.com", "https://www.example.com/page", false),
            ("www.example.com/a/*/c", "https://www.example.com/a/b/c", true),
            ("www.example.com/a/*/c", "https://www.example.com/a/c", false),
            ("www.example.com/Page", "https://www.example.com/page", false),
            ("https://www.example.com/*", "https://www.example.com/page", true),
            ("*", "https://anything.test/", true),
            ("*", "https://anything.test/page", false),
            ("*/*", "https://anything.test/page", true),
            ("*/*", "", false),
            ("*/*", "https:///page", false),
        ] {
            let parsed = RefererPattern::parse(pattern).unwrap();
            assert_eq!(RefererPattern::of_stored(parsed.as_str()), parsed);
            assert_eq!(matches(&parsed, referer.as_bytes()), expected, "{pattern} {referer}");
        }
        let pattern = RefererPattern::parse("*/*").unwrap();
        assert!(!matches(&pattern, b"https://a.test/\xff"));
        assert!(!matches(&pattern, format!("https://a.test/{}", "a".repeat(MAX_REFERER_BYTES)).as_bytes()));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "/path", "a b/", "a\\b", "user@host/", "*********/", &"a".repeat(MAX_PATTERN_BYTES + 1)] {
            assert_eq!(RefererPattern::parse(pattern), None, "{pattern}");
        }
    }
}
