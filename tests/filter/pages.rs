//! Pages that are not faults of the feed: bad rows, older revisions, other epochs, several pages, cursors, nothing new.

use std::time::Duration;

use serde_json::json;

use crate::{
    host::{Answer, Envoy, LogLevel, Request},
    policy::*,
};

#[test]
fn a_bad_row_is_left_out_and_its_neighbours_stay() {
    let rows = [
        ("keys", json!({"sha256": "short", "id": "k-9", "application": "app-1"})),
        ("keys", json!({"sha256": sha256("x"), "id": "", "application": "app-1"})),
        ("keys", json!(17)),
        ("applications", json!({"name": "without id"})),
        ("subscriptions", json!({"application": "app-2"})),
        ("subscriptions", json!({"application": "app-2\n", "api": "orders-1.0"})),
        ("subscriptions", json!({"application": "app-2", "api": "orders-1.0", "used_up_until": -1})),
        ("subscriptions", json!({"application": "app-2", "api": "orders-1.0", "used_up_until": "soon"})),
        ("applications", json!({"id": "app-3", "used_up_until": 253_402_300_800_i64})),
    ];
    for (list, row) in rows {
        let (mut envoy, _service) = running(&Page::demo(1).row(list, row.clone()));
        assert_eq!(verdicts(&mut envoy)[..4], ["allowed", "allowed", "allowed", "401 key_unknown"], "{row}");
        assert_eq!(envoy.metric("keygate.policy.rows_rejected"), 1, "{row}");
        let lines = envoy.log(LogLevel::Warn);
        assert!(lines.iter().any(|line| line.contains(list)), "{row}: {lines:?}");
    }
}

/// The bad row, the request that depends on it, and the rest of the page about the same thing.
#[test]
fn the_subject_of_a_bad_row_is_not_allowed_by_an_older_row_either() {
    let bad = [
        ("keys", json!({"sha256": sha256(PRODUCTION_KEY), "id": "", "application": "app-1"}), "401 key_unknown"),
        ("keys", json!({"sha256": sha256(PRODUCTION_KEY), "id": 5, "application": "app-1"}), "401 key_unknown"),
        ("applications", json!({"id": "app-1", "name": "\n"}), "403 subscription_missing"),
        ("applications", json!({"id": "app-1", "state": ["BLOCKED"]}), "403 subscription_missing"),
        (
            "subscriptions",
            json!({"application": "app-1", "api": "payments-1.0", "state": "BLOCKED", "plan": ""}),
            "403 subscription_missing",
        ),
    ];
    for (list, row, verdict) in bad {
        for required in [true, false] {
            let held = Page::demo(1).with("poll", "/v1/policy?since=1").change(
                "apis",
                "payments-1.0",
                json!({"subscription_required": required}),
            );
            let ask = |envoy: &mut Envoy| verdicts(envoy)[0].clone();
            let (mut envoy, _service) = running(&held.clone().row(list, row.clone()));
            assert_eq!(ask(&mut envoy), verdict, "{row} behind a good one, subscription required: {required}");

            let (mut envoy, service) = running(&held);
            assert_eq!(ask(&mut envoy), "allowed");
            service.publish(&Page::new(2).with("base", 1).row(list, row.clone()));
            envoy.run_for(SETTLED);
            assert_eq!(envoy.metric("keygate.policy.revision"), 2, "{row}");
            assert_eq!(ask(&mut envoy), verdict, "{row} in a delta, subscription required: {required}");
            let (keys, subscriptions) = (i64::from(list != "keys"), i64::from(list != "subscriptions"));
            let counts = (envoy.metric("keygate.policy.keys"), envoy.metric("keygate.policy.subscriptions"));
            assert_eq!(counts, (2 + keys, 2 + subscriptions), "{row}");

            // A valid row repairs it.
            let good = Page::demo(1).0[list].as_array().unwrap()[0].clone();
            service.publish(&Page::new(3).with("base", 2).row(list, good));
            envoy.run_for(SETTLED);
            assert_eq!(ask(&mut envoy), "allowed", "after {row}");
        }
    }
}

