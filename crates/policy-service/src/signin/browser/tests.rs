//! Requests of our own pages and of others.
#![allow(clippy::unwrap_used, reason = "tests")]

use axum::http::HeaderValue;

use super::*;

#[test]
fn a_request_of_another_site_is_told_from_our_own() {
    let public = Url::parse("https://keygate.example.com/prefix").unwrap();
    for (given, with_public, without) in [
        (&[][..], false, false),
        (&[("sec-fetch-site", "same-origin")], false, false),
        (&[("sec-fetch-site", "none")], false, false),
        (&[("sec-fetch-site", "same-site")], true, true),
        (&[("sec-fetch-site", "cross-site")], true, true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://keygate.example.com")], true, true),
        (&[("origin", "https://keygate.example.com"), ("host", "keygate.example.com")], false, false),
        (&[("origin", "https://keygate.example.com:443"), ("host", "keygate.example.com")], false, false),
        (&[("origin", "http://keygate.example.com"), ("host", "keygate.example.com")], true, false),
        (&[("origin", "http://127.0.0.1:8085"), ("host", "127.0.0.1:8085")], true, false),
        (&[("origin", "http://127.0.0.1:8086"), ("host", "127.0.0.1:8085")], true, true),
        (&[("origin", "https://evil.example.com"), ("host", "keygate.example.com")], true, true),
        (&[("origin", "null"), ("host", "keygate.example.com")], true, true),
        (&[("origin", "")], true, true),
    ] {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = given.iter().map(header).collect();
        assert_eq!(is_from_elsewhere(&headers, Some(&public)), with_public, "{given:?}");
        assert_eq!(is_from_elsewhere(&headers, None), without, "{given:?}");
    }
}

#[test]
fn a_field_counts_once() {
    for (text, expected) in [
        ("", Ok(None)),
        ("b=1", Ok(None)),
        ("a=", Ok(Some(""))),
        ("a=%C3%A4+b&b=2", Ok(Some("ä b"))),
        ("a=1&a=1", Err(Twice)),
        ("a=1&%61=2", Err(Twice)),
    ] {
        assert_eq!(field(text.as_bytes(), "a"), expected.map(|value| value.map(str::to_owned)), "{text}");
    }
}
