//! Permitted referers: patterns with `*`, compared with `host[:port]/path` of the `referer` header.
//!
//! A star matches any run of characters, but never reaches from the host into the path. Otherwise
//! `https://evil.example/.good.example/` would match a pattern for hosts below `good.example`.

use crate::equal::equal;

/// Bytes of a referer. Browsers cut theirs at 4096. A longer referer matches nothing.
pub const MAX_REFERER_BYTES: usize = 4096;
/// `referer` headers of one request. Requests have one; each further header is compared with all patterns.
pub const MAX_REFERERS: usize = 2;
/// Bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Stars in a pattern.
pub const MAX_STARS: usize = 8;
/// Patterns of one key that need a search, because they have text between two stars. Each search reads the referer
/// once, at some 3 ns a byte: 6 x 4096 bytes take some 75 µs. For all other patterns only both ends are compared: 1,000
/// patterns of 512 bytes take some 0.1 ms.
pub const MAX_SEARCHED: usize = 6;

/// A `referer` header, parsed once for all patterns.
#[derive(Debug)]
pub struct Referer<'a> {
    /// In lower case, with its port.
    host: String,
    path: &'a str,
}

impl<'a> Referer<'a> {
    /// Parses the header. `None` if it is too long or if URL parsers could see different hosts in it. Then it matches
    /// no pattern.
    pub fn parse(header: &'a [u8]) -> Option<Self> {
        let referer = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_REFERER_BYTES)?;
        let referer = without_scheme(referer);
        let end = referer.find(['?', '#']).unwrap_or(referer.len());
        let (host, path) = split_path(referer.get(..end).unwrap_or_default());
        // Browsers send none of these bytes. Some URL parsers take them for the end or the beginning of the host.
        let is_odd = referer.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f);
        if host.is_empty() || is_odd || host.contains('@') {
            return None;
        }
        Some(Self { host: host.to_ascii_lowercase(), path })
    }

    /// Whether the referer matches a pattern that [`RefererPattern::pack`] made.
    pub fn fits(&self, pattern: &[u8]) -> bool {
        let Some(([host, path], text)) = read_places(pattern) else { return false };
        let Some((host_text, path_text)) = text.split_at_checked(host.length) else { return false };
        host.glob(host_text, &self.host) && path.glob(path_text, self.path)
    }
}

/// A pattern of `permitted_referers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefererPattern {
    text: String,
    path: usize,
}

impl RefererPattern {
    /// Parses a pattern, and drops a scheme before it. `None` if it is empty, too long, or has too many stars.
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

    /// The pattern in the form in which it is compared, host first.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends the pattern with the positions of its stars, so that a request does not search for them.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let (host, path) = self.parts();
        for place in [Place::of(host), Place::of(path)] {
            place.put(out);
        }
        out.extend_from_slice(self.text.as_bytes());
    }

    /// The inverse of [`RefererPattern::pack`]. `None` if `pack` never makes these bytes.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let (_, text) = read_places(packed)?;
        let pattern = Self::parse(std::str::from_utf8(text).ok()?)?;
        let mut again = Vec::new();
        pattern.pack(&mut again);
        (again == packed).then_some(pattern)
    }

    /// Whether the pattern has text between two stars.
    pub fn is_searched(&self) -> bool {
        let (host, path) = self.parts();
        Place::of(host).is_searched || Place::of(path).is_searched
    }

    fn parts(&self) -> (&str, &str) {
        self.text.split_at_checked(self.path).unwrap_or_default()
    }
}

/// Facts about one part of a pattern (host or path), computed in advance for the requests. Packed into four bytes: both
/// lengths with 15 bits each, and the flag.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Bytes of the part.
    length: usize,
    /// Bytes before the first star. All bytes if there is none.
    star: usize,
    /// Whether the part has more than one star.
    is_searched: bool,
}

/// Size of a packed [`Place`].
const PLACE_BYTES: usize = 4;
const SEARCHED: u16 = 1 << 15;

impl Place {
    fn of(part: &str) -> Self {
        let star = part.find('*').unwrap_or(part.len());
        Self { length: part.len(), star, is_searched: part.split('*').count() > 2 }
    }

    fn put(self, out: &mut Vec<u8>) {
        // A pattern has at most 512 bytes. A larger number would make a `Place` that matches no text.
        let packed = |number: usize| u16::try_from(number).unwrap_or(SEARCHED - 1);
        let flag = if self.is_searched { SEARCHED } else { 0 };
        out.extend_from_slice(&packed(self.length).to_le_bytes());
        out.extend_from_slice(&(packed(self.star) | flag).to_le_bytes());
    }

