//! Places in the console: paths of pages, and the place to go back to after a sign-in.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where the console is, after the prefix of the service.
pub const CONSOLE: &str = "/console";
/// Maximum length of a place to go back to, in bytes. The longest page has two ids of 256 bytes in its path, each byte
/// escaped (3), and a cursor.
pub const MAX_PLACE_BYTES: usize = 6_144;

/// Characters that need no escape in a path (RFC 3986, unreserved).
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of these segments below `root`. Each is escaped.
pub fn below(root: &str, segments: &[&str]) -> String {
    let mut path = root.to_owned();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, &SEGMENT));
    }
    path
}

/// A query of these pairs, with its question mark. Pairs without a value are left out.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.extend(utf8_percent_encode(name, &SEGMENT));
        query.push('=');
        query.extend(utf8_percent_encode(value, &SEGMENT));
    }
    query
}

/// Whether a path is the console's or below it.
pub fn is_of_console(path: &str) -> bool {
    path.strip_prefix(CONSOLE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The place to go to after a sign-in, if it is a page of this console. Nobody is led to another site, or to a sign-out.
pub fn of_console(place: &str) -> Option<&str> {
    let rest = place.strip_prefix(CONSOLE).filter(|_| place.len() <= MAX_PLACE_BYTES)?;
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>#".contains(&byte));
    let path = rest.split('?').next().unwrap_or_default();
    let is_page = path.is_empty() || path.starts_with('/');
    let steps = ["/sign-in", "/sign-out", "/callback", "/static"];
    let is_step =
        steps.iter().any(|step| path == *step || path.strip_prefix(step).is_some_and(|it| it.starts_with('/')));
    (is_plain && is_page && !is_step && !path.contains("//") && !has_dots(path)).then_some(place)
}

/// Whether a path has a segment that browsers and proxies take for a step: `.` or `..`, also with escapes.
fn has_dots(path: &str) -> bool {
    let is_dots = |segment: &str| {
        let segment = segment.replace("%2e", ".").replace("%2E", ".");
        segment == "." || segment == ".."
    };
    path.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_what_its_segments_say() {
        assert_eq!(below("/console", &["apis", "a/b é?"]), "/console/apis/a%2Fb%20%C3%A9%3F");
        assert_eq!(query(&[("q", "a&b=c"), ("state", ""), ("cursor", "+")]), "?q=a%26b%3Dc&cursor=%2B");
        assert_eq!(query(&[]), "");
    }

    #[test]
    fn only_pages_of_the_console_are_gone_back_to() {
        for good in [
            "/console",
            "/console/apis",
            "/console?x=1",
            "/console/apis/a%2Fb?q=%C3%A9&state=BLOCKED",
            "/console/apis/a..b?q=../x",
        ] {
            assert_eq!(of_console(good), Some(good));
        }
        let long = format!("/console/{}", "a".repeat(MAX_PLACE_BYTES));
        for bad in [
            "",
            "/",
            "//example.com/console",
            "https://example.com/console",
            "/consolex",
            "/console//example.com",
            "/console/sign-out",
            "/console/sign-in?next=/console/sign-out",
            "/console/callback",
            "/console/static/x",
            "/console\\example.com",
            "/console/a b",
            "/console/a\r\nset-cookie: x",
            "/console/é",
            "/console/../v1/me",
            "/console/%2e%2E/v1/me",
            "/console/.%2e/v1/me",
            "/console/apis/./x",
            "/console/..",
            long.as_str(),
        ] {
            assert_eq!(of_console(bad), None, "{bad}");
        }
    }
}
