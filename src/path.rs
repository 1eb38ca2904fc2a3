//! Paths of requests and of API prefixes, in the one form in which they are compared.
//!
//! Two parties read a path: keygate, to know the API, and the upstream. Where they could disagree (encoded slashes,
//! dot segments, double encoding, …) the path is refused rather than guessed. What is left is brought into one form:
//! escapes of unreserved characters undone once (RFC 3986, 6.2.2.2), other escapes in upper case (6.2.2.1), and bytes
//! that may not stand in a path escaped. Queries are not looked at here.
//!
//! Path parameters (`;…` in a segment, RFC 3986, 3.3) are legal, and some upstreams drop them before they choose what to
//! serve. So a path that has any is more than one path: [`RequestPath::without_parameters`] gives the other readings, and
//! the decision refuses the request where they do not agree.

use std::borrow::Cow;

use crate::digest::hex_digit;

/// Bytes of an API's path prefix. Finding an API looks at one prefix of the request's path per segment up to this.
pub const MAX_PREFIX_BYTES: usize = 1024;
/// Segments of an API's path prefix. A request's path is looked up once for each that a prefix may have: 64 look-ups of some 200
/// ns, and what was found is held against at most 32 suffixes of the host, of some 15 ns each: 0.05 ms.
pub const MAX_PREFIX_SEGMENTS: usize = 64;

/// A request's path without its query, in the form in which paths are compared. Begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'a> {
    path: Cow<'a, [u8]>,
    /// Some segment has path parameters, raw or escaped.
    has_parameters: bool,
}

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
    /// The path needs no second look, as nearly all: it begins with a slash, its bytes may stand in a path, it has no path
    /// parameters, and behind no slash is another one or a dot.
    is_plain: bool,
}

impl<'a> Target<'a> {
    /// Takes it apart.
    pub fn new(whole: &'a [u8]) -> Self {
        let starts_well = whole.first() == Some(&b'/');
        let (mut before, mut amiss) = (PLAIN, 0);
        for (index, &byte) in whole.iter().enumerate() {
            let class = PATH_BYTES.get(usize::from(byte)).copied().unwrap_or(OTHER);
            if class == QUESTION {
                let (path, rest) = whole.split_at_checked(index).unwrap_or_default();
                let query = rest.split_first().map(|(_, query)| query);
                return Self { whole, path, query, is_plain: starts_well && amiss == 0 };
            }
            // A shift makes the bit of dots of the slash before this byte.
            amiss |= class & (before >> 1 | OTHER);
            before = class;
        }
        Self { whole, path: whole, query: None, is_plain: starts_well && amiss == 0 }
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
            return Ok(Self { path: Cow::Borrowed(path), has_parameters: false });
        }
        if path.first() != Some(&b'/') {
            return Err(AmbiguousPath);
        }
        let path = canonical(path)?;
        let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
        let mut has_parameters = false;
        while let Some(segment) = segments.next() {
            let name = name_of(segment, Parameters::Any);
            // An empty name becomes `//` for a server that drops parameters, so only the last segment may have one.
            if is_dot_segment(name) || name.is_empty() && segments.peek().is_some() {
                return Err(AmbiguousPath);
            }
            has_parameters |= name.len() < segment.len();
        }
        if path.windows(5).any(is_escaped_escape) {
            return Err(AmbiguousPath);
        }
        Ok(Self { path, has_parameters })
    }

    /// Whether some segment has path parameters, so that the path has other readings.
    pub fn has_parameters(&self) -> bool {
        self.has_parameters
    }

    /// The path as servers read it that drop path parameters. Some decode the path first and drop all of them; others drop
    /// first, and `%3B` stays. None of these readings is ambiguous in itself: [`RequestPath::of`] has seen to that.
    pub fn without_parameters(&self) -> impl Iterator<Item = RequestPath<'static>> + '_ {
        let kinds = if self.has_parameters { &[Parameters::Any, Parameters::Raw][..] } else { &[] };
        kinds.iter().map(|kind| {
            let segments: Vec<_> = self.path.split(|&byte| byte == b'/').map(|one| name_of(one, *kind)).collect();
            RequestPath { path: Cow::Owned(segments.join(&b'/')), has_parameters: false }
        })
    }

    /// The bytes, beginning with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// What stands behind a prefix of so many bytes.
    pub fn below(&self, prefix: usize) -> &[u8] {
        self.path.get(prefix..).unwrap_or_default()
    }
}

/// Which path parameters a server sees.
#[derive(Clone, Copy)]
enum Parameters {
    /// Those that begin with `;`.
    Raw,
    /// Those that begin with `;` or `%3B`.
    Any,
}

/// What stands in a segment before its parameters.
fn name_of(segment: &[u8], parameters: Parameters) -> &[u8] {
    let begins = |rest: &[u8]| match parameters {
        Parameters::Raw => rest.starts_with(b";"),
        Parameters::Any => rest.starts_with(b";") || rest.starts_with(b"%3B"),
    };
    let end = (0..segment.len()).find(|&at| segment.get(at..).is_some_and(begins));
    segment.get(..end.unwrap_or(segment.len())).unwrap_or_default()
}

