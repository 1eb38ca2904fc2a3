//! Tests of the index of APIs against the plain rule that it implements, and of several rows for one thing.

use super::*;
use crate::{credential::tests::Random, policy::page::Page};

fn catalogue(page: &str) -> Catalogue {
    let page = Page::scan(format!(r#"{{"format": 1, {page}}}"#).into_bytes()).unwrap();
    Catalogue::new(page.catalogue)
}

/// The rule without an index. Of all APIs that match, the most specific host wins (exact, longest wildcard, any), then
/// the longest path, then the smallest id.
fn plainly(rows: &[(String, Option<&str>, &str)], host: &str, path: &str) -> Option<String> {
    let rank = |pattern: Option<&str>| match pattern {
        None => Some(0),
        Some(pattern) if pattern == host => Some(usize::MAX),
        Some(pattern) => {
            let suffix = pattern.strip_prefix('*')?;
            (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len())
        }
    };
    let matching = rows.iter().filter_map(|(id, pattern, prefix)| {
        let prefix = prefix.trim_end_matches('/');
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(())?;
        Some((rank(*pattern)?, prefix.len(), std::cmp::Reverse(id.clone())))
    });
    matching.max().map(|(_, _, std::cmp::Reverse(id))| id)
}

#[test]
fn the_index_finds_what_the_rule_says() {
    let hosts = [None, Some("a.b"), Some("x.a.b"), Some("*.b"), Some("*.a.b"), Some("*.x.a.b"), Some("c")];
    let paths = ["/", "/p", "/p/", "/p/q", "/p/q/r", "/pp", "/q"];
    let mut random = Random(3);
    let mut found_some = 0;
    for _ in 0..500 {
        let rows: Vec<(String, Option<&str>, &str)> = (0..random.below(9))
            .map(|_| (random.below(1000), hosts[random.below(hosts.len())], paths[random.below(paths.len())]))
            .map(|(id, host, path)| (format!("api-{id}"), host, path))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        let rows: Vec<_> = rows.into_iter().filter(|(id, ..)| seen.insert(id.clone())).collect();
        let apis: Vec<_> = rows
            .iter()
            .map(|(id, host, path)| match host {
                Some(host) => format!(r#"{{"id": "{id}", "match": [{{"hosts": ["{host}"], "path": "{path}"}}]}}"#),
                None => format!(r#"{{"id": "{id}", "match": [{{"path": "{path}"}}]}}"#),
            })
            .collect();
        let catalogue = catalogue(&format!(r#""apis": [{}]"#, apis.join(",")));
        for host in ["a.b", "x.a.b", "y.x.a.b", "b", "c", "z.b", "za.b", "nobody"] {
            for path in ["/", "/p", "/p/", "/p/q", "/p/q/s", "/p/q/r/", "/pp", "/ppp", "/q/r"] {
                let request = RequestPath::parse(path.as_bytes()).unwrap();
                let found = catalogue.find(&Host::parse(host.as_bytes()).unwrap(), &request);
                let expected = plainly(&rows, host, path);
                assert_eq!(found.map(|found| found.api.id.as_str().to_owned()), expected, "{host}{path} in {rows:?}");
                found_some += usize::from(expected.is_some());
            }
        }
    }
    assert!(found_some > 5_000, "{found_some}");
}

#[test]
fn of_two_rows_for_the_same_thing_the_last_counts() {
    let catalogue = catalogue(
        r#""apis": [{"id": "a", "match": [{"path": "/old"}]}, {"id": "b"}, {"id": "a", "match": [{"path": "/new"}]}],
           "plans": [{"id": "p", "operations": []}, {"id": "p"}],
           "deny_policies": [{"id": "d", "type": "API", "value": "a"}, {"id": "d", "type": "API", "value": "b"}]"#,
    );
    let find = |path: &str| {
        catalogue.find(&Host::parse(b"host").unwrap(), &RequestPath::parse(path.as_bytes()).unwrap()).is_some()
    };
    assert_eq!((find("/old"), find("/new"), catalogue.api_count()), (false, true, 2));
    assert_eq!(catalogue.plan(b"p").unwrap().operations, None);
    let denies = |api| catalogue.denies(b"", api, None, || None);
    assert_eq!((denies("a"), denies("b")), (false, true));
}

#[test]
fn of_two_apis_with_one_match_the_smaller_id_is_used_and_reported() {
    for ids in [["b", "c", "a"], ["a", "b", "c"], ["c", "b", "a"]] {
        let apis = ids.map(|id| format!(r#"{{"id": "{id}", "match": [{{"path": "/x"}}]}}"#));
        let catalogue = catalogue(&format!(r#""apis": [{}]"#, apis.join(",")));
        let found = catalogue.find(&Host::parse(b"host").unwrap(), &RequestPath::parse(b"/x").unwrap()).unwrap();
        assert_eq!(found.api.id.as_str(), "a", "{ids:?}");
        assert_eq!(catalogue.conflicts().len(), 2, "{ids:?}");
        assert!(catalogue.conflicts().iter().all(|conflict| conflict.meant < conflict.shadowed), "{ids:?}");
    }
}

#[test]
fn the_address_is_read_only_if_a_rule_needs_it() {
    let asked = std::cell::Cell::new(0_usize);
    let ask = || {
        asked.set(asked.get().saturating_add(1));
        None
    };
    let rows = |rows: &str| catalogue(&format!(r#""deny_policies": [{rows}]"#));
    assert!(!rows("").denies(b"app", "api", None, ask));
    assert!(!rows(r#"{"id": "d", "type": "APPLICATION", "value": "x"}"#).denies(b"app", "api", None, ask));
    assert_eq!(asked.get(), 0);
    let several = r#"{"id": "d", "type": "IP", "value": "192.0.2.1"}, {"id": "e", "type": "IP", "value": "192.0.2.2"}"#;
    assert!(rows(several).denies(b"app", "api", None, ask));
    assert_eq!(asked.get(), 1);
}

#[test]
fn the_deepest_prefix_and_the_longest_suffix_are_found_however_deep_the_request_is() {
    let (deepest, suffix) = ("/a".repeat(64), ".a".repeat(32));
    let catalogue = catalogue(&format!(
        r#""apis": [
            {{"id": "deep", "match": [{{"path": "{deepest}"}}]}},
            {{"id": "long", "match": [{{"path": "/{}"}}]}},
            {{"id": "host", "match": [{{"hosts": ["*{suffix}"], "path": "/"}}]}}]"#,
        "l".repeat(1_000)
    ));
    let found = |host: &str, path: &str| {
        let (host, path) = (Host::parse(host.as_bytes()).unwrap(), RequestPath::parse(path.as_bytes()).unwrap());
        catalogue.find(&host, &path).map(|found| (found.api.id.as_str().to_owned(), found.prefix))
    };
    for (host, path, expected) in [
        ("h".to_owned(), "/a".repeat(63), None),
        ("h".to_owned(), deepest.clone(), Some(("deep", 128))),
        ("h".to_owned(), format!("{deepest}/"), Some(("deep", 128))),
        ("h".to_owned(), "/a".repeat(4_000), Some(("deep", 128))),
        ("h".to_owned(), format!("{deepest}b"), None),
        ("h".to_owned(), format!("/{}/{}", "l".repeat(1_000), "x/".repeat(500)), Some(("long", 1_001))),
        (format!("h{suffix}"), "/".to_owned(), Some(("host", 0))),
        (format!("h{suffix}{suffix}"), "/".to_owned(), Some(("host", 0))),
        (format!("h{}", ".a".repeat(31)), "/".to_owned(), None),
    ] {
        let expected = expected.map(|(id, prefix)| (id.to_owned(), prefix));
        assert_eq!(found(&host, &path), expected, "{host} {path}");
    }
}
