//! Forms for something new: empty ones make nothing, unknown ids are told, and what is there already is not called new.

use serde_json::json;

use crate::{
    demo::{fill, people},
    dom::Page,
    person::filled,
    support::Service,
};

#[tokio::test]
async fn an_empty_form_makes_nothing() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let before = service.revision().await;
    for (who, action, field, says) in [
        (1, "/console/new/api", "name", "expected a name for the API, or an id"),
        (1, "/console/new/plan", "id", "expected at least an id, a limit or an operation"),
        (2, "/console/new/application", "name", "expected a name for the application, or an id"),
    ] {
        let page = Page::parse(&people[who].fill(action, action, &[]).await.expect(422).text);
        let error = page.with("id", &format!("{field}-error")).unwrap().text.clone();
        assert!(error.contains(says) && page.links(&format!("#{field}")), "{action}: {error}");
    }
    assert_eq!(service.revision().await, before);
}

#[tokio::test]
async fn a_credential_for_an_api_that_is_not_there_is_refused() {
    let service = Service::start().await;
    fill(&service).await;
    let made = service.post("/v1/gateways/credentials", json!({"client_id": "edge", "apis": ["gone", "orders"]})).await;
    let id = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    let mut people = people(&service).await;
    let (new, scope) = ("/console/new/gateway-credential", format!("/console/gateway-credentials/{id}/scope"));
    for (action, apis) in [(new, "nope"), (new, "orders\nnope"), (scope.as_str(), "gone\nnope")] {
        let typed = [("client_id", "edge"), ("sees", "some"), ("apis", apis)];
        let page = Page::parse(&people[3].fill(action, action, &typed).await.expect(422).text);
        let error = page.with("id", "apis-error").unwrap().text.clone();
        assert!(error.contains("no API with the id \"nope\""), "{action} {apis}: {error}");
    }
    // What was there before may stay.
    people[3].fill(&scope, &scope, &[("sees", "some"), ("apis", "gone")]).await.expect(303);
}

#[tokio::test]
async fn what_is_there_already_is_not_called_new() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let said = |page: &Page| page.with("class", "said").map(|element| element.text.clone()).unwrap_or_default();
    for (who, action, typed) in [
        (1, "/console/new/api", vec![("id", "n"), ("name", "N"), ("match", "/n")]),
        (1, "/console/new/plan", vec![("id", "n"), ("limits", "5 per day")]),
        (2, "/console/new/application", vec![("id", "n"), ("name", "N")]),
    ] {
        let person = &mut people[who];
        let form = filled(person.page(action).await.form(action), &typed);
        for _ in 0..2 {
            let place = person.send(action, &form).await.expect(303).header("location").to_owned();
            assert!(said(&person.page(&place).await).contains("It is created"), "{action}: a form that arrives twice");
        }
        // Another form with the same content, after another change.
        service.post("/v1/plans", json!({"id": format!("between-{who}-{}", action.len())})).await.expect(201);
        let row = action.replace("/console/new/", "/v1/") + "s/n";
        let owner = service.get(&row).await.expect(200).json()["owner"].clone();
        assert_eq!(owner, if who == 1 { json!("p") } else { json!("alice") });
        let answer = person.fill(action, action, &typed).await.expect(303);
        let (sentence, place) = (said(&person.page(answer.header("location")).await), answer.header("location"));
        assert!(sentence.contains("It is created") || sentence.contains("so already"), "{place}: {sentence:?}");
    }
}