/// What a byte of a target is. A slash has the bit of a dot too: behind a slash both need a second look.
const PLAIN: u8 = 0;
const DOT: u8 = 0b0001;
const SLASH: u8 = 0b0011;
const OTHER: u8 = 0b0100;
const QUESTION: u8 = 0b1000;

/// Every byte's meaning, found by one load.
const PATH_BYTES: &[u8; 256] = &{
    let mut bytes = [OTHER; 256];
    let mut byte = 0u8;
    loop {
        let (cell, _) = bytes.split_at_mut(byte as usize + 1);
        if let [.., cell] = cell {
            *cell = match byte {
                b'/' => SLASH,
                b'.' => DOT,
                b'?' => QUESTION,
                // A path that has path parameters is looked at twice.
                b';' => OTHER,
                byte if is_plain(byte) => PLAIN,
                _ => OTHER,
            };
        }
        if byte == u8::MAX {
            break bytes;
        }
        byte += 1;
    }
};

/// `.` and `..`, also before white space, which some file systems and frameworks cut off. What begins with `..` and an
/// escaped blank is taken for the same, whatever follows.
fn is_dot_segment(mut name: &[u8]) -> bool {
    if !name.starts_with(b".") {
        return false;
    }
    while let Some(rest) = BLANKS.iter().find_map(|blank| name.strip_suffix(*blank)) {
        name = rest;
    }
    matches!(name, b"." | b"..") || name.starts_with(b"..%20")
}

/// A blank, and those of other widths that a trim of white space takes too: no-break (UTF-8 and Latin-1), en quad to hair
/// space, narrow no-break, medium mathematical and ideographic.
const BLANKS: [&[u8]; 18] = [
    b"%20",
    b"%C2%A0",
    b"%A0",
    b"%E2%80%80",
    b"%E2%80%81",
    b"%E2%80%82",
    b"%E2%80%83",
    b"%E2%80%84",
    b"%E2%80%85",
    b"%E2%80%86",
    b"%E2%80%87",
    b"%E2%80%88",
    b"%E2%80%89",
    b"%E2%80%8A",
    b"%E2%80%AF",
    b"%E2%81%9F",
    b"%E3%80%80",
    b"%C2%85",
];

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
    // The last four bytes, decoded.
    let mut recent = 0u32;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escape = rest.split_first_chunk::<2>().filter(|_| byte == b'%');
        let decoded = match escape {
            Some((&[high, low], tail)) => {
                rest = tail;
                hex_digit(high).ok_or(AmbiguousPath)? << 4 | hex_digit(low).ok_or(AmbiguousPath)?
            }
            None if byte == b'%' => return Err(AmbiguousPath),
            None => byte,
        };
        recent = recent << 8 | u32::from(decoded);
        // An escaped slash is a slash to some, and a raw `#` ends the path for some.
        let ends = decoded == if escape.is_some() { b'/' } else { b'#' };
        if ends || matches!(decoded, b'\\' | 0..0x20 | 0x7f) || is_slash_or_dot_in_disguise(recent) {
            return Err(AmbiguousPath);
        }
        if is_unreserved(decoded) || escape.is_none() && is_plain(decoded) {
            out.push(decoded);
        } else {
            push_escape(&mut out, decoded);
        }
    }
    Ok(Cow::Owned(out))
}

/// Whether these bytes end in a slash, a backslash or a dot in another width: as a character of Unicode that compatibility
/// forms fold into it, or as UTF-8 with more bytes than it needs, which is invalid but was read by some.
fn is_slash_or_dot_in_disguise(bytes: u32) -> bool {
    let two = bytes & 0xffff;
    let three = bytes & 0xff_ffff;
    // U+FF0F, U+FF3C, U+FF0E; small: U+FE68, U+FE52; one and two dots of a leader: U+2024, U+2025.
    matches!(three, 0xef_bc8f | 0xef_bcbc | 0xef_bc8e | 0xef_b9a8 | 0xef_b992 | 0xe2_80a4 | 0xe2_80a5)
        // `/`, `\` and `.` in two, three and four bytes.
        || matches!(two, 0xc0af | 0xc19c | 0xc0ae)
        || matches!(three, 0xe0_80af | 0xe0_819c | 0xe0_80ae)
        || matches!(bytes, 0xf080_80af | 0xf080_819c | 0xf080_80ae)
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
    /// Whether `path` is written as no request's path can be meant: a template, or with a blank or a query.
    pub fn never_applies(path: &str) -> bool {
        path.contains(['{', '}', '*', ' ', '?'])
    }

    /// Reads a match's `path`. `None`: no absolute path, too long, one that can never apply, or one that could be read two
    /// ways.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PREFIX_BYTES || Self::never_applies(path) {
            return None;
        }
        let RequestPath { path, .. } = RequestPath::parse(path.as_bytes()).ok()?;
        let trimmed = path.strip_suffix(b"/").unwrap_or(&path);
        Some(Self(trimmed.to_vec()))
    }

    /// How many segments it has.
    pub fn segments(&self) -> usize {
        self.0.iter().filter(|&&byte| byte == b'/').count()
    }

    /// The bytes, without a slash at the end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