#[test]
fn one_key_for_two_applications_is_logged() {
    let row = |id: &str, application: &str| json!({"sha256": sha256("twice"), "id": id, "application": application});
    let page = Page::demo(1).with("poll", "/v1/policy?since=1");
    let (mut envoy, service) = running(&page.row("keys", row("k-8", "app-2")).row("keys", row("k-9", "app-1")));
    let who = |envoy: &mut Envoy| {
        envoy.worker(1).request(Request::get("/payments/1.0").key("twice")).headers.text("x-application-id")
    };
    assert_eq!(who(&mut envoy).as_deref(), Some("app-1"), "the last one counts");
    let lines = envoy.log(LogLevel::Warn);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("1 row differs") && lines[0].contains("key `k-9` of application `app-1`"), "{lines:#?}");

    let delta = Page::new(2).with("base", 1).with("poll", "/v1/policy?since=2");
    service.publish(&delta.row("keys", row("k-9", "app-1")).row("keys", row("k-8", "app-2")));
    envoy.run_for(SETTLED);
    assert_eq!(who(&mut envoy).as_deref(), Some("app-2"));
    assert!(envoy.log(LogLevel::Warn)[1].contains("key `k-8` of application `app-2`"));
}

#[test]
fn unknown_fields_are_counted_by_page_and_logged_by_name() {
    let blocked = json!({"application": "app-1", "api": "payments-1.0", "status": "BLOCKED"});
    let page = Page::demo(1)
        .with("poll", "/v1/policy?since=1")
        .with("denyPolicies", json!([{"id": "d", "type": "USER", "value": "alice"}]))
        .change("keys", "k-1", json!({"expires": 1, "revoked": true}))
        .change("apis", "payments-1.0", json!({"matches": []}))
        .row("plans", json!({"id": "gold", "limit": []}));
    let (mut envoy, service) = running(&page.row("subscriptions", blocked.clone()));
    assert_eq!(verdicts(&mut envoy)[0], "allowed", "they are ignored");
    assert_eq!(envoy.metric("keygate.policy.unknown_fields"), 1);
    assert_eq!(envoy.metric("keygate.policy.rows_rejected"), 0);
    let lines = envoy.log(LogLevel::Warn);
    assert_eq!(lines.len(), 5, "the first five names: {lines:#?}");
    for (name, place) in [
        ("`denyPolicies`", "of the page itself; did you mean `deny_policies`?"),
        ("`matches`", "in `apis`, row at byte"),
        ("`limit`", "in `plans`, row at byte"),
        ("`expires`", "in `keys`, row at byte"),
        ("`revoked`", "in `keys`, row at byte"),
    ] {
        let line = lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {lines:#?}"));
        assert!(line.contains(place), "{line}");
    }

    service.publish(&Page::new(2).with("base", 1).with("poll", "/v1/policy?since=2").row("subscriptions", blocked));
    envoy.run_for(SETTLED);
    assert_eq!(envoy.metric("keygate.policy.unknown_fields"), 2, "a delta");
    assert!(envoy.log(LogLevel::Warn)[5].contains("`status` in `subscriptions`, row at byte"));
}

#[test]
fn an_older_revision_is_refused_and_another_epoch_is_taken() {
    let (mut envoy, service) = running(&Page::demo(7).subscription("app-1", "payments-1.0", "BLOCKED"));
    service.publish(&Page::demo(6));
    envoy.run_for(Duration::from_secs(20));
    assert_eq!(verdicts(&mut envoy)[0], "401 subscription_blocked");
    assert!(envoy.metric("keygate.policy.refused_rollback") >= 1);
    service.publish(&Page::demo(1).with("epoch", "e2"));
    envoy.run_for(Duration::from_secs(40));
    assert_eq!(verdicts(&mut envoy)[0], "allowed");
    assert_eq!(envoy.metric("keygate.policy.revision"), 1);
}

#[test]
fn a_policy_that_would_drop_nearly_every_key_is_refused_unless_confirmed() {
    let full =
        (0..200).fold(Page::demo(1), |page, n| page.key(&format!("key-{n}"), &format!("n-{n}"), "app-1", "SANDBOX"));
    let (mut envoy, service) = running(&full);
    let small = Page::new(2).api("payments-1.0", "/payments/1.0");
    service.publish(&small);
    envoy.run_for(Duration::from_secs(20));
    assert_eq!(verdicts(&mut envoy)[0], "allowed");
    assert!(envoy.metric("keygate.policy.refused_shrink") >= 1);
    service.publish(&small.with("confirm_removal", true));
    envoy.run_for(Duration::from_secs(40));
    assert_eq!(verdicts(&mut envoy)[0], "401 key_unknown");
}

#[test]
fn a_full_policy_in_pages_takes_effect_all_at_once() {
    let (mut envoy, _service) = running(&Page::demo(1));
    let first = Page::new(2).with("next", "/v1/policy?page=2").api("payments-1.0", "/payments/1.0").key(
        PRODUCTION_KEY,
        "k-1",
        "app-1",
        "PRODUCTION",
    );
    let last = Page::new(2).application("app-1").subscription("app-1", "payments-1.0", "BLOCKED");
    let before = verdicts(&mut envoy);
    envoy.set_feed(move |callout| match callout.path().as_str() {
        "/v1/policy?page=2" => Answer::Pending,
        _ => Answer::json(&first.0),
    });
    envoy.run_for(SETTLED);
    let callout = envoy.pending().pop().expect("the second page is asked for");
    assert_eq!(callout.path(), "/v1/policy?page=2");
    assert_eq!(verdicts(&mut envoy), before, "half a policy is none");
    let _ = envoy.answer(&callout, Answer::json(&last.0));
    envoy.run_for(Duration::from_secs(2));
    let after = verdicts(&mut envoy);
    assert_eq!(after[..3], ["401 subscription_blocked", "401 key_unknown", "401 key_unknown"]);
}

#[test]
fn a_page_that_fails_half_way_leaves_the_old_policy() {
    for fault in [Answer::status(500, ""), Answer::Reset, Answer::json("{"), Answer::status(302, "")] {
        let (mut envoy, _service) = running(&Page::demo(1));
        let before = verdicts(&mut envoy);
        let first = Page::new(2).with("next", "/v1/policy?page=2").api("payments-1.0", "/payments/1.0");
        let told = fault.clone();
        envoy.set_feed(move |callout| match callout.path().as_str() {
            "/v1/policy?page=2" => told.clone(),
            _ => Answer::json(&first.0),
        });
        for _ in 0..6 {
            envoy.run_for(Duration::from_secs(5));
            assert_eq!(verdicts(&mut envoy), before, "{fault:?}");
        }
    }
}

#[test]
fn a_page_that_is_gone_begins_anew_and_not_without_end() {
    for status in [404, 410] {
        let (mut envoy, service) = running(&Page::demo(1));
        let before = verdicts(&mut envoy);
        let first = Page::new(2).with("next", "/v1/policy?page=2").api("payments-1.0", "/payments/1.0");
        let mut asked = service.feed();
        envoy.set_feed(move |callout| {
            asked(callout);
            match callout.path().as_str() {
                "/v1/policy?page=2" => Answer::status(status, ""),
                _ => Answer::json(&first.0),
            }
        });
        envoy.run_for(Duration::from_secs(60));
        assert_eq!(verdicts(&mut envoy), before);
        let tries = service.seen().len();
        assert!(tries < 60, "{tries} requests in a minute");
    }
}

#[test]
fn a_cursor_that_is_gone_leads_back_to_the_full_policy() {
    for status in [404, 410] {
        let (mut envoy, service) = running(&Page::demo(1).with("poll", "/v1/policy?since=1"));
        service.publish(&Page::demo(2).subscription("app-1", "payments-1.0", "BLOCKED"));
        let mut serve = service.feed();
        envoy.set_feed(move |callout| match callout.path().as_str() {
            "/v1/policy" => serve(callout),
            _ => Answer::status(status, ""),
        });
        envoy.run_for(SETTLED);
        assert_eq!(verdicts(&mut envoy)[0], "401 subscription_blocked", "{status}");
    }
}

#[test]
fn unchanged_is_asked_for_and_confirmed() {
    let service = Service::saying(Answer::json(Page::demo(1).0).header("etag", "\"one\""));
    let mut envoy = Envoy::new(configuration([])).feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(1));
    service.say(Answer::status(304, ""));
    envoy.run_for(Duration::from_secs(300));
    let last = service.seen().pop().unwrap();
    assert_eq!(last.headers.text("if-none-match").as_deref(), Some("\"one\""));
    assert_eq!(verdicts(&mut envoy)[0], "allowed");
    assert!(envoy.metric("keygate.refresh.not_modified") >= 50);
    assert!(envoy.metric("keygate.policy.age_ms") <= 6000, "confirmed is fresh");
    assert_eq!(envoy.log(LogLevel::Warn), Vec::<String>::new());
}

/// A worker that has not looked at the manifest since sees the new subscription in its shard, but not yet the plan that
/// it names.
#[test]
fn a_plan_that_came_with_its_subscription_refuses_nobody() {
    let (mut envoy, _service) = running(&Page::demo(1).with("poll", "/v1/policy?since=1"));
    envoy.set_feed(|_| Answer::Pending);
    envoy.run_for(SETTLED);
    let poll = envoy.pending().pop().expect("the poll is under way");
    let delta = Page::new(2)
        .with("base", 1)
        .row("plans", json!({"id": "gold", "operations": [{"path": "/**"}]}))
        .row("subscriptions", json!({"application": "app-1", "api": "payments-1.0", "plan": "gold"}));
    let _ = envoy.answer(&poll, Answer::json(delta.0));
    assert_eq!(verdicts(&mut envoy)[0], "allowed", "before a worker's tick");
}
