//! What an explanation says beside the verdict: the reply, what it cannot know, and what it keeps to itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "only test code: a panic is how it reports")]

use explain::{
    Explanation, Outcome, Step, Verdict, View, configuration, explain,
    policy::{InvalidPolicy, Policy},
    request::{Address, Credential, Request},
};
use keygate::digest::Digest;
use serde_json::{Value, json};

const NOW: u64 = 1_748_736_000;

fn page() -> Value {
    json!({"format": 1, "revision": 7,
        "apis": [{"id": "payments-1.0", "state": "DEPRECATED", "match": [{"path": "/payments/1.0"}]}],
        "applications": [{"id": "app-1", "owner": "alice"}],
        "subscriptions": [{"application": "app-1", "api": "payments-1.0", "plan": "gold"}],
        "plans": [{"id": "gold", "burst": {"requests": 1, "per": "second"}}],
        "keys": [{"sha256": Digest::of(b"good-key").to_hex(), "id": "k-1", "application": "app-1"}],
        "deny_policies": [{"id": "d1", "type": "IP_RANGE", "value": "203.0.113.0/24"}]})
}

fn request() -> Request {
    Request {
        method: "GET".to_owned(),
        authority: "api.example.com".to_owned(),
        path: Some(b"/payments/1.0/charges".to_vec()),
        credential: Credential::Id("k-1".to_owned()),
        ..Request::default()
    }
}

fn told(page: &Value, config: &Value, request: &Request, view: View) -> Explanation {
    let policy = Policy::of(vec![page.to_string().into_bytes()]).unwrap();
    let config = configuration::parse(&config.to_string()).unwrap();
    explain(&policy, &config, request, NOW, view).unwrap()
}

fn step<'a>(explanation: &'a Explanation, rule: &str) -> &'a Step {
    explanation.steps.iter().find(|step| step.rule == rule).unwrap()
}

#[test]
fn an_address_that_is_not_given_leaves_its_deny_policies_open() {
    let open = told(&page(), &json!({}), &request(), View::All);
    assert_eq!((open.verdict, step(&open, "denied_by_policy").outcome), (Verdict::Allow, Outcome::Unknown));
    assert!(open.notes.iter().any(|note| note.contains("no client address is given")), "{:?}", open.notes);
    for (address, expected) in [
        (Address::Known([203, 0, 113, 9].into()), "denied_by_policy"),
        (Address::Known([192, 0, 2, 1].into()), "allowed"),
        (Address::Unknown, "denied_by_policy"),
    ] {
        let told = told(&page(), &json!({}), &Request { address, ..request() }, View::All);
        assert_eq!(told.reason, expected, "{address:?}");
    }
}

#[test]
fn a_deny_policy_is_named_to_those_who_may_see_it() {
    let from = Request { address: Address::Known([203, 0, 113, 9].into()), ..request() };
    let all = told(&page(), &json!({}), &from, View::All);
    assert!(step(&all, "denied_by_policy").because.contains("d1"), "{:?}", all.steps.last());
    let some = told(&page(), &json!({}), &from, View::OfOneApi);
    assert_eq!((some.reason, some.status), (all.reason, all.status));
    let text = serde_json::to_string(&some).unwrap();
    assert!(!text.contains("d1") && !text.contains("203.0.113"), "{text}");
}

/// Each explanation counts anew, so a limit of one request a second never refuses one.
#[test]
fn limits_are_told_and_not_counted() {
    let policy = Policy::of(vec![page().to_string().into_bytes()]).unwrap();
    for _ in 0..5 {
        let told = explain(&policy, &configuration::default().unwrap(), &request(), NOW, View::All).unwrap();
        let burst = step(&told, "burst_exceeded");
        assert_eq!((told.verdict, burst.outcome), (Verdict::Allow, Outcome::Unknown));
        assert!(burst.because.contains("gold") && burst.because.contains("1 request a second"), "{}", burst.because);
    }
    let mut page = page();
    page["plans"][0]["limits"] = json!([{"requests": 5, "per": "day"}]);
    page["subscriptions"][0]["used_up_until"] = json!(NOW + 60);
    let used_up = told(&page, &json!({}), &request(), View::All);
    assert_eq!((used_up.reason, used_up.status), ("quota_exceeded", Some(429)));
    assert_eq!(used_up.reply_headers["retry-after"], "60");
}

#[test]
fn shadow_mode_decides_the_same_and_says_that_the_request_passes() {
    let mut page = page();
    page["subscriptions"][0]["state"] = json!("BLOCKED");
    let told = told(&page, &json!({"mode": "shadow"}), &request(), View::All);
    assert_eq!((told.verdict, told.reason, told.status), (Verdict::Deny, "subscription_blocked", Some(401)));
    assert!(told.notes[0].contains("would_deny.subscription_blocked"), "{:?}", told.notes);
}

