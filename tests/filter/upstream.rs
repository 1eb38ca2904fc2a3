//! A request after the filter: credentials are removed, facts are in headers and filter state, and nothing is forged.

use serde_json::json;

use crate::{
    host::{Exchange, Outcome, Request},
    policy::*,
};

fn header(exchange: &Exchange, name: &str) -> Option<String> {
    exchange.headers.text(name)
}

#[test]
fn the_credential_is_removed_wherever_it_is() {
    let sources = json!([
        {"header": "x-api-key"}, {"query": "apikey"}, {"header": "authorization", "scheme": "Bearer"}, {"cookie": "api_key"}
    ]);
    let changes = [("credential_sources", sources), ("ambiguous_credentials", json!("first"))];
    let (mut envoy, _service) = running_with(configuration(changes), &Page::demo(1));
    for (key, verdict) in [(PRODUCTION_KEY, "allowed"), ("some-wrong-key-here", "401 key_unknown")] {
        let request = Request::get(format!("/payments/1.0?a=%41&apikey={key}&b=&&c=d+e&apikey=x"))
            .key(key)
            .header("x-api-key", "a second line")
            .header("authorization", format!("Bearer {key}"))
            .header("cookie", format!("first=1; api_key={key}; last=2"));
        let exchange = envoy.worker(1).request(request);
        assert_eq!(exchange.verdict(), verdict);
        assert_eq!(header(&exchange, ":path").as_deref(), Some("/payments/1.0?a=%41&b=&&c=d+e"), "{verdict}");
        assert_eq!(header(&exchange, "cookie").as_deref(), Some("first=1; last=2"), "{verdict}");
        assert_eq!(header(&exchange, "x-api-key"), None, "{verdict}");
        assert_eq!(header(&exchange, "authorization"), None, "{verdict}");
        let everything = format!("{:?}", exchange.headers);
        assert!(!everything.contains(key), "{everything}");
    }
}

#[test]
fn the_credential_stays_if_configured_or_if_it_is_not_checked() {
    let keep = [("forward/credential", json!(true))];
    let (mut envoy, _service) = running_with(configuration(keep), &Page::demo(1));
    let exchange = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    assert_eq!(header(&exchange, "x-api-key").as_deref(), Some(PRODUCTION_KEY));
    let denied = envoy.worker(1).request(Request::get("/payments/1.0").key("some-wrong-key-here"));
    assert_eq!(header(&denied, "x-api-key"), None, "kept on allow only");

    let open = Page::demo(1).change("apis", "payments-1.0", json!({"security": "none"}));
    let (mut envoy, _service) = running(&open);
    let request = Request::get("/payments/1.0?apikey=something").header("x-key-id", "forged");
    let exchange = envoy.worker(1).request(request);
    assert_eq!(exchange.verdict(), "allowed");
    assert_eq!(header(&exchange, ":path").as_deref(), Some("/payments/1.0?apikey=something"));
    assert_eq!(header(&exchange, "x-key-id"), None);
}

#[test]
fn forged_facts_never_reach_upstream() {
    let names = ["x-application-id", "x-key-id", "x-key-type", "x-name", "x-owner", "x-api", "x-plan"];
    let forward = json!({
        "application_id": "X-Application-Id", "key_id": "x-key-id", "key_type": "x-key-type", "application_name": "x-name",
        "owner": "x-owner", "api_id": "x-api", "plan": "x-plan"
    });
    let forge = |request: Request| {
        names.iter().fold(request, |request, name| request.header(name, "forged").header(name, "forged again"))
    };
    let cases = [
        ("allowed", vec![], Request::get("/payments/1.0").key(PRODUCTION_KEY)),
        ("no API", vec![("unknown_api", json!("allow"))], Request::get("/nowhere")),
        (
            "preflight",
            vec![("allow_preflight", json!(true))],
            Request::method("OPTIONS", "/payments/1.0")
                .header("origin", "o")
                .header("access-control-request-method", "GET"),
        ),
        ("shadow", vec![("mode", json!("shadow"))], Request::get("/payments/1.0").key("some-wrong-key-here")),
    ];
    for (name, changes, request) in cases {
        let changes = changes.into_iter().chain([("forward", forward.clone())]);
        let (mut envoy, _service) = running_with(configuration(changes), &Page::demo(1));
        let exchange = envoy.worker(1).request(forge(request));
        assert_eq!(exchange.outcome, Outcome::Passed, "{name}");
        for header in names {
            for value in exchange.headers.all(header) {
                assert!(!value.starts_with(b"forged"), "{name}: {header}: {:?}", exchange.headers);
            }
        }
        if name == "allowed" {
            assert_eq!(header(&exchange, "x-application-id").as_deref(), Some("app-1"));
            assert_eq!(header(&exchange, "x-name").as_deref(), Some("app-1 by name"));
            assert_eq!(header(&exchange, "x-owner").as_deref(), Some("alice"));
            assert_eq!(header(&exchange, "x-api").as_deref(), Some("payments-1.0"));
        }
    }
}

#[test]
fn the_key_type_lets_routes_choose() {
    let (mut envoy, _service) = running(&Page::demo(1));
    for (key, kind, id) in [(PRODUCTION_KEY, "PRODUCTION", "k-1"), (SANDBOX_KEY, "SANDBOX", "k-2")] {
        let exchange = envoy.worker(1).request(Request::get("/payments/1.0").key(key));
        assert_eq!(header(&exchange, "x-key-type").as_deref(), Some(kind));
        assert_eq!(header(&exchange, "x-key-id").as_deref(), Some(id));
        assert!(exchange.route_choices > 0, "the route is chosen again");
    }
}

