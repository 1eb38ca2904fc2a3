//! Envoy's `api_key_auth`.

use convert::{Converted, Kind, Options, Row, convert};

use crate::support::{assert_hidden, golden, import_all, inputs, of_text, options, text};

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth";
const ROUTE_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute";

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_become_rows_that_the_import_takes() {
    for (name, secrets) in [
        ("alone", &["alice-first-key", "012345", "6f1ed002", "carol-key"][..]),
        ("bootstrap", &["root-key", "alice-key", "partner-key-"]),
        ("routes", &["root-key", "alice-key"]),
    ] {
        let converted = convert(Kind::Envoy, &inputs(&[&format!("envoy/{name}.yaml")]), &options());
        assert_hidden(&converted, secrets);
        let converted = converted.unwrap();
        golden(&format!("envoy-{name}.txt"), &text(&converted));
        assert_eq!(converted.errors, [], "{name}");
        import_all(&converted, &[]).await;
    }
}

#[test]
fn the_api_of_a_filter_without_routes_can_be_named() {
    let options = Options { api: Some("payments-1.0".to_owned()), ..options() };
    let converted = convert(Kind::Envoy, &inputs(&["envoy/alone.yaml"]), &options).unwrap();
    let apis: Vec<&str> = converted.rows.iter().filter(|row| row.word() == "api").map(Row::id).collect();
    assert_eq!(apis, ["payments-1.0"]);
}

/// A connection manager whose one virtual host has these routes, each with the clients that it allows.
fn manager(routes: &[(&str, Option<&str>)]) -> String {
    let mut text = format!(
        "http_filters:\n- name: k\n  typed_config:\n    '@type': {TYPE}\n    credentials:\n    - {{key: key-of-r, client: r}}\n    \
         - {{key: key-of-a, client: a}}\n    key_sources: [{{header: x-api-key}}]\nroute_config:\n  name: edge\n  \
         virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n"
    );
    for (found, clients) in routes {
        text.push_str(&format!("    - match: {found}\n      route: {{cluster: c}}\n"));
        if let Some(clients) = clients {
            text.push_str(&format!(
                "      typed_per_filter_config: {{k: {{'@type': {ROUTE_TYPE}, allowed_clients: {clients}}}}}\n"
            ));
        }
    }
    text
}

fn matches(converted: &Converted) -> Vec<String> {
    let of = |row: &Row| match row {
        Row::Api(api) => api.matches.iter().flatten().map(|found| format!("{} {}", row.id(), found.path)).collect(),
        _ => Vec::new(),
    };
    converted.rows.iter().flat_map(of).collect()
}

#[test]
fn a_match_is_made_only_where_it_opens_nothing() {
    let root = Some("[r]");
    let (segments, text) = ("{path_separated_prefix: /admin}", "{prefix: /admin}");
    let rest = ("{prefix: /}", None);
    // Two APIs by their matches.
    for routes in [
        &[(segments, root), rest][..],
        // Everything beside it is open to fewer.
        &[(text, None), ("{prefix: /}", root)],
        &[("{path: /admin}", root), ("{prefix: /}", root)],
        &[("{path: /admin}", root)],
        &[(text, root)],
        &[("{prefix: /admin/}", root), ("{prefix: /}", Some("[r, a]"))],
    ] {
        let converted = of_text(Kind::Envoy, &manager(routes)).unwrap();
        assert_eq!(matches(&converted).len(), routes.len(), "{routes:?}: {converted:?}");
        assert!(!converted.notes[0].contains("route_metadata"), "{routes:?}");
    }
    // No matches: a request could reach an API that is open to more.
    for routes in [
        &[(text, root), rest][..],
        &[("{prefix: /admin/}", Some("[a]")), ("{prefix: /}", root)],
        &[("{path: /admin}", Some("[a]")), ("{prefix: /}", root)],
        &[("{path: /admin}", root), (segments, None), rest],
        &[("{safe_regex: {regex: /admin}}", root), rest],
        &[("{path_separated_prefix: /admin, headers: [{name: x}]}", root), rest],
        &[("{path_separated_prefix: /admin, query_parameters: [{name: x}]}", root), rest],
        &[("{path_separated_prefix: /admin, case_sensitive: false}", root), rest],
        &[("{path_separated_prefix: '/a{b}'}", root), rest],
        &[("{path_separated_prefix: '/a//b'}", root), rest],
    ] {
        let converted = of_text(Kind::Envoy, &manager(routes)).unwrap();
        assert_eq!(matches(&converted), Vec::<String>::new(), "{routes:?}");
        assert!(converted.notes[0].contains("route_metadata"), "{routes:?}");
        assert!(!converted.losses.is_empty(), "{routes:?}");
        let note = &converted.notes[1];
        assert_eq!(note.matches("filter_metadata").count(), routes.len(), "{note}");
    }
}

#[test]
fn without_overrides_one_api_takes_all_requests() {
    for routes in [&[("{prefix: /a}", None), ("{safe_regex: {regex: x}}", None)][..], &[]] {
        let converted = of_text(Kind::Envoy, &manager(routes)).unwrap();
        assert_eq!(matches(&converted), ["edge /"], "{routes:?}");
        assert_eq!(converted.losses, []);
    }
}

