//! Paths of requests and of API prefixes, in the one form in which they are compared.
//!
//! Two parties read a path: keygate, to know the API, and the upstream. Where they could disagree (encoded slashes,
//! dot segments, double encoding, …) the path is refused rather than guessed. What is left is brought into one form:
//! escapes of unreserved characters undone once (RFC 3986, 6.2.2.2), other escapes in upper case (6.2.2.1), and bytes
//! that may not stand in a path escaped. Queries are not looked at here.

use std::borrow::Cow;

use crate::policy::hex_digit;

/// Bytes of an API's path prefix. Finding an API looks at one prefix of the request's path per segment up to this.
pub const MAX_PREFIX_BYTES: usize = 1024;

/// A request's path without its query, in the form in which paths are compared. Begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'a>(Cow<'a, [u8]>);

/// The path could be read two ways, or is none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousPath;

/// The value of `:path`, gone through once: every request pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// What stands before the question mark.
    pub path: &'a [u8],
    /// What stands behind it, if there is one.
    pub query: Option<&'a [u8]>,
    /// The path needs no second look, as nearly all: it begins with a slash, its bytes may stand in a path, and behind no
    /// slash is another one or a dot.
    is_plain: bool,
}

impl<'a> Target<'a> {
    /// Takes it apart.
    pub fn new(whole: &'a [u8]) -> Self {
        let mut is_plain = whole.first() == Some(&b'/');
        let mut behind_slash = false;
        for (index, &byte) in whole.iter().enumerate() {
            match PATH_BYTES.get(usize::from(byte)) {
                Some(PathByte::Plain) => behind_slash = false,
                Some(PathByte::Dot) if !behind_slash => {}
                Some(PathByte::Slash) if !behind_slash => behind_slash = true,
                Some(PathByte::Question) => {
                    let (path, rest) = whole.split_at_checked(index).unwrap_or_default();
                    return Self { whole, path, query: rest.split_first().map(|(_, query)| query), is_plain };
                }
                _ => is_plain = false,
            }
        }
        Self { whole, path: whole, query: None, is_plain }
    }
}

impl<'a> RequestPath<'a> {
    /// Reads the path of a target.
    pub fn parse(target: &'a [u8]) -> Result<Self, AmbiguousPath> {
        Self::of(Target::new(target))
    }

    /// The path of a target.
    #[inline(always)]
    pub fn of(Target { path, is_plain, .. }: Target<'a>) -> Result<Self, AmbiguousPath> {
        if is_plain {
            return Ok(Self(Cow::Borrowed(path)));
        }
        if path.first() != Some(&b'/') {
            return Err(AmbiguousPath);
        }
        let path = canonical(path)?;
        let has_dots = path.split(|&byte| byte == b'/').skip(1).any(is_dot_segment);
        if has_dots || path.windows(2).any(|pair| pair == b"//") || path.windows(5).any(is_escaped_escape) {
            return Err(AmbiguousPath);
        }
        Ok(Self(path))
    }

    /// The bytes, beginning with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a byte of a target is.
#[derive(Clone, Copy)]
enum PathByte {
    Plain,
    Slash,
    Dot,
    Question,
    Other,
}

/// Every byte's meaning, found by one load.
const PATH_BYTES: &[PathByte; 256] = &{
    let mut bytes = [PathByte::Other; 256];
    let mut byte = 0u8;
    loop {
        let (cell, _) = bytes.split_at_mut(byte as usize + 1);
        if let [.., cell] = cell {
            *cell = match byte {
                b'/' => PathByte::Slash,
                b'.' => PathByte::Dot,
                b'?' => PathByte::Question,
                byte if is_plain(byte) => PathByte::Plain,
                _ => PathByte::Other,
            };
        }
        if byte == u8::MAX {
            break bytes;
        }
        byte += 1;
    }
};

/// `.` and `..`, also with the path parameters that some servers cut off before they resolve dots.
fn is_dot_segment(segment: &[u8]) -> bool {
    let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
    matches!(name, b"." | b"..")
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Bytes that may stand in a path as they are: unreserved, sub-delims, `:`, `@` and the slash (RFC 3986, 3.3).
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'/' | b'!' | b'$' | b'&'..=b',' | b':' | b';' | b'=' | b'@')
}