#[test]
fn facts_are_annotated_on_allow_and_on_refusal() {
    let all = json!([
        "reason",
        "application_id",
        "application_name",
        "owner",
        "key_id",
        "api_id",
        "key_type",
        "plan",
        "revision"
    ]);
    let (mut envoy, _service) = running_with(configuration([("annotate", all)]), &Page::demo(3));
    let allowed = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    let facts = [
        ("reason", Some("allowed")),
        ("application_id", Some("app-1")),
        ("application_name", Some("app-1 by name")),
        ("owner", Some("alice")),
        ("key_id", Some("k-1")),
        ("api_id", Some("payments-1.0")),
        ("key_type", Some("PRODUCTION")),
        ("plan", None),
        ("revision", Some("3")),
    ];
    for (name, value) in facts {
        assert_eq!(allowed.fact(name).as_deref(), value, "{name}");
    }
    let (mut envoy, _service) = running(&Page::demo(3).subscription("app-1", "payments-1.0", "BLOCKED"));
    let refused = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    let facts = [
        ("reason", Some("subscription_blocked")),
        ("application_id", Some("app-1")),
        ("key_id", Some("k-1")),
        ("api_id", Some("payments-1.0")),
        ("owner", None),
    ];
    for (name, value) in facts {
        assert_eq!(refused.fact(name).as_deref(), value, "{name}");
    }
    let plain = envoy.worker(1).request(Request::get("/orders/1.0").key(PRODUCTION_KEY));
    assert_eq!(plain.filter_state.len(), 1, "by default the reason only: {:?}", plain.filter_state);
}

#[test]
fn shadow_lets_everything_pass_and_annotates_the_refusal() {
    let (mut envoy, _service) = running_with(configuration([("mode", json!("shadow"))]), &Page::demo(1));
    let wrong = Request::get("/payments/1.0?apikey=some-wrong-key-here").header("x-key-id", "forged");
    let exchange = envoy.worker(1).request(wrong);
    assert_eq!(exchange.verdict(), "passed key_unknown");
    assert_eq!(header(&exchange, ":path").as_deref(), Some("/payments/1.0?apikey=some-wrong-key-here"));
    assert_eq!(header(&exchange, "x-key-id"), None);
    assert_eq!(envoy.metric("keygate.would_deny.key_unknown"), 1);
    assert_eq!(envoy.metric("keygate.denied.key_unknown"), 0);
    let good = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
    assert_eq!(good.verdict(), "allowed");
    assert_eq!(header(&good, "x-api-key").as_deref(), Some(PRODUCTION_KEY));
    assert_eq!(header(&good, "x-application-id").as_deref(), Some("app-1"));
}

#[test]
fn grpc_and_head_get_their_own_form() {
    let blocked = Page::demo(1).subscription("app-1", "payments-1.0", "BLOCKED").change(
        "apis",
        "orders-1.0",
        json!({"state": "BLOCKED"}),
    );
    let (mut envoy, _service) = running(&blocked);
    let cases = [
        ("/payments/1.0", PRODUCTION_KEY, 16),
        ("/payments/1.0", "some-wrong-key-here", 16),
        ("/orders/1.0", PRODUCTION_KEY, 14),
        ("/nowhere", PRODUCTION_KEY, 12),
        ("/payments//1.0", PRODUCTION_KEY, 3),
    ];
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
        for (path, key, code) in cases {
            let request = Request::method("POST", path).key(key).header("content-type", content_type);
            let reply = envoy.worker(1).request(request).reply().clone();
            assert_eq!((reply.status, reply.grpc_status), (200, Some(code)), "{path} {content_type}");
            let message = reply.headers.text("grpc-message").unwrap_or_default();
            assert!(!message.is_empty() && !message.contains('{'), "the message, not the JSON: {message}");
        }
    }
    let web =
        Request::method("POST", "/payments/1.0").key(PRODUCTION_KEY).header("content-type", "application/grpc-web");
    assert_eq!(envoy.worker(1).request(web).reply().grpc_status, None);
    let head = envoy.worker(1).request(Request::method("HEAD", "/payments/1.0").key(PRODUCTION_KEY));
    assert_eq!(head.verdict(), "401 subscription_blocked");
    assert!(head.reply().body.is_empty());
}

#[test]
fn requests_are_counted_once_each() {
    let (mut envoy, _service) = running(&Page::demo(1));
    for _ in 0..3 {
        envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
        envoy.worker(2).request(Request::get("/payments/1.0").key("some-wrong-key-here"));
    }
    envoy.worker(2).request(Request::get("/payments/1.0"));
    envoy.run_for(std::time::Duration::from_secs(1));
    assert_eq!(envoy.metric("keygate.allowed"), 3);
    assert_eq!(envoy.metric("keygate.denied.key_unknown"), 3);
    assert_eq!(envoy.metric("keygate.denied.credential_missing"), 1);
    let gauges = [("revision", 1), ("keys", 3), ("subscriptions", 3), ("applications", 2), ("apis", 2)];
    for (name, value) in gauges {
        assert_eq!(envoy.metric(&format!("keygate.policy.{name}")), value, "{name}");
    }
    assert!(envoy.metric("keygate.policy.bytes") > 0);
    assert!(envoy.metric("keygate.refresh.applied") >= 1);
    assert!(!envoy.observations("keygate.refresh.duration_ms").is_empty());
}
