//! Usage through the real policy service: the requests are billed exactly, and a quota holds across Envoys and
//! restarts.

use std::time::Duration;

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    http::{self, Ask},
    policy_service::PolicyService,
    stack::Policy,
    story::{self, Expected, ORDERS, PAYMENTS},
    workers::Workers,
};
use serde_json::{Value, json};

/// How long a change may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// One interval of reports, the second that workers leave to the main thread, and time for a slow machine.
const REPORTED_WITHIN: Duration = Duration::from_secs(8);

/// The shipped configuration with a report every second.
fn hasty() -> Options {
    Options::default().edit(r#""interval_ms": 60000"#, r#""interval_ms": 1000"#)
}

async fn call(policy: &PolicyService, ask: Ask) -> Value {
    let answer = policy.call(ask).await.unwrap();
    assert!(answer.status.is_success(), "{answer}");
    answer.json()
}

/// The billed requests of an application with this outcome.
async fn billed(policy: &PolicyService, application: &str, outcome: &str) -> u64 {
    let page = call(policy, Ask::get(format!("/v1/usage?application={application}&limit=1000"))).await;
    let items = page["items"].as_array().unwrap().iter();
    items.filter(|item| item["outcome"] == outcome).map(|item| item["requests"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn requests_are_billed_exactly() {
    let (stack, keys) = story::stage("usage-billed", hasty()).await.unwrap();
    let policy = stack.policy().unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let allowed = Ask::get(ORDERS).key(&keys.production);
    // The first request may wait for the policy. It is billed, too.
    let mut sent = 0;
    for _ in 0..150 {
        sent += workers.send(&allowed).await.unwrap().iter().filter(|(_, answer)| answer.status == 200).count();
    }
    for _ in 0..10 {
        workers.send(&Ask::get(ORDERS).key(&keys.visitor)).await.unwrap();
        workers.send(&Ask::get(ORDERS).key("never-given-out")).await.unwrap();
    }
    let refused = 10 * workers.count() as u64;
    let sent = u64::try_from(sent).unwrap();
    assert_eq!(sent, 150 * workers.count() as u64);
    eventually("the bill", REPORTED_WITHIN, async || {
        let found = (billed(policy, "shop", "allowed").await, billed(policy, "visitor", "subscription_missing").await);
        if found == (sent, refused) { Ok(()) } else { Err(format!("{found:?}, expected {sent} and {refused}")) }
    })
    .await
    .unwrap();
    let items = call(policy, Ask::get("/v1/usage")).await["items"].as_array().unwrap().clone();
    assert!(items.iter().all(|item| item["api"] == "orders-1.0" && item["hour"].as_u64().unwrap() % 3_600 == 0));
    let partner = keys.partner;
    let keys = call(policy, Ask::get("/v1/keys")).await["items"].as_array().unwrap().clone();
    let used =
        |application: &str| keys.iter().any(|key| key["application"] == application && key["last_used"].is_u64());
    assert_eq!([used("shop"), used("visitor"), used("partner")], [true, true, false]);
    // Later reports have only later requests.
    workers.send(&Ask::get(ORDERS).key(&partner)).await.unwrap();
    eventually("the next report", REPORTED_WITHIN, async || match billed(policy, "partner", "allowed").await {
        0 => Err("nothing is billed"),
        _ => Ok(()),
    })
    .await
    .unwrap();
    assert_eq!(billed(policy, "shop", "allowed").await, sent);
    stack.stop().await;
}

#[tokio::test]
async fn a_monthly_quota_holds_across_envoys_and_a_restart() {
    const QUOTA: u64 = 200;
    // A bit less than the requests that one Envoy would let pass by its own count within the test's time.
    const BY_ITSELF: usize = 100;
    let mut first = Stack::prepare("usage-quota", hasty()).await.unwrap();
    let keys = story::load(first.policy().unwrap()).await.unwrap();
    let plan = json!({"id": "small", "limits": [{"requests": QUOTA, "per": "month"}]});
    first.policy().unwrap().post("/v1/plans", Some(plan)).await.unwrap();
    let subscription = json!({"application": "shop", "api": "orders-1.0", "plan": "small"});
    let put = Ask::new("PUT", "/v1/subscriptions/shop-orders").json(subscription);
    call(first.policy().unwrap(), put).await;
    first.start_envoy().await.unwrap();
    let policy = first.policy().unwrap().address();
    let mut second = Stack::start("usage-quota-2", Options { policy: Policy::At(policy), ..hasty() }).await.unwrap();

    let ask = Ask::get(ORDERS).key(&keys.production);
    let passes = async |stack: &Stack| {
        let answer = http::send(stack.envoy().unwrap().gateway(), &ask).await.unwrap();
        match answer.status.as_u16() {
            200 => Ok(()),
            429 if answer.json()["code"] == "900804" => Err("900804".to_owned()),
            _ => panic!("{answer}"),
        }
    };
    // Each Envoy gets fewer requests than the quota. The first one is restarted in between.
    for _ in 0..80 {
        passes(&first).await.unwrap();
        passes(&second).await.unwrap();
    }
    let service = first.policy().unwrap();
    eventually("160 are billed", REPORTED_WITHIN, async || match billed(service, "shop", "allowed").await {
        160 => Ok(()),
        other => Err(other.to_string()),
    })
    .await
    .unwrap();
    first.start_envoy().await.unwrap();
    for _ in 0..40 {
        passes(&first).await.unwrap();
    }
    let service = first.policy().unwrap();
    let marked = async || call(service, Ask::get("/v1/subscriptions/shop-orders")).await["used_up_until"].is_u64();
    eventually("the mark", REPORTED_WITHIN, async || if marked().await { Ok(()) } else { Err("there is none") })
        .await
        .unwrap();
    // Within one report and one refresh both Envoys refuse until the end of the month. The other subscription still
    // works.
    for stack in [&first, &second] {
        let mut passed = 0;
        eventually("the quota to be used up", SEEN_WITHIN, async || match passes(stack).await {
            Err(_) => Ok(()),
            Ok(()) => {
                passed += 1;
                Err("it passes")
            }
        })
        .await
        .unwrap();
        assert!(passed < BY_ITSELF, "{passed} requests passed");
        // The next request may reach a worker that has not looked yet.
        eventually("to hear how long it lasts", SEEN_WITHIN, async || {
            let answer = http::send(stack.envoy().unwrap().gateway(), &ask).await.unwrap();
            let Some(seconds) = answer.header("retry-after") else { return Err("it passes") };
            let seconds: u64 = seconds.parse().unwrap();
            assert!((1..=31 * 86_400).contains(&seconds), "{seconds} s");
            Ok(())
        })
        .await
        .unwrap();
        let other =
            http::send(stack.envoy().unwrap().gateway(), &Ask::get(PAYMENTS).key(&keys.production)).await.unwrap();
        assert!(Expected::Reaches("production").is(other.status.as_u16(), &other.json()), "{other}");
    }
    // After a restart it still refuses, because the policy says that the quota is used up.
    second.start_envoy().await.unwrap();
    assert!(passes(&second).await.is_err());
    second.stop().await;
    first.stop().await;
}