    fn read([a, b, c, d]: [u8; PLACE_BYTES]) -> Self {
        let star = u16::from_le_bytes([c, d]);
        let length = u16::from_le_bytes([a, b]).into();
        Self { length, star: (star & !SEARCHED).into(), is_searched: star & SEARCHED != 0 }
    }

    /// Whether `text` contains the pieces between the stars of `pattern` in order, the first at its beginning and the
    /// last at its end.
    fn glob(self, pattern: &[u8], text: &str) -> bool {
        let Some((first, stars)) = pattern.split_at_checked(self.star) else { return false };
        let Some((begin, rest)) = text.as_bytes().split_at_checked(first.len()) else { return false };
        if !equal(begin, first) {
            return false;
        }
        match stars.split_first() {
            None => rest.is_empty(),
            Some(_) if self.is_searched => search(stars, rest).unwrap_or(false),
            Some((_, last)) => ends_with(rest, last),
        }
    }
}

/// The places of host and path, and the text that contains both.
fn read_places(packed: &[u8]) -> Option<([Place; 2], &[u8])> {
    let (host, rest) = packed.split_first_chunk::<PLACE_BYTES>()?;
    let (path, text) = rest.split_first_chunk::<PLACE_BYTES>()?;
    let places = [Place::read(*host), Place::read(*path)];
    let length = places.iter().fold(0usize, |sum, place| sum.saturating_add(place.length));
    (length == text.len()).then_some((places, text))
}

/// Whether `text` contains the pieces after the stars in order, the last at its end. The standard library searches with
/// the two-way algorithm, whose time depends only on the length of the text, however many near matches there are.
fn search(stars: &[u8], text: &[u8]) -> Option<bool> {
    let (stars, mut rest) = (std::str::from_utf8(stars).ok()?, std::str::from_utf8(text).ok()?);
    let mut pieces = stars.strip_prefix('*')?.split('*');
    let last = pieces.next_back()?;
    for piece in pieces {
        (_, rest) = rest.split_once(piece)?;
    }
    Some(rest.ends_with(last))
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    text.len().checked_sub(end.len()).and_then(|start| text.get(start..)).is_some_and(|last| equal(last, end))
}

fn without_scheme(text: &str) -> &str {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
            rest
        }
        _ => text,
    }
}

/// Host (with port) and path. Without a path, the path is the root.
fn split_path(text: &str) -> (&str, &str) {
    match text.find('/').and_then(|slash| text.split_at_checked(slash)) {
        Some(parts) => parts,
        None => (text, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &RefererPattern, referer: &[u8]) -> bool {
        let mut packed = Vec::new();
        pattern.pack(&mut packed);
        Referer::parse(referer).is_some_and(|referer| referer.fits(&packed))
    }

    #[test]
    fn a_pattern_with_a_piece_between_two_stars_needs_a_search() {
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
            ("www.example.com/a*b*c", "https://www.example.com/axbxc", true),
            ("www.example.com/a*b*c", "https://www.example.com/axcxb", false),
            ("www.example.com/a*b*bc", "https://www.example.com/abc", false),
            ("www.example.com/a*b*", "https://www.example.com/éab", false),
            ("www.example.com/é*b*", "https://www.example.com/éab", true),
            ("www.example.com/aa*a", "https://www.example.com/aa", false),
            ("*.example.*/x", "https://a.example.test/x", true),
            ("*.example.*/x", "https://a.example/x", false),
            ("*", "https://anything.test/", true),
            ("*", "https://anything.test/page", false),
            ("*/*", "https://anything.test/page", true),
            ("*/*", "", false),
            ("*/*", "https:///page", false),
        ] {
            let parsed = RefererPattern::parse(pattern).unwrap();
            let mut packed = Vec::new();
            parsed.pack(&mut packed);
            assert_eq!(RefererPattern::unpack(&packed), Some(parsed.clone()));
            assert_eq!(matches(&parsed, referer.as_bytes()), expected, "{pattern} {referer}");
        }
        let pattern = RefererPattern::parse("*/*").unwrap();
        assert!(!matches(&pattern, b"https://a.test/\xff"));
        assert!(!matches(&pattern, format!("https://a.test/{}", "a".repeat(MAX_REFERER_BYTES)).as_bytes()));
    }

    #[test]
    fn an_invalid_pattern_is_refused() {
        for pattern in ["", "/path", "a b/", "a\\b", "user@host/", "*********/", &"a".repeat(MAX_PATTERN_BYTES + 1)] {
            assert_eq!(RefererPattern::parse(pattern), None, "{pattern}");
        }
    }
}
