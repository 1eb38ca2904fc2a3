//! The URL of a request, split as a client splits it: the authority, and the path with its query.
//!
//! Nothing is normalised. The filter sees the bytes that a client sends, and may refuse them because of their form.

/// Maximum length of a URL, in bytes. Envoy takes 60 KiB of headers, and the URL is one of them.
pub const MAX_URL_BYTES: usize = 60 << 10;

/// The authority of a request whose URL is only a path, and that has no `host`.
pub const ANY_AUTHORITY: &str = "localhost";

/// The parts of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// `None` if the URL is only a path.
    pub authority: Option<&'a str>,
    /// The path and the query. Empty if the URL has neither.
    pub target: &'a str,
}

/// Why a text is no URL of a request. The messages never repeat the text, because its query may hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It is too long.
    #[error("expected at most {MAX_URL_BYTES} bytes")]
    TooLong,
    /// It is neither.
    #[error("expected a URL such as https://api.example.com/payments/1.0?x=1, or a path that begins with a slash")]
    NotAUrl,
    /// A client would not send this byte.
    #[error("it has a blank or a control character at byte {0}; a client escapes it, for example as %20")]
    NotEscaped(usize),
    /// A client sends these in a header.
    #[error("leave user and password out; a client sends them in the header `authorization`, as Basic")]
    UserInfo,
}

impl<'a> Url<'a> {
    /// Splits a URL. A fragment is dropped, because clients do not send it.
    pub fn parse(text: &'a str) -> Result<Self, InvalidUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidUrl::TooLong);
        }
        if let Some(place) = text.bytes().position(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(InvalidUrl::NotEscaped(place));
        }
        let text = text.split('#').next().unwrap_or_default();
        if text.starts_with('/') {
            return Ok(Self { authority: None, target: text });
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NotAUrl)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(InvalidUrl::NotAUrl)?;
        let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        if !is_http || authority.is_empty() {
            return Err(InvalidUrl::NotAUrl);
        }
        if authority.contains('@') {
            return Err(InvalidUrl::UserInfo);
        }
        Ok(Self { authority: Some(authority), target })
    }

    /// The value of `:path`.
    pub fn path(&self) -> String {
        // A client that asks for no path asks for the root.
        if self.target.starts_with('/') { self.target.to_owned() } else { format!("/{}", self.target) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_and_nothing_is_changed() {
        for (text, authority, path) in [
            ("https://api.example.com/payments/1.0", Some("api.example.com"), "/payments/1.0"),
            (
                "HTTP://API.example.com:8080/a//b/../c%2F?x=1&y=%3D#z",
                Some("API.example.com:8080"),
                "/a//b/../c%2F?x=1&y=%3D",
            ),
            ("http://[::1]:80", Some("[::1]:80"), "/"),
            ("http://a?x=1", Some("a"), "/?x=1"),
            ("/payments/1.0?x=http://b", None, "/payments/1.0?x=http://b"),
            ("//a/b", None, "//a/b"),
            ("/", None, "/"),
        ] {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.authority, &*url.path()), (authority, path), "{text}");
        }
    }

    #[test]
    fn a_text_that_no_client_sends_is_refused_without_repeating_it() {
        for (text, expected) in [
            ("", InvalidUrl::NotAUrl),
            ("payments/1.0", InvalidUrl::NotAUrl),
            ("ftp://a/b", InvalidUrl::NotAUrl),
            ("https:///b", InvalidUrl::NotAUrl),
            ("https://?apikey=secret", InvalidUrl::NotAUrl),
            ("https://a/b c", InvalidUrl::NotEscaped(11)),
            ("/a\nb", InvalidUrl::NotEscaped(2)),
            ("https://user:secret@a/b", InvalidUrl::UserInfo),
            (&"/".repeat(MAX_URL_BYTES + 1), InvalidUrl::TooLong),
        ] {
            assert_eq!(Url::parse(text), Err(expected), "{text}");
            assert!(!expected.to_string().contains("secret"));
        }
    }
}
