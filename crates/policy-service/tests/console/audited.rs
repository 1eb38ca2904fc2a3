//! Audit, history, restore and tokens.

use serde_json::{Value, json};

use crate::{
    demo::fill,
    dom::Page,
    person::{Person, filled},
    support::{Service, browser::Browser},
};

#[tokio::test]
async fn the_audit_log_is_filtered_paged_and_taken_away() {
    let service = Service::start().await;
    fill(&service).await;
    let block = json!({"reason": "=cmd|' /C calc'!A0", "note": "n"});
    service.post("/v1/subscriptions/s-1/block", block).await.expect(200);
    for number in 0..60 {
        service.post("/v1/plans", json!({"id": format!("plan-{number}")})).await.expect(201);
    }
    let mut audrey = Person::new(&service, "auditor", "audrey").await;
    let first = audrey.page("/console/audit").await;
    let next = first.all("a").find(|link| link.get("rel") == "next").unwrap().get("href").to_owned();
    let second = audrey.page(&next).await;
    assert!(!second.links(&next) && second.links("/console/audit"), "the latest entries are one click away");
    let page = audrey.page("/console/audit?kind=subscription&action=block").await;
    let text = page.one("main").text.clone();
    assert!(text.contains("shop at orders, blocked"), "{text}");
    assert!(text.contains("s-1") && text.contains("calc") && !text.contains("plan-1"), "{text}");
    // What changed, field by field.
    assert!(text.contains("state") && text.contains("UNBLOCKED") && text.contains("BLOCKED"), "{text}");
    assert!(page.links("/console/audit.csv?kind=subscription&action=block"));
    let csv = audrey.open("/console/audit.csv?kind=subscription&action=block").await.expect(200);
    assert!(
        csv.header("content-disposition").contains("audit.csv") && csv.header("content-type").starts_with("text/csv")
    );
    assert_eq!(csv.text.lines().next().unwrap().split(',').next(), Some("seq"));
    assert!(csv.text.contains("\"'=cmd") && csv.text.lines().count() == 2, "{}", csv.text);
    let lines = audrey.open("/console/audit.ndjson").await.expect(200);
    let entries: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.len() > 60 && entries.iter().all(|entry| entry["seq"].is_i64()));
    // A wrong filter says what would be right, and keeps what was typed.
    for (query, id) in [("kind=odd", "kind"), ("from=yesterday", "from")] {
        let answer = audrey.open(&format!("/console/audit?{query}")).await.expect(422);
        assert!(Page::parse(&answer.text).with("id", &format!("{id}-error")).is_some(), "{query}");
    }
    let none = audrey.page("/console/audit?to=2001-01-01T00:00").await;
    assert!(none.one("main").text.contains("No entry fits"));
    assert!(
        audrey.page("/console/audit?from=2001-01-01T00:00&actor=root").await.one("main").text.contains("No entry fits")
    );
}

#[tokio::test]
async fn history_shows_what_changed_and_a_restore_shows_it_before() {
    let service = Service::start().await;
    fill(&service).await;
    let before = service.revision().await;
    service.put("/v1/applications/shop", json!({"name": "Renamed", "owner": "alice"})).await.expect(200);
    service.post("/v1/plans", json!({"id": "fresh"})).await.expect(201);
    service.post("/v1/subscriptions/s-1/block", json!({"reason": "fraud"})).await.expect(200);
    let mut audrey = Person::new(&service, "auditor", "audrey").await;
    let history = audrey.page("/console/history").await;
    assert!(history.links(&format!("/console/history/{}", before + 1)));
    assert!(history.all("a").all(|link| !link.get("href").contains("restore")), "an auditor restores nothing");
    let one = audrey.open(&format!("/console/history/{}", before + 1)).await.expect(303);
    let text = audrey.page(one.header("location")).await.one("main").text.clone();
    assert!(text.contains("Web shop") && text.contains("Renamed") && !text.contains("fresh"), "{text}");
    let text = audrey.page(&format!("/console/diff?from={before}")).await.one("main").text.clone();
    assert!(text.contains("fresh") && text.contains("Made") && text.contains("Changed"), "{text}");
    audrey.open("/console/diff?from=99999").await.expect(410);
    audrey.open("/console/diff?from=x").await.expect(400);
    audrey.open("/console/history/x").await.expect(404);

    let mut root = Person::new(&service, "administrator", "root").await;
    let place = "/console/restore";
    let latest = service.revision().await;
    let asked = root.page(&format!("/console/restore?revision={before}")).await.form(place);
    let preview = root.send(place, &asked).await.expect(200);
    let page = Page::parse(&preview.text);
    let text = page.one("main").text.clone();
    assert!(text.contains("What would change") && text.contains("s-1") && text.contains("Every block"), "{text}");
    assert_eq!(service.revision().await, latest, "a preview changes nothing");
    let agreed = page.form(place);
    // Somebody is faster: the preview is shown again.
    service.post("/v1/plans", json!({"id": "later"})).await.expect(201);
    let late = root.send(place, &agreed).await.expect(409);
    assert!(late.text.contains("after your preview"));
    let agreed = Page::parse(&late.text).form(place);
    let done = root.send(place, &agreed).await.expect(303);
    let page = root.page(done.header("location")).await;
    assert!(
        page.with("aria-labelledby", "receipt-title").is_some()
            && page.one("main").text.contains("The restore is done")
    );
    assert_eq!(service.get("/v1/applications/shop").await.json()["name"], "Web shop");
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["state"], "BLOCKED", "the block stays");
    let after = service.revision().await;
    root.send(place, &agreed).await;
    assert_eq!(service.revision().await, after, "sent again, it restores nothing more");
    // With the choice that lifts blocks, and its warning.
    let asked =
        filled(root.page(place).await.form(place), &[("revision", &before.to_string()), ("lift_blocks", "true")]);
    let preview = root.send(place, &asked).await.expect(200);
    assert!(preview.text.contains("This lifts blocks"));
    root.send(place, &Page::parse(&preview.text).form(place)).await.expect(303);
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["state"], "UNBLOCKED");
    for (revision, status) in [("99999", 410), ("x", 422), ("", 422)] {
        let wrong = root.fill(place, place, &[("revision", revision)]).await.expect(status);
        assert!(Page::parse(&wrong.text).with("id", "revision-error").is_some(), "{revision}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let make = "/console/new/token";
    let form = filled(root.page(make).await.form(make), &[("subject", "dora"), ("role", "auditor"), ("end", "30")]);
    let made = root.send(make, &form).await.expect(201);
    let token = Page::parse(&made.text).with("id", "secret").unwrap().get("value").to_owned();
    let again = root.send(make, &form).await.expect(409);
    assert!(!again.text.contains(&token));
    let mut dora = Browser::new();
    let sign_in = format!("{}/console/sign-in", service.url);
    dora.submit(&sign_in, &[("token", &token)]).await.expect(303);
    let list = root.open("/console/tokens").await.expect(200);
    assert!(list.text.contains("dora") && !list.text.contains(&token));
    let revoke = Page::parse(&list.text)
        .all("a")
        .map(|link| (link.text.clone(), link.get("href").to_owned()))
        .find(|(text, href)| text.starts_with("Revoke") && again.text.contains(href.as_str()))
        .unwrap()
        .1;
    root.do_it(&revoke, &revoke, &[]).await;
    dora.submit(&sign_in, &[("token", &token)]).await.expect(401);
    let wrong = root.fill(make, make, &[("subject", "")]).await.expect(422);
    assert!(Page::parse(&wrong.text).with("id", "subject-error").is_some());
}
