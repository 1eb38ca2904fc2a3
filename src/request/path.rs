//! Paths of requests and of API prefixes, in the one form in which they are compared.
//!
//! Both keygate and the upstream read a path. If they could read it differently (encoded slashes, dot segments, double
//! encoding, …), keygate refuses the path and does not guess. All other paths are brought into one form: escapes of
//! unreserved characters are decoded once (RFC 3986, 6.2.2.2), other escapes are in upper case (6.2.2.1), and bytes
//! that a path may not contain are escaped. This file does not look at queries.
//!
//! Path parameters (`;…` in a segment, RFC 3986, 3.3) are legal, but some upstreams drop them before they choose what
//! to serve. So a path with parameters has more than one reading. [`RequestPath::without_parameters`] gives the other
//! readings, and the decision refuses the request if the readings disagree.

use std::borrow::Cow;

use crate::digest::hex_digit;

/// Size limit of an API's path prefix in bytes.
pub const MAX_PREFIX_BYTES: usize = 1024;
/// Segments of an API's path prefix. A request's path is looked up once per segment that a prefix may have: 64 look-ups
/// of some 200 ns. Each result is compared with at most 32 suffixes of the host, of some 15 ns each. Sum: 0.05 ms.
pub const MAX_PREFIX_SEGMENTS: usize = 64;

/// A request's path without its query, in the form in which paths are compared. It begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'a> {
    path: Cow<'a, [u8]>,
    /// Whether a segment has path parameters, raw or escaped.
    has_parameters: bool,
}

/// The path can be read in two ways, or it is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousPath;

/// The value of `:path`, scanned once. Every request pays for this scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub whole: &'a [u8],
    /// The part before the question mark.
    pub path: &'a [u8],
    /// The part after the question mark, if there is one.
    pub query: Option<&'a [u8]>,
    /// The path needs no further check; nearly all paths are like this. It begins with a slash, all its bytes may stand
    /// in a path, it has no path parameters, and no slash is followed by another slash or a dot.
    is_plain: bool,
}

impl<'a> Target<'a> {
    /// Splits the target.
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
            // The shift turns the slash bit of the previous byte into the dot bit. So a dot or a slash after a slash is
            // found.
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
            // If a server drops parameters, an empty name leaves `//`. So only the last segment may have an empty name.
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

    /// Whether a segment has path parameters, so that the path has other readings.
    pub fn has_parameters(&self) -> bool {
        self.has_parameters
    }

    /// The path as servers read it that drop path parameters. Some servers decode the path first and drop all
    /// parameters. Others drop first, so `%3B` remains. None of these readings is ambiguous in itself, because
    /// [`RequestPath::of`] has checked that.
    pub fn without_parameters(&self) -> impl Iterator<Item = RequestPath<'static>> + '_ {
        let kinds = if self.has_parameters { &[Parameters::Any, Parameters::Raw][..] } else { &[] };
        kinds.iter().map(|kind| {
            let segments: Vec<_> = self.path.split(|&byte| byte == b'/').map(|one| name_of(one, *kind)).collect();
            RequestPath { path: Cow::Owned(segments.join(&b'/')), has_parameters: false }
        })
    }

    /// The bytes. They begin with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// The part of the path after a prefix of this length.
    pub fn below(&self, prefix: usize) -> &[u8] {
        self.path.get(prefix..).unwrap_or_default()
    }
}

/// The path parameters that a server sees.
#[derive(Clone, Copy)]
enum Parameters {
    /// Parameters that begin with `;`.
    Raw,
    /// Parameters that begin with `;` or `%3B`.
    Any,
}

/// The part of a segment before its parameters.
fn name_of(segment: &[u8], parameters: Parameters) -> &[u8] {
    let begins = |rest: &[u8]| match parameters {
        Parameters::Raw => rest.starts_with(b";"),
        Parameters::Any => rest.starts_with(b";") || rest.starts_with(b"%3B"),
    };
    let end = (0..segment.len()).find(|&at| segment.get(at..).is_some_and(begins));
    segment.get(..end.unwrap_or(segment.len())).unwrap_or_default()
}

/// Class of a byte in a target. A slash also has the bit of a dot, because both need a check after a slash.
const PLAIN: u8 = 0;
const DOT: u8 = 0b0001;
const SLASH: u8 = 0b0011;
const OTHER: u8 = 0b0100;
const QUESTION: u8 = 0b1000;

const PATH_BYTES: &[u8; 256] = byte_table!(class_of);

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'/' => SLASH,
        b'.' => DOT,
        b'?' => QUESTION,
        // Path parameters need the slow check.
        b';' => OTHER,
        byte if is_plain(byte) => PLAIN,
        _ => OTHER,
    }
}

/// `.` and `..`, also before white space, because some file systems and frameworks cut off white space. A name that
/// begins with `..` and an escaped blank counts as `..`, whatever follows.
fn is_dot_segment(mut name: &[u8]) -> bool {
    if !name.starts_with(b".") {
        return false;
    }
    while let Some(rest) = BLANKS.iter().find_map(|blank| name.strip_suffix(*blank)) {
        name = rest;
    }
    matches!(name, b"." | b"..") || name.starts_with(b"..%20")
}

/// A blank, and the other blanks that a trim of white space removes: no-break (UTF-8 and Latin-1), en quad to hair
/// space, narrow no-break, medium mathematical and ideographic space.
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

/// Bytes that a path may contain unescaped: unreserved, sub-delims, `:`, `@` and the slash (RFC 3986, 3.3).
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
        // Some servers read an escaped slash as a slash, and some end the path at a raw `#`.
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

/// Whether these bytes end in another form of a slash, a backslash or a dot: a Unicode character whose compatibility form
/// is one of them, or overlong UTF-8, which is invalid but accepted by some decoders.
fn is_slash_or_dot_in_disguise(bytes: u32) -> bool {
    let two = bytes & 0xffff;
    let three = bytes & 0xff_ffff;
    // U+FF0F, U+FF3C, U+FF0E; small forms: U+FE68, U+FE52; one-dot and two-dot leader: U+2024, U+2025.
    matches!(three, 0xef_bc8f | 0xef_bcbc | 0xef_bc8e | 0xef_b9a8 | 0xef_b992 | 0xe2_80a4 | 0xe2_80a5)
        // Overlong `/`, `\` and `.` in two, three and four bytes.
        || matches!(two, 0xc0af | 0xc19c | 0xc0ae)
        || matches!(three, 0xe0_80af | 0xe0_819c | 0xe0_80ae)
        || matches!(bytes, 0xf080_80af | 0xf080_819c | 0xf080_80ae)
}

/// Whether these bytes of a canonical path are `%25` before two digits, which a second decoding would turn into an
/// escape. The check needs the canonical form, because the digits may have been escaped too.
fn is_escaped_escape(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"%25").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// The path of an API's match: a prefix that ends at a segment boundary. It has no slash at its end, so the root is
/// empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(Vec<u8>);

impl PathPrefix {
    /// Whether no request's path can match `path`, because it is a template or has a blank or a query.
    pub fn never_applies(path: &str) -> bool {
        path.contains(['{', '}', '*', ' ', '?'])
    }

    /// Reads a match's `path`. `None` if it is not absolute, is too long, can never apply, or can be read in two ways.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PREFIX_BYTES || Self::never_applies(path) {
            return None;
        }
        let RequestPath { path, .. } = RequestPath::parse(path.as_bytes()).ok()?;
        let trimmed = path.strip_suffix(b"/").unwrap_or(&path);
        Some(Self(trimmed.to_vec()))
    }

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
