//! Tests of how paths are read, which paths are refused, and which paths a pattern matches.

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
        ("/a%3b/c", "/a%3B/c"),
        ("/a/;x", "/a/;x"),
        ("/;", "/;"),
        ("/a..%20b", "/a..%20b"),
        ("/%20..", "/%20.."),
        ("/a..%20/b", "/a..%20/b"),
        // Fraction slash, division slash, ellipsis and ideographic full stop are characters of their own.
        ("/1\u{2044}2", "/1%E2%81%842"),
        ("/%e2%88%95", "/%E2%88%95"),
        ("/\u{2026}", "/%E2%80%A6"),
        ("/%ef%bd%a1", "/%EF%BD%A1"),
        ("/%c0%80", "/%C0%80"),
        ("/%bc%8f", "/%BC%8F"),
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
        // The digits after the `%` are escaped too. After decoding this is an escape all the same.
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
        "/a/..%3b/b",
        "/a/..%3Bx",
        "/a/%2e%2e%3b/b",
        "/a/..%20/b",
        "/a/..%20",
        "/a/.. /b",
        "/a/..%20%20/b",
        "/a/..%20;x/b",
        "/a/.%20/b",
        "/a/..%20x",
        "/a/..%20%a0",
        "/a/..%20.",
        "/a/..%c2%a0/b",
        "/a/.%e3%80%80",
        "/a/..%e2%80%83;x/b",
        // A server that drops parameters reads two slashes.
        "/;x/a",
        "/a/;/b",
        "/a/%3b/b",
        "/a/%3Bx;y/b",
        // Fullwidth characters, and overlong encodings.
        "/a\u{ff0f}b",
        "/a%ef%bc%8fb",
        "/a%EF%BC%8Fb",
        "/a/%ef%bc%8e%ef%bc%8e/b",
        "/a%ef%bc%bcb",
        "/a\u{fe68}b",
        "/a/\u{fe52}\u{fe52}/b",
        "/a/\u{2025}/b",
        "/a/\u{2024}\u{2024}/b",
        "/a%c0%afb",
        "/a/%c0%ae%c0%ae/b",
        "/a%c1%9cb",
        "/a%e0%80%afb",
        "/a%f0%80%80%afb",
        "http://host/a",
    ] {
        check(target, None);
    }
}

#[test]
fn parameters_are_dropped_all_and_only_those_that_are_raw() {
    for (target, readings) in [
        ("/a/b", &[][..]),
        ("/a?;x", &[]),
        ("/a;/b", &["/a/b", "/a/b"]),
        ("/a;v=1/b;w", &["/a/b", "/a/b"]),
        ("/a%3bv/b", &["/a/b", "/a%3Bv/b"]),
        ("/a%3bv;w/b;x%3by", &["/a/b", "/a%3Bv/b"]),
        ("/a/;x", &["/a/", "/a/"]),
        ("/;", &["/", "/"]),
    ] {
        let path = RequestPath::parse(target.as_bytes()).unwrap();
        let found: Vec<_> = path.without_parameters().collect();
        let texts: Vec<_> = found.iter().map(|path| std::str::from_utf8(path.as_bytes()).unwrap()).collect();
        assert_eq!(texts, readings, "{target}");
        assert_eq!(path.has_parameters(), !readings.is_empty(), "{target}");
        for path in &found {
            assert_eq!(RequestPath::parse(path.as_bytes()).unwrap().as_bytes(), path.as_bytes(), "{target}");
        }
    }
}

#[test]
fn a_prefix_has_no_slash_at_its_end() {
    for (path, expected) in [("/", Some("")), ("/a", Some("/a")), ("/a/", Some("/a")), ("/%61", Some("/a"))] {
        let found = PathPrefix::parse(path);
        assert_eq!(found.as_ref().map(|prefix| std::str::from_utf8(prefix.as_bytes()).unwrap()), expected);
    }
    for path in [
        "",
        "a",
        "/a?b",
        "/a b",
        "/a/*",
        "/{a}",
        "/a}",
        "/a//b",
        "/a/../b",
        &format!("/{}", "a".repeat(MAX_PREFIX_BYTES)),
    ] {
        assert_eq!(PathPrefix::parse(path), None, "{path}");
    }
}

#[test]
fn a_path_that_skips_the_slow_way_reads_the_same_in_it() {
    for number in 0..7usize.pow(7) {
        let mut rest = number;
        let mut next = || {
            let byte = b"/.a;%2?"[rest % 7];
            rest /= 7;
            byte
        };
        let whole: Vec<u8> = (0..7).map(|_| next()).collect();
        let target = Target::new(&whole);
        let looked_at_twice = RequestPath::of(Target { is_plain: false, ..target });
        assert!(!target.is_plain || RequestPath::of(target) == looked_at_twice, "{}", whole.escape_ascii());
        assert_eq!(target.path, whole.split(|&byte| byte == b'?').next().unwrap(), "{}", whole.escape_ascii());
    }
}