#[test]
fn two_connection_managers_are_told_apart_by_their_plugins() {
    let one = manager(&[("{prefix: /}", None)]);
    let other = one.replace("edge", "other").replace("client: a", "client: b");
    let converted = of_text(Kind::Envoy, &format!("{one}---\n{other}")).unwrap();
    assert_eq!(matches(&converted), Vec::<String>::new());
    assert!(converted.notes[0].contains(r#""api": {"fixed":"edge"}"#), "{}", converted.notes[0]);
    assert!(converted.notes[1].contains(r#""api": {"fixed":"other"}"#), "{}", converted.notes[1]);
    // `r` has its key on both; the key of `a` and `b` is ambiguous, and refused.
    let keys: Vec<&str> = converted.rows.iter().filter(|row| row.word() == "key").map(Row::id).collect();
    assert_eq!(keys, ["r.1"]);
    assert!(converted.errors[0].to_string().contains(r#"the application "b", which is that of "a""#));
}

#[test]
fn wrong_keys_are_named_by_their_place_alone() {
    let of = |credentials: &str| format!("credentials: {credentials}\nkey_sources: [{{header: x}}]\n");
    for (credentials, said) in [
        ("[{key: 'zirkon ', client: a}]", "begins or ends with white space"),
        ("[{key: \"zirkon\\n\", client: a}]", "begins or ends with white space"),
        ("[{key: '', client: a}]", "an empty key"),
        ("[{key: 1234567890, client: a}]", "a text; put a number"),
        ("[{key: 0x12, client: a}]", "a text; put a number"),
        ("[{key: [zirkon], client: a}]", "found a list of 1; expected a text"),
        ("[{key: zirkon}]", "expected key and client"),
        ("[{client: a}]", "expected key and client"),
        ("[{key: zirkon, client: a}, {key: zirkon, client: b}]", "which is that of \"a\" at line 1"),
        ("[{key: zirkon, client: a}, {key: zirkon, client: a}]", "a key once"),
        ("[{key: \"zi\\x01rkon\", client: a}]", "a control character"),
    ] {
        let converted = of_text(Kind::Envoy, &of(credentials));
        assert_hidden(&converted, &["zirkon", "rkon"]);
        let converted = converted.unwrap();
        let errors: Vec<String> = converted.errors.iter().map(ToString::to_string).collect();
        assert!(errors.len() == 1 && errors[0].contains(said), "{credentials}: {errors:?}");
        assert!(converted.errors[0].line.is_some() && converted.errors[0].column.is_some());
        assert!(converted.rows.iter().all(|row| row.word() != "key"), "{credentials}");
    }
}

#[test]
fn what_is_no_yaml_or_has_no_filter_is_refused_with_its_place() {
    for (text, said) in [
        ("", "no api_key_auth"),
        ("a: 1", "no api_key_auth"),
        ("a: [1", "input:1:"),
        ("a: b\n  c: d", "input:2:"),
        ("a: 1\na: 2", "input:2:1: found a field of line 1 again"),
        ("a: !secret x", "input:1:12: found a value with a tag"),
        ("[a]: b", "as the name of a field"),
        ("a: *b", "input:1:"),
        ("\u{0}", "input:1:"),
    ] {
        let errors = of_text(Kind::Envoy, text).unwrap_err();
        assert!(errors[0].to_string().contains(said), "{text:?}: {}", errors[0]);
    }
}

#[test]
fn aliases_and_depth_are_bounded() {
    // Each level is ten times the one before: 10^9 nodes.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let errors = of_text(Kind::Envoy, &bomb).unwrap_err();
    assert!(errors[0].to_string().contains("more than 4000000 values"), "{}", errors[0]);
    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "a:\n ".repeat(200)] {
        assert!(of_text(Kind::Envoy, &deep).is_err());
    }
    let merged = "credentials: [{<<: &c {key: k, client: a}}, {<<: *c, key: l}]\nkey_sources: [{header: x}]\n";
    let converted = of_text(Kind::Envoy, merged).unwrap();
    assert_eq!(converted.rows.iter().filter(|row| row.word() == "key").count(), 2, "{converted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_are_carried_over_whole() {
    let mut text = manager(&[("{path_separated_prefix: /odd}", Some("[c1, c3, c5]")), ("{prefix: /}", None)]);
    let credentials: String =
        (0..1_000).map(|number| format!("    - {{key: key-{number}, client: c{}}}\n", number % 600)).collect();
    text = text.replacen("    credentials:\n", &format!("    credentials:\n{credentials}"), 1);
    let converted = of_text(Kind::Envoy, &text).unwrap();
    assert_eq!((&converted.errors, &converted.losses), (&vec![], &vec![]));
    let count = |word: &str| converted.rows.iter().filter(|row| row.word() == word).count();
    assert_eq!((count("api"), count("application"), count("subscription"), count("key")), (2, 602, 605, 1_002));
    import_all(&converted, &[]).await;
}
