//! Every row of the decision's table, through the whole filter: facts in the policy about a key, and the status and
//! code of the refusal.

use serde_json::{Value, json};

use crate::{host::Request, policy::*};

/// The name, the page that differs from the demo, the request to payments, the verdict, and the WSO2 code of a refusal.
#[track_caller]
fn check(name: &str, page: Page, request: Request, verdict: &str, code: &str) {
    let (mut envoy, _service) = running(&page);
    let exchange = envoy.worker(1).request(request);
    assert_eq!(exchange.verdict(), verdict, "{name}");
    if verdict != "allowed" {
        assert_eq!(exchange.reply().json()["code"], json!(code), "{name}");
        assert_eq!(exchange.reply().headers.text("content-type").as_deref(), Some("application/json"), "{name}");
    }
}

fn payments() -> Request {
    Request::get("/payments/1.0/charges").key(PRODUCTION_KEY)
}

#[test]
fn what_the_policy_says_of_a_key() {
    // The fake Envoy starts at 2025-06-01T00:00:00Z. A second passes before the request.
    let now = 1_748_736_000_u64;
    let cases: [(&str, Value, &str, &str); 16] = [
        ("revoked", json!({"state": "REVOKED"}), "401 key_revoked", "900904"),
        ("of an unknown state", json!({"state": "SLEEPING"}), "401 key_revoked", "900904"),
        ("expired", json!({"expires_at": now}), "401 key_expired", "900903"),
        ("expiring later", json!({"expires_at": now + 60}), "allowed", ""),
        ("not yet valid", json!({"not_before": now + 60}), "401 key_not_yet_valid", "900901"),
        ("valid since now", json!({"not_before": now}), "allowed", ""),
        ("without bounds", json!({"not_before": null, "expires_at": null}), "allowed", ""),
        ("bound to other APIs", json!({"apis": ["orders-1.0"]}), "403 key_not_for_api", "900908"),
        ("bound to no API", json!({"apis": []}), "403 key_not_for_api", "900908"),
        ("bound to this API", json!({"apis": ["payments-1.0"]}), "allowed", ""),
        ("of another address", json!({"permitted_ips": ["203.0.113.0/24"]}), "403 address_not_permitted", "900908"),
        ("of this address", json!({"permitted_ips": ["192.0.2.0/24"]}), "allowed", ""),
        ("of no address", json!({"permitted_ips": []}), "403 address_not_permitted", "900908"),
        ("of another referer", json!({"permitted_referers": ["example.com/*"]}), "403 referer_not_permitted", "900908"),
        ("of an unknown application", json!({"application": "app-0"}), "403 subscription_missing", "900908"),
        ("of an unknown type", json!({"type": "MYSTERY"}), "allowed", ""),
    ];
    for (name, fields, verdict, code) in cases {
        check(name, Page::demo(1).change("keys", "k-1", fields), payments(), verdict, code);
    }
}

#[test]
fn what_the_policy_says_of_the_api_and_the_application() {
    let cases: [(&str, &str, &str, Value, &str, &str); 12] = [
        ("blocked API", "apis", "payments-1.0", json!({"state": "BLOCKED"}), "503 api_blocked", "700700"),
        ("created API", "apis", "payments-1.0", json!({"state": "CREATED"}), "404 api_not_found", "404"),
        ("retired API", "apis", "payments-1.0", json!({"state": "RETIRED"}), "404 api_not_found", "404"),
        ("unknown API state", "apis", "payments-1.0", json!({"state": "?"}), "404 api_not_found", "404"),
        ("deprecated API", "apis", "payments-1.0", json!({"state": "DEPRECATED"}), "allowed", ""),
        ("prototyped API", "apis", "payments-1.0", json!({"state": "PROTOTYPED"}), "allowed", ""),
        ("sandbox only", "apis", "payments-1.0", json!({"endpoints": ["SANDBOX"]}), "403 endpoint_missing", "900901"),
        ("no endpoints", "apis", "payments-1.0", json!({"endpoints": []}), "403 endpoint_missing", "900901"),
        ("unknown security", "apis", "payments-1.0", json!({"security": "wishes"}), "allowed", ""),
        ("blocked", "applications", "app-1", json!({"state": "BLOCKED"}), "403 application_blocked", "900805"),
        ("unknown state", "applications", "app-1", json!({"state": "?"}), "403 application_blocked", "900805"),
        ("active", "applications", "app-1", json!({"state": "ACTIVE"}), "allowed", ""),
    ];
    for (name, list, id, fields, verdict, code) in cases {
        check(name, Page::demo(1).change(list, id, fields), payments(), verdict, code);
    }
}

