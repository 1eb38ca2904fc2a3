//! No page shows again what may be a secret, after whatever mistake. Everything else that was typed stays.

use serde_json::json;

use crate::{
    dom::Page,
    person::{Person, filled},
    support::Service,
};

const KEY: &str = "kg_live_4mXeVhHO2iWxHm4Lk9fk3pvx2Ti01TL5g";

type Fields<'a> = &'a [(&'a str, &'a str)];
/// What is typed, the secret in it, and for each field what is shown again.
type Case<'a> = (Fields<'a>, &'a str, Fields<'a>);

/// A mistake that each form of an explanation may have beside a secret.
const MISTAKE: (&str, &str) = ("method", "G ET");

#[tokio::test]
async fn a_form_of_an_explanation_keeps_everything_but_secrets() {
    let service = Service::start().await;
    service.seed().await;
    let mut olga = Person::new(&service, "operator", "olga").await;
    let sources = r#"{"credential_sources": [{"query": "k"}, {"header": "x-k"}]}"#;
    let credentials = |secret: &str| {
        format!(
            r#"{{"policy": {{"cluster": "c", "headers": {{"x": "{secret}"}}, "credentials": {{"client_id": "g", "client_secret": "{secret}"}}}}}}"#
        )
    };
    let (typed, starred) = (credentials("HUSH"), credentials("****"));
    let cases: [Case<'_>; 16] = [
        (
            &[("url", "/x?k=HUSH&a=1"), ("configuration", sources)],
            "HUSH",
            &[("url", "/x?k=&a=1"), ("configuration", sources)],
        ),
        (&[("url", "/x?%6B=HUSH"), ("configuration", sources)], "HUSH", &[("url", "/x?%6B=")]),
        (
            &[("url", "/x?k=HUSH&page=2"), ("configuration", "sources: [{query: k}]")],
            "HUSH",
            &[("url", "/x?k=&page=2"), ("configuration", "")],
        ),
        (&[("url", "https://u:HUSH@a.example/x")], "HUSH", &[("url", "https://a.example/x")]),
        (&[("url", "/x/kg_live_4mXeVhHO2iWxHm4Lk9fk3pvx2Ti01TL5g")], KEY, &[("url", "/x/removed")]),
        (&[("referer", "https://a.example/?token=HUSH&b=1")], "HUSH", &[("referer", "https://a.example/?token=&b=1")]),
        (
            &[
                (
                    "headers",
                    "x-k: HUSH\naccept: application/json\nx-trace: 1\ncookie: a=HUSH\nauthorization: Basic HUSH",
                ),
                ("configuration", sources),
            ],
            "HUSH",
            &[("headers", "x-k:\naccept: application/json\nx-trace: 1\ncookie:\nauthorization:")],
        ),
        (&[("headers", "nothing HUSH\naccept: text/html")], "HUSH", &[("headers", "nothing\naccept: text/html")]),
        (&[("headers", "x-k:\r\n HUSH\r\nnothing")], "HUSH", &[("headers", "x-k:\nnothing")]),
        (&[("headers", "x-k:\nHUSH\naccept: text/html")], "HUSH", &[("headers", "x-k:\naccept: text/html")]),
        (&[("configuration", &typed)], "HUSH", &[("configuration", &starred)]),
        (
            &[("configuration", r#"{"zz": "HUSH", "mode": "shadow"}"#)],
            "HUSH",
            &[("configuration", r#"{"zz": "****", "mode": "shadow"}"#)],
        ),
        (&[("configuration", "client_secret: HUSH")], "HUSH", &[("configuration", "")]),
        (&[("key_id", KEY)], KEY, &[("key_id", "")]),
        (&[("key_id", "a-key-of-another-form")], "a-key-of-another-form", &[("key_id", "")]),
        (
            &[("key_id", "k-1"), ("address", KEY), ("at_revision", KEY)],
            KEY,
            &[("key_id", "k-1"), ("address", ""), ("at_revision", "")],
        ),
    ];
    let place = "/console/explain";
    let form = olga.page(place).await.form(place);
    for (typed, secret, shown) in cases {
        // With a mistake of its own, and beside a mistake in another field.
        for mistake in [&[][..], &[MISTAKE]] {
            let sent = filled(filled(filled(form.clone(), &[("url", "/x")]), typed), mistake);
            let answer = olga.send(place, &sent).await;
            assert!(!answer.text.contains(secret), "{typed:?} {mistake:?}: {}", answer.text);
            if answer.status == 200 {
                continue;
            }
            let again = Page::parse(&answer.text).form(place);
            for (name, value) in shown {
                let found = again.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim_start());
                assert_eq!(found, Some(*value), "{typed:?} {mistake:?}: {name}");
            }
        }
    }
}

/// A key or a token that was pasted into a field of any form, beside a mistake.
#[tokio::test]
async fn a_key_that_was_pasted_into_the_wrong_field_is_not_shown_again() {
    let service = Service::start().await;
    service.seed().await;
    let mut root = Person::new(&service, "administrator", "root").await;
    for secret in [KEY, "kgt_0123", "kgg_0123"] {
        for (place, field, mistake) in [
            ("/console/new/api", "name", ("match", "no path")),
            ("/console/new/api", "match", ("id", " / ")),
            ("/console/new/application", "name", ("id", "")),
            ("/console/new/plan", "id", ("limits", "x")),
            ("/console/new/deny-policy", "value", ("type", "IP")),
            ("/console/new/gateway-credential", "client_id", ("end", "odd")),
            ("/console/new/token", "subject", ("role", "odd")),
        ] {
            let form = root.page(place).await.form(place);
            let answer = root.send(place, &filled(form, &[(field, secret), mistake])).await;
            assert!(answer.status == 303 || !answer.text.contains(&format!("value=\"{secret}")), "{place} {field}");
            assert!(!Page::parse(&answer.text).all("textarea").any(|it| it.text.contains(secret)), "{place} {field}");
        }
    }
    assert_eq!(service.get("/v1/tokens").await.json()["items"][0]["subject"], json!("root"));
}
