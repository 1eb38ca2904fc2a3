//! Forms whose fields depend on each other, or name what is not there: nothing that was typed is dropped without a word, and
//! the form comes back with it.

use serde_json::json;

use crate::{
    demo::{fill, people},
    dom::Page,
    person::Person,
    support::{Answer, Service},
};

/// The form comes back with what was typed, and the error stands at the field.
#[track_caller]
fn is_kept(answer: &Answer, action: &str, typed: &[(&str, &str)], field: &str, says: &str) {
    let page = Page::parse(&answer.text);
    let main = page.one("main").text.clone();
    assert_eq!(answer.status, 422, "{action} {typed:?}: {main}");
    let form = page.form(action);
    for (name, value) in typed {
        assert!(form.contains(&((*name).to_owned(), (*value).to_owned())), "{action}: {name} is lost: {form:?}");
    }
    let error = page.with("id", &format!("{field}-error")).map(|error| error.text.clone()).unwrap_or_default();
    assert!(error.contains(says), "{action} {typed:?}: {error:?}: {main}");
    assert!(page.links(&format!("#{field}")), "{action}: the summary leads to {field}");
}

#[tokio::test]
async fn a_value_beside_a_choice_that_ignores_it_is_not_dropped() {
    let service = Service::start().await;
    fill(&service).await;
    let made =
        service.post("/v1/gateways/credentials", json!({"client_id": "edge", "apis": ["orders"]})).await.expect(201);
    let credential = made.json()["id"].as_str().unwrap().to_owned();
    let scope = format!("/console/gateway-credentials/{credential}/scope");
    let mut people = people(&service).await;
    let until = ("until", "2199-01-01T00:00");
    let revision = service.revision().await;
    for (who, action, typed, field) in [
        (1, "/console/subscriptions/s-1/block", vec![("end", "never"), until, ("reason", "r")], "until"),
        (1, "/console/subscriptions/s-1/block", vec![("end", "hour"), until], "until"),
        (1, "/console/subscriptions/s-1/block", vec![("end", "tomorrow"), ("until", "soon")], "until"),
        (2, "/console/applications/shop/new-key", vec![("end", "365"), until, ("apis", "orders")], "until"),
        (2, "/console/applications/shop/new-key", vec![("end", "never"), until], "until"),
        (3, "/console/new/gateway-credential", vec![("client_id", "e"), ("sees", "all"), ("apis", "orders")], "apis"),
        (3, scope.as_str(), vec![("sees", "all"), ("apis", "orders\ninvoices")], "apis"),
        (1, "/console/new/plan", vec![("id", "x"), ("operations", "GET /"), ("no_operation", "true")], "operations"),
        (1, "/console/plans/gold/edit", vec![("operations", "GET /"), ("no_operation", "true")], "operations"),
    ] {
        let answer = people[who].fill(action, action, &typed).await;
        is_kept(&answer, action, &typed, field, "or ");
    }
    assert_eq!(service.revision().await, revision);
    let list = service.get("/v1/gateways/credentials").await.expect(200).json();
    assert_eq!((&list["total"], &list["items"][0]["apis"]), (&json!(1), &json!(["orders"])));
    // What nobody touched stands in nobody's way.
    people[3].fill(&scope, &scope, &[("sees", "all")]).await.expect(303);
    let block = "/console/subscriptions/s-1/block";
    service.post("/v1/subscriptions/s-1/block", json!({"until": 4_102_444_807_i64})).await.expect(200);
    people[1].fill(block, block, &[("end", "never")]).await.expect(303);
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["block"]["until"], json!(null));
}

#[tokio::test]
async fn an_id_that_is_not_there_is_a_mistake_of_its_field() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let revision = service.revision().await;
    for (who, action, typed, field) in [
        (1, "/console/new/api", vec![("name", "Q"), ("match", "/q"), ("plans", "nope")], "plans"),
        (0, "/console/new/api", vec![("name", "Q"), ("match", "/q"), ("plans", "nope")], "plans"),
        (1, "/console/apis/orders/edit", vec![("name", "Q"), ("plans", "gold\nnope")], "plans"),
        (2, "/console/applications/shop/new-key", vec![("type", "SANDBOX"), ("apis", "nope")], "apis"),
        (0, "/console/applications/shop/new-key", vec![("type", "SANDBOX"), ("apis", "nope")], "apis"),
        (0, "/console/applications/shop/edit", vec![("name", "Q"), ("plan", "nope")], "plan"),
        (0, "/console/subscriptions/s-1/plan", vec![("plan", "nope")], "plan"),
    ] {
        let answer = people[who].fill(action, action, &typed).await;
        is_kept(&answer, action, &typed, field, "nope");
    }
    // The form offers one of some, and was not what was sent.
    let subscribe = "/console/apis/orders/subscribe";
    for (name, field) in [("plan", "plan"), ("application", "application")] {
        let answer = people[2].fill(subscribe, subscribe, &[(name, "nope")]).await.expect(422);
        assert!(Page::parse(&answer.text).with("id", &format!("{field}-error")).is_some(), "{}", answer.text);
    }
    assert_eq!(service.revision().await, revision);
    // A page that is not there stays one.
    people[1].open("/console/apis/nope/edit").await.expect(404);
}