#[test]
fn what_a_deny_policy_matches() {
    let denied = "403 denied_by_policy";
    let cases = [
        (json!({"type": "IP", "value": "192.0.2.1"}), denied),
        (json!({"type": "IP", "value": "192.0.2.2"}), "allowed"),
        (json!({"type": "IP", "value": "192.0.2.2", "invert": true}), denied),
        (json!({"type": "IP_RANGE", "value": "192.0.2.0/24"}), denied),
        (json!({"type": "IP_RANGE", "value": "192.0.2.0/24", "invert": true}), "allowed"),
        (json!({"type": "APPLICATION", "value": "app-1"}), denied),
        (json!({"type": "APPLICATION", "value": "app-2"}), "allowed"),
        (json!({"type": "API", "value": "payments-1.0"}), denied),
        (json!({"type": "USER", "value": "alice"}), denied),
        (json!({"type": "USER", "value": "mallory"}), "allowed"),
    ];
    for (mut row, verdict) in cases {
        row["id"] = json!("d1");
        check(&row.to_string(), Page::demo(1).row("deny_policies", row), payments(), verdict, "900805");
    }
}

#[test]
fn what_a_request_lacks_or_has_too_much_of() {
    let bare = || Request::get("/payments/1.0");
    let long = "k".repeat(4097);
    let cases = [
        ("no key", bare(), "401 credential_missing", "900902"),
        ("an empty key", bare().header("x-api-key", ""), "401 credential_missing", "900902"),
        ("blanks for a key", bare().header("x-api-key", "   "), "401 credential_missing", "900902"),
        ("a key too long", bare().key(long), "401 credential_malformed", "900901"),
        ("two keys", bare().key(PRODUCTION_KEY).header("apikey", OTHER_KEY), "401 credential_ambiguous", "900901"),
        ("two lines", bare().key(PRODUCTION_KEY).key(OTHER_KEY), "401 credential_ambiguous", "900901"),
        ("one key twice", bare().key(PRODUCTION_KEY).header("apikey", PRODUCTION_KEY), "allowed", ""),
        ("an unknown path", Request::get("/nowhere").key(PRODUCTION_KEY), "404 api_not_found", "404"),
        ("a longer segment", Request::get("/payments/1.00").key(PRODUCTION_KEY), "404 api_not_found", "404"),
        ("a slash too many", Request::get("/payments//1.0").key(PRODUCTION_KEY), "400 path_ambiguous", "400"),
        ("an escaped slash", Request::get("/payments%2f1.0").key(PRODUCTION_KEY), "400 path_ambiguous", "400"),
        ("dots", Request::get("/payments/1.0/../x").key(PRODUCTION_KEY), "400 path_ambiguous", "400"),
        ("no path", bare().without(":path").key(PRODUCTION_KEY), "400 path_ambiguous", "400"),
        ("a key in the query", Request::get(format!("/payments/1.0?apikey={PRODUCTION_KEY}")), "allowed", ""),
    ];
    for (name, request, verdict, code) in cases {
        check(name, Page::demo(1), request, verdict, code);
    }
}

#[test]
fn open_apis_and_preflights_pass_without_a_key() {
    let open = Page::demo(1).change("apis", "payments-1.0", json!({"security": "none"}));
    check("open API", open, Request::get("/payments/1.0"), "allowed", "");
    let preflight = || {
        let request = Request::method("OPTIONS", "/payments/1.0").header("origin", "https://example.com");
        request.header("access-control-request-method", "GET")
    };
    check("preflight by default", Page::demo(1), preflight(), "401 credential_missing", "900902");
    let (mut envoy, _service) = running_with(configuration([("allow_preflight", json!(true))]), &Page::demo(1));
    assert_eq!(envoy.worker(1).request(preflight()).verdict(), "allowed");
    let options = Request::method("OPTIONS", "/payments/1.0");
    assert_eq!(envoy.worker(1).request(options).verdict(), "401 credential_missing", "any other OPTIONS");
}

