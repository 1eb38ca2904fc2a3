//! Envoy's CORS filter before keygate, as docs/envoy.md describes it: preflights need no key, and a page can read a
//! refusal.

use std::time::Duration;

use keygate_e2e::{
    Options,
    deadline::eventually,
    http::{self, Ask},
    story::{self, Expected, ORDERS},
    workers::Workers,
};

/// How long the policy may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
const ORIGIN: &str = "https://shop.example";

const FILTER: &str = r#"          http_filters:
          - name: envoy.filters.http.cors
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors
"#;
const POLICY: &str = r#"              domains: ["*"]
              typed_per_filter_config:
                envoy.filters.http.cors:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
                  allow_origin_string_match: [{ exact: "https://shop.example" }]
                  allow_methods: GET
                  allow_headers: x-api-key
"#;

#[tokio::test]
async fn before_keygate_the_cors_filter_answers_preflights_and_marks_refusals() {
    let options =
        Options::default().edit("          http_filters:\n", FILTER).edit("              domains: [\"*\"]\n", POLICY);
    let (stack, keys) = story::stage("cors", options).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let allowed = Ask::get(ORDERS).key(&keys.production).header("origin", ORIGIN);
    let reaches = Expected::Reaches("production");
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&allowed, reaches).await).await.unwrap();

    let preflight = Ask::new("OPTIONS", ORDERS)
        .header("origin", ORIGIN)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "x-api-key");
    let cases = [
        ("a preflight", preflight, 200),
        ("an allowed request", allowed, 200),
        ("without a key", Ask::get(ORDERS).header("origin", ORIGIN), 401),
        ("an unknown key", Ask::get(ORDERS).key("never-given-out").header("origin", ORIGIN), 401),
        ("no subscription", Ask::get(ORDERS).key(&keys.visitor).header("origin", ORIGIN), 403),
    ];
    for (name, ask, status) in cases {
        let answer = http::send(envoy.gateway(), &ask).await.unwrap();
        assert_eq!(answer.status, status, "{name}: {answer}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{name}: {:?}", answer.headers);
    }
    // Another origin is permitted nothing. A request that is not a preflight needs its key.
    let other = Ask::get(ORDERS).key(&keys.production).header("origin", "https://other.example");
    assert_eq!(http::send(envoy.gateway(), &other).await.unwrap().header("access-control-allow-origin"), None);
    let bare = http::send(envoy.gateway(), &Ask::new("OPTIONS", ORDERS)).await.unwrap();
    assert_eq!(bare.status, 401, "{bare}");
    stack.stop().await;
}