fn canonical(path: &[u8]) -> Result<Cow<'_, [u8]>, AmbiguousPath> {
    let Some(first) = path.iter().position(|&byte| !is_plain(byte)) else {
        return Ok(Cow::Borrowed(path));
    };
    let (done, mut rest) = path.split_at_checked(first).ok_or(AmbiguousPath)?;
    let mut out = done.to_vec();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (&[high, low], tail) = rest.split_first_chunk::<2>().ok_or(AmbiguousPath)?;
                rest = tail;
                let high = hex_digit(high).ok_or(AmbiguousPath)?;
                let low = hex_digit(low).ok_or(AmbiguousPath)?;
                match high << 4 | low {
                    b'/' | b'\\' | 0..0x20 | 0x7f => return Err(AmbiguousPath),
                    byte if is_unreserved(byte) => out.push(byte),
                    byte => push_escape(&mut out, byte),
                }
            }
            b'\\' | b'#' | 0..0x20 | 0x7f => return Err(AmbiguousPath),
            byte if is_plain(byte) => out.push(byte),
            byte => push_escape(&mut out, byte),
        }
    }
    Ok(Cow::Owned(out))
}

/// Whether these bytes of a path in its one form are `%25` before two digits: an escape for whoever decodes once more.
/// Only there digits that were escaped themselves are seen.
fn is_escaped_escape(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"%25").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// The path of an API's match: a prefix that ends on a segment boundary, without a slash at its end, so that the root is
/// empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(Vec<u8>);

impl PathPrefix {
    /// Reads a match's `path`. `None`: no absolute path, too long, with a query, or one that could be read two ways.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PREFIX_BYTES || path.contains('?') {
            return None;
        }
        let RequestPath(path) = RequestPath::parse(path.as_bytes()).ok()?;
        let trimmed = path.strip_suffix(b"/").unwrap_or(&path);
        Some(Self(trimmed.to_vec()))
    }

    /// The bytes, without a slash at the end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: Option<&str>) {
        let found = RequestPath::parse(target.as_bytes());
        assert_eq!(found.as_ref().ok().map(|path| std::str::from_utf8(path.as_bytes()).unwrap()), expected, "{target}");
    }

    #[test]
    fn a_path_has_one_form() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a?x=/../y", "/a"),
            ("/a?", "/a"),
            ("/%61%7e%2D%5f", "/a~-_"),
            ("/%c3%a9", "/%C3%A9"),
            ("/é", "/%C3%A9"),
            ("/a b", "/a%20b"),
            ("/a%20b", "/a%20b"),
            ("/%3a", "/%3A"),
            ("/:@!$&'()*+,;=", "/:@!$&'()*+,;="),
            ("/%25", "/%25"),
            ("/%25zz", "/%25zz"),
            ("/%25a", "/%25a"),
            ("/%25%61", "/%25a"),
            ("/%25%61g", "/%25ag"),
            ("/%25%c3%a9", "/%25%C3%A9"),
            ("/%25%3a1", "/%25%3A1"),
            ("/...", "/..."),
            ("/.a/b..", "/.a/b.."),
            ("/a;b/c", "/a;b/c"),
        ] {
            check(target, Some(expected));
        }
    }

    #[test]
    fn a_path_that_could_be_read_two_ways_is_refused() {
        for target in [
            "",
            "*",
            "a/b",
            "?a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/a\nb",
            "/a\u{7f}b",
            "//",
            "/a//b",
            "/./a",
            "/a/.",
            "/../a",
            "/a/..",
            "/%2e/a",
            "/a/%2E%2e",
            "/a/.%2e/b",
            "/%252e",
            "/%2541",
            // The digits behind it are escaped themselves: once decoded it is an escape all the same.
            "/%25%34%31",
            "/%25%32f",
            "/%252%66",
            "/%25%61f",
            "/a/%25%32%65%25%32%65/b",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%4g",
            "/a#b",
            "/..;x/a",
            "/a/.;/b",
            "http://host/a",
        ] {
            check(target, None);
        }
    }

    #[test]
    fn a_prefix_has_no_slash_at_its_end() {
        for (path, expected) in [("/", Some("")), ("/a", Some("/a")), ("/a/", Some("/a")), ("/%61", Some("/a"))] {
            let found = PathPrefix::parse(path);
            assert_eq!(found.as_ref().map(|prefix| std::str::from_utf8(prefix.as_bytes()).unwrap()), expected);
        }
        for path in ["", "a", "/a?b", "/a//b", "/a/../b", &format!("/{}", "a".repeat(MAX_PREFIX_BYTES))] {
            assert_eq!(PathPrefix::parse(path), None, "{path}");
        }
    }
}
