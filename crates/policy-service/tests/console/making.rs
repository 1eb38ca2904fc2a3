//! APIs and plans are made, changed, retired and deleted; lists go forwards and backwards; usage is drawn.

use reqwest::Method;
use serde_json::json;

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::{Service, send},
};

#[tokio::test]
async fn an_api_is_made_changed_retired_and_deleted() {
    let service = Service::start().await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let start = publisher.page("/console").await;
    assert!(start.links("/console/new/api"), "an empty start page says what to do first");
    let new = "/console/new/api";
    let values = [
        ("name", "Orders"),
        ("version", "2"),
        ("id", "orders/é"),
        ("match", "api.example.com /orders\r\n/o"),
        ("approval", "manual"),
    ];
    let (place, page) = publisher.do_it(new, new, &values).await;
    assert!(place.starts_with("/console/apis/orders%2F%C3%A9?said=created&revision="), "{place}");
    assert!(page.one("h1").text.contains("Orders 2") && page.one("main").text.contains("api.example.com /orders"));
    let api = service.get("/v1/apis/orders%2F%C3%A9").await.expect(200).json();
    assert_eq!(api["match"], json!([{"hosts": ["api.example.com"], "path": "/orders"}, {"path": "/o"}]));
    assert_eq!((&api["owner"], &api["approval"], &api["state"]), (&json!("p"), &json!("manual"), &json!("PUBLISHED")));
    // A double click makes one.
    let form = filled(publisher.page(new).await.form(new), &[("name", "Twice")]);
    let places = [publisher.send(new, &form).await.expect(303), publisher.send(new, &form).await.expect(303)];
    assert_eq!(places[0].header("location"), places[1].header("location"));
    assert_eq!(service.get("/v1/apis?q=Twice").await.expect(200).json()["total"], 1);
    // A mistake keeps what was typed, and a match that is taken is said at its field.
    let answer =
        publisher.fill(new, new, &[("name", "Other <i>"), ("match", "api.example.com /orders")]).await.expect(409);
    let page = Page::parse(&answer.text);
    assert_eq!(page.with("id", "match").unwrap().get("aria-invalid"), "true", "{}", answer.text);
    assert!(page.form(new).contains(&("name".to_owned(), "Other <i>".to_owned())));
    // Two who edit at once.
    let edit = "/console/apis/orders%2F%C3%A9/edit";
    let (first, second) = (publisher.page(edit).await.form(edit), publisher.page(edit).await.form(edit));
    publisher.send(edit, &filled(first, &[("name", "Orders of today")])).await.expect(303);
    let answer = publisher.send(edit, &filled(second, &[("version", "3")])).await.expect(412);
    let page = Page::parse(&answer.text);
    let text = &page.one("main").text;
    assert!(text.contains("Orders of today") && text.contains("You typed") && text.contains("There now"), "{text}");
    publisher.send(edit, &page.form(edit)).await.expect(303);
    let api = service.get("/v1/apis/orders%2F%C3%A9").await.expect(200).json();
    assert_eq!((&api["name"], &api["version"]), (&json!("Orders"), &json!("3")));
    let retire = "/console/apis/orders%2F%C3%A9/retire";
    let (_, page) = publisher.do_it(retire, retire, &[]).await;
    assert!(page.one("main").text.contains("The API is retired"));
    let delete = "/console/apis/orders%2F%C3%A9/delete";
    let (place, _) = publisher.do_it(delete, delete, &[]).await;
    assert!(place.starts_with("/console/apis?said=deleted&id=orders%2F%C3%A9&revision="), "{place}");
    service.get("/v1/apis/orders%2F%C3%A9").await.expect(404);
}

#[tokio::test]
async fn a_plan_is_made_changed_and_deleted() {
    let service = Service::start().await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let new = "/console/new/plan";
    let values = [
        ("id", "gold"),
        ("limits", "5000 per day\n100 per minute"),
        ("burst", "10 per second"),
        ("operations", "GET,POST /orders/*"),
    ];
    let (place, _) = publisher.do_it(new, new, &values).await;
    assert!(place.starts_with("/console/plans/gold?said=created"), "{place}");
    let plan = service.get("/v1/plans/gold").await.expect(200).json();
    assert_eq!(plan["limits"], json!([{"requests": 5000, "per": "day"}, {"requests": 100, "per": "minute"}]));
    assert_eq!(plan["operations"], json!([{"methods": ["GET", "POST"], "path": "/orders/*"}]));
    for (limits, words) in [("many per day", "many per day"), ("5 per fortnight", "5 per fortnight")] {
        let answer = publisher.fill(new, new, &[("id", "bad"), ("limits", limits)]).await.expect(422);
        let page = Page::parse(&answer.text);
        assert_eq!(page.with("id", "limits").unwrap().get("aria-invalid"), "true", "{}", answer.text);
        assert!(page.with("id", "limits").unwrap().text.contains(words));
    }
    let edit = "/console/plans/gold/edit";
    publisher.do_it(edit, edit, &[("limits", "7 per hour"), ("operations", "")]).await;
    let plan = service.get("/v1/plans/gold").await.expect(200).json();
    assert_eq!((&plan["limits"], plan.get("operations")), (&json!([{"requests": 7, "per": "hour"}]), None));
    let delete = "/console/plans/gold/delete";
    let (place, _) = publisher.do_it(delete, delete, &[]).await;
    assert!(place.starts_with("/console/plans?said=deleted&id=gold&revision="), "{place}");
}

