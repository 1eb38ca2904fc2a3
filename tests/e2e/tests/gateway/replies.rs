//! What a client receives after a refusal, and what the counters show, when Envoy itself has processed it.

use std::{collections::BTreeMap, time::Duration};

use keygate_e2e::{
    Options,
    deadline::eventually,
    envoy::Envoy,
    http::Ask,
    story::{self, Expected, ORDERS},
    workers::Workers,
};

const SEEN_WITHIN: Duration = Duration::from_secs(6);

const REACHES: Expected = Expected::Reaches("production");

/// The name of the case, the request, the status, and headers with their values, or `None` if they must be absent.
type Case<'a> = (&'a str, Ask, u16, &'a [(&'a str, Option<&'a str>)]);

#[tokio::test]
async fn a_refusal_is_what_its_kind_of_request_understands() {
    let (stack, keys) = story::stage("replies", Options::default()).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let allowed = Ask::get(ORDERS).key(&keys.production);
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&allowed, REACHES).await).await.unwrap();

    let grpc = |ask: Ask| ask.header("content-type", "application/grpc");
    let challenge = ("www-authenticate", Some(r#"API-Key realm="keygate""#));
    let json = ("content-type", Some("application/json"));
    let cases: &[Case] = &[
        ("401 challenges", Ask::get(ORDERS), 401, &[challenge, json]),
        ("403 does not", Ask::get(ORDERS).key(&keys.visitor), 403, &[("www-authenticate", None), json]),
        ("404", Ask::get("/nowhere").key(&keys.production), 404, &[("www-authenticate", None), json]),
        ("HEAD", Ask::new("HEAD", ORDERS), 401, &[challenge, json]),
        ("POST", Ask::new("POST", ORDERS).json(serde_json::json!({"a": 1})), 401, &[challenge, json]),
        ("gRPC, 401", grpc(Ask::new("POST", ORDERS)), 200, &[("grpc-status", Some("16"))]),
        ("gRPC, 403", grpc(Ask::new("POST", ORDERS).key(&keys.visitor)), 200, &[("grpc-status", Some("7"))]),
        ("gRPC, 404", grpc(Ask::new("POST", "/nowhere")), 200, &[("grpc-status", Some("12"))]),
    ];
    for (name, ask, status, headers) in cases {
        for (worker, answer) in workers.send(ask).await.unwrap() {
            assert_eq!(answer.status, *status, "{name}, {worker}: {answer}");
            for (header, value) in *headers {
                assert_eq!(answer.header(header), *value, "{name}, {worker}: {header}");
            }
            let body = !name.starts_with("HEAD") && !name.starts_with("gRPC");
            assert_eq!(!answer.body.is_empty(), body, "{name}, {worker}: {answer}");
            // The answer does not repeat what the client sent.
            for secret in ["nowhere", "orders", &keys.visitor, &keys.production] {
                assert!(!answer.body.contains(secret), "{name}, {worker}: {answer}");
            }
        }
    }
    stack.stop().await;
}

/// The filter's counters of decisions.
async fn decisions(envoy: &Envoy) -> BTreeMap<String, u64> {
    let stats = envoy.stats("^wasmcustom.keygate.(allowed|denied|would_deny)").await.unwrap();
    stats.into_iter().map(|(name, value)| (name.replace("wasmcustom.keygate.", ""), value)).collect()
}

#[tokio::test]
async fn every_request_counts_once_under_its_decision() {
    let (stack, keys) = story::stage("replies-counters", Options::default()).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let allowed = Ask::get(ORDERS).key(&keys.production);
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&allowed, REACHES).await).await.unwrap();

    let before = decisions(envoy).await;
    let asks = [
        ("allowed", allowed),
        ("denied.credential_missing", Ask::get(ORDERS)),
        ("denied.key_unknown", Ask::get(ORDERS).key("never-given-out")),
        ("denied.subscription_missing", Ask::get(ORDERS).key(&keys.visitor)),
        ("denied.api_not_found", Ask::get("/nowhere")),
    ];
    const TIMES: u64 = 10;
    for (_, ask) in &asks {
        for _ in 0..TIMES {
            workers.send(ask).await.unwrap();
        }
    }
    let mut expected = before;
    for (name, _) in &asks {
        *expected.entry((*name).to_owned()).or_default() += TIMES * workers.count() as u64;
    }
    assert_eq!(decisions(envoy).await, expected);
    stack.stop().await;
}
