//! Every page and every form, for every role: who opens it, who is refused, and who learns nothing of it.

use serde_json::Value;

use crate::{
    demo::{ROLES, fill, people},
    person::filled,
    support::Service,
};

/// Statuses for administrator, publisher `p`, subscriber `alice`, operator and auditor.
type Row = (&'static str, [u16; 5]);

const ALL: [u16; 5] = [200, 200, 200, 200, 200];
/// Who changes own APIs and plans.
const OWN: [u16; 5] = [200, 200, 403, 403, 403];
/// Who blocks.
const BLOCKS: [u16; 5] = [200, 200, 403, 200, 403];
/// Of another publisher, and seen.
const OTHERS: [u16; 5] = [200, 403, 403, 403, 403];
/// Of another publisher, and not seen.
const UNSEEN: [u16; 5] = [200, 404, 404, 200, 200];
const UNSEEN_CHANGE: [u16; 5] = [200, 404, 404, 403, 403];
const UNSEEN_BLOCK: [u16; 5] = [200, 404, 404, 200, 403];

/// Who sees applications and keys, and whose they are.
const APPLICATIONS: [u16; 5] = [200, 404, 200, 200, 200];
const OWN_APPLICATIONS: [u16; 5] = [200, 404, 200, 403, 403];
const SUBSCRIBES: [u16; 5] = [200, 403, 200, 403, 403];
/// What belongs to those who operate the service.
const SEES: [u16; 5] = [200, 404, 404, 200, 200];
const OPERATES: [u16; 5] = [200, 404, 404, 200, 403];
const ADMINISTRATORS: [u16; 5] = [200, 404, 404, 403, 403];

/// All pages. Those whose path takes a form have `true`.
const PAGES: &[(Row, bool)] = &[
    (("/console", ALL), false),
    (("/console/apis", ALL), false),
    (("/console/new/api", OWN), true),
    (("/console/apis/orders", ALL), false),
    (("/console/apis/orders/edit", OWN), true),
    (("/console/apis/orders/retire", OWN), true),
    (("/console/apis/orders/delete", OWN), true),
    (("/console/apis/hidden", ALL), false),
    (("/console/apis/hidden/edit", OTHERS), true),
    (("/console/apis/hidden/retire", OTHERS), true),
    (("/console/apis/hidden/delete", OTHERS), true),
    (("/console/apis/secret", UNSEEN), false),
    (("/console/apis/secret/edit", UNSEEN_CHANGE), true),
    (("/console/apis/secret/delete", UNSEEN_CHANGE), true),
    (("/console/apis/nothing", [404; 5]), false),
    (("/console/subscriptions", ALL), false),
    (("/console/subscriptions/s-1", ALL), false),
    (("/console/subscriptions/s-1/block", BLOCKS), true),
    (("/console/subscriptions/s-1/unblock", BLOCKS), true),
    (("/console/subscriptions/s-1/approve", OWN), true),
    (("/console/subscriptions/s-1/reject", OWN), true),
    (("/console/subscriptions/s-2", UNSEEN), false),
    (("/console/subscriptions/s-2/block", UNSEEN_BLOCK), true),
    (("/console/subscriptions/s-2/unblock", UNSEEN_BLOCK), true),
    (("/console/subscriptions/s-2/approve", UNSEEN_CHANGE), true),
    (("/console/subscriptions/s-2/reject", UNSEEN_CHANGE), true),
    (("/console/plans", ALL), false),
    (("/console/new/plan", OWN), true),
    (("/console/plans/gold", ALL), false),
    (("/console/plans/gold/edit", OWN), true),
    (("/console/plans/gold/delete", OWN), true),
    (("/console/usage", ALL), false),
    (("/console/receipts/1", ALL), false),
    (("/console/applications", APPLICATIONS), false),
    (("/console/new/application", OWN_APPLICATIONS), true),
    (("/console/applications/shop", APPLICATIONS), false),
    (("/console/applications/shop/edit", OWN_APPLICATIONS), true),
    (("/console/applications/shop/delete", OWN_APPLICATIONS), true),
    (("/console/applications/shop/new-key", OWN_APPLICATIONS), true),
    (("/console/applications/shop/block", [200, 404, 403, 200, 403]), true),
    (("/console/applications/shop/unblock", [200, 404, 403, 200, 403]), true),
    (("/console/applications/blog", UNSEEN), false),
    (("/console/applications/blog/edit", UNSEEN_CHANGE), true),
    (("/console/applications/blog/new-key", UNSEEN_CHANGE), true),
    (("/console/applications/blog/block", UNSEEN_BLOCK), true),
    (("/console/keys/k-1", APPLICATIONS), false),
    (("/console/keys/k-1/rotate", OWN_APPLICATIONS), true),
    (("/console/keys/k-1/revoke", [200, 404, 200, 200, 403]), true),
    (("/console/keys/nothing", [404; 5]), false),
    (("/console/catalogue", ALL), false),
    (("/console/apis/orders/subscribe", SUBSCRIBES), true),
    (("/console/apis/secret/subscribe", UNSEEN_CHANGE), false),
    (("/console/subscriptions/s-1/plan", SUBSCRIBES), true),
    (("/console/subscriptions/s-1/end", SUBSCRIBES), true),
    (("/console/subscriptions/s-2/plan", UNSEEN_CHANGE), true),
    (("/console/subscriptions/s-2/end", UNSEEN_CHANGE), true),
    (("/console/find", ALL), true),
    (("/console/explain", [200, 200, 404, 200, 200]), true),
    (("/console/gateways", SEES), false),
    (("/console/gateways/nothing/remove", OPERATES), true),
    (("/console/gateway-credentials", SEES), false),
    (("/console/new/gateway-credential", OPERATES), true),
    (("/console/deny-policies", SEES), false),
    (("/console/new/deny-policy", OPERATES), true),
    (("/console/deny-policies/d-1/edit", OPERATES), true),
    (("/console/deny-policies/d-1/delete", OPERATES), true),
    (("/console/audit", SEES), false),
    (("/console/audit.csv", SEES), false),
    (("/console/audit.ndjson", SEES), false),
    (("/console/history", SEES), false),
    (("/console/diff?from=0", SEES), false),
    (("/console/restore", ADMINISTRATORS), true),
    (("/console/tokens", SEES), false),
    (("/console/new/token", ADMINISTRATORS), true),
];

#[tokio::test]
async fn each_role_opens_what_it_may() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let mut wrong = Vec::new();
    for ((path, expected), takes_form) in PAGES {
        for ((person, role), status) in people.iter_mut().zip(ROLES).zip(expected) {
            let answer = person.open(path).await;
            if answer.status != *status {
                wrong.push(format!("{role} opens {path}: {} and not {status}", answer.status));
            }
            if answer.status == 404 {
                assert!(!answer.text.contains("Secret") && !answer.text.contains("Blog"), "{role} learns from {path}");
            }
            if *takes_form && *status == 200 {
                assert!(crate::dom::Page::parse(&answer.text).with("action", path).is_some(), "{path} has no form");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_form_is_refused_to_those_who_may_not_open_its_page() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let before = service.revision().await;
    let mut wrong = Vec::new();
    for ((path, expected), _) in PAGES.iter().filter(|(_, takes_form)| *takes_form) {
        for ((person, role), status) in people.iter_mut().zip(ROLES).zip(expected).filter(|(_, status)| **status != 200)
        {
            let token = person.page("/console").await.form("/console/sign-out");
            let fields = filled(
                token,
                &[("id", "made"), ("state", "BLOCKED"), ("end", "never"), ("match", "/x"), ("reason", "x")],
            );
            let answer = person.send(path, &fields).await;
            if answer.status != *status {
                wrong.push(format!("{role} sends {path}: {} and not {status}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(service.revision().await, before, "nothing was changed");
}

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let service = Service::start().await;
    fill(&service).await;
    let mut people = people(&service).await;
    let before = service.revision().await;
    let other = people[0].page("/console").await.form("/console/sign-out");
    let publisher = &mut people[1];
    let own = publisher.page("/console").await.form("/console/sign-out");
    assert_ne!(own, other);
    let fields = [("id", "made"), ("state", "BLOCKED"), ("end", "never"), ("match", "/x"), ("reason", "x")];
    for ((path, _), _) in PAGES.iter().filter(|((_, expected), takes_form)| *takes_form && expected[1] == 200) {
        for token in [vec![], vec![("csrf_token".to_owned(), "wrong".to_owned())], other.clone()] {
            let answer = publisher.send(path, &filled(token.clone(), &fields)).await.expect(403);
            assert!(answer.text.contains("nothing was changed"), "{path}");
        }
        let full = filled(own.clone(), &fields);
        for (name, value, status) in [
            ("sec-fetch-site", "cross-site", 403),
            ("origin", "https://example.com", 403),
            ("content-type", "text/plain", 415),
        ] {
            let request =
                publisher.browser.client.post(format!("{}{path}", publisher.url)).form(&full).header(name, value);
            // A header that is there twice is not what a browser sends.
            let mut request = request.build().unwrap();
            request.headers_mut().insert(reqwest::header::HeaderName::from_static(name), value.parse().unwrap());
            let cookies: Vec<_> =
                publisher.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
            let answer = publisher.browser.client.execute(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path} with {name}: {value}");
        }
    }
    assert_eq!(service.revision().await, before, "nothing was changed");
    let audit: Value = service.get("/v1/audit?action=block").await.expect(200).json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 0);
}
