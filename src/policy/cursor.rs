//! Cursors: the values of `next` and `poll` of a page, references to another page at the same authority.
//!
//! A cursor is either a query alone (`?since=42`) or an absolute path. A query alone is resolved against the path of
//! the request (RFC 3986, 5.2), so a policy service can run behind any path prefix. Nothing here decides when a cursor
//! is followed.

/// Size limit of `next` and `poll` in bytes. The manifest contains both, and it must stay within a few KiB.
pub const MAX_CURSOR_BYTES: usize = 2048;

/// Whether a text is a cursor. `//host/…` would leave the authority, and a control character would split a header.
pub fn is_cursor(text: &str) -> bool {
    let is_query = text.starts_with('?');
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\');
    (is_query || is_path) && is_plain && text.len() <= MAX_CURSOR_BYTES
}

/// The path that `cursor` leads to, if it came in the answer to a request for the path `asked`.
pub fn resolve(asked: &str, cursor: String) -> String {
    if !cursor.starts_with('?') {
        return cursor;
    }
    let (path, _) = asked.split_once('?').unwrap_or((asked, ""));
    format!("{path}{cursor}")
}

/// Replaces the last segment of a path and drops the query: `/a/usage` for `/a/policy?x`.
pub fn beside(path: &str, segment: &str) -> String {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let (folder, _) = path.rsplit_once('/').unwrap_or(("", path));
    format!("{folder}/{segment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_alone_goes_on_at_the_path_that_was_asked_and_an_absolute_path_replaces_it() {
        for (asked, cursor, expected) in [
            ("/v1/policy", "?since=4", "/v1/policy?since=4"),
            ("/keygate/v1/policy?since=3&x=/y", "?since=4", "/keygate/v1/policy?since=4"),
            ("/v1/policy?a?b", "?", "/v1/policy?"),
            ("/keygate/v1/policy", "/v1/policy?since=4", "/v1/policy?since=4"),
            ("/", "?a", "/?a"),
        ] {
            assert!(is_cursor(cursor), "{cursor}");
            assert_eq!(resolve(asked, cursor.to_owned()), expected, "{asked} {cursor}");
        }
    }

    #[test]
    fn a_cursor_is_a_query_or_an_absolute_path() {
        let long = format!("?{}", "x".repeat(MAX_CURSOR_BYTES));
        for text in [
            "",
            "x",
            "x?since=4",
            "./x",
            "../x",
            "//host/x",
            "http://host/x",
            "/a b",
            "?a\n",
            "?a#b",
            "/a\\b",
            "?ä",
            &long,
        ] {
            assert!(!is_cursor(text), "{text}");
        }
    }

    #[test]
    fn usage_is_reported_beside_the_policy() {
        for (path, expected) in [
            ("/v1/policy", "/v1/usage"),
            ("/keygate/v1/policy", "/keygate/v1/usage"),
            ("/policy?x=/y", "/usage"),
            ("/v1/policy/", "/v1/policy/usage"),
            ("/", "/usage"),
        ] {
            assert_eq!(beside(path, "usage"), expected, "{path}");
        }
    }
}
