//! Envoy Gateway's SecurityPolicy with its Secrets.

use convert::{Kind, Row, convert};

use crate::support::{assert_hidden, golden, import_all, inputs, of_text, options, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_become_rows_that_the_import_takes() {
    for (name, secrets) in [
        ("shop", &["-order-key", "alice-other-key", "YWxpY2", "Ym9i"][..]),
        ("gateway", &["partner-key", "key-of-both", "robot-key"]),
    ] {
        let converted = convert(Kind::EnvoyGateway, &inputs(&[&format!("envoy-gateway/{name}.yaml")]), &options());
        assert_hidden(&converted, secrets);
        let converted = converted.unwrap();
        golden(&format!("envoy-gateway-{name}.txt"), &text(&converted));
        assert_eq!(converted.errors, [], "{name}");
        import_all(&converted, &[]).await;
    }
}

const POLICY: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: p}\nspec:\n  \
                      targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n  apiKeyAuth:\n    \
                      credentialRefs: [{name: s}]\n    extractFrom: [{headers: [x-api-key]}]\n";
const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  rules: \
                     [{matches: [{path: {value: /a}}]}]\n";

fn secret(data: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{data}\n")
}

#[test]
fn a_secret_that_cannot_be_read_opens_nothing() {
    for (data, said, keys) in [
        ("stringData: {a: one, b: two}", None, 2),
        ("data: {a: b25l}\nstringData: {a: two}", None, 1),
        ("data: {a: '%%%'}", Some("not base64"), 0),
        ("data: {a: /w==}", Some("not base64 of UTF-8"), 0),
        ("data: {a: b25lCg==}", Some("a line end"), 0),
        ("stringData:\n  a: |\n    one", Some("a line end"), 0),
        ("stringData: {a: ''}", Some("an empty key"), 0),
        ("stringData: {a: 12}", Some("a text"), 0),
        ("stringData: {a: one, b: one}", Some("only one client has"), 0),
        ("stringData: [a]", Some("expected an object"), 0),
        ("", None, 0),
    ] {
        let all = [POLICY, ROUTE, &secret(data)].join("---\n");
        let converted = of_text(Kind::EnvoyGateway, &all).unwrap();
        let errors: Vec<String> = converted.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), usize::from(said.is_some()), "{data}: {errors:?}");
        assert!(said.is_none_or(|said| errors[0].contains(said)), "{data}: {errors:?}");
        assert_eq!(converted.rows.iter().filter(|row| row.word() == "key").count(), keys, "{data}");
    }
}

#[test]
fn what_is_not_in_the_files_is_asked_for() {
    for (files, said) in [
        (vec![POLICY, ROUTE], "the Secret \"default/s\", which is in none of the files"),
        (vec![POLICY, &secret("stringData: {a: one}")], "HTTPRoute \"r\", which is in none of the files"),
        (vec![POLICY, POLICY, ROUTE, &secret("stringData: {a: one}")], "a second policy of the same target"),
    ] {
        let converted = of_text(Kind::EnvoyGateway, &files.join("---\n")).unwrap();
        assert!(converted.errors.iter().any(|error| error.to_string().contains(said)), "{:?}", converted.errors);
    }
    assert!(of_text(Kind::EnvoyGateway, ROUTE).unwrap_err()[0].to_string().contains("no SecurityPolicy"));
}

/// A cluster has Secrets of other kinds, with bytes and line ends.
#[test]
fn a_secret_that_no_policy_names_is_not_read() {
    let other = secret("data: {tls.crt: /w==, ca.crt: b25lCg==}").replace("name: s", "name: other");
    let all = [POLICY, ROUTE, &secret("stringData: {a: one}"), &other].join("---\n");
    let converted = of_text(Kind::EnvoyGateway, &all).unwrap();
    assert_eq!((converted.errors, converted.losses), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_are_carried_over_whole() {
    let clients: String = (0..1_000).map(|number| format!("  client-{number}: key-{number}\n")).collect();
    let all = [POLICY, ROUTE, &secret(&format!("stringData:\n{clients}"))].join("---\n");
    let converted = of_text(Kind::EnvoyGateway, &all).unwrap();
    assert_eq!((&converted.errors, &converted.losses), (&vec![], &vec![]));
    let count = |word: &str| converted.rows.iter().filter(|row| row.word() == word).count();
    assert_eq!((count("api"), count("application"), count("subscription"), count("key")), (1, 1_000, 1_000, 1_000));
    let api = converted.rows.iter().find(|row| row.word() == "api").map(Row::id);
    assert_eq!(api, Some("default/r"));
    import_all(&converted, &[]).await;
}