#[test]
fn what_the_plan_says_of_a_subscription() {
    let plan = |operations: Value| {
        let page = Page::demo(1).row("plans", json!({"id": "gold", "operations": operations}));
        let row = json!({"application": "app-1", "api": "payments-1.0", "state": "UNBLOCKED", "plan": "gold"});
        page.row("subscriptions", row)
    };
    let refused = "403 operation_not_permitted";
    let cases = [
        (json!([{"methods": ["GET"], "path": "/charges"}]), "allowed"),
        (json!([{"methods": ["GET"], "path": "/*"}]), "allowed"),
        (json!([{"path": "/**"}]), "allowed"),
        (json!([{"methods": ["POST"], "path": "/charges"}]), refused),
        (json!([{"methods": ["GET"], "path": "/charges/*"}]), refused),
        (json!([{"methods": [], "path": "/charges"}]), refused),
        (json!([]), refused),
    ];
    for (operations, verdict) in cases {
        check(&operations.to_string(), plan(operations), payments(), verdict, "900910");
    }
    let row = json!({"application": "app-1", "api": "payments-1.0", "plan": "a plan that is not there"});
    check("unknown plan", Page::demo(1).row("subscriptions", row), payments(), "401 subscription_inactive", "900909");
}

#[test]
fn the_api_is_known_by_configuration_or_route() {
    let metadata = ["xds", "route_metadata", "filter_metadata", "keygate", "api"];
    let route = json!({"route_metadata": ["keygate", "api"]});
    let anywhere = || Request::get("/anywhere").key(PRODUCTION_KEY);
    let cases = [
        (json!({"fixed": "payments-1.0"}), anywhere(), "allowed"),
        (json!({"fixed": "orders-1.0"}), anywhere().with("x-api-key", OTHER_KEY), "403 subscription_missing"),
        (json!({"fixed": "nowhere"}), anywhere(), "404 api_not_found"),
        (route.clone(), anywhere().property(&metadata, "payments-1.0"), "allowed"),
        (route.clone(), anywhere().property(&metadata, "nowhere"), "404 api_not_found"),
        (route.clone(), anywhere().property(&metadata, b"\xff\xff"), "404 api_not_found"),
        (route.clone(), anywhere().property(&metadata, ""), "404 api_not_found"),
        (route, anywhere(), "404 api_not_found"),
    ];
    for (api, request, verdict) in cases {
        let (mut envoy, _service) = running_with(configuration([("api", api.clone())]), &Page::demo(1));
        assert_eq!(envoy.worker(1).request(request).verdict(), verdict, "{api}");
    }
}

#[test]
fn refusals_have_the_form_that_is_configured() {
    let blocked = Page::demo(1).subscription("app-1", "payments-1.0", "BLOCKED");
    let message = "The requested API is temporarily blocked";
    let cases = [
        ("wso2", "application/json", vec![("code", json!("900907")), ("message", json!(message))]),
        ("choreo", "application/json", vec![("code", json!("900907")), ("error_message", json!(message))]),
        (
            "problem",
            "application/problem+json",
            vec![("status", json!(401)), ("reason", json!("subscription_blocked"))],
        ),
    ];
    for (format, content_type, fields) in cases {
        let changes = [("replies/format", json!(format)), ("replies/realm", json!("the realm"))];
        let (mut envoy, _service) = running_with(configuration(changes), &blocked);
        let exchange = envoy.worker(1).request(payments());
        let reply = exchange.reply();
        assert_eq!(reply.headers.text("content-type").as_deref(), Some(content_type));
        assert_eq!(reply.headers.text("www-authenticate").as_deref(), Some("API-Key realm=\"the realm\""));
        for (name, value) in fields {
            assert_eq!(reply.json()[name], value, "{format}: {name}");
        }
    }
    let overrides = json!({"subscription_blocked": {"status": 403, "message": "Blocked for now"}});
    let (mut envoy, _service) = running_with(configuration([("replies/overrides", overrides)]), &blocked);
    let exchange = envoy.worker(1).request(payments());
    assert_eq!(exchange.verdict(), "403 subscription_blocked");
    assert_eq!(exchange.reply().json()["message"], json!("Blocked for now"));
}
