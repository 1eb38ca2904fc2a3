//! Names that people chose to do harm, or that are merely long, in every field on every page.

use serde_json::{Value, json};

use crate::{
    dom::Page,
    person::Person,
    support::{Service, digest},
};

/// Texts of at most 256 bytes that a row accepts.
pub fn hostile() -> Vec<String> {
    let texts = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onfocus='alert(1)' autofocus='",
        "</textarea></title></style><h1>x</h1>",
        "{{7*7}} ${7*7} <%= 7*7 %> &lt;b&gt; &amp;",
        "\u{202e}txet esrever\u{2066} \u{200f}שלום مرحبا",
        "🔑👩‍👩‍👧‍👦🏳️‍🌈",
        "javascript:alert(1)",
        "../../etc/passwd?x=1#y%2F%00",
        "a\u{301}\u{323}\u{35c}\u{489}z",
        "Ω\u{feff}≈ç√∫˜µ≤≥÷ \u{fffd}",
    ];
    let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(["x".repeat(256), "🔑".repeat(64), "ם".repeat(128), "<>\"'&`=/".repeat(32)]);
    texts
}

#[tokio::test]
async fn hostile_names_are_texts_on_every_page() {
    for text in hostile() {
        let service = Service::start().await;
        let mut publisher = Person::new(&service, "publisher", "p").await;
        let mut operator = Person::new(&service, "operator", &text).await;
        let host_free = json!([{"path": "/a"}]);
        service.post("/v1/plans", json!({"id": text, "owner": "p"})).await.expect(201);
        let api = json!({"id": text, "name": text, "version": text, "owner": "p", "match": host_free, "plans": [text], "approval": "manual"});
        service.post("/v1/apis", api).await.expect(201);
        service.post("/v1/applications", json!({"id": text, "name": text, "owner": text})).await.expect(201);
        service.post("/v1/keys", json!({"application": text, "sha256": digest(1)})).await.expect(201);
        let subscription = json!({"id": text, "application": text, "api": text, "plan": text});
        service.post("/v1/subscriptions", subscription).await.expect(201);
        // The pages name it by links, as a person goes: from the start page on.
        let start = publisher.page("/console").await;
        let one = |page: &Page, ending: &str| -> String {
            let mut links = page.all("a").map(|link| link.get("href").to_owned());
            let is_it = |href: &String| href.starts_with(ending) && !href.contains('?') && href.split('/').count() == 4;
            links.find(|href| is_it(href) && !href.ends_with("/new")).unwrap_or_else(|| panic!("{ending}: {text}"))
        };
        let (api, subscription) = (one(&start, "/console/apis/"), one(&start, "/console/subscriptions/"));
        let plan = one(&publisher.page("/console/plans").await, "/console/plans/");
        publisher.do_it(&format!("{subscription}/approve"), &format!("{subscription}/approve"), &[]).await;
        let block = format!("{subscription}/block");
        operator.do_it(&block, &block, &[("reason", &text), ("note", &text)]).await;
        let row: Value = service.get("/v1/subscriptions").await.expect(200).json();
        assert_eq!((&row["items"][0]["block"]["note"], &row["items"][0]["block"]["by"]), (&json!(text), &json!(text)));
        for person in [&mut publisher, &mut operator] {
            for path in
                ["/console", "/console/apis", "/console/plans", "/console/subscriptions", &api, &plan, &subscription]
            {
                let page = person.page(path).await;
                assert!(page.one("body").text.contains(&text), "{path} shows {text:?} as it is");
            }
        }
        for path in ["/edit", "/retire", "/delete"]
            .map(|what| format!("{api}{what}"))
            .into_iter()
            .chain(["/edit", "/delete"].map(|what| format!("{plan}{what}")))
            .chain(["/block", "/unblock", "/approve", "/reject"].map(|what| format!("{subscription}{what}")))
        {
            let page = publisher.page(&path).await;
            assert!(page.one("main").text.contains(&text) || path.contains("plans"), "{path} shows {text:?} as it is");
        }
        // What is typed comes back as it was typed, also as a filter.
        let edit = format!("{api}/edit");
        let form = publisher.page(&edit).await.form(&edit);
        assert!(form.contains(&("name".to_owned(), text.clone())), "{form:?}");
        let mut asked = reqwest::Url::parse("http://localhost/console/apis").unwrap();
        asked.query_pairs_mut().append_pair("q", &text).append_pair("said", &text).append_pair("whose", &text);
        let page = publisher.page(&format!("/console/apis?{}", asked.query().unwrap())).await;
        assert_eq!(page.with("id", "q").unwrap().get("value"), text);
        let receipt = publisher
            .open(&format!(
                "{subscription}?said={0}&revision={0}",
                asked.query().unwrap().split('=').nth(1).unwrap().split('&').next().unwrap()
            ))
            .await;
        receipt.expect(200);
    }
}
