//! Permitted referers: patterns with `*`, held against `host[:port]/path` of the `referer` header.
//!
//! A star stands for any run of characters but never reaches from the host into the path, so that
//! `https://evil.example/.good.example/` cannot pass for a host below `good.example`.

/// Bytes of a referer that are looked at; browsers cut theirs at 4096. A longer one matches nothing.
pub const MAX_REFERER_BYTES: usize = 4096;
/// Bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Stars in a pattern. Each costs one search through the referer: 8 × 4096 bytes is some 10 µs.
pub const MAX_STARS: usize = 8;

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

    /// Whether a `referer` header matches.
    pub fn matches(&self, referer: &[u8]) -> bool {
        let Some(referer) = std::str::from_utf8(referer).ok().filter(|text| text.len() <= MAX_REFERER_BYTES) else {
            return false;
        };
        let referer = without_scheme(referer);
        let end = referer.find(['?', '#']).unwrap_or(referer.len());
        let (host, path) = split_path(referer.get(..end).unwrap_or_default());
        // Browsers send neither; other readers of URLs take them for the end or the beginning of the host.
        if host.is_empty()
            || referer.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f)
            || host.contains('@')
        {
            return false;
        }
        let (host_pattern, path_pattern) = self.text.split_at_checked(self.path).unwrap_or_default();
        glob(host_pattern.as_bytes(), host.to_ascii_lowercase().as_bytes())
            && glob(path_pattern.as_bytes(), path.as_bytes())
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

/// Whether `text` has the pieces between the stars, in order, the first at its beginning and the last at its end.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(found) = find(rest, piece) else { return false };
        rest = rest.get(found.saturating_add(piece.len())..).unwrap_or_default();
    }
    rest.ends_with(last)
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() { Some(0) } else { text.windows(piece.len()).position(|window| window == piece) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(parsed.matches(referer.as_bytes()), expected, "{pattern} {referer}");
        }
        let pattern = RefererPattern::parse("*/*").unwrap();
        assert!(!pattern.matches(b"https://a.test/\xff"));
        assert!(!pattern.matches(format!("https://a.test/{}", "a".repeat(MAX_REFERER_BYTES)).as_bytes()));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "/path", "a b/", "a\\b", "user@host/", "*********/", &"a".repeat(MAX_PATTERN_BYTES + 1)] {
            assert_eq!(RefererPattern::parse(pattern), None, "{pattern}");
        }
    }
}
