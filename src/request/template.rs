//! Path templates of a plan's operations. `*` or `{name}` matches one segment, `**` at the end matches any rest.

use super::path::{MAX_PREFIX_BYTES, RequestPath};
use crate::equal::equal;

/// Segments of a template. A path is split into at most one more.
pub const MAX_SEGMENTS: usize = 64;

/// The segments of a request's path behind the API's prefix, split once for all templates.
#[derive(Debug)]
pub struct Segments<'a> {
    /// The first segments, one more than a template can have.
    first: Vec<&'a [u8]>,
}

impl<'a> Segments<'a> {
    /// Splits the path behind the prefix.
    pub fn of(rest: &'a [u8]) -> Self {
        Self { first: segments(rest).take(MAX_SEGMENTS.saturating_add(1)).collect() }
    }
}

/// A template, relative to the prefix of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    any_rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Vec<u8>),
    Any,
}

impl PathTemplate {
    /// Reads a template. `None` if it is not an absolute path, is too long, has more than [`MAX_SEGMENTS`] segments,
    /// has `**` before the end or `*` or a brace within a segment, or has a blank or a query, which no path has.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_PREFIX_BYTES || text.contains(['?', ' ']) {
            return None;
        }
        let text = text.split('/').map(star_for_name).collect::<Option<Vec<_>>>()?.join("/");
        let path = RequestPath::parse(text.as_bytes()).ok()?;
        let mut parts: Vec<&[u8]> = segments(path.as_bytes()).collect();
        let any_rest = parts.last() == Some(&b"**".as_slice());
        if any_rest {
            parts.pop();
        }
        if parts.len() > MAX_SEGMENTS {
            return None;
        }
        let segments = parts.into_iter().map(Segment::parse).collect::<Option<_>>()?;
        Some(Self { segments, any_rest })
    }

    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Whether the template matches the path behind the API's prefix.
    pub fn matches(&self, rest: &Segments<'_>) -> bool {
        let given = &rest.first;
        let fits = if self.any_rest { given.len() >= self.segments.len() } else { given.len() == self.segments.len() };
        fits && self.segments.iter().zip(given).all(|(segment, given)| segment.matches(given))
    }
}

/// A segment with `*` for `{name}`. `None` if it has another brace.
fn star_for_name(segment: &str) -> Option<&str> {
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match inner.filter(|name| !name.is_empty()) {
        Some(name) if !name.contains(['{', '}']) => Some("*"),
        _ if segment.contains(['{', '}']) => None,
        _ => Some(segment),
    }
}

/// The segments after the first slash. The root has none.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    // `split` gives one empty segment for an empty path.
    path.split(|&byte| byte == b'/').skip(usize::from(path.is_empty()))
}

impl Segment {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"*" => Some(Self::Any),
            _ if text.contains(&b'*') => None,
            _ => Some(Self::Literal(text.to_vec())),
        }
    }

    fn matches(&self, given: &[u8]) -> bool {
        match self {
            Self::Any => !given.is_empty(),
            Self::Literal(text) => equal(text, given),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_is_one_segment_and_two_are_the_rest() {
        for (template, rest, expected) in [
            ("/", "", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/orders", "/orders", true),
            ("/orders", "/orders/", false),
            ("/orders", "/orders2", false),
            ("/orders", "/ORDERS", false),
            ("/orders/*", "/orders/7", true),
            ("/orders/*", "/orders", false),
            ("/orders/*", "/orders/", false),
            ("/orders/*", "/orders/7/items", false),
            ("/orders/*/items", "/orders/7/items", true),
            ("/orders/**", "/orders", true),
            ("/orders/**", "/orders/7/items", true),
            ("/orders/**", "/order", false),
            ("/**", "", true),
            ("/**", "/a/b", true),
            ("/%6frders", "/orders", true),
            ("/orders/{id}", "/orders/7", true),
            ("/orders/{id}", "/orders", false),
            ("/orders/{id}", "/orders/", false),
            ("/orders/{id}", "/orders/7/items", false),
            ("/{a}/{b-c}/items", "/x/y/items", true),
            ("/orders/{id}/**", "/orders/7/a/b", true),
            ("/orders/{*}", "/orders/7", true),
        ] {
            assert_eq!(
                PathTemplate::parse(template).unwrap().matches(&Segments::of(rest.as_bytes())),
                expected,
                "{template} {rest}"
            );
        }
    }

    #[test]
    fn a_template_has_at_most_so_many_segments_and_a_path_any_number() {
        let path = |segments: usize| "/a".repeat(segments);
        let matches = |template: &str, rest: &str| {
            PathTemplate::parse(template).map(|template| template.matches(&Segments::of(rest.as_bytes())))
        };
        assert_eq!(matches(&path(64), &path(64)), Some(true));
        assert_eq!(matches(&path(64), &path(65)), Some(false));
        assert_eq!(matches(&path(64), &path(4_000)), Some(false));
        assert_eq!(matches(&path(65), &path(65)), None);
        assert_eq!(matches(&(path(64) + "/**"), &path(4_000)), Some(true));
        assert_eq!(matches(&(path(64) + "/**"), &path(63)), Some(false));
        assert_eq!(matches(&(path(65) + "/**"), &path(65)), None);
    }

    #[test]
    fn an_invalid_template_is_refused() {
        for template in [
            "", "orders", "/**/a", "/a*", "/a/***", "/a//b", "/a?b", "/../a", "/a b", "/a{b}", "/{a}b", "/{}", "/{a",
            "/a}", "/{a}{b}", "/{{a}}",
        ] {
            assert_eq!(PathTemplate::parse(template), None, "{template}");
        }
    }
}