#[test]
fn the_reply_is_that_of_the_configuration() {
    let mut page = page();
    page["subscriptions"][0]["state"] = json!("BLOCKED");
    let wso2 = told(&page, &json!({}), &request(), View::All);
    assert_eq!(wso2.reply.unwrap()["code"], "900907");
    assert_eq!(wso2.reply_headers["www-authenticate"], "API-Key realm=\"keygate\"");
    let replies = json!({"replies": {"format": "problem", "overrides": {"subscription_blocked": {"status": 403}}}});
    let problem = told(&page, &replies, &request(), View::All);
    assert_eq!((problem.status, &problem.reply.unwrap()["reason"]), (Some(403), &json!("subscription_blocked")));
    for content_type in ["application/grpc", "application/grpc;x=1"] {
        let headers = vec![("content-type".to_owned(), content_type.as_bytes().to_vec())];
        let grpc = told(&page, &json!({}), &Request { headers, ..request() }, View::All);
        let expected = json!({"grpc_status": 16, "grpc_message": "The requested API is temporarily blocked"});
        assert_eq!((grpc.status, grpc.reply), (Some(200), Some(expected)), "{content_type}");
    }
}

#[test]
fn an_emergency_key_of_which_only_the_digest_is_known_is_one() {
    let digest = Digest::of(b"saved-key");
    let request = Request { credential: Credential::Digest(digest), ..request() };
    for (list, verdict, reason) in
        [("allow_keys", Verdict::Allow, "allowed"), ("deny_keys", Verdict::Deny, "key_denied")]
    {
        let config = json!({"emergency": {list: [digest.to_hex()]}});
        let told = told(&page(), &config, &request, View::All);
        assert_eq!((told.verdict, told.reason), (verdict, reason));
    }
    assert_eq!(told(&page(), &json!({}), &request, View::All).reason, "key_unknown");
}

/// The pages of one revision follow each other by `next`, as a feed serves them.
#[test]
fn a_policy_may_come_in_pages() {
    let whole = page();
    let lists = ["apis", "applications", "subscriptions", "plans", "keys", "deny_policies"];
    let pages = lists.iter().enumerate().map(|(number, list)| {
        let mut page = json!({"format": 1, "revision": 7, *list: whole[list]});
        if number + 1 < lists.len() {
            page["next"] = json!(format!("?page={number}"));
        }
        page.to_string().into_bytes()
    });
    let pages: Vec<_> = pages.collect();
    let config = configuration::default().unwrap();
    let of = |pages: Vec<Vec<u8>>| explain(&Policy::of(pages).unwrap(), &config, &request(), NOW, View::All);
    assert_eq!(of(pages.clone()), of(vec![whole.to_string().into_bytes()]));
    assert_eq!(Policy::of(pages[..3].to_vec()).map(drop), Err(InvalidPolicy::Chain(3)));
    assert!(Policy::of(Vec::new()).is_err());
    let delta = json!({"format": 1, "revision": 7, "base": 6}).to_string().into_bytes();
    assert_eq!(Policy::of(vec![delta]).map(drop), Err(InvalidPolicy::Delta(1)));
}

#[test]
fn a_bad_row_is_left_out_and_told() {
    let mut page = page();
    page["keys"][0]["expires_at"] = json!(-1);
    let digest = Credential::Digest(Digest::of(b"good-key"));
    let told = told(&page, &json!({}), &Request { credential: digest, ..request() }, View::All);
    assert_eq!(told.reason, "key_unknown");
    assert!(told.notes.iter().any(|note| note.contains("expires_at")), "{:?}", told.notes);
}

/// A block with a time is decided at the time of the request.
#[test]
fn the_times_of_a_block_are_told() {
    let mut page = page();
    for (row, reason, says) in [
        (json!({"state": "BLOCKED", "blocked_until": NOW + 1}), "subscription_blocked", "the block ends at"),
        (json!({"state": "BLOCKED", "blocked_until": NOW}), "allowed", "is UNBLOCKED; the block ended at"),
        (
            json!({"blocked_from": NOW, "blocked_state": "PROD_ONLY_BLOCKED"}),
            "subscription_blocked",
            "(PROD_ONLY_BLOCKED) began",
        ),
        (json!({"blocked_from": NOW + 1}), "allowed", "the planned block (BLOCKED) begins at"),
    ] {
        let mut subscription = json!({"application": "app-1", "api": "payments-1.0"});
        subscription.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        page["subscriptions"][0] = subscription;
        let told = told(&page, &json!({}), &request(), View::All);
        assert_eq!(told.reason, reason, "{row}");
        let because = &step(&told, "subscription_blocked").because;
        assert!(because.contains(says), "{row}: {because}");
    }
    page["subscriptions"][0]["block_note"] = json!("Pay invoice 7");
    page["subscriptions"][0]["blocked_from"] = json!(NOW);
    let reply = told(&page, &json!({}), &request(), View::All).reply.unwrap();
    assert!(reply["description"].as_str().unwrap().ends_with(": Pay invoice 7"), "{reply}");
}