#[tokio::test]
async fn what_is_emptied_is_empty_or_refused() {
    let service = Service::start().await;
    fill(&service).await;
    let mut root = Person::new(&service, "administrator", "root").await;
    let revision = service.revision().await;
    for action in ["/console/apis/orders/edit", "/console/applications/shop/edit", "/console/plans/gold/edit"] {
        let answer = root.fill(action, action, &[("owner", "")]).await;
        is_kept(&answer, action, &[("owner", "")], "owner", "can be replaced, not removed");
    }
    assert_eq!(service.revision().await, revision);
    // Without an owner, there is none to remove.
    service.post("/v1/plans", json!({"id": "free"})).await.expect(201);
    let free = "/console/plans/free/edit";
    root.fill(free, free, &[("limits", "1 per day")]).await.expect(303);
    let row = async |path: &str| service.get(path).await.expect(200).json();
    service
        .put("/v1/applications/shop", json!({"name": "Web shop", "owner": "alice", "plan": "gold"}))
        .await
        .expect(200);
    for (action, field, path) in [
        ("/console/applications/shop/edit", "plan", "/v1/applications/shop"),
        ("/console/applications/shop/edit", "name", "/v1/applications/shop"),
        ("/console/subscriptions/s-1/plan", "plan", "/v1/subscriptions/s-1"),
        ("/console/apis/orders/edit", "plans", "/v1/apis/orders"),
        ("/console/apis/orders/edit", "version", "/v1/apis/orders"),
        ("/console/apis/orders/edit", "match", "/v1/apis/orders"),
        ("/console/plans/gold/edit", "limits", "/v1/plans/gold"),
    ] {
        assert!(!row(path).await[field].is_null(), "{field}");
        root.do_it(action, action, &[(field, "")]).await;
        let now = row(path).await[field].clone();
        assert!(now.is_null() || now == json!([]), "{action}: {field} is {now}");
    }
}

#[tokio::test]
async fn a_subscription_shows_the_plan_that_it_has() {
    let service = Service::start().await;
    fill(&service).await;
    // Its API offers no plan, and only an administrator gave it one.
    service.post("/v1/plans", json!({"id": "trial", "limits": [{"requests": 5, "per": "hour"}]})).await.expect(201);
    let row = json!({"application": "blog", "api": "hidden", "plan": "trial"});
    service.put("/v1/subscriptions/s-2", row).await.expect(200);
    let plan = "/console/subscriptions/s-2/plan";
    let mut bob = Person::new(&service, "subscriber", "bob").await;
    let text = bob.page(plan).await.one("main").text.clone();
    assert!(text.contains("trial") && text.contains("the subscription has it now"), "{text}");
    assert!(text.contains("offers no other") && !text.contains("not limited"), "{text}");
    let mut root = Person::new(&service, "administrator", "root").await;
    let form = root.page(plan).await.form(plan);
    assert!(form.contains(&("plan".to_owned(), "trial".to_owned())), "{form:?}");
    root.do_it(plan, plan, &[("plan", "gold")]).await;
    assert_eq!(service.get("/v1/subscriptions/s-2").await.json()["plan"], "gold");
    // Where the API offers others, the own one stands beside them.
    let mut api = service.get("/v1/apis/hidden").await.json();
    service.post("/v1/plans", json!({"id": "silver", "owner": "q"})).await.expect(201);
    api["plans"] = json!(["silver"]);
    service.put("/v1/apis/hidden", api).await.expect(200);
    let page = bob.page(plan).await;
    assert!(page.form(plan).contains(&("plan".to_owned(), "gold".to_owned())), "{}", page.one("main").text);
    bob.do_it(plan, plan, &[("plan", "silver")]).await;
    assert_eq!(service.get("/v1/subscriptions/s-2").await.json()["plan"], "silver");
}

#[tokio::test]
async fn a_line_that_is_no_limit_is_told_with_what_would_be_one() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    for (field, typed) in [
        ("limits", "many"),
        ("limits", "5000"),
        ("limits", "5000 day"),
        ("limits", "5000 per week"),
        ("limits", "-1 per day"),
        ("limits", "1.5 per day"),
        ("limits", "5000 per day\nand more"),
        ("burst", "fast"),
        ("burst", "10 per"),
    ] {
        for action in ["/console/new/plan", "/console/plans/gold/edit"] {
            let answer = people[1].fill(action, action, &[(field, typed)]).await;
            is_kept(&answer, action, &[(field, typed)], field, "such as: 5000 per day");
        }
    }
    // What a limit may be stays a rule of /v1.
    let new = "/console/new/plan";
    let answer = people[1].fill(new, new, &[("limits", "0 per day")]).await;
    is_kept(&answer, new, &[("limits", "0 per day")], "limits", "");
}
