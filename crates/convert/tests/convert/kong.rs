//! Kong's decK files.

use convert::{Converted, Kind, Row, convert};

use crate::support::{NOW, assert_hidden, golden, import_all, inputs, of_text, options, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_become_rows_that_the_import_takes() {
    for (name, secrets) in [
        ("shop", &["alice-key-", "bob-key", "0123456789", "not-shown"][..]),
        ("flat", &["writer-key", "reader-key", "not-shown"]),
    ] {
        let converted = convert(Kind::Kong, &inputs(&[&format!("kong/{name}.yaml")]), &options());
        assert_hidden(&converted, secrets);
        let converted = converted.unwrap();
        golden(&format!("kong-{name}.txt"), &text(&converted));
        assert_eq!(converted.errors, [], "{name}");
        import_all(&converted, &[]).await;
    }
}

/// Subscriptions, each with its plan.
fn subscriptions(converted: &Converted) -> Vec<String> {
    let of = |row: &Row| match row {
        Row::Subscription(it) => Some(format!("{} {}", it.id.as_ref()?, it.plan.as_deref().unwrap_or("-"))),
        _ => None,
    };
    converted.rows.iter().filter_map(of).collect()
}

fn file(plugins: &str, consumers: &str) -> String {
    format!(
        "services:\n- name: s\n  host: h\n  routes: [{{name: r, paths: [/s]}}]\nplugins:\n- name: key-auth\n{plugins}\n\
         consumers:\n{consumers}\n"
    )
}

#[test]
fn groups_decide_who_is_subscribed() {
    let consumers = "- {username: a, acls: [{group: x}], keyauth_credentials: [{key: ka}]}\n\
                     - {username: b, acls: [{group: x}, {group: y}], keyauth_credentials: [{key: kb}]}\n\
                     - {username: c, groups: [{name: z}], keyauth_credentials: [{key: kc}]}";
    for (config, expected) in [
        ("", &["a", "b", "c"][..]),
        ("- {name: acl, config: {allow: [x]}}", &["a", "b"]),
        ("- {name: acl, config: {whitelist: [y]}}", &["b"]),
        ("- {name: acl, config: {deny: [y]}}", &["a", "c"]),
        ("- {name: acl, config: {allow: [z]}}", &[]),
        ("- {name: acl, config: {allow: [z], include_consumer_groups: true}}", &["c"]),
        ("- {name: acl, config: {deny: [z], include_consumer_groups: true}}", &["a", "b"]),
        ("- {name: acl, config: {}}", &[]),
        ("- {name: acl}", &[]),
        ("- {name: acl, enabled: false, config: {allow: [y]}}", &["a", "b", "c"]),
        ("- {name: acl, config: {allow: [y]}}\n- {name: acl, service: s, config: {allow: [x]}}", &["a", "b"]),
        ("- {name: acl, service: other, config: {allow: [y]}}", &["a", "b", "c"]),
    ] {
        let converted = of_text(Kind::Kong, &file(config, consumers)).unwrap();
        let expected: Vec<String> = expected.iter().map(|name| format!("{name}:s -")).collect();
        assert_eq!(subscriptions(&converted), expected, "{config}: {:?}", converted.errors);
    }
}

#[test]
fn the_closest_limit_becomes_the_plan() {
    let consumers = "- {username: a, groups: [{name: g}], keyauth_credentials: [{key: ka}]}";
    let limit = |scope: &str, minute: u32| format!("- {{name: rate-limiting, {scope}config: {{minute: {minute}}}}}\n");
    for (limits, of_subscription, of_application) in [
        (limit("", 1), "-", Some("kong.1-per-minute")),
        (limit("service: s, ", 2), "kong.2-per-minute", None),
        (limit("", 1) + &limit("service: s, ", 2), "kong.2-per-minute", None),
        (limit("route: r, ", 3) + &limit("service: s, ", 2), "kong.3-per-minute", None),
        (limit("consumer: a, ", 4) + &limit("service: s, ", 2), "-", Some("kong.4-per-minute")),
        (limit("consumer: a, service: s, ", 5) + &limit("consumer: a, ", 4), "kong.5-per-minute", None),
        (limit("consumer_group: g, ", 6) + &limit("route: r, ", 3), "-", Some("kong.6-per-minute")),
        (limit("consumer_group: other, ", 6), "-", None),
        (limit("consumer: other, ", 6), "-", None),
    ] {
        let converted = of_text(Kind::Kong, &file(&limits, consumers)).unwrap();
        let found = subscriptions(&converted);
        assert!(found.len() == 1 && found[0].ends_with(of_subscription), "{limits}: {found:?}");
        let application = converted.rows.iter().find_map(|row| match row {
            Row::Application(it) => Some(it.plan.clone()),
            _ => None,
        });
        assert_eq!(application.unwrap().as_deref(), of_application, "{limits}");
    }
}

#[test]
fn keys_that_the_file_does_not_say_open_nothing() {
    for (credential, said) in [
        ("{key: '{vault://env/key}'}", "a reference to a secret"),
        ("{key: '${{ env \"DECK_KEY\" }}'}", "a reference to a secret"),
        ("{ttl: 5}", "expected a key"),
        ("{key: ''}", "an empty key"),
        ("{key: 12345}", "a text"),
        ("{key: ' secret'}", "white space"),
        ("{key: secret, ttl: soon}", "a whole number"),
        ("{key: secret, ttl: 18446744073709551615}", "the import would refuse"),
    ] {
        let consumers = format!("- {{username: a, keyauth_credentials: [{credential}]}}");
        let converted = of_text(Kind::Kong, &file("", &consumers));
        assert_hidden(&converted, &["secret'", "DECK_KEY", "vault"]);
        let converted = converted.unwrap();
        assert!(converted.errors[0].to_string().contains(said), "{credential}: {:?}", converted.errors);
        assert!(converted.rows.iter().all(|row| row.word() != "key"), "{credential}");
    }
    let twice =
        "- {username: a, keyauth_credentials: [{key: same}]}\n- {username: b, keyauth_credentials: [{key: same}]}";
    let converted = of_text(Kind::Kong, &file("", twice)).unwrap();
    assert!(converted.errors[0].to_string().contains("\"b\", which is that of \"a\""), "{:?}", converted.errors);
    assert!(converted.rows.iter().all(|row| row.word() != "key"));
    let ids = "- {username: a, keyauth_credentials: [{key: one, id: i}, {key: two, id: i}]}";
    let converted = of_text(Kind::Kong, &file("", ids)).unwrap();
    assert_eq!((converted.errors.len(), converted.rows.iter().filter(|row| row.word() == "key").count()), (1, 1));
    let named = "- {username: a}\n- {username: a}\n- {tags: [x]}";
    assert_eq!(of_text(Kind::Kong, &file("", named)).unwrap().errors.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_consumers_are_carried_over_whole() {
    let consumers: String = (0..1_000)
        .map(|number| {
            format!(
                "- {{username: 'c {number}', tags: [t], keyauth_credentials: [{{key: key-{number}, ttl: {}}}, {{key: other-{number}}}], \
                 plugins: [{{name: rate-limiting, config: {{minute: {}}}}}]}}\n",
                number + 1,
                number % 10 + 1
            )
        })
        .collect();
    let converted = of_text(Kind::Kong, &file("", &consumers)).unwrap();
    assert_eq!(converted.errors, []);
    let count = |word: &str| converted.rows.iter().filter(|row| row.word() == word).count();
    assert_eq!((count("plan"), count("api"), count("application")), (10, 1, 1_000));
    assert_eq!((count("subscription"), count("key")), (1_000, 2_000));
    let ends: i64 =
        converted.rows.iter().filter_map(|row| if let Row::Key(key) = row { key.expires_at } else { None }).sum();
    assert_eq!(ends, 1_000 * NOW + 500_500);
    // Tags and ends are told once each.
    assert!(converted.losses.len() < 5, "{:?}", converted.losses);
    import_all(&converted, &[]).await;
}
