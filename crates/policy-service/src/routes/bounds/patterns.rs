//! Patterns of texts. [`TEXT`], [`NO_COLON`] and [`DIGEST`] are exactly the rule. The others say which characters are possible:
//! a pattern cannot say all that a parser of addresses or paths refuses.

/// An id, a name or an owner: no control character, and no white space at either end.
pub const TEXT: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"([^\u0000-\u001f\u007f-\u009f]*",
    r"[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?$"
);
/// HTTP Basic ends the user name at the first colon.
pub const NO_COLON: &str = "^[^:]*$";
/// SHA-256 in hexadecimal digits.
pub const DIGEST: &str = "^[0-9a-fA-F]{64}$";
/// An address, or a range in CIDR notation.
pub const ADDRESS: &str = "^[0-9a-fA-F:.]{2,45}(/[0-9]{1,3})?$";
/// A host, or `*.` and a domain. The port may be empty.
pub const HOST: &str = r"^(\*\.)?([0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?|\[[0-9a-fA-F:.]{2,45}\])(:[0-9]{0,5})?$";
/// The path of a match.
pub const PREFIX: &str = r"^/[^\u0000-\u0020*?{}#\\\u007f]*$";
/// The path of an operation.
pub const TEMPLATE: &str = r"^/[^\u0000-\u0020?#\\\u007f]*$";
/// A host and a path.
pub const REFERER: &str = r"^[^\u0000-\u0020\\\u007f]+$";
/// Base64 in its form for URLs, without padding.
pub const BASE64: &str = "^[0-9A-Za-z_-]+$";
/// A number.
pub const DIGITS: &str = "^[0-9]+$";
/// A time of RFC 3339.
pub const RFC_3339: &str =
    concat!(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}", r"(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$");
/// A method, or the name of a header (RFC 9110, 5.6.2).
pub const TOKEN: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// The value of a header.
pub const HEADER_VALUE: &str = r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$";
/// A URL of HTTP, or only a path.
pub const URL: &str = concat!(
    r"^([hH][tT][tT][pP][sS]?://[^\u0000-\u0020\u007f/?#@]+([/?#][^\u0000-\u0020\u007f]*)?",
    r"|/[^\u0000-\u0020\u007f]*)$"
);
/// Visible ASCII characters.
pub const VISIBLE: &str = "^[!-~]+$";
/// A method.
pub const METHOD: &str = "^[A-Z]+$";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use explain::{
        request::{is_name, is_of_a_value},
        url::Url,
    };
    use keygate::{
        digest::Digest,
        policy::{Text, ip_range::parse_range},
        request::{hostname::HostPattern, path::PathPrefix, referer::RefererPattern, template::PathTemplate},
    };
    use serde_json::json;

    use super::*;

    fn characters() -> impl Iterator<Item = char> {
        (0..=0xffff_u32).filter_map(char::from_u32)
    }

    fn matching(pattern: &str) -> impl Fn(&str) -> bool {
        let validator = jsonschema::options().build(&json!({"pattern": pattern})).unwrap();
        move |text| validator.is_valid(&json!(text))
    }

    #[test]
    fn a_request_to_explain_is_what_a_client_can_send() {
        let [is_token, is_value, is_url] = [TOKEN, HEADER_VALUE, URL].map(matching);
        for one in characters() {
            for text in [format!("{one}"), format!("{one}b"), format!("a{one}b")] {
                assert_eq!(is_token(&text), is_name(&text), "{text:?}");
                assert_eq!(is_value(&text), text.bytes().all(is_of_a_value), "{text:?}");
            }
            for text in [format!("/{one}"), format!("http://{one}"), format!("HTTPs://a{one}b"), format!("h{one}://a")]
            {
                assert_eq!(is_url(&text), Url::parse(&text).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_text_is_what_the_filter_takes() {
        let is_text = matching(TEXT);
        for one in characters() {
            for text in [format!("{one}"), format!("{one}b"), format!("a{one}"), format!("a{one}b")] {
                assert_eq!(is_text(&text), Text::new(&*text).is_ok(), "{text:?}");
            }
        }
    }

    /// One character of each kind in the middle and at the end.
    #[test]
    fn a_pattern_has_the_characters_that_the_filter_takes() {
        type Case = (&'static str, &'static str, &'static str, fn(&str) -> bool, &'static str);
        let cases: [Case; 6] = [
            (
                "a digest",
                DIGEST,
                "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABC",
                |text| Digest::from_hex(text).is_some(),
                "",
            ),
            ("a host", HOST, "h.example", |text| HostPattern::parse(text).is_some(), ""),
            ("a suffix", HOST, "*.example", |text| HostPattern::parse(text).is_some(), ""),
            // An escape may follow a percent sign.
            ("a prefix", PREFIX, "/a/b", |text| PathPrefix::parse(text).is_some(), "%"),
            // Braces and stars are for whole segments.
            ("a template", TEMPLATE, "/a/b", |text| PathTemplate::parse(text).is_some(), "%{}*"),
            ("a referer", REFERER, "a.example/b", |text| RefererPattern::parse(text).is_some(), "@"),
        ];
        for (name, pattern, base, takes, in_words) in cases {
            let is_possible = matching(pattern);
            for one in characters().filter(|one| !in_words.contains(*one)) {
                let (begin, end) = base.split_at(base.len() / 2);
                for text in [format!("{base}{one}"), format!("{begin}{one}{end}")] {
                    let is_taken = takes(&text);
                    assert!(is_possible(&text) || !is_taken, "{name}: {text:?} is taken");
                    // Two dots or slashes together, a colon in a host, and what looks like a dot or a slash, are said in words.
                    let is_said = text.contains("..") || text.contains("//") || one == ':' || !one.is_ascii();
                    assert!(!is_possible(&text) || is_taken || is_said, "{name}: {text:?} is refused");
                }
            }
        }
    }

    #[test]
    fn an_address_has_a_possible_form() {
        let is_possible = matching(ADDRESS);
        for text in [
            "192.0.2.1",
            "192.0.2.0/24",
            "::",
            "::/0",
            "2001:db8::1/128",
            "::ffff:192.0.2.1",
            "1111:2222:3333:4444:5555:6666:255.255.255.255",
        ] {
            assert!(parse_range(text).is_some() && is_possible(text), "{text}");
        }
        for text in ["", "1", "localhost", "192.0.2.1/", "192.0.2.1/1111", "::1%eth0", "[::1]", " ::1"] {
            assert!(parse_range(text).is_none() && !is_possible(text), "{text}");
        }
        let is_host = matching(HOST);
        for text in ["h:", "h:80", "h.:80", "[::1]", "[::1]:443", "*.example.org:8080", "1.2.3.4"] {
            assert!(HostPattern::parse(text).is_some() && is_host(text), "{text}");
        }
        for text in ["", ".", "h:123456", "h:x", "*", "*.", "::1", "[h]", "a b", "h/"] {
            assert!(HostPattern::parse(text).is_none() && !is_host(text), "{text}");
        }
    }
}