#[tokio::test]
async fn a_list_goes_forwards_and_backwards() {
    let service = Service::start().await;
    fill(&service).await;
    for number in 0..120 {
        let (id, owner) = (format!("app-{number:03}"), if number == 60 { "zoe" } else { "alice" });
        service
            .post("/v1/applications", json!({"id": id, "name": format!("App {number}"), "owner": owner}))
            .await
            .expect(201);
        let subscription = json!({"id": format!("t-{number:03}"), "application": id, "api": "orders", "plan": "gold"});
        service.post("/v1/subscriptions", subscription).await.expect(201);
    }
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let shown = |page: &Page| -> Vec<String> {
        let links = page.all("a").map(|link| link.get("href")).filter(|href| href.ends_with("/block"));
        links.map(|href| href.split('/').nth(3).unwrap().to_owned()).collect()
    };
    let to = |page: &Page, rel: &str| page.with("rel", rel).map(|link| link.get("href").to_owned());
    let first = publisher.page("/console/apis/orders").await;
    assert_eq!(shown(&first).len(), 50);
    assert!(first.one("main").text.contains("121 subscriptions in all") && to(&first, "prev").is_none());
    let second = publisher.page(&to(&first, "next").unwrap()).await;
    let third = publisher.page(&to(&second, "next").unwrap()).await;
    assert_eq!((shown(&third).len(), to(&third, "next")), (21, None));
    let back = publisher.page(&to(&third, "prev").unwrap()).await;
    assert_eq!(shown(&back), shown(&second));
    let again = publisher.page(&to(&back, "prev").unwrap()).await;
    assert_eq!((shown(&again), to(&again, "prev")), (shown(&first), None));
    let forwards = publisher.page(&to(&again, "next").unwrap()).await;
    assert_eq!(shown(&forwards), shown(&second));
    // Filters by the database, and what cannot be a filter is said.
    let found = publisher.page("/console/apis/orders?q=app+60").await;
    assert_eq!(shown(&found), ["t-060"]);
    let found = publisher.page("/console/subscriptions?q=APP-06&state=UNBLOCKED").await;
    assert_eq!(shown(&found).len(), 10);
    let none = publisher.page("/console/apis/orders?q=nothing").await;
    assert!(none.one("main").text.contains("No subscription fits"));
    let long = publisher.page(&format!("/console/apis/orders?q={}", "x".repeat(300))).await;
    assert!(long.with("role", "alert").is_some() && long.with("id", "q").unwrap().get("value").len() == 300);
    publisher.open("/console/apis/orders?cursor=odd").await.expect(400);
}

#[tokio::test]
async fn usage_is_drawn_and_said() {
    let service = Service::start().await;
    fill(&service).await;
    let mut publisher = Person::new(&service, "publisher", "p").await;
    let empty = publisher.page("/console/usage").await;
    assert!(empty.one("main").text.contains("No request that you may see was reported"));
    let hour = policy_service::clock::unix_seconds() / 3_600 * 3_600;
    let count = |application: &str, api: &str, outcome: &str, requests: u64| json!({"hour": hour, "application": application, "api": api, "outcome": outcome, "requests": requests});
    let report = json!({"format": 1, "batch": "b", "counts": [
        count("shop", "orders", "allowed", 1_234), count("shop", "orders", "subscription_blocked", 40),
        count("shop", "orders", "quota_exceeded", 2), count("blog", "hidden", "allowed", 999)]});
    let request = service.request(Method::POST, "/v1/usage").basic_auth("gw", Some("secret")).json(&report);
    send(request).await.expect(200);
    let page = publisher.page("/console/usage").await;
    let text = page.one("main").text.clone();
    assert!(text.contains("1\u{202f}234 allowed") && text.contains("42 refused") && !text.contains("999"), "{text}");
    assert!(
        text.find("subscription_blocked").unwrap() < text.find("quota_exceeded").unwrap(),
        "the most frequent first"
    );
    assert_eq!(page.all("svg").count(), 1);
    for path in
        ["/console/usage?days=30&api=orders", "/console/usage?days=365&application=shop", "/console/subscriptions/s-1"]
    {
        assert!(publisher.page(path).await.one("main").text.contains("1\u{202f}234"), "{path}");
    }
    // Bars of hours have times that the script shows in the reader's zone. Days are those of the zone that it names.
    assert!(page.all("time").any(|time| time.get("data-zone") == "axis"));
    assert_eq!(page.all("title").filter(|title| title.get("data-zone") == "axis").count(), 1);
    for (offset, east) in
        [("", "UTC"), ("0", "UTC"), ("20700", "UTC+05:45"), ("-43200", "UTC\u{2212}12:00"), ("50400", "UTC+14:00")]
    {
        let page = publisher.page(&format!("/console/usage?days=30&utc_offset={offset}")).await;
        assert!(page.one("main").text.contains(&format!("Days of {east}")), "{offset}");
        let day = chrono::DateTime::from_timestamp(hour + offset.parse::<i64>().unwrap_or_default(), 0).unwrap();
        let bar = page.all("title").find(|title| title.text.contains("1\u{202f}234")).unwrap();
        assert!(bar.text.starts_with(&day.format("%-d %b %Y: ").to_string()), "{offset}: {}", bar.text);
        assert_eq!(page.with("name", "utc_offset").unwrap().get("value"), offset);
    }
    for wrong in ["x", "50401", "-43201", "1.5", "99999999999999999999"] {
        publisher.open(&format!("/console/usage?utc_offset={wrong}")).await.expect(400);
    }
    let hidden = publisher.page("/console/usage?api=hidden").await;
    assert!(hidden.one("main").text.contains("No request that you may see was reported"), "it is another publisher's");
    let list = publisher.page("/console/apis/orders").await;
    assert_eq!(list.all("time").count(), 1, "its last use");
    let preview = publisher.page("/console/subscriptions/s-1/block").await;
    assert!(preview.one("main").text.contains("1\u{202f}234 allowed requests in the last day"));
    publisher.open(&format!("/console/usage?api={}", "x".repeat(300))).await.expect(400);
}
